//! CREATE, STATUS.

use super::cursor::Cursor;
use super::{ErrorKind, MAX_WORDS, Parsed};
use crate::command::{Command, StatusItem};

/// Most STATUS items in one list: each of them some times over.
const MAX_STATUS: usize = 32;

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
            "DELETED-STORAGE" => StatusItem::DeletedStorage,
            "SIZE" => StatusItem::Size,
            "HIGHESTMODSEQ" => StatusItem::HighestModSeq,
            "APPENDLIMIT" => StatusItem::AppendLimit,
            "MAILBOXID" => StatusItem::MailboxId,
            _ => return Err(ErrorKind::Expected("a STATUS item")),
        });
        Ok(())
    })?;
    if items.is_empty() { Err(ErrorKind::Expected(WHAT)) } else { Ok(items) }
}
