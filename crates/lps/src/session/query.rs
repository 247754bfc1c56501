//! What to look for in a folder: the searches of RFC 3501 §6.4.4, said without their text.

use imap::client::Command;
use time::Date;

/// What a message must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// Any message.
    All,
    /// With this flag or keyword.
    Flag(String),
    /// Without this flag or keyword.
    NoFlag(String),
    /// Words in the field of that name; empty words: the field exists.
    Header(String, String),
    /// Words in the header or the body.
    Text(String),
    /// Words in the body.
    Body(String),
    /// Came that day or later.
    Since(Date),
    /// Came before that day.
    Before(Date),
    /// More octets than this.
    Larger(u32),
    /// Fewer octets than this.
    Smaller(u32),
    /// UIDs from the first to the second, both included.
    Uids(u32, u32),
    /// All of these.
    And(Vec<Query>),
    /// The one or the other.
    Or(Box<Query>, Box<Query>),
    /// Not this.
    Not(Box<Query>),
}

impl Query {
    /// Messages without `\Seen`.
    #[must_use]
    pub fn unseen() -> Self {
        Query::NoFlag("\\Seen".into())
    }

    /// The message of that Message-ID.
    #[must_use]
    pub fn message_id(id: &str) -> Self {
        Query::Header("Message-ID".into(), id.into())
    }

    /// Words in `From`.
    #[must_use]
    pub fn from(words: &str) -> Self {
        Query::Header("From".into(), words.into())
    }

    /// Words in `Subject`.
    #[must_use]
    pub fn subject(words: &str) -> Self {
        Query::Header("Subject".into(), words.into())
    }

    /// This and that.
    #[must_use]
    pub fn and(self, other: Query) -> Self {
        match self {
            Query::And(mut all) => {
                all.push(other);
                Query::And(all)
            }
            Query::All => other,
            first => Query::And(vec![first, other]),
        }
    }

    /// Whether a text in it needs UTF-8.
    pub(super) fn needs_utf8(&self) -> bool {
        match self {
            Query::Header(_, text) | Query::Text(text) | Query::Body(text) => !text.is_ascii(),
            Query::And(all) => all.iter().any(Query::needs_utf8),
            Query::Or(a, b) => a.needs_utf8() || b.needs_utf8(),
            Query::Not(query) => query.needs_utf8(),
            _ => false,
        }
    }

    /// As search keys at the end of a command. Every key is preceded by a space.
    pub(super) fn write(&self, command: Command) -> Command {
        match self {
            Query::All => command.text(" ALL"),
            Query::Flag(flag) => with_flag(command, flag, true),
            Query::NoFlag(flag) => with_flag(command, flag, false),
            Query::Header(name, words) => command.text(" HEADER ").string(name).text(" ").string(words),
            Query::Text(words) => command.text(" TEXT ").string(words),
            Query::Body(words) => command.text(" BODY ").string(words),
            Query::Since(date) => command.text(" SINCE ").text(&mail::date::format_imap_date(*date)),
            Query::Before(date) => command.text(" BEFORE ").text(&mail::date::format_imap_date(*date)),
            Query::Larger(octets) => command.text(&format!(" LARGER {octets}")),
            Query::Smaller(octets) => command.text(&format!(" SMALLER {octets}")),
            Query::Uids(from, to) => command.text(&format!(" UID {}:{}", (*from).max(1), (*to).max(1))),
            Query::And(all) if all.is_empty() => command.text(" ALL"),
            Query::And(all) => all.iter().fold(command, |command, query| query.write(command)),
            Query::Or(a, b) => grouped(grouped(command.text(" OR"), a), b),
            Query::Not(query) => grouped(command.text(" NOT"), query),
        }
    }
}

/// One key, or several in parentheses.
fn grouped(command: Command, query: &Query) -> Command {
    match query {
        Query::And(all) if !all.is_empty() => {
            // `(ALL a b)`: the first key takes the space that each writes before itself.
            all.iter().fold(command.text(" (ALL"), |command, query| query.write(command)).text(")")
        }
        query => query.write(command),
    }
}

fn with_flag(command: Command, flag: &str, set: bool) -> Command {
    let known = mail::Flags::SYSTEM.iter().find(|(_, name)| name.eq_ignore_ascii_case(flag));
    match (known, set) {
        (Some((_, name)), true) => command.text(" ").text(&name[1..].to_ascii_uppercase()),
        (Some((_, name)), false) => command.text(" UN").text(&name[1..].to_ascii_uppercase()),
        (None, true) => command.text(" KEYWORD ").atom(flag),
        (None, false) => command.text(" UNKEYWORD ").atom(flag),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(query: Query) -> String {
        String::from_utf8(query.write(Command::new("UID SEARCH")).octets(true)).expect("these are ASCII")
    }

    #[test]
    fn queries_are_written() {
        assert_eq!(text(Query::All), "UID SEARCH ALL");
        assert_eq!(text(Query::unseen().and(Query::from("Dupont"))), "UID SEARCH UNSEEN HEADER \"From\" \"Dupont\"");
        let either = Query::Or(Box::new(Query::Flag("$Integrated".into())), Box::new(Query::unseen().and(Query::All)));
        assert_eq!(text(Query::Not(Box::new(either))), "UID SEARCH NOT OR KEYWORD $Integrated (ALL UNSEEN ALL)");
        assert_eq!(text(Query::Uids(0, 7)), "UID SEARCH UID 1:7");
        assert!(Query::And(vec![Query::Text("été".into())]).needs_utf8());
    }

    #[test]
    fn nothing_ends_the_command() {
        assert_eq!(text(Query::Text("a\r\nb".into())), "UID SEARCH TEXT {4+}\r\na\r\nb");
        assert_eq!(text(Query::Flag("a b\r\nc".into())), "UID SEARCH KEYWORD abc");
    }
}
