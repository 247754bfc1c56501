//! The compact form in which a store keeps a [`Structure`]: a version octet, varints, texts with their length.
//!
//! Offsets are written relative to the parent's body, so that they are short. Decoding checks everything: a damaged record
//! gives an error, and what is decoded keeps the invariants of the module on ranges.

use super::{Content, Disposition, Envelope, Limits, Param, Part, Structure};
use crate::date::Moment;
use crate::header::Address;

/// Version of the form written. Version 1 had no References; others are refused.
const VERSION: u8 = 2;
const WITHOUT_REFERENCES: u8 = 1;
/// Octets that most take at the most.
const USUAL: usize = 768;

/// Why octets are not an encoded structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Written by a version that this one does not know.
    #[error("unknown version {0} of a message structure")]
    Version(u8),
    /// Cut short, or not what the encoder writes.
    #[error("damaged message structure")]
    Damaged,
}

impl Structure {
    /// The compact form: a few hundred octets for a simple message.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer(Vec::with_capacity(USUAL));
        w.0.push(VERSION);
        w.structure(self, 0);
        w.0
    }

    /// Reads what [`Structure::encode`] wrote.
    ///
    /// # Errors
    /// When it is not that.
    pub fn decode(octets: &[u8]) -> Result<Structure, DecodeError> {
        decode(octets)
    }
}

impl<'o> Structure<&'o str> {
    /// Reads what [`Structure::encode`] wrote, texts left where they are.
    ///
    /// # Errors
    /// When it is not that.
    pub fn borrow(octets: &'o [u8]) -> Result<Self, DecodeError> {
        decode(octets)
    }
}

impl<'o> Envelope<&'o str> {
    /// Reads of an encoded [`Structure`] its envelope and [`Structure::sent`] alone, the parts not looked at: what sorting
    /// and threading want of each of very many messages.
    ///
    /// # Errors
    /// When the octets are not an encoded structure.
    pub fn borrow(octets: &'o [u8]) -> Result<(Self, Option<Moment>), DecodeError> {
        let mut r = Reader::new(octets)?;
        r.envelope()
    }
}

fn decode<'o, S: From<&'o str> + Clone>(octets: &'o [u8]) -> Result<Structure<S>, DecodeError> {
    let mut r = Reader::new(octets)?;
    let structure = r.structure(0, u64::MAX, Limits::MAX_DEPTH)?;
    if r.rest.is_empty() { Ok(structure) } else { Err(DecodeError::Damaged) }
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }

    fn signed(&mut self, n: i64) {
        self.number(((n << 1) ^ (n >> 63)) as u64);
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn optional(&mut self, text: Option<&str>) {
        match text {
            None => self.number(0),
            Some(text) => {
                self.number(text.len() as u64 + 1);
                self.0.extend_from_slice(text.as_bytes());
            }
        }
    }

    fn list<T>(&mut self, list: &[T], mut item: impl FnMut(&mut Self, &T)) {
        self.number(list.len() as u64);
        for i in list {
            item(self, i);
        }
    }

    fn structure(&mut self, s: &Structure, base: u64) {
        let e = &s.envelope;
        for text in [&e.date, &e.subject, &e.in_reply_to, &e.message_id, &e.references] {
            self.optional(text.as_deref());
        }
        self.list(&e.from, Self::address);
        for list in [&e.sender, &e.reply_to] {
            // Nearly always the same as From: one octet then.
            self.0.push(u8::from(*list != e.from));
            if *list != e.from {
                self.list(list, Self::address);
            }
        }
        for list in [&e.to, &e.cc, &e.bcc] {
            self.list(list, Self::address);
        }
        self.0.push(u8::from(s.sent.is_some()));
        if let Some(sent) = s.sent {
            self.signed(sent.unix);
            self.signed(sent.offset_minutes.into());
        }
        self.part(&s.root, base);
    }

    fn address(&mut self, address: &Address) {
        match address {
            Address::Mailbox { name, route, local, domain } => {
                self.0.push(u8::from(route.is_some()));
                if let Some(route) = route {
                    self.text(route);
                }
                self.optional(name.as_deref());
                self.text(local);
                self.text(domain);
            }
            Address::GroupStart(name) => {
                self.0.push(2);
                self.text(name);
            }
            Address::GroupEnd => self.0.push(3),
        }
    }

    fn params(&mut self, params: &[Param]) {
        self.list(params, |w, p| {
            w.text(&p.name);
            w.text(&p.value);
        });
    }

    fn part(&mut self, p: &Part, base: u64) {
        self.number(p.header.start - base);
        self.number(p.header.end - p.header.start);
        self.number(p.body.end - p.body.start);
        self.number(p.lines);
        self.text(&p.media_type);
        self.text(&p.subtype);
        self.params(&p.params);
        self.text(&p.encoding);
        for text in [&p.id, &p.description, &p.md5, &p.location] {
            self.optional(text.as_deref());
        }
        self.optional(p.disposition.as_ref().map(|d| &*d.kind));
        if let Some(disposition) = &p.disposition {
            self.params(&disposition.params);
        }
        self.list(&p.languages, |w, l| w.text(l));
        match &p.content {
            Content::Leaf => self.0.push(0),
            Content::Multipart(parts) => {
                self.0.push(1);
                self.list(parts, |w, child| w.part(child, p.body.start));
            }
            Content::Message(inner) => {
                self.0.push(2);
                self.structure(inner, p.body.start);
            }
        }
    }
}

struct Reader<'o> {
    rest: &'o [u8],
    references: bool,
}

type Result<T, E = DecodeError> = std::result::Result<T, E>;

impl<'o> Reader<'o> {
    fn new(octets: &'o [u8]) -> Result<Self> {
        match octets.split_first() {
            Some((&VERSION, rest)) => Ok(Reader { rest, references: true }),
            Some((&WITHOUT_REFERENCES, rest)) => Ok(Reader { rest, references: false }),
            Some((other, _)) => Err(DecodeError::Version(*other)),
            None => Err(DecodeError::Damaged),
        }
    }

    fn octet(&mut self) -> Result<u8> {
        let (first, rest) = self.rest.split_first().ok_or(DecodeError::Damaged)?;
        self.rest = rest;
        Ok(*first)
    }

    fn flag(&mut self) -> Result<bool> {
        match self.octet()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Damaged),
        }
    }

    fn number(&mut self) -> Result<u64> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let octet = self.octet()?;
            let bits = u64::from(octet & 0x7f);
            if bits << shift >> shift != bits {
                return Err(DecodeError::Damaged);
            }
            n |= bits << shift;
            if octet & 0x80 == 0 {
                return Ok(n);
            }
        }
        Err(DecodeError::Damaged)
    }

    fn signed(&mut self) -> Result<i64> {
        let n = self.number()?;
        Ok((n >> 1) as i64 ^ -((n & 1) as i64))
    }

    fn octets<S: From<&'o str>>(&mut self, length: u64) -> Result<S> {
        let length = usize::try_from(length).map_err(|_| DecodeError::Damaged)?;
        let (text, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::Damaged)?;
        self.rest = rest;
        std::str::from_utf8(text).map(S::from).map_err(|_| DecodeError::Damaged)
    }

    fn text<S: From<&'o str>>(&mut self) -> Result<S> {
        let length = self.number()?;
        self.octets(length)
    }

    fn optional<S: From<&'o str>>(&mut self) -> Result<Option<S>> {
        match self.number()? {
            0 => Ok(None),
            n => self.octets(n - 1).map(Some),
        }
    }

    /// Each item takes an octet at least: the list is bounded by what there is to read.
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.number()?;
        if count > self.rest.len() as u64 {
            return Err(DecodeError::Damaged);
        }
        (0..count).map(|_| item(self)).collect()
    }

    fn structure<S: From<&'o str> + Clone>(&mut self, base: u64, limit: u64, depth: usize) -> Result<Structure<S>> {
        let (envelope, sent) = self.envelope()?;
        Ok(Structure { envelope, sent, root: self.part(base, limit, depth)? })
    }

    fn envelope<S: From<&'o str> + Clone>(&mut self) -> Result<(Envelope<S>, Option<Moment>)> {
        let mut e = Envelope {
            date: self.optional()?,
            subject: self.optional()?,
            in_reply_to: self.optional()?,
            message_id: self.optional()?,
            references: if self.references { self.optional()? } else { None },
            from: self.list(Self::address)?,
            ..Envelope::default()
        };
        e.sender = if self.flag()? { self.list(Self::address)? } else { e.from.clone() };
        e.reply_to = if self.flag()? { self.list(Self::address)? } else { e.from.clone() };
        e.to = self.list(Self::address)?;
        e.cc = self.list(Self::address)?;
        e.bcc = self.list(Self::address)?;
        let sent = if self.flag()? {
            let unix = self.signed()?;
            let offset_minutes = i16::try_from(self.signed()?).map_err(|_| DecodeError::Damaged)?;
            Some(Moment { unix, offset_minutes })
        } else {
            None
        };
        Ok((e, sent))
    }

    fn address<S: From<&'o str>>(&mut self) -> Result<Address<S>> {
        Ok(match self.octet()? {
            kind @ (0 | 1) => Address::Mailbox {
                route: if kind == 1 { Some(self.text()?) } else { None },
                name: self.optional()?,
                local: self.text()?,
                domain: self.text()?,
            },
            2 => Address::GroupStart(self.text()?),
            3 => Address::GroupEnd,
            _ => return Err(DecodeError::Damaged),
        })
    }

    fn params<S: From<&'o str>>(&mut self) -> Result<Vec<Param<S>>> {
        self.list(|r| Ok(Param { name: r.text()?, value: r.text()? }))
    }

    /// A part between `base` and `limit`, with at most `depth` levels.
    fn part<S: From<&'o str> + Clone>(&mut self, base: u64, limit: u64, depth: usize) -> Result<Part<S>> {
        let depth = depth.checked_sub(1).ok_or(DecodeError::Damaged)?;
        let mut add = |from: u64| self.number().and_then(|n| from.checked_add(n).ok_or(DecodeError::Damaged));
        let start = add(base)?;
        let middle = add(start)?;
        let end = add(middle)?;
        if end > limit {
            return Err(DecodeError::Damaged);
        }
        let lines = self.number()?;
        Ok(Part {
            header: start..middle,
            body: middle..end,
            lines,
            media_type: self.text()?,
            subtype: self.text()?,
            params: self.params()?,
            encoding: self.text()?,
            id: self.optional()?,
            description: self.optional()?,
            md5: self.optional()?,
            location: self.optional()?,
            disposition: match self.optional()? {
                Some(kind) => Some(Disposition { kind, params: self.params()? }),
                None => None,
            },
            languages: self.list(Self::text)?,
            content: match self.octet()? {
                0 => Content::Leaf,
                1 => Content::Multipart(self.list(|r| r.part(middle, end, depth))?),
                2 => Content::Message(Box::new(self.structure(middle, end, depth)?)),
                _ => return Err(DecodeError::Damaged),
            },
        })
    }
}
