//! Looking over a data folder that no server uses, and mending what can be.
//!
//! Every row that names octets is checked against its record (checksums, decryption, size, structure) or its file; references, usage
//! and links between tables are counted anew; records that came after what the database has are looked for.
//!
//! Mending: counts are set to what they are; rows of messages without body go; records of mailboxes the database knows, numbered beyond
//! what it has (a database brought back from an older copy, a log damaged in its middle), get their rows again, *as they were
//! delivered*: flags, moves and deletions since then are not in the log and are lost, and what was deleted may be there
//! again. What it cannot do: entries of the outgoing queue are not brought back, since they may have been sent; a message whose record is damaged stays unreadable; a mailbox the database does not know cannot be
//! made up (its address and holder are in no record), its records are counted only.
//!
//! With a backup ([`rescue`]): a database that is not there or damaged is the backup's, brought up to date by the log; messages whose record or
//! file is damaged get the backup's.
//!
//! Everything is one transaction: a check that ends early changes nothing.

mod report;
mod rescue;

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::facts::{self, Delivery, Facts};
use super::files::Files;
use super::record::{Owner, Whole, open_structure};
use super::segment::{FIRST, Segments, Spot, Walk};
use super::{DATABASE, Options, Sqlite, Told, lock};
use crate::crypt::DataKey;
use crate::keys::Keys;
use crate::{Result, StoreError};
pub use report::{Damage, Report};

/// A body that is damaged.
struct Broken {
    mailbox: i64,
    body: i64,
    size: u64,
    file: Option<String>,
    what: &'static str,
}

/// Bodies of a mailbox there is, which are not garbage.
const NEEDED: &str = "mailbox IN (SELECT id FROM mailbox) AND ifnull((SELECT last FROM garbage g
    WHERE g.mailbox = body.mailbox AND g.body <= body.id ORDER BY g.body DESC LIMIT 1), 0) < id";

struct Check<'a> {
    conn: &'a Connection,
    keys: &'a Keys,
    segments: Segments,
    files: Files,
    repair: bool,
    report: Report,
    broken: Vec<Broken>,
    /// What the database had of the log.
    noted: (u32, u64),
    told: Told<'a>,
    /// Octets looked at, and to be looked at.
    done: (u64, u64),
}

impl Check<'_> {
    /// Every body against its record.
    fn bodies(&mut self) -> Result<()> {
        let mut select = self.conn.prepare(&format!(
            "SELECT mailbox, id, size, file, structure, segment, place, stored FROM body WHERE {NEEDED}"
        ))?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (mailbox, body): (i64, i64) = (row.get(0)?, row.get(1)?);
            let (size, file): (i64, Option<String>) = (row.get(2)?, row.get(3)?);
            let Some(segment) = row.get::<_, Option<u32>>(5)? else {
                // Of an earlier format, in clear: its size is all there is.
                self.report.bodies += 1;
                self.step(size as u64);
                continue;
            };
            let spot = Spot { segment, offset: row.get::<_, i64>(6)? as u64, stored: row.get::<_, i64>(7)? as u64 };
            let structure: Vec<u8> = row.get(4)?;
            let owner = Owner::Mailbox(crate::MailboxId(mailbox as u64), body as u64);
            match self.body(owner, spot, size as u64, file.as_deref(), &structure) {
                Ok(()) => self.report.bodies += 1,
                Err(StoreError::NoKey) => self.report.without_key += 1,
                Err(StoreError::Damaged(what)) => {
                    self.broken.push(Broken { mailbox, body, size: size as u64, file, what });
                }
                // A file that is too short, a disk that does not read.
                Err(StoreError::Io(_)) => {
                    self.broken.push(Broken { mailbox, body, size: size as u64, file, what: "it cannot be read" });
                }
                Err(error) => return Err(error),
            }
            self.step(size as u64);
        }
        Ok(())
    }

    fn step(&mut self, octets: u64) {
        self.done.0 += octets;
        (self.told)(self.done.0.min(self.done.1), self.done.1);
    }

    /// Where the broken bodies are.
    fn name(&mut self) -> Result<()> {
        if self.broken.is_empty() {
            return Ok(());
        }
        self.conn.execute_batch(
            "CREATE TEMP TABLE broken (mailbox INTEGER, body INTEGER, PRIMARY KEY (mailbox, body)) WITHOUT ROWID",
        )?;
        {
            let mut insert = self.conn.prepare("INSERT INTO temp.broken VALUES (?1, ?2)")?;
            let mut select = self.conn.prepare("SELECT address FROM mailbox WHERE id = ?1")?;
            let mut why = std::collections::HashMap::new();
            for Broken { mailbox, body, what, .. } in &self.broken {
                insert.execute([mailbox, body])?;
                why.insert((*mailbox, *body), *what);
            }
            let mut places = self.conn.prepare(
                "SELECT m.mailbox, m.body, f.name, m.uid FROM message m JOIN temp.broken b ON b.mailbox = m.mailbox AND b.body = m.body
                 JOIN folder f ON f.mailbox = m.mailbox AND f.id = m.folder WHERE m.mailbox IN (SELECT mailbox FROM temp.broken)
                 ORDER BY m.mailbox, m.folder, m.uid",
            )?;
            let mut rows = places.query([])?;
            let mut placed = std::collections::HashSet::new();
            while let Some(row) = rows.next()? {
                let key: (i64, i64) = (row.get(0)?, row.get(1)?);
                let address = select.query_row([key.0], |row| row.get(0))?;
                let what = why.get(&key).copied().unwrap_or_default();
                placed.insert(key);
                self.report.damaged.push(Damage {
                    mailbox: address,
                    folder: row.get(2)?,
                    uid: row.get(3)?,
                    body: key.1 as u64,
                    what,
                });
            }
            for Broken { mailbox, body, what, .. } in &self.broken {
                if !placed.contains(&(*mailbox, *body)) {
                    self.report.damaged.push(Damage {
                        mailbox: select.query_row([mailbox], |row| row.get(0))?,
                        folder: String::new(),
                        uid: 0,
                        body: *body as u64,
                        what,
                    });
                }
            }
        }
        self.conn.execute_batch("DROP TABLE temp.broken")?;
        Ok(())
    }

    fn body(&self, owner: Owner, spot: Spot, size: u64, file: Option<&str>, structure: &[u8]) -> Result<()> {
        let key = self.keys.get(owner.key())?;
        let whole = self.segments.read(spot)?.ok_or(StoreError::Damaged("no segment"))?;
        if whole.head.owner != owner || whole.head.size != size || whole.head.in_file() != file.is_some() {
            return Err(StoreError::Damaged("another's record"));
        }
        open_structure(&key, structure)?;
        match file {
            None => whole.clone().into_body(&key).map(drop),
            Some(name) => self.body_of(&whole, name, size, &key),
        }
    }

    /// A large body to its end.
    fn body_of(&self, whole: &Whole, name: &str, size: u64, key: &DataKey) -> Result<()> {
        let body = self.files.body(name, size, Some(whole.file_key(key)?))?.ok_or(StoreError::Damaged("no file"))?;
        let mut at = 0;
        while at < size {
            at += body.read_now(at, crate::body::INLINE_LIMIT)?.len() as u64;
        }
        Ok(())
    }

    fn count(&self, sql: &str) -> Result<u64> {
        Ok(self.conn.query_row(sql, [], |row| row.get::<_, i64>(0))? as u64)
    }

    /// Counts and references.
    fn counts(&mut self) -> Result<()> {
        const NO_BODY: &str = "FROM message WHERE NOT EXISTS
            (SELECT 1 FROM body b WHERE b.mailbox = message.mailbox AND b.id = message.body)";
        {
            let mut select = self.conn.prepare(&format!(
                "SELECT coalesce((SELECT address FROM mailbox b WHERE b.id = message.mailbox), ''),
                     coalesce((SELECT name FROM folder f WHERE f.mailbox = message.mailbox AND f.id = message.folder), ''), uid, body {NO_BODY}"
            ))?;
            let rows = select.query_map([], |row| {
                Ok(Damage {
                    mailbox: row.get(0)?,
                    folder: row.get(1)?,
                    uid: row.get(2)?,
                    body: row.get::<_, i64>(3)? as u64,
                    what: "it has no body",
                })
            })?;
            self.report.dangling = rows.collect::<rusqlite::Result<_>>()?;
        }
        if self.repair && !self.report.dangling.is_empty() {
            self.conn.execute(
                &format!(
                    "UPDATE folder SET modseq = modseq + 1, expunged_floor = modseq + 1
                     WHERE (mailbox, id) IN (SELECT mailbox, folder {NO_BODY})"
                ),
                [],
            )?;
            self.conn.execute(&format!("DELETE {NO_BODY}"), [])?;
        }
        // A body has one reference, and those of `copies`.
        self.conn.execute_batch(
            "CREATE TEMP TABLE real_references AS SELECT mailbox, body, count(*) AS n FROM message GROUP BY mailbox, body;
             CREATE UNIQUE INDEX temp.real_references_key ON real_references (mailbox, body);",
        )?;
        let wrong = format!(
            "FROM body WHERE {NEEDED}
             AND coalesce((SELECT n FROM temp.real_references r WHERE r.mailbox = body.mailbox AND r.body = body.id), 0)
              != 1 + coalesce((SELECT more FROM copies c WHERE c.mailbox = body.mailbox AND c.body = body.id), 0)"
        );
        self.report.references = self.count(&format!("SELECT count(*) {wrong}"))?;
        if self.repair && self.report.references > 0 {
            self.conn.execute(
                &format!(
                    "INSERT OR IGNORE INTO garbage (mailbox, body, last) SELECT mailbox, id, id {wrong}
                     AND NOT EXISTS (SELECT 1 FROM temp.real_references r WHERE r.mailbox = body.mailbox AND r.body = body.id)"
                ),
                [],
            )?;
            self.conn.execute_batch(
                "DELETE FROM copies;
                 INSERT INTO copies (mailbox, body, more) SELECT mailbox, body, n - 1 FROM temp.real_references WHERE n > 1;",
            )?;
        }
        self.conn.execute_batch("DROP TABLE temp.real_references")?;
        const USAGE: &str = "SELECT m.id, coalesce(sum(x.size), 0) AS octets, count(x.uid) AS messages
            FROM mailbox m LEFT JOIN message x ON x.mailbox = m.id GROUP BY m.id";
        let wrong = format!(
            "SELECT m.id FROM mailbox m JOIN ({USAGE}) u ON u.id = m.id WHERE m.octets != u.octets OR m.messages != u.messages"
        );
        self.report.usage = self.count(&format!("SELECT count(*) FROM ({wrong})"))?;
        if self.repair && self.report.usage > 0 {
            self.conn.execute(
                &format!(
                    "UPDATE mailbox SET octets = u.octets, messages = u.messages FROM ({USAGE}) u WHERE u.id = mailbox.id"
                ),
                [],
            )?;
        }
        const MESSAGES: &str =
            "(SELECT count(*) FROM message m WHERE m.mailbox = folder.mailbox AND m.folder = folder.id)";
        self.report.counts = self.count(&format!("SELECT count(*) FROM folder WHERE messages != {MESSAGES}"))?;
        if self.repair && self.report.counts > 0 {
            self.conn.execute(&format!("UPDATE folder SET messages = {MESSAGES} WHERE messages != {MESSAGES}"), [])?;
        }
        Ok(())
    }

    /// Records that came after what the database has.
    fn records(&mut self) -> Result<()> {
        for number in self.segments.numbers()? {
            let Some(mut walk) = Walk::start(&self.segments, number, 0)? else { continue };
            loop {
                match walk.next()? {
                    Some((offset, whole)) => {
                        let spot = Spot { segment: number, offset, stored: whole.head.stored() };
                        self.record(&whole, spot)?;
                        self.step(whole.head.length());
                    }
                    None => {
                        let gap = (number, walk.offset);
                        if !walk.seek()? {
                            break;
                        }
                        if gap >= self.noted && !self.names(gap)? {
                            self.report.gaps += 1;
                        } else {
                            self.report.scars += 1;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether the database has a message there: what is damaged of it is told with its body.
    fn names(&self, (segment, place): (u32, u64)) -> Result<bool> {
        let mut select = self.conn.prepare_cached(
            "SELECT 1 FROM body WHERE segment = ?1 AND place = ?2
             UNION ALL SELECT 1 FROM queue_entry WHERE segment = ?1 AND place = ?2",
        )?;
        Ok(select.exists((segment, place as i64))?)
    }

    /// A record of a message the database has: whether it is where the database says, or where else it is. A copy has the structure
    /// sealed under the same random octets; another record with that number is of another message (a folder put back in parts, by hand).
    fn place(&mut self, owner: (i64, i64), whole: &Whole, spot: Spot) -> Result<()> {
        let row: Option<(Option<u32>, Option<i64>, Vec<u8>)> = self
            .conn
            .prepare_cached("SELECT segment, place, structure FROM body WHERE mailbox = ?1 AND id = ?2")?
            .query_row([owner.0, owner.1], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((Some(segment), Some(place), structure)) = row else { return Ok(()) };
        if (segment, place as u64) == (spot.segment, spot.offset) || structure != whole.structure() {
            return Ok(());
        }
        let there = match Walk::start(&self.segments, segment, place as u64)? {
            Some(mut walk) => {
                walk.next()?.is_some_and(|(at, other)| at == place as u64 && other.head.owner == whole.head.owner)
            }
            None => false,
        };
        if there {
            return Ok(());
        }
        self.report.moved += 1;
        if self.repair {
            self.conn
                .prepare_cached("UPDATE body SET segment = ?3, place = ?4, stored = ?5 WHERE mailbox = ?1 AND id = ?2")?
                .execute(params![owner.0, owner.1, spot.segment, spot.offset as i64, spot.stored as i64])?;
        }
        Ok(())
    }

    fn record(&mut self, whole: &Whole, spot: Spot) -> Result<()> {
        let Owner::Mailbox(mailbox, body) = whole.head.owner else {
            if super::replay::has(self.conn, whole.head.owner)? == Some(false) {
                self.report.queue += 1;
                if let (true, Owner::Queue(id)) = (self.repair, whole.head.owner) {
                    // Its number is not given again, and it is told once.
                    self.conn.execute(
                        "UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'queue_entry'",
                        [id as i64],
                    )?;
                }
            }
            return Ok(());
        };
        let next: Option<i64> = self
            .conn
            .prepare_cached("SELECT next_body FROM mailbox WHERE id = ?1")?
            .query_row([mailbox.0 as i64], |row| row.get(0))
            .optional()?;
        let Some(next) = next else {
            self.report.strangers += 1;
            return Ok(());
        };
        if next as u64 > body {
            return self.place((mailbox.0 as i64, body as i64), whole, spot);
        }
        let Ok(Facts::Delivery(delivery)) = facts::read(whole.facts()) else { return Ok(()) };
        self.report.unnamed += 1;
        if self.repair { self.deliver(mailbox.0 as i64, body, whole, spot, &delivery) } else { Ok(()) }
    }

    /// A message gets its rows again, as it was delivered.
    fn deliver(&mut self, mailbox: i64, body: u64, whole: &Whole, spot: Spot, delivery: &Delivery) -> Result<()> {
        let mut placed = 0_i64;
        for placement in &delivery.placements {
            let known = self
                .conn
                .prepare_cached(
                    "UPDATE folder SET uid_next = max(uid_next, ?3 + 1), modseq = max(modseq + 1, ?4)
                     WHERE mailbox = ?1 AND id = ?2 AND uid_validity = ?5 RETURNING modseq",
                )?
                .query_row(
                    params![
                        mailbox,
                        placement.folder.0,
                        placement.entry.uid.0,
                        placement.entry.modseq.0 as i64,
                        placement.uid_validity.0
                    ],
                    |row| row.get::<_, i64>(0),
                )
                .optional()?;
            let Some(modseq) = known else {
                self.report.strangers += 1;
                continue;
            };
            let entry = &placement.entry;
            let flags = super::messages::system_only(entry.flags).bits() as i64;
            placed += self
                .conn
                .prepare_cached(
                    "INSERT OR IGNORE INTO message (mailbox, folder, uid, size, flags, modseq, internal_date, body, saved, thread)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0)",
                )?
                .execute(params![
                    mailbox,
                    placement.folder.0,
                    entry.uid.0,
                    entry.size,
                    flags,
                    modseq,
                    entry.internal_date,
                    body as i64,
                    entry.saved
                ])? as i64;
        }
        if placed == 0 {
            return Ok(());
        }
        self.conn
            .prepare_cached(
                "INSERT OR IGNORE INTO body (mailbox, id, size, refs, file, structure, segment, place, stored)
                 VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                mailbox,
                body as i64,
                whole.head.size as i64,
                delivery.file,
                whole.structure(),
                spot.segment,
                spot.offset as i64,
                spot.stored as i64
            ])?;
        self.conn
            .prepare_cached("UPDATE mailbox SET next_body = max(next_body, ?2) WHERE id = ?1")?
            .execute(params![mailbox, body as i64 + 1])?;
        Ok(())
    }
}

/// How a data folder is looked over.
pub struct Checking<'a> {
    /// The folder of the store.
    pub store: &'a Path,
    /// Whether what can be mended is.
    pub repair: bool,
    /// A backup to take from what is damaged here.
    pub backup: Option<&'a Path>,
    /// How the store is opened.
    pub options: Options,
}

impl Sqlite {
    /// Looks over a data folder that no server uses; `repair`: mends what can be (see the module). Without it nothing is changed but
    /// what opening the database changes (an earlier format is brought up to date). Blocking, and reads everything.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when a server uses the folder, or there is no database; [`StoreError::Io`].
    pub fn fsck(folder: &Path, repair: bool, options: Options) -> Result<Report> {
        Self::fsck_with(&Checking { store: folder, repair, backup: None, options }, &mut |_, _| {})
    }

    /// The same, with a backup, telling how far it is.
    ///
    /// # Errors
    /// As [`Sqlite::fsck`].
    pub fn fsck_with(how: &Checking<'_>, told: Told<'_>) -> Result<Report> {
        let folder = how.store;
        if !folder.is_dir() {
            return Err(StoreError::Unusable(format!("{} is not there", folder.display())));
        }
        let _lock = lock(folder)?;
        let path = folder.join(DATABASE);
        let mut report = Report::default();
        let mut sound = path.try_exists()? && rescue::is_sound(&path);
        if let (false, true, Some(backup)) = (sound, how.repair, how.backup) {
            rescue::database(folder, backup)?;
            report.database_brought = true;
            sound = true;
        }
        if !sound && !path.try_exists()? {
            return Err(StoreError::Unusable(format!(
                "{} is not there: repair with a backup brings it back",
                path.display()
            )));
        }
        let conn = super::schema::open_writer(&path, true).map_err(|error| match error {
            StoreError::Io(what) if !sound => StoreError::Unusable(format!(
                "{} is damaged ({what}): repair with a backup brings it back",
                path.display()
            )),
            error => error,
        })?;
        let keys = super::open_keys(folder, how.options.clone(), &conn)?;
        let segments = Segments::open(folder.join("segments"))?;
        let files = Files::open(folder.join("bodies"))?;
        let tx = conn.unchecked_transaction()?;
        let noted = conn
            .query_row("SELECT segment, place FROM log", [], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?;
        let mut total =
            conn.query_row("SELECT coalesce(sum(size), 0) FROM body", [], |row| row.get::<_, i64>(0))? as u64;
        for number in segments.numbers()? {
            total += std::fs::metadata(segments.path(number))?.len();
        }
        {
            let mut select = conn.prepare("PRAGMA integrity_check")?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                let line: String = row.get(0)?;
                if line != "ok" {
                    report.database.push(line);
                }
            }
        }
        if how.repair && !report.database.is_empty() {
            // What is wrong with an index only is over then.
            conn.execute_batch("REINDEX")?;
            let still: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
            if still == "ok" {
                report.database.clear();
                report.moved += 1;
            }
        }
        // What the log has first, so that it is checked with the rest.
        if let Err(error) = super::replay::replay(&conn, &keys, &segments) {
            tracing::warn!(%error, "the log is not whole");
        }
        let mut check = Check {
            conn: &conn,
            keys: &keys,
            segments,
            files,
            repair: how.repair,
            report,
            broken: Vec::new(),
            noted,
            told,
            done: (0, total),
        };
        check.records()?;
        check.counts()?;
        check.bodies()?;
        if let (true, Some(backup), false) = (how.repair, how.backup, check.broken.is_empty()) {
            check.rescue(backup)?;
        }
        check.name()?;
        let report = check.report;
        if how.repair {
            if report.database_brought {
                // Numbers were given since that nobody knows any more.
                super::backup::raise(&conn, &keys)?;
            }
            // Everything in the log was looked at.
            if let Some(last) = check.segments.numbers()?.last().copied() {
                let length = written(&check.segments, last)?;
                conn.execute("UPDATE log SET segment = ?1, place = ?2", params![last, length as i64])?;
            }
            tx.commit()?;
        } else {
            tx.rollback()?;
        }
        Ok(report)
    }
}

/// Where what was written to a segment ends: behind its last record, or what is left of one; zeros behind are prewritten.
fn written(segments: &Segments, segment: u32) -> Result<u64> {
    let Some(mut walk) = Walk::start(segments, segment, 0)? else { return Ok(FIRST) };
    let mut end = walk.offset;
    loop {
        if let Some(head) = walk.head()? {
            // Also that of a damaged record: a row may name it.
            end = end.max(walk.offset + head.length());
        }
        if walk.next()?.is_none() && !walk.seek()? {
            break;
        }
    }
    walk.last_written(end)
}
