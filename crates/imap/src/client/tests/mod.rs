//! The client against servers written here: honest, old, hostile.

mod hostile;
mod parsing;
mod talk;
