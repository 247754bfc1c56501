//! Finding sessions: `from:marie to:nominal run:ab12 entete:X-MSS-NIL porte:expire mot`.

use super::record::Session;

/// Longest text of a query that is looked at.
const MAX_TEXT: usize = 500;
/// Most words of one.
const MAX_WORDS: usize = 20;

/// What is looked for: all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Sessions with a number above this one.
    pub since: u64,
    /// Of that run exactly.
    pub run: Option<String>,
    /// Of the runs that begin so, in whatever session, and those since that name nobody: an operator keeps connections open, so that a
    /// message may come in a session older than itself.
    pub batch: Option<String>,
    /// At that door exactly.
    pub door: Option<String>,
    /// Parts of what must be found, in lower case.
    words: Vec<Word>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    From(String),
    To(String),
    /// A field's name, or `name: value`.
    Field(String),
    Any(String),
}

impl Query {
    /// Reads what a person typed. Nothing is an error: a word that is no key is looked for everywhere. Quotes hold blanks together.
    #[must_use]
    pub fn read(text: &str) -> Query {
        let mut query = Query::default();
        for word in split(text) {
            let (key, value) = word.split_once(':').map_or(("", word.as_str()), |(key, value)| (key, value));
            match (key.to_lowercase().as_str(), value.trim().to_lowercase()) {
                (_, value) if value.is_empty() => {}
                ("from" | "de", value) => query.words.push(Word::From(value)),
                ("to" | "a" | "à", value) => query.words.push(Word::To(value)),
                ("run", value) => query.run = Some(value),
                ("porte" | "door", value) => query.door = Some(value),
                ("entete" | "en-tete" | "en-tête" | "header", value) => query.words.push(Word::Field(value)),
                _ => query.words.push(Word::Any(word.to_lowercase())),
            }
        }
        query
    }

    /// Of one run.
    #[must_use]
    pub fn of_run(run: &str) -> Query {
        Query { run: Some(run.to_lowercase()), ..Query::default() }
    }

    /// Whether a session is one of them.
    #[must_use]
    pub fn takes(&self, session: &Session) -> bool {
        let is_new = session.seq > self.since;
        let is_asked = match &self.batch {
            None => is_new,
            Some(batch) => {
                let of = |run: &String| run.starts_with(batch.as_str());
                session.recipients().any(|to| to.run.as_ref().is_some_and(of))
                    || (is_new && session.recipients().next().is_none())
            }
        };
        is_asked
            && self.door.as_ref().is_none_or(|door| *door == session.door)
            && self.run.as_ref().is_none_or(|run| session.recipients().any(|to| to.run.as_ref() == Some(run)))
            && self.words.iter().all(|word| word.is_in(session))
    }
}

impl Word {
    fn is_in(&self, session: &Session) -> bool {
        let holds = |text: &str, part: &str| text.to_lowercase().contains(part);
        let from = |part: &str| session.transactions.iter().any(|transaction| holds(&transaction.from, part));
        let to = |part: &str| session.recipients().any(|to| holds(&to.address, part));
        let fields = || session.transactions.iter().filter_map(|t| t.message.as_ref()).flat_map(|m| &m.fields);
        match self {
            Word::From(part) => from(part),
            Word::To(part) => to(part),
            Word::Field(part) => match part.split_once(':') {
                Some((name, value)) => {
                    fields().any(|(known, text)| known.eq_ignore_ascii_case(name.trim()) && holds(text, value.trim()))
                }
                None => fields().any(|(known, _)| holds(known, part)),
            },
            Word::Any(part) => {
                from(part)
                    || to(part)
                    || holds(&session.door, part)
                    || holds(&session.peer, part)
                    || session.hello.as_deref().is_some_and(|hello| holds(hello, part))
                    || session
                        .tls
                        .as_ref()
                        .and_then(|tls| tls.certificate.as_ref())
                        .is_some_and(|shown| holds(&shown.subject, part))
                    || fields().any(|(name, value)| name.eq_ignore_ascii_case("subject") && holds(value, part))
            }
        }
    }
}

/// Words; `"` holds blanks together.
fn split(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for c in text.chars().take(MAX_TEXT) {
        match c {
            '"' => is_quoted = !is_quoted,
            c if c.is_whitespace() && !is_quoted => {
                if words.last().is_some_and(|word| !word.is_empty()) {
                    words.push(String::new());
                }
            }
            c => {
                if let Some(word) = words.last_mut() {
                    word.push(c);
                }
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words.truncate(MAX_WORDS);
    words
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::record::{Message, Transaction, recipient};
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn session(seq: u64, from: &str, to: &str, subject: &str) -> Session {
        let message = Message {
            ms: 0,
            octets: 1,
            sha256: String::new(),
            is_whole: true,
            is_taken: true,
            answer: String::new(),
            is_ours: true,
            kept: 1,
            has_bare_lf: false,
            fields: vec![("Subject".into(), subject.into()), ("X-MSS-NIL".into(), "ESSAI".into())],
        };
        Session {
            seq,
            at: String::new(),
            at_ms: 0,
            door: "nominal".into(),
            peer: "192.0.2.1".into(),
            hello: Some("mx.alpha.test".into()),
            tls: None,
            taken_in: None,
            transactions: vec![Transaction {
                ms: 0,
                from: from.into(),
                to: vec![recipient(to)],
                message: Some(message),
            }],
            end: None,
            ms: 0,
            dialogue: Vec::new(),
        }
    }

    #[test]
    fn found_by_sender_recipient_run_header_and_words() {
        let one = session(7, "marie@alpha.test", "nominal+ab12@p.test", "Un essai");
        let finds = |text: &str| Query::read(text).takes(&one);
        for text in [
            "",
            "from:Marie",
            "to:nominal run:AB12",
            "entete:x-mss-nil",
            "entete:\"X-MSS-NIL: essai\"",
            "porte:nominal essai",
            "\"un essai\"",
            "alpha from:",
        ] {
            assert!(finds(text), "{text}");
        }
        for text in
            ["from:paul", "run:ab1", "entete:x-mss-ins", "entete:\"X-MSS-NIL: autre\"", "porte:expire", "essai absent"]
        {
            assert!(!finds(text), "{text}");
        }
        assert!(!Query { since: 7, ..Query::default() }.takes(&one));
        let batch = |batch: &str, since| Query { since, batch: Some(batch.to_owned()), ..Query::default() };
        assert!(batch("ab", 7).takes(&one) && !batch("b", 0).takes(&one));
        let silent = Session { transactions: Vec::new(), ..one.clone() };
        assert!(batch("b", 6).takes(&silent) && !batch("b", 7).takes(&silent));
        assert_eq!(one.brief().subject.as_deref(), Some("Un essai"));
        assert_eq!(one.taken("ab12").count(), 1);
    }

    proptest! {
        #[test]
        fn nothing_typed_is_an_error(text in ".{0,600}") {
            let one = session(1, "a@b.test", "nominal+r@p.test", "x");
            let _ = Query::read(&text).takes(&one);
        }
    }
}
