//! Whatever is changed in a valid token, it is no longer one.

use crate::support::*;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use psc::TokenError;

#[test]
fn no_mutation_of_a_valid_token_verifies() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (psc, verifier) = runtime.block_on(async {
        let psc = Psc::start().await;
        let verifier = psc.verifier();
        verifier.verify(&token(&psc.claims())).await.unwrap();
        (psc, verifier)
    });
    let rsa = token(&psc.claims());
    let ec = raw_token(r#"{"alg":"ES256","kid":"ec"}"#, &psc.claims().to_string(), "ES256", &keys().ec);
    let mutations = (
        prop::sample::select(vec![rsa, ec]),
        any::<prop::sample::Index>(),
        prop_oneof![
            prop::char::range('!', '~').prop_map(Some),
            prop::sample::select(vec!['A', 'Q', 'g', 'w', '.', '=', '\n', '\0', 'é']).prop_map(Some),
            Just(None),
        ],
        0..3_u8,
    );
    let config = ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&mutations, |(original, at, with, how)| {
            let at = at.index(original.len());
            let mut text = original.clone();
            match (how, with) {
                (0, Some(c)) => text.replace_range(at..=at, &c.to_string()),
                (1, Some(c)) => text.insert(at, c),
                (2, _) => text.truncate(at),
                _ => drop(text.remove(at)),
            }
            prop_assume!(text != original);
            let outcome = runtime.block_on(verifier.verify(&text));
            prop_assert!(matches!(outcome, Err(TokenError::Refused(_))), "{outcome:?}");
            Ok(())
        })
        .unwrap();
}
