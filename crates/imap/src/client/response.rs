//! A response with its meaning.

use std::ops::RangeInclusive;

use bytes::Bytes;

use super::cursor::{Cursor, Result, Syntax};
use super::fetch::Fetched;
use super::folder::{Counts, Listed};
use super::{Capabilities, ClientError, Code, Status, Told};

/// What a server says.
#[derive(Debug, Clone, PartialEq)]
pub enum Response {
    /// Not to one command.
    Untagged(Untagged),
    /// The end of a command.
    Tagged {
        /// Which.
        tag: String,
        /// How it ended.
        told: Told,
    },
    /// `+`: go on. Holds what follows it.
    Continue(Bytes),
}

/// A response without tag.
#[derive(Debug, Clone, PartialEq)]
pub enum Untagged {
    /// OK, NO, BAD, BYE, PREAUTH.
    Status(Told),
    /// CAPABILITY.
    Capability(Capabilities),
    /// ENABLED, in upper case.
    Enabled(Vec<String>),
    /// LIST or LSUB.
    List(Listed),
    /// The same of a name that is not in its one proper form: it can be asked for as it is written only.
    OddList(Listed),
    /// STATUS.
    Counts(Counts),
    /// FLAGS.
    Flags(Vec<String>),
    /// SEARCH.
    Search(Vec<u32>),
    /// ESEARCH: the tag it answers and what is under ALL.
    ESearch(Option<String>, Vec<RangeInclusive<u32>>),
    /// EXISTS.
    Exists(u32),
    /// RECENT.
    Recent(u32),
    /// EXPUNGE.
    Expunge(u32),
    /// VANISHED: whether it tells of what happened before, and the UIDs.
    Vanished(bool, Vec<RangeInclusive<u32>>),
    /// FETCH.
    Fetch(Fetched),
    /// Another one: its word, in upper case.
    Other(String),
}

/// Reads a response as [`ResponseReader`](super::ResponseReader) gives it. Folder names are in modified UTF-7 unless `utf8`.
///
/// # Errors
/// [`ClientError::Protocol`].
pub fn parse(response: &Bytes, utf8: bool) -> std::result::Result<Response, ClientError> {
    read(response, utf8).map_err(|Syntax| ClientError::Protocol("a response that is none"))
}

fn read(response: &Bytes, utf8: bool) -> Result<Response> {
    let mut cursor = Cursor::new(response);
    if cursor.eat(b'+') {
        cursor.spaces();
        let start = response.len() - rest_length(response, &cursor);
        let mut rest = response.slice(start..);
        while rest.last().is_some_and(|b| matches!(b, b'\r' | b'\n' | b' ')) {
            rest.truncate(rest.len() - 1);
        }
        return Ok(Response::Continue(rest));
    }
    let tag = cursor.atom()?;
    cursor.expect(b' ')?;
    if tag != "*" {
        let status = status(cursor.atom()?).filter(|s| matches!(s, Status::Ok | Status::No | Status::Bad));
        let told = told(status.ok_or(Syntax)?, &mut cursor)?;
        return Ok(Response::Tagged { tag: tag.to_owned(), told });
    }
    if cursor.peek().is_some_and(|b| b.is_ascii_digit()) {
        return numbered(&mut cursor).map(Response::Untagged);
    }
    let word = cursor.atom()?.to_ascii_uppercase();
    if let Some(status) = status(&word) {
        return Ok(Response::Untagged(Untagged::Status(told(status, &mut cursor)?)));
    }
    cursor.spaces();
    let untagged = match word.as_str() {
        "CAPABILITY" => Untagged::Capability(Capabilities::new(words(&mut cursor)?)),
        "ENABLED" => Untagged::Enabled(words(&mut cursor)?.into_iter().map(str::to_ascii_uppercase).collect()),
        "LIST" | "LSUB" => match Listed::read(&mut cursor, utf8)? {
            Some(listed) => listed,
            None => Untagged::Other(word),
        },
        "STATUS" => Untagged::Counts(Counts::read(&mut cursor, utf8)?),
        "FLAGS" => Untagged::Flags(cursor.flags()?),
        "SEARCH" | "SORT" => Untagged::Search(search(&mut cursor)?),
        "ESEARCH" => esearch(&mut cursor)?,
        "VANISHED" => {
            let earlier = cursor.peek() == Some(b'(');
            if earlier {
                cursor.skip()?;
                cursor.spaces();
            }
            Untagged::Vanished(earlier, cursor.ranges()?)
        }
        _ => Untagged::Other(word),
    };
    Ok(Response::Untagged(untagged))
}

fn rest_length(response: &Bytes, cursor: &Cursor<'_>) -> usize {
    // What the cursor has not passed: `+` and spaces are all it ate.
    let eaten = response.iter().skip(1).take_while(|b| **b == b' ').count() + 1;
    debug_assert!(cursor.peek() == response.get(eaten).copied());
    response.len() - eaten
}

fn numbered(cursor: &mut Cursor<'_>) -> Result<Untagged> {
    let number = cursor.number32()?;
    cursor.expect(b' ')?;
    let word = cursor.atom()?.to_ascii_uppercase();
    Ok(match word.as_str() {
        "EXISTS" => Untagged::Exists(number),
        "RECENT" => Untagged::Recent(number),
        "EXPUNGE" => Untagged::Expunge(number),
        "FETCH" | "UIDFETCH" => {
            cursor.spaces();
            let mut fetched = Fetched::read(number, cursor)?;
            if word == "UIDFETCH" {
                fetched.uid = Some(number); // RFC 9586
            }
            Untagged::Fetch(fetched)
        }
        _ => Untagged::Other(word),
    })
}

fn status(word: &str) -> Option<Status> {
    let known = [
        ("OK", Status::Ok),
        ("NO", Status::No),
        ("BAD", Status::Bad),
        ("BYE", Status::Bye),
        ("PREAUTH", Status::PreAuth),
    ];
    known.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, status)| *status)
}

/// After the word of a status response.
fn told(status: Status, cursor: &mut Cursor<'_>) -> Result<Told> {
    cursor.spaces();
    let start = cursor.clone();
    let code = if cursor.eat(b'[') { Code::read(cursor).ok() } else { None };
    if code.is_none() {
        *cursor = start; // Braces of a text for people.
    }
    Ok(Told { status, code, text: cursor.human() })
}

fn words<'r>(cursor: &mut Cursor<'r>) -> Result<Vec<&'r str>> {
    let mut words = Vec::new();
    while !cursor.is_end() {
        words.push(cursor.atom()?);
        cursor.spaces();
    }
    Ok(words)
}

fn search(cursor: &mut Cursor<'_>) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    while !cursor.is_end() {
        if cursor.peek() == Some(b'(') {
            cursor.skip()?; // (MODSEQ n)
        } else {
            found.push(cursor.number32()?);
        }
        cursor.spaces();
    }
    Ok(found)
}

fn esearch(cursor: &mut Cursor<'_>) -> Result<Untagged> {
    let mut tag = None;
    if cursor.eat(b'(') {
        if cursor.atom()?.eq_ignore_ascii_case("TAG") {
            cursor.spaces();
            tag = Some(String::from_utf8_lossy(&cursor.astring()?).into_owned());
        }
        cursor.spaces();
        cursor.expect(b')')?;
    }
    let mut all = Vec::new();
    cursor.spaces();
    while !cursor.is_end() {
        let item = cursor.atom()?;
        cursor.spaces();
        if item.eq_ignore_ascii_case("ALL") {
            all = cursor.ranges()?;
        } else if !item.eq_ignore_ascii_case("UID") {
            cursor.skip()?;
        }
        cursor.spaces();
    }
    Ok(Untagged::ESearch(tag, all))
}
