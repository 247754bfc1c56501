//! The library against a whole sandbox, one module per subject.

mod discover;
mod outbox;
mod send;
mod login;
mod session;
mod space;
mod world;
