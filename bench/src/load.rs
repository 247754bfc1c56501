//! The load: SMTP over TLS on a number of connections, each sending its messages one after the other.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use openssl::ssl::{SslConnector, SslFiletype, SslMethod, SslVerifyMode};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
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
    let mut connections = Vec::new();
    for _ in 0..count.connections {
        connections.push(Connection::open(server.entrance()).await?);
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
    let (elapsed, cpu) = (start.elapsed().as_secs_f64(), cpu::others() - cpu);
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

struct Connection {
    stream: BufReader<SslStream<TcpStream>>,
}

impl Connection {
    async fn open(entrance: &Entrance) -> Result<Self, String> {
        let text = |e: std::io::Error| format!("{}: {e}", entrance.address);
        let tcp = TcpStream::connect(entrance.address).await.map_err(text)?;
        tcp.set_nodelay(true).map_err(text)?;
        let mut plain = BufReader::new(tcp);
        reply(&mut plain, '2').await?;
        say(&mut plain, "EHLO bench.example\r\n", '2').await?;
        say(&mut plain, "STARTTLS\r\n", '2').await?;
        let mut connector = SslConnector::builder(SslMethod::tls_client()).map_err(|e| e.to_string())?;
        connector.set_verify(SslVerifyMode::NONE);
        if let Some((certificate, key)) = &entrance.certificate {
            connector.set_certificate_chain_file(certificate).map_err(|e| format!("{}: {e}", certificate.display()))?;
            connector.set_private_key_file(key, SslFiletype::PEM).map_err(|e| format!("{}: {e}", key.display()))?;
        }
        let configured = connector.build().configure().map_err(|e| e.to_string())?.verify_hostname(false);
        let ssl = configured.into_ssl("bench").map_err(|e| e.to_string())?;
        let mut tls = SslStream::new(ssl, plain.into_inner()).map_err(|e| e.to_string())?;
        Pin::new(&mut tls).connect().await.map_err(|e| e.to_string())?;
        let mut stream = BufReader::new(tls);
        say(&mut stream, "EHLO bench.example\r\n", '2').await?;
        Ok(Connection { stream })
    }

    async fn send(&mut self, from: &str, to: &str, number: usize, body: &str) -> Result<(), String> {
        // As a relay does it: pipelined up to DATA.
        let envelope = format!("MAIL FROM:<{from}>\r\nRCPT TO:<{to}>\r\nDATA\r\n");
        self.stream.get_mut().write_all(envelope.as_bytes()).await.map_err(|e| e.to_string())?;
        reply(&mut self.stream, '2').await?;
        reply(&mut self.stream, '2').await?;
        reply(&mut self.stream, '3').await?;
        let message = format!(
            "From: <{from}>\r\nTo: <{to}>\r\nSubject: bench {number}\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\n\
             Message-ID: <{number}.{:x}@bench.example>\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{body}.\r\n",
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos()),
        );
        say(&mut self.stream, &message, '2').await
    }

    async fn quit(mut self) -> Result<(), String> {
        say(&mut self.stream, "QUIT\r\n", '2').await
    }
}

async fn say<S>(stream: &mut BufReader<S>, text: &str, expected: char) -> Result<(), String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    stream.get_mut().write_all(text.as_bytes()).await.map_err(|e| e.to_string())?;
    reply(stream, expected).await
}

async fn reply<S: tokio::io::AsyncRead + Unpin>(stream: &mut BufReader<S>, expected: char) -> Result<(), String> {
    loop {
        let mut line = String::new();
        if stream.take(4096).read_line(&mut line).await.map_err(|e| e.to_string())? == 0 {
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
