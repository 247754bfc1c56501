//! A very small IMAP client: a command, its lines.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use trust::tls::{Profile, TlsStream};

use super::Space;
use super::mailbox::Labo;
use operator::Operator;

/// A session inside TLS, authenticated.
pub struct Imap {
    stream: BufStream<TlsStream<TcpStream>>,
    tag: u32,
}

impl Imap {
    /// Opens a mailbox of software by its certificate.
    pub async fn open(space: &Space, operator: &Operator, mailbox: &Labo) -> Imap {
        let address = operator.addresses.imap_app.expect("an entry point");
        let mut plain = BufStream::new(TcpStream::connect(address).await.expect("listening"));
        let mut line = String::new();
        plain.read_line(&mut line).await.expect("a greeting");
        plain.write_all(b"s STARTTLS\r\n").await.expect("written");
        plain.flush().await.expect("written");
        line.clear();
        plain.read_line(&mut line).await.expect("an answer");
        assert!(line.starts_with("s OK"), "{line}");
        let connector = space.connector(&mailbox.certificate, Profile::ApiLps);
        let tls = connector.connect("127.0.0.1", plain.into_inner()).await.expect("a handshake");
        let mut imap = Imap { stream: BufStream::new(tls), tag: 0 };
        let who = openssl::base64::encode_block(mailbox.address.to_string().as_bytes());
        imap.ok(&format!("AUTHENTICATE EXTERNAL {who}")).await;
        imap
    }

    /// The connection itself, with nothing read in advance.
    pub fn into_stream(self) -> BufStream<TlsStream<TcpStream>> {
        self.stream
    }

    /// Says a line, tag and all.
    pub async fn say(&mut self, line: &str) {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await.expect("written");
        self.stream.flush().await.expect("written");
    }

    /// One line.
    pub async fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.expect("readable");
        line
    }

    /// Says a command; everything up to its OK.
    pub async fn ok(&mut self, command: &str) -> String {
        self.tag += 1;
        let tag = format!("t{} ", self.tag);
        self.stream.write_all(format!("{tag}{command}\r\n").as_bytes()).await.expect("written");
        self.stream.flush().await.expect("written");
        let mut all = String::new();
        loop {
            let mut line = String::new();
            assert!(self.stream.read_line(&mut line).await.expect("readable") > 0, "closed after {all}");
            if line.starts_with(&tag) {
                assert!(line.starts_with(&format!("{tag}OK")), "{command}: {line}");
                return all;
            }
            let literal =
                line.trim_end().strip_suffix('}').and_then(|l| l.rsplit_once('{')).and_then(|(_, n)| n.parse().ok());
            all.push_str(&line);
            if let Some(size) = literal {
                let mut octets = vec![0; size];
                self.stream.read_exact(&mut octets).await.expect("a literal");
                all.push_str(&String::from_utf8_lossy(&octets));
            }
        }
    }
}
