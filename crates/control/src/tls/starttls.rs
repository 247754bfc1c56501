//! The dialogue before TLS: IMAP (RFC 3501), SMTP (RFC 3207) and LMTP, or none. Every line is kept as evidence.
//!
//! A server that says 421 or BYE is busy: that is neither a refusal nor an acceptance of anything.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{timeout, timeout_at};

/// Longest line of a server. RFC 5321 says 512, capabilities of IMAP are longer.
const MAX_LINE: usize = 8 * 1024;
/// Most lines of one answer.
const MAX_LINES: usize = 100;
/// Longest line kept as evidence, in characters.
const MAX_KEPT: usize = 500;
/// Who says EHLO.
const NAME: &str = "sonde.vaguemestre.invalid";

/// What stands before TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Starttls {
    /// Nothing: TLS at once.
    None,
    /// IMAP.
    Imap,
    /// SMTP: submission or relay.
    Smtp,
    /// LMTP.
    Lmtp,
}

/// Why TLS did not begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StarttlsError {
    /// 421, `* BYE`: the server does not want to now. Holds its line.
    #[error("the server is busy: {0}")]
    Busy(String),
    /// STARTTLS is not offered, or refused. Holds the last line.
    #[error("the server does not offer STARTTLS: {0}")]
    NotOffered(String),
    /// Lines that are none of the protocol.
    #[error("the server does not speak the protocol: {0}")]
    Protocol(String),
    /// The connection was closed.
    #[error("the server closed the connection before TLS")]
    Closed,
    /// Nothing came in time.
    #[error("the server says nothing")]
    Silent,
    /// Something followed the last line before TLS: whatever it is, a client might take it for what was said inside TLS.
    #[error("the server speaks before TLS begins")]
    Ahead,
}

/// What was said before TLS, one line each: `< ` from the server, `> ` from us. Safe to show: control characters are escaped.
pub type Dialogue = Vec<String>;

/// Speaks until TLS may begin.
///
/// # Errors
/// [`StarttlsError`].
pub async fn start<S>(
    stream: &mut S,
    how: Starttls,
    patience: Duration,
    said: &mut Dialogue,
) -> Result<(), StarttlsError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut talk = Talk { stream, patience, said, pending: Vec::new() };
    match how {
        Starttls::None => return Ok(()),
        Starttls::Imap => talk.imap().await?,
        Starttls::Smtp => talk.smtp("EHLO").await?,
        Starttls::Lmtp => talk.smtp("LHLO").await?,
    }
    if talk.pending.is_empty() { Ok(()) } else { Err(StarttlsError::Ahead) }
}

struct Talk<'a, S> {
    stream: &'a mut S,
    patience: Duration,
    said: &'a mut Dialogue,
    pending: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<'_, S> {
    async fn imap(&mut self) -> Result<(), StarttlsError> {
        let greeting = self.line().await?;
        let upper = greeting.to_ascii_uppercase();
        if upper.starts_with("* BYE") {
            return Err(StarttlsError::Busy(greeting));
        }
        if !upper.starts_with("* OK") {
            return Err(StarttlsError::Protocol(greeting));
        }
        self.say("a1 STARTTLS").await?;
        for _ in 0..MAX_LINES {
            let line = self.line().await?;
            let upper = line.to_ascii_uppercase();
            if upper.starts_with("A1 OK") {
                return Ok(());
            }
            if upper.starts_with("* BYE") {
                return Err(StarttlsError::Busy(line));
            }
            if upper.starts_with("A1 ") {
                return Err(StarttlsError::NotOffered(line));
            }
            if !upper.starts_with("* ") {
                return Err(StarttlsError::Protocol(line));
            }
        }
        Err(StarttlsError::Protocol("too many lines".to_owned()))
    }

    async fn smtp(&mut self, hello: &str) -> Result<(), StarttlsError> {
        self.reply("220").await?;
        self.say(&format!("{hello} {NAME}")).await?;
        let offered = self.reply("250").await?;
        let is_starttls =
            |line: &String| line.get(4..).is_some_and(|word| word.trim().eq_ignore_ascii_case("STARTTLS"));
        if !offered.iter().any(is_starttls) {
            return Err(StarttlsError::NotOffered("STARTTLS is not among the extensions".to_owned()));
        }
        self.say("STARTTLS").await?;
        match self.reply("220").await {
            Err(StarttlsError::Protocol(line)) => Err(StarttlsError::NotOffered(line)),
            other => other.map(|_| ()),
        }
    }

    /// A reply, which must begin with the code; its lines.
    async fn reply(&mut self, code: &str) -> Result<Vec<String>, StarttlsError> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await?;
            if line.starts_with("421") {
                return Err(StarttlsError::Busy(line));
            }
            if !line.starts_with(code) || lines.len() == MAX_LINES {
                return Err(StarttlsError::Protocol(line));
            }
            let is_last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if is_last {
                return Ok(lines);
            }
        }
    }

    async fn say(&mut self, line: &str) -> Result<(), StarttlsError> {
        self.said.push(format!("> {line}"));
        let octets = format!("{line}\r\n");
        match timeout(self.patience, self.stream.write_all(octets.as_bytes())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(StarttlsError::Closed),
            Err(_) => Err(StarttlsError::Silent),
        }
    }

    async fn line(&mut self) -> Result<String, StarttlsError> {
        // For the whole line: a server that drips octets is silent too.
        let until = tokio::time::Instant::now() + self.patience;
        loop {
            if let Some(end) = self.pending.iter().position(|octet| *octet == b'\n') {
                let octets: Vec<u8> = self.pending.drain(..=end).collect();
                let line = shown(&String::from_utf8_lossy(&octets));
                self.said.push(format!("< {line}"));
                return Ok(line);
            }
            if self.pending.len() > MAX_LINE {
                return Err(StarttlsError::Protocol("an endless line".to_owned()));
            }
            let mut octets = [0; 2048];
            match timeout_at(until, self.stream.read(&mut octets)).await {
                Ok(Ok(0) | Err(_)) => return Err(StarttlsError::Closed),
                Ok(Ok(count)) => self.pending.extend_from_slice(&octets[..count]),
                Err(_) => return Err(StarttlsError::Silent),
            }
        }
    }
}

/// A line that a terminal or a page may show: control characters escaped, cut at [`MAX_KEPT`] characters.
#[must_use]
pub fn shown(line: &str) -> String {
    let line = line.trim_end_matches(['\r', '\n']);
    let mut shown = String::new();
    for c in line.chars().take(MAX_KEPT) {
        if c.is_control() || matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}') {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    if line.chars().nth(MAX_KEPT).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn meet(how: Starttls, server: &'static [u8]) -> (Result<(), StarttlsError>, Dialogue) {
        let (mut ours, mut theirs) = tokio::io::duplex(64 * 1024);
        theirs.write_all(server).await.expect("room");
        let mut said = Vec::new();
        let done = start(&mut ours, how, Duration::from_millis(100), &mut said).await;
        (done, said)
    }

    #[tokio::test]
    async fn dialogues() {
        // The whole server side at once would be octets ahead of TLS, but for what each step waits for.
        let (done, said) = meet(Starttls::Smtp, b"220 x\r\n250-x\r\n250-SIZE 1\r\n250 STARTTLS\r\n220 go\r\n").await;
        assert_eq!(done, Ok(()));
        assert_eq!(said.len(), 7);
        let (done, _) = meet(Starttls::Imap, b"* OK x\r\n* CAPABILITY IMAP4rev1\r\na1 OK go\r\n").await;
        assert_eq!(done, Ok(()));
        let (done, _) = meet(Starttls::Lmtp, b"220 x\r\n250 STARTTLS\r\n220 go\r\n250 ahead\r\n").await;
        assert_eq!(done, Err(StarttlsError::Ahead));
    }

    #[tokio::test]
    async fn busy_is_not_refusal() {
        assert!(matches!(meet(Starttls::Smtp, b"421 later\r\n").await.0, Err(StarttlsError::Busy(_))));
        assert!(matches!(meet(Starttls::Imap, b"* BYE later\r\n").await.0, Err(StarttlsError::Busy(_))));
        assert!(matches!(meet(Starttls::Smtp, b"220 x\r\n250 SIZE\r\n").await.0, Err(StarttlsError::NotOffered(_))));
        assert!(matches!(meet(Starttls::Imap, b"* OK x\r\na1 BAD no\r\n").await.0, Err(StarttlsError::NotOffered(_))));
        assert!(matches!(meet(Starttls::Imap, b"220 smtp\r\n").await.0, Err(StarttlsError::Protocol(_))));
        assert_eq!(meet(Starttls::Smtp, b"").await.0, Err(StarttlsError::Silent));
    }

    #[test]
    fn nothing_moves_the_terminal() {
        assert_eq!(shown("220 \x1b[2J\u{202E}x\r\n"), "220 \\u{1b}[2J\\u{202e}x");
        assert_eq!(shown(&"a".repeat(2000)).chars().count(), MAX_KEPT + 1);
    }
}
