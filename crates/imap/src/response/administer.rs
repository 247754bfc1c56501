//! ACL, LISTRIGHTS, MYRIGHTS (RFC 4314 §3.6 to §3.8), QUOTA, QUOTAROOT (RFC 9208 §4.2), METADATA (RFC 5464 §4.4).

use mail::{FolderName, Rights};

use super::folder::folder;
use super::text::{astring, put, string};
use crate::administration::{EntryName, Grantable, QuotaStatus};
use crate::parse::Names;

/// The name of the one quota root.
pub const QUOTA_ROOT: &str = "";

/// Octets in a unit of STORAGE (RFC 9208 §5.1).
const STORAGE_UNIT: u64 = 1024;

/// `* ACL`.
pub fn acl(out: &mut Vec<u8>, names: Names, name: &FolderName, entries: &[(String, Rights)]) {
    out.extend_from_slice(b"* ACL ");
    folder(out, name, names);
    for (identifier, rights) in entries {
        out.push(b' ');
        astring(out, identifier.as_bytes());
        out.push(b' ');
        astring(out, rights.to_string().as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// `* LISTRIGHTS`: each right that may be given stands alone; `c` and `d` beside what they stand for.
pub fn list_rights(out: &mut Vec<u8>, names: Names, name: &FolderName, identifier: &str, grantable: &Grantable) {
    out.extend_from_slice(b"* LISTRIGHTS ");
    folder(out, name, names);
    out.push(b' ');
    astring(out, identifier.as_bytes());
    out.push(b' ');
    astring(out, grantable.required.to_string().as_bytes());
    for letter in grantable.optional.to_string().chars() {
        put(out, format_args!(" {letter}"));
    }
    out.extend_from_slice(b"\r\n");
}

/// `* MYRIGHTS`.
pub fn my_rights(out: &mut Vec<u8>, names: Names, name: &FolderName, rights: Rights) {
    out.extend_from_slice(b"* MYRIGHTS ");
    folder(out, name, names);
    out.push(b' ');
    astring(out, rights.to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// `* QUOTA` of the one root: what has no limit is not there (RFC 9208 §4.2.1). Both numbers of STORAGE are rounded up.
pub fn quota(out: &mut Vec<u8>, quota: &QuotaStatus) {
    let storage = quota
        .octets_limit
        .map(|limit| format!("STORAGE {} {}", quota.octets.div_ceil(STORAGE_UNIT), limit.div_ceil(STORAGE_UNIT)));
    let messages = quota.messages_limit.map(|limit| format!("MESSAGE {} {limit}", quota.messages));
    let resources: Vec<String> = storage.into_iter().chain(messages).collect();
    put(out, format_args!("* QUOTA \"{QUOTA_ROOT}\" ({})\r\n", resources.join(" ")));
}

/// `* QUOTAROOT`: every folder has the same.
pub fn quota_root(out: &mut Vec<u8>, names: Names, name: &FolderName) {
    out.extend_from_slice(b"* QUOTAROOT ");
    folder(out, name, names);
    put(out, format_args!(" \"{QUOTA_ROOT}\"\r\n"));
}

/// `* METADATA` with values; `None` is the mailbox itself.
pub fn metadata(out: &mut Vec<u8>, names: Names, of: Option<&FolderName>, entries: &[(&EntryName, Option<&[u8]>)]) {
    begin_metadata(out, names, of);
    for (i, (entry, value)) in entries.iter().enumerate() {
        put(out, format_args!(" {}", if i == 0 { "(" } else { "" }));
        entry_name(out, entry);
        out.push(b' ');
        match value {
            Some(value) => string(out, value),
            None => out.extend_from_slice(b"NIL"),
        }
    }
    out.extend_from_slice(b")\r\n");
}

/// `* METADATA` unasked: names without values (RFC 5464 §4.4.2).
pub fn metadata_changed(out: &mut Vec<u8>, names: Names, of: Option<&FolderName>, entries: &[EntryName]) {
    begin_metadata(out, names, of);
    for entry in entries {
        out.push(b' ');
        entry_name(out, entry);
    }
    out.extend_from_slice(b"\r\n");
}

fn begin_metadata(out: &mut Vec<u8>, names: Names, of: Option<&FolderName>) {
    out.extend_from_slice(b"* METADATA ");
    match of {
        Some(name) => folder(out, name, names),
        None => out.extend_from_slice(b"\"\""),
    }
}

/// A name may hold a quote or a parenthesis.
fn entry_name(out: &mut Vec<u8>, entry: &EntryName) {
    let name = entry.to_string();
    if name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.')) {
        out.extend_from_slice(name.as_bytes());
    } else {
        string(out, name.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("text")
    }

    fn inbox() -> FolderName {
        FolderName::inbox()
    }

    #[test]
    fn rights() {
        let entries = [("899700000017".to_owned(), Rights::ALL), ("anyone".to_owned(), Rights::NONE)];
        assert_eq!(
            text(|out| acl(out, Names::Utf7, &inbox(), &entries)),
            "* ACL \"INBOX\" 899700000017 lrswipkxteacd anyone \"\"\r\n"
        );
        let la = Rights::LOOKUP.with(Rights::ADMINISTER);
        let grantable = Grantable { required: la, optional: Rights::READ.with(Rights::CREATE) };
        assert_eq!(
            text(|out| list_rights(out, Names::Utf7, &inbox(), "899700000017", &grantable)),
            "* LISTRIGHTS \"INBOX\" 899700000017 la r k c\r\n"
        );
        assert_eq!(text(|out| my_rights(out, Names::Utf7, &inbox(), Rights::EXPUNGE)), "* MYRIGHTS \"INBOX\" ed\r\n");
    }

    #[test]
    fn quotas() {
        let mut status = QuotaStatus { octets: 1025, octets_limit: Some(4096), messages: 3, messages_limit: Some(9) };
        assert_eq!(text(|out| quota(out, &status)), "* QUOTA \"\" (STORAGE 2 4 MESSAGE 3 9)\r\n");
        status.octets_limit = None;
        assert_eq!(text(|out| quota(out, &status)), "* QUOTA \"\" (MESSAGE 3 9)\r\n");
        assert_eq!(text(|out| quota_root(out, Names::Utf7, &inbox())), "* QUOTAROOT \"INBOX\" \"\"\r\n");
    }

    #[test]
    fn annotations() {
        let (a, b) =
            (EntryName::parse(b"/shared/comment").expect("valid"), EntryName::parse(b"/private/a(\"").expect("valid"));
        assert_eq!(
            text(|out| metadata(out, Names::Utf7, None, &[(&a, Some(b"x\r\ny")), (&b, None)])),
            "* METADATA \"\" (/shared/comment {4}\r\nx\r\ny \"/private/a(\\\"\" NIL)\r\n"
        );
        assert_eq!(
            text(|out| metadata_changed(out, Names::Utf7, Some(&inbox()), &[a, b])),
            "* METADATA \"INBOX\" /shared/comment \"/private/a(\\\"\"\r\n"
        );
    }
}
