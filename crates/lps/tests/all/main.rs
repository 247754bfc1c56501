//! The library against a whole sandbox, one module per subject.

mod discover;
mod find;
mod intake;
mod login;
mod outbox;
mod postfix;
mod python;
mod read;
mod send;
mod session;
mod session_dovecot;
mod space;
mod vendor;
mod world;
