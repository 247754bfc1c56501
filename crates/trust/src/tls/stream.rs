//! A connection after its handshake, and what the handshake settled.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use openssl::error::ErrorStack;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::gather::{Gather, RECORD};
use super::verify::Examination;
use super::{CertificateFault, PeerCertificate, Suite, TlsVersion};

/// What was negotiated, and who is at the other end.
#[derive(Debug, Clone)]
pub struct TlsInfo {
    /// Version.
    pub version: TlsVersion,
    /// Cipher suite.
    pub suite: Suite,
    /// The host name the client asked for (SNI).
    pub server_name: Option<String>,
    /// The peer's certificate, when one was asked for and shown.
    pub peer: Option<PeerCertificate>,
}

impl TlsInfo {
    /// The peer's certificate if it is a good one.
    ///
    /// # Errors
    /// The fault found; [`CertificateFault::Missing`] when none was shown (or asked for).
    pub fn client(&self) -> Result<&PeerCertificate, CertificateFault> {
        let peer = self.peer.as_ref().ok_or(CertificateFault::Missing)?;
        peer.verdict.map(|()| peer)
    }

    /// Reads a finished handshake.
    pub(super) fn of<S>(stream: &SslStream<S>, examination: Option<&Examination>) -> Result<TlsInfo, ErrorStack> {
        let ssl = stream.ssl();
        let suite = ssl.current_cipher().ok_or_else(ErrorStack::get)?;
        let peer = match (ssl.peer_certificate(), examination) {
            (Some(certificate), Some(examination)) => Some(PeerCertificate::read(&certificate, examination.verdict())?),
            // shown though not asked for, or not shown
            _ => None,
        };
        Ok(TlsInfo {
            version: TlsVersion::of(ssl.version2().unwrap_or(openssl::ssl::SslVersion::SSL3)),
            suite: Suite::of(suite),
            server_name: ssl.servername(openssl::ssl::NameType::HOST_NAME).map(str::to_owned),
            peer,
        })
    }
}

/// A connection under TLS.
#[derive(Debug)]
pub struct TlsStream<S> {
    inner: SslStream<Gather<S>>,
    /// Octets of the write under way that are encrypted already, and held by [`Gather`].
    encrypted: usize,
    info: Arc<TlsInfo>,
    /// Where what goes through is counted.
    entrance: Option<Arc<meter::Entrance>>,
}

impl<S> TlsStream<S> {
    pub(super) fn new(inner: SslStream<Gather<S>>, info: TlsInfo) -> TlsStream<S> {
        TlsStream { inner, encrypted: 0, info: Arc::new(info), entrance: None }
    }

    pub(super) fn counted(self, entrance: Arc<meter::Entrance>) -> TlsStream<S> {
        TlsStream { entrance: Some(entrance), ..self }
    }

    /// What the handshake settled.
    pub fn info(&self) -> &TlsInfo {
        &self.info
    }

    /// The same, to keep after the connection.
    pub fn shared_info(&self) -> Arc<TlsInfo> {
        Arc::clone(&self.info)
    }

    /// The connection underneath (its addresses, its options). Reading or writing it directly would break TLS.
    pub fn get_ref(&self) -> &S {
        self.inner.get_ref().socket()
    }
}

impl TlsStream<TcpStream> {
    /// A peer without TCP_NODELAY whose command comes in two segments does not wait for our delayed acknowledgement of the first, 40 ms:
    /// for protocols in which the server says nothing until a command is whole.
    #[must_use]
    pub fn acknowledging(mut self) -> Self {
        // Only a matter of latency.
        self.inner.get_mut().acknowledge(|socket| drop(socket.set_quickack(true)));
        self
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    /// Encrypts as much as goes by one system call, and sends it.
    fn poll_write_many(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.encrypted == 0 {
            // What OpenSSL may hold of an earlier write of one record goes first, and shows whether it can go.
            let mut taken = 0;
            self.inner.get_mut().gather();
            let stopped = loop {
                match Pin::new(&mut self.inner).poll_write(cx, &buf[taken..]) {
                    Poll::Ready(Ok(n)) => taken += n,
                    other => break other,
                }
                if taken == buf.len() || self.inner.get_ref().is_full() {
                    break Poll::Pending;
                }
            };
            if taken == 0 {
                // Nothing was gathered: sending is done at once.
                ready!(self.inner.get_mut().poll_send(cx))?;
                return stopped;
            }
            self.encrypted = taken;
        }
        ready!(self.inner.get_mut().poll_send(cx))?;
        let taken = std::mem::take(&mut self.encrypted);
        // As OpenSSL has it: a write that was not done is done again, with the same octets.
        if taken > buf.len() { Poll::Ready(Err(io::ErrorKind::InvalidInput.into())) } else { Poll::Ready(Ok(taken)) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if let Some(entrance) = &self.entrance
            && read.is_ready()
        {
            entrance.read(buf.filled().len().saturating_sub(before));
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = if self.encrypted > 0 || buf.len() > RECORD {
            self.poll_write_many(cx, buf)
        } else {
            Pin::new(&mut self.inner).poll_write(cx, buf)
        };
        if let (Some(entrance), Poll::Ready(Ok(octets))) = (&self.entrance, &written) {
            entrance.written(*octets);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
