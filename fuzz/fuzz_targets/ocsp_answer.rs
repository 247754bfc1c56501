//! What an OCSP service answers: read as if its signature were good, so that all of the reader is reached, then as it is.
#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use libfuzzer_sys::fuzz_target;
use openssl::x509::X509;

static CERTIFICATE: LazyLock<X509> = LazyLock::new(|| X509::from_pem(include_bytes!("../ocsp-certificate.pem")).expect("a certificate"));
static ISSUER: LazyLock<X509> = LazyLock::new(|| X509::from_pem(include_bytes!("../ocsp-issuer.pem")).expect("a certificate"));
/// When the seeds were made.
const NOW: u64 = 1_795_342_309;

fuzz_target!(|input: &[u8]| {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    let (answers, believed) = trust::revocation::fuzz_ocsp(input, &CERTIFICATE, &ISSUER, now);
    assert!(!believed || answers.is_some(), "nothing is believed that cannot be read");
});
