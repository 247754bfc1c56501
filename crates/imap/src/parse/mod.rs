//! From octets to commands, second stage: the grammar of RFC 3501 §9 and of the extensions served.
//!
//! Takes what [`wire`](crate::wire) gathered: one command, its literals inside, no final CRLF.
//!
//! Invariants:
//! * no input panics, nests deeper than [`MAX_DEPTH`] or makes lists longer than the limits below;
//! * an error names what was expected and never repeats what was received, which may be a secret (LPS-NOPLAIN);
//! * keywords are read in any case; NUL, a lone CR and a lone LF are refused everywhere.

mod acl;
#[cfg(test)]
mod administer_tests;
mod append;
mod cursor;
mod fetch;
mod folder;
mod list;
mod metadata;
mod modifiers;
mod notify;
mod order;
mod quota;
#[cfg(test)]
mod robust;
mod search;
#[cfg(test)]
mod tests;

use zeroize::Zeroizing;

use crate::backend::FlagOperation;
use crate::command::{Command, Numbers, Tagged};
use crate::wire;
pub use append::append_more;
use cursor::Cursor;

/// Deepest nesting of search keys (parentheses, NOT, OR): clients chain ORs for a dozen addresses; bounds the stack.
pub const MAX_DEPTH: usize = 64;
/// Most keys in one SEARCH: bounds the work per message.
pub const MAX_KEYS: usize = 1000;
/// Most items in one FETCH.
pub const MAX_ITEMS: usize = 100;
/// Most field names in one HEADER.FIELDS: more than any client asks for.
pub const MAX_FIELDS: usize = 200;
/// Most flags in one list: all that a folder can know ([`mail::Keywords::MAX`]) and the system flags, twice.
pub const MAX_FLAGS: usize = 128;
/// Longest path of part numbers: deeper than any structure kept.
pub const MAX_PARTS: usize = 100;
/// Most patterns in one LIST.
pub const MAX_PATTERNS: usize = 50;
/// Most messages and parts of CATENATE between two literals of an APPEND: bounds what is read before any of it is done.
pub const MAX_APPEND_PARTS: usize = 200;
/// Most words in a list of options, capabilities or attributes.
pub const MAX_WORDS: usize = 50;
/// Most pairs in ID (RFC 2971 §3.3).
pub const MAX_ID_PAIRS: usize = 30;
/// Octets kept of a value of ID: it is only for the log.
pub const MAX_ID_KEPT: usize = 64;
/// Longest initial response of AUTHENTICATE, in octets of base64.
pub const MAX_INITIAL: usize = wire::MAX_RAW_LINE;

/// A command that was not understood: `BAD`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct ParseError {
    /// The tag to answer with; `None` when there was none that can be read.
    pub tag: Option<String>,
    /// What is wrong; its text is for the client.
    pub kind: ErrorKind,
}

/// What is wrong with a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// Something else should stand there.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A list is longer than its limit.
    #[error("too many {0}")]
    TooMany(&'static str),
    /// Deeper than [`MAX_DEPTH`].
    #[error("search keys are nested too deeply")]
    TooDeep,
    /// No such command.
    #[error("unknown command")]
    UnknownCommand,
}

type Parsed<T> = Result<T, ErrorKind>;

/// Reads a command.
///
/// `RETURN ()` of SEARCH is given as `ALL`; NEW as RECENT, since nothing is ever recent; a name that is not modified UTF-7
/// as [`FolderNameError::Forbidden`](mail::folder::FolderNameError); names of ENABLE, mechanisms and charsets in capitals.
///
/// # Errors
/// What was expected, with the tag as soon as it is known.
pub fn parse(command: &[u8]) -> Result<Tagged, ParseError> {
    parse_as(command, Names::Utf7)
}

/// How the client writes the names of folders.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Names {
    /// In modified UTF-7 (RFC 3501 §5.1.3); UTF-8 is understood where it cannot be taken for that.
    Utf7,
    /// In UTF-8, `&` being an ampersand (RFC 6855 §3, RFC 9051 §5.1).
    Utf8,
}

/// Reads a command of a client that writes names so.
///
/// # Errors
/// Those of [`parse`].
pub fn parse_as(command: &[u8], names: Names) -> Result<Tagged, ParseError> {
    let Some(tag) = wire::tag(command) else {
        return Err(ParseError { tag: None, kind: ErrorKind::Expected("a tag") });
    };
    let mut cursor = Cursor::new(command, names);
    cursor.skip(tag.len());
    match body(&mut cursor) {
        Ok(command) => Ok(Tagged { tag, command }),
        Err(kind) => Err(ParseError { tag: Some(tag), kind }),
    }
}

fn body(c: &mut Cursor<'_>) -> Parsed<Command> {
    c.space()?;
    let word = c.atom("a command")?.to_ascii_uppercase();
    let command = match word.as_str() {
        "CAPABILITY" => Command::Capability,
        "NOOP" => Command::Noop,
        "LOGOUT" => Command::Logout,
        "STARTTLS" => Command::StartTls,
        "AUTHENTICATE" => authenticate(c)?,
        // Refused whatever follows, which is not even looked at.
        "LOGIN" => return Ok(Command::Login),
        "ENABLE" => enable(c)?,
        "ID" => id(c)?,
        "NAMESPACE" => Command::Namespace,
        "SELECT" => select(c, false)?,
        "EXAMINE" => select(c, true)?,
        "UNSELECT" => Command::Unselect,
        "CLOSE" => Command::Close,
        "CHECK" => Command::Check,
        "CREATE" => folder::create(c)?,
        "DELETE" => Command::Delete(c.space_name()?),
        "RENAME" => Command::Rename { from: c.space_name()?, to: c.space_name()? },
        "SUBSCRIBE" => Command::Subscribe(c.space_name()?),
        "UNSUBSCRIBE" => Command::Unsubscribe(c.space_name()?),
        "LIST" => Command::List(list::list(c)?),
        "LSUB" => list::lsub(c)?,
        "STATUS" => folder::status(c)?,
        "APPEND" => Command::Append(append::append(c)?),
        "COMPRESS" => compress(c)?,
        "IDLE" => Command::Idle,
        "NOTIFY" => notify::notify(c)?,
        "UNAUTHENTICATE" => Command::Unauthenticate,
        "SETACL" | "DELETEACL" | "GETACL" | "LISTRIGHTS" | "MYRIGHTS" => acl::command(c, &word)?,
        "GETQUOTA" | "GETQUOTAROOT" | "SETQUOTA" => quota::command(c, &word)?,
        "GETMETADATA" => metadata::get(c)?,
        "SETMETADATA" => metadata::set(c)?,
        "EXPUNGE" => Command::Expunge(None),
        "UID" => {
            c.space()?;
            let word = c.atom("a command after UID")?.to_ascii_uppercase();
            match word.as_str() {
                "EXPUNGE" => {
                    c.space()?;
                    Command::Expunge(Some(c.sequence_set()?))
                }
                other => numbered(c, other, Numbers::Uid)?,
            }
        }
        other => numbered(c, other, Numbers::Sequence)?,
    };
    c.end()?;
    Ok(command)
}

/// The commands that UID may precede.
fn numbered(c: &mut Cursor<'_>, word: &str, numbers: Numbers) -> Parsed<Command> {
    match word {
        "SEARCH" => search::search(c, numbers),
        "SORT" => order::sort(c, numbers),
        "THREAD" => order::thread(c, numbers),
        "FETCH" => fetch::fetch(c, numbers),
        "STORE" => store(c, numbers),
        "REPLACE" => append::replace(c, numbers),
        "COPY" => {
            c.space()?;
            Ok(Command::Copy { numbers, set: c.sequence_set()?, to: c.space_name()? })
        }
        "MOVE" => {
            c.space()?;
            Ok(Command::Move { numbers, set: c.sequence_set()?, to: c.space_name()? })
        }
        _ if numbers == Numbers::Uid => {
            Err(ErrorKind::Expected("COPY, EXPUNGE, FETCH, MOVE, REPLACE, SEARCH, SORT, STORE or THREAD after UID"))
        }
        _ => Err(ErrorKind::UnknownCommand),
    }
}

/// `COMPRESS SP "DEFLATE"` (RFC 4978): there is no other algorithm.
fn compress(c: &mut Cursor<'_>) -> Parsed<Command> {
    c.space()?;
    if c.eat_word("DEFLATE") { Ok(Command::Compress) } else { Err(ErrorKind::Expected("DEFLATE")) }
}

/// The section of a message that a URL or a client names between brackets.
pub(crate) fn section(text: &[u8]) -> Option<crate::command::Section> {
    let mut cursor = Cursor::new(text, Names::Utf7);
    let section = fetch::section(&mut cursor).ok()?;
    cursor.at_end().then_some(section)
}

/// `AUTHENTICATE SP mechanism [SP initial]` (RFC 3501 §6.2.2, RFC 4959).
fn authenticate(c: &mut Cursor<'_>) -> Parsed<Command> {
    c.space()?;
    let mechanism = c.atom("a SASL mechanism")?.to_ascii_uppercase();
    if !c.eat(b' ') {
        return Ok(Command::Authenticate { mechanism, initial: None });
    }
    let initial = c.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='));
    if initial.is_empty() {
        return Err(ErrorKind::Expected("an initial response in base64"));
    }
    if initial.len() > MAX_INITIAL {
        return Err(ErrorKind::Expected("a shorter initial response"));
    }
    Ok(Command::Authenticate { mechanism, initial: Some(Zeroizing::new(initial.to_owned())) })
}

/// `SELECT SP mailbox [SP "(" modifiers ")"]` (RFC 3501 §6.3.1, RFC 4466 §2.4).
fn select(c: &mut Cursor<'_>, read_only: bool) -> Parsed<Command> {
    Ok(Command::Select { folder: c.space_name()?, read_only, modifiers: modifiers::select(c)? })
}

/// `ENABLE 1*(SP capability)` (RFC 5161).
fn enable(c: &mut Cursor<'_>) -> Parsed<Command> {
    let mut names = Vec::new();
    loop {
        c.space()?;
        if names.len() == MAX_WORDS {
            return Err(ErrorKind::TooMany("capabilities"));
        }
        names.push(c.atom("a capability")?.to_ascii_uppercase());
        if c.at_end() {
            return Ok(Command::Enable(names));
        }
    }
}

/// `ID SP (NIL / "(" [string SP nstring *(…)] ")")` (RFC 2971); only the name and version of the client are kept.
fn id(c: &mut Cursor<'_>) -> Parsed<Command> {
    const WHAT: &str = "NIL or a list of strings";
    c.space()?;
    if c.eat_word("NIL") {
        return Ok(Command::Id(Vec::new()));
    }
    let mut kept = Vec::new();
    c.list(WHAT, MAX_ID_PAIRS, "ID fields", |c| {
        let field = c.string(WHAT)?.to_ascii_lowercase();
        c.space()?;
        let value = if c.eat_word("NIL") { None } else { Some(c.string(WHAT)?) };
        let name = match field.as_slice() {
            b"name" => "name",
            b"version" => "version",
            _ => return Ok(()),
        };
        kept.push((name.to_owned(), value.map(|v| printable(&v))));
        Ok(())
    })?;
    Ok(Command::Id(kept))
}

/// What can be shown of a value the client made up.
fn printable(value: &[u8]) -> String {
    value.iter().take(MAX_ID_KEPT).map(|b| if (b' '..=b'~').contains(b) { char::from(*b) } else { '?' }).collect()
}

/// `STORE SP set SP ["(" modifiers ")" SP] ["+" / "-"] "FLAGS" [".SILENT"] SP flags` (RFC 3501 §6.4.6).
fn store(c: &mut Cursor<'_>, numbers: Numbers) -> Parsed<Command> {
    const WHAT: &str = "FLAGS, +FLAGS or -FLAGS";
    c.space()?;
    let set = c.sequence_set()?;
    c.space()?;
    let modifiers = modifiers::store(c)?;
    let how = if c.eat(b'+') {
        FlagOperation::Add
    } else if c.eat(b'-') {
        FlagOperation::Remove
    } else {
        FlagOperation::Replace
    };
    let silent = match c.atom(WHAT)?.to_ascii_uppercase().as_str() {
        "FLAGS" => false,
        "FLAGS.SILENT" => true,
        _ => return Err(ErrorKind::Expected(WHAT)),
    };
    c.space()?;
    let flags = if c.peek() == Some(b'(') {
        c.flag_list()?
    } else {
        let mut flags = vec![c.flag()?];
        while c.eat(b' ') {
            if flags.len() == MAX_FLAGS {
                return Err(ErrorKind::TooMany("flags"));
            }
            flags.push(c.flag()?);
        }
        flags
    };
    Ok(Command::Store { numbers, set, how, silent, flags, modifiers })
}
