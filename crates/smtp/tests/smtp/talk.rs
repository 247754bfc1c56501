//! A conversation by lines, for either side: `talk.transact("250", "NOOP")`.

use std::net::SocketAddr;

use patience::PATIENCE;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use trust::tls::{Acceptor, Connector};

use crate::pki;

pub trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

pub struct Talk {
    io: Option<Box<dyn Io>>,
    input: Vec<u8>,
}

impl Talk {
    pub fn over(tcp: TcpStream) -> Talk {
        tcp.set_nodelay(true).expect("TCP_NODELAY");
        Talk { io: Some(Box::new(tcp)), input: Vec::new() }
    }

    /// Connects and reads the greeting.
    pub async fn connect(address: SocketAddr) -> Talk {
        let mut talk = Talk::over(TcpStream::connect(address).await.expect("a connection"));
        talk.expect("220 ").await;
        talk
    }

    /// Connects, STARTTLS, EHLO.
    pub async fn secure(address: SocketAddr, shows: Option<&str>) -> Talk {
        let mut talk = Talk::connect(address).await;
        talk.transact("250", "EHLO test.example").await;
        talk.starttls(&pki::connector(shows)).await;
        talk.transact("250", "EHLO test.example").await;
        talk
    }

    fn io(&mut self) -> &mut Box<dyn Io> {
        self.io.as_mut().expect("open")
    }

    /// STARTTLS from the client's side.
    pub async fn starttls(&mut self, connector: &Connector) {
        self.transact("220", "STARTTLS").await;
        assert!(self.input.is_empty(), "in clear after STARTTLS");
        let io = self.io.take().expect("open");
        let tls = connector.connect(pki::HOST, io).await.expect("a handshake");
        self.io = Some(Box::new(tls));
    }

    /// The handshake from the server's side.
    pub async fn accept(&mut self, acceptor: &Acceptor) {
        self.input.clear();
        let io = self.io.take().expect("open");
        let tls = acceptor.accept(io).await.expect("a handshake");
        self.io = Some(Box::new(tls));
    }

    pub async fn send(&mut self, octets: impl AsRef<[u8]>) {
        let io = self.io();
        io.write_all(octets.as_ref()).await.expect("written");
        io.flush().await.expect("written");
    }

    /// A line, without its CRLF; `None` at the end.
    pub async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.input.windows(2).position(|w| w == b"\r\n") {
                let line: Vec<u8> = self.input.drain(..end + 2).collect();
                return Some(String::from_utf8(line[..end].to_vec()).expect("UTF-8"));
            }
            let mut piece = [0; 4096];
            match timeout(PATIENCE, self.io().read(&mut piece)).await.expect("an answer in time") {
                Ok(0) | Err(_) => {
                    assert!(self.input.is_empty(), "half a line: {:?}", String::from_utf8_lossy(&self.input));
                    return None;
                }
                Ok(n) => self.input.extend_from_slice(&piece[..n]),
            }
        }
    }

    /// A reply, all its lines.
    pub async fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let line = self.line().await.unwrap_or_else(|| panic!("closed after {reply:?}"));
            let more = line.as_bytes().get(3) == Some(&b'-');
            reply.push_str(&line);
            if !more {
                return reply;
            }
            reply.push('\n');
        }
    }

    /// A reply that must begin so.
    pub async fn expect(&mut self, prefix: &str) -> String {
        let reply = self.reply().await;
        assert!(reply.starts_with(prefix), "{prefix} expected, got {reply}");
        reply
    }

    /// Says a line, and expects a reply that begins so.
    pub async fn transact(&mut self, prefix: &str, line: &str) -> String {
        self.send(format!("{line}\r\n")).await;
        let reply = self.reply().await;
        assert!(reply.starts_with(prefix), "{line}: {prefix} expected, got {reply}");
        reply
    }

    /// The other side has closed and said nothing more.
    pub async fn closed(&mut self) {
        assert_eq!(self.line().await, None);
    }

    /// Everything until the other side closes.
    pub async fn rest(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.line().await {
            lines.push(line);
        }
        lines
    }

    /// MAIL and RCPT.
    pub async fn envelope(&mut self) {
        self.transact("250 2.1.0", "MAIL FROM:<a@alpha.mssante.fr>").await;
        self.transact("250 2.1.5", "RCPT TO:<b@beta.mssante.fr>").await;
    }

    /// Octets as they come, exactly that many.
    pub async fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.input.len() < count {
            let mut piece = [0; 4096];
            let read = timeout(PATIENCE, self.io().read(&mut piece)).await.expect("in time").expect("read");
            assert!(read > 0, "closed");
            self.input.extend_from_slice(&piece[..read]);
        }
        self.input.drain(..count).collect()
    }
}
