//! The verifier against a PSC that runs in the test: control cases JWT-01 to JWT-22, LPS-TOKEN, LPS-IDENT. Logging in, against a PSC
//! that does what each test wants.

mod answers;
mod forged;
mod keys;
mod login;
mod mutation;
mod support;
