//! CREATE, STATUS, APPEND.

use mail::date::parse_imap_date_time;

use super::cursor::Cursor;
use super::{ErrorKind, MAX_WORDS, Parsed};
use crate::command::{Append, Command, StatusItem};

/// Most STATUS items in one list: each of them some times over.
const MAX_STATUS: usize = 32;
/// Octets of `date-time` without its quotes.
const DATE_TIME: usize = 26;

/// `CREATE SP mailbox [SP "(" "USE" SP "(" [use *(SP use)] ")" ")"]` (RFC 3501 §6.3.3, RFC 6154 §3).
pub(super) fn create(c: &mut Cursor<'_>) -> Parsed<Command> {
    let folder = c.space_name()?;
    let mut special_use = Vec::new();
    if c.eat(b' ') {
        c.expect(b'(', "(USE (…))")?;
        if !c.eat_word("USE") {
            return Err(ErrorKind::Expected("USE"));
        }
        c.space()?;
        c.list("a list of special uses", MAX_WORDS, "special uses", |c| {
            if c.peek() != Some(b'\\') {
                return Err(ErrorKind::Expected("a special use"));
            }
            special_use.push(c.flag()?);
            Ok(())
        })?;
        c.expect(b')', ")")?;
    }
    Ok(Command::Create { folder, special_use })
}

/// `STATUS SP mailbox SP "(" item *(SP item) ")"` (RFC 3501 §6.3.10).
pub(super) fn status(c: &mut Cursor<'_>) -> Parsed<Command> {
    let folder = c.space_name()?;
    c.space()?;
    Ok(Command::Status { folder, items: status_items(c)? })
}

/// `"(" item *(SP item) ")"`.
pub(super) fn status_items(c: &mut Cursor<'_>) -> Parsed<Vec<StatusItem>> {
    const WHAT: &str = "a list of STATUS items";
    let mut items = Vec::new();
    c.list(WHAT, MAX_STATUS, "STATUS items", |c| {
        items.push(match c.atom("a STATUS item")?.to_ascii_uppercase().as_str() {
            "MESSAGES" => StatusItem::Messages,
            "RECENT" => StatusItem::Recent,
            "UIDNEXT" => StatusItem::UidNext,
            "UIDVALIDITY" => StatusItem::UidValidity,
            "UNSEEN" => StatusItem::Unseen,
            "DELETED" => StatusItem::Deleted,
            "SIZE" => StatusItem::Size,
            "HIGHESTMODSEQ" => StatusItem::HighestModSeq,
            "APPENDLIMIT" => StatusItem::AppendLimit,
            _ => return Err(ErrorKind::Expected("a STATUS item")),
        });
        Ok(())
    })?;
    if items.is_empty() { Err(ErrorKind::Expected(WHAT)) } else { Ok(items) }
}

/// `APPEND SP mailbox [SP flag-list] [SP date-time] SP {n}`, the message not there (RFC 3501 §6.3.11).
pub(super) fn append(c: &mut Cursor<'_>) -> Parsed<Append> {
    let folder = c.space_name()?;
    c.space()?;
    let mut flags = Vec::new();
    if c.peek() == Some(b'(') {
        flags = c.flag_list()?;
        c.space()?;
    }
    let mut date = None;
    if c.eat(b'"') {
        date = Some(date_time(c)?);
        c.space()?;
    }
    let (size, synchronizing) = c.announcement("a message as a literal")?;
    Ok(Append { folder, flags, date, size, synchronizing })
}

/// `date-time` after its opening quote.
fn date_time(c: &mut Cursor<'_>) -> Parsed<i64> {
    const WHAT: ErrorKind = ErrorKind::Expected("a date-time like \"17-Jul-1996 02:44:25 -0700\"");
    let text = c.rest().get(..DATE_TIME).and_then(|t| std::str::from_utf8(t).ok()).ok_or(WHAT)?;
    let moment = parse_imap_date_time(text).ok_or(WHAT)?;
    c.skip(DATE_TIME);
    if c.eat(b'"') { Ok(moment.unix) } else { Err(WHAT) }
}
