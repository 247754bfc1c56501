//! Just enough of an IMAP client for the self-check: STARTTLS, XOAUTH2 with an initial response, SELECT, IDLE, FETCH, delete.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use trust::tls::{Connector, TlsStream};
use zeroize::Zeroizing;

use super::{CheckError, address, at};
use crate::description::Endpoint;

const STEP: &str = "reading";
/// Longest answer line and largest literal taken: what we sent ourselves is far smaller.
const MAX_LINE: usize = 64 * 1024;
const MAX_LITERAL: usize = 4 * 1024 * 1024;
/// Longest wait for an answer, IDLE apart.
const PATIENCE: Duration = Duration::from_secs(10);

fn wrong(why: impl std::fmt::Display) -> CheckError {
    at(STEP)(why)
}

/// A connection inside TLS.
pub(super) struct Imap {
    stream: BufReader<TlsStream<TcpStream>>,
    commands: u32,
}

impl Imap {
    /// Connects and goes under TLS.
    pub async fn open(endpoint: &Endpoint, connector: &Connector) -> Result<Imap, CheckError> {
        let stream = TcpStream::connect(address(endpoint)?).await.map_err(wrong)?;
        stream.set_nodelay(true).map_err(wrong)?;
        let mut plain = BufReader::new(stream);
        let mut line = String::new();
        plain.read_line(&mut line).await.map_err(wrong)?;
        if !line.starts_with("* OK") {
            return Err(wrong(line.trim_end()));
        }
        plain.get_mut().write_all(b"s STARTTLS\r\n").await.map_err(wrong)?;
        line.clear();
        plain.read_line(&mut line).await.map_err(wrong)?;
        if !line.starts_with("s OK") || !plain.buffer().is_empty() {
            return Err(wrong(line.trim_end()));
        }
        let tls = connector.connect(&endpoint.host, plain.into_inner()).await.map_err(wrong)?;
        Ok(Imap { stream: BufReader::new(tls), commands: 0 })
    }

    /// DN of the server's certificate.
    pub fn server_dn(&self) -> Result<String, CheckError> {
        let info = self.stream.get_ref().info();
        info.client().map(|peer| peer.subject.to_string()).map_err(wrong)
    }

    /// XOAUTH2, SASL-IR.
    pub async fn authenticate(&mut self, user: &str, token: &str) -> Result<(), CheckError> {
        let response = psc::xoauth2::response(user, token);
        let word = Zeroizing::new(STANDARD.encode(response.expose()));
        self.transact(&Zeroizing::new(format!("AUTHENTICATE XOAUTH2 {}", *word))).await.map(drop)
    }

    /// Opens a folder; answers how many messages it holds.
    pub async fn select(&mut self, folder: &str) -> Result<u32, CheckError> {
        let answers = self.transact(&format!("SELECT {folder}")).await?;
        answers.iter().find_map(|answer| exists(&answer.line)).ok_or_else(|| wrong("SELECT without EXISTS"))
    }

    /// Begins IDLE.
    pub async fn begin_idle(&mut self) -> Result<(), CheckError> {
        self.commands += 1;
        self.send(&format!("a{} IDLE\r\n", self.commands)).await?;
        let answer = self.within(PATIENCE).await?;
        if answer.line.starts_with('+') { Ok(()) } else { Err(wrong(answer.line)) }
    }

    /// Waits in IDLE until there are more messages than `count`.
    pub async fn more_than(&mut self, count: u32) -> Result<u32, CheckError> {
        loop {
            if let Some(now) = exists(&self.answer().await?.line).filter(|now| *now > count) {
                return Ok(now);
            }
        }
    }

    /// Ends IDLE.
    pub async fn end_idle(&mut self) -> Result<(), CheckError> {
        self.send("DONE\r\n").await?;
        self.completion().await.map(drop)
    }

    /// UID and octets of a message.
    pub async fn fetch(&mut self, number: u32) -> Result<(u32, Vec<u8>), CheckError> {
        let answers = self.transact(&format!("FETCH {number} (UID BODY.PEEK[])")).await?;
        let found = answers.into_iter().find(|answer| answer.line.starts_with(&format!("* {number} FETCH")));
        let answer = found.ok_or_else(|| wrong("FETCH without an answer"))?;
        let uid = answer
            .line
            .split_once("UID ")
            .map(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or(""));
        let uid = uid.and_then(|digits| digits.parse().ok()).ok_or_else(|| wrong("FETCH without a UID"))?;
        Ok((uid, answer.literal.ok_or_else(|| wrong("FETCH without a message"))?))
    }

    /// Deletes a message for good.
    pub async fn delete(&mut self, uid: u32) -> Result<(), CheckError> {
        self.transact(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)")).await?;
        self.transact(&format!("UID EXPUNGE {uid}")).await.map(drop)
    }

    /// Says goodbye.
    pub async fn logout(&mut self) -> Result<(), CheckError> {
        self.transact("LOGOUT").await.map(drop)
    }

    /// One command, and the untagged answers to it.
    async fn transact(&mut self, command: &str) -> Result<Vec<Answer>, CheckError> {
        self.commands += 1;
        let line = Zeroizing::new(format!("a{} {command}\r\n", self.commands));
        self.send(&line).await?;
        self.completion().await
    }

    async fn completion(&mut self) -> Result<Vec<Answer>, CheckError> {
        let tag = format!("a{} ", self.commands);
        let mut answers = Vec::new();
        loop {
            let answer = self.within(PATIENCE).await?;
            if let Some(end) = answer.line.strip_prefix(&tag) {
                return if end.starts_with("OK") { Ok(answers) } else { Err(wrong(end)) };
            }
            if answer.line.starts_with('+') {
                // A challenge where none is due: XOAUTH2's error. The empty answer brings the refusal (LPS-ERR).
                self.send("\r\n").await?;
            }
            answers.push(answer);
        }
    }

    async fn send(&mut self, text: &str) -> Result<(), CheckError> {
        self.stream.get_mut().write_all(text.as_bytes()).await.map_err(wrong)?;
        self.stream.get_mut().flush().await.map_err(wrong)
    }

    async fn within(&mut self, patience: Duration) -> Result<Answer, CheckError> {
        tokio::time::timeout(patience, self.answer()).await.map_err(|_| wrong("no answer"))?
    }

    /// One answer with the literals in it.
    async fn answer(&mut self) -> Result<Answer, CheckError> {
        let mut answer = Answer::default();
        loop {
            let mut line = Vec::new();
            let limit = MAX_LINE as u64;
            (&mut self.stream).take(limit).read_until(b'\n', &mut line).await.map_err(wrong)?;
            if !line.ends_with(b"\n") {
                return Err(wrong("the connection ended, or a line has no end"));
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\r', '\n']);
            answer.line.push_str(text);
            let Some(length) = literal(text) else { return Ok(answer) };
            if length > MAX_LITERAL || answer.line.len() > MAX_LINE {
                return Err(wrong("an answer is too large"));
            }
            let mut octets = vec![0; length];
            self.stream.read_exact(&mut octets).await.map_err(wrong)?;
            answer.literal = Some(octets);
        }
    }
}

/// One answer: its lines joined, the last literal apart.
#[derive(Default)]
struct Answer {
    line: String,
    literal: Option<Vec<u8>>,
}

/// The length announced by `{n}` at the end of a line.
fn literal(line: &str) -> Option<usize> {
    line.strip_suffix('}')?.rsplit_once('{')?.1.parse().ok()
}

/// `* n EXISTS`.
fn exists(line: &str) -> Option<u32> {
    line.strip_prefix("* ")?.strip_suffix(" EXISTS")?.parse().ok()
}
