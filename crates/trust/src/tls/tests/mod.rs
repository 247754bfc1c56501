//! TLS as a peer sees it: an acceptor behind a real socket, OpenSSL clients of every sort before it.

mod clients;
mod connector;
mod gathering;
mod s_client;
mod suites;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use openssl::pkey::{PKey, Private};
use openssl::ssl::{Ssl, SslContext, SslContextBuilder, SslMethod, SslVerifyMode};
use openssl::x509::X509;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_openssl::SslStream;

use super::*;
use crate::clock::SystemClock;
use crate::pki::{Issued, LeafRequest, Organization, TestAuthority};

/// What the server says once the handshake is over, so that a TLS 1.3 client learns whether it was accepted.
const GREETING: &[u8] = b"* OK\r\n";

pub(super) fn hospital() -> Organization {
    Organization::new("1750000001", "CENTRE HOSPITALIER EXEMPLE", "Paris (75)")
}

pub(super) fn authority() -> TestAuthority {
    TestAuthority::generate("http://127.0.0.1:9", SystemClock::shared()).expect("an authority")
}

pub(super) fn server_request() -> LeafRequest {
    LeafRequest::server("smtp.exemple.fr", &hospital(), &["localhost"], &[[127, 0, 0, 1].into()])
}

/// The authority and the certificate of a server.
pub(super) fn authority_and_server() -> (TestAuthority, Issued) {
    let authority = authority();
    let server = authority.issue(&server_request()).expect("a certificate");
    (authority, server)
}

/// A running server and the outcome of each handshake.
pub(super) struct Server {
    pub addr: SocketAddr,
    outcomes: mpsc::UnboundedReceiver<Result<Arc<TlsInfo>, HandshakeError>>,
}

impl Server {
    pub async fn start(settings: ServerTls) -> Server {
        Server::with(Acceptor::new(settings).expect("right settings")).await
    }

    pub async fn with(acceptor: Acceptor) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("bound");
        let (sender, outcomes) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, sender) = (acceptor.clone(), sender.clone());
                tokio::spawn(async move {
                    match acceptor.accept(stream).await {
                        Ok(mut tls) => {
                            let _ = sender.send(Ok(tls.shared_info()));
                            let _ = tls.write_all(GREETING).await;
                            let _ = tokio::io::copy(&mut tls, &mut tokio::io::sink()).await;
                        }
                        Err(error) => {
                            let _ = sender.send(Err(error));
                        }
                    }
                });
            }
        });
        Server { addr, outcomes }
    }

    pub async fn outcome(&mut self) -> Result<Arc<TlsInfo>, HandshakeError> {
        self.outcomes.recv().await.expect("the server runs")
    }
}

/// A client that is not ours: plain OpenSSL, set up by the test.
pub(super) fn client(setup: impl FnOnce(&mut SslContextBuilder)) -> SslContext {
    let mut context = SslContext::builder(SslMethod::tls_client()).expect("OpenSSL works");
    context.set_verify(SslVerifyMode::NONE);
    setup(&mut context);
    context.build()
}

/// The same, showing a certificate.
pub(super) fn client_showing(chain: &[X509], key: &PKey<Private>, version: openssl::ssl::SslVersion) -> SslContext {
    client(|context| {
        context.set_max_proto_version(Some(version)).expect("known");
        if let Some((leaf, rest)) = chain.split_first() {
            context.set_certificate(leaf).expect("a certificate");
            for certificate in rest {
                context.add_extra_chain_cert(certificate.clone()).expect("a certificate");
            }
            context.set_private_key(key).expect("a key");
        }
    })
}

/// What a client saw.
pub(super) struct Seen {
    pub version: TlsVersion,
    pub suite: Suite,
    /// Type and size of the server's ephemeral key.
    pub exchange: (openssl::pkey::Id, u32),
    pub resumed: bool,
    pub session: openssl::ssl::SslSession,
}

/// Connects, shakes hands, reads the greeting.
pub(super) async fn probe(addr: SocketAddr, context: &SslContext) -> Result<Seen, HandshakeError> {
    let ssl = Ssl::new(context).expect("OpenSSL works");
    probe_with(addr, ssl).await
}

pub(super) async fn probe_with(addr: SocketAddr, ssl: Ssl) -> Result<Seen, HandshakeError> {
    let stream = TcpStream::connect(addr).await.expect("the server listens");
    let mut tls = SslStream::new(ssl, stream).expect("OpenSSL works");
    Pin::new(&mut tls).connect().await.map_err(HandshakeError::from_ssl)?;
    let mut greeting = [0; GREETING.len()];
    if let Err(error) = tls.read_exact(&mut greeting).await {
        // tokio-openssl wraps the OpenSSL error, which holds the alert, into the I/O error
        return Err(match error.downcast::<openssl::ssl::Error>() {
            Ok(error) => HandshakeError::from_ssl(error),
            Err(error) => HandshakeError::Io(error),
        });
    }
    let ssl = tls.ssl();
    let exchange = ssl.peer_tmp_key().map(|key| (key.id(), key.bits())).expect("an ephemeral key");
    Ok(Seen {
        version: TlsVersion::of(ssl.version2().expect("a version")),
        suite: Suite::of(ssl.current_cipher().expect("a suite")),
        exchange,
        resumed: ssl.session_reused(),
        session: ssl.session().expect("a session").to_owned(),
    })
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.version, self.suite)
    }
}
