//! Folders: LIST, STATUS, SELECT, CREATE.

use std::ops::RangeInclusive;

use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::Result as Done;
use super::cursor::{Cursor, Result};
use super::{ClientError, Code, Command, Connection, MAX_FOLDERS, Take, Untagged};

/// A folder of the mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// In Unicode.
    pub name: String,
    /// As the server writes it.
    pub raw: String,
    /// What separates levels.
    pub separator: Option<char>,
    /// `\HasNoChildren`, `\Sent`…
    pub flags: Vec<String>,
}

impl Listed {
    /// Whether a flag is set.
    #[must_use]
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|f| f.eq_ignore_ascii_case(flag))
    }

    /// After `LIST `. None for a name that cannot be asked for again: with a control character, or not in UTF-8.
    pub(super) fn read(cursor: &mut Cursor<'_>, utf8: bool) -> Result<Option<Untagged>> {
        let flags = cursor.flags()?;
        cursor.spaces();
        let separator = cursor.nstring()?;
        cursor.spaces();
        let octets = cursor.astring()?;
        let separator = separator.and_then(|s| std::str::from_utf8(&s).ok()?.chars().next());
        let raw = std::str::from_utf8(&octets).ok().filter(|raw| !raw.chars().any(char::is_control));
        Ok(raw.map(|raw| {
            let listed = |name: String| Listed { name, raw: raw.to_owned(), separator, flags };
            match folder_name(&octets, utf8) {
                Some(name) => Untagged::List(listed(name)),
                None => Untagged::OddList(listed(raw.to_owned())),
            }
        }))
    }
}

fn folder_name(raw: &[u8], utf8: bool) -> Option<String> {
    let name = if utf8 { String::from_utf8(raw.to_vec()).ok() } else { crate::utf7::decode(raw) };
    let name = name.filter(|name| !name.chars().any(char::is_control))?;
    Some(if name.eq_ignore_ascii_case("INBOX") { "INBOX".to_owned() } else { name })
}

/// STATUS. What was not told is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// The folder, in Unicode; empty when its name is not in its proper form.
    pub name: String,
    /// MESSAGES.
    pub messages: Option<u32>,
    /// UNSEEN.
    pub unseen: Option<u32>,
    /// UIDNEXT.
    pub uid_next: Option<u32>,
    /// UIDVALIDITY.
    pub uid_validity: Option<u32>,
    /// HIGHESTMODSEQ.
    pub highest_modseq: Option<u64>,
    /// SIZE.
    pub size: Option<u64>,
}

impl Counts {
    /// After `STATUS `.
    pub(super) fn read(cursor: &mut Cursor<'_>, utf8: bool) -> Result<Counts> {
        let name = folder_name(&cursor.astring()?, utf8).unwrap_or_default();
        let mut counts = Counts { name, ..Counts::default() };
        cursor.spaces();
        cursor.expect(b'(')?;
        loop {
            cursor.spaces();
            if cursor.eat(b')') {
                return Ok(counts);
            }
            let item = cursor.atom()?.to_ascii_uppercase();
            cursor.expect(b' ')?;
            match item.as_str() {
                "MESSAGES" => counts.messages = Some(cursor.number32()?),
                "UNSEEN" => counts.unseen = Some(cursor.number32()?),
                "UIDNEXT" => counts.uid_next = Some(cursor.number32()?),
                "UIDVALIDITY" => counts.uid_validity = Some(cursor.number32()?),
                "HIGHESTMODSEQ" => counts.highest_modseq = Some(cursor.number()?),
                "SIZE" => counts.size = Some(cursor.number()?),
                _ => cursor.skip()?,
            }
        }
    }
}

/// A folder that is open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selected {
    /// Messages.
    pub exists: u32,
    /// UIDVALIDITY.
    pub validity: u32,
    /// UIDNEXT; 0 when the server did not tell.
    pub next: u32,
    /// HIGHESTMODSEQ; none when changes are not counted.
    pub modseq: Option<u64>,
    /// Nothing can be changed.
    pub read_only: bool,
    /// Flags that can be set for good; `\*`: any keyword.
    pub permanent: Vec<String>,
}

/// What is known of a folder that is opened again (QRESYNC).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resync {
    /// UIDVALIDITY.
    pub validity: u32,
    /// HIGHESTMODSEQ, not 0.
    pub modseq: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    /// All folders, with their special uses where the server knows them.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list(&mut self) -> Done<Vec<Listed>> {
        let mut folders: Vec<Listed> = Vec::new();
        let command = Command::new("LIST").text(" \"\" \"*\"");
        // Servers tell special uses unasked; those that would rather be asked say so by SPECIAL-USE and LIST-EXTENDED.
        let ask = self.capabilities.has("SPECIAL-USE") && self.capabilities.has("LIST-EXTENDED");
        let command = if ask { command.text(" RETURN (SPECIAL-USE)") } else { command };
        self.run(&command, &mut |untagged| {
            if let Untagged::List(listed) = untagged
                && folders.len() <= MAX_FOLDERS
            {
                folders.push(listed);
            }
        })
        .await?;
        if folders.len() > MAX_FOLDERS { Err(ClientError::TooMuch("folders")) } else { Ok(folders) }
    }

    /// STATUS of a folder.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn counts(&mut self, folder: &str) -> Done<Counts> {
        let size = if self.capabilities.has("STATUS=SIZE") { " SIZE" } else { "" };
        let items = format!(" (MESSAGES UNSEEN UIDNEXT UIDVALIDITY{size})");
        let command = Command::new("STATUS").text(" ").string(&self.wire_name(folder)).text(&items);
        let mut counts = None;
        self.run(&command, &mut |untagged| {
            if let Untagged::Counts(told) = untagged {
                counts = Some(told);
            }
        })
        .await?;
        counts.ok_or(ClientError::Protocol("STATUS without an answer"))
    }

    /// SELECT: opens a folder. With `resync` (QRESYNC must be enabled) what changed is given to `take` as VANISHED and FETCH; a
    /// changed UIDVALIDITY shows in what is returned.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn select(&mut self, folder: &str, resync: Option<Resync>, take: Take<'_>) -> Done<Selected> {
        let command = Command::new("SELECT").text(" ").string(&self.wire_name(folder));
        let command = match resync {
            Some(Resync { validity, modseq }) => command.text(&format!(" (QRESYNC ({validity} {modseq}))")),
            None if self.capabilities.has("CONDSTORE") && !self.has_enabled("QRESYNC") => command.text(" (CONDSTORE)"),
            None => command,
        };
        let mut selected = Selected::default();
        let mut closing = false;
        let told = self
            .run(&command, &mut |untagged| match untagged {
                Untagged::Exists(exists) => selected.exists = exists,
                Untagged::Status(told) => match told.code {
                    // What came before was of the folder that was open (RFC 7162 §3.2.11).
                    Some(Code::Closed) => (selected, closing) = (Selected::default(), true),
                    Some(Code::UidValidity(validity)) => selected.validity = validity,
                    Some(Code::UidNext(next)) => selected.next = next,
                    Some(Code::HighestModSeq(modseq)) => selected.modseq = Some(modseq),
                    Some(Code::NoModSeq) => selected.modseq = None,
                    Some(Code::PermanentFlags(flags)) => selected.permanent = flags,
                    Some(Code::ReadOnly) => selected.read_only = true,
                    _ => {}
                },
                other => take(other),
            })
            .await?;
        selected.read_only |= told.code == Some(Code::ReadOnly);
        if selected.validity == 0 {
            return Err(ClientError::Protocol("a folder without UIDVALIDITY"));
        }
        Ok(selected)
    }

    /// CREATE, for that use where the server can say so (RFC 6154: `\Sent`).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create(&mut self, folder: &str, special: Option<&str>) -> Done<()> {
        let command = Command::new("CREATE").text(" ").string(&self.wire_name(folder));
        let command = match special.filter(|_| self.capabilities.has("CREATE-SPECIAL-USE")) {
            Some(special) => command.text(" (USE (").text(special).text("))"),
            None => command,
        };
        self.run(&command, &mut |_| {}).await.map(drop)
    }
}

/// All the numbers of ranges, which are bounded where they are read.
pub(super) fn numbers(ranges: Vec<RangeInclusive<u32>>) -> impl Iterator<Item = u32> {
    ranges.into_iter().flatten()
}
