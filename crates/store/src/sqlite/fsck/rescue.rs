//! What a repair takes from a backup.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::super::DATABASE;
use super::super::backup::Manifest;
use super::super::files::{make_private, sync_folder};
use super::super::record::{Owner, Whole};
use super::super::segment::{FIRST, Position, Spot, TITLE, read};
use super::{Broken, Check};
use crate::{MailboxId, Result, StoreError};

/// Whether a database opens and says of itself that it is whole.
pub(super) fn is_sound(path: &Path) -> bool {
    let look = || -> rusqlite::Result<bool> {
        let conn = Connection::open(path)?;
        let line: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        // An empty file is a whole database of nothing.
        conn.prepare("SELECT 1 FROM mailbox")?;
        Ok(line == "ok")
    };
    look().unwrap_or(false)
}

fn manifest(backup: &Path) -> Result<Manifest> {
    Manifest::read(backup)?.ok_or_else(|| StoreError::Unusable(format!("{} is no backup", backup.display())))
}

/// Puts the backup's database in its place; what was there is kept beside.
pub(super) fn database(store: &Path, backup: &Path) -> Result<()> {
    let manifest = manifest(backup)?;
    let path = format!("store/{DATABASE}");
    let by_path = manifest.by_path();
    let item = by_path.get(path.as_str()).ok_or(StoreError::Damaged("the backup has no database"))?;
    let new = store.join("store.db.new");
    let octets = std::io::copy(
        &mut File::open(backup.join(&item.at))?,
        &mut File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?,
    )?;
    if octets != item.size || !is_sound(&new) {
        std::fs::remove_file(&new)?;
        return Err(StoreError::Damaged("the database of the backup"));
    }
    File::open(&new)?.sync_all()?;
    for name in [DATABASE.to_owned(), format!("{DATABASE}-wal"), format!("{DATABASE}-shm")] {
        let former = store.join(&name);
        if former.try_exists()? {
            std::fs::rename(&former, store.join(format!("{name}.damaged")))?;
        }
    }
    std::fs::rename(&new, store.join(DATABASE))?;
    sync_folder(store)
}

impl Check<'_> {
    /// Looks for the broken bodies in a backup; those found are broken no more.
    pub(super) fn rescue(&mut self, backup: &Path) -> Result<()> {
        let manifest = manifest(backup)?;
        let by_path = manifest.by_path();
        let database = by_path
            .get(format!("store/{DATABASE}").as_str())
            .ok_or(StoreError::Damaged("the backup has no database"))?;
        let theirs = Connection::open_with_flags(backup.join(&database.at), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let number = self.segments.numbers()?.last().map_or(1, |last| last + 1);
        let mut segment: Option<(File, u64)> = None;
        let mut left = Vec::new();
        for broken in std::mem::take(&mut self.broken) {
            let at = |path: &str| by_path.get(path).map(|item| backup.join(&item.at));
            let Some(whole) = self.theirs(&theirs, &at, &broken)? else {
                left.push(broken);
                continue;
            };
            let (file, end) = match &mut segment {
                Some(open) => open,
                None => {
                    let file =
                        File::options().write(true).create_new(true).mode(0o600).open(self.segments.path(number))?;
                    file.write_all_at(&TITLE, 0)?;
                    segment.insert((file, FIRST))
                }
            };
            let mut record = whole.copy();
            // Its number is one that no batch before has, and none after: the log begins behind it.
            record.finish(Position { segment: number, offset: FIRST }.number(), 0, 1, false);
            file.write_all_at(&record.octets, *end)?;
            self.conn
                .prepare_cached("UPDATE body SET segment = ?3, place = ?4, stored = ?5, structure = ?6 WHERE mailbox = ?1 AND id = ?2")?
                .execute(params![
                    broken.mailbox,
                    broken.body,
                    number,
                    *end as i64,
                    whole.head.stored() as i64,
                    whole.structure()
                ])?;
            *end += record.octets.len() as u64;
            self.report.rescued += 1;
        }
        if let Some((file, _)) = segment {
            file.sync_all()?;
            if let Some(folder) = self.segments.path(number).parent() {
                sync_folder(folder)?;
            }
        }
        self.broken = left;
        Ok(())
    }

    /// What the backup has of one; its file is put in its place.
    fn theirs(
        &self,
        conn: &Connection,
        at: &dyn Fn(&str) -> Option<std::path::PathBuf>,
        broken: &Broken,
    ) -> Result<Option<Whole>> {
        let row: Option<(Option<u32>, Option<i64>, Option<i64>)> = conn
            .prepare_cached("SELECT segment, place, stored FROM body WHERE mailbox = ?1 AND id = ?2")?
            .query_row([broken.mailbox, broken.body], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((Some(segment), Some(place), Some(stored))) = row else { return Ok(None) };
        let spot = Spot { segment, offset: place as u64, stored: stored as u64 };
        let Some(path) = at(&format!("store/segments/{segment:08}.seg")) else { return Ok(None) };
        let owner = Owner::Mailbox(MailboxId(broken.mailbox as u64), broken.body as u64);
        let file = File::open(path)?;
        let whole = match read(&file, spot.offset, spot.stored) {
            Ok(whole) if whole.head.owner == owner && whole.head.size == broken.size => whole,
            Ok(_) | Err(StoreError::Damaged(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        // Read anew with the facts, which a copy has.
        let whole = match read(&file, spot.offset, whole.head.length()) {
            Ok(whole) => whole,
            Err(StoreError::Damaged(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let key = match self.keys.get(owner.key()) {
            Ok(key) => key,
            Err(StoreError::NoKey | StoreError::Damaged(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(name) = &broken.file else {
            return Ok(whole.clone().into_body(&key).is_ok().then_some(whole));
        };
        let Some(path) = at(&format!("store/bodies/{}/{name}", name.get(..2).unwrap_or_default())) else {
            return Ok(None);
        };
        if whole.file_key(&key).is_err() || !whole.head.in_file() {
            return Ok(None);
        }
        let target = self.files.path(name);
        let folder = target.parent().ok_or(StoreError::Damaged("the name of a file"))?;
        make_private(folder)?;
        let new = folder.join("copying.new");
        let mut out = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        std::io::copy(&mut File::open(path)?, &mut out)?;
        out.flush()?;
        out.sync_all()?;
        std::fs::rename(&new, &target)?;
        sync_folder(folder)?;
        // It decrypts, to the end.
        Ok(self.body_of(&whole, name, broken.size, &key).is_ok().then_some(whole))
    }
}
