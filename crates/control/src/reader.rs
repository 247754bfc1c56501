//! The BAL of the tests, read by the API LPS: what arrived of a message that carries our mark, octet for octet; then it is taken away.
//! Nothing without our mark is looked at.

use std::time::{Duration, Instant};

use crate::context::{Context, Protocol};
use crate::verdict::Verdict;
use crate::wire::{Log, Wire, WireError};

pub use crate::trap::MARK;
/// Between two looks for a message that is awaited.
const BETWEEN: Duration = Duration::from_millis(200);

/// An IMAP session on the BAL of the tests, INBOX open.
pub struct Reader {
    wire: Wire,
}

impl Reader {
    /// Opens it.
    ///
    /// # Errors
    /// The verdict to give: without token or BAL, or when the login is not taken.
    pub async fn open(context: &Context, log: &Log) -> Result<Reader, Verdict> {
        context.tokens()?;
        let Some(login) = context.nominal(Protocol::Imap, log).await else {
            return Err(Verdict::unclear("aucun jeton n'a pu être fait"));
        };
        let wire = match login.wire {
            Some(wire) if login.outcome == crate::context::LoginOutcome::Accepted => wire,
            _ => return Err(Verdict::unclear(format!("la BAL ne s'ouvre pas en IMAP : {}", login.line))),
        };
        let mut reader = Reader { wire };
        reader.must("SELECT INBOX").await.map_err(Verdict::unclear)?;
        Ok(reader)
    }

    async fn must(&mut self, command: &str) -> Result<Vec<String>, WireError> {
        let answer = self.wire.imap(command).await?;
        match answer.is_ok() {
            true => Ok(answer.untagged),
            false => Err(WireError::Protocol(format!("{command} : {}", answer.line))),
        }
    }

    /// The messages that carry this mark.
    ///
    /// # Errors
    /// [`WireError`].
    pub async fn find(&mut self, mark: &str) -> Result<Vec<u32>, WireError> {
        // What arrived meanwhile is told before (RFC 9051 §5.2).
        self.must("NOOP").await?;
        let lines = self.must(&format!("UID SEARCH HEADER {MARK} \"{mark}\"")).await?;
        Ok(numbers(&lines))
    }

    /// The messages whose text holds that word: notices about messages of ours.
    ///
    /// # Errors
    /// [`WireError`].
    pub async fn find_text(&mut self, word: &str) -> Result<Vec<u32>, WireError> {
        self.must("NOOP").await?;
        let lines = self.must(&format!("UID SEARCH BODY \"{word}\"")).await?;
        Ok(numbers(&lines))
    }

    /// Waits for messages that carry this mark: at least `count`, or whatever is there in the end.
    ///
    /// # Errors
    /// [`WireError`].
    pub async fn wait(&mut self, mark: &str, count: usize, most: Duration) -> Result<Vec<u32>, WireError> {
        let began = Instant::now();
        loop {
            let found = self.find(mark).await?;
            if found.len() >= count || began.elapsed() >= most {
                return Ok(found);
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }

    /// A whole message, octet for octet.
    ///
    /// # Errors
    /// [`WireError`].
    pub async fn fetch(&mut self, uid: u32) -> Result<Vec<u8>, WireError> {
        let tag = self.wire.next_tag();
        self.wire.say(&format!("{tag} UID FETCH {uid} (BODY.PEEK[])")).await?;
        let mut message = None;
        loop {
            let line = self.wire.line().await?;
            if line.starts_with(&format!("{tag} ")) {
                return message.ok_or_else(|| WireError::Protocol(format!("message {uid} : rien n'est rendu")));
            }
            let literal = line.strip_suffix('}').and_then(|line| line.rsplit_once('{'));
            if let Some(count) = literal.and_then(|(_, count)| count.parse().ok()) {
                message = Some(self.wire.octets(count).await?);
            }
        }
    }

    /// Takes messages of ours away.
    ///
    /// # Errors
    /// [`WireError`].
    pub async fn remove(&mut self, uids: &[u32]) -> Result<(), WireError> {
        if uids.is_empty() {
            return Ok(());
        }
        let set: Vec<String> = uids.iter().map(ToString::to_string).collect();
        let set = set.join(",");
        self.must(&format!("UID STORE {set} +FLAGS.SILENT (\\Deleted)")).await?;
        // Without UIDPLUS all that is marked goes; nothing else of this BAL is marked by us.
        if self.must(&format!("UID EXPUNGE {set}")).await.is_err() {
            self.must("EXPUNGE").await?;
        }
        Ok(())
    }
}

/// What a search found.
fn numbers(lines: &[String]) -> Vec<u32> {
    let line = lines.iter().find(|line| line.to_ascii_uppercase().starts_with("* SEARCH"));
    line.map(|line| line.split(' ').filter_map(|word| word.parse().ok()).collect()).unwrap_or_default()
}

/// The header of a message, its lines unfolded: names as written, values without the first space.
#[must_use]
pub fn fields(message: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(message);
    let head = text.split_once("\r\n\r\n").map_or(&*text, |(head, _)| head);
    let mut all: Vec<(String, String)> = Vec::new();
    for line in head.split("\r\n") {
        match (line.starts_with([' ', '\t']), all.last_mut()) {
            (true, Some((_, value))) => {
                value.push_str("\r\n");
                value.push_str(line);
            }
            _ => {
                if let Some((name, value)) = line.split_once(':') {
                    all.push((name.to_owned(), value.strip_prefix(' ').unwrap_or(value).to_owned()));
                }
            }
        }
    }
    all
}

/// The values of a field, in order.
#[must_use]
pub fn values(message: &[u8], name: &str) -> Vec<String> {
    let all = fields(message).into_iter();
    all.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_stand() {
        let message = b"A: 1\r\nb:  deux\r\n suite\r\nA: 3\r\n\r\nA: corps\r\n";
        assert_eq!(values(message, "a"), ["1", "3"]);
        assert_eq!(values(message, "B"), [" deux\r\n suite"]);
        assert!(values(message, "c").is_empty());
    }
}
