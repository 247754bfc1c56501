//! What an IMAP server says, read as tokens: the client's side of an import.
//!
//! The server is a stranger. Invariants: a response takes at most [`MAX_RESPONSE`] octets of text and [`MAX_MESSAGE`] of
//! literals, memory grows as octets come and not as they are announced, nothing recurses; what is kept of a response is
//! bounded here ([`MAX_FLAGS`]), how many responses a command may have is by who asks.

use std::io::{Read, Write};

use bytes::Bytes;
use mail::date::parse_imap_date_time;

use super::MAX_MESSAGE;

/// The longest response without its literals.
pub const MAX_RESPONSE: usize = 1024 * 1024;
/// Flags of one message that are looked at: more than any folder's keywords.
const MAX_FLAGS: usize = 128;
/// Octets read at once.
const BUFFER: usize = 64 * 1024;

/// A piece of a response.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// What stands between spaces and parentheses.
    Atom(String),
    /// A quoted string or a literal.
    Text(Bytes),
    /// `(`.
    Open,
    /// `)`.
    Close,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum ResponseError {
    /// The connection.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The server says what cannot be taken.
    #[error("{0}")]
    Wrong(&'static str),
}

type Result<T> = std::result::Result<T, ResponseError>;

/// Reads responses.
pub struct Responses<S> {
    stream: S,
    buffer: Vec<u8>,
    from: usize,
    /// Octets of literals that the response under way may still have.
    literals: u64,
}

impl<S: Write> Responses<S> {
    /// Sends octets.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn send(&mut self, octets: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(octets)?)
    }
}

impl<S: Read> Responses<S> {
    /// Reads from `stream`.
    pub fn new(stream: S) -> Self {
        Responses { stream, buffer: Vec::new(), from: 0, literals: 0 }
    }

    fn octet(&mut self) -> Result<u8> {
        if self.from == self.buffer.len() {
            self.buffer.resize(BUFFER, 0);
            let read = self.stream.read(&mut self.buffer);
            self.buffer.truncate(*read.as_ref().unwrap_or(&0));
            self.from = 0;
            if read? == 0 {
                return Err(ResponseError::Wrong("it closed the connection"));
            }
        }
        self.from += 1;
        Ok(self.buffer[self.from - 1])
    }

    /// One response, as tokens, literals included.
    ///
    /// # Errors
    /// [`ResponseError`]: the connection is of no more use.
    pub fn response(&mut self) -> Result<Vec<Token>> {
        let mut tokens = Vec::new();
        let (mut atom, mut size) = (Vec::new(), 0);
        self.literals = MAX_MESSAGE;
        // Brackets keep an atom together: BODY[HEADER.FIELDS (FROM)].
        let mut brackets = 0u32;
        loop {
            let octet = self.octet()?;
            size += 1;
            if size > MAX_RESPONSE {
                return Err(ResponseError::Wrong("a response without end"));
            }
            match octet {
                b'[' => {
                    brackets = brackets.saturating_add(1);
                    atom.push(octet);
                }
                b']' => {
                    brackets = brackets.saturating_sub(1);
                    atom.push(octet);
                }
                b'"' if atom.is_empty() => tokens.push(self.quoted_string(&mut size)?),
                b'{' if atom.is_empty() => tokens.push(Token::Text(self.literal(&mut size)?)),
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
                return Err(ResponseError::Wrong("a quoted string without end"));
            }
            match self.octet()? {
                b'"' => return Ok(Token::Text(text.into())),
                b'\\' => text.push(self.octet()?),
                octet => text.push(octet),
            }
        }
    }

    /// After `{`.
    fn literal(&mut self, size: &mut usize) -> Result<Bytes> {
        let mut length: u64 = 0;
        loop {
            *size += 1;
            match self.octet()? {
                digit @ b'0'..=b'9' if *size <= MAX_RESPONSE => {
                    length = length.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
                }
                b'}' => break,
                _ => return Err(ResponseError::Wrong("a literal without length")),
            }
        }
        self.literals =
            self.literals.checked_sub(length).ok_or(ResponseError::Wrong("literals larger than any mailbox takes"))?;
        if (self.octet()?, self.octet()?) != (b'\r', b'\n') {
            return Err(ResponseError::Wrong("a literal without line end"));
        }
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

/// A folder of another server.
#[derive(Debug, PartialEq, Eq)]
pub struct Folder {
    /// As the server writes it.
    pub raw: String,
    /// In Unicode, levels separated by `/`.
    pub name: String,
}

/// A message as it is listed.
#[derive(Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its UID.
    pub uid: u32,
    /// Flags and keywords.
    pub flags: Vec<String>,
    /// INTERNALDATE, seconds since 1970.
    pub date: i64,
    /// RFC822.SIZE.
    pub size: u64,
}

/// `* LIST (\HasNoChildren) "/" "name"`; names that hold no messages are left out, and those that cannot be asked for: with a
/// control character, which could end our command and begin another.
pub fn listed_folder(response: &[Token]) -> Option<Folder> {
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
    if raw.chars().any(char::is_control) {
        return None;
    }
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

/// A token as text.
pub fn text(token: &Token) -> String {
    match token {
        Token::Atom(text) => text.clone(),
        Token::Text(octets) => String::from_utf8_lossy(octets).into_owned(),
        Token::Open => "(".into(),
        Token::Close => ")".into(),
    }
}

/// The number after a word.
pub fn value_after(response: &[Token], word: &str) -> Option<u64> {
    let at = response.iter().position(|t| matches!(t, Token::Atom(a) if a.eq_ignore_ascii_case(word)))?;
    text(response.get(at + 1)?).trim_end_matches([']', ')']).parse().ok()
}

fn is_fetch(response: &[Token]) -> bool {
    matches!(response, [_, _, Token::Atom(fetch), ..] if fetch.eq_ignore_ascii_case("FETCH"))
}

/// A message of `* n FETCH (UID … FLAGS … INTERNALDATE … RFC822.SIZE …)`.
pub fn fetched(response: &[Token]) -> Option<Listed> {
    if !is_fetch(response) {
        return None;
    }
    let word = |name: &str| response.iter().position(|t| matches!(t, Token::Atom(a) if a.eq_ignore_ascii_case(name)));
    let flags = word("FLAGS").map_or(Vec::new(), |at| {
        let flags = response[at + 1..].iter().skip(1).take_while(|t| **t != Token::Close);
        flags.take(MAX_FLAGS).map(text).collect()
    });
    let date = word("INTERNALDATE").and_then(|at| parse_imap_date_time(&text(response.get(at + 1)?)));
    Some(Listed {
        uid: u32::try_from(value_after(response, "UID")?).ok()?,
        flags,
        date: date.map_or(0, |moment| moment.unix),
        size: value_after(response, "RFC822.SIZE").unwrap_or(0),
    })
}

/// The octets of `* n FETCH (BODY[] {…}…)`.
pub fn body(response: &[Token]) -> Option<Bytes> {
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
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(octets: &[u8]) -> Result<Vec<Token>> {
        Responses::new(octets).response()
    }

    #[test]
    fn folders_of_other_servers() {
        let list = |separator: &str, name: &str| {
            let response = format!("* LIST (\\HasNoChildren) \"{separator}\" {{{}}}\r\n{name}\r\n", name.len());
            listed_folder(&read(response.as_bytes()).expect("a response")).map(|f| f.name)
        };
        assert_eq!(list(".", "Archive.2026.&AMk-t&AOk-"), Some("Archive/2026/Été".into()));
        assert_eq!(list("/", "inbox"), Some("INBOX".into()));
        assert_eq!(list("/", "a\r\nx DELETE b"), None, "a command in a name");
        assert_eq!(listed_folder(&read(b"* LIST (\\Noselect) NIL x\r\n").expect("a response")), None);
    }

    #[test]
    fn a_message_listed() {
        let response = read(
            b"* 7 FETCH (UID 12 FLAGS (\\Seen $Fait) INTERNALDATE \"21-Nov-2026 12:00:00 +0000\" RFC822.SIZE 99)\r\n",
        );
        let listed = fetched(&response.expect("a response")).expect("listed");
        assert_eq!((listed.uid, listed.size, listed.date), (12, 99, 1_795_262_400));
        assert_eq!(listed.flags, ["\\Seen", "$Fait"]);
        let many = format!("* 1 FETCH (UID 4294967296 FLAGS ({}))\r\n", "a ".repeat(100_000));
        assert_eq!(fetched(&read(many.as_bytes()).expect("a response")), None, "no UID");
        let many = many.replace("4294967296", "1");
        assert_eq!(fetched(&read(many.as_bytes()).expect("a response")).expect("listed").flags.len(), MAX_FLAGS);
    }

    #[test]
    fn what_a_server_sends_is_bounded() {
        let endless = |piece: &'static [u8]| {
            struct Repeat(&'static [u8], usize);
            impl Read for Repeat {
                fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                    for slot in buffer.iter_mut() {
                        *slot = self.0[self.1 % self.0.len()];
                        self.1 += 1;
                    }
                    Ok(buffer.len())
                }
            }
            Responses::new(Repeat(piece, 0)).response()
        };
        for piece in [&b"a"[..], b"( ", b"\"", b"\"\\", b"[", b"{0}\r\n", b"{1}\r\nx", b"{000"] {
            assert!(matches!(endless(piece), Err(ResponseError::Wrong(_))), "{piece:?}");
        }
        // Announced and not sent: no memory for it.
        assert!(read(b"* 1 FETCH (BODY[] {268435456}\r\nx").is_err());
        assert!(read(b"* 1 FETCH (BODY[] {268435457}\r\nx").is_err());
        assert!(read(b"* 1 FETCH (BODY[] {99999999999999999999999}\r\nx").is_err());
    }
}
