//! The envelope: `MAIL` and `RCPT` with their parameters (RFC 5321, 1870, 6152, 3461, 6531, 4954), for both sides.
//!
//! Every text here can be put back on a command line as it is: none holds a space, a control character or `>` outside a
//! quoted string. [`ReversePath`], [`ForwardPath`], [`Notify`], [`Ret`], [`Orcpt`] and [`Xtext`] have `Display` and
//! `FromStr` that are each other's inverse, so that a queue can keep them as text.

use std::fmt;
use std::str::FromStr;

use mail::report::{encode_xtext, is_address_type, xtext_octets};
use mssante::Address;

use crate::command::path::{self, PathError};

/// Longest ENVID and longest ORCPT address, encoded. RFC 3461 §4.4 gives ENVID 100 characters; §4.2 gives ORCPT 500.
const MAX_XTEXT: usize = 500;
/// RFC 3461 §4.4.
pub(crate) const MAX_ENVID: usize = 100;
/// Longest address type of ORCPT: those registered (`rfc822`, `utf-8`, `x400`, `unknown`) are far shorter.
const MAX_ADDRESS_TYPE: usize = 32;

/// A text that is not what its type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0}")]
pub struct Invalid(pub &'static str);

/// Who sends: the `MAIL FROM` path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReversePath {
    /// `<>`: a notice that nobody answers (RFC 5321 §4.5.5).
    Null,
    /// An address of the form used in the trust space.
    Address(Address),
    /// Another valid mailbox (quoted local part, literal, non-ASCII, single-label domain), as written.
    Other(String),
}

impl ReversePath {
    /// The address, when it has the form used in the trust space.
    #[must_use]
    pub fn address(&self) -> Option<&Address> {
        match self {
            ReversePath::Address(address) => Some(address),
            ReversePath::Null | ReversePath::Other(_) => None,
        }
    }
}

/// Without angle brackets; empty for the null path.
impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReversePath::Null => Ok(()),
            ReversePath::Address(address) => address.fmt(f),
            ReversePath::Other(text) => f.write_str(text),
        }
    }
}

impl FromStr for ReversePath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Ok(ReversePath::Null);
        }
        path::check_mailbox(text)?;
        Ok(match text.parse() {
            Ok(address) => ReversePath::Address(address),
            Err(_) => ReversePath::Other(text.to_owned()),
        })
    }
}

impl From<Address> for ReversePath {
    fn from(address: Address) -> Self {
        ReversePath::Address(address)
    }
}

/// Who receives: the `RCPT TO` path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardPath {
    /// `<postmaster>` without domain (RFC 5321 §4.5.1).
    Postmaster,
    /// An address of the form used in the trust space.
    Address(Address),
    /// Another valid mailbox, as written; see [`ReversePath::Other`].
    Other(String),
}

impl ForwardPath {
    /// The address, when it has the form used in the trust space.
    #[must_use]
    pub fn address(&self) -> Option<&Address> {
        match self {
            ForwardPath::Address(address) => Some(address),
            ForwardPath::Postmaster | ForwardPath::Other(_) => None,
        }
    }
}

/// Without angle brackets.
impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForwardPath::Postmaster => f.write_str("postmaster"),
            ForwardPath::Address(address) => address.fmt(f),
            ForwardPath::Other(text) => f.write_str(text),
        }
    }
}

impl FromStr for ForwardPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        if text.eq_ignore_ascii_case("postmaster") {
            return Ok(ForwardPath::Postmaster);
        }
        path::check_mailbox(text)?;
        Ok(match text.parse() {
            Ok(address) => ForwardPath::Address(address),
            Err(_) => ForwardPath::Other(text.to_owned()),
        })
    }
}

impl From<Address> for ForwardPath {
    fn from(address: Address) -> Self {
        ForwardPath::Address(address)
    }
}

/// `BODY=` (RFC 6152). BINARYMIME is not offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BodyType {
    /// `7BIT`, or nothing said.
    #[default]
    SevenBit,
    /// `8BITMIME`.
    EightBit,
}

/// `RET=`: how much of the message a failure notice gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// `FULL`.
    Full,
    /// `HDRS`.
    Headers,
}

impl fmt::Display for Ret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ret::Full => "FULL",
            Ret::Headers => "HDRS",
        })
    }
}

impl FromStr for Ret {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match () {
            () if text.eq_ignore_ascii_case("FULL") => Ok(Ret::Full),
            () if text.eq_ignore_ascii_case("HDRS") => Ok(Ret::Headers),
            () => Err(Invalid("RET")),
        }
    }
}

/// `NOTIFY=`: when the sender wants a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// `NEVER`.
    Never,
    /// At least one of the three.
    When {
        /// `SUCCESS`.
        success: bool,
        /// `FAILURE`.
        failure: bool,
        /// `DELAY`.
        delay: bool,
    },
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Notify::Never => f.write_str("NEVER"),
            Notify::When { success, failure, delay } => {
                let words = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")];
                let mut first = true;
                for (_, word) in words.into_iter().filter(|(wanted, _)| *wanted) {
                    f.write_str(if first { "" } else { "," })?;
                    f.write_str(word)?;
                    first = false;
                }
                Ok(())
            }
        }
    }
}

impl FromStr for Notify {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.eq_ignore_ascii_case("NEVER") {
            return Ok(Notify::Never);
        }
        let (mut success, mut failure, mut delay) = (false, false, false);
        for word in text.split(',') {
            let flag = match () {
                () if word.eq_ignore_ascii_case("SUCCESS") => &mut success,
                () if word.eq_ignore_ascii_case("FAILURE") => &mut failure,
                () if word.eq_ignore_ascii_case("DELAY") => &mut delay,
                () => return Err(Invalid("NOTIFY")),
            };
            if std::mem::replace(flag, true) {
                return Err(Invalid("NOTIFY"));
            }
        }
        Ok(Notify::When { success, failure, delay })
    }
}

/// Text encoded as RFC 3461 §4 says: printable ASCII but `+` and `=`, anything else as `+XX`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Xtext(String);

impl Xtext {
    /// Encodes; `None` when the result would be over 500 characters.
    #[must_use]
    pub fn encode(text: &str) -> Option<Self> {
        let out = encode_xtext(text);
        (out.len() <= MAX_XTEXT).then_some(Self(out))
    }

    /// What it says; octets that are not UTF-8 are replaced. May hold control characters: not to be written as is.
    #[must_use]
    pub fn decode(&self) -> String {
        // It was seen to be xtext when it was made.
        String::from_utf8_lossy(&xtext_octets(&self.0).unwrap_or_default()).into_owned()
    }

    /// As encoded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Xtext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Xtext {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let ok = (1..=MAX_XTEXT).contains(&text.len()) && xtext_octets(text).is_some();
        if ok { Ok(Self(text.to_owned())) } else { Err(Invalid("xtext")) }
    }
}

/// `ORCPT=`: whom the sender first wrote to, as `type;xtext`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orcpt {
    kind: String,
    address: Xtext,
}

impl Orcpt {
    /// `rfc822;` and the address.
    #[must_use]
    pub fn rfc822(address: &Address) -> Self {
        // An address has at most 254 octets, of which the local part's 64 may be encoded in three each.
        let address = Xtext::encode(&address.to_string()).expect("an address fits in an xtext");
        Self { kind: "rfc822".to_owned(), address }
    }

    /// The address type, e.g. `rfc822`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> &Xtext {
        &self.address
    }
}

impl fmt::Display for Orcpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};{}", self.kind, self.address)
    }
}

impl FromStr for Orcpt {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (kind, address) = text.split_once(';').ok_or(Invalid("ORCPT"))?;
        let kind_ok = kind.len() <= MAX_ADDRESS_TYPE && is_address_type(kind);
        if !kind_ok {
            return Err(Invalid("ORCPT"));
        }
        Ok(Self { kind: kind.to_owned(), address: address.parse()? })
    }
}

/// `MAIL FROM`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailFrom {
    /// Who.
    pub path: ReversePath,
    /// `SIZE=`: octets announced (RFC 1870). The server has already refused more than its limit.
    pub size: Option<u64>,
    /// `BODY=`.
    pub body: BodyType,
    /// `SMTPUTF8`.
    pub smtputf8: bool,
    /// `RET=`.
    pub ret: Option<Ret>,
    /// `ENVID=`.
    pub envid: Option<Xtext>,
    /// `AUTH=`: who the sender says the first submitter was (RFC 4954 §5). Proves nothing; never passed on.
    pub auth: Option<Xtext>,
}

impl MailFrom {
    /// Without any parameter.
    #[must_use]
    pub fn new(path: ReversePath) -> Self {
        Self { path, size: None, body: BodyType::default(), smtputf8: false, ret: None, envid: None, auth: None }
    }
}

/// `RCPT TO`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rcpt {
    /// Who.
    pub path: ForwardPath,
    /// `NOTIFY=`.
    pub notify: Option<Notify>,
    /// `ORCPT=`.
    pub orcpt: Option<Orcpt>,
}

impl Rcpt {
    /// Without any parameter.
    #[must_use]
    pub fn new(path: ForwardPath) -> Self {
        Self { path, notify: None, orcpt: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn notify_is_never_or_a_set() {
        for text in ["NEVER", "SUCCESS", "FAILURE,DELAY", "SUCCESS,FAILURE,DELAY"] {
            assert_eq!(text.parse::<Notify>().expect(text).to_string(), text);
        }
        for text in ["", "NEVER,DELAY", "SUCCESS,", "SUCCESS,SUCCESS", "ALWAYS"] {
            assert!(text.parse::<Notify>().is_err(), "{text}");
        }
    }

    #[test]
    fn xtext_refuses_what_could_break_a_line() {
        for text in ["", "a b", "a=b", "a+4", "a+zz", "a+4a", "é", "a\r\nb"] {
            assert!(text.parse::<Xtext>().is_err(), "{text:?}");
        }
        assert_eq!("a+2Bb".parse::<Xtext>().expect("valid").decode(), "a+b");
    }

    #[test]
    fn paths_keep_what_the_trust_space_does_not_use() {
        assert_eq!("".parse::<ReversePath>(), Ok(ReversePath::Null));
        assert!(matches!("a@b.fr".parse(), Ok(ReversePath::Address(_))));
        assert!(matches!("\"a b\"@b.fr".parse(), Ok(ReversePath::Other(_))));
        assert!(matches!("PostMaster".parse(), Ok(ForwardPath::Postmaster)));
        assert!("a@b>c".parse::<ForwardPath>().is_err());
    }

    proptest! {
        #[test]
        fn xtext_round_trip(text in "\\PC{1,100}") {
            if let Some(encoded) = Xtext::encode(&text) {
                prop_assert_eq!(encoded.decode(), text);
                prop_assert_eq!(encoded.as_str().parse::<Xtext>().expect("valid"), encoded);
            }
        }

        #[test]
        fn texts_of_any_kind_never_panic(text in "\\PC{0,80}") {
            for word in [text.clone(), format!("rfc822;{text}")] {
                if let Ok(orcpt) = word.parse::<Orcpt>() {
                    prop_assert_eq!(orcpt.to_string(), word);
                }
            }
            let _ = text.parse::<Notify>();
            let _ = text.parse::<ReversePath>();
        }
    }
}
