//! A response as tokens. Every method leaves the cursor where it was told it would, or fails with [`Syntax`]; none recurses.

use std::ops::RangeInclusive;

use bytes::Bytes;

use super::{MAX_FLAG, MAX_FLAGS, MAX_NUMBERS};

/// What is read is not of the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Syntax;

pub(super) type Result<T> = std::result::Result<T, Syntax>;

/// Where reading is.
#[derive(Clone)]
pub(super) struct Cursor<'r> {
    octets: &'r Bytes,
    at: usize,
}

/// What ends an atom. `]` may stand in one.
fn ends_atom(octet: u8) -> bool {
    matches!(octet, b' ' | b'(' | b')' | b'"' | b'{' | b'\r' | b'\n')
}

impl<'r> Cursor<'r> {
    pub(super) fn new(octets: &'r Bytes) -> Self {
        Cursor { octets, at: 0 }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.octets.get(self.at).copied()
    }

    /// Only the end of the line is left.
    pub(super) fn is_end(&self) -> bool {
        matches!(&self.octets[self.at..], b"" | b"\r\n" | b"\n")
    }

    /// Takes this octet if it comes next.
    pub(super) fn eat(&mut self, octet: u8) -> bool {
        let next = self.peek() == Some(octet);
        self.at += usize::from(next);
        next
    }

    pub(super) fn expect(&mut self, octet: u8) -> Result<()> {
        if self.eat(octet) { Ok(()) } else { Err(Syntax) }
    }

    /// Spaces: one is the grammar, some servers write more, or one before a parenthesis.
    pub(super) fn spaces(&mut self) {
        while self.eat(b' ') {}
    }

    fn run(&mut self, ends: impl Fn(u8) -> bool) -> &'r [u8] {
        let rest = &self.octets[self.at..];
        let length = rest.iter().position(|b| ends(*b)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// An atom, not empty.
    pub(super) fn atom(&mut self) -> Result<&'r str> {
        let atom = self.run(ends_atom);
        if atom.is_empty() { Err(Syntax) } else { std::str::from_utf8(atom).map_err(|_| Syntax) }
    }

    /// A word that ends at one of these too.
    pub(super) fn word(&mut self, ends: &[u8]) -> Result<&'r str> {
        std::str::from_utf8(self.run(|b| ends_atom(b) || ends.contains(&b))).map_err(|_| Syntax)
    }

    pub(super) fn number(&mut self) -> Result<u64> {
        let digits = self.run(|b| !b.is_ascii_digit());
        std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(Syntax)
    }

    pub(super) fn number32(&mut self) -> Result<u32> {
        u32::try_from(self.number()?).map_err(|_| Syntax)
    }

    /// A quoted string or a literal, without a copy where there is nothing to unescape.
    pub(super) fn string(&mut self) -> Result<Bytes> {
        self.eat(b'~'); // literal8
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal(),
            _ => Err(Syntax),
        }
    }

    fn quoted(&mut self) -> Result<Bytes> {
        self.expect(b'"')?;
        let start = self.at;
        let mut unescaped: Option<Vec<u8>> = None;
        loop {
            let octet = self.peek().filter(|b| !matches!(b, b'\r' | b'\n')).ok_or(Syntax)?;
            self.at += 1;
            match octet {
                b'"' => {
                    let slice = || self.octets.slice(start..self.at - 1);
                    return Ok(unescaped.map_or_else(slice, Bytes::from));
                }
                b'\\' => {
                    let text = unescaped.get_or_insert_with(|| self.octets[start..self.at - 1].to_vec());
                    text.push(self.octets.get(self.at).copied().filter(|b| !matches!(b, b'\r' | b'\n')).ok_or(Syntax)?);
                    self.at += 1;
                }
                octet => {
                    if let Some(text) = &mut unescaped {
                        text.push(octet);
                    }
                }
            }
        }
    }

    fn literal(&mut self) -> Result<Bytes> {
        self.expect(b'{')?;
        let length = usize::try_from(self.number()?).map_err(|_| Syntax)?;
        self.eat(b'+');
        self.expect(b'}')?;
        self.eat(b'\r');
        self.expect(b'\n')?;
        let end = self.at.checked_add(length).filter(|end| *end <= self.octets.len()).ok_or(Syntax)?;
        let octets = self.octets.slice(self.at..end);
        self.at = end;
        Ok(octets)
    }

    /// A string, or none for `NIL`.
    pub(super) fn nstring(&mut self) -> Result<Option<Bytes>> {
        match self.peek() {
            Some(b'"' | b'{' | b'~') => self.string().map(Some),
            _ if self.atom()?.eq_ignore_ascii_case("NIL") => Ok(None),
            _ => Err(Syntax),
        }
    }

    /// A string, or an atom as it stands.
    pub(super) fn astring(&mut self) -> Result<Bytes> {
        match self.peek() {
            Some(b'"' | b'{' | b'~') => self.string(),
            _ => self.atom().map(|atom| self.octets.slice_ref(atom.as_bytes())),
        }
    }

    /// `(\Seen $Fait)`, the first [`MAX_FLAGS`] of them; those too long are left out.
    pub(super) fn flags(&mut self) -> Result<Vec<String>> {
        self.expect(b'(')?;
        let mut flags = Vec::new();
        loop {
            self.spaces();
            if self.eat(b')') {
                return Ok(flags);
            }
            let flag = self.atom()?;
            if flags.len() < MAX_FLAGS && flag.len() <= MAX_FLAG && !flag.chars().any(char::is_control) {
                flags.push(flag.to_owned());
            }
        }
    }

    /// `1:3,7`, at most [`MAX_NUMBERS`] numbers in all.
    pub(super) fn ranges(&mut self) -> Result<Vec<RangeInclusive<u32>>> {
        let mut ranges = Vec::new();
        let mut total = 0u64;
        loop {
            let first = self.number32()?;
            let last = if self.eat(b':') { self.number32()? } else { first };
            let (first, last) = (first.min(last), first.max(last));
            if first == 0 {
                return Err(Syntax);
            }
            total += u64::from(last - first) + 1;
            if total > MAX_NUMBERS {
                return Err(Syntax);
            }
            ranges.push(first..=last);
            if !self.eat(b',') {
                return Ok(ranges);
            }
        }
    }

    /// Passes over one value: atom, string, or list however deep.
    pub(super) fn skip(&mut self) -> Result<()> {
        let mut depth = 0usize;
        loop {
            match self.peek().ok_or(Syntax)? {
                b'(' => {
                    self.at += 1;
                    depth += 1;
                }
                b')' => {
                    depth = depth.checked_sub(1).ok_or(Syntax)?;
                    self.at += 1;
                }
                b'"' | b'{' => {
                    self.string()?;
                }
                b' ' => self.at += 1,
                b'\r' | b'\n' => return Err(Syntax),
                _ => {
                    self.atom()?;
                }
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// The rest of the line as text for people.
    pub(super) fn human(&mut self) -> String {
        let rest = self.run(|b| matches!(b, b'\r' | b'\n'));
        let text: String = String::from_utf8_lossy(rest).chars().filter(|c| !c.is_control()).collect();
        let end =
            text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= super::MAX_HUMAN).last();
        text[..end.unwrap_or(0)].trim().to_owned()
    }
}
