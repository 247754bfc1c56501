//! A server in this process with TLS and a mailbox in memory, and a small client language to speak with it:
//! `imap.transact("OK", "SELECT INBOX")`.

pub mod memory;
pub mod reads;
pub mod sharing;

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use imap::Config;
use imap::backend::Mechanism;
use memory::{Mailbox, Memory};
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use patience::PATIENCE;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trust::SystemClock;
use trust::pki::{LeafRequest, Organization, TestAuthority};
use trust::tls::{Acceptor, Identity, Profile, ServerTls};

/// A token the mailbox opens to.
pub const GOOD: &str = "user=marie@alpha\x01auth=Bearer good\x01\x01";

pub struct Server {
    pub address: SocketAddr,
    pub mailbox: Arc<Mailbox>,
    pub shutdown: CancellationToken,
    /// Sessions that are over.
    over: watch::Receiver<usize>,
}

/// How a test wants its server.
pub struct Options {
    pub mechanisms: Vec<Mechanism>,
    pub preauthenticated: bool,
    pub configure: fn(&mut Config),
}

impl Default for Options {
    fn default() -> Self {
        Options {
            mechanisms: vec![Mechanism::XOAuth2, Mechanism::External],
            preauthenticated: false,
            configure: |_| {},
        }
    }
}

/// The certificate of the test authority, made once for all test processes: making keys takes longer than any test.
fn identity() -> Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    let make = || {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("imap-test-identity.pem");
        if let Some(identity) = std::fs::read(&path).ok().and_then(|pem| Identity::from_pem(&pem, &pem).ok()) {
            return identity;
        }
        let authority = TestAuthority::generate("http://127.0.0.1:1", SystemClock::shared()).expect("OpenSSL works");
        let organization = Organization::new("1750000001", "Alpha", "75");
        let request = LeafRequest::server("imap.alpha.test", &organization, &[], &[]);
        let issued = authority.issue(&request).expect("a short name");
        let mut pem = issued.chain_pem().expect("OpenSSL works");
        pem.extend(issued.key_pem().expect("OpenSSL works"));
        // Written aside and renamed: tests run in processes of their own. A failure only costs time.
        let aside = path.with_extension(std::process::id().to_string());
        let _ = std::fs::write(&aside, &pem).and_then(|()| std::fs::rename(&aside, &path));
        issued.identity().expect("its own key")
    };
    IDENTITY.get_or_init(make).clone()
}

impl Server {
    pub async fn start() -> Server {
        Server::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Server {
        let tls = Acceptor::new(ServerTls::new(identity(), Profile::ApiLps)).expect("a good certificate");
        let mut config = Config::new(tls, "imap.alpha.test");
        config.failure_delay = Duration::from_millis(1);
        (options.configure)(&mut config);
        let mailbox = Mailbox::new();
        let (mechanisms, preauthenticated) = (options.mechanisms, options.preauthenticated);
        let backend = Arc::new(Memory { mailbox: Arc::clone(&mailbox), mechanisms, preauthenticated });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let shutdown = CancellationToken::new();
        let (config, stop) = (Arc::new(config), shutdown.clone());
        let (ended, over) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                let session = imap::serve(stream, peer, Arc::clone(&config), backend.clone(), stop.clone());
                let ended = ended.clone();
                tokio::spawn(async move {
                    session.await;
                    ended.send_modify(|sessions| *sessions += 1);
                });
            }
        });
        Server { address, mailbox, shutdown, over }
    }

    /// Waits until so many sessions are over.
    pub async fn ended(&self, sessions: usize) {
        let mut over = self.over.clone();
        let ended = over.wait_for(|over| *over >= sessions);
        tokio::time::timeout(PATIENCE, ended).await.expect("the session ends").expect("the server is there");
    }

    /// Octets that a session's task takes while it waits, what the heap holds not counted.
    pub async fn task_size() -> usize {
        let tls = Acceptor::new(ServerTls::new(identity(), Profile::ApiLps)).expect("a good certificate");
        let backend = Arc::new(Memory { mailbox: Mailbox::new(), mechanisms: Vec::new(), preauthenticated: false });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let stream = TcpStream::connect(address).await.expect("listening");
        let config = Arc::new(Config::new(tls, "imap.alpha.test"));
        std::mem::size_of_val(&imap::serve(stream, address, config, backend, CancellationToken::new()))
    }

    /// A client before TLS, greeted.
    pub async fn plain(&self) -> Client {
        let stream = TcpStream::connect(self.address).await.expect("listening");
        stream.set_nodelay(true).expect("a socket");
        let mut client =
            Client { stream: BufReader::new(Box::pin(Wire::Plain(stream))), tag: 0, greeting: String::new() };
        client.greeting = client.line().await;
        client
    }

    /// A client under TLS.
    pub async fn tls(&self) -> Client {
        let mut client = self.plain().await;
        client.transact("OK", "STARTTLS").await;
        client.begin_tls().await
    }

    /// An authenticated client.
    pub async fn login(&self) -> Client {
        let mut client = self.tls().await;
        client.transact("OK", &format!("AUTHENTICATE XOAUTH2 {}", base64(GOOD))).await;
        client
    }

    /// A client that has INBOX open.
    pub async fn inbox(&self) -> Client {
        let mut client = self.login().await;
        client.transact("OK [READ-WRITE]", "SELECT INBOX").await;
        client
    }
}

pub fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

enum Wire {
    Plain(TcpStream),
    Tls(tokio_openssl::SslStream<TcpStream>),
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(s) => Pin::new(s).poll_read(cx, buf),
            Wire::Tls(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(s) => Pin::new(s).poll_write(cx, buf),
            Wire::Tls(s) => Pin::new(s).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(s) => Pin::new(s).poll_flush(cx),
            Wire::Tls(s) => Pin::new(s).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(s) => Pin::new(s).poll_shutdown(cx),
            Wire::Tls(s) => Pin::new(s).poll_shutdown(cx),
        }
    }
}

/// A client. Every reading panics when nothing comes for too long.
pub struct Client {
    stream: BufReader<Pin<Box<Wire>>>,
    tag: u32,
    pub greeting: String,
}

/// The untagged responses, literals inside them, and the tagged one at the end.
pub type Lines = Vec<String>;

impl Client {
    /// Makes the handshake.
    pub async fn begin_tls(self) -> Client {
        assert!(self.stream.buffer().is_empty(), "the server spoke before the handshake");
        let Wire::Plain(stream) = *Pin::into_inner(self.stream.into_inner()) else { panic!("TLS twice") };
        let mut builder = SslConnector::builder(SslMethod::tls_client()).expect("OpenSSL works");
        builder.set_verify(SslVerifyMode::NONE);
        let ssl = builder.build().configure().expect("OpenSSL works").into_ssl("imap.alpha.test").expect("a name");
        let mut stream = tokio_openssl::SslStream::new(ssl, stream).expect("OpenSSL works");
        Pin::new(&mut stream).connect().await.expect("a handshake");
        Client { stream: BufReader::new(Box::pin(Wire::Tls(stream))), tag: self.tag, greeting: self.greeting }
    }

    /// The connection itself, with nothing read in advance; the stress test, which is another program, takes it.
    #[allow(dead_code, reason = "each of the two programs uses its half")]
    pub fn into_stream(self) -> impl tokio::io::AsyncBufRead + AsyncWrite + Send {
        self.stream
    }

    /// Sends octets as they are.
    pub async fn raw(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.write_all(octets.as_ref()).await.expect("the server reads");
        self.stream.flush().await.expect("the server reads");
    }

    /// Sends a command; its tag.
    pub async fn send(&mut self, command: &str) -> String {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        self.raw(format!("{tag} {command}\r\n")).await;
        tag
    }

    /// A response with its literals inside; empty when the server closed.
    pub async fn line(&mut self) -> String {
        let mut octets = Vec::new();
        let read = async {
            loop {
                if self.stream.read_until(b'\n', &mut octets).await.unwrap_or(0) == 0 {
                    break;
                }
                let text = octets.strip_suffix(b"\r\n").expect("lines end with CRLF");
                let Some(size) = text.strip_suffix(b"}").and_then(|t| {
                    let open = t.iter().rposition(|b| *b == b'{')?;
                    std::str::from_utf8(&t[open + 1..]).ok()?.parse::<usize>().ok()
                }) else {
                    octets.truncate(text.len());
                    break;
                };
                let start = octets.len();
                octets.resize(start + size, 0);
                self.stream.read_exact(&mut octets[start..]).await.expect("the whole literal");
            }
        };
        tokio::time::timeout(PATIENCE, read).await.unwrap_or_else(|_| panic!("nothing came"));
        String::from_utf8_lossy(&octets).into_owned()
    }

    /// Reads up to the tagged answer, which must begin with `status`.
    pub async fn answer(&mut self, tag: &str, status: &str) -> Lines {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            assert!(!line.is_empty(), "closed before the answer to {tag}: {lines:?}");
            let tagged = line.strip_prefix(tag).and_then(|rest| rest.strip_prefix(' ')).map(str::to_owned);
            lines.push(line);
            if let Some(rest) = tagged {
                assert!(rest.starts_with(status), "wanted {status}: {lines:?}");
                return lines;
            }
        }
    }

    /// A command and its answer, which must begin with `status` (after the tag).
    pub async fn transact(&mut self, status: &str, command: &str) -> Lines {
        let tag = self.send(command).await;
        self.answer(&tag, status).await
    }

    /// APPEND with a literal the server is asked about first.
    pub async fn append(&mut self, status: &str, arguments: &str, message: &str) -> Lines {
        let message = message.replace('\n', "\r\n");
        let tag = self.send(&format!("APPEND {arguments} {{{}}}", message.len())).await;
        let go = self.line().await;
        assert!(go.starts_with("+ "), "wanted a continuation: {go}");
        self.raw(format!("{message}\r\n")).await;
        self.answer(&tag, status).await
    }

    /// Reads the answer to the command just sent and throws it away: the command was carried out.
    pub async fn forget_answer(&mut self) {
        let tag = format!("t{}", self.tag);
        self.answer(&tag, "").await;
    }

    /// Whether the server closes, after lines that are returned.
    pub async fn closes(&mut self) -> Lines {
        let mut lines = Vec::new();
        loop {
            match self.line().await {
                line if line.is_empty() => return lines,
                line => lines.push(line),
            }
        }
    }

    /// Whether anything comes within that time, an end included; it stays to be read.
    pub async fn hears(&mut self, within: Duration) -> bool {
        tokio::time::timeout(within, self.stream.fill_buf()).await.is_ok()
    }

    /// Reads what is left.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let read = self.stream.read_to_end(&mut rest);
        // An end without farewell is an end too.
        let _ = tokio::time::timeout(PATIENCE, read).await.expect("an end comes");
        rest
    }

    /// Reads so many octets.
    pub async fn octets(&mut self, count: usize) -> Vec<u8> {
        let mut octets = vec![0; count];
        let read = self.stream.read_exact(&mut octets);
        tokio::time::timeout(PATIENCE, read).await.expect("octets come").expect("the server goes on");
        octets
    }
}

/// The lines that hold a text.
pub fn with<'l>(lines: &'l [String], text: &str) -> Vec<&'l str> {
    lines.iter().map(String::as_str).filter(|l| l.contains(text)).collect()
}

/// The one line that holds a text.
#[track_caller]
pub fn one<'l>(lines: &'l [String], text: &str) -> &'l str {
    match with(lines, text)[..] {
        [one] => one,
        _ => panic!("wanted one line with {text}: {lines:?}"),
    }
}
