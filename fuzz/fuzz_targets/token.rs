//! A token: its form, claims and identity are read before any key is. No key can be had here, so no token is ever accepted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use psc::{Verifier, VerifierConfig};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};
use tokio::runtime::{Builder, Runtime};
use trust::ManualClock;

fn bench() -> &'static (Runtime, Verifier) {
    static BENCH: OnceLock<(Runtime, Verifier)> = OnceLock::new();
    BENCH.get_or_init(|| {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        // Port 1 of this machine: nobody answers, and nothing leaves it.
        let keys = "http://127.0.0.1:1/jwks".parse().expect("an address");
        let config = VerifierConfig::new("https://issuer.example", keys);
        let clock = ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)).shared();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let verifier = Verifier::new(config, client, clock).expect("a sound configuration");
        (runtime, verifier)
    })
}

fuzz_target!(|token: &str| {
    let (runtime, verifier) = bench();
    assert!(runtime.block_on(verifier.verify(token)).is_err());
    // The same as a payload under a header that is right, so that claims and identity are reached.
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","kid":"k","typ":"JWT"}"#);
    let whole = format!("{header}.{}.c2ln", URL_SAFE_NO_PAD.encode(token));
    assert!(runtime.block_on(verifier.verify(&whole)).is_err());
});
