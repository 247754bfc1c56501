//! An autoconfiguration (`config-v1.1.xml`), which anybody may have written: what comes out of it is inside the trust space.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lps::discover::read_document;

fuzz_target!(|input: &[u8]| {
    let address: mssante::Address = "marie.martin@alpha.formation.mssante.fr".parse().expect("an address");
    let allows = |domain: &mssante::Domain| domain.as_str().ends_with(".mssante.fr");
    let Ok(found) = read_document(input, &address, &allows) else { return };
    for entry in [found.psc, found.certificate].into_iter().flatten() {
        for server in [entry.imap, entry.smtp] {
            assert!(server.host.ends_with(".mssante.fr"), "{}", server.host);
            assert!(server.host.parse::<std::net::IpAddr>().is_err() && server.port > 0);
        }
    }
});
