//! SEARCH (RFC 3501 §6.4.4), with RETURN (RFC 4731, 5182, 9394) and the keys of RFC 5032, 7162, 8474 and 8514.

use mail::Flags;
use mail::date::parse_imap_date;

use super::cursor::Cursor;
use super::{ErrorKind, MAX_DEPTH, MAX_KEYS, MAX_WORDS, Parsed};
use crate::command::{Command, DateTest, Numbers, SearchKey, SearchReturn, Window};

/// Largest number64 and mod-sequence value (RFC 9051 §9): 63 bits.
const MAX_NUMBER: u64 = i64::MAX as u64;
const KEY: &str = "a search key";

/// `SEARCH [SP "RETURN" SP options] [SP "CHARSET" SP charset] 1*(SP search-key)`.
pub(super) fn search(c: &mut Cursor<'_>, numbers: Numbers) -> Parsed<Command> {
    c.space()?;
    let mut options = None;
    if c.eat_word("RETURN") {
        c.space()?;
        options = Some(return_options(c)?);
        c.space()?;
    }
    let mut charset = None;
    if c.eat_word("CHARSET") {
        c.space()?;
        charset = Some(self::charset(c)?);
        c.space()?;
    }
    let strict = charset.as_deref().is_none_or(is_known);
    let mut keys = Keys { left: MAX_KEYS, strict };
    let key = keys.all(c, MAX_DEPTH)?;
    Ok(Command::Search { numbers, options, charset, key })
}

/// `"(" [option *(SP option)] ")"` (RFC 4731, 5182, 9394).
pub(super) fn return_options(c: &mut Cursor<'_>) -> Parsed<Vec<SearchReturn>> {
    const WHAT: &str = "MIN, MAX, ALL, COUNT, SAVE or PARTIAL";
    let mut options = Vec::new();
    let mut lists = 0;
    c.list("return options", MAX_WORDS, "return options", |c| {
        let option = match c.atom(WHAT)?.to_ascii_uppercase().as_str() {
            "MIN" => SearchReturn::Min,
            "MAX" => SearchReturn::Max,
            "ALL" => SearchReturn::All,
            "COUNT" => SearchReturn::Count,
            "SAVE" => SearchReturn::Save,
            "PARTIAL" => {
                c.space()?;
                SearchReturn::Partial(window(c)?)
            }
            _ => return Err(ErrorKind::Expected(WHAT)),
        };
        // RFC 9394 §3.1: one PARTIAL, one ALL, or neither.
        if matches!(option, SearchReturn::Partial(_)) || (option == SearchReturn::All && !options.contains(&option)) {
            lists += 1;
        }
        if !options.contains(&option) {
            options.push(option);
        }
        if lists > 1 { Err(ErrorKind::Expected("one ALL or one PARTIAL")) } else { Ok(()) }
    })?;
    // RFC 4731 §3.1: an empty list is ALL.
    if options.is_empty() {
        options.push(SearchReturn::All);
    }
    Ok(options)
}

/// `partial-range` (RFC 9394 §3.1): `1:100` or `-1:-100`, ends in any order.
pub(super) fn window(c: &mut Cursor<'_>) -> Parsed<Window> {
    const WHAT: &str = "a range like 1:100 or -1:-100";
    let from_end = c.peek() == Some(b'-');
    let end = |c: &mut Cursor<'_>| {
        if c.eat(b'-') != from_end {
            return Err(ErrorKind::Expected(WHAT));
        }
        let n = c.number(u32::MAX.into(), WHAT)?;
        u32::try_from(n).ok().filter(|n| *n > 0).ok_or(ErrorKind::Expected(WHAT))
    };
    let a = end(c)?;
    c.expect(b':', WHAT)?;
    let b = end(c)?;
    Ok(Window { from_end, first: a.min(b), last: a.max(b) })
}

/// `SP charset 1*(SP key)` of SORT and THREAD: the charset is not optional there.
pub(super) fn charset_and_keys(c: &mut Cursor<'_>) -> Parsed<(String, SearchKey)> {
    c.space()?;
    let name = charset(c)?;
    c.space()?;
    let mut keys = Keys { left: MAX_KEYS, strict: is_known(&name) };
    let key = keys.all(c, MAX_DEPTH)?;
    Ok((name, key))
}

fn charset(c: &mut Cursor<'_>) -> Parsed<String> {
    let name = c.astring("a charset")?;
    let name = std::str::from_utf8(&name).map_err(|_| ErrorKind::Expected("a charset"))?;
    Ok(name.to_ascii_uppercase())
}

/// In another charset the text is not decoded: the server answers BADCHARSET.
fn is_known(charset: &str) -> bool {
    matches!(charset, "UTF-8" | "US-ASCII")
}

/// What is left of the limits, and how texts are read.
struct Keys {
    left: usize,
    strict: bool,
}

impl Keys {
    /// `key *(SP key)` up to the end or a closing parenthesis.
    fn all(&mut self, c: &mut Cursor<'_>, depth: usize) -> Parsed<SearchKey> {
        let first = self.key(c, depth)?;
        if c.peek() != Some(b' ') {
            return Ok(first);
        }
        let mut keys = vec![first];
        while c.eat(b' ') {
            keys.push(self.key(c, depth)?);
        }
        Ok(SearchKey::And(keys))
    }

    fn key(&mut self, c: &mut Cursor<'_>, depth: usize) -> Parsed<SearchKey> {
        self.left = self.left.checked_sub(1).ok_or(ErrorKind::TooMany("search keys"))?;
        match c.peek() {
            Some(b'(') => {
                let depth = deeper(depth)?;
                c.skip(1);
                let key = self.all(c, depth)?;
                c.expect(b')', "a space or )")?;
                Ok(key)
            }
            Some(b'0'..=b'9' | b'*' | b'$') => c.sequence_set().map(SearchKey::Sequence),
            _ => {
                let word = c.atom(KEY)?.to_ascii_uppercase();
                self.named(c, &word, depth)
            }
        }
    }

    fn named(&mut self, c: &mut Cursor<'_>, word: &str, depth: usize) -> Parsed<SearchKey> {
        use SearchKey as K;
        Ok(match word {
            "ALL" => K::All,
            "ANSWERED" => K::Flag(Flags::ANSWERED, true),
            "UNANSWERED" => K::Flag(Flags::ANSWERED, false),
            "DELETED" => K::Flag(Flags::DELETED, true),
            "UNDELETED" => K::Flag(Flags::DELETED, false),
            "DRAFT" => K::Flag(Flags::DRAFT, true),
            "UNDRAFT" => K::Flag(Flags::DRAFT, false),
            "FLAGGED" => K::Flag(Flags::FLAGGED, true),
            "UNFLAGGED" => K::Flag(Flags::FLAGGED, false),
            "SEEN" => K::Flag(Flags::SEEN, true),
            "UNSEEN" => K::Flag(Flags::SEEN, false),
            "NEW" | "RECENT" => K::Recent(true),
            "OLD" => K::Recent(false),
            "KEYWORD" => K::Keyword(keyword(c)?, true),
            "UNKEYWORD" => K::Keyword(keyword(c)?, false),
            "BCC" | "CC" | "FROM" | "SUBJECT" | "TO" => K::Header(word.to_ascii_lowercase(), self.text(c)?),
            "HEADER" => {
                let field = self.text(c)?.to_ascii_lowercase();
                K::Header(field, self.text(c)?)
            }
            "BODY" => K::Body(self.text(c)?),
            "TEXT" => K::Text(self.text(c)?),
            "LARGER" => K::Larger(number(c)?),
            "SMALLER" => K::Smaller(number(c)?),
            "BEFORE" => K::Internal(DateTest::Before, day(c)?),
            "ON" => K::Internal(DateTest::On, day(c)?),
            "SINCE" => K::Internal(DateTest::Since, day(c)?),
            "SENTBEFORE" => K::Sent(DateTest::Before, day(c)?),
            "SENTON" => K::Sent(DateTest::On, day(c)?),
            "SENTSINCE" => K::Sent(DateTest::Since, day(c)?),
            "UID" => {
                c.space()?;
                K::Uid(c.sequence_set()?)
            }
            "NOT" => {
                c.space()?;
                K::Not(Box::new(self.key(c, deeper(depth)?)?))
            }
            "OR" => {
                let depth = deeper(depth)?;
                c.space()?;
                let one = self.key(c, depth)?;
                c.space()?;
                K::Or(Box::new(one), Box::new(self.key(c, depth)?))
            }
            "MODSEQ" => mod_seq(c)?,
            "OLDER" => K::Older(interval(c)?),
            "YOUNGER" => K::Younger(interval(c)?),
            "SAVEDBEFORE" => K::Saved(DateTest::Before, day(c)?),
            "SAVEDON" => K::Saved(DateTest::On, day(c)?),
            "SAVEDSINCE" => K::Saved(DateTest::Since, day(c)?),
            "SAVEDATESUPPORTED" => K::SaveDateSupported,
            "EMAILID" => K::EmailId(object_id(c)?),
            "THREADID" => K::ThreadId(object_id(c)?),
            // RFC 6203 is not offered: a client that asks nevertheless is told what is wrong.
            "FUZZY" => return Err(ErrorKind::Expected("a search key that is exact: SEARCH=FUZZY is not offered")),
            _ => return Err(ErrorKind::Expected(KEY)),
        })
    }

    /// `SP astring` as text.
    fn text(&self, c: &mut Cursor<'_>) -> Parsed<String> {
        c.space()?;
        let text = c.astring("a string")?;
        if self.strict {
            String::from_utf8(text.into_owned()).map_err(|_| ErrorKind::Expected("text in UTF-8"))
        } else {
            Ok(String::from_utf8_lossy(&text).into_owned())
        }
    }
}

fn deeper(depth: usize) -> Parsed<usize> {
    depth.checked_sub(1).ok_or(ErrorKind::TooDeep)
}

fn keyword(c: &mut Cursor<'_>) -> Parsed<String> {
    c.space()?;
    c.atom("a keyword").map(str::to_owned)
}

fn number(c: &mut Cursor<'_>) -> Parsed<u64> {
    c.space()?;
    c.number(MAX_NUMBER, "a number")
}

/// `SP nz-number` of seconds (RFC 5032).
fn interval(c: &mut Cursor<'_>) -> Parsed<u32> {
    const WHAT: &str = "a number of seconds";
    c.space()?;
    let n = c.number(u32::MAX.into(), WHAT)?;
    u32::try_from(n).ok().filter(|n| *n > 0).ok_or(ErrorKind::Expected(WHAT))
}

/// `SP objectid` (RFC 8474 §7): 1 to 255 letters, digits, `-` and `_`.
fn object_id(c: &mut Cursor<'_>) -> Parsed<String> {
    c.space()?;
    let id = c.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if (1..=255).contains(&id.len()) { Ok(id.to_owned()) } else { Err(ErrorKind::Expected("an object id")) }
}

/// `SP date`, with or without quotes.
fn day(c: &mut Cursor<'_>) -> Parsed<time::Date> {
    const WHAT: ErrorKind = ErrorKind::Expected("a date like 1-Feb-1994");
    c.space()?;
    let quoted = c.eat(b'"');
    let text = c.take_while(|b| b.is_ascii_alphanumeric() || b == b'-');
    let day = parse_imap_date(text).ok_or(WHAT)?;
    if quoted && !c.eat(b'"') {
        return Err(WHAT);
    }
    Ok(day)
}

/// `[SP entry-name SP entry-type] SP mod-sequence-valzer` (RFC 7162 §3.1.5); the entry is of no account to us.
fn mod_seq(c: &mut Cursor<'_>) -> Parsed<SearchKey> {
    c.space()?;
    if c.peek() == Some(b'"') {
        c.string("an entry name")?;
        c.space()?;
        if !["priv", "shared", "all"].iter().any(|kind| c.eat_word(kind)) {
            return Err(ErrorKind::Expected("priv, shared or all"));
        }
        c.space()?;
    }
    c.number(MAX_NUMBER, "a mod-sequence").map(SearchKey::ModSeq)
}
