//! Messages, always by UID: search, fetch, store, expunge, move.

use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::Result;
use super::folder::numbers;
use super::{ClientError, Command, Connection, Fetched, MAX_NUMBERS, Take, Untagged};

/// Longest set of UIDs in one command: servers take lines of 8,192 octets at least (RFC 7162 §4).
const MAX_SET: usize = 7_000;

/// UIDs (ascending) as sets for commands, each with at most `most` messages.
#[must_use]
pub fn uid_sets(uids: &[u32], most: usize) -> Vec<String> {
    let mut sets = Vec::new();
    let mut set = String::new();
    let mut count = 0;
    let mut at = 0;
    while at < uids.len() {
        let first = uids[at];
        let mut last = first;
        count += 1;
        at += 1;
        while at < uids.len() && count < most && last.checked_add(1) == Some(uids[at]) {
            last = uids[at];
            at += 1;
            count += 1;
        }
        if !set.is_empty() {
            set.push(',');
        }
        set.push_str(&if first == last { first.to_string() } else { format!("{first}:{last}") });
        if count >= most || set.len() >= MAX_SET {
            sets.push(std::mem::take(&mut set));
            count = 0;
        }
    }
    if !set.is_empty() {
        sets.push(set);
    }
    sets
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    /// UID SEARCH: ascending, each once. `keys` begins with a space.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn uid_search(&mut self, keys: impl Fn(Command) -> Command + Send, utf8: bool) -> Result<Vec<u32>> {
        let mut command = Command::new("UID SEARCH");
        if self.capabilities.can("ESEARCH") {
            command = command.text(" RETURN (ALL)");
        }
        // With UTF8=ACCEPT a charset may not be named (RFC 6855 §3).
        if utf8 && !self.utf8 {
            command = command.text(" CHARSET UTF-8");
        }
        let mut found: Vec<u32> = Vec::new();
        let mut too_many = false;
        self.run(&keys(command), &mut |untagged| {
            match untagged {
                Untagged::Search(uids) => found.extend(uids),
                Untagged::ESearch(_, ranges) => found.extend(numbers(ranges)),
                _ => return,
            }
            too_many |= found.len() as u64 > MAX_NUMBERS;
            if too_many {
                found.clear();
            }
        })
        .await?;
        if too_many {
            return Err(ClientError::TooMuch("numbers found"));
        }
        found.retain(|uid| *uid > 0);
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// UID FETCH as a command: `items` in parentheses, what follows them in `modifiers`.
    #[must_use]
    pub fn fetch_command(set: &str, items: &str, modifiers: &str) -> Command {
        Command::new("UID FETCH").text(" ").text(set).text(" ").text(items).text(modifiers)
    }

    /// UID FETCH of what fits in memory; every FETCH with a UID is given.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn uid_fetch(
        &mut self,
        set: &str,
        items: &str,
        modifiers: &str,
        take: &mut (dyn FnMut(u32, Fetched) + Send),
    ) -> Result<()> {
        let command = Self::fetch_command(set, items, modifiers);
        self.run(&command, &mut |untagged| {
            if let Untagged::Fetch(fetched) = untagged
                && let Some(uid) = fetched.uid
            {
                take(uid, fetched);
            }
        })
        .await
        .map(drop)
    }

    /// UID STORE, silently: `sign` is `+` or `-`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn uid_store(&mut self, set: &str, sign: char, flags: &[&str]) -> Result<()> {
        let command = Command::new("UID STORE").text(" ").text(set).text(&format!(" {sign}FLAGS.SILENT ")).flags(flags);
        self.run(&command, &mut |_| {}).await.map(drop)
    }

    /// UID EXPUNGE (RFC 4315): those of the set that are marked `\Deleted`, and no others.
    ///
    /// # Errors
    /// [`ClientError::Unsupported`] without UIDPLUS: a plain EXPUNGE would take what others have marked.
    pub async fn uid_expunge(&mut self, set: &str, take: Take<'_>) -> Result<()> {
        if !self.capabilities.can("UIDPLUS") {
            return Err(ClientError::Unsupported("UIDPLUS"));
        }
        self.run(&Command::new("UID EXPUNGE").text(" ").text(set), take).await.map(drop)
    }

    /// UID MOVE (RFC 6851).
    ///
    /// # Errors
    /// [`ClientError::Unsupported`] without MOVE.
    pub async fn uid_move(&mut self, set: &str, folder: &str) -> Result<()> {
        if !self.capabilities.can("MOVE") {
            return Err(ClientError::Unsupported("MOVE"));
        }
        let command = Command::new("UID MOVE").text(" ").text(set).text(" ").string(&self.wire_name(folder));
        self.run(&command, &mut |_| {}).await.map(drop)
    }

    /// UID COPY.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn uid_copy(&mut self, set: &str, folder: &str) -> Result<()> {
        let command = Command::new("UID COPY").text(" ").text(set).text(" ").string(&self.wire_name(folder));
        self.run(&command, &mut |_| {}).await.map(drop)
    }
}
