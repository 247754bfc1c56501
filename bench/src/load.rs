//! The load: SMTP over TLS on a number of connections, each sending its messages one after the other.

use std::cell::RefCell;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use openssl::ssl::{Ssl, SslContext, SslFiletype, SslMethod, SslMode, SslVerifyMode};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use crate::{Count, Server, cpu};

/// Where and how a server takes mail.
#[derive(Clone)]
pub struct Entrance {
    /// Where.
    pub address: SocketAddr,
    /// MAIL FROM.
    pub sender: String,
    /// A client certificate and its key, in PEM.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Measure {
    /// Messages answered 250 per second.
    pub accepted_rate: f64,
    /// Messages in mailboxes per second.
    pub delivered_rate: f64,
    /// CPU of the server per message, in milliseconds.
    pub cpu_ms: f64,
}

/// Sends and measures.
pub async fn run(server: &dyn Server, count: Count, spread: bool, size: usize) -> Result<Measure, String> {
    let before = server.delivered(0)?;
    let recipients: Arc<Vec<String>> =
        Arc::new(if spread { server.recipients().to_vec() } else { server.recipients()[..1].to_vec() });
    let next = Arc::new(AtomicUsize::new(0));
    let body: Arc<str> = body(size).into();
    // Connections are opened before the clock starts: a relay keeps its own.
    let context = context(server.entrance())?;
    let mut connections = Vec::new();
    for _ in 0..count.connections {
        connections.push(Connection::open(server.entrance(), &context).await?);
    }
    let (cpu, start) = (cpu::others(), Instant::now());
    let mut tasks = Vec::new();
    for mut connection in connections {
        let (next, recipients, body) = (next.clone(), recipients.clone(), body.clone());
        let sender = server.entrance().sender.clone();
        tasks.push(tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count.messages {
                    return connection.quit().await;
                }
                connection.send(&sender, &recipients[number % recipients.len()], number, &body).await?;
            }
        }));
    }
    for task in tasks {
        task.await.map_err(|e| e.to_string())??;
    }
    let accepted = start.elapsed().as_secs_f64();
    let delivered = server.delivered(before + count.messages)?;
    // Where 250 means delivered, the command that counts the messages afterwards is no part of it.
    let elapsed = if server.accepts_by_delivering() { accepted } else { start.elapsed().as_secs_f64() };
    let cpu = cpu::others() - cpu;
    if delivered != before + count.messages {
        return Err(format!(
            "{}: {delivered} messages in mailboxes, {} expected",
            server.name(),
            before + count.messages
        ));
    }
    let messages = count.messages as f64;
    Ok(Measure {
        accepted_rate: messages / accepted,
        delivered_rate: messages / elapsed,
        cpu_ms: 1000.0 * cpu / messages,
    })
}

/// Messages of `size` octets sent one after the other on one connection, to each recipient in turn; what each took to its 250,
/// in milliseconds.
pub async fn one_by_one(
    entrance: &Entrance,
    recipients: &[String],
    messages: usize,
    size: usize,
) -> Result<Vec<f64>, String> {
    let body = body(size);
    let mut connection = Connection::open(entrance, &context(entrance)?).await?;
    let mut times = Vec::with_capacity(messages);
    for (number, recipient) in recipients.iter().cycle().take(messages).enumerate() {
        let began = Instant::now();
        connection.send(&entrance.sender, recipient, number, &body).await?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    connection.quit().await?;
    Ok(times)
}

/// Half random text, as base64 of a document is.
fn body(size: usize) -> String {
    let mut random = vec![0; size * 3 / 4];
    openssl::rand::rand_bytes(&mut random).expect("random numbers");
    let text = openssl::base64::encode_block(&random);
    let mut body = String::with_capacity(size + size / 38);
    for line in text.as_bytes().chunks(76) {
        body.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        body.push_str("\r\n");
    }
    body
}

thread_local! {
    /// Buffers nobody uses. Connections take the one used last, which the processor's cache still has: with one for each, the
    /// generator, which shares the processors with the server it measures, spent more than twice the time on copies.
    static FREE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

fn buffer() -> Vec<u8> {
    FREE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

fn give_back(mut buffer: Vec<u8>) {
    buffer.clear();
    FREE.with_borrow_mut(|free| free.push(buffer));
}

/// Octets gathered at most before they go to the socket: a whole message, so that one system call is made of it.
const GATHERED: usize = 64 * 1024;

/// A connection; what is written leaves at its flush.
struct Gathered {
    tcp: TcpStream,
    octets: Vec<u8>,
    /// How many of them have left.
    left: usize,
}

impl AsyncRead for Gathered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Gathered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<std::io::Result<usize>> {
        if self.octets.len() >= GATHERED {
            ready!(self.as_mut().poll_flush(cx))?;
        }
        if self.octets.capacity() == 0 {
            self.octets = buffer();
        }
        self.octets.extend_from_slice(octets);
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let Gathered { tcp, octets, left } = &mut *self;
        while *left < octets.len() {
            match ready!(Pin::new(&mut *tcp).poll_write(cx, &octets[*left..]))? {
                0 => return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into())),
                written => *left += written,
            }
        }
        *left = 0;
        if octets.capacity() > 0 {
            give_back(std::mem::take(octets));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

/// The client's side of TLS, the same for all connections: they do not check the server.
fn context(entrance: &Entrance) -> Result<SslContext, String> {
    let mut context = SslContext::builder(SslMethod::tls_client()).map_err(|e| e.to_string())?;
    context.set_verify(SslVerifyMode::NONE);
    context.set_read_ahead(true);
    // What TLS writes into is one buffer for all, too.
    context.set_mode(SslMode::RELEASE_BUFFERS);
    if let Some((certificate, key)) = &entrance.certificate {
        context.set_certificate_chain_file(certificate).map_err(|e| format!("{}: {e}", certificate.display()))?;
        context.set_private_key_file(key, SslFiletype::PEM).map_err(|e| format!("{}: {e}", key.display()))?;
    }
    Ok(context.build())
}

struct Connection {
    stream: BufReader<SslStream<Gathered>>,
    /// The line being read, kept to be used again.
    line: String,
}

impl Connection {
    async fn open(entrance: &Entrance, context: &SslContext) -> Result<Self, String> {
        let text = |e: std::io::Error| format!("{}: {e}", entrance.address);
        let tcp = TcpStream::connect(entrance.address).await.map_err(text)?;
        tcp.set_nodelay(true).map_err(text)?;
        let mut plain = BufReader::new(tcp);
        let mut line = String::new();
        reply(&mut plain, &mut line, '2').await?;
        write(&mut plain, b"EHLO bench.example\r\n".to_vec()).await?;
        reply(&mut plain, &mut line, '2').await?;
        write(&mut plain, b"STARTTLS\r\n".to_vec()).await?;
        reply(&mut plain, &mut line, '2').await?;
        let ssl = Ssl::new(context).map_err(|e| e.to_string())?;
        let gathered = Gathered { tcp: plain.into_inner(), octets: Vec::new(), left: 0 };
        let mut tls = SslStream::new(ssl, gathered).map_err(|e| e.to_string())?;
        Pin::new(&mut tls).connect().await.map_err(|e| e.to_string())?;
        let mut connection = Connection { stream: BufReader::with_capacity(1024, tls), line };
        connection.say(b"EHLO bench.example\r\n".to_vec(), '2').await?;
        Ok(connection)
    }

    async fn send(&mut self, from: &str, to: &str, number: usize, body: &str) -> Result<(), String> {
        let mut message = buffer();
        let text = |e: std::io::Error| e.to_string();
        // As a relay does it: pipelined up to DATA.
        write!(message, "MAIL FROM:<{from}>\r\nRCPT TO:<{to}>\r\nDATA\r\n").map_err(text)?;
        self.say(message, '2').await?;
        self.reply('2').await?;
        self.reply('3').await?;
        let mut message = buffer();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
        // With the Received field of the server that took it from its author, as every message between two operators has.
        write!(
            message,
            "Received: from [192.0.2.7] (client.bench.example [192.0.2.7])\r\n\tby bench.example with ESMTPSA id {now:x};\r\n\
             \tSat, 21 Nov 2026 12:00:00 +0000\r\n\
             From: <{from}>\r\nTo: <{to}>\r\nSubject: bench {number}\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\n\
             Message-ID: <{number}.{now:x}@bench.example>\r\nMIME-Version: 1.0\r\n\
             Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n{body}.\r\n",
        )
        .map_err(text)?;
        self.say(message, '2').await
    }

    async fn quit(mut self) -> Result<(), String> {
        self.say(b"QUIT\r\n".to_vec(), '2').await
    }

    async fn say(&mut self, text: Vec<u8>, expected: char) -> Result<(), String> {
        write(&mut self.stream, text).await?;
        self.reply(expected).await
    }

    async fn reply(&mut self, expected: char) -> Result<(), String> {
        reply(&mut self.stream, &mut self.line, expected).await
    }
}

/// Writes what is in a buffer, which others may have then.
async fn write<S>(stream: &mut BufReader<S>, text: Vec<u8>) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.get_mut().write_all(&text).await.map_err(|e| e.to_string())?;
    give_back(text);
    stream.get_mut().flush().await.map_err(|e| e.to_string())
}

async fn reply<S: AsyncRead + Unpin>(
    stream: &mut BufReader<S>,
    line: &mut String,
    expected: char,
) -> Result<(), String> {
    loop {
        line.clear();
        if stream.take(4096).read_line(line).await.map_err(|e| e.to_string())? == 0 {
            return Err("the server closed the connection".into());
        }
        if !line.starts_with(expected) {
            return Err(format!("the server said {}", line.trim_end()));
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(());
        }
    }
}
