//! FETCH (RFC 3501 §6.4.5).

use super::cursor::Cursor;
use super::{ErrorKind, MAX_FIELDS, MAX_ITEMS, MAX_PARTS, Parsed, modifiers};
use crate::command::{Command, FetchItem, Numbers, Rfc822, Section, SectionText};

const ITEM: &str = "a FETCH item";
const SECTION: &str = "a section like 1.2, HEADER, HEADER.FIELDS (…), TEXT or 1.MIME";

/// `FETCH SP set SP (macro / item / "(" item *(SP item) ")") [SP "(" modifiers ")"]`.
pub(super) fn fetch(c: &mut Cursor<'_>, numbers: Numbers) -> Parsed<Command> {
    c.space()?;
    let set = c.sequence_set()?;
    c.space()?;
    let mut items = Vec::new();
    if c.peek() == Some(b'(') {
        c.list("FETCH items", MAX_ITEMS, "FETCH items", |c| {
            items.push(item(c)?);
            Ok(())
        })?;
        if items.is_empty() {
            return Err(ErrorKind::Expected(ITEM));
        }
    } else if let Some(expanded) = macros(c) {
        items = expanded;
    } else {
        items.push(item(c)?);
    }
    Ok(Command::Fetch { numbers, set, items, modifiers: modifiers::fetch(c)? })
}

fn macros(c: &mut Cursor<'_>) -> Option<Vec<FetchItem>> {
    use FetchItem as I;
    let mut items = vec![I::Flags, I::InternalDate, I::Size];
    if c.eat_word("FAST") {
        return Some(items);
    }
    items.push(I::Envelope);
    if c.eat_word("ALL") {
        return Some(items);
    }
    items.push(I::BodyStructureShort);
    c.eat_word("FULL").then_some(items)
}

/// One item.
pub(super) fn item(c: &mut Cursor<'_>) -> Parsed<FetchItem> {
    // `[` is an ATOM-CHAR, so the name of an item is only the letters, digits and dots before it.
    let name = c.take_while(|b| b.is_ascii_alphanumeric() || b == b'.').to_ascii_uppercase();
    Ok(match (name.as_str(), c.peek()) {
        ("BODY", Some(b'[')) => body(c, false)?,
        ("BODY.PEEK", Some(b'[')) => body(c, true)?,
        ("BODY", _) => FetchItem::BodyStructureShort,
        ("BODYSTRUCTURE", _) => FetchItem::BodyStructure,
        ("ENVELOPE", _) => FetchItem::Envelope,
        ("FLAGS", _) => FetchItem::Flags,
        ("INTERNALDATE", _) => FetchItem::InternalDate,
        ("MODSEQ", _) => FetchItem::ModSeq,
        ("UID", _) => FetchItem::Uid,
        ("RFC822", _) => FetchItem::Rfc822(Rfc822::All),
        ("RFC822.HEADER", _) => FetchItem::Rfc822(Rfc822::Header),
        ("RFC822.TEXT", _) => FetchItem::Rfc822(Rfc822::Text),
        ("RFC822.SIZE", _) => FetchItem::Size,
        ("BINARY", Some(b'[')) => binary(c, false)?,
        ("BINARY.PEEK", Some(b'[')) => binary(c, true)?,
        ("BINARY.SIZE", Some(b'[')) => FetchItem::BinarySize(binary_part(c)?),
        ("PREVIEW", _) => preview(c)?,
        ("EMAILID", _) => FetchItem::EmailId,
        ("THREADID", _) => FetchItem::ThreadId,
        ("SAVEDATE", _) => FetchItem::SaveDate,
        _ => return Err(ErrorKind::Expected(ITEM)),
    })
}

/// `section ["<" number "." nz-number ">"]`.
fn body(c: &mut Cursor<'_>, peek: bool) -> Parsed<FetchItem> {
    c.expect(b'[', "[")?;
    let section = section(c)?;
    c.expect(b']', "]")?;
    Ok(FetchItem::Body { peek, section, partial: partial(c)? })
}

/// `["<" number "." nz-number ">"]`.
fn partial(c: &mut Cursor<'_>) -> Parsed<Option<(u32, u32)>> {
    const WHAT: &str = "a partial like <0.2048>";
    if !c.eat(b'<') {
        return Ok(None);
    }
    let first = c.number(u32::MAX.into(), WHAT)?;
    c.expect(b'.', WHAT)?;
    let count = c.number(u32::MAX.into(), WHAT)?;
    c.expect(b'>', WHAT)?;
    // Both were held below 2^32.
    let partial = u32::try_from(first).ok().zip(u32::try_from(count).ok()).filter(|(_, count)| *count > 0);
    if partial.is_none() { Err(ErrorKind::Expected(WHAT)) } else { Ok(partial) }
}

/// `BINARY section-binary [partial]` (RFC 3516 §7).
fn binary(c: &mut Cursor<'_>, peek: bool) -> Parsed<FetchItem> {
    Ok(FetchItem::Binary { peek, part: binary_part(c)?, partial: partial(c)? })
}

/// `"[" [section-part] "]"`.
fn binary_part(c: &mut Cursor<'_>) -> Parsed<Vec<u32>> {
    c.expect(b'[', "[")?;
    let section = section(c)?;
    c.expect(b']', "]")?;
    if section.text == SectionText::Whole { Ok(section.part) } else { Err(ErrorKind::Expected("a part like 1.2")) }
}

/// What follows PREVIEW: `[SP "(" "LAZY" ")"]` (RFC 8970 §3).
fn preview(c: &mut Cursor<'_>) -> Parsed<FetchItem> {
    let lazy = c.rest().starts_with(b" (");
    if lazy {
        c.skip(2);
        if !c.eat_word("LAZY") {
            return Err(ErrorKind::Expected("LAZY"));
        }
        c.expect(b')', ")")?;
    }
    Ok(FetchItem::Preview { lazy })
}

/// What stands between the brackets.
pub(super) fn section(c: &mut Cursor<'_>) -> Parsed<Section> {
    let mut part = Vec::new();
    if matches!(c.peek(), Some(b']') | None) {
        return Ok(Section { part, text: SectionText::Whole });
    }
    while c.peek().is_some_and(|b| b.is_ascii_digit()) {
        if part.len() == MAX_PARTS {
            return Err(ErrorKind::TooMany("part numbers"));
        }
        let number = c.number(u32::MAX.into(), SECTION)?;
        part.push(u32::try_from(number).ok().filter(|n| *n > 0).ok_or(ErrorKind::Expected(SECTION))?);
        if !c.eat(b'.') {
            return Ok(Section { part, text: SectionText::Whole });
        }
    }
    // The longest names first: each is the beginning of another.
    let text = if c.eat_prefix("HEADER.FIELDS.NOT ") {
        SectionText::HeaderFieldsNot(fields(c)?)
    } else if c.eat_prefix("HEADER.FIELDS ") {
        SectionText::HeaderFields(fields(c)?)
    } else if c.eat_prefix("HEADER") {
        SectionText::Header
    } else if c.eat_prefix("TEXT") {
        SectionText::Text
    } else if !part.is_empty() && c.eat_prefix("MIME") {
        SectionText::Mime
    } else {
        return Err(ErrorKind::Expected(SECTION));
    };
    Ok(Section { part, text })
}

fn fields(c: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    const WHAT: &str = "a list of header field names";
    let mut names = Vec::new();
    c.list(WHAT, MAX_FIELDS, "header field names", |c| {
        let name = String::from_utf8(c.astring(WHAT)?.into_owned()).map_err(|_| ErrorKind::Expected(WHAT))?;
        names.push(name);
        Ok(())
    })?;
    if names.is_empty() { Err(ErrorKind::Expected(WHAT)) } else { Ok(names) }
}
