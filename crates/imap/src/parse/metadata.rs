//! GETMETADATA and SETMETADATA (RFC 5464 §4.2, §4.3).

use super::cursor::Cursor;
use super::{ErrorKind, Parsed};
use crate::administration::EntryName;
use crate::command::{Administer, Command, Depth, Name};

/// Most entries named by one command: as many as a folder can have of both audiences.
const MAX_ENTRIES: usize = 100;

const ENTRY: &str = "an entry like /shared/comment or /private/comment";

/// `GETMETADATA [SP options] SP mailbox [SP options] SP entries`: the grammar of the RFC has the options before the mailbox,
/// its examples after; clients do either.
pub(super) fn get(c: &mut Cursor<'_>) -> Parsed<Command> {
    let mut options = Options { max_size: None, depth: Depth::Zero };
    c.space()?;
    if c.peek() == Some(b'(') {
        read_options(c, &mut options)?;
        c.space()?;
    }
    let of = mailbox(c)?;
    c.space()?;
    // An entry is an astring that begins with /, options are words.
    if matches!(c.rest(), [b'(', b'M' | b'm' | b'D' | b'd', ..]) {
        read_options(c, &mut options)?;
        c.space()?;
    }
    let mut entries = Vec::new();
    if c.peek() == Some(b'(') {
        c.list("a list of entries", MAX_ENTRIES, "entries", |c| {
            entries.push(entry(c)?);
            Ok(())
        })?;
        if entries.is_empty() {
            return Err(ErrorKind::Expected(ENTRY));
        }
    } else {
        entries.push(entry(c)?);
    }
    let Options { max_size, depth } = options;
    Ok(Command::Administer(Administer::GetMetadata { of, max_size, depth, entries }))
}

/// `SETMETADATA SP mailbox SP "(" entry SP value *(SP entry SP value) ")"`.
pub(super) fn set(c: &mut Cursor<'_>) -> Parsed<Command> {
    c.space()?;
    let of = mailbox(c)?;
    c.space()?;
    let mut changes = Vec::new();
    c.list("a list of entries and values", MAX_ENTRIES, "entries", |c| {
        let entry = entry(c)?;
        if entry.path().is_empty() {
            return Err(ErrorKind::Expected(ENTRY));
        }
        c.space()?;
        changes.push((entry, value(c)?));
        Ok(())
    })?;
    if changes.is_empty() {
        return Err(ErrorKind::Expected(ENTRY));
    }
    Ok(Command::Administer(Administer::SetMetadata { of, changes }))
}

struct Options {
    max_size: Option<u64>,
    depth: Depth,
}

fn read_options(c: &mut Cursor<'_>, options: &mut Options) -> Parsed<()> {
    const WHAT: &str = "MAXSIZE or DEPTH";
    c.list("options", 2, "options", |c| {
        match c.atom(WHAT)?.to_ascii_uppercase().as_str() {
            "MAXSIZE" => {
                c.space()?;
                options.max_size = Some(c.number(u64::MAX, "a number of octets")?);
            }
            "DEPTH" => {
                const DEPTHS: &str = "0, 1 or infinity";
                c.space()?;
                options.depth = match c.atom(DEPTHS)?.to_ascii_lowercase().as_str() {
                    "0" => Depth::Zero,
                    "1" => Depth::One,
                    "infinity" => Depth::Infinity,
                    _ => return Err(ErrorKind::Expected(DEPTHS)),
                };
            }
            _ => return Err(ErrorKind::Expected(WHAT)),
        }
        Ok(())
    })
}

/// A folder's name; an empty one is the mailbox itself.
fn mailbox(c: &mut Cursor<'_>) -> Parsed<Option<Name>> {
    if matches!(c.rest(), [b'"', b'"', b' ', ..]) {
        c.skip(2);
        return Ok(None);
    }
    c.name().map(Some)
}

fn entry(c: &mut Cursor<'_>) -> Parsed<EntryName> {
    EntryName::parse(&c.astring(ENTRY)?).ok_or(ErrorKind::Expected(ENTRY))
}

/// `value = nstring / literal8`; octets of a literal8 are held to what a literal may hold.
fn value(c: &mut Cursor<'_>) -> Parsed<Option<Vec<u8>>> {
    const WHAT: &str = "NIL or a string";
    if c.eat_word("NIL") {
        return Ok(None);
    }
    if c.eat(b'~') && c.peek() != Some(b'{') {
        return Err(ErrorKind::Expected(WHAT));
    }
    c.string(WHAT).map(|value| Some(value.into_owned()))
}
