//! SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS (RFC 4314 §3).

use super::cursor::Cursor;
use super::{ErrorKind, Parsed};
use crate::administration::Modification;
use crate::command::{Administer, Command};

/// What follows `word`, which is one of the five.
pub(super) fn command(c: &mut Cursor<'_>, word: &str) -> Parsed<Command> {
    let folder = c.space_name()?;
    Ok(Command::Administer(match word {
        "GETACL" => Administer::GetAcl(folder),
        "MYRIGHTS" => Administer::MyRights(folder),
        "DELETEACL" => Administer::DeleteAcl { folder, identifier: identifier(c)? },
        "LISTRIGHTS" => Administer::ListRights { folder, identifier: identifier(c)? },
        _ => {
            let identifier = identifier(c)?;
            let (how, rights) = rights(c)?;
            Administer::SetAcl { folder, identifier, how, rights }
        }
    }))
}

fn identifier(c: &mut Cursor<'_>) -> Parsed<String> {
    const WHAT: &str = "an identifier in UTF-8";
    c.space()?;
    String::from_utf8(c.astring(WHAT)?.into_owned()).map_err(|_| ErrorKind::Expected(WHAT))
}

/// `mod-rights`; a letter that is no right is a syntax error (RFC 4314 §2.1).
fn rights(c: &mut Cursor<'_>) -> Parsed<(Modification, mail::Rights)> {
    const WHAT: &str = "rights among lrswipkxtea, + or - before them";
    c.space()?;
    let text = c.astring(WHAT)?;
    let text = std::str::from_utf8(&text).map_err(|_| ErrorKind::Expected(WHAT))?;
    let (how, letters) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(letters), _) => (Modification::Add, letters),
        (_, Some(letters)) => (Modification::Remove, letters),
        _ => (Modification::Replace, text),
    };
    Ok((how, letters.parse().map_err(|_| ErrorKind::Expected(WHAT))?))
}
