//! What ties a message to its conversation: its Message-ID and those it answers (RFC 5322 §3.6.4), digested for the store, which
//! gives conversations their numbers (RFC 8474 THREADID).
//!
//! The digest is SHA-256 cut to 64 bits. Whoever spends 2^64 work on another Message-ID with the digest of one they know makes
//! their message join that conversation, which writing the Message-ID in `References` does for nothing.

use mail::header::Fields;
use openssl::sha::sha256;
use store::LinkKey;
use store::limits::MAX_LINKS;

use super::incoming::MAX_HEADER;

/// The longest identifier looked at, in octets: a line of RFC 5322.
const MAX_ID: usize = 998;

/// Keeps the header of a message that streams by. The default has seen nothing yet.
#[derive(Default)]
pub struct Header {
    held: Vec<u8>,
    whole: bool,
}

impl Header {
    /// The next octets of the message.
    pub fn push(&mut self, piece: &[u8]) {
        if self.whole {
            return;
        }
        // The empty line may straddle two pieces.
        let from = self.held.len().saturating_sub(3);
        let room = MAX_HEADER - self.held.len();
        self.held.extend_from_slice(&piece[..piece.len().min(room)]);
        if self.held.starts_with(b"\r\n") || self.held.starts_with(b"\n") {
            // A message without header.
            self.held.clear();
            self.whole = true;
            return;
        }
        let end = self.held[from..].windows(2).enumerate().find(|(at, pair)| {
            // A line that begins with the end of a line, its own end written CR LF or LF alone.
            *pair == b"\n\n" || (*pair == b"\n\r" && self.held.get(from + at + 2) == Some(&b'\n'))
        });
        if let Some((at, _)) = end {
            self.held.truncate(from + at + 1);
            self.whole = true;
        } else if self.held.len() >= MAX_HEADER {
            self.whole = true;
        }
    }

    /// The message's links, the nearest first: its own, what it answers, then the conversation from its end.
    pub fn links(&self) -> Vec<LinkKey> {
        let (mut own, mut answered, mut named) = (Vec::new(), Vec::new(), Vec::new());
        for field in Fields::new(&self.held) {
            let into = if field.is("Message-ID") {
                &mut own
            } else if field.is("In-Reply-To") {
                &mut answered
            } else if field.is("References") {
                &mut named
            } else {
                continue;
            };
            // A second field of the name is somebody's mistake, or trap: the first is what others go by.
            if into.is_empty() {
                *into = identifiers(&field.value());
            }
        }
        own.truncate(1);
        let beginning = named.first().copied();
        let mut links: Vec<LinkKey> = Vec::with_capacity(MAX_LINKS);
        for key in own.into_iter().chain(answered).chain(named.into_iter().rev()) {
            if links.len() < MAX_LINKS && !links.contains(&key) {
                links.push(key);
            }
        }
        // Of a conversation too long to name, its beginning is what everybody knows.
        if let Some(beginning) = beginning.filter(|key| links.len() == MAX_LINKS && !links.contains(key)) {
            links[MAX_LINKS - 1] = beginning;
        }
        links
    }
}

/// The digests of the identifiers in angle brackets.
fn identifiers(value: &str) -> Vec<LinkKey> {
    let mut found = Vec::new();
    let mut rest = value;
    while let Some(begin) = rest.find('<') {
        rest = &rest[begin + 1..];
        let Some(end) = rest.find('>') else { break };
        // Spaces that folding brought are not part of it.
        let id: String = rest[..end].chars().filter(|c| !c.is_ascii_whitespace()).collect();
        if !id.is_empty() && id.len() <= MAX_ID {
            let digest = sha256(id.as_bytes());
            let mut first = [0; 8];
            first.copy_from_slice(&digest[..8]);
            found.push(LinkKey(u64::from_be_bytes(first)));
        }
        rest = &rest[end + 1..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(message: &str) -> Vec<LinkKey> {
        let mut whole = Header::default();
        whole.push(message.as_bytes());
        // However it is cut, it says the same.
        for size in [1, 2, 3, 7] {
            let mut header = Header::default();
            message.as_bytes().chunks(size).for_each(|piece| header.push(piece));
            assert_eq!(header.links(), whole.links(), "in pieces of {size}");
        }
        whole.links()
    }

    fn key(id: &str) -> LinkKey {
        identifiers(&format!("<{id}>"))[0]
    }

    #[test]
    fn its_own_comes_first_then_the_nearest() {
        let message = "Subject: Re\r\nREFERENCES: <a@x> (said)\r\n <b@x>\r\nin-reply-to: <b@x>\r\nMessage-Id: <c@x>\r\n\r\nMessage-ID: <d@x>\r\n";
        assert_eq!(links(message), [key("c@x"), key("b@x"), key("a@x")]);
        assert_eq!(links("Message-ID:\n <c@x>\n\nIn-Reply-To: <a@x>\n"), [key("c@x")]);
        assert!(links("Subject: none\r\n\r\n<a@x>").is_empty());
        assert!(links("\r\nMessage-ID: <a@x>\r\n").is_empty(), "a message without header");
        assert_ne!(key("c@x"), key("C@x"), "identifiers are compared octet by octet");
    }

    #[test]
    fn long_conversations_keep_their_end_and_their_beginning() {
        let all: Vec<String> = (0..1000).map(|n| format!("<{n}@x>")).collect();
        let links = links(&format!("Message-ID: <own@x>\r\nReferences: {}\r\n\r\n", all.join("\r\n ")));
        assert_eq!(links.len(), MAX_LINKS);
        assert_eq!((links[0], links[1]), (key("own@x"), key("999@x")));
        assert_eq!(links[MAX_LINKS - 1], key("0@x"));
    }

    #[test]
    fn broken_identifiers_are_left_out() {
        assert!(links("Message-ID: <a@x\r\nReferences: <> >< <\r\n\r\n").is_empty());
        assert!(links(&format!("Message-ID: <{}>\r\n\r\n", "a".repeat(MAX_ID + 1))).is_empty());
        let mut header = Header::default();
        header.push(&vec![b'x'; 3 * MAX_HEADER]);
        header.push(b"\r\nMessage-ID: <a@x>\r\n\r\n");
        assert!(header.links().is_empty() && header.held.len() <= MAX_HEADER);
    }
}
