//! LIST in all its forms, and LSUB.

use super::cursor::Cursor;
use super::folder::status_items;
use super::{ErrorKind, MAX_PATTERNS, MAX_WORDS, Parsed};
use crate::command::{Command, List};

const NAME: ErrorKind = ErrorKind::Expected("a mailbox name in modified UTF-7, or UTF-8 once enabled");

/// `LIST [SP select] SP reference SP pattern(s) [SP "RETURN" SP options]` (RFC 3501 §6.3.8, RFC 5258, 5819, 6154).
pub(super) fn list(c: &mut Cursor<'_>) -> Parsed<List> {
    let mut list = List::default();
    c.space()?;
    if c.peek() == Some(b'(') {
        select_options(c, &mut list)?;
        c.space()?;
    }
    list.reference = reference(c)?;
    c.space()?;
    if c.peek() == Some(b'(') {
        list.extended = true;
        let mut patterns = Vec::new();
        c.list("mailbox patterns", MAX_PATTERNS, "mailbox patterns", |c| {
            patterns.push(pattern(c)?);
            Ok(())
        })?;
        if patterns.is_empty() {
            return Err(ErrorKind::Expected("a mailbox pattern"));
        }
        list.patterns = patterns;
    } else {
        list.patterns.push(pattern(c)?);
    }
    if c.eat(b' ') {
        if !c.eat_word("RETURN") {
            return Err(ErrorKind::Expected("RETURN"));
        }
        c.space()?;
        return_options(c, &mut list)?;
    }
    Ok(list)
}

/// `LSUB SP reference SP pattern` (RFC 3501 §6.3.9).
pub(super) fn lsub(c: &mut Cursor<'_>) -> Parsed<Command> {
    c.space()?;
    let reference = reference(c)?;
    c.space()?;
    Ok(Command::Lsub { reference, pattern: pattern(c)? })
}

fn select_options(c: &mut Cursor<'_>, list: &mut List) -> Parsed<()> {
    const WHAT: &str = "SUBSCRIBED, REMOTE, RECURSIVEMATCH or SPECIAL-USE";
    list.extended = true;
    c.list("selection options", MAX_WORDS, "selection options", |c| {
        match c.atom(WHAT)?.to_ascii_uppercase().as_str() {
            "SUBSCRIBED" => list.select_subscribed = true,
            "REMOTE" => list.select_remote = true,
            "RECURSIVEMATCH" => list.select_recursive = true,
            "SPECIAL-USE" => list.select_special_use = true,
            _ => return Err(ErrorKind::Expected(WHAT)),
        }
        Ok(())
    })?;
    // RFC 5258 §3.1: RECURSIVEMATCH qualifies another option, and REMOTE is not one it can qualify.
    if list.select_recursive && !list.select_subscribed && !list.select_special_use {
        return Err(ErrorKind::Expected("SUBSCRIBED or SPECIAL-USE with RECURSIVEMATCH"));
    }
    Ok(())
}

fn return_options(c: &mut Cursor<'_>, list: &mut List) -> Parsed<()> {
    const WHAT: &str = "SUBSCRIBED, CHILDREN, MYRIGHTS, SPECIAL-USE or STATUS";
    list.extended = true;
    c.list("return options", MAX_WORDS, "return options", |c| {
        match c.atom(WHAT)?.to_ascii_uppercase().as_str() {
            "SUBSCRIBED" => list.return_subscribed = true,
            "CHILDREN" => list.return_children = true,
            "SPECIAL-USE" => list.return_special_use = true,
            "MYRIGHTS" => list.return_my_rights = true,
            "STATUS" => {
                c.space()?;
                list.return_status = status_items(c)?;
            }
            _ => return Err(ErrorKind::Expected(WHAT)),
        }
        Ok(())
    })
}

fn reference(c: &mut Cursor<'_>) -> Parsed<String> {
    let name = c.astring("a reference name")?;
    c.decode_name(&name).ok_or(NAME)
}

fn pattern(c: &mut Cursor<'_>) -> Parsed<String> {
    let name = c.list_mailbox()?;
    c.decode_name(&name).ok_or(NAME)
}
