//! What ties a message to its conversation: its Message-ID and those it answers (RFC 5322 §3.6.4), digested for the store, which
//! gives conversations their numbers (RFC 8474 THREADID).
//!
//! The digest is SHA-256 cut to 64 bits. Whoever spends 2^64 work on another Message-ID with the digest of one they know makes
//! their message join that conversation, which writing the Message-ID in `References` does for nothing.

use mail::mime::Envelope;
use openssl::sha::Sha256;
use store::LinkKey;
use store::limits::MAX_LINKS;

/// The longest identifier looked at, in octets: a line of RFC 5322.
const MAX_ID: usize = 998;

/// The message's links, the nearest first: its own, what it answers, then the conversation from its end.
pub fn links(envelope: &Envelope) -> Vec<LinkKey> {
    let identifiers = |field: &Option<String>| field.as_deref().map(identifiers).unwrap_or_default();
    let own = identifiers(&envelope.message_id).into_iter().take(1);
    let named = identifiers(&envelope.references);
    let beginning = named.first().copied();
    let mut links: Vec<LinkKey> = Vec::with_capacity(MAX_LINKS);
    for key in own.chain(identifiers(&envelope.in_reply_to)).chain(named.into_iter().rev()) {
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
            // OpenSSL's function for all at once looks the algorithm up each time.
            let mut digest = Sha256::new();
            digest.update(id.as_bytes());
            let digest = digest.finish();
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
    use mail::mime::Structure;

    use super::*;

    fn links(message: &str) -> Vec<LinkKey> {
        super::links(&Structure::of(message.as_bytes()).envelope)
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
        assert!(links("Message-ID:\r\nMessage-ID: <c@x>\r\n\r\n").is_empty(), "the first counts, as in ENVELOPE");
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
    }
}
