//! The library against a whole sandbox, one module per subject.

mod discover;
mod space;
mod world;
