//! The verifier against a PSC that runs in the test: control cases JWT-01 to JWT-22, LPS-TOKEN, LPS-IDENT.

mod answers;
mod forged;
mod keys;
mod mutation;
mod support;
