//! Lines of a server that is only being looked at, with limits of their own: a dozen answers, no login.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::probe::ProbeError;

/// Longest line. RFC 5321 has 512 octets, capabilities of IMAP servers some 2,000.
const MAX_LINE: usize = 8 * 1024;
/// Most lines of one answer.
const MAX_LINES: usize = 100;
/// Longest silence.
const SILENCE: Duration = Duration::from_secs(15);
/// What of a server's text is kept, in characters.
const MAX_KEPT: usize = 200;

/// Speaks with a server in lines.
pub(super) struct Dialogue<S> {
    stream: S,
    /// Read and not yet taken.
    buffer: Vec<u8>,
    /// Capabilities of SMTP, `[CAPABILITY …]` of IMAP.
    protocol: Protocol,
}

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Imap,
    Smtp,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Dialogue<S> {
    pub(super) fn new(stream: S, protocol: Protocol) -> Dialogue<S> {
        Dialogue { stream, buffer: Vec::new(), protocol }
    }

    /// The greeting.
    pub(super) async fn greeting(&mut self) -> Result<String, ProbeError> {
        match self.protocol {
            Protocol::Smtp => Ok(kept(self.reply().await?.first().map_or("", String::as_str))),
            Protocol::Imap => {
                let line = self.line().await?;
                match line.strip_prefix("* ") {
                    Some(text) if !text.to_ascii_uppercase().starts_with("BYE") => Ok(kept(text)),
                    _ => Err(ProbeError::Refused { answer: kept(&line) }),
                }
            }
        }
    }

    /// What the server says it can do.
    pub(super) async fn capabilities(&mut self, name: &str) -> Result<Vec<String>, ProbeError> {
        match self.protocol {
            Protocol::Smtp => {
                self.say(&format!("EHLO {name}")).await?;
                Ok(self.reply().await?.into_iter().skip(1).map(|line| kept(&line)).collect())
            }
            Protocol::Imap => {
                let untagged = self.imap("CAPABILITY").await?;
                let said = untagged.iter().find_map(|line| line.strip_prefix("CAPABILITY "));
                Ok(said.unwrap_or_default().split_ascii_whitespace().map(kept).collect())
            }
        }
    }

    /// Asks for TLS. What is left to read then was injected: nobody may speak between the answer and the handshake.
    pub(super) async fn starttls(mut self) -> Result<S, ProbeError> {
        match self.protocol {
            Protocol::Imap => drop(self.imap("STARTTLS").await?),
            Protocol::Smtp => {
                self.say("STARTTLS").await?;
                self.reply().await?;
            }
        }
        if self.buffer.is_empty() { Ok(self.stream) } else { Err(ProbeError::EarlyData) }
    }

    /// Leaves politely, without waiting long.
    pub(super) async fn leave(mut self) {
        let word = match self.protocol {
            Protocol::Imap => "z LOGOUT",
            Protocol::Smtp => "QUIT",
        };
        let _ = timeout(Duration::from_secs(2), async {
            self.say(word).await?;
            self.line().await
        })
        .await;
    }

    /// A command of IMAP; its untagged answers without the star.
    async fn imap(&mut self, command: &str) -> Result<Vec<String>, ProbeError> {
        self.say(&format!("a {command}")).await?;
        let mut untagged = Vec::new();
        for _ in 0..MAX_LINES {
            let line = self.line().await?;
            if let Some(answer) = line.strip_prefix("a ") {
                let good = answer.len() >= 2 && answer.as_bytes()[..2].eq_ignore_ascii_case(b"OK");
                return if good { Ok(untagged) } else { Err(ProbeError::Refused { answer: kept(answer) }) };
            }
            let text = line.strip_prefix("* ").ok_or(ProbeError::Nonsense)?;
            untagged.push(text.to_owned());
        }
        Err(ProbeError::Nonsense)
    }

    /// A positive reply of SMTP, its lines without code.
    async fn reply(&mut self) -> Result<Vec<String>, ProbeError> {
        let mut lines = Vec::new();
        for _ in 0..MAX_LINES {
            let line = self.line().await?;
            let (code, text) = match (line.get(..3), line.get(3..)) {
                (Some(code), Some(text)) if code.bytes().all(|b| b.is_ascii_digit()) => (code, text),
                _ => return Err(ProbeError::Nonsense),
            };
            if !code.starts_with('2') {
                return Err(ProbeError::Refused { answer: kept(&line) });
            }
            let more = text.starts_with('-');
            lines.push(text.get(1..).unwrap_or_default().to_owned());
            if !more {
                return Ok(lines);
            }
        }
        Err(ProbeError::Nonsense)
    }

    async fn say(&mut self, line: &str) -> Result<(), ProbeError> {
        let whole = format!("{line}\r\n");
        let said = async {
            self.stream.write_all(whole.as_bytes()).await?;
            self.stream.flush().await
        };
        timeout(SILENCE, said).await.map_err(|_| ProbeError::Silent)?.map_err(ProbeError::Lost)
    }

    async fn line(&mut self) -> Result<String, ProbeError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
            }
            if self.buffer.len() > MAX_LINE {
                return Err(ProbeError::Nonsense);
            }
            let mut chunk = [0; 2048];
            let read = timeout(SILENCE, self.stream.read(&mut chunk)).await.map_err(|_| ProbeError::Silent)?;
            match read.map_err(ProbeError::Lost)? {
                0 => return Err(ProbeError::Lost(std::io::ErrorKind::UnexpectedEof.into())),
                n => self.buffer.extend_from_slice(&chunk[..n]),
            }
        }
    }
}

fn kept(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_KEPT).collect()
}
