//! The grammar of commands: RFC 5321 §4.1.1 and its extensions, one line without its CRLF.
//!
//! Written here rather than taken from `smtp-proto`, which serves as a second opinion in the tests: that parser skips CR,
//! lets control characters through, gives the same value for `<>` and `<postmaster>`, and for no and an empty initial
//! response. Tolerated beyond the grammar: spaces after `FROM:` and `TO:` and at the end of a line, and source routes
//! (dropped, as RFC 5321 appendix C says).

pub mod path;

use mssante::Address;
use zeroize::Zeroizing;

use crate::envelope::{BodyType, ForwardPath, MAX_ENVID, MailFrom, Rcpt, ReversePath};
use crate::reply::Reply;

use path::PathError;

/// Longest EHLO name: a domain (RFC 1035 §2.3.4).
const MAX_NAME: usize = 255;
/// Longest SASL mechanism name (RFC 4422 §3.1).
const MAX_MECHANISM: usize = 20;
/// More digits than this are no size anyone means (RFC 1870 §3 has 20; 18 always fit in 64 bits).
const MAX_DIGITS: usize = 18;

/// A command.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// `EHLO` with its name.
    Ehlo(String),
    /// `HELO` with its name.
    Helo(String),
    /// `STARTTLS`.
    StartTls,
    /// `AUTH`.
    Auth {
        /// Mechanism, in capitals.
        mechanism: String,
        /// Initial response, still base64; `=` is an empty one.
        initial: Option<Zeroizing<Vec<u8>>>,
    },
    /// `MAIL FROM`.
    Mail(MailFrom),
    /// `RCPT TO`.
    Rcpt(Rcpt),
    /// `DATA`.
    Data,
    /// `BDAT`.
    Bdat {
        /// Octets that follow.
        size: u64,
        /// The last chunk.
        last: bool,
    },
    /// `RSET`.
    Rset,
    /// `NOOP`.
    Noop,
    /// `VRFY`.
    Vrfy,
    /// `HELP`.
    Help,
    /// `QUIT`.
    Quit,
    /// One that exists and that we do not have: `EXPN`, `ETRN`, `TURN`, `SEND`, `BURL`…
    Unimplemented,
}

/// Why a line is not a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such verb.
    #[error("no such command")]
    Unknown,
    /// Control characters, or octets that are not UTF-8.
    #[error("forbidden characters")]
    Characters,
    /// Arguments of the wrong form.
    #[error("wrong arguments")]
    Syntax,
    /// The address of `MAIL`.
    #[error("bad sender address")]
    Sender,
    /// The address of `RCPT`.
    #[error("bad recipient address")]
    Recipient,
    /// A known parameter with a bad value, or twice.
    #[error("bad parameter")]
    Parameter,
    /// An unknown parameter.
    #[error("unknown parameter")]
    UnknownParameter,
    /// A non-ASCII sender without `SMTPUTF8`.
    #[error("SMTPUTF8 needed")]
    Utf8,
}

impl CommandError {
    /// What the client is told.
    #[must_use]
    pub fn reply(self) -> Reply {
        match self {
            CommandError::Unknown => Reply::UNKNOWN_COMMAND,
            CommandError::Characters => Reply::BAD_CHARACTERS,
            CommandError::Syntax => Reply::BAD_SYNTAX,
            CommandError::Sender => Reply::BAD_SENDER,
            CommandError::Recipient => Reply::BAD_RECIPIENT,
            CommandError::Parameter => Reply::BAD_PARAMETER,
            CommandError::UnknownParameter => Reply::UNKNOWN_PARAMETER,
            CommandError::Utf8 => Reply::SMTPUTF8_NEEDED,
        }
    }
}

/// Reads a line, without its CRLF.
///
/// # Errors
/// [`CommandError`].
pub fn parse(line: &[u8]) -> Result<Command, CommandError> {
    if line.iter().any(|b| b.is_ascii_control()) {
        return Err(CommandError::Characters);
    }
    let line = std::str::from_utf8(line).map_err(|_| CommandError::Characters)?;
    let line = line.trim_end_matches(' ');
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = rest.trim_start_matches(' ');
    let alone = |command| if rest.is_empty() { Ok(command) } else { Err(CommandError::Syntax) };
    match verb.to_ascii_uppercase().as_str() {
        "EHLO" => Ok(Command::Ehlo(name(rest)?)),
        "HELO" => Ok(Command::Helo(name(rest)?)),
        "STARTTLS" if faults::is_on(faults::Fault::StartTlsParameter) => Ok(Command::StartTls),
        "STARTTLS" => alone(Command::StartTls),
        "AUTH" => auth(rest),
        "MAIL" => mail(rest),
        "RCPT" => rcpt(rest),
        "DATA" => alone(Command::Data),
        "BDAT" => bdat(rest),
        "RSET" => alone(Command::Rset),
        "NOOP" => Ok(Command::Noop),
        "VRFY" if rest.is_empty() => Err(CommandError::Syntax),
        "VRFY" => Ok(Command::Vrfy),
        "HELP" => Ok(Command::Help),
        "QUIT" => alone(Command::Quit),
        "EXPN" | "ETRN" | "ATRN" | "TURN" | "SEND" | "SOML" | "SAML" | "BURL" => Ok(Command::Unimplemented),
        _ => Err(CommandError::Unknown),
    }
}

/// The name of EHLO: it will stand in a Received field, so it has nothing but the characters of names and literals.
/// Underscores are tolerated, since machines have them.
fn name(rest: &str) -> Result<String, CommandError> {
    let ok = (1..=MAX_NAME).contains(&rest.len())
        && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
    if ok { Ok(rest.to_owned()) } else { Err(CommandError::Syntax) }
}

fn auth(rest: &str) -> Result<Command, CommandError> {
    let (mechanism, initial) = match rest.split_once(' ') {
        Some((mechanism, initial)) => (mechanism, Some(initial.trim_start_matches(' '))),
        None => (rest, None),
    };
    let mechanism_ok = (1..=MAX_MECHANISM).contains(&mechanism.len())
        && mechanism.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !mechanism_ok || initial.is_some_and(|i| i.contains(' ')) {
        return Err(CommandError::Syntax);
    }
    Ok(Command::Auth {
        mechanism: mechanism.to_ascii_uppercase(),
        initial: initial.map(|i| Zeroizing::new(i.as_bytes().to_vec())),
    })
}

fn bdat(rest: &str) -> Result<Command, CommandError> {
    let (size, last) = match rest.split_once(' ') {
        Some((size, word)) if word.trim_start_matches(' ').eq_ignore_ascii_case("LAST") => (size, true),
        Some(_) => return Err(CommandError::Syntax),
        None => (rest, false),
    };
    Ok(Command::Bdat { size: number(size).ok_or(CommandError::Syntax)?, last })
}

fn number(text: &str) -> Option<u64> {
    let ok = (1..=MAX_DIGITS).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if ok { text.parse().ok() } else { None }
}

/// Takes `FROM:<path>` or `TO:<path>` off: the path without brackets and route, and the parameters.
fn take_path<'a>(rest: &'a str, word: &str, bad: CommandError) -> Result<(&'a str, &'a str), CommandError> {
    let after = rest
        .get(..word.len())
        .filter(|head| head.eq_ignore_ascii_case(word))
        .map(|head| rest[head.len()..].trim_start_matches(' '))
        .ok_or(CommandError::Syntax)?;
    let (path, tail) = path::take(after).map_err(|_| bad)?;
    if !(tail.is_empty() || tail.starts_with(' ')) {
        return Err(bad);
    }
    Ok((path, tail.trim_start_matches(' ')))
}

/// Sets a parameter that may come once.
fn once<T>(slot: &mut Option<T>, value: Option<T>) -> Result<(), CommandError> {
    match value {
        Some(value) if slot.is_none() => {
            *slot = Some(value);
            Ok(())
        }
        _ => Err(CommandError::Parameter),
    }
}

fn parameters(text: &str) -> impl Iterator<Item = (String, Option<&str>)> {
    text.split(' ').filter(|word| !word.is_empty()).map(|word| match word.split_once('=') {
        Some((key, value)) => (key.to_ascii_uppercase(), Some(value)),
        None => (word.to_ascii_uppercase(), None),
    })
}

fn mail(rest: &str) -> Result<Command, CommandError> {
    let (path, tail) = take_path(rest, "FROM:", CommandError::Sender)?;
    let path: ReversePath = path.parse().map_err(|PathError| CommandError::Sender)?;
    let mut from = MailFrom::new(path);
    let (mut body, mut utf8) = (None, None);
    for (key, value) in parameters(tail) {
        match key.as_str() {
            "SIZE" => once(&mut from.size, value.and_then(number))?,
            "BODY" => once(&mut body, value.and_then(body_type))?,
            "SMTPUTF8" => once(&mut utf8, value.is_none().then_some(()))?,
            "RET" => once(&mut from.ret, value.and_then(|v| v.parse().ok()))?,
            "ENVID" => {
                once(&mut from.envid, value.filter(|v| v.len() <= MAX_ENVID).and_then(|v| v.parse().ok()))?;
            }
            "AUTH" => once(&mut from.auth, value.and_then(|v| v.parse().ok()))?,
            _ => return Err(CommandError::UnknownParameter),
        }
    }
    from.body = body.unwrap_or_default();
    from.smtputf8 = utf8.is_some();
    if !from.smtputf8 && matches!(&from.path, ReversePath::Other(text) if !text.is_ascii()) {
        return Err(CommandError::Utf8);
    }
    Ok(Command::Mail(from))
}

fn body_type(value: &str) -> Option<BodyType> {
    match () {
        () if value.eq_ignore_ascii_case("7BIT") => Some(BodyType::SevenBit),
        () if value.eq_ignore_ascii_case("8BITMIME") => Some(BodyType::EightBit),
        // BINARYMIME is not offered.
        () => None,
    }
}

fn rcpt(rest: &str) -> Result<Command, CommandError> {
    let (path, tail) = take_path(rest, "TO:", CommandError::Recipient)?;
    let path: ForwardPath = path.parse().map_err(|PathError| CommandError::Recipient)?;
    let mut to = Rcpt::new(path);
    for (key, value) in parameters(tail) {
        match key.as_str() {
            "NOTIFY" => once(&mut to.notify, value.and_then(|v| v.parse().ok()))?,
            "ORCPT" => once(&mut to.orcpt, value.and_then(|v| v.parse().ok()))?,
            _ => return Err(CommandError::UnknownParameter),
        }
    }
    Ok(Command::Rcpt(to))
}

/// `MAIL` as the client says it. Parameters the peer did not announce are the caller's business: it gives none.
pub(crate) fn write_mail(from: &MailFrom) -> String {
    let mut line = format!("MAIL FROM:<{}>", from.path);
    if let Some(size) = from.size {
        line.push_str(&format!(" SIZE={size}"));
    }
    if from.body == BodyType::EightBit {
        line.push_str(" BODY=8BITMIME");
    }
    if from.smtputf8 {
        line.push_str(" SMTPUTF8");
    }
    if let Some(ret) = from.ret {
        line.push_str(&format!(" RET={ret}"));
    }
    if let Some(envid) = &from.envid {
        line.push_str(&format!(" ENVID={envid}"));
    }
    line.push_str("\r\n");
    line
}

/// `RCPT` as the client says it.
pub(crate) fn write_rcpt(to: &Rcpt) -> String {
    let mut line = format!("RCPT TO:<{}>", to.path);
    if let Some(notify) = to.notify {
        line.push_str(&format!(" NOTIFY={notify}"));
    }
    if let Some(orcpt) = &to.orcpt {
        line.push_str(&format!(" ORCPT={orcpt}"));
    }
    line.push_str("\r\n");
    line
}

/// Whether an address needs SMTPUTF8.
pub(crate) fn needs_utf8(path: &ForwardPath) -> bool {
    match path {
        ForwardPath::Other(text) => !text.is_ascii(),
        ForwardPath::Postmaster => false,
        ForwardPath::Address(address) => {
            let _: &Address = address; // ASCII by its type
            false
        }
    }
}

#[cfg(test)]
mod tests;
