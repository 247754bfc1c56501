//! The lists of modifiers after SELECT, FETCH and STORE (RFC 4466 §2, RFC 7162 §7).
//!
//! [`modifiers`] reads any such list: names in any case, each at most once, each with the value its reader takes.

use mail::{ModSeq, UidValidity};

use super::cursor::Cursor;
use super::{ErrorKind, Parsed};
use crate::modifiers::{FetchModifiers, Resync, SelectModifiers, StoreModifiers};

/// Most modifiers in one list: more than there are.
const MAX_MODIFIERS: usize = 8;
/// Largest mod-sequence value (RFC 7162 §7): 63 bits.
pub(super) const MAX_MODSEQ: u64 = i64::MAX as u64;

/// `"(" name [SP value] *(SP name [SP value]) ")"`: `read` is given each name in capitals and takes its value, space included.
pub(super) fn modifiers(
    c: &mut Cursor<'_>,
    what: &'static str,
    mut read: impl FnMut(&mut Cursor<'_>, &str) -> Parsed<()>,
) -> Parsed<()> {
    let mut seen: Vec<String> = Vec::new();
    c.list(what, MAX_MODIFIERS, "modifiers", |c| {
        let name = c.atom(what)?.to_ascii_uppercase();
        if seen.contains(&name) {
            return Err(ErrorKind::Expected("each modifier once"));
        }
        read(c, &name)?;
        seen.push(name);
        Ok(())
    })?;
    if seen.is_empty() { Err(ErrorKind::Expected(what)) } else { Ok(()) }
}

/// `[SP "(" … ")"]` after SELECT and EXAMINE.
pub(super) fn select(c: &mut Cursor<'_>) -> Parsed<SelectModifiers> {
    const WHAT: &str = "CONDSTORE or QRESYNC";
    let mut found = SelectModifiers::default();
    if c.eat(b' ') {
        modifiers(c, WHAT, |c, name| {
            match name {
                "CONDSTORE" => found.condstore = true,
                "QRESYNC" => found.qresync = Some(resync(c)?),
                _ => return Err(ErrorKind::Expected(WHAT)),
            }
            Ok(())
        })?;
    }
    Ok(found)
}

/// `SP "(" uidvalidity SP modseq [SP known-uids] [SP "(" seq-set SP uid-set ")"] ")"`.
fn resync(c: &mut Cursor<'_>) -> Parsed<Resync> {
    const NUMBERS: ErrorKind = ErrorKind::Expected("as many UIDs as sequence numbers, and no *");
    c.space()?;
    c.expect(b'(', "(")?;
    let uid_validity = c.number(u32::MAX.into(), "a UIDVALIDITY")?;
    // Held below 2^32.
    let uid_validity =
        u32::try_from(uid_validity).ok().filter(|v| *v > 0).ok_or(ErrorKind::Expected("a UIDVALIDITY"))?;
    c.space()?;
    let modseq =
        modseq(c).and_then(|m| if m.0 > 0 { Ok(m) } else { Err(ErrorKind::Expected("a mod-sequence above 0")) })?;
    let mut resync = Resync { uid_validity: UidValidity(uid_validity), modseq, known: None, matched: None };
    let mut more = c.eat(b' ');
    if more && c.peek() != Some(b'(') {
        let known = c.sequence_set()?;
        if known.has_star() {
            return Err(NUMBERS);
        }
        resync.known = Some(known);
        more = c.eat(b' ');
    }
    if more {
        c.expect(b'(', "known UIDs or (sequence numbers, UIDs)")?;
        let numbers = c.sequence_set()?;
        c.space()?;
        let uids = c.sequence_set()?;
        c.expect(b')', ")")?;
        if numbers.has_star() || uids.has_star() {
            return Err(NUMBERS);
        }
        if numbers.resolve(u32::MAX).count() != uids.resolve(u32::MAX).count() {
            return Err(NUMBERS);
        }
        resync.matched = Some((numbers, uids));
    }
    c.expect(b')', ")")?;
    Ok(resync)
}

/// `[SP "(" … ")"]` after FETCH.
pub(super) fn fetch(c: &mut Cursor<'_>) -> Parsed<FetchModifiers> {
    const WHAT: &str = "CHANGEDSINCE, PARTIAL or VANISHED";
    let mut found = FetchModifiers::default();
    if c.eat(b' ') {
        modifiers(c, WHAT, |c, name| {
            match name {
                "CHANGEDSINCE" => {
                    c.space()?;
                    found.changed_since = Some(modseq(c)?);
                }
                "VANISHED" => found.vanished = true,
                "PARTIAL" => {
                    c.space()?;
                    found.partial = Some(super::search::window(c)?);
                }
                _ => return Err(ErrorKind::Expected(WHAT)),
            }
            Ok(())
        })?;
    }
    Ok(found)
}

/// `["(" … ")" SP]` before the flags of STORE.
pub(super) fn store(c: &mut Cursor<'_>) -> Parsed<StoreModifiers> {
    const WHAT: &str = "UNCHANGEDSINCE";
    let mut found = StoreModifiers::default();
    if c.peek() == Some(b'(') {
        modifiers(c, WHAT, |c, name| {
            if name != "UNCHANGEDSINCE" {
                return Err(ErrorKind::Expected(WHAT));
            }
            c.space()?;
            found.unchanged_since = Some(modseq(c)?);
            Ok(())
        })?;
        c.space()?;
    }
    Ok(found)
}

/// `mod-sequence-valzer`.
pub(super) fn modseq(c: &mut Cursor<'_>) -> Parsed<ModSeq> {
    c.number(MAX_MODSEQ, "a mod-sequence").map(ModSeq)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{read, refuse, set};
    use super::*;

    /// RFC 7162: the examples, and what is close to them.
    #[test]
    fn modifiers() {
        use crate::command::Command;
        let select = |text: &str| match read(text) {
            Command::Select { modifiers, .. } => modifiers,
            other => panic!("{other:?}"),
        };
        assert_eq!(select("SELECT x (CONDSTORE)"), SelectModifiers { condstore: true, qresync: None });
        let resync = |modseq, known: Option<&str>, matched: Option<(&str, &str)>| Resync {
            uid_validity: mail::UidValidity(67_890_007),
            modseq: mail::ModSeq(modseq),
            known: known.map(set),
            matched: matched.map(|(a, b)| (set(a), set(b))),
        };
        for (text, wanted) in [
            ("67890007 1", resync(1, None, None)),
            ("67890007 9223372036854775807 41,43:211", resync(i64::MAX as u64, Some("41,43:211"), None)),
            (
                "67890007 20 1:29997 (5000,7500:7502 15000,22500:22502)",
                resync(20, Some("1:29997"), Some(("5000,7500:7502", "15000,22500:22502"))),
            ),
            ("67890007 20 (1 4294967295)", resync(20, None, Some(("1", "4294967295")))),
        ] {
            let found = select(&format!("EXAMINE x (QRESYNC ({text}) condstore)"));
            assert_eq!(found, SelectModifiers { condstore: true, qresync: Some(wanted) }, "{text}");
        }
        for bad in [
            "SELECT x ()",
            "SELECT x (X)",
            "SELECT x (CONDSTORE CONDSTORE)",
            "SELECT x CONDSTORE",
            "SELECT x (QRESYNC)",
            "SELECT x (QRESYNC ())",
            "SELECT x (QRESYNC (1))",
            "SELECT x (QRESYNC (0 1))",
            "SELECT x (QRESYNC (1 0))",
            "SELECT x (QRESYNC (1 9223372036854775808))",
            "SELECT x (QRESYNC (4294967296 1))",
            "SELECT x (QRESYNC (1 1 *))",
            "SELECT x (QRESYNC (1 1 1:*))",
            "SELECT x (QRESYNC (1 1 1:5 (1:2 1:3)))",
            "SELECT x (QRESYNC (1 1 1:5 (1:2 1:*)))",
            "SELECT x (QRESYNC (1 1 1:5 (1)))",
            "SELECT x (QRESYNC (1 1 1:5 (1 1) 3))",
            "FETCH 1 FLAGS ()",
            "FETCH 1 FLAGS (CHANGEDSINCE)",
            "FETCH 1 FLAGS (CHANGEDSINCE x)",
            "FETCH 1 FLAGS (CHANGEDSINCE 1 CHANGEDSINCE 2)",
            "FETCH 1 FLAGS (UNCHANGEDSINCE 1)",
            "FETCH 1 FLAGS(CHANGEDSINCE 1)",
        ] {
            refuse(bad.as_bytes());
        }
        let Command::Fetch { modifiers, .. } = read("UID FETCH 300:500 (FLAGS) (changedsince 12345 VANISHED)") else {
            panic!()
        };
        assert_eq!(
            modifiers,
            FetchModifiers { changed_since: Some(mail::ModSeq(12_345)), vanished: true, partial: None }
        );
        let Command::Store { modifiers, .. } = read("STORE 7,5,9 (UNCHANGEDSINCE 0) +FLAGS.SILENT (\\Deleted)") else {
            panic!()
        };
        assert_eq!(modifiers, StoreModifiers { unchanged_since: Some(mail::ModSeq(0)) });
    }
}
