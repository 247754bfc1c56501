//! FETCH: what is told of one message.

use bytes::Bytes;
use mail::date::{Moment, parse_imap_date_time};

use super::cursor::{Cursor, Result, Syntax};
use super::structure::{Part, Value};

/// A piece of a message's octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What stands between the brackets, in upper case, arguments left out: `HEADER.FIELDS`, `` for all.
    pub name: String,
    /// Where it begins, when a part of it was asked for.
    pub origin: Option<u64>,
    /// Its octets; none when there is no such section, or when they were streamed.
    pub octets: Option<Bytes>,
}

/// What one FETCH tells. What was not told is none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fetched {
    /// The message's place in the folder now.
    pub sequence: u32,
    /// UID.
    pub uid: Option<u32>,
    /// FLAGS.
    pub flags: Option<Vec<String>>,
    /// INTERNALDATE.
    pub internal_date: Option<Moment>,
    /// RFC822.SIZE.
    pub size: Option<u64>,
    /// MODSEQ.
    pub modseq: Option<u64>,
    /// BODYSTRUCTURE, when it can be made sense of.
    pub structure: Option<Part>,
    /// BODY[…].
    pub sections: Vec<Section>,
}

impl Fetched {
    /// The octets of the section of that name.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&Bytes> {
        self.sections.iter().find(|s| s.name.eq_ignore_ascii_case(name)).and_then(|s| s.octets.as_ref())
    }

    /// After `FETCH `.
    pub(super) fn read(sequence: u32, cursor: &mut Cursor<'_>) -> Result<Fetched> {
        let mut fetched = Fetched { sequence, ..Fetched::default() };
        cursor.expect(b'(')?;
        loop {
            cursor.spaces();
            if cursor.eat(b')') {
                return Ok(fetched);
            }
            let item = cursor.word(b"[<")?.to_ascii_uppercase();
            if item.is_empty() {
                return Err(Syntax);
            }
            if cursor.peek() == Some(b'[') {
                let (name, origin) = section(cursor)?;
                cursor.spaces();
                if item == "BODY" {
                    let octets = cursor.nstring()?;
                    fetched.sections.push(Section { name, origin, octets });
                } else {
                    cursor.skip()?; // BINARY
                }
                continue;
            }
            cursor.spaces();
            match item.as_str() {
                "UID" => fetched.uid = Some(cursor.number32()?),
                "FLAGS" => fetched.flags = Some(cursor.flags()?),
                "RFC822.SIZE" => fetched.size = Some(cursor.number()?),
                "INTERNALDATE" => {
                    let date = cursor.nstring()?;
                    fetched.internal_date = date.and_then(|d| parse_imap_date_time(std::str::from_utf8(&d).ok()?));
                }
                "MODSEQ" => {
                    cursor.expect(b'(')?;
                    fetched.modseq = Some(cursor.number()?);
                    cursor.expect(b')')?;
                }
                "BODYSTRUCTURE" => fetched.structure = Value::read(cursor)?.and_then(|value| Part::of(&value)),
                _ => cursor.skip()?,
            }
        }
    }
}

/// `[HEADER.FIELDS (FROM TO)]<0>`: its name without arguments, and where it begins.
fn section(cursor: &mut Cursor<'_>) -> Result<(String, Option<u64>)> {
    cursor.expect(b'[')?;
    let name = cursor.word(b"]")?.to_ascii_uppercase();
    while !cursor.eat(b']') {
        match cursor.peek().ok_or(Syntax)? {
            b'"' | b'{' => drop(cursor.string()?),
            b'\r' | b'\n' => return Err(Syntax),
            b' ' | b'(' | b')' => drop(cursor.eat(b' ') || cursor.eat(b'(') || cursor.eat(b')')),
            _ => drop(cursor.word(b"]")?),
        }
    }
    let mut origin = None;
    if cursor.eat(b'<') {
        origin = Some(cursor.number()?);
        cursor.expect(b'>')?;
    }
    Ok((name, origin))
}
