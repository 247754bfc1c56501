//! What a header block says about its part.

use super::budget::Budget;
use super::params::{self, Param};
use super::{Disposition, Envelope, Part};
use crate::header::Fields;

/// Languages kept: Content-Language names the readers, rarely more than two.
const MAX_LANGUAGES: usize = 16;

/// What to make of a part whose fields do not say its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DefaultType {
    Text,
    /// In a `multipart/digest` (RFC 2046 §5.1.5).
    Message,
}

/// Fills the part with what the fields of its header say; with `envelope`, that too.
pub(super) fn read(
    block: &[u8],
    part: &mut Part,
    default: DefaultType,
    mut envelope: Option<&mut Envelope>,
    budget: &mut Budget,
) {
    let mut typed = false;
    let mut encoded = false;
    for field in Fields::new(block) {
        if let Some(envelope) = &mut envelope {
            envelope.field(&field, budget);
        }
        let Some(name) = field.name.get(..8).filter(|n| n.eq_ignore_ascii_case("content-")).map(|_| &field.name[8..])
        else {
            continue;
        };
        let keep_first = |slot: &mut Option<String>, budget: &mut Budget| {
            if slot.is_none() {
                *slot = budget.keep(field.value());
            }
        };
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("type") && !typed {
            typed = true;
            content_type(&field.value(), part, budget);
        } else if is("transfer-encoding") && !encoded {
            encoded = true;
            let (head, _) = params::split(&field.value());
            if let Some(encoding) = token(&head).and_then(|t| budget.keep(t)) {
                part.encoding = encoding;
            }
        } else if is("id") {
            keep_first(&mut part.id, budget);
        } else if is("description") {
            keep_first(&mut part.description, budget);
        } else if is("md5") {
            keep_first(&mut part.md5, budget);
        } else if is("location") {
            keep_first(&mut part.location, budget);
        } else if is("disposition") && part.disposition.is_none() {
            let (head, params) = params::split(&field.value());
            if let Some(kind) = token(&head).and_then(|t| budget.keep(t)) {
                part.disposition = Some(Disposition { kind, params: kept(params, budget) });
            }
        } else if is("language") && part.languages.is_empty() {
            let (head, _) = params::split(&field.value());
            part.languages =
                head.split(',').filter_map(token).take(MAX_LANGUAGES).filter_map(|l| budget.keep(l)).collect();
        }
    }
    if let Some(envelope) = envelope {
        envelope.complete(budget);
    }
    if part.media_type.is_empty() {
        match default {
            DefaultType::Message if !typed => set_type(part, "message", "rfc822"),
            _ => plain_text(part),
        }
    }
}

/// Makes the part what RFC 2045 §5.2 says of a type that is missing or makes no sense.
pub(super) fn plain_text(part: &mut Part) {
    set_type(part, "text", "plain");
    part.params.push(Param { name: "charset".to_owned(), value: "us-ascii".to_owned() });
}

/// Makes the part octets without structure.
pub(super) fn opaque(part: &mut Part) {
    set_type(part, "application", "octet-stream");
}

fn set_type(part: &mut Part, media_type: &str, subtype: &str) {
    part.media_type = media_type.to_owned();
    part.subtype = subtype.to_owned();
    part.params.clear();
}

fn content_type(value: &str, part: &mut Part, budget: &mut Budget) {
    let (head, params) = params::split(value);
    let Some((media_type, subtype)) = head.split_once('/') else {
        return;
    };
    let (Some(media_type), Some(subtype)) = (token(media_type), token(subtype)) else {
        return;
    };
    if let (Some(media_type), Some(subtype)) = (budget.keep(media_type), budget.keep(subtype)) {
        part.media_type = media_type;
        part.subtype = subtype;
        part.params = kept(params, budget);
    }
}

fn kept(params: Vec<Param>, budget: &mut Budget) -> Vec<Param> {
    params.into_iter().filter(|p| budget.take(p.name.len() + p.value.len() + size_of::<Param>())).collect()
}

/// A token of RFC 2045, in lower case; `None` when the text is not one.
fn token(text: &str) -> Option<String> {
    /// Which octets may stand in one.
    const FITS: [bool; 256] = {
        let mut fits = [false; 256];
        let mut octet = 0u8;
        while octet < 128 {
            fits[octet as usize] = octet.is_ascii_graphic();
            octet += 1;
        }
        let mut special = b"()<>@,;:\\\"/[]?=".as_slice();
        while let [octet, rest @ ..] = special {
            fits[*octet as usize] = false;
            special = rest;
        }
        fits
    };
    let text = text.trim();
    (!text.is_empty() && text.bytes().all(|b| FITS[usize::from(b)])).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::token;

    #[test]
    fn tokens_are_those_of_rfc_2045() {
        for octet in 0..=255u8 {
            let text = format!("a{}b", char::from(octet));
            let special = b"()<>@,;:\\\"/[]?=".contains(&octet);
            assert_eq!(token(&text).is_some(), octet.is_ascii_graphic() && !special, "{octet}");
        }
        assert_eq!(token(" Text ").as_deref(), Some("text"));
        assert_eq!((token(""), token(" ")), (None, None));
    }
}
