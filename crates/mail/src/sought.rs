//! A text sought in messages (RFC 3501 §6.4.4), as IMAP asks it and the search index answers it.
//!
//! What "contains" means is said once, by `search`: substrings, case and accents folded, of the decoded fields and of the
//! text of every part that has one.

/// Where a text is sought.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// In a header field, its name in lower case; an empty text asks whether the field is there (HEADER).
    Field(String),
    /// In the text of the message, header fields left out (BODY).
    Body,
    /// In the header or the text (TEXT).
    Text,
}

/// A text sought.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Sought {
    /// Where.
    pub place: Place,
    /// What, as the client gave it.
    pub text: String,
}
