//! A connection from software under test, which may be anything: lines and blocks under hard limits, every word kept as evidence,
//! secrets as their SHA-256.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use openssl::ssl::{Ssl, SslContext};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{sleep, timeout};
use tokio_openssl::SslStream;

use super::hello::Hello;
use super::seen::{Handle, Tls};
use crate::tls::starttls::shown;

/// Longest line: a token in base64 has some KB.
const MAX_LINE: usize = 64 * 1024;
/// Most octets of one session besides messages.
const MAX_OCTETS: usize = 8 * 1024 * 1024;
/// A ClientHello is one record.
const MAX_HELLO: usize = 5 + 16 * 1024 + 256;
/// Words longer than this are kept as their hash: they may be secrets said in the wrong place.
const LONG_WORD: usize = 60;

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The client closed, or the connection broke.
    Closed,
    /// The client says nothing.
    Silent,
    /// More than anything honest.
    TooMuch,
    /// TLS failed.
    Handshake,
    /// As the scenario wants it, or after a farewell.
    Over,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection.
pub struct Talk {
    stream: Box<dyn Stream>,
    pending: Vec<u8>,
    /// What is seen of it.
    pub handle: Handle,
    patience: Duration,
    delay: Duration,
    left: usize,
}

/// How a secret is kept.
#[must_use]
pub fn kept(octets: &[u8]) -> String {
    format!("[secret de {} octets, sha256 {}…]", octets.len(), &crate::report::sha256(octets)[..16])
}

/// A line that should hold no secret, safe to keep: long words become their hash.
#[must_use]
pub fn harmless(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let words =
        text.split(' ').map(|word| if word.len() > LONG_WORD { kept(word.as_bytes()) } else { word.to_owned() });
    shown(&words.collect::<Vec<_>>().join(" "))
}

impl Talk {
    /// Over a connection just made. `delay` is taken before each answer.
    pub fn new(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        handle: Handle,
        patience: Duration,
        delay: Duration,
    ) -> Talk {
        Talk { stream: Box::new(stream), pending: Vec::new(), handle, patience, delay, left: MAX_OCTETS }
    }

    /// How long the client is waited for from now on.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    async fn fill(&mut self) -> Result<(), End> {
        let mut octets = [0; 8192];
        match timeout(self.patience, self.stream.read(&mut octets)).await {
            Err(_) => {
                self.handle.line('=', "silence".to_owned());
                Err(End::Silent)
            }
            Ok(Ok(0) | Err(_)) => {
                self.handle.line('=', "fermeture par le logiciel".to_owned());
                Err(End::Closed)
            }
            Ok(Ok(count)) => {
                self.pending.extend_from_slice(&octets[..count]);
                Ok(())
            }
        }
    }

    fn spend(&mut self, count: usize) -> Result<(), End> {
        self.left = self.left.checked_sub(count).ok_or(End::TooMuch)?;
        Ok(())
    }

    /// A line without its end, not noted: who reads it knows what is secret in it.
    ///
    /// # Errors
    /// [`End`].
    pub async fn line(&mut self) -> Result<Vec<u8>, End> {
        let mut looked = 0;
        loop {
            if let Some(at) = self.pending[looked..].iter().position(|octet| *octet == b'\n') {
                let mut line: Vec<u8> = self.pending.drain(..=looked + at).collect();
                self.spend(line.len())?;
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            looked = self.pending.len();
            if looked > MAX_LINE {
                self.handle.line('=', "ligne sans fin".to_owned());
                return Err(End::TooMuch);
            }
            self.fill().await?;
        }
    }

    /// So many octets.
    ///
    /// # Errors
    /// [`End`].
    pub async fn exactly(&mut self, count: usize) -> Result<Vec<u8>, End> {
        self.spend(count)?;
        while self.pending.len() < count {
            self.fill().await?;
        }
        Ok(self.pending.drain(..count).collect())
    }

    /// Whatever is there, at least one octet.
    ///
    /// # Errors
    /// [`End`].
    pub async fn some(&mut self) -> Result<Vec<u8>, End> {
        if self.pending.is_empty() {
            self.fill().await?;
        }
        Ok(std::mem::take(&mut self.pending))
    }

    /// Gives octets back, to be read next.
    pub fn unread(&mut self, octets: &[u8]) {
        self.pending.splice(0..0, octets.iter().copied());
    }

    /// Whether the client says nothing for so long. What it says stays to be read.
    pub async fn is_quiet(&mut self, wait: Duration) -> bool {
        if !self.pending.is_empty() {
            return false;
        }
        let mut octets = [0; 4096];
        match timeout(wait, self.stream.read(&mut octets)).await {
            Err(_) | Ok(Ok(0) | Err(_)) => true,
            Ok(Ok(count)) => {
                self.pending.extend_from_slice(&octets[..count]);
                false
            }
        }
    }

    /// Answers, after the scenario's delay; line ends within `text` are lines of the dialogue.
    ///
    /// # Errors
    /// [`End::Closed`].
    pub async fn say(&mut self, text: &str) -> Result<(), End> {
        sleep(self.delay).await;
        self.say_now(text).await
    }

    /// Answers without delay.
    ///
    /// # Errors
    /// [`End::Closed`].
    pub async fn say_now(&mut self, text: &str) -> Result<(), End> {
        for line in text.trim_end_matches("\r\n").split("\r\n") {
            self.handle.line('<', shown(line));
        }
        self.raw(text.as_bytes()).await
    }

    /// Sends octets without noting them.
    ///
    /// # Errors
    /// [`End::Closed`].
    pub async fn raw(&mut self, octets: &[u8]) -> Result<(), End> {
        let sent = async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        };
        match timeout(self.patience, sent).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(End::Closed),
        }
    }

    /// The server's side of a handshake. What the client said in clear after its STARTTLS is dropped.
    ///
    /// # Errors
    /// [`End`]; the session tells why.
    pub async fn tls(mut self, context: &SslContext) -> Result<Talk, End> {
        if !self.pending.is_empty() {
            self.handle.line('=', format!("{} octets en clair derrière STARTTLS, jetés", self.pending.len()));
            self.pending.clear();
        }
        while self.pending.len() < MAX_HELLO {
            if let [kind, _, _, high, low, ..] = self.pending[..]
                && (kind != 0x16 || self.pending.len() >= 5 + usize::from(u16::from_be_bytes([high, low])))
            {
                break;
            }
            if let Err(end) = self.fill().await {
                self.handle.with(|session| {
                    session.tls = Tls::Echec("le logiciel n'a pas commencé la poignée de main".to_owned())
                });
                return Err(end);
            }
        }
        let hello = Hello::read(&self.pending);
        self.handle.with(|session| session.hello = hello);
        let fail = |handle: &Handle, why: String| {
            handle.line('=', format!("poignée de main : {why}"));
            handle.with(|session| session.tls = Tls::Echec(why));
            End::Handshake
        };
        let prefixed = Prefixed { first: std::mem::take(&mut self.pending), inner: self.stream };
        let made = Ssl::new(context).and_then(|ssl| SslStream::new(ssl, prefixed));
        let mut tls = made.map_err(|error| fail(&self.handle, error.to_string()))?;
        match timeout(self.patience, Pin::new(&mut tls).accept()).await {
            Err(_) => return Err(fail(&self.handle, "délai dépassé".to_owned())),
            Ok(Err(error)) => return Err(fail(&self.handle, reason(&error))),
            Ok(Ok(())) => {}
        }
        let suite = tls.ssl().current_cipher().map_or("?", |cipher| cipher.name());
        let told = format!("{} {suite}", tls.ssl().version_str());
        self.handle.line('=', format!("TLS établi : {told}"));
        self.handle.with(|session| session.tls = Tls::Etabli(told));
        Ok(Talk { stream: Box::new(tls), ..self })
    }

    /// Closes, so that what was said reaches the client.
    pub async fn close(mut self) {
        let _ = timeout(Duration::from_secs(1), self.stream.shutdown()).await;
    }
}

/// In short, safe to show.
fn reason(error: &openssl::ssl::Error) -> String {
    match error.ssl_error().and_then(|stack| stack.errors().first().and_then(|first| first.reason())) {
        Some(reason) => shown(reason),
        None => "le logiciel a fermé la connexion".to_owned(),
    }
}

/// Octets already read, then the rest.
struct Prefixed {
    first: Vec<u8>,
    inner: Box<dyn Stream>,
}

impl AsyncRead for Prefixed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, into);
        }
        let count = self.first.len().min(into.remaining());
        into.put_slice(&self.first[..count]);
        self.first.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Prefixed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
