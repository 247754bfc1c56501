//! GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208 §4.1).

use super::cursor::Cursor;
use super::{MAX_WORDS, Parsed};
use crate::command::{Administer, Command};

/// What follows `word`, which is one of the three.
pub(super) fn command(c: &mut Cursor<'_>, word: &str) -> Parsed<Command> {
    const ROOT: &str = "the name of a quota root";
    Ok(Command::Administer(match word {
        "GETQUOTAROOT" => Administer::GetQuotaRoot(c.space_name()?),
        "GETQUOTA" => {
            c.space()?;
            Administer::GetQuota(c.astring(ROOT)?.into_owned())
        }
        _ => {
            c.space()?;
            c.astring(ROOT)?;
            c.space()?;
            c.list("a list of resources", MAX_WORDS, "resources", |c| {
                c.atom("a resource")?;
                c.space()?;
                c.number(u64::MAX, "a limit").map(drop)
            })?;
            Administer::SetQuota
        }
    }))
}
