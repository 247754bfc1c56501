//! The library against a whole sandbox, one module per subject.

mod discover;
<<<<<<< HEAD
mod outbox;
mod send;
mod login;
mod session;
=======
mod find;
>>>>>>> c5b3824 (lps find: correspondents by the interface and offline; the sandbox's Annuaire Santé)
mod space;
mod world;
