//! Another IMAP server as a source: every folder, by UID, with flags and dates, read without marking anything.
//!
//! Blocking. TLS from the first octet or by STARTTLS, never without; the certificate is checked against the system's authorities or a
//! file of one's own. What the server sends is bounded: lines, nesting, literals.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use mail::date::parse_imap_date_time;
use openssl::base64::encode_block;
use openssl::ssl::{SslConnector, SslMethod, SslStream};
use zeroize::Zeroizing;

use super::letter::{Key, Letter, Post};
use super::{Given, MAX_MESSAGE, Result, Source, TransferError};

/// The longest response without its literals.
const MAX_RESPONSE: usize = 1024 * 1024;
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

/// A piece of a response.
#[derive(Debug, Clone, PartialEq)]
enum Token {
    Atom(String),
    Text(Bytes),
    Open,
    Close,
}

/// A connection.
struct Connection {
    place: String,
    stream: SslStream<TcpStream>,
    buffer: Vec<u8>,
    from: usize,
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

struct Folder {
    /// As the server writes it.
    raw: String,
    /// In Unicode, levels separated by `/`.
    name: String,
}

struct Current {
    name: String,
    validity: u32,
    next: u32,
    end: u32,
    listed: std::vec::IntoIter<Listed>,
}

struct Listed {
    uid: u32,
    flags: Vec<String>,
    date: i64,
    size: u64,
}

impl Remote {
    /// Connects, authenticates and looks at the folders.
    ///
    /// # Errors
    /// [`TransferError::Remote`] with what the server or TLS said.
    pub fn open(account: &Account) -> Result<Self> {
        let mut connection = Connection::open(account)?;
        let mut folders = Vec::new();
        for response in connection.command("LIST \"\" \"*\"")? {
            folders.extend(listed_folder(&response));
        }
        folders.sort_by(|a, b| (a.name != "INBOX", &a.name).cmp(&(b.name != "INBOX", &b.name)));
        let mut expected = 0;
        for folder in &folders {
            for response in connection.command(&format!("STATUS {} (MESSAGES)", quoted(&folder.raw)))? {
                expected += value_after(&response, "MESSAGES").unwrap_or(0);
            }
        }
        let source = format!("imap://{}@{}:{}", account.user, account.host, account.port);
        Ok(Remote { source, connection, folders: folders.into_iter(), current: None, expected })
    }

    fn begin(&mut self, folder: Folder) -> Result<()> {
        let (mut validity, mut next) = (1, 1);
        for response in self.connection.command(&format!("EXAMINE {}", quoted(&folder.raw)))? {
            validity = value_after(&response, "[UIDVALIDITY").map_or(validity, |v| v as u32);
            next = value_after(&response, "[UIDNEXT").map_or(next, |v| v as u32);
        }
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
                        let _ = self.connection.command("LOGOUT");
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
                let mut listed: Vec<Listed> =
                    self.connection.command(&command)?.iter().filter_map(|r| fetched(r)).collect();
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
            let responses = self.connection.command(&format!("UID FETCH {} (BODY.PEEK[])", message.uid))?;
            let Some(octets) = responses.iter().find_map(|r| body(r)) else {
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

/// `* LIST (\HasNoChildren) "/" "name"`; names that hold no messages are left out.
fn listed_folder(response: &[Token]) -> Option<Folder> {
    let [Token::Atom(star), Token::Atom(list), rest @ ..] = response else { return None };
    if star != "*" || !list.eq_ignore_ascii_case("LIST") {
        return None;
    }
    let close = rest.iter().position(|t| *t == Token::Close)?;
    let selectable = !rest[..close].iter().any(|t| {
        matches!(t, Token::Atom(flag) if flag.eq_ignore_ascii_case("\\Noselect") || flag.eq_ignore_ascii_case("\\NonExistent"))
    });
    let separator = text(rest.get(close + 1)?);
    let raw = text(rest.get(close + 2)?);
    let separator = separator.chars().next().filter(|_| separator != "NIL");
    let name = imap::utf7::decode(raw.as_bytes()).unwrap_or_else(|| raw.clone());
    let name = match separator {
        Some('/') | None => name,
        // A slash in a name of a server that separates with something else.
        Some(other) => name.replace('/', "_").replace(other, "/"),
    };
    let name = if name.eq_ignore_ascii_case("INBOX") { "INBOX".into() } else { name };
    selectable.then_some(Folder { raw, name })
}

fn text(token: &Token) -> String {
    match token {
        Token::Atom(text) => text.clone(),
        Token::Text(octets) => String::from_utf8_lossy(octets).into_owned(),
        Token::Open => "(".into(),
        Token::Close => ")".into(),
    }
}

/// The number after a word.
fn value_after(response: &[Token], word: &str) -> Option<u64> {
    let at = response.iter().position(|t| matches!(t, Token::Atom(a) if a.eq_ignore_ascii_case(word)))?;
    text(response.get(at + 1)?).trim_end_matches([']', ')']).parse().ok()
}

fn is_fetch(response: &[Token]) -> bool {
    matches!(response, [_, _, Token::Atom(fetch), ..] if fetch.eq_ignore_ascii_case("FETCH"))
}

fn fetched(response: &[Token]) -> Option<Listed> {
    if !is_fetch(response) {
        return None;
    }
    let word = |name: &str| response.iter().position(|t| matches!(t, Token::Atom(a) if a.eq_ignore_ascii_case(name)));
    let flags = word("FLAGS").map_or(Vec::new(), |at| {
        response[at + 1..].iter().skip(1).take_while(|t| **t != Token::Close).map(text).collect()
    });
    let date = word("INTERNALDATE").and_then(|at| parse_imap_date_time(&text(response.get(at + 1)?)));
    Some(Listed {
        uid: value_after(response, "UID")? as u32,
        flags,
        date: date.map_or(0, |moment| moment.unix),
        size: value_after(response, "RFC822.SIZE").unwrap_or(0),
    })
}

fn body(response: &[Token]) -> Option<Bytes> {
    if !is_fetch(response) {
        return None;
    }
    let at = response.iter().position(|t| matches!(t, Token::Atom(a) if a.eq_ignore_ascii_case("BODY[]")))?;
    match response.get(at + 1)? {
        Token::Text(octets) => Some(octets.clone()),
        _ => None,
    }
}

/// As a quoted string.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
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
        let mut connection = Connection { place: place.clone(), stream, buffer: Vec::new(), from: 0, tag: 0 };
        if account.tls == Tls::Implicit {
            connection.response()?;
        }
        let login = Zeroizing::new(format!("\0{}\0{}", account.user, &*account.password));
        let command = Zeroizing::new(format!("AUTHENTICATE PLAIN {}", encode_block(login.as_bytes())));
        let responses = connection.command("CAPABILITY")?;
        let initial =
            responses.iter().flatten().any(|t| matches!(t, Token::Atom(a) if a.eq_ignore_ascii_case("SASL-IR")));
        if initial {
            connection.command(&command)?;
        } else {
            let command = Zeroizing::new(format!("LOGIN {} {}", quoted(&account.user), quoted(&account.password)));
            connection.command(&command)?;
        }
        Ok(connection)
    }

    fn error(&self, why: impl Into<String>) -> TransferError {
        TransferError::Remote(self.place.clone(), why.into())
    }

    /// Sends a command; its untagged responses when the answer is OK.
    fn command(&mut self, command: &str) -> Result<Vec<Vec<Token>>> {
        self.tag += 1;
        let tag = format!("v{}", self.tag);
        let line = Zeroizing::new(format!("{tag} {command}\r\n"));
        self.stream.write_all(line.as_bytes()).map_err(|e| self.error(e.to_string()))?;
        let mut responses = Vec::new();
        loop {
            let response = self.response()?;
            match response.first() {
                Some(Token::Atom(first)) if *first == tag => {
                    let ok = matches!(response.get(1), Some(Token::Atom(a)) if a.eq_ignore_ascii_case("OK"));
                    let words: Vec<String> = response[1..].iter().map(text).collect();
                    // Never the command itself: it may hold the password.
                    let verb = command.split(' ').next().unwrap_or_default();
                    return if ok { Ok(responses) } else { Err(self.error(format!("{verb}: {}", words.join(" ")))) };
                }
                Some(Token::Atom(first)) if first == "*" => {
                    if matches!(response.get(1), Some(Token::Atom(a)) if a.eq_ignore_ascii_case("BYE"))
                        && command != "LOGOUT"
                    {
                        let words: Vec<String> = response[1..].iter().map(text).collect();
                        return Err(self.error(words.join(" ")));
                    }
                    responses.push(response);
                }
                _ => {}
            }
        }
    }

    fn octet(&mut self) -> Result<u8> {
        if self.from == self.buffer.len() {
            self.buffer.resize(64 * 1024, 0);
            let read = self.stream.read(&mut self.buffer).map_err(|e| self.error(e.to_string()))?;
            self.buffer.truncate(read);
            self.from = 0;
            if read == 0 {
                return Err(self.error("it closed the connection"));
            }
        }
        self.from += 1;
        Ok(self.buffer[self.from - 1])
    }

    /// One response, as tokens, literals included.
    fn response(&mut self) -> Result<Vec<Token>> {
        let mut tokens = Vec::new();
        let (mut atom, mut size) = (Vec::new(), 0);
        // Brackets keep an atom together: BODY[HEADER.FIELDS (FROM)].
        let mut brackets = 0u32;
        loop {
            let octet = self.octet()?;
            size += 1;
            if size > MAX_RESPONSE {
                return Err(self.error("a response without end"));
            }
            match octet {
                b'[' => {
                    brackets += 1;
                    atom.push(octet);
                }
                b']' => {
                    brackets = brackets.saturating_sub(1);
                    atom.push(octet);
                }
                b'"' if atom.is_empty() => tokens.push(self.quoted_string(&mut size)?),
                b'{' if atom.is_empty() => {
                    let literal = self.literal()?;
                    tokens.push(Token::Text(literal));
                }
                b' ' | b'\r' | b'\n' | b'(' | b')' => {
                    if !atom.is_empty() {
                        tokens.push(Token::Atom(String::from_utf8_lossy(&atom).into_owned()));
                        atom.clear();
                    }
                    match octet {
                        b'(' if brackets == 0 => tokens.push(Token::Open),
                        b')' if brackets == 0 => tokens.push(Token::Close),
                        b'\n' => return Ok(tokens),
                        _ => {}
                    }
                }
                _ => atom.push(octet),
            }
        }
    }

    fn quoted_string(&mut self, size: &mut usize) -> Result<Token> {
        let mut text = Vec::new();
        loop {
            *size += 1;
            if *size > MAX_RESPONSE {
                return Err(self.error("a quoted string without end"));
            }
            match self.octet()? {
                b'"' => return Ok(Token::Text(text.into())),
                b'\\' => text.push(self.octet()?),
                octet => text.push(octet),
            }
        }
    }

    /// After `{`.
    fn literal(&mut self) -> Result<Bytes> {
        let mut length: u64 = 0;
        loop {
            match self.octet()? {
                digit @ b'0'..=b'9' => length = length.saturating_mul(10).saturating_add(u64::from(digit - b'0')),
                b'}' => break,
                _ => return Err(self.error("a literal without length")),
            }
        }
        if length > MAX_MESSAGE {
            return Err(self.error("a literal larger than any mailbox takes"));
        }
        self.octet()?;
        self.octet()?;
        let mut octets = Vec::new();
        // Bounded above; grown as it comes, not as it is announced.
        while (octets.len() as u64) < length {
            let octet = self.octet()?;
            octets.push(octet);
            let rest = (length as usize - octets.len()).min(self.buffer.len() - self.from);
            octets.extend_from_slice(&self.buffer[self.from..self.from + rest]);
            self.from += rest;
        }
        Ok(octets.into())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn atom(text: &str) -> Token {
        Token::Atom(text.into())
    }

    #[test]
    fn folders_of_other_servers() {
        let list = |separator: &str, name: &str| {
            let response = [
                atom("*"),
                atom("LIST"),
                Token::Open,
                atom("\\HasNoChildren"),
                Token::Close,
                Token::Text(separator.to_owned().into()),
                Token::Text(name.to_owned().into()),
            ];
            listed_folder(&response).map(|f| f.name)
        };
        assert_eq!(list(".", "Archive.2026.&AMk-t&AOk-"), Some("Archive/2026/Été".into()));
        assert_eq!(list("/", "inbox"), Some("INBOX".into()));
        let response = [atom("*"), atom("LIST"), Token::Open, atom("\\Noselect"), Token::Close, atom("NIL"), atom("x")];
        assert!(listed_folder(&response).is_none());
    }

    #[test]
    fn a_message_listed() {
        let response = [
            atom("*"),
            atom("7"),
            atom("FETCH"),
            Token::Open,
            atom("UID"),
            atom("12"),
            atom("FLAGS"),
            Token::Open,
            atom("\\Seen"),
            atom("$Fait"),
            Token::Close,
            atom("INTERNALDATE"),
            Token::Text("21-Nov-2026 12:00:00 +0000".to_owned().into()),
            atom("RFC822.SIZE"),
            atom("99"),
            Token::Close,
        ];
        let listed = fetched(&response).expect("listed");
        assert_eq!((listed.uid, listed.size, listed.date), (12, 99, 1_795_262_400));
        assert_eq!(listed.flags, ["\\Seen", "$Fait"]);
    }
}
