//! A message's octets on their way in ([`Spool`], [`Spooled`]) and out ([`Body`]).
//!
//! Written by the store's helper: small messages stay in memory, large ones go to a file in the spool folder that the
//! commit syncs and renames.
