//! IMAP URLs of messages (RFC 5092), as CATENATE takes them: absolute, by absolute path, or relative to the selected folder.

use mail::UidValidity;

use crate::command::Section;
use crate::parse;

/// Where the message is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// In the selected folder (`;UID=4`).
    Selected,
    /// In a folder.
    Folder {
        /// Its name, decoded.
        name: String,
        /// `;UIDVALIDITY=`.
        uid_validity: Option<UidValidity>,
    },
}

/// A message, or a section of it.
#[derive(Clone, PartialEq, Debug)]
pub struct MessageUrl {
    /// The user, decoded, of an absolute URL.
    pub user: Option<String>,
    /// The server, without its port, of an absolute URL.
    pub host: Option<String>,
    /// Where.
    pub place: Place,
    /// Its UID.
    pub uid: u32,
    /// `;SECTION=`; the whole message without it.
    pub section: Section,
    /// `;PARTIAL=offset[.length]`.
    pub partial: Option<(u32, Option<u32>)>,
}

impl MessageUrl {
    /// Reads a URL; `None` when it is not one of a message, or needs what is not offered (URLAUTH).
    pub fn parse(url: &[u8]) -> Option<MessageUrl> {
        let url = std::str::from_utf8(url).ok()?;
        let (authority, path) = match strip_prefix(url, "imap://").or_else(|| strip_prefix(url, "imaps://")) {
            Some(rest) => {
                let slash = rest.find('/')?;
                (Some(&rest[..slash]), &rest[slash..])
            }
            None => (None, url),
        };
        let (mut user, mut host) = (None, None);
        if let Some(authority) = authority {
            let server = match authority.rsplit_once('@') {
                Some((login, server)) => {
                    let name = login.split_once(';').map_or(login, |(name, _)| name);
                    if !name.is_empty() {
                        user = Some(decode(name)?);
                    }
                    server
                }
                None => authority,
            };
            // An IPv6 address keeps its brackets.
            let name = match server.rsplit_once(':') {
                Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
                _ => server,
            };
            host = Some(decode(name)?);
        }
        let (folder, message) = match path.strip_prefix('/') {
            // `//` would be another server.
            Some(path) if !path.starts_with('/') => {
                let at = find(path, "/;UID=")?;
                (Some(&path[..at]), &path[at + 1..])
            }
            Some(_) => return None,
            None => (None, path.strip_prefix("./").unwrap_or(path)),
        };
        let place = match folder {
            None => Place::Selected,
            Some(folder) => {
                let (name, uid_validity) = match find(folder, ";UIDVALIDITY=") {
                    Some(at) => {
                        let number = folder[at + ";UIDVALIDITY=".len()..].parse().ok().filter(|n| *n > 0)?;
                        (&folder[..at], Some(UidValidity(number)))
                    }
                    None => (folder, None),
                };
                Place::Folder { name: decode(name)?, uid_validity }
            }
        };
        let mut rest = strip_prefix(message, ";UID=")?;
        let mut pieces = Vec::new();
        while let Some(at) = rest.find('/') {
            pieces.push(&rest[..at]);
            rest = &rest[at + 1..];
        }
        pieces.push(rest);
        let mut pieces = pieces.into_iter();
        let uid = number(pieces.next()?).filter(|uid| *uid > 0)?;
        let mut section = Section { part: Vec::new(), text: crate::command::SectionText::Whole };
        let mut partial = None;
        for piece in pieces {
            if let Some(text) = strip_prefix(piece, ";SECTION=") {
                section = parse::section(decode(text)?.as_bytes())?;
            } else if let Some(range) = strip_prefix(piece, ";PARTIAL=") {
                partial = Some(match range.split_once('.') {
                    Some((offset, length)) => (number(offset)?, Some(number(length).filter(|n| *n > 0)?)),
                    None => (number(range)?, None),
                });
            } else {
                return None;
            }
        }
        Some(MessageUrl { user, host, place, uid, section, partial })
    }
}

fn number(text: &str) -> Option<u32> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// What follows `prefix`, which is ASCII, in any case.
fn strip_prefix<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

/// Where `wanted`, which is ASCII, stands last, in any case.
fn find(text: &str, wanted: &str) -> Option<usize> {
    text.as_bytes().windows(wanted.len()).rposition(|window| window.eq_ignore_ascii_case(wanted.as_bytes()))
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let [high, low, tail @ ..] = tail else { return None };
            let digit = |b: u8| char::from(b).to_digit(16);
            octets.push(u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?);
            rest = tail;
        } else {
            octets.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::command::SectionText;

    fn folder(name: &str, uid_validity: Option<u32>) -> Place {
        Place::Folder { name: name.into(), uid_validity: uid_validity.map(UidValidity) }
    }

    #[test]
    fn urls() {
        let url = MessageUrl::parse(b"/Drafts;UIDVALIDITY=385759045/;UID=20/;section=HEADER").expect("RFC 4469");
        assert_eq!((url.user, url.host), (None, None));
        assert_eq!((url.place, url.uid), (folder("Drafts", Some(385_759_045)), 20));
        assert_eq!(url.section, Section { part: vec![], text: SectionText::Header });
        let url = MessageUrl::parse(
            b"imap://marie%40alpha;AUTH=*@imap.alpha.test:993/Re%C3%A7us/2026/;uid=4/;SECTION=1.2.MIME/;PARTIAL=5.10",
        )
        .expect("absolute");
        assert_eq!(url.user.as_deref(), Some("marie@alpha"));
        assert_eq!(url.host.as_deref(), Some("imap.alpha.test"));
        assert_eq!((url.place, url.uid), (folder("Re\u{e7}us/2026", None), 4));
        assert_eq!(url.section, Section { part: vec![1, 2], text: SectionText::Mime });
        assert_eq!(url.partial, Some((5, Some(10))));
        let url = MessageUrl::parse(b";UID=7").expect("relative");
        assert_eq!((url.place, url.uid, url.partial), (Place::Selected, 7, None));
        assert_eq!(MessageUrl::parse(b"/x/;UID=7/;PARTIAL=3").expect("to the end").partial, Some((3, None)));
    }

    #[test]
    fn what_is_no_url_of_a_message() {
        for bad in [
            &b""[..],
            b"/INBOX",
            b"INBOX/;UID=1",
            b"//other/INBOX/;UID=1",
            b"/INBOX/;UID=0",
            b"/INBOX/;UID=x",
            b"/INBOX/;UID=+1",
            b"/INBOX/;UID=4294967296",
            b"/INBOX;UIDVALIDITY=0/;UID=1",
            b"/INBOX/;UID=1/;SECTION=NONSENSE",
            b"/INBOX/;UID=1/;SECTION=1..2",
            b"/INBOX/;UID=1/;PARTIAL=1.0",
            b"/INBOX/;UID=1/;URLAUTH=anonymous:internal:91354a473744909de610943775f92038",
            b"/INBOX/;UID=1;URLAUTH=x",
            b"/IN%4/;UID=1",
            b"/IN%ff/;UID=1",
            b"http://imap.alpha.test/INBOX/;UID=1",
            b"imap://imap.alpha.test",
            b"\xff",
        ] {
            assert_eq!(MessageUrl::parse(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }

    proptest! {
        #[test]
        fn never_panics(url in "(imap://|/|)[a-zA-Z;=/%@:.0-9é]{0,40}(/;UID=[0-9]{0,11})?(/;SECTION=[A-Z0-9.]{0,9})?") {
            let _ = MessageUrl::parse(url.as_bytes());
        }
    }
}
