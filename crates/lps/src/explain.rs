//! What an error must tell a host program and its user: a stable code, whose fault it is, what happened and what to do, in
//! French and in English. ECO.1.2.3, ECO-ERR.
//!
//! Nothing of a message's content, no token and nobody's number stands in any of these texts.

use std::error::Error;

/// The language of a message for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// French, the trust space's.
    #[default]
    French,
    /// English.
    English,
}

impl Language {
    /// The one of the two texts that is in this language.
    #[must_use]
    pub fn pick<'a>(self, french: &'a str, english: &'a str) -> &'a str {
        match self {
            Language::French => french,
            Language::English => english,
        }
    }
}

/// Who can do something about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The program that uses this library: a wrong setting or call.
    Host,
    /// The person in front of it: no login, no right on the BAL.
    User,
    /// A document or value given: a CDA without INS, a wrong key.
    Document,
    /// The operator of the BAL.
    Operator,
    /// The recipient or their operator.
    Recipient,
    /// The way to the server: no name, no route, silence.
    Network,
    /// Pro Santé Connect.
    Psc,
    /// The Annuaire Santé.
    Directory,
    /// The trust space: certificates, revocation lists.
    Space,
}

impl Fault {
    /// Lower case, stable, for JSON.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Fault::Host => "host",
            Fault::User => "user",
            Fault::Document => "document",
            Fault::Operator => "operator",
            Fault::Recipient => "recipient",
            Fault::Network => "network",
            Fault::Psc => "psc",
            Fault::Directory => "directory",
            Fault::Space => "space",
        }
    }
}

/// An error that can be shown. `Display` is the English message.
pub trait Explain: Error {
    /// Stable and unique in the library, e.g. `login.session-over`. Host programs decide by it, never by a text.
    fn code(&self) -> &'static str;

    /// Who can do something about it.
    fn fault(&self) -> Fault;

    /// Whether the same call may succeed later without anybody doing anything.
    fn is_temporary(&self) -> bool;

    /// What happened, one sentence.
    fn message(&self, language: Language) -> String;

    /// What to do, one sentence.
    fn remedy(&self, language: Language) -> String;
}
