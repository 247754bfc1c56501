//! Names of folders in modified UTF-7, and a preview of what anybody sent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::FolderName;

fuzz_target!(|input: &[u8]| {
    if let Some(name) = imap::utf7::decode(input) {
        assert_eq!(imap::utf7::decode(imap::utf7::encode(&name).as_bytes()).as_deref(), Some(&*name));
        if let Ok(folder) = FolderName::new(&name) {
            assert_eq!(FolderName::new(folder.as_str()).as_ref(), Ok(&folder), "a name has one spelling");
        }
    }
});
