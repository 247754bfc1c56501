//! Commands of `imap-codec` in our words.

use imap::backend::FlagOperation;
use imap::command::{
    Announced, Append, AppendPart, AppendState, Command, DateTest, FetchItem, List, Numbers, Rfc822, SearchKey,
    Section, SectionText, StatusItem,
};
use imap_codec::imap_types::auth::AuthMechanism;
use imap_codec::imap_types::command::CommandBody;
use imap_codec::imap_types::core::{AString, IString};
use imap_codec::imap_types::datetime::NaiveDate;
use imap_codec::imap_types::extensions::binary::LiteralOrLiteral8;
use imap_codec::imap_types::fetch::{self, MacroOrMessageDataItemNames, MessageDataItemName};
use imap_codec::imap_types::flag::{Flag, StoreResponse, StoreType};
use imap_codec::imap_types::mailbox::{ListMailbox, Mailbox};
use imap_codec::imap_types::search::SearchKey as TheirKey;
use imap_codec::imap_types::status::StatusDataItemName;
use mail::folder::FolderNameError;
use mail::sequence::SequenceSet;
use mail::{Flags, FolderName};

fn utf8(octets: &[u8]) -> Option<String> {
    String::from_utf8(octets.to_vec()).ok()
}

fn astring(text: &AString<'_>) -> Option<String> {
    utf8(text.as_ref())
}

fn name(mailbox: &Mailbox<'_>) -> imap::command::Name {
    match mailbox {
        Mailbox::Inbox => Ok(FolderName::inbox()),
        Mailbox::Other(other) => {
            let octets: &[u8] = other.as_ref();
            decoded(octets).map_or(Err(FolderNameError::Forbidden), |name| FolderName::new(&name))
        }
    }
}

fn decoded(octets: &[u8]) -> Option<String> {
    if octets.is_ascii() { imap::utf7::decode(octets) } else { utf8(octets) }
}

fn reference(mailbox: &Mailbox<'_>) -> Option<String> {
    match mailbox {
        // They fold its case, we keep it for matching: compared in lower case by the caller.
        Mailbox::Inbox => Some("inbox".into()),
        Mailbox::Other(other) => decoded(other.as_ref()),
    }
}

fn pattern(pattern: &ListMailbox<'_>) -> Option<String> {
    match pattern {
        ListMailbox::Token(token) => decoded(token.as_ref()),
        ListMailbox::String(string) => decoded(string.as_ref()),
    }
}

fn set(theirs: &imap_codec::imap_types::sequence::SequenceSet) -> SequenceSet {
    use imap_codec::imap_types::sequence::{SeqOrUid, Sequence};
    let number = |n: &SeqOrUid| match n {
        SeqOrUid::Value(v) => v.to_string(),
        SeqOrUid::Asterisk => "*".into(),
    };
    let ranges: Vec<String> = theirs
        .0
        .as_ref()
        .iter()
        .map(|s| match s {
            Sequence::Single(n) => number(n),
            Sequence::Range(a, b) => format!("{}:{}", number(a), number(b)),
        })
        .collect();
    SequenceSet::parse(&ranges.join(",")).expect("theirs is a set")
}

fn flags(flags: &[Flag<'_>]) -> Vec<String> {
    flags.iter().map(ToString::to_string).collect()
}

fn numbers(uid: bool) -> Numbers {
    if uid { Numbers::Uid } else { Numbers::Sequence }
}

fn day(date: &NaiveDate) -> time::Date {
    let text = date.as_ref().to_string();
    let mut parts = text.split('-').map(|p| p.parse::<i32>().expect("digits"));
    let mut next = || parts.next().expect("three parts");
    let (year, month, day) = (next(), next(), next());
    let month = time::Month::try_from(u8::try_from(month).expect("small")).expect("a month");
    time::Date::from_calendar_date(year, month, u8::try_from(day).expect("small")).expect("a day")
}

fn keys(theirs: &[TheirKey<'_>]) -> Option<SearchKey> {
    match theirs {
        [one] => key(one),
        several => several.iter().map(key).collect::<Option<_>>().map(SearchKey::And),
    }
}

fn key(theirs: &TheirKey<'_>) -> Option<SearchKey> {
    use SearchKey as K;
    let header = |field: &str, text: &AString<'_>| Some(K::Header(field.to_owned(), astring(text)?));
    Some(match theirs {
        TheirKey::And(several) => keys(several.as_ref())?,
        TheirKey::SequenceSet(s) => K::Sequence(set(s)),
        TheirKey::All => K::All,
        TheirKey::Answered => K::Flag(Flags::ANSWERED, true),
        TheirKey::Unanswered => K::Flag(Flags::ANSWERED, false),
        TheirKey::Deleted => K::Flag(Flags::DELETED, true),
        TheirKey::Undeleted => K::Flag(Flags::DELETED, false),
        TheirKey::Draft => K::Flag(Flags::DRAFT, true),
        TheirKey::Undraft => K::Flag(Flags::DRAFT, false),
        TheirKey::Flagged => K::Flag(Flags::FLAGGED, true),
        TheirKey::Unflagged => K::Flag(Flags::FLAGGED, false),
        TheirKey::Seen => K::Flag(Flags::SEEN, true),
        TheirKey::Unseen => K::Flag(Flags::SEEN, false),
        TheirKey::New | TheirKey::Recent => K::Recent(true),
        TheirKey::Old => K::Recent(false),
        TheirKey::Bcc(text) => header("bcc", text)?,
        TheirKey::Cc(text) => header("cc", text)?,
        TheirKey::From(text) => header("from", text)?,
        TheirKey::Subject(text) => header("subject", text)?,
        TheirKey::To(text) => header("to", text)?,
        TheirKey::Header(field, text) => header(&astring(field)?.to_ascii_lowercase(), text)?,
        TheirKey::Body(text) => K::Body(astring(text)?),
        TheirKey::Text(text) => K::Text(astring(text)?),
        TheirKey::Keyword(word) => K::Keyword(word.inner().to_owned(), true),
        TheirKey::Unkeyword(word) => K::Keyword(word.inner().to_owned(), false),
        TheirKey::Larger(n) => K::Larger((*n).into()),
        TheirKey::Smaller(n) => K::Smaller((*n).into()),
        TheirKey::Before(d) => K::Internal(DateTest::Before, day(d)),
        TheirKey::On(d) => K::Internal(DateTest::On, day(d)),
        TheirKey::Since(d) => K::Internal(DateTest::Since, day(d)),
        TheirKey::SentBefore(d) => K::Sent(DateTest::Before, day(d)),
        TheirKey::SentOn(d) => K::Sent(DateTest::On, day(d)),
        TheirKey::SentSince(d) => K::Sent(DateTest::Since, day(d)),
        TheirKey::Uid(s) => K::Uid(set(s)),
        TheirKey::Not(one) => K::Not(Box::new(key(one)?)),
        TheirKey::Or(one, other) => K::Or(Box::new(key(one)?), Box::new(key(other)?)),
    })
}

fn part(part: &fetch::Part) -> Vec<u32> {
    part.0.as_ref().iter().map(|n| n.get()).collect()
}

fn section(theirs: &Option<fetch::Section<'_>>) -> Option<Section> {
    let of = |p: &Option<fetch::Part>| p.as_ref().map(part).unwrap_or_default();
    let names = |names: &[AString<'_>]| names.iter().map(astring).collect::<Option<Vec<_>>>();
    let (part, text) = match theirs {
        None => (Vec::new(), SectionText::Whole),
        Some(fetch::Section::Part(p)) => (part(p), SectionText::Whole),
        Some(fetch::Section::Header(p)) => (of(p), SectionText::Header),
        Some(fetch::Section::HeaderFields(p, n)) => (of(p), SectionText::HeaderFields(names(n.as_ref())?)),
        Some(fetch::Section::HeaderFieldsNot(p, n)) => (of(p), SectionText::HeaderFieldsNot(names(n.as_ref())?)),
        Some(fetch::Section::Text(p)) => (of(p), SectionText::Text),
        Some(fetch::Section::Mime(p)) => (part(p), SectionText::Mime),
    };
    Some(Section { part, text })
}

fn item(theirs: &MessageDataItemName<'_>) -> Option<FetchItem> {
    use MessageDataItemName as T;
    Some(match theirs {
        T::Body => FetchItem::BodyStructureShort,
        T::BodyStructure => FetchItem::BodyStructure,
        T::BodyExt { section: s, partial, peek } => FetchItem::Body {
            peek: *peek,
            section: section(s)?,
            partial: partial.map(|(first, count)| (first, count.get())),
        },
        T::Envelope => FetchItem::Envelope,
        T::Flags => FetchItem::Flags,
        T::InternalDate => FetchItem::InternalDate,
        T::Rfc822 => FetchItem::Rfc822(Rfc822::All),
        T::Rfc822Header => FetchItem::Rfc822(Rfc822::Header),
        T::Rfc822Size => FetchItem::Size,
        T::Rfc822Text => FetchItem::Rfc822(Rfc822::Text),
        T::Uid => FetchItem::Uid,
        _ => return None,
    })
}

fn status_item(theirs: &StatusDataItemName) -> Option<StatusItem> {
    Some(match theirs {
        StatusDataItemName::Messages => StatusItem::Messages,
        StatusDataItemName::Recent => StatusItem::Recent,
        StatusDataItemName::UidNext => StatusItem::UidNext,
        StatusDataItemName::UidValidity => StatusItem::UidValidity,
        StatusDataItemName::Unseen => StatusItem::Unseen,
        StatusDataItemName::Deleted => StatusItem::Deleted,
        _ => return None,
    })
}

/// Their command in our words; `None` when it has no place in ours.
pub fn meaning(theirs: &CommandBody<'_>) -> Option<Command> {
    Some(match theirs {
        CommandBody::Capability => Command::Capability,
        CommandBody::Noop => Command::Noop,
        CommandBody::Logout => Command::Logout,
        CommandBody::StartTLS => Command::StartTls,
        CommandBody::Login { .. } => Command::Login,
        CommandBody::Authenticate { mechanism, initial_response } => Command::Authenticate {
            mechanism: match mechanism {
                AuthMechanism::XOAuth2 => "XOAUTH2".into(),
                AuthMechanism::Plain => "PLAIN".into(),
                other => other.to_string().to_ascii_uppercase(),
            },
            initial: initial_response.as_ref().map(|i| {
                use base64::Engine as _;
                let octets: &[u8] = i.declassify();
                let text =
                    if octets.is_empty() { "=".to_owned() } else { base64::prelude::BASE64_STANDARD.encode(octets) };
                zeroize::Zeroizing::new(text)
            }),
        },
        CommandBody::Select { mailbox } => {
            Command::Select { folder: name(mailbox), read_only: false, modifiers: Default::default() }
        }
        CommandBody::Examine { mailbox } => {
            Command::Select { folder: name(mailbox), read_only: true, modifiers: Default::default() }
        }
        CommandBody::Unselect => Command::Unselect,
        CommandBody::Close => Command::Close,
        CommandBody::Check => Command::Check,
        CommandBody::Create { mailbox } => Command::Create { folder: name(mailbox), special_use: vec![] },
        CommandBody::Delete { mailbox } => Command::Delete(name(mailbox)),
        CommandBody::Rename { from, to } => Command::Rename { from: name(from), to: name(to) },
        CommandBody::Subscribe { mailbox } => Command::Subscribe(name(mailbox)),
        CommandBody::Unsubscribe { mailbox } => Command::Unsubscribe(name(mailbox)),
        CommandBody::List { reference: r, mailbox_wildcard } => Command::List(List {
            reference: reference(r)?,
            patterns: vec![pattern(mailbox_wildcard)?],
            ..List::default()
        }),
        CommandBody::Lsub { reference: r, mailbox_wildcard } => {
            Command::Lsub { reference: reference(r)?, pattern: pattern(mailbox_wildcard)? }
        }
        CommandBody::Status { mailbox, item_names } => {
            Command::Status { folder: name(mailbox), items: item_names.iter().map(status_item).collect::<Option<_>>()? }
        }
        CommandBody::Append { mailbox, flags: f, date, message } => {
            let LiteralOrLiteral8::Literal(literal) = message else { return None };
            let date = date.as_ref().map(|d| d.as_ref().timestamp());
            Command::Append(Append {
                folder: name(mailbox),
                parts: vec![
                    AppendPart::Message { flags: flags(f), date, catenate: false },
                    AppendPart::Octets(Announced {
                        size: literal.data().len() as u64,
                        synchronizing: literal.mode() == imap_codec::imap_types::core::LiteralMode::Sync,
                        binary: false,
                    }),
                ],
                state: AppendState::Message,
            })
        }
        CommandBody::Expunge => Command::Expunge(None),
        CommandBody::ExpungeUid { sequence_set } => Command::Expunge(Some(set(sequence_set))),
        CommandBody::Search { charset, criteria, uid } => Command::Search {
            numbers: numbers(*uid),
            options: None,
            charset: charset.as_ref().map(|c| c.as_ref().to_ascii_uppercase()),
            key: keys(criteria.as_ref())?,
        },
        CommandBody::Fetch { sequence_set, macro_or_item_names, uid } => Command::Fetch {
            numbers: numbers(*uid),
            set: set(sequence_set),
            items: match macro_or_item_names {
                MacroOrMessageDataItemNames::Macro(m) => m.expand().iter().map(item).collect::<Option<_>>()?,
                MacroOrMessageDataItemNames::MessageDataItemNames(items) => {
                    items.iter().map(item).collect::<Option<_>>()?
                }
            },
            modifiers: Default::default(),
        },
        CommandBody::Store { sequence_set, kind, response, flags: f, uid } => Command::Store {
            numbers: numbers(*uid),
            set: set(sequence_set),
            how: match kind {
                StoreType::Replace => FlagOperation::Replace,
                StoreType::Add => FlagOperation::Add,
                StoreType::Remove => FlagOperation::Remove,
            },
            silent: *response == StoreResponse::Silent,
            flags: flags(f),
            modifiers: Default::default(),
        },
        CommandBody::Copy { sequence_set, mailbox, uid } => {
            Command::Copy { numbers: numbers(*uid), set: set(sequence_set), to: name(mailbox) }
        }
        CommandBody::Move { sequence_set, mailbox, uid } => {
            Command::Move { numbers: numbers(*uid), set: set(sequence_set), to: name(mailbox) }
        }
        CommandBody::Idle => Command::Idle,
        CommandBody::Enable { capabilities } => {
            Command::Enable(capabilities.as_ref().iter().map(|c| c.to_string().to_ascii_uppercase()).collect())
        }
        CommandBody::Namespace => Command::Namespace,
        CommandBody::Id { parameters } => Command::Id(
            parameters
                .iter()
                .flatten()
                .filter_map(|(field, value)| {
                    let field = utf8(field.as_ref())?.to_ascii_lowercase();
                    let value = value.0.as_ref().map(|v: &IString<'_>| utf8(v.as_ref()).unwrap_or_default());
                    matches!(field.as_str(), "name" | "version").then_some((field, value))
                })
                .collect(),
        ),
        _ => return None,
    })
}
