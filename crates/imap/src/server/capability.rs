//! What CAPABILITY says in each state; only what is whole is announced.

use std::fmt::Write as _;

use crate::backend::Mechanism;

/// Before TLS: nobody can authenticate (LPS-NOPLAIN).
pub(super) const PLAIN: &str = "IMAP4rev1 STARTTLS LOGINDISABLED LITERAL+ ID";

/// Under TLS, not authenticated.
pub(super) fn before_login(mechanisms: &[Mechanism]) -> String {
    let mut list = String::from("IMAP4rev1 LOGINDISABLED SASL-IR LITERAL+ ID");
    for mechanism in mechanisms {
        // Writing to a string cannot fail.
        let _ = write!(list, " AUTH={}", mechanism.name());
    }
    list
}

/// Authenticated; `append_limit` in octets.
pub(super) fn after_login(append_limit: u64) -> String {
    format!(
        "IMAP4rev1 LITERAL+ ID IDLE NAMESPACE UIDPLUS MOVE UNSELECT ENABLE SPECIAL-USE CREATE-SPECIAL-USE CHILDREN ESEARCH \
         LIST-EXTENDED LIST-STATUS STATUS=SIZE APPENDLIMIT={append_limit}"
    )
}
