//! Rights, grantees, annotations' names: through the commands of RFC 4314, RFC 5464, RFC 5465, RFC 9208.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::Rights;

fuzz_target!(|input: &[u8]| {
    if let Ok(text) = std::str::from_utf8(input) {
        if let Ok(rights) = text.parse::<Rights>() {
            assert_eq!(rights.to_string().parse(), Ok(rights));
        }
        if let Ok(grantee) = store::Grantee::parse(text) {
            assert_eq!(store::Grantee::parse(grantee.as_str()).as_ref(), Ok(&grantee));
        }
    }
    for verb in [
        "SETACL ",
        "SETMETADATA ",
        "GETMETADATA ",
        "NOTIFY SET ",
        "SETQUOTA ",
        "LISTRIGHTS ",
        "SELECT a (",
        "UID FETCH 1 (",
    ] {
        let _ = imap::parse::parse(&[b"a ", verb.as_bytes(), input].concat());
    }
});
