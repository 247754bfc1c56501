//! APPEND with all that may stand in it: several messages (RFC 3502), CATENATE (RFC 4469), literal8 (RFC 3516), UTF8 (RFC 6855); REPLACE
//! (RFC 8508) with one of them.
//!
//! The messages are on the wire, not here: a command is read in stretches of text between literals, [`append`] the first and
//! [`append_more`] those that follow.

use mail::date::parse_imap_date_time;

use super::cursor::Cursor;
use super::{ErrorKind, MAX_APPEND_PARTS, Names, Parsed};
use crate::command::{Announced, Append, AppendPart, AppendState, Command, Numbers};

/// Octets of `date-time` without its quotes.
const DATE_TIME: usize = 26;

/// `APPEND SP mailbox 1*append-message`.
pub(super) fn append(c: &mut Cursor<'_>) -> Parsed<Append> {
    let folder = c.space_name()?;
    let mut parts = Vec::new();
    let state = messages(c, Place::Before, &mut parts)?;
    Ok(Append { folder, parts, state })
}

/// `REPLACE SP seq-number SP mailbox append-message`.
pub(super) fn replace(c: &mut Cursor<'_>, numbers: Numbers) -> Parsed<Command> {
    const WHAT: &str = "the number of one message";
    c.space()?;
    let which = if c.eat(b'*') {
        None
    } else {
        let number = c.number(u32::MAX.into(), WHAT)?;
        Some(u32::try_from(number).ok().and_then(std::num::NonZeroU32::new).ok_or(ErrorKind::Expected(WHAT))?)
    };
    let by = append(c)?;
    if by.parts.iter().filter(|part| matches!(part, AppendPart::Message { .. })).count() > 1 {
        return Err(ErrorKind::TooMany("messages"));
    }
    Ok(Command::Replace { numbers, which, by })
}

/// Reads what follows a literal of APPEND: `text` up to the end of the command or up to and with the next announcement.
///
/// # Errors
/// What was expected.
pub fn append_more(state: AppendState, text: &[u8]) -> Result<(Vec<AppendPart>, AppendState), ErrorKind> {
    let mut parts = Vec::new();
    let place = match state {
        AppendState::Message => Place::After,
        AppendState::Catenate => Place::Parts,
        AppendState::Utf8 => Place::EndOfUtf8,
    };
    let state = messages(&mut Cursor::new(text, Names::Utf7), place, &mut parts)?;
    Ok((parts, state))
}

/// What may come next.
enum Place {
    /// A message.
    Before,
    /// A message or the end.
    After,
    /// The first part of CATENATE.
    FirstPart,
    /// Another part of CATENATE, or its end.
    Parts,
    /// The end of `UTF8 (…)`.
    EndOfUtf8,
}

fn messages(c: &mut Cursor<'_>, mut place: Place, parts: &mut Vec<AppendPart>) -> Parsed<AppendState> {
    loop {
        if parts.len() >= MAX_APPEND_PARTS {
            return Err(ErrorKind::TooMany("messages or parts"));
        }
        place = match place {
            Place::After if c.at_end() => return Ok(AppendState::Message),
            Place::Before | Place::After => {
                c.space()?;
                let (flags, date) = options(c)?;
                if c.eat_word("CATENATE") {
                    c.space()?;
                    c.expect(b'(', "a list of parts")?;
                    parts.push(AppendPart::Message { flags, date, catenate: true });
                    Place::FirstPart
                } else if c.eat_word("UTF8") {
                    c.space()?;
                    c.expect(b'(', "( after UTF8")?;
                    parts.push(AppendPart::Message { flags, date, catenate: false });
                    let octets = announced(c, "a message as a literal8")?;
                    if !octets.binary {
                        return Err(ErrorKind::Expected("a message as a literal8"));
                    }
                    parts.push(AppendPart::Octets(octets));
                    return c.end().map(|()| AppendState::Utf8);
                } else {
                    parts.push(AppendPart::Message { flags, date, catenate: false });
                    parts.push(AppendPart::Octets(announced(c, "a message as a literal")?));
                    return c.end().map(|()| AppendState::Message);
                }
            }
            Place::Parts if c.eat(b')') => Place::After,
            Place::EndOfUtf8 => {
                c.expect(b')', ")")?;
                Place::After
            }
            Place::FirstPart | Place::Parts => {
                if matches!(place, Place::Parts) {
                    c.expect(b' ', "a space or )")?;
                }
                if c.eat_word("TEXT") {
                    c.space()?;
                    parts.push(AppendPart::Octets(announced(c, "a text as a literal")?));
                    return c.end().map(|()| AppendState::Catenate);
                }
                if !c.eat_word("URL") {
                    return Err(ErrorKind::Expected("TEXT or URL"));
                }
                c.space()?;
                if c.peek() == Some(b'{') {
                    parts.push(AppendPart::UrlOctets(announced(c, "a URL")?));
                    return c.end().map(|()| AppendState::Catenate);
                }
                parts.push(AppendPart::Url(c.astring("a URL")?.into_owned()));
                Place::Parts
            }
        };
    }
}

/// `[flag-list SP] [date-time SP]`.
fn options(c: &mut Cursor<'_>) -> Parsed<(Vec<String>, Option<i64>)> {
    let mut flags = Vec::new();
    if c.peek() == Some(b'(') {
        flags = c.flag_list()?;
        c.space()?;
    }
    let mut date = None;
    if c.eat(b'"') {
        date = Some(date_time(c)?);
        c.space()?;
    }
    Ok((flags, date))
}

/// `literal / literal8`, its octets not there.
fn announced(c: &mut Cursor<'_>, what: &'static str) -> Parsed<Announced> {
    let binary = c.eat(b'~');
    let (size, synchronizing) = c.announcement(what)?;
    Ok(Announced { size, synchronizing, binary })
}

/// `date-time` after its opening quote.
fn date_time(c: &mut Cursor<'_>) -> Parsed<i64> {
    const WHAT: ErrorKind = ErrorKind::Expected("a date-time like \"17-Jul-1996 02:44:25 -0700\"");
    let text = c.rest().get(..DATE_TIME).and_then(|t| std::str::from_utf8(t).ok()).ok_or(WHAT)?;
    let moment = parse_imap_date_time(text).ok_or(WHAT)?;
    c.skip(DATE_TIME);
    if c.eat(b'"') { Ok(moment.unix) } else { Err(WHAT) }
}
