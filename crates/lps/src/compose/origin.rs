//! The message that is answered or forwarded, from its header: who to answer, and what ties the two together. ECO.2.2.2,
//! RFC 5322 §3.6.4.

use std::fmt;

use mail::header::{decode_words, find, parse_addresses};
use mssante::{Address, subject};

use super::MessageId;

/// Most identifiers of `References` kept: the first, which names the conversation, and the latest. RFC 5322 sets no bound and a
/// server takes 64 KiB of header; conversations of more than twenty messages are cut in the middle, as other programs do.
pub(super) const MAX_REFERENCES: usize = 20;
/// Most addresses looked at in a field.
const MAX_ADDRESSES: usize = 100;
/// Longest subject taken over, in characters.
const MAX_SUBJECT: usize = 300;

/// A message as far as answering it goes. `Debug` gives nothing away.
#[derive(Clone)]
pub struct Origin {
    message_id: Option<MessageId>,
    references: Vec<MessageId>,
    subject: String,
    answer_to: Vec<Address>,
    others: Vec<Address>,
}

impl Origin {
    /// From the header of the message (what follows it is not looked at). What is ill-formed is passed over.
    #[must_use]
    pub fn of_header(block: &[u8]) -> Self {
        let field = |name| find(block, name).unwrap_or_default();
        let ids = |name| MessageId::all_in(&field(name));
        let message_id = ids("Message-ID").into_iter().next();
        let mut references = ids("References");
        if references.is_empty() {
            // RFC 5322: only when it names one message.
            references = Some(ids("In-Reply-To")).filter(|ids| ids.len() == 1).unwrap_or_default();
        }
        let from = addresses(&field("From"));
        let asked = addresses(&field("Reply-To"));
        // A patient is answered because they wrote, never because somebody says so.
        let asked: Vec<Address> = asked.into_iter().filter(|a| !a.is_patient() || from.contains(a)).collect();
        let answer_to = if asked.is_empty() { from } else { asked };
        let mut others = addresses(&field("To"));
        others.extend(addresses(&field("Cc")));
        others.retain(|address| !address.is_patient() && !answer_to.contains(address));
        let shown = decode_words(&field("Subject"));
        let clean: String = shown.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_SUBJECT).collect();
        Self { message_id, references, subject: clean.trim().to_owned(), answer_to, others }
    }

    /// Its identifier.
    #[must_use]
    pub fn message_id(&self) -> Option<&MessageId> {
        self.message_id.as_ref()
    }

    /// Its subject, decoded.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Whom its author wants answered.
    #[must_use]
    pub fn answer_to(&self) -> &[Address] {
        &self.answer_to
    }

    /// The others it was written to, patients left out, for an answer to all.
    #[must_use]
    pub fn others(&self) -> &[Address] {
        &self.others
    }

    /// `References` of what answers it.
    pub(super) fn chain(&self) -> Vec<MessageId> {
        let mut chain = self.references.clone();
        chain.retain(|id| Some(id) != self.message_id.as_ref());
        chain.extend(self.message_id.clone());
        if chain.len() > MAX_REFERENCES {
            chain.drain(1..chain.len() - (MAX_REFERENCES - 1));
        }
        chain
    }

    /// Its subject behind a prefix, once. Without the mark of CI-SIS documents, which an answer does not carry.
    pub(super) fn prefixed(&self, prefix: &str) -> String {
        let shown = subject::for_display(&self.subject);
        let already = shown.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
        if already { shown } else { format!("{prefix} {shown}").trim_end().to_owned() }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({} references)", self.references.len())
    }
}

fn addresses(value: &str) -> Vec<Address> {
    let mut found: Vec<Address> = Vec::new();
    for address in &parse_addresses(value, MAX_ADDRESSES).addresses {
        if let Some(address) = address.address().and_then(|text| text.parse().ok())
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PATIENT: &str = "279035121518989@patient.mssante.fr";

    fn origin(header: &str) -> Origin {
        Origin::of_header(format!("{header}\r\n\r\nFrom: body@x.fr\r\n").as_bytes())
    }

    #[test]
    fn the_chain_is_that_of_the_rfc() {
        let ids = |origin: &Origin| origin.chain().iter().map(MessageId::to_string).collect::<Vec<_>>().join(" ");
        let m = "Message-ID: <m@x>\r\n";
        assert_eq!(ids(&origin(&format!("{m}References: <a@x>\r\n <b@x>\r\nIn-Reply-To: <c@x>"))), "<a@x> <b@x> <m@x>");
        assert_eq!(ids(&origin(&format!("{m}In-Reply-To: <c@x>"))), "<c@x> <m@x>");
        assert_eq!(ids(&origin(&format!("{m}In-Reply-To: <c@x> <d@x>"))), "<m@x>");
        assert_eq!(ids(&origin("References: <a@x>")), "<a@x>");
        let many: String = (0..500).map(|n| format!(" <{n}@x>\r\n")).collect();
        let chain = origin(&format!("{m}References:{}", many.trim_end())).chain();
        assert_eq!(chain.len(), MAX_REFERENCES);
        assert_eq!((chain[0].as_str(), chain[1].as_str()), ("<0@x>", "<482@x>"));
        assert_eq!(chain.last().map(MessageId::as_str), Some("<m@x>"));
    }

    #[test]
    fn who_is_answered() {
        let to = |header: &str| origin(header).answer_to().iter().map(Address::to_string).collect::<Vec<_>>();
        assert_eq!(to("From: A <a@x.fr>"), ["a@x.fr"]);
        assert_eq!(to("From: a@x.fr\r\nReply-To: b@x.fr, c@x.fr, b@x.fr"), ["b@x.fr", "c@x.fr"]);
        // ECO-PATIENT: a patient who wrote may be answered, a patient somebody names may not.
        assert_eq!(to(&format!("From: Lea <{PATIENT}>")), [PATIENT]);
        assert_eq!(to(&format!("From: a@x.fr\r\nReply-To: {PATIENT}")), ["a@x.fr"]);
        let all = origin(&format!("From: a@x.fr\r\nTo: b@x.fr, a@x.fr\r\nCc: c@x.fr, {PATIENT}"));
        assert_eq!(all.others().iter().map(Address::to_string).collect::<Vec<_>>(), ["b@x.fr", "c@x.fr"]);
    }

    #[test]
    fn subjects() {
        assert_eq!(origin("Subject: XDM/1.0/DDM+2 documents VIAL Paul").prefixed("Re:"), "Re: 2 documents VIAL Paul");
        assert_eq!(origin("Subject: RE: a").prefixed("Re:"), "RE: a");
        assert_eq!(origin("Subject: =?utf-8?q?=C3=A9t=C3=A9=0D=0ABcc:_x?=").prefixed("Re:"), "Re: été  Bcc: x");
        assert_eq!(origin("X: y").prefixed("Re:"), "Re:");
    }

    proptest! {
        #[test]
        fn nothing_panics(header in "(From|To|Subject|References|Message-ID|Reply-To): [\\PC\\r\\n<>@]{0,200}") {
            let origin = Origin::of_header(header.as_bytes());
            prop_assert!(!origin.prefixed("Re:").contains(['\r', '\n', '\0']));
            prop_assert!(origin.chain().len() <= MAX_REFERENCES);
        }
    }
}
