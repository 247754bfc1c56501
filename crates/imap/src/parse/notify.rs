//! NOTIFY (RFC 5465 §8).

use super::cursor::Cursor;
use super::{ErrorKind, MAX_ITEMS, MAX_WORDS, Parsed, fetch};
use crate::command::{Command, Name};
use crate::notify::{Event, Filter, Group, Notify};

/// Most event groups in one command.
const MAX_GROUPS: usize = 20;
/// Most names in one group: a client lists the folders it shows.
const MAX_NAMES: usize = 200;

/// `NOTIFY SP ("NONE" / "SET" [SP "STATUS"] 1*(SP event-group))`.
pub(super) fn notify(c: &mut Cursor<'_>) -> Parsed<Command> {
    c.space()?;
    if c.eat_word("NONE") {
        return Ok(Command::Notify(Notify::None));
    }
    if !c.eat_word("SET") {
        return Err(ErrorKind::Expected("NONE or SET"));
    }
    c.space()?;
    let status = c.eat_word("STATUS");
    if status {
        c.space()?;
    }
    let mut groups = Vec::new();
    loop {
        if groups.len() == MAX_GROUPS {
            return Err(ErrorKind::TooMany("event groups"));
        }
        groups.push(group(c)?);
        if groups.iter().filter(|group| group.filter.is_selected()).count() > 1 {
            // RFC 5465 §6.1.
            return Err(ErrorKind::TooMany("groups of the open folder"));
        }
        if !c.eat(b' ') {
            return Ok(Command::Notify(Notify::Set { status, groups }));
        }
    }
}

/// `"(" filter SP ("NONE" / "(" event *(SP event) ")") ")"`.
fn group(c: &mut Cursor<'_>) -> Parsed<Group> {
    const WHAT: &str = "selected, selected-delayed, inboxes, personal, subscribed, subtree or mailboxes";
    c.expect(b'(', "an event group")?;
    let filter = match c.atom(WHAT)?.to_ascii_lowercase().as_str() {
        "selected" => Filter::Selected,
        "selected-delayed" => Filter::SelectedDelayed,
        "inboxes" => Filter::Inboxes,
        "personal" => Filter::Personal,
        "subscribed" => Filter::Subscribed,
        "subtree" => Filter::Subtree(names(c)?),
        "mailboxes" => Filter::Mailboxes(names(c)?),
        _ => return Err(ErrorKind::Expected(WHAT)),
    };
    c.space()?;
    let mut events = Vec::new();
    if !c.eat_word("NONE") {
        c.list("NONE or a list of events", MAX_WORDS, "events", |c| {
            events.push(event(c)?);
            Ok(())
        })?;
        if events.is_empty() {
            return Err(ErrorKind::Expected("an event"));
        }
    }
    c.expect(b')', ")")?;
    fits(filter.is_selected(), &events)?;
    Ok(Group { filter, events })
}

/// What RFC 5465 §5 asks of a list of events.
fn fits(selected: bool, events: &[Event]) -> Parsed<()> {
    let has = |wanted: fn(&Event) -> bool| events.iter().any(wanted);
    let (new, gone) = (has(|e| matches!(e, Event::MessageNew(_))), has(|e| *e == Event::MessageExpunge));
    if new != gone {
        return Err(ErrorKind::Expected("MessageNew and MessageExpunge together"));
    }
    if has(|e| *e == Event::FlagChange) && !new {
        return Err(ErrorKind::Expected("MessageNew and MessageExpunge with FlagChange"));
    }
    if selected && has(|e| !e.is_of_messages() && *e != Event::Unknown) {
        return Err(ErrorKind::Expected("events of messages with selected"));
    }
    if !selected && has(|e| matches!(e, Event::MessageNew(items) if !items.is_empty())) {
        return Err(ErrorKind::Expected("FETCH items with selected only"));
    }
    Ok(())
}

/// `SP (mailbox / "(" mailbox *(SP mailbox) ")")`.
fn names(c: &mut Cursor<'_>) -> Parsed<Vec<Name>> {
    const WHAT: &str = "a mailbox name or a list of them";
    if c.rest().get(1) != Some(&b'(') {
        return Ok(vec![c.space_name()?]);
    }
    c.space()?;
    let mut names = Vec::new();
    c.list(WHAT, MAX_NAMES, "mailbox names", |c| {
        names.push(c.name()?);
        Ok(())
    })?;
    if names.is_empty() { Err(ErrorKind::Expected(WHAT)) } else { Ok(names) }
}

fn event(c: &mut Cursor<'_>) -> Parsed<Event> {
    Ok(match c.atom("an event")?.to_ascii_lowercase().as_str() {
        "messagenew" => {
            let mut items = Vec::new();
            if c.rest().starts_with(b" (") {
                c.space()?;
                c.list("FETCH items", MAX_ITEMS, "FETCH items", |c| {
                    items.push(fetch::item(c)?);
                    Ok(())
                })?;
            }
            Event::MessageNew(items)
        }
        "messageexpunge" => Event::MessageExpunge,
        "flagchange" => Event::FlagChange,
        "mailboxname" => Event::MailboxName,
        "subscriptionchange" => Event::SubscriptionChange,
        "mailboxmetadatachange" => Event::MailboxMetadataChange,
        "servermetadatachange" => Event::ServerMetadataChange,
        _ => Event::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{read, refuse};
    use super::*;
    use crate::command::FetchItem;

    fn groups(text: &str) -> (bool, Vec<Group>) {
        match read(&format!("NOTIFY SET {text}")) {
            Command::Notify(Notify::Set { status, groups }) => (status, groups),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_understood() {
        assert_eq!(read("notify none"), Command::Notify(Notify::None));
        let (status, found) = groups(
            "STATUS (selected (MessageNew (UID BODY.PEEK[HEADER]) MessageExpunge)) (subtree Lists NONE) \
             (mailboxes (INBOX \"a b\") (MailboxName)) (Personal (AnnotationChange X-Some))",
        );
        assert!(status);
        assert_eq!(found.len(), 4);
        assert!(
            matches!(&found[0].events[0], Event::MessageNew(items) if items.len() == 2 && items[0] == FetchItem::Uid)
        );
        assert_eq!(found[0].events[1], Event::MessageExpunge);
        assert!(matches!(&found[1].filter, Filter::Subtree(names) if names.len() == 1));
        assert!(found[1].events.is_empty());
        assert!(matches!(&found[2].filter, Filter::Mailboxes(names) if names.len() == 2));
        assert_eq!(found[3].events, [Event::Unknown, Event::Unknown]);
        let found = groups("(inboxes (MailboxMetadataChange ServerMetadataChange))").1;
        assert_eq!(found[0].events, [Event::MailboxMetadataChange, Event::ServerMetadataChange]);
        assert!(!groups("(selected-delayed (MessageExpunge FlagChange MessageNew))").0);
    }

    #[test]
    fn what_is_not() {
        for bad in [
            "",
            "NOTIFY",
            "NOTIFY SET",
            "NOTIFY SET STATUS",
            "NOTIFY SET (selected)",
            "NOTIFY SET (selected ())",
            "NOTIFY SET (elsewhere NONE)",
            "NOTIFY SET (mailboxes () NONE)",
            "NOTIFY SET (selected (MessageNew))",
            "NOTIFY SET (selected (MessageExpunge))",
            "NOTIFY SET (personal (FlagChange))",
            "NOTIFY SET (personal (MessageNew (UID) MessageExpunge))",
            "NOTIFY SET (selected (MailboxName))",
            "NOTIFY SET (selected-delayed (MailboxMetadataChange))",
            "NOTIFY SET (selected (ServerMetadataChange))",
            "NOTIFY SET (selected NONE) (selected-delayed NONE)",
            "NOTIFY SET (selected NONE) (personal NONE) (selected NONE)",
            "NOTIFY SET (personal NONE)(inboxes NONE)",
            "NOTIFY NONE X",
        ] {
            refuse(bad.as_bytes());
        }
        let many = vec!["(personal NONE)"; MAX_GROUPS + 1].join(" ");
        assert_eq!(refuse(format!("NOTIFY SET {many}").as_bytes()), ErrorKind::TooMany("event groups"));
    }
}
