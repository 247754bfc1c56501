//! A page of the FHIR interface: nothing panics, nobody on it is outside the trust space.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    for entry in directory::fhir::entries_of_page(text, std::time::SystemTime::UNIX_EPOCH).unwrap_or_default() {
        assert!(entry.address.domain().is_mssante() && !entry.address.is_patient());
        let _ = (entry.name(), entry.place(), entry.rpps());
    }
});
