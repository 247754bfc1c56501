//! LIST, LSUB and STATUS (RFC 3501 §7.2, RFC 5258).

use mail::FolderName;

use super::text::{put, quoted};
use crate::command::StatusItem;
use crate::utf7;

/// Which response a [`ListLine`] is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListKind {
    /// LIST.
    List,
    /// LSUB.
    Lsub,
}

/// One line of LIST or LSUB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListLine<'a> {
    /// LIST or LSUB.
    pub kind: ListKind,
    /// Attributes, e.g. `\HasChildren`; ours, not data.
    pub attributes: &'a [&'a str],
    /// The name in Unicode; empty for the answer to `LIST "" ""`.
    pub name: &'a str,
    /// `CHILDINFO ("SUBSCRIBED")`: some folder below is subscribed (RECURSIVEMATCH).
    pub child_subscribed: bool,
}

/// A folder's name, in modified UTF-7 and quoted.
pub fn folder(out: &mut Vec<u8>, name: &FolderName) {
    folder_text(out, name.as_str());
}

/// A name that may be no folder's (empty, a parent that does not exist), in modified UTF-7 and quoted.
pub fn folder_text(out: &mut Vec<u8>, name: &str) {
    quoted(out, &utf7::encode(name));
}

/// A line of LIST or LSUB.
pub fn list(out: &mut Vec<u8>, line: &ListLine<'_>) {
    let kind = match line.kind {
        ListKind::List => "LIST",
        ListKind::Lsub => "LSUB",
    };
    put(out, format_args!("* {kind} ({}) \"{}\" ", line.attributes.join(" "), FolderName::SEPARATOR));
    folder_text(out, line.name);
    if line.child_subscribed {
        out.extend_from_slice(b" (\"CHILDINFO\" (\"SUBSCRIBED\"))");
    }
    out.extend_from_slice(b"\r\n");
}

/// A line of STATUS; MAILBOXID, which is no number, is told when it is given.
pub fn status(
    out: &mut Vec<u8>,
    name: &FolderName,
    items: &[(StatusItem, u64)],
    mailbox_id: Option<crate::backend::ObjectId>,
) {
    out.extend_from_slice(b"* STATUS ");
    folder(out, name);
    out.extend_from_slice(b" (");
    for (i, (item, value)) in items.iter().enumerate() {
        let space = if i == 0 { "" } else { " " };
        put(out, format_args!("{space}{} {value}", item_name(*item)));
    }
    if let Some(id) = mailbox_id {
        let space = if items.is_empty() { "" } else { " " };
        put(out, format_args!("{space}MAILBOXID ({id})"));
    }
    out.extend_from_slice(b")\r\n");
}

fn item_name(item: StatusItem) -> &'static str {
    match item {
        StatusItem::Messages => "MESSAGES",
        StatusItem::Recent => "RECENT",
        StatusItem::UidNext => "UIDNEXT",
        StatusItem::UidValidity => "UIDVALIDITY",
        StatusItem::Unseen => "UNSEEN",
        StatusItem::Deleted => "DELETED",
        StatusItem::Size => "SIZE",
        StatusItem::HighestModSeq => "HIGHESTMODSEQ",
        StatusItem::AppendLimit => "APPENDLIMIT",
        StatusItem::MailboxId => "MAILBOXID",
    }
}
