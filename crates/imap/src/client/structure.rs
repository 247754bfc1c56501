//! BODYSTRUCTURE: the parts of a message, without their octets. Read with tolerance: a structure that makes no sense is none, and
//! the message is listed without it.

use bytes::Bytes;
use mail::mime::{Param, parameter};

use super::cursor::{Cursor, Result, Syntax};
use super::{MAX_NESTING, MAX_VALUES};

/// A part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its number for FETCH: `1.2`; empty for a message that is one multipart.
    pub path: String,
    /// `application/zip`, in lower case.
    pub media_type: String,
    /// The name of the file, decoded. Not a safe path.
    pub name: Option<String>,
    /// `base64`…, in lower case; empty for a multipart.
    pub encoding: String,
    /// Octets as transferred; 0 for a multipart.
    pub size: u64,
    /// `attachment`, `inline`, in lower case.
    pub disposition: Option<String>,
    /// Of a multipart, or of the message inside a message.
    pub children: Vec<Part>,
}

impl Part {
    /// This part and all under it, depth first.
    #[must_use]
    pub fn all(&self) -> Vec<&Part> {
        let mut found = Vec::new();
        let mut waiting = vec![self];
        while let Some(part) = waiting.pop() {
            found.push(part);
            waiting.extend(part.children.iter().rev());
        }
        found
    }

    pub(super) fn of(value: &Value) -> Option<Part> {
        Part::read(value, String::new())
    }

    /// Recursion as deep as [`MAX_NESTING`], which [`Value::read`] has seen to.
    fn read(value: &Value, path: String) -> Option<Part> {
        let Value::List(items) = value else { return None };
        let below = |number: usize| if path.is_empty() { number.to_string() } else { format!("{path}.{number}") };
        let text = |at: usize| items.get(at).and_then(Value::text).map(|t| t.to_ascii_lowercase());
        if matches!(items.first(), Some(Value::List(_))) {
            let parts = items.iter().take_while(|item| matches!(item, Value::List(_)));
            let children =
                parts.enumerate().filter_map(|(at, part)| Part::read(part, below(at + 1))).collect::<Vec<_>>();
            let count = items.iter().take_while(|item| matches!(item, Value::List(_))).count();
            return Some(Part {
                media_type: format!("multipart/{}", text(count).unwrap_or_else(|| "mixed".into())),
                name: None,
                encoding: String::new(),
                size: 0,
                disposition: items.get(count + 2).and_then(Value::disposition).map(|(kind, _)| kind),
                children,
                path,
            });
        }
        let (kind, subtype) = (text(0)?, text(1)?);
        let params = items.get(2).map(Value::params).unwrap_or_default();
        let message = kind == "message" && matches!(subtype.as_str(), "rfc822" | "global");
        let after = match kind.as_str() {
            _ if message => 11,
            "text" => 9,
            _ => 8,
        };
        let disposition = items.get(after).and_then(Value::disposition);
        let name = disposition.as_ref().and_then(|(_, params)| parameter(params, "filename"));
        let path = if path.is_empty() { "1".to_owned() } else { path };
        let children = match items.get(8) {
            // Its parts are numbered from its own number on; a message of one part has part 1.
            Some(inner) if message => {
                let single = !matches!(inner, Value::List(parts) if matches!(parts.first(), Some(Value::List(_))));
                let inside = if single { format!("{path}.1") } else { path.clone() };
                Part::read(inner, inside).into_iter().collect()
            }
            _ => Vec::new(),
        };
        Some(Part {
            media_type: format!("{kind}/{subtype}"),
            name: name.or_else(|| parameter(&params, "name")).filter(|name| !name.is_empty()),
            encoding: text(5).unwrap_or_default(),
            size: items.get(6).and_then(Value::text).and_then(|size| size.parse().ok()).unwrap_or(0),
            disposition: disposition.map(|(kind, _)| kind),
            children,
            path,
        })
    }
}

/// A value of the grammar.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Nil,
    Text(Bytes),
    List(Vec<Value>),
}

impl Value {
    /// One value; none when it has more than [`MAX_VALUES`]. Lists deeper than [`MAX_NESTING`] become nothing.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Option<Value>> {
        let start = cursor.clone();
        let mut open: Vec<Vec<Value>> = Vec::new();
        for _ in 0..MAX_VALUES {
            cursor.spaces();
            let value = match cursor.peek().ok_or(Syntax)? {
                b'(' if open.len() < MAX_NESTING => {
                    cursor.expect(b'(')?;
                    open.push(Vec::new());
                    continue;
                }
                b'(' => {
                    cursor.skip()?;
                    Value::Nil
                }
                b')' => {
                    cursor.expect(b')')?;
                    Value::List(open.pop().ok_or(Syntax)?)
                }
                b'"' | b'{' | b'~' => Value::Text(cursor.string()?),
                _ => {
                    let atom = cursor.astring()?;
                    if atom.eq_ignore_ascii_case(b"NIL") { Value::Nil } else { Value::Text(atom) }
                }
            };
            match open.last_mut() {
                Some(list) => list.push(value),
                None => return Ok(Some(value)),
            }
        }
        *cursor = start;
        cursor.skip()?;
        Ok(None)
    }

    fn text(&self) -> Option<String> {
        match self {
            Value::Text(octets) => Some(String::from_utf8_lossy(octets).into_owned()),
            _ => None,
        }
    }

    fn params(&self) -> Vec<Param> {
        let Value::List(items) = self else { return Vec::new() };
        let pair = |pair: &[Value]| Some(Param { name: pair.first()?.text()?, value: pair.get(1)?.text()? });
        items.chunks_exact(2).filter_map(pair).collect()
    }

    fn disposition(&self) -> Option<(String, Vec<Param>)> {
        let Value::List(items) = self else { return None };
        let kind = items.first()?.text()?.to_ascii_lowercase();
        Some((kind, items.get(1).map(Value::params).unwrap_or_default()))
    }
}
