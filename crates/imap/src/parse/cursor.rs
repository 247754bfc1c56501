//! The words of the grammar: atoms, strings, numbers, flags, names, sets, lists.

use std::borrow::Cow;

use mail::FolderName;
use mail::folder::FolderNameError;
use mail::sequence::{SequenceError, SequenceSet};

use super::{ErrorKind, MAX_FLAGS, Names, Parsed};
use crate::command::Name;
use crate::utf7;

/// A place in a command.
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    names: Names,
}

/// ATOM-CHAR (RFC 3501 §9).
pub(super) fn is_atom_char(b: u8) -> bool {
    b.is_ascii_graphic() && !matches!(b, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// ASTRING-CHAR.
pub(super) fn is_astring_char(b: u8) -> bool {
    is_atom_char(b) || b == b']'
}

impl<'a> Cursor<'a> {
    pub fn new(command: &'a [u8], names: Names) -> Self {
        Cursor { rest: command, names }
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn skip(&mut self, octets: usize) {
        self.rest = &self.rest[octets.min(self.rest.len())..];
    }

    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn end(&self) -> Parsed<()> {
        if self.at_end() { Ok(()) } else { Err(ErrorKind::Expected("the end of the command")) }
    }

    pub fn eat(&mut self, octet: u8) -> bool {
        let there = self.peek() == Some(octet);
        if there {
            self.skip(1);
        }
        there
    }

    pub fn expect(&mut self, octet: u8, what: &'static str) -> Parsed<()> {
        if self.eat(octet) { Ok(()) } else { Err(ErrorKind::Expected(what)) }
    }

    pub fn space(&mut self) -> Parsed<()> {
        self.expect(b' ', "a space")
    }

    /// Takes the ASCII octets that `is` accepts.
    pub fn take_while(&mut self, is: impl Fn(u8) -> bool) -> &'a str {
        let n = self.rest.iter().position(|b| !b.is_ascii() || !is(*b)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(n);
        self.rest = rest;
        // All ASCII: never the default.
        std::str::from_utf8(taken).unwrap_or_default()
    }

    /// Takes `word`, any case, when it stands here as a whole atom.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let there = self.rest.get(..word.len()).is_some_and(|w| w.eq_ignore_ascii_case(word.as_bytes()))
            && !self.rest.get(word.len()).is_some_and(|b| is_atom_char(*b));
        if there {
            self.skip(word.len());
        }
        there
    }

    /// Takes `text`, any case, whatever follows.
    pub fn eat_prefix(&mut self, text: &str) -> bool {
        let there = self.rest.get(..text.len()).is_some_and(|w| w.eq_ignore_ascii_case(text.as_bytes()));
        if there {
            self.skip(text.len());
        }
        there
    }

    pub fn atom(&mut self, what: &'static str) -> Parsed<&'a str> {
        let atom = self.take_while(is_atom_char);
        if atom.is_empty() { Err(ErrorKind::Expected(what)) } else { Ok(atom) }
    }

    /// `string`: quoted or literal.
    pub fn string(&mut self, what: &'static str) -> Parsed<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(Cow::Borrowed),
            _ => Err(ErrorKind::Expected(what)),
        }
    }

    /// `astring`.
    pub fn astring(&mut self, what: &'static str) -> Parsed<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(what),
            _ => self.bare(is_astring_char, what),
        }
    }

    /// `list-mailbox`.
    pub fn list_mailbox(&mut self) -> Parsed<Cow<'a, [u8]>> {
        const WHAT: &str = "a mailbox pattern";
        match self.peek() {
            Some(b'"' | b'{') => self.string(WHAT),
            _ => self.bare(|b| is_astring_char(b) || matches!(b, b'%' | b'*'), WHAT),
        }
    }

    fn bare(&mut self, is: impl Fn(u8) -> bool, what: &'static str) -> Parsed<Cow<'a, [u8]>> {
        let text = self.take_while(is);
        if text.is_empty() { Err(ErrorKind::Expected(what)) } else { Ok(Cow::Borrowed(text.as_bytes())) }
    }

    /// A quoted string. Octets above 127 are let through: whoever wants text checks that it is UTF-8.
    fn quoted(&mut self) -> Parsed<Cow<'a, [u8]>> {
        const END: ErrorKind = ErrorKind::Expected("a closing quote");
        self.skip(1);
        let plain = self.rest.iter().position(|b| matches!(b, b'"' | b'\\' | b'\r' | b'\n' | 0)).ok_or(END)?;
        let mut text = Cow::Borrowed(&self.rest[..plain]);
        self.skip(plain);
        loop {
            match self.rest {
                [b'"', ..] => {
                    self.skip(1);
                    return Ok(text);
                }
                [b'\\', escaped @ (b'"' | b'\\'), ..] => {
                    text.to_mut().push(*escaped);
                    self.skip(2);
                }
                [b'\\', ..] => return Err(ErrorKind::Expected("\" or \\ after \\")),
                [] | [b'\r' | b'\n' | 0, ..] => return Err(END),
                [other, ..] => {
                    text.to_mut().push(*other);
                    self.skip(1);
                }
            }
        }
    }

    /// `{n}` or `{n+}`, not taken for a literal of the command: what APPEND ends with.
    pub fn announcement(&mut self, what: &'static str) -> Parsed<(u64, bool)> {
        self.expect(b'{', what)?;
        let digits = self.take_while(|b| b.is_ascii_digit());
        let size = digits.parse().map_err(|_| ErrorKind::Expected(what))?;
        let synchronizing = !self.eat(b'+');
        self.expect(b'}', what)?;
        Ok((size, synchronizing))
    }

    fn literal(&mut self) -> Parsed<&'a [u8]> {
        const WHAT: ErrorKind = ErrorKind::Expected("a literal");
        let (size, _) = self.announcement("a literal")?;
        let rest = self.rest.strip_prefix(b"\r\n").ok_or(WHAT)?;
        let (literal, rest) = usize::try_from(size).ok().and_then(|n| rest.split_at_checked(n)).ok_or(WHAT)?;
        if literal.contains(&0) {
            return Err(ErrorKind::Expected("a literal without NUL"));
        }
        self.rest = rest;
        Ok(literal)
    }

    /// A name or pattern as text: modified UTF-7, or UTF-8 when it has octets above 127 or that was enabled.
    pub fn decode_name(&self, name: &[u8]) -> Option<String> {
        if self.names == Names::Utf7 && name.is_ascii() {
            utf7::decode(name)
        } else {
            String::from_utf8(name.to_vec()).ok()
        }
    }

    /// `SP mailbox`.
    pub fn space_name(&mut self) -> Parsed<Name> {
        self.space()?;
        self.name()
    }

    /// `mailbox`.
    pub fn name(&mut self) -> Parsed<Name> {
        let name = self.astring("a mailbox name")?;
        Ok(self.decode_name(&name).map_or(Err(FolderNameError::Forbidden), |name| FolderName::new(&name)))
    }

    /// A sequence set, or `$` (RFC 5182).
    pub fn sequence_set(&mut self) -> Parsed<SequenceSet> {
        if self.eat(b'$') {
            return Ok(SequenceSet::saved());
        }
        let text = self.take_while(|b| b.is_ascii_digit() || matches!(b, b'*' | b':' | b','));
        SequenceSet::parse(text).map_err(|error| match error {
            SequenceError::Syntax => ErrorKind::Expected("a sequence set"),
            SequenceError::TooLong => ErrorKind::TooMany("ranges in the sequence set"),
        })
    }

    /// A number of at most `max`.
    pub fn number(&mut self, max: u64, what: &'static str) -> Parsed<u64> {
        let digits = self.take_while(|b| b.is_ascii_digit());
        digits.parse().ok().filter(|n| *n <= max).ok_or(ErrorKind::Expected(what))
    }

    /// A flag or keyword, `\` kept.
    pub fn flag(&mut self) -> Parsed<String> {
        let system = self.eat(b'\\');
        let name = self.atom("a flag")?;
        Ok(if system { format!("\\{name}") } else { name.to_owned() })
    }

    /// `( [flag *(SP flag)] )`.
    pub fn flag_list(&mut self) -> Parsed<Vec<String>> {
        let mut flags = Vec::new();
        self.list("a list of flags", MAX_FLAGS, "flags", |c| {
            flags.push(c.flag()?);
            Ok(())
        })?;
        Ok(flags)
    }

    /// `"(" [item *(SP item)] ")"` with at most `max` items.
    pub fn list(
        &mut self,
        what: &'static str,
        max: usize,
        plural: &'static str,
        mut item: impl FnMut(&mut Self) -> Parsed<()>,
    ) -> Parsed<()> {
        self.expect(b'(', what)?;
        if self.eat(b')') {
            return Ok(());
        }
        for _ in 0..max {
            item(self)?;
            if self.eat(b')') {
                return Ok(());
            }
            self.expect(b' ', "a space or )")?;
        }
        Err(ErrorKind::TooMany(plural))
    }
}
