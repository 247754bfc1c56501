use proptest::prelude::*;

use super::*;

fn dn(text: &str) -> Dn {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}
