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

/// What to do, in French and in English.
pub type Remedy = (&'static str, &'static str);

/// All that is told of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Stable and unique in the library, e.g. `login.session-over`.
    pub code: &'static str,
    /// Who can do something about it.
    pub fault: Fault,
    /// Whether the same call may succeed later without anybody doing anything.
    pub temporary: bool,
    /// What happened, in French; `Display` says it in English.
    pub french: String,
    /// What to do, one sentence.
    pub remedy: Remedy,
}

impl Told {
    /// Of an error that stays until somebody does something.
    #[must_use]
    pub fn new(code: &'static str, fault: Fault, french: impl Into<String>, remedy: Remedy) -> Self {
        Told { code, fault, temporary: false, french: french.into(), remedy }
    }

    /// It may pass by itself.
    #[must_use]
    pub fn passing(self) -> Self {
        Told { temporary: true, ..self }
    }

    /// It may pass by itself when that is so, or when that was told already.
    #[must_use]
    pub fn passing_if(self, passes: bool) -> Self {
        Told { temporary: self.temporary || passes, ..self }
    }
}

/// An error that can be shown. `Display` is the English message. An error has one table, [`Explain::told`]; the rest follows from it.
pub trait Explain: Error {
    /// All that is told of it.
    fn told(&self) -> Told;

    /// Stable and unique in the library, e.g. `login.session-over`. Host programs decide by it, never by a text.
    fn code(&self) -> &'static str {
        self.told().code
    }

    /// Who can do something about it.
    fn fault(&self) -> Fault {
        self.told().fault
    }

    /// Whether the same call may succeed later without anybody doing anything.
    fn is_temporary(&self) -> bool {
        self.told().temporary
    }

    /// What happened, one sentence.
    fn message(&self, language: Language) -> String {
        match language {
            Language::French => self.told().french,
            Language::English => self.to_string(),
        }
    }

    /// What to do, one sentence.
    fn remedy(&self, language: Language) -> String {
        let (french, english) = self.told().remedy;
        language.pick(french, english).to_owned()
    }
}
