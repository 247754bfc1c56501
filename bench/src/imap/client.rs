//! A small blocking IMAP client over TLS: it sends a command, reads to its tagged answer and counts what it is given.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use openssl::ssl::{Ssl, SslContext, SslMethod, SslStream, SslVerifyMode};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// What is read at once.
const PIECE: usize = 256 * 1024;

/// A connection.
pub struct Client {
    stream: SslStream<TcpStream>,
    buffer: Vec<u8>,
    /// Where what is not read yet begins and ends.
    from: usize,
    to: usize,
    tag: u32,
}

/// What an answer held.
#[derive(Default, Debug)]
pub struct Answer {
    /// Untagged lines that begin `* n FETCH`.
    pub fetched: usize,
    /// Octets of literals.
    pub octets: u64,
    /// The last untagged line, without literals, cut at 200 octets.
    pub last: String,
    /// Lines of at most 200 octets that hold a code in brackets or a count.
    pub notes: Vec<String>,
    /// The tagged line.
    pub tagged: String,
}

/// One for all connections. It knows no authority: OpenSSL looks for the issuer of a certificate even where nobody asks, through the
/// whole of the system's folder of them, which took a quarter of what a login cost this generator, on the processors that it shares with the server.
pub fn context() -> Result<SslContext, String> {
    let mut context = SslContext::builder(SslMethod::tls_client()).map_err(|e| e.to_string())?;
    context.set_verify(SslVerifyMode::NONE);
    Ok(context.build())
}

impl Client {
    /// Connects, starts TLS and authenticates with `login`, a whole AUTHENTICATE command without tag.
    pub fn open(context: &SslContext, address: SocketAddr, login: &str) -> Result<Self, String> {
        let text = |e: std::io::Error| format!("{address}: {e}");
        let mut tcp = TcpStream::connect(address).map_err(text)?;
        tcp.set_nodelay(true).map_err(text)?;
        tcp.set_read_timeout(Some(PATIENCE)).map_err(text)?;
        line(&mut tcp).map_err(text)?;
        tcp.write_all(b"s STARTTLS\r\n").map_err(text)?;
        let answer = line(&mut tcp).map_err(text)?;
        if !answer.starts_with("s OK") {
            return Err(format!("{address}: STARTTLS: {answer}"));
        }
        let ssl = Ssl::new(context).map_err(|e| e.to_string())?;
        let stream = ssl.connect(tcp).map_err(|e| format!("{address}: {e}"))?;
        let mut client = Client { stream, buffer: Vec::new(), from: 0, to: 0, tag: 0 };
        client.command(login)?;
        Ok(client)
    }

    /// Sends a command and reads its answer, which must be OK.
    pub fn command(&mut self, text: &str) -> Result<Answer, String> {
        self.tag += 1;
        let command = format!("a{} {text}\r\n", self.tag);
        self.send(command.as_bytes())?;
        self.answer(self.tag)
    }

    /// Sends a message to a folder and reads the answer, which must be OK.
    pub fn append(&mut self, folder: &str, text: &str) -> Result<(), String> {
        let tag = self.next_tag();
        self.send(format!("a{tag} APPEND {folder} {{{}+}}\r\n{text}\r\n", text.len()).as_bytes())?;
        self.answer(tag).map(drop)
    }

    /// Sends octets as they are.
    pub fn send(&mut self, octets: &[u8]) -> Result<(), String> {
        self.stream.write_all(octets).map_err(|e| e.to_string())
    }

    /// The next tag, for a command that is sent by [`Client::send`].
    pub fn next_tag(&mut self) -> u32 {
        self.tag += 1;
        self.tag
    }

    /// Reads one line that is a continuation (`+ …`).
    pub fn continuation(&mut self) -> Result<(), String> {
        let mut answer = Answer::default();
        let line = self.line(&mut answer)?;
        if line.starts_with('+') { Ok(()) } else { Err(format!("a continuation was due: {line}")) }
    }

    /// Reads to the answer of a tag.
    pub fn answer(&mut self, tag: u32) -> Result<Answer, String> {
        let tag = format!("a{tag} ");
        let mut answer = Answer::default();
        loop {
            let line = self.line(&mut answer)?;
            if let Some(rest) = line.strip_prefix(&tag) {
                answer.tagged = rest.to_owned();
                return if rest.starts_with("OK") { Ok(answer) } else { Err(format!("answered {rest}")) };
            }
            if line.starts_with("* BYE") {
                return Err(line);
            }
            if line.contains('[') || line.ends_with("EXISTS") {
                answer.notes.push(line.clone());
            }
            answer.last = line;
        }
    }

    /// Reads to an untagged line that ends so.
    pub fn untagged(&mut self, end: &str) -> Result<(), String> {
        let mut answer = Answer::default();
        while !self.line(&mut answer)?.ends_with(end) {}
        Ok(())
    }

    /// One line, cut at 200 octets, literals in it skipped and counted.
    fn line(&mut self, answer: &mut Answer) -> Result<String, String> {
        let mut kept: Vec<u8> = Vec::new();
        loop {
            let unread = &self.buffer[self.from..self.to];
            match unread.iter().position(|b| *b == b'\n') {
                None => {
                    // A long line is cut, but its end (a literal's size) is kept.
                    let part = unread;
                    kept.extend_from_slice(part);
                    self.from = self.to;
                    self.fill()?;
                }
                Some(end) => {
                    kept.extend_from_slice(&unread[..=end]);
                    self.from += end + 1;
                    let text = kept.strip_suffix(b"\n").unwrap_or(&kept);
                    let text = text.strip_suffix(b"\r").unwrap_or(text);
                    match literal(text) {
                        Some(size) => {
                            answer.octets += size;
                            self.skip(size)?;
                            kept.truncate(kept.len().min(200));
                        }
                        None => {
                            let short = &text[..text.len().min(200)];
                            if short.windows(7).take(20).any(|w| w == b" FETCH ") {
                                answer.fetched += 1;
                            }
                            return Ok(String::from_utf8_lossy(short).into_owned());
                        }
                    }
                }
            }
        }
    }

    fn skip(&mut self, mut size: u64) -> Result<(), String> {
        while size > 0 {
            if self.from == self.to {
                self.fill()?;
            }
            let here = (self.to - self.from).min(usize::try_from(size).unwrap_or(usize::MAX));
            self.from += here;
            size -= here as u64;
        }
        Ok(())
    }

    fn fill(&mut self) -> Result<(), String> {
        if self.buffer.is_empty() {
            self.buffer = vec![0; PIECE];
        }
        self.from = 0;
        self.to = self.stream.read(&mut self.buffer).map_err(|e| e.to_string())?;
        if self.to == 0 { Err("the server closed the connection".into()) } else { Ok(()) }
    }

    /// Gives the buffer back: a connection that only waits must cost this process little.
    pub fn rest(&mut self) {
        self.buffer = Vec::new();
        self.from = 0;
        self.to = 0;
    }
}

/// What `messages` APPENDs to INBOX take, one after the other on each connection, all connections at once.
pub fn burst<'t>(
    clients: &mut [Client],
    messages: usize,
    text: impl Fn(usize) -> &'t str + Sync,
) -> Result<Duration, String> {
    let next = AtomicUsize::new(0);
    let each = |client: &mut Client| -> Result<(), String> {
        loop {
            match next.fetch_add(1, Ordering::Relaxed) {
                number if number < messages => client.append("INBOX", text(number))?,
                _ => return Ok(()),
            }
        }
    };
    let began = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = clients.iter_mut().map(|client| scope.spawn(|| each(client))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a client failed".to_owned())?)
    })?;
    Ok(began.elapsed())
}

/// The size of the literal a line ends with.
fn literal(line: &[u8]) -> Option<u64> {
    let rest = line.strip_suffix(b"}")?;
    let open = rest.iter().rposition(|b| *b == b'{')?;
    std::str::from_utf8(&rest[open + 1..]).ok()?.parse().ok()
}

fn line(tcp: &mut TcpStream) -> std::io::Result<String> {
    let mut line = Vec::new();
    let mut octet = [0];
    while line.last() != Some(&b'\n') && line.len() < 4096 {
        if tcp.read(&mut octet)? == 0 {
            break;
        }
        line.push(octet[0]);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}
