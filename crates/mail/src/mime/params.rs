//! Parameters of Content-Type and Content-Disposition (RFC 2045 §5.1, RFC 2231).

use crate::header::{decode_charset, decode_words};

/// A parameter as sent, continuations joined: the name keeps its `*` when the value is percent-encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param<S = String> {
    /// The name, in the case it was sent.
    pub name: S,
    /// The value, quotes removed.
    pub value: S,
}

/// Parameters of one field kept: real ones have a handful.
const MAX_PARAMS: usize = 64;
/// Segments of one field kept before continuations are joined.
const MAX_SEGMENTS: usize = 512;

/// A field value as its first word (comments removed) and its parameters.
pub(super) fn split(value: &str) -> (String, Vec<Param>) {
    if !value.bytes().any(has_meaning) {
        return (value.trim_ascii().to_owned(), Vec::new());
    }
    let mut pieces = pieces(value).into_iter();
    let head = pieces.next().map(|piece| piece.text).unwrap_or_default();
    let segments = pieces.filter_map(|Piece { mut text, equals, .. }| {
        let (name, value) = text.split_at_checked(equals?)?;
        let (name, value) = (name.trim_end().len(), value.strip_prefix('=')?.to_owned());
        text.truncate(name);
        let name = match text.trim_start() {
            "" => return None,
            all if all.len() == name => text,
            some => some.to_owned(),
        };
        Some(Param { name, value })
    });
    let mut params = join(segments.take(MAX_SEGMENTS).collect());
    params.truncate(MAX_PARAMS);
    (head, params)
}

/// A parameter of a list as another server tells it (BODYSTRUCTURE): continuations joined, decoded; for use by people.
pub fn parameter(params: &[Param], name: &str) -> Option<String> {
    decoded(&join(params.iter().take(MAX_SEGMENTS).cloned().collect()), name)
}

/// What stands between two semicolons, comments and quotes removed.
#[derive(Default)]
struct Piece {
    text: String,
    /// Where the first `=` is.
    equals: Option<usize>,
    /// Where the text ends, blanks that were not quoted aside.
    solid: usize,
}

impl Piece {
    /// With room for what most have.
    fn new() -> Self {
        Piece { text: String::with_capacity(24), ..Piece::default() }
    }

    /// Octets without a meaning of their own, and no blank among them.
    fn push_plain(&mut self, text: &str) {
        self.text.push_str(text);
        self.solid = self.text.len();
    }

    fn push(&mut self, c: char, quoted: bool) {
        let blank = !quoted && c.is_ascii_whitespace();
        let at_start = self.text.len() == self.equals.map_or(0, |e| e + 1);
        if blank && at_start {
            return;
        }
        self.text.push(c);
        if !blank {
            self.solid = self.text.len();
        }
    }
}

/// Whether an octet says where something begins or ends.
fn has_meaning(octet: u8) -> bool {
    matches!(octet, b'\\' | b'"' | b'(' | b')' | b';' | b'=')
}

/// The value cut at its semicolons.
fn pieces(value: &str) -> Vec<Piece> {
    let mut pieces = vec![Piece::new()];
    let (mut depth, mut quoted) = (0usize, false);
    let mut rest = value;
    loop {
        let room = pieces.len() <= MAX_SEGMENTS;
        let Some(piece) = pieces.last_mut() else {
            break;
        };
        let plain = rest.bytes().position(|octet| has_meaning(octet) || octet.is_ascii_whitespace());
        let (plain, meaning) = rest.split_at(plain.unwrap_or(rest.len()));
        if depth == 0 && !plain.is_empty() {
            piece.push_plain(plain);
        }
        let mut chars = meaning.chars();
        let Some(c) = chars.next() else {
            break;
        };
        match c {
            '\\' if quoted || depth > 0 => {
                let escaped = chars.next().filter(|_| depth == 0);
                if let Some(escaped) = escaped {
                    piece.push(escaped, true);
                }
            }
            '"' if depth == 0 => quoted = !quoted,
            _ if quoted => piece.push(c, true),
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            ';' if room => pieces.push(Piece::new()),
            ';' => break,
            '=' if piece.equals.is_none() => {
                piece.equals = Some(piece.text.len());
                piece.push(c, false);
            }
            _ => piece.push(c, false),
        }
        rest = chars.as_str();
    }
    for piece in &mut pieces {
        piece.text.truncate(piece.solid);
    }
    pieces
}

/// `name*0`, `name*0*`: the name, the number and whether the segment is percent-encoded.
fn segment(name: &str) -> Option<(&str, usize, bool)> {
    let (name, encoded) = name.strip_suffix('*').map_or((name, false), |n| (n, true));
    let (base, number) = name.rsplit_once('*')?;
    let plain = !number.is_empty() && number.len() <= 3 && number.bytes().all(|b| b.is_ascii_digit());
    (plain && !base.is_empty()).then_some((base, number.parse().ok()?, encoded))
}

/// Joins continuations, in the place of their first segment met; segments without a number 0 stay as sent.
fn join(params: Vec<Param>) -> Vec<Param> {
    if !params.iter().any(|param| segment(&param.name).is_some()) {
        return params;
    }
    let mut joined: Vec<Param> = Vec::new();
    let mut done: Vec<String> = Vec::new();
    for param in &params {
        let Some((base, ..)) = segment(&param.name) else {
            joined.push(param.clone());
            continue;
        };
        if done.iter().any(|d| d.eq_ignore_ascii_case(base)) {
            continue;
        }
        let mut parts: Vec<(usize, bool, &str)> = params
            .iter()
            .filter_map(|p| segment(&p.name).map(|(b, n, e)| (b, n, e, p.value.as_str())))
            .filter(|(b, ..)| b.eq_ignore_ascii_case(base))
            .map(|(_, n, e, v)| (n, e, v))
            .collect();
        parts.sort_by_key(|(n, ..)| *n);
        parts.dedup_by_key(|(n, ..)| *n);
        if parts.first().is_none_or(|(n, ..)| *n != 0) || done.len() == MAX_PARAMS {
            joined.push(param.clone());
            continue;
        }
        done.push(base.to_owned());
        let encoded = parts.iter().any(|(_, e, _)| *e);
        let mut value = String::new();
        for (place, (number, segment_encoded, text)) in parts.into_iter().enumerate() {
            if place != number {
                break;
            }
            if encoded && !segment_encoded {
                if place == 0 {
                    value.push_str("''");
                }
                value.push_str(&text.replace('%', "%25"));
            } else {
                value.push_str(text);
            }
        }
        joined.push(Param { name: if encoded { format!("{base}*") } else { base.to_owned() }, value });
    }
    joined
}

/// The value of a parameter, as sent.
pub(super) fn raw<'p>(params: &'p [Param], name: &str) -> Option<&'p str> {
    params.iter().find(|p| p.name.eq_ignore_ascii_case(name)).map(|p| &*p.value)
}

/// The value of a parameter, decoded: RFC 2231, or encoded words, which are not allowed there but usual.
pub(super) fn decoded(params: &[Param], name: &str) -> Option<String> {
    let extended = params.iter().find(|p| p.name.strip_suffix('*').is_some_and(|n| n.eq_ignore_ascii_case(name)));
    let Some(param) = extended else {
        return raw(params, name).map(decode_words);
    };
    let mut fields = param.value.splitn(3, '\'');
    let (charset, text) = match (fields.next(), fields.next(), fields.next()) {
        (Some(charset), Some(_), Some(text)) => (charset, text),
        _ => ("", &*param.value),
    };
    let octets = percent_decoded(text);
    let charset = if charset.is_empty() { "utf-8" } else { charset };
    Some(decode_charset(charset, &octets).unwrap_or_else(|| String::from_utf8_lossy(&octets).into_owned()))
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = |d: u8| char::from(d).to_digit(16).and_then(|d| u8::try_from(d).ok());
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if let (Some(high), Some(low)) = (hex(*high), hex(*low)) => {
                out.push(high << 4 | low);
                rest = after;
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(value: &str, name: &str) -> Option<String> {
        decoded(&split(value).1, name)
    }

    #[test]
    fn reads_parameters() {
        let (head, params) = split("Text/Plain (plain); charset=\"utf-8\" ; format=flowed; x=\"a;b \\\"c\\\"\"");
        assert_eq!(head, "Text/Plain");
        let got: Vec<_> = params.iter().map(|p| (&*p.name, &*p.value)).collect();
        assert_eq!(got, [("charset", "utf-8"), ("format", "flowed"), ("x", "a;b \"c\"")]);
        assert_eq!(one("a/b; name=my file (1).pdf", "name").as_deref(), Some("my file .pdf"));
        assert_eq!(one("a/b; name=\"a=b\"", "name").as_deref(), Some("a=b"));
        assert_eq!(split("").1, []);
        assert_eq!(split(";;=;a;=b").1, []);
    }

    #[test]
    fn rfc_2231() {
        let long = "attachment; filename*1*=%20dossier; FILENAME*0*=utf-8'fr'%C3%A9t%C3%A9; filename*2=\" 100%.pdf\"";
        let (_, params) = split(long);
        assert_eq!(
            params,
            [Param { name: "filename*".into(), value: "utf-8'fr'%C3%A9t%C3%A9%20dossier 100%25.pdf".into() }]
        );
        assert_eq!(decoded(&params, "filename").as_deref(), Some("été dossier 100%.pdf"));
        assert_eq!(one("a/b; name*0=\"x \"; name*1=y", "name").as_deref(), Some("x y"));
        assert_eq!(one("a/b; name*=iso-8859-1''%e9%zz", "name").as_deref(), Some("é%zz"));
        assert_eq!(one("a/b; name=\"=?utf-8?Q?=C3=A9?=\"", "name").as_deref(), Some("é"));
        assert_eq!(split("a/b; name*1=y").1, [Param { name: "name*1".into(), value: "y".into() }]);
        assert_eq!(one("a/b; name*0=x; name*2=z", "name").as_deref(), Some("x"));
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a;=*\"()\\\\'%0-3 é]{0,80}") {
            for p in split(&text).1 { let _ = decoded(std::slice::from_ref(&p), p.name.trim_end_matches('*')); }
        }
    }
}
