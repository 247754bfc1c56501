//! Another IMAP server as a source: every folder, by UID, with flags and dates, read without marking anything.
//!
//! Blocking. TLS from the first octet or by STARTTLS, never without; the certificate is checked against the system's authorities or a
//! file of one's own. What the server sends is bounded: lines, nesting, literals.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use openssl::base64::encode_block;
use openssl::ssl::{SslConnector, SslMethod, SslStream};
use zeroize::Zeroizing;

use super::letter::{Key, Letter, Post};
use super::response::{Folder, Listed, Responses, Token, body, fetched, listed_folder, quoted, text, value_after};
use super::{Given, MAX_MESSAGE, Result, Source, TransferError};

/// Responses to one command: the folders or the messages asked for, and as many unasked.
const MAX_RESPONSES: usize = 250_000;
/// Folders of one mailbox: far more than anybody has.
const MAX_FOLDERS: usize = 100_000;
/// Silence after which a server is given up.
const PATIENCE: Duration = Duration::from_secs(120);
/// Messages whose flags are asked at once.
const LISTED: u32 = 5000;

/// How TLS begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tls {
    /// At once (usually port 993).
    Implicit,
    /// By STARTTLS (usually port 143).
    StartTls,
}

/// Which server, and as whom.
pub struct Account {
    /// Its name, which its certificate must hold.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How TLS begins.
    pub tls: Tls,
    /// Authorities believed, in PEM; the system's when absent.
    pub authorities: Option<PathBuf>,
    /// Who; Dovecot's `user*master` works too.
    pub user: String,
    /// The password.
    pub password: Zeroizing<String>,
}

/// A connection.
struct Connection {
    place: String,
    responses: Responses<SslStream<TcpStream>>,
    tag: u32,
}

/// A mailbox elsewhere.
pub struct Remote {
    source: String,
    connection: Connection,
    folders: std::vec::IntoIter<Folder>,
    current: Option<Current>,
    expected: u64,
}

struct Current {
    name: String,
    validity: u32,
    next: u32,
    end: u32,
    listed: std::vec::IntoIter<Listed>,
}

impl Remote {
    /// Connects, authenticates and looks at the folders.
    ///
    /// # Errors
    /// [`TransferError::Remote`] with what the server or TLS said.
    pub fn open(account: &Account) -> Result<Self> {
        let mut connection = Connection::open(account)?;
        let mut folders = Vec::new();
        connection.command("LIST \"\" \"*\"", |response| folders.extend(listed_folder(&response)))?;
        if folders.len() > MAX_FOLDERS {
            return Err(connection.error(format!("more than {MAX_FOLDERS} folders")));
        }
        folders.sort_by(|a, b| (a.name != "INBOX", &a.name).cmp(&(b.name != "INBOX", &b.name)));
        let mut expected: u64 = 0;
        for folder in &folders {
            connection.command(&format!("STATUS {} (MESSAGES)", quoted(&folder.raw)), |response| {
                expected = expected.saturating_add(value_after(&response, "MESSAGES").unwrap_or(0));
            })?;
        }
        let source = format!("imap://{}@{}:{}", account.user, account.host, account.port);
        Ok(Remote { source, connection, folders: folders.into_iter(), current: None, expected })
    }

    fn begin(&mut self, folder: Folder) -> Result<()> {
        let (mut validity, mut next) = (1, 1);
        self.connection.command(&format!("EXAMINE {}", quoted(&folder.raw)), |response| {
            let number = |word| value_after(&response, word).and_then(|n| u32::try_from(n).ok());
            validity = number("[UIDVALIDITY").unwrap_or(validity);
            next = number("[UIDNEXT").unwrap_or(next);
        })?;
        self.current =
            Some(Current { name: folder.name, validity, next: 1, end: next, listed: Vec::new().into_iter() });
        Ok(())
    }
}

impl Source for Remote {
    fn expected(&self) -> Option<u64> {
        Some(self.expected)
    }

    fn next(&mut self, known: &dyn Fn(&Key) -> bool) -> Result<Option<Given>> {
        loop {
            let Some(current) = &mut self.current else {
                match self.folders.next() {
                    Some(folder) => self.begin(folder)?,
                    None => {
                        let _ = self.connection.command("LOGOUT", |_| {});
                        return Ok(None);
                    }
                }
                continue;
            };
            let Some(message) = current.listed.next() else {
                if current.next >= current.end {
                    self.current = None;
                    continue;
                }
                let last = current.next.saturating_add(LISTED - 1).min(current.end);
                let command = format!("UID FETCH {}:{last} (UID FLAGS INTERNALDATE RFC822.SIZE)", current.next);
                let asked = current.next..=last;
                let mut listed: Vec<Listed> = Vec::new();
                self.connection.command(&command, |response| {
                    let message = fetched(&response).filter(|m| asked.contains(&m.uid));
                    // No more than was asked for, however often it is said.
                    listed.extend(message.filter(|_| listed.len() < LISTED as usize));
                })?;
                listed.sort_by_key(|l| l.uid);
                listed.dedup_by_key(|l| l.uid);
                current.next = last.saturating_add(1);
                current.listed = listed.into_iter();
                continue;
            };
            let key = Key::of(&self.source, &current.name, &format!("{}.{}", current.validity, message.uid));
            if known(&key) {
                return Ok(Some(Given::Known));
            }
            let place = format!("{} UID {}", current.name, message.uid);
            if message.size > MAX_MESSAGE {
                return Ok(Some(Given::Skipped(place, "larger than any mailbox takes".into())));
            }
            let mut octets = None;
            self.connection.command(&format!("UID FETCH {} (BODY.PEEK[])", message.uid), |response| {
                octets = octets.take().or_else(|| body(&response));
            })?;
            let Some(octets) = octets else {
                return Ok(Some(Given::Skipped(place, "the server did not give it (expunged meanwhile?)".into())));
            };
            let octets: Bytes = super::text::with_crlf(&octets).into_owned().into();
            if octets.is_empty() {
                return Ok(Some(Given::Skipped(place, "an empty message".into())));
            }
            let letter = Letter {
                folder: current.name.clone(),
                flags: message.flags,
                date: message.date,
                key,
                size: octets.len() as u64,
            };
            return Ok(Some(Given::Post(Box::new(Post { letter, octets }))));
        }
    }
}

impl Connection {
    fn open(account: &Account) -> Result<Self> {
        let place = format!("{}:{}", account.host, account.port);
        let remote = |why: String| TransferError::Remote(place.clone(), why);
        let io = |e: std::io::Error| remote(e.to_string());
        let mut tcp = TcpStream::connect((account.host.as_str(), account.port)).map_err(io)?;
        tcp.set_read_timeout(Some(PATIENCE)).map_err(io)?;
        tcp.set_write_timeout(Some(PATIENCE)).map_err(io)?;
        if account.tls == Tls::StartTls {
            plain_line(&mut tcp).map_err(io)?;
            tcp.write_all(b"s STARTTLS\r\n").map_err(io)?;
            let answer = plain_line(&mut tcp).map_err(io)?;
            if !answer.starts_with("s OK") {
                return Err(remote(format!("it refuses STARTTLS: {answer}")));
            }
        }
        let mut connector = SslConnector::builder(SslMethod::tls_client()).map_err(|e| remote(e.to_string()))?;
        if let Some(file) = &account.authorities {
            connector.set_ca_file(file).map_err(|e| remote(format!("{}: {e}", file.display())))?;
        }
        let stream = connector.build().connect(&account.host, tcp).map_err(|e| {
            remote(format!("{e} (its certificate is checked; give the authority that signed it with --ca)"))
        })?;
        let mut connection = Connection { place: place.clone(), responses: Responses::new(stream), tag: 0 };
        if account.tls == Tls::Implicit {
            connection.response()?;
        }
        let login = Zeroizing::new(format!("\0{}\0{}", account.user, &*account.password));
        let command = Zeroizing::new(format!("AUTHENTICATE PLAIN {}", encode_block(login.as_bytes())));
        let mut initial = false;
        connection.command("CAPABILITY", |response| {
            initial |= response.iter().any(|t| matches!(t, Token::Atom(a) if a.eq_ignore_ascii_case("SASL-IR")));
        })?;
        if initial {
            connection.command(&command, |_| {})?;
        } else {
            let command = Zeroizing::new(format!("LOGIN {} {}", quoted(&account.user), quoted(&account.password)));
            connection.command(&command, |_| {})?;
        }
        Ok(connection)
    }

    fn error(&self, why: impl Into<String>) -> TransferError {
        TransferError::Remote(self.place.clone(), why.into())
    }

    /// The next response.
    fn response(&mut self) -> Result<Vec<Token>> {
        self.responses.response().map_err(|e| self.error(e.to_string()))
    }

    /// Sends a command and hands over its untagged responses, each as it comes: none is kept here.
    fn command(&mut self, command: &str, mut take: impl FnMut(Vec<Token>)) -> Result<()> {
        self.tag += 1;
        let tag = format!("v{}", self.tag);
        let line = Zeroizing::new(format!("{tag} {command}\r\n"));
        self.responses.send(line.as_bytes()).map_err(|e| self.error(e.to_string()))?;
        for _ in 0..MAX_RESPONSES {
            let response = self.response()?;
            match response.first() {
                Some(Token::Atom(first)) if *first == tag => {
                    let ok = matches!(response.get(1), Some(Token::Atom(a)) if a.eq_ignore_ascii_case("OK"));
                    let words: Vec<String> = response[1..].iter().map(text).collect();
                    // Never the command itself: it may hold the password.
                    let verb = command.split(' ').next().unwrap_or_default();
                    return if ok { Ok(()) } else { Err(self.error(format!("{verb}: {}", words.join(" ")))) };
                }
                Some(Token::Atom(first)) if first == "*" => {
                    if matches!(response.get(1), Some(Token::Atom(a)) if a.eq_ignore_ascii_case("BYE"))
                        && command != "LOGOUT"
                    {
                        let words: Vec<String> = response[1..].iter().map(text).collect();
                        return Err(self.error(words.join(" ")));
                    }
                    take(response);
                }
                _ => {}
            }
        }
        Err(self.error("it answers one command without end"))
    }
}

fn plain_line(tcp: &mut TcpStream) -> std::io::Result<String> {
    let mut line = Vec::new();
    let mut octet = [0];
    while line.last() != Some(&b'\n') && line.len() < 8192 {
        if tcp.read(&mut octet)? == 0 {
            break;
        }
        line.push(octet[0]);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}
