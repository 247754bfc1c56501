//! What a check found.

/// What [`Sqlite::fsck`](crate::sqlite::Sqlite::fsck) found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Messages whose octets were read, decrypted and compared.
    pub bodies: u64,
    /// Messages whose record or file is damaged or not there. Mended only from a backup.
    pub damaged: Vec<Damage>,
    /// Messages that were so, and have what the backup had of them.
    pub rescued: u64,
    /// Whether the database is that of the backup.
    pub database_brought: bool,
    /// Bodies whose mailbox's key is gone.
    pub without_key: u64,
    /// Messages in folders that name a body that is not there. Mended: removed.
    pub dangling: Vec<Damage>,
    /// Records that are elsewhere than the database says. Mended.
    pub moved: u64,
    /// Bodies whose count of references was wrong. Mended.
    pub references: u64,
    /// Mailboxes whose usage was wrong. Mended.
    pub usage: u64,
    /// Folders whose number of messages was wrong. Mended.
    pub counts: u64,
    /// Records of known mailboxes that the database never had. Mended: delivered as they were.
    pub unnamed: u64,
    /// Records of mailboxes, or in folders, that the database does not know.
    pub strangers: u64,
    /// Records of entries of the outgoing queue that the database never had. Told once: whether they were sent is not known.
    pub queue: u64,
    /// Places in segments, in mail not indexed yet, that are no record, though records follow: mail that was lost. Told once.
    pub gaps: u64,
    /// The same in mail that is indexed: what matters of it is in [`Report::damaged`].
    pub scars: u64,
    /// What the database says of itself, if not "ok".
    pub database: Vec<String>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn clean(&self) -> bool {
        let Report {
            bodies: _,
            damaged,
            rescued,
            database_brought,
            without_key: _,
            dangling,
            moved,
            references,
            usage,
            counts,
            unnamed,
            strangers: _,
            queue,
            gaps,
            scars: _,
            database,
        } = self;
        damaged.is_empty()
            && dangling.is_empty()
            && database.is_empty()
            && !database_brought
            && [*rescued, *moved, *references, *usage, *counts, *unnamed, *queue, *gaps].iter().all(|n| *n == 0)
    }

    /// Whether a repair leaves nothing to be found by the next check.
    pub fn mended(&self) -> bool {
        self.damaged.is_empty() && self.database.is_empty()
    }
}

/// A message that is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The address of its mailbox.
    pub mailbox: String,
    /// The folder; empty for a body that no folder has.
    pub folder: String,
    /// Its UID there; 0 for a body that no folder has.
    pub uid: u32,
    /// The number of its body.
    pub body: u64,
    /// What is wrong with it.
    pub what: &'static str,
}
