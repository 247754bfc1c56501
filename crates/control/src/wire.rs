//! Real sessions, line by line, with everything said kept as evidence: IMAP and SMTP, in clear and under TLS.
//!
//! A secret that goes out is kept as its SHA-256 alone; what comes in is escaped. Lines and answers are bounded.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use openssl::base64::{decode_block, encode_block};
use openssl::error::ErrorStack;
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_openssl::SslStream;

use crate::tls::starttls::shown;

mod shown;
#[cfg(test)]
mod tests;

pub use shown::{Handshake, Shown, ShownError};

/// Most octets of a literal or a message read.
const MAX_OCTETS: usize = 64 * 1024 * 1024;
/// Longest line of a server.
const MAX_LINE: usize = 64 * 1024;
/// Most lines of one answer.
const MAX_LINES: usize = 1000;
/// So many times the patience for an answer of several lines: a server that drips them must not keep us.
const WHOLE: u32 = 3;
/// Longest SMTP command line that every server must take, CRLF counted (RFC 5321 §4.5.3.1.4).
const MAX_COMMAND: usize = 512;
/// Most lines of a transcript; a dialogue of a test has some tens.
const MAX_TRANSCRIPT: usize = 2000;

/// Why a session stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// No connection.
    #[error("pas de connexion : {0}")]
    Unreachable(String),
    /// Nothing came in time.
    #[error("le serveur se tait")]
    Silent,
    /// The server closed.
    #[error("le serveur a fermé la connexion")]
    Closed,
    /// A line or an answer without end, or lines that are none of the protocol.
    #[error("réponse hors protocole : {0}")]
    Protocol(String),
    /// The handshake failed.
    #[error("poignée de main TLS : {0}")]
    Tls(String),
    /// 421 or BYE where something else was due.
    #[error("le serveur est occupé : {0}")]
    Busy(String),
}

/// One line of a transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Milliseconds since the connection was asked for.
    pub ms: u64,
    /// `>` ours, `<` theirs, `=` a remark.
    pub from: char,
    /// What was said, safe to show, without secrets.
    pub text: String,
}

/// Where everything said is kept; shared by the sessions of one proof.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Line>>>);

impl Log {
    /// What was said so far.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, line: Line) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < MAX_TRANSCRIPT {
            lines.push(line);
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection.
pub struct Wire {
    stream: Box<dyn Stream>,
    pending: Vec<u8>,
    patience: Duration,
    started: Instant,
    log: Log,
    tag: u32,
}

/// An IMAP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImapAnswer {
    /// Untagged lines, literals left as they came.
    pub untagged: Vec<String>,
    /// `OK`, `NO` or `BAD`; empty when the connection closed.
    pub status: String,
    /// The tagged line without its tag.
    pub line: String,
}

impl ImapAnswer {
    /// Whether it is OK.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.status == "OK"
    }

    /// Whether an untagged line holds the word, whatever the case.
    #[must_use]
    pub fn says(&self, word: &str) -> bool {
        let word = word.to_ascii_uppercase();
        let mut lines = self.untagged.iter().chain([&self.line]);
        lines.any(|line| line.to_ascii_uppercase().split([' ', '[', ']', '(', ')']).any(|part| part == word))
    }
}

/// An SMTP reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpAnswer {
    /// Its code.
    pub code: u16,
    /// Its lines, code included.
    pub lines: Vec<String>,
}

impl SmtpAnswer {
    /// The last line.
    #[must_use]
    pub fn line(&self) -> &str {
        self.lines.last().map_or("", String::as_str)
    }

    /// The extension of that name, with its parameters.
    #[must_use]
    pub fn extension(&self, name: &str) -> Option<&str> {
        let of = |line: &'_ String| -> Option<std::ops::Range<usize>> {
            let text = line.get(4..)?;
            let word = text.split([' ', '=']).next()?;
            word.eq_ignore_ascii_case(name).then_some(4..line.len())
        };
        self.lines.iter().find_map(|line| of(line).map(|range| line[range].trim()))
    }
}

/// The TLS of our sessions, believing anybody. Made once: OpenSSL reads all the authorities of the machine each time, which took most of the processor
/// time of a campaign.
pub(crate) fn connector() -> Result<&'static SslConnector, ErrorStack> {
    static MADE: OnceLock<SslConnector> = OnceLock::new();
    if let Some(made) = MADE.get() {
        return Ok(made);
    }
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    builder.set_verify(SslVerifyMode::NONE);
    Ok(MADE.get_or_init(|| builder.build()))
}

impl Wire {
    /// Connects in clear.
    ///
    /// # Errors
    /// [`WireError`].
    pub async fn connect(address: SocketAddr, patience: Duration, log: &Log) -> Result<Wire, WireError> {
        let started = Instant::now();
        let stream = match timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(WireError::Unreachable(error.kind().to_string())),
            Err(_) => return Err(WireError::Silent),
        };
        // Small dialogues; a failure only slows.
        let _ = stream.set_nodelay(true);
        let mut wire =
            Wire { stream: Box::new(stream), pending: Vec::new(), patience, started, log: log.clone(), tag: 0 };
        wire.remark(format!("connexion à {address}"));
        Ok(wire)
    }

    /// Over what is connected already, of a test.
    #[cfg(test)]
    pub(crate) fn over(stream: tokio::io::DuplexStream, patience: Duration, log: &Log) -> Wire {
        let started = Instant::now();
        Wire { stream: Box::new(stream), pending: Vec::new(), patience, started, log: log.clone(), tag: 0 }
    }

    /// Waits longer, or less long, for what comes from now on.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// The last line of the server that the log kept.
    #[must_use]
    pub fn last_said(&self) -> Option<String> {
        self.log.lines().into_iter().rev().find(|line| line.from == '<').map(|line| line.text)
    }

    /// Notes something that is no line of the dialogue.
    pub fn remark(&mut self, text: impl Into<String>) {
        self.note('=', text.into());
    }

    fn note(&mut self, from: char, text: String) {
        let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.log.add(Line { ms, from, text });
    }

    /// Sends octets as they are; `text` is what the transcript keeps.
    ///
    /// # Errors
    /// [`WireError`].
    pub async fn send(&mut self, octets: &[u8], text: &str) -> Result<(), WireError> {
        self.note('>', text.to_owned());
        let sent = async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        };
        match timeout(self.patience, sent).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(WireError::Closed),
            Err(_) => Err(WireError::Silent),
        }
    }

    /// Sends a line that holds no secret.
    ///
    /// # Errors
    /// [`WireError`].
    pub async fn say(&mut self, line: &str) -> Result<(), WireError> {
        self.send(format!("{line}\r\n").as_bytes(), &shown(line)).await
    }

    /// A line of the server, without its end.
    ///
    /// # Errors
    /// [`WireError`].
    pub async fn line(&mut self) -> Result<String, WireError> {
        // For the whole line: a server that drips octets is silent too.
        let until = Instant::now() + self.patience;
        loop {
            if let Some(end) = self.pending.iter().position(|octet| *octet == b'\n') {
                let octets: Vec<u8> = self.pending.drain(..=end).collect();
                let line = String::from_utf8_lossy(&octets).trim_end_matches(['\r', '\n']).to_owned();
                self.note('<', shown(&line));
                return Ok(line);
            }
            if self.pending.len() > MAX_LINE {
                return Err(WireError::Protocol("ligne sans fin".to_owned()));
            }
            let mut octets = [0; 8192];
            match timeout_at(until, self.stream.read(&mut octets)).await {
                Err(_) => {
                    self.remark("silence");
                    return Err(WireError::Silent);
                }
                Ok(Ok(0) | Err(_)) => {
                    self.remark("fermeture par le serveur");
                    return Err(WireError::Closed);
                }
                Ok(Ok(count)) => self.pending.extend_from_slice(&octets[..count]),
            }
        }
    }

    /// So many octets of the server, as they come: a literal.
    ///
    /// # Errors
    /// [`WireError`]; [`WireError::Protocol`] for more than anybody needs.
    pub async fn octets(&mut self, count: usize) -> Result<Vec<u8>, WireError> {
        if count > MAX_OCTETS {
            return Err(WireError::Protocol(format!("{count} octets annoncés")));
        }
        let until = self.until();
        while self.pending.len() < count {
            let mut octets = [0; 8192];
            match timeout_at(until, self.stream.read(&mut octets)).await {
                Err(_) => return Err(WireError::Silent),
                Ok(Ok(0) | Err(_)) => return Err(WireError::Closed),
                Ok(Ok(read)) => self.pending.extend_from_slice(&octets[..read]),
            }
        }
        self.remark(format!("{count} octets reçus"));
        Ok(self.pending.drain(..count).collect())
    }

    /// When an answer of several lines, which began now, has taken too long.
    fn until(&self) -> Instant {
        Instant::now() + self.patience * WHOLE
    }

    /// Whether nothing comes for so long; false too when the server closes.
    pub async fn is_quiet(&mut self, wait: Duration) -> bool {
        let mut octets = [0; 1024];
        self.pending.is_empty()
            && match timeout(wait, self.stream.read(&mut octets)).await {
                Err(_) => true,
                Ok(Ok(count)) => {
                    self.pending.extend_from_slice(&octets[..count]);
                    false
                }
                Ok(Err(_)) => false,
            }
    }

    /// TLS over this connection, believing anybody: what the certificate is worth is judged elsewhere. Whatever came before is dropped.
    ///
    /// # Errors
    /// [`WireError::Tls`].
    pub async fn tls(mut self, name: &str) -> Result<Wire, WireError> {
        let set_up = || connector()?.configure()?.verify_hostname(false).into_ssl(name);
        let failed = |error: String| WireError::Tls(shown(&error));
        let ssl = set_up().map_err(|error| failed(error.to_string()))?;
        self.pending.clear();
        let mut tls = SslStream::new(ssl, self.stream).map_err(|error| failed(error.to_string()))?;
        match timeout(self.patience, Pin::new(&mut tls).connect()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(_) => return Err(WireError::Silent),
        }
        let (version, suite) =
            (tls.ssl().version_str(), tls.ssl().current_cipher().map_or("?", |cipher| cipher.name()));
        let text = format!("TLS établi : {version}, {suite}");
        let mut wire = Wire { stream: Box::new(tls), ..self };
        wire.remark(text);
        Ok(wire)
    }

    // --- IMAP --------------------------------------------------------------------------------------------------------------------

    /// The greeting.
    ///
    /// # Errors
    /// [`WireError::Busy`] at a BYE.
    pub async fn imap_greeting(&mut self) -> Result<String, WireError> {
        let line = self.line().await?;
        if line.to_ascii_uppercase().starts_with("* BYE") {
            return Err(WireError::Busy(shown(&line)));
        }
        if !line.starts_with("* ") {
            return Err(WireError::Protocol(shown(&line)));
        }
        Ok(line)
    }

    /// A command without secret, and its answer.
    ///
    /// # Errors
    /// [`WireError`]; a continuation request that nobody asked for is one.
    pub async fn imap(&mut self, command: &str) -> Result<ImapAnswer, WireError> {
        let tag = self.next_tag();
        self.say(&format!("{tag} {command}")).await?;
        self.imap_answer(&tag).await
    }

    /// A tag of its own.
    pub fn next_tag(&mut self) -> String {
        self.tag += 1;
        format!("A{}", self.tag)
    }

    /// Reads up to the tagged line.
    ///
    /// # Errors
    /// [`WireError`].
    pub async fn imap_answer(&mut self, tag: &str) -> Result<ImapAnswer, WireError> {
        let mut untagged = Vec::new();
        let until = self.until();
        while untagged.len() < MAX_LINES && Instant::now() < until {
            let line = self.line().await?;
            if let Some(rest) = line.strip_prefix(tag).and_then(|rest| rest.strip_prefix(' ')) {
                let status = rest.split(' ').next().unwrap_or_default().to_ascii_uppercase();
                return Ok(ImapAnswer { untagged, status, line: shown(rest) });
            }
            if line.starts_with('+') {
                return Err(WireError::Protocol(shown(&line)));
            }
            untagged.push(line);
        }
        Err(WireError::Protocol("trop de lignes".to_owned()))
    }

    /// `AUTHENTICATE XOAUTH2`, with an initial response or without; a challenge after it is answered by an empty line. The answer, and
    /// the challenge decoded when there was one.
    ///
    /// # Errors
    /// [`WireError`].
    pub async fn imap_xoauth2(
        &mut self,
        response: &[u8],
        initial: bool,
    ) -> Result<(ImapAnswer, Option<String>), WireError> {
        let tag = self.next_tag();
        let encoded = encode_block(response);
        let kept = secret(response);
        if initial {
            let line = format!("{tag} AUTHENTICATE XOAUTH2 {encoded}\r\n");
            self.send(line.as_bytes(), &format!("{tag} AUTHENTICATE XOAUTH2 {kept}")).await?;
        } else {
            self.say(&format!("{tag} AUTHENTICATE XOAUTH2")).await?;
            let line = self.line().await?;
            if !line.starts_with('+') {
                let rest = line.strip_prefix(&tag).unwrap_or(&line).trim_start();
                let status = rest.split(' ').next().unwrap_or_default().to_ascii_uppercase();
                return Ok((ImapAnswer { untagged: Vec::new(), status, line: shown(rest) }, None));
            }
            self.send(format!("{encoded}\r\n").as_bytes(), &kept).await?;
        }
        let mut untagged = Vec::new();
        let mut challenge = None;
        let until = self.until();
        for _ in 0..MAX_LINES {
            if Instant::now() >= until {
                break;
            }
            let line = self.line().await?;
            if let Some(text) = line.strip_prefix('+') {
                challenge = Some(decoded(text.trim()));
                self.say("").await?;
            } else if let Some(rest) = line.strip_prefix(&tag).and_then(|rest| rest.strip_prefix(' ')) {
                let status = rest.split(' ').next().unwrap_or_default().to_ascii_uppercase();
                return Ok((ImapAnswer { untagged, status, line: shown(rest) }, challenge));
            } else {
                untagged.push(line);
            }
        }
        Err(WireError::Protocol("trop de lignes".to_owned()))
    }

    // --- SMTP --------------------------------------------------------------------------------------------------------------------

    /// A reply, whatever its code.
    ///
    /// # Errors
    /// [`WireError`].
    pub async fn smtp_answer(&mut self) -> Result<SmtpAnswer, WireError> {
        let mut lines = Vec::new();
        let until = self.until();
        while lines.len() < MAX_LINES && Instant::now() < until {
            let line = self.line().await?;
            let code: u16 =
                line.get(..3).and_then(|code| code.parse().ok()).ok_or_else(|| WireError::Protocol(shown(&line)))?;
            let is_last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if is_last {
                return Ok(SmtpAnswer { code, lines });
            }
        }
        Err(WireError::Protocol("trop de lignes".to_owned()))
    }

    /// A command without secret, and its reply.
    ///
    /// # Errors
    /// [`WireError`]; 421 is [`WireError::Busy`].
    pub async fn smtp(&mut self, command: &str) -> Result<SmtpAnswer, WireError> {
        self.say(command).await?;
        let answer = self.smtp_answer().await?;
        if answer.code == 421 { Err(WireError::Busy(shown(answer.line()))) } else { Ok(answer) }
    }

    /// `AUTH XOAUTH2`; as [`Wire::imap_xoauth2`].
    ///
    /// # Errors
    /// [`WireError`].
    pub async fn smtp_xoauth2(
        &mut self,
        response: &[u8],
        initial: bool,
    ) -> Result<(SmtpAnswer, Option<String>), WireError> {
        let encoded = encode_block(response);
        let kept = secret(response);
        let line = format!("AUTH XOAUTH2 {encoded}\r\n");
        let mut answer = None;
        if initial {
            self.send(line.as_bytes(), &format!("AUTH XOAUTH2 {kept}")).await?;
            let first = self.smtp_answer().await?;
            // 500 to a line longer than a command may be: the response goes alone then (RFC 4954 §4).
            if first.code != 500 || line.len() <= MAX_COMMAND {
                answer = Some(first);
            }
        }
        let mut answer = match answer {
            Some(answer) => answer,
            None => {
                let first = self.smtp("AUTH XOAUTH2").await?;
                if first.code != 334 {
                    return Ok((first, None));
                }
                self.send(format!("{encoded}\r\n").as_bytes(), &kept).await?;
                self.smtp_answer().await?
            }
        };
        let mut challenge = None;
        if answer.code == 334 {
            challenge = Some(decoded(answer.line().get(4..).unwrap_or_default().trim()));
            self.say("").await?;
            answer = self.smtp_answer().await?;
        }
        Ok((answer, challenge))
    }
}

/// How a secret is kept.
fn secret(octets: &[u8]) -> String {
    let digest = openssl::sha::sha256(octets);
    let hex: String = digest[..8].iter().map(|octet| format!("{octet:02x}")).collect();
    format!("[secret de {} octets, sha256 {hex}…]", octets.len())
}

/// A challenge, safe to show.
fn decoded(text: &str) -> String {
    match decode_block(text) {
        Ok(octets) => shown(&String::from_utf8_lossy(&octets)),
        Err(_) => shown(text),
    }
}
