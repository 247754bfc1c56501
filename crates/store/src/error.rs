//! What can go wrong in a store, told by what the caller can do about it.

/// Why the store did not do what was asked. Nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// No mailbox has this id or address.
    #[error("no such mailbox")]
    NoSuchMailbox,
    /// The address is taken.
    #[error("the mailbox exists already")]
    MailboxExists,
    /// No folder has this name.
    #[error("no such folder")]
    NoSuchFolder,
    /// A folder has this name already, or is where this one would go.
    #[error("the folder exists already")]
    FolderExists,
    /// INBOX cannot be deleted, a folder cannot go under itself, a mailbox has only so many folders…
    #[error("the folder cannot be changed that way: {0}")]
    FolderRefused(&'static str),
    /// The mailbox's quota does not allow it (storage or number of messages).
    #[error("the mailbox is over its quota")]
    OverQuota,
    /// The folder knows as many keywords as it can.
    #[error("the folder has no room for another keyword")]
    TooManyKeywords,
    /// An annotation is too long, or there would be too many of them ([`crate::sharing`]).
    #[error("too many annotations, or one that is too long")]
    TooManyAnnotations,
    /// The disk is full. Temporary.
    #[error("no space left on the storage device")]
    Full,
    /// The store is closing or closed. Temporary.
    #[error("the store is closed")]
    Closed,
    /// The store is in use by another server, or was written by a newer version.
    #[error("the store cannot be opened: {0}")]
    Unusable(String),
    /// The mailbox's data key is not there: destroyed with the mailbox, or not brought back with a backup. For good.
    #[error("the mailbox's key is gone: what it encrypted cannot be read any more")]
    NoKey,
    /// What lies on disk is not what was written there.
    #[error("the data are damaged: {0}")]
    Damaged(&'static str),
    /// Any other trouble with the storage device or the engine. Temporary as far as a client is concerned.
    #[error("storage trouble: {0}")]
    Io(String),
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => StoreError::Full,
            // A limit on the size of files (RLIMIT_FSIZE) is a full disk as far as one message is concerned.
            std::io::ErrorKind::FileTooLarge => StoreError::Full,
            _ => StoreError::Io(error.to_string()),
        }
    }
}
