//! A consistent copy of a data folder while a server uses it, and the keys apart.
//!
//! The copy holds the database as of one moment, and the segments up to the last record it names; full segments and large bodies
//! are hard links where the file system allows it, so that a copy on the same disk takes no room for them. It never holds
//! `keys/`: what is in it is unreadable without, and stays so when a key is destroyed.

use std::fs::File;
use std::path::Path;

use rusqlite::Connection;

use super::files::{make_private, sync_folder};
use super::record::HEAD;
use super::segment::{FIRST, Segments, Walk};
use super::{DATABASE, Sqlite};
use crate::keys::{Keys, Slot};
use crate::{Result, StoreError};

/// Links or copies the files of a folder that the other has not yet.
fn take(from: &Path, to: &Path) -> Result<()> {
    make_private(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            take(&path, &copy)?;
        } else if !copy.exists() && std::fs::hard_link(&path, &copy).is_err() {
            match std::fs::copy(&path, &copy) {
                Ok(_) => File::open(&copy)?.sync_all()?,
                // Removed meanwhile: what names it is not in the copy of the database, or names another place.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
    sync_folder(to)
}

/// Where the log ends for a database: behind the last record it names.
fn cut(conn: &Connection, segments: &Segments) -> Result<(u32, u64)> {
    let (mut segment, mut place): (u32, i64) =
        conn.query_row("SELECT segment, place FROM log", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for table in ["body", "queue_entry"] {
        let mut select = conn.prepare(&format!(
            "SELECT segment, place FROM {table} WHERE (segment, place) >= (?1, ?2) ORDER BY segment DESC, place DESC LIMIT 1"
        ))?;
        let mut rows = select.query((segment, place))?;
        if let Some(row) = rows.next()? {
            (segment, place) = (row.get(0)?, row.get(1)?);
        }
    }
    let Some(walk) = Walk::start(segments, segment, place as u64)? else {
        return Err(StoreError::Damaged("a segment is not there"));
    };
    // The noted place has no record if nothing came since.
    let head = walk.head()?;
    let named: bool = conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM body WHERE segment = ?1 AND place = ?2)
             OR EXISTS (SELECT 1 FROM queue_entry WHERE segment = ?1 AND place = ?2)",
        (segment, place),
        |row| row.get(0),
    )?;
    let length = head.filter(|_| named).map_or(0, |head| head.length());
    debug_assert!(length == 0 || length > HEAD as u64);
    Ok((segment, (place as u64).max(FIRST) + length))
}

fn backup(data: &Path, target: &Path) -> Result<()> {
    if target.join(DATABASE).exists() {
        return Err(StoreError::Unusable(format!("{} holds a store already", target.display())));
    }
    make_private(target)?;
    // Twice: what compaction removes meanwhile was taken the first time, what is new the second.
    for name in ["segments", "bodies"] {
        take(&data.join(name), &target.join(name))?;
    }
    let path = target.join(DATABASE);
    {
        let conn = super::schema::open_reader(&data.join(DATABASE))?;
        let to = path.to_str().ok_or_else(|| StoreError::Unusable("its name is not UTF-8".into()))?;
        conn.execute("VACUUM INTO ?1", [to])?;
    }
    for name in ["segments", "bodies"] {
        take(&data.join(name), &target.join(name))?;
    }
    let conn = Connection::open(&path)?;
    let segments = Segments::open(target.join("segments"))?;
    let (segment, end) = cut(&conn, &segments)?;
    for number in segments.numbers()? {
        let file = segments.path(number);
        if number > segment {
            std::fs::remove_file(&file)?;
        } else if number == segment {
            // The server goes on writing to this one: a copy, cut.
            let copy = target.join("segments/cut");
            std::fs::copy(&file, &copy)?;
            let cut = File::options().write(true).open(&copy)?;
            cut.set_len(end)?;
            cut.sync_all()?;
            std::fs::rename(&copy, &file)?;
        }
    }
    conn.execute("UPDATE log SET segment = ?1, place = ?2", (segment, end as i64))?;
    // What a mailbox had that is gone may be destroyed by whoever opens the copy; not the keys of those that are there.
    drop(conn);
    File::open(&path)?.sync_all()?;
    sync_folder(&target.join("segments"))?;
    sync_folder(target)
}

/// An exported key: its slot's number, the length of the wrapped key, the wrapped key.
const TITLE: &[u8; 16] = b"VAGUEMESTREKEY1\n";

impl Sqlite {
    /// Copies everything but the keys to a new folder, as of one moment, while the store is used.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when the folder holds a store already; [`StoreError::Full`], [`StoreError::Io`].
    pub async fn backup(&self, target: &Path) -> Result<()> {
        self.served()?;
        let (data, target) = (self.folder.clone(), target.to_owned());
        tokio::task::spawn_blocking(move || backup(&data, &target))
            .await
            .map_err(|e| StoreError::Io(format!("a copying thread ended: {e}")))?
    }

    /// Writes all data keys, as the master key wraps them, to one new file, to be kept apart from backups. Blocking.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Full`].
    pub fn export_keys(&self, target: &Path) -> Result<()> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let keys = &self.place.keys;
        let mut out = TITLE.to_vec();
        for number in 0..keys.slots()? {
            if let Slot::Wrapped(wrapped) = keys.slot(number)? {
                out.extend_from_slice(&number.to_be_bytes());
                // A slot's length is far below 64 KiB.
                out.extend_from_slice(&(wrapped.len() as u16).to_be_bytes());
                out.extend_from_slice(&wrapped);
            }
        }
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(target)?;
        file.write_all(&out)?;
        file.sync_all()?;
        Ok(())
    }

    /// Brings keys of an export into the data folder of a store that no server uses: those that are not there. A key that was destroyed
    /// stays so. Answers how many were brought. Blocking.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for a file that is no export; [`StoreError::Io`].
    pub fn import_keys(folder: &Path, from: &Path, options: super::Options) -> Result<usize> {
        let octets = std::fs::read(from)?;
        let ill_formed = StoreError::Damaged("the file holds no exported keys");
        let mut rest = octets.strip_prefix(TITLE.as_slice()).ok_or(ill_formed.clone())?;
        let folder = folder.join("keys");
        make_private(&folder)?;
        let keys = Keys::open(&folder, super::keeper(&folder, options)?)?;
        let mut brought = 0;
        while let Some((head, after)) = rest.split_first_chunk::<10>() {
            let number = u64::from_be_bytes([head[0], head[1], head[2], head[3], head[4], head[5], head[6], head[7]]);
            let length = usize::from(u16::from_be_bytes([head[8], head[9]]));
            let (wrapped, after) = after.split_at_checked(length).ok_or(ill_formed.clone())?;
            rest = after;
            if keys.slot(number)? == Slot::Empty {
                keys.put(number, wrapped)?;
                // Of this master key, or of no use.
                keys.get(number)?;
                brought += 1;
            }
        }
        keys.sync()?;
        if rest.is_empty() { Ok(brought) } else { Err(ill_formed) }
    }
}
