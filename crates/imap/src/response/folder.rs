//! LIST, LSUB and STATUS (RFC 3501 §7.2, RFC 5258).

use mail::FolderName;

use super::text::{put, quoted, quoted_utf8};
use crate::command::StatusItem;
use crate::parse::Names;
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
    /// `OLDNAME`: the name it had (RFC 9051 §6.3.9.7).
    pub old_name: Option<&'a str>,
    /// How names are written.
    pub names: Names,
}

/// A folder's name, quoted.
pub fn folder(out: &mut Vec<u8>, name: &FolderName, names: Names) {
    folder_text(out, name.as_str(), names);
}

/// A name that may be no folder's (empty, a parent that does not exist), quoted.
pub fn folder_text(out: &mut Vec<u8>, name: &str, names: Names) {
    match names {
        Names::Utf7 => quoted(out, &utf7::encode(name)),
        Names::Utf8 => quoted_utf8(out, name),
    }
}

/// A line of LIST or LSUB.
pub fn list(out: &mut Vec<u8>, line: &ListLine<'_>) {
    let kind = match line.kind {
        ListKind::List => "LIST",
        ListKind::Lsub => "LSUB",
    };
    put(out, format_args!("* {kind} ({}) \"{}\" ", line.attributes.join(" "), FolderName::SEPARATOR));
    folder_text(out, line.name, line.names);
    let items =
        [line.child_subscribed.then_some("\"CHILDINFO\" (\"SUBSCRIBED\")"), line.old_name.map(|_| "\"OLDNAME\" (")];
    for (i, item) in items.into_iter().flatten().enumerate() {
        put(out, format_args!("{}{item}", if i == 0 { " (" } else { " " }));
    }
    if let Some(old) = line.old_name {
        folder_text(out, old, line.names);
        out.push(b')');
    }
    if line.child_subscribed || line.old_name.is_some() {
        out.push(b')');
    }
    out.extend_from_slice(b"\r\n");
}

/// A line of STATUS; MAILBOXID, which is no number, is told when it is given.
pub fn status(
    out: &mut Vec<u8>,
    name: &FolderName,
    names: Names,
    items: &[(StatusItem, u64)],
    mailbox_id: Option<crate::backend::ObjectId>,
) {
    out.extend_from_slice(b"* STATUS ");
    folder(out, name, names);
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
        StatusItem::DeletedStorage => "DELETED-STORAGE",
        StatusItem::Size => "SIZE",
        StatusItem::HighestModSeq => "HIGHESTMODSEQ",
        StatusItem::AppendLimit => "APPENDLIMIT",
        StatusItem::MailboxId => "MAILBOXID",
    }
}
