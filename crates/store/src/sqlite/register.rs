//! The register of mailboxes: who has one, who may open it, how much it may hold (BAL-KIND, BAL-ROLES).

use mail::FolderName;
use mssante::{Address, MailboxKind, NationalId, StructureId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::folders;
use super::upkeep::give_back;
use super::writer::Tx;
use crate::views::Change;
use crate::{DEFAULT_FOLDERS, Holder, Mailbox, MailboxId, NewMailbox, Quota, Result, Right, Role, StoreError, Usage};

/// Bodies of a mailbox removed at once when it is erased; more are left to upkeep.
const AT_ONCE: i64 = 200;

const COLUMNS: &str = "id, address, kind, person, structure, label, quota_octets, quota_messages, octets, messages, \
                       created_at, last_authentication";

/// A column as SQLite keeps it, before it is parsed.
struct RawMailbox {
    texts: (String, String, Option<String>, Option<String>, String),
    mailbox: (i64, Option<i64>, Option<i64>, i64, i64, i64, Option<i64>),
}

fn raw(row: &Row<'_>) -> rusqlite::Result<RawMailbox> {
    Ok(RawMailbox {
        texts: (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?),
        mailbox: (row.get(0)?, row.get(6)?, row.get(7)?, row.get(8)?, row.get(9)?, row.get(10)?, row.get(11)?),
    })
}

/// What was stored as text and does not parse any more.
pub(super) fn corrupt(what: &str) -> StoreError {
    StoreError::Io(format!("the database holds an ill-formed {what}"))
}

fn parsed(raw: RawMailbox) -> Result<Mailbox> {
    let (address, kind, person, structure, label) = raw.texts;
    let (id, quota_octets, quota_messages, octets, messages, created_at, last_authentication) = raw.mailbox;
    let holder = match (person, structure) {
        (Some(person), None) => Holder::Person(person.parse::<NationalId>().map_err(|_| corrupt("person"))?),
        // Leniently: what could be registered once can be read for ever.
        (None, Some(id)) => Holder::Structure(StructureId::lenient(&id).map_err(|_| corrupt("structure"))?),
        _ => return Err(corrupt("holder")),
    };
    Ok(Mailbox {
        id: MailboxId(id as u64),
        address: address.parse::<Address>().map_err(|_| corrupt("address"))?,
        kind: kind.parse::<MailboxKind>().map_err(|_| corrupt("kind"))?,
        holder,
        label,
        quota: Quota { octets: quota_octets.map(|n| n as u64), messages: quota_messages.map(|n| n as u64) },
        usage: Usage { octets: octets as u64, messages: messages as u64 },
        created_at,
        last_authentication,
    })
}

pub(super) fn mailbox(conn: &Connection, address: &Address) -> Result<Option<Mailbox>> {
    let mut select = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM mailbox WHERE lookup = ?1"))?;
    select.query_row([address.lookup_key()], raw).optional()?.map(parsed).transpose()
}

pub(super) fn mailboxes(conn: &Connection) -> Result<Vec<Mailbox>> {
    let mut select = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM mailbox"))?;
    let rows = select.query_map([], raw)?;
    let mut all = rows.map(|row| parsed(row?)).collect::<Result<Vec<_>>>()?;
    all.sort_by(|a, b| a.address.cmp(&b.address));
    Ok(all)
}

/// # Errors
/// [`StoreError::NoSuchMailbox`].
pub(super) fn must_exist(conn: &Connection, id: MailboxId) -> Result<()> {
    match conn.prepare_cached("SELECT 1 FROM mailbox WHERE id = ?1")?.exists([id.0 as i64])? {
        true => Ok(()),
        false => Err(StoreError::NoSuchMailbox),
    }
}

/// SQLite's integers are signed: a quota beyond them is no limit in practice.
fn sql_quota(limit: Option<u64>) -> Option<i64> {
    limit.map(|n| i64::try_from(n).unwrap_or(i64::MAX))
}

pub(super) fn create(tx: &mut Tx<'_>, new: &NewMailbox) -> Result<MailboxId> {
    let (person, structure) = match &new.holder {
        Holder::Person(id) => (Some(id.to_string()), None),
        Holder::Structure(id) => (None, Some(id.to_string())),
    };
    let id: Option<i64> = tx
        .conn
        .prepare_cached(
            "INSERT INTO mailbox (lookup, address, kind, person, structure, label, quota_octets, quota_messages, created_at, keyed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1) ON CONFLICT (lookup) DO NOTHING RETURNING id",
        )?
        .query_row(
            params![
                new.address.lookup_key(),
                new.address.to_string(),
                new.kind.code(),
                person,
                structure,
                new.label,
                sql_quota(new.quota.octets),
                sql_quota(new.quota.messages),
                new.created_at
            ],
            |row| row.get(0),
        )
        .optional()?;
    let id = MailboxId(id.ok_or(StoreError::MailboxExists)? as u64);
    tx.keys.make(id.0)?;
    tx.effects.keys = true;
    // UIDVALIDITYs start at the date of creation, so that a data folder begun anew does not give old ones again.
    tx.conn
        .prepare_cached("UPDATE uid_validity SET last = max(last, min(?1, 4000000000))")?
        .execute([new.created_at])?;
    folders::insert(tx, id, &FolderName::inbox(), None, true)?;
    for (name, special_use) in DEFAULT_FOLDERS {
        let name = FolderName::new(name).map_err(|_| StoreError::FolderRefused("a default folder has a bad name"))?;
        folders::insert(tx, id, &name, Some(special_use), true)?;
    }
    tx.effects.changes.push(Change::Folders(id));
    Ok(id)
}

pub(super) fn delete(tx: &mut Tx<'_>, id: MailboxId) -> Result<()> {
    let number = id.0 as i64;
    if tx.conn.prepare_cached("DELETE FROM mailbox WHERE id = ?1")?.execute([number])? == 0 {
        return Err(StoreError::NoSuchMailbox);
    }
    for table in [
        "mailbox_right",
        "folder_access",
        "annotation",
        "folder",
        "message",
        "mark",
        "expunged",
        "link",
        "duplicate",
        "garbage",
        "copies",
    ] {
        tx.conn.prepare_cached(&format!("DELETE FROM {table} WHERE mailbox = ?1"))?.execute([number])?;
    }
    let bodies: Vec<i64> = {
        let mut select = tx.conn.prepare_cached("SELECT id FROM body WHERE mailbox = ?1 LIMIT ?2")?;
        let rows = select.query_map([number, AT_ONCE], |row| row.get(0))?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    if bodies.len() as i64 == AT_ONCE {
        tx.conn.prepare_cached("INSERT INTO garbage (mailbox, body, last) VALUES (?1, 0, 0)")?.execute([number])?;
        tx.effects.garbage = true;
    } else {
        for body in bodies {
            give_back(tx, number, body)?;
        }
    }
    tx.conn.prepare_cached("INSERT INTO dead_key VALUES (?1)")?.execute([number])?;
    tx.effects.dead_keys = true;
    tx.effects.changes.push(Change::MailboxGone(id));
    Ok(())
}

pub(super) fn set_quota(tx: &mut Tx<'_>, id: MailboxId, quota: Quota) -> Result<()> {
    let changed = tx
        .conn
        .prepare_cached("UPDATE mailbox SET quota_octets = ?2, quota_messages = ?3 WHERE id = ?1")?
        .execute(params![id.0 as i64, sql_quota(quota.octets), sql_quota(quota.messages)])?;
    if changed == 0 { Err(StoreError::NoSuchMailbox) } else { Ok(()) }
}

const ROLES: [(Role, i64); 3] = [(Role::CoHolder, 0), (Role::Member, 1), (Role::Delegate, 2)];

fn role_number(role: Role) -> i64 {
    match role {
        Role::CoHolder => 0,
        Role::Member => 1,
        Role::Delegate => 2,
    }
}

pub(super) fn grant(tx: &mut Tx<'_>, id: MailboxId, right: &Right) -> Result<()> {
    must_exist(tx.conn, id)?;
    tx.conn
        .prepare_cached(
            "INSERT INTO mailbox_right (mailbox, person, role, since, until) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET since = excluded.since, until = excluded.until",
        )?
        .execute(params![id.0 as i64, right.person.to_string(), role_number(right.role), right.from, right.until])?;
    Ok(())
}

pub(super) fn revoke(tx: &mut Tx<'_>, id: MailboxId, person: &NationalId, at: i64) -> Result<()> {
    must_exist(tx.conn, id)?;
    tx.conn
        .prepare_cached(
            "UPDATE mailbox_right SET until = ?3 WHERE mailbox = ?1 AND person = ?2 AND (until IS NULL OR until > ?3)",
        )?
        .execute(params![id.0 as i64, person.to_string(), at])?;
    Ok(())
}

pub(super) fn rights(conn: &Connection, id: MailboxId) -> Result<Vec<Right>> {
    must_exist(conn, id)?;
    let mut select = conn.prepare_cached(
        "SELECT person, role, since, until FROM mailbox_right WHERE mailbox = ?1 ORDER BY person, role",
    )?;
    let rows = select.query_map([id.0 as i64], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get(2)?, row.get(3)?))
    })?;
    rows.map(|row| {
        let (person, role, from, until) = row?;
        let role = ROLES.iter().find(|(_, number)| *number == role).ok_or_else(|| corrupt("role"))?.0;
        Ok(Right { person: person.parse().map_err(|_| corrupt("person"))?, role, from, until })
    })
    .collect()
}
