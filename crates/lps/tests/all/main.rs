//! The library against a whole sandbox, one module per subject.

mod discover;
mod dovecot;
mod find;
mod intake;
mod less;
mod login;
mod outbox;
mod people;
mod pfi;
mod played;
mod postfix;
mod proof;
mod python;
mod read;
mod send;
mod session;
mod session_dovecot;
mod space;
mod vendor;
mod world;
