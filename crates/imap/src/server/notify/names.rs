//! Which names of folders a look tells of: MailboxName, SubscriptionChange (RFC 5465 §5.4, §5.5) and rights that came or went
//! (§5.9).
//!
//! A folder that is made or gone concerns the name above it too, whether a folder has that name or not. What a folder is renamed
//! with is told once, for the topmost of them that is told of. Nothing is told of what the session did itself ([`Own`]).

use std::collections::{BTreeMap, BTreeSet};

use mail::{FolderName, Rights};

use super::own::{Own, explains};
use super::{Known, Notifying};
use crate::backend::FolderInfo;
use crate::notify::Event;
use crate::response::{ListKind, ListLine};
use crate::server::commands::list;

/// A LIST response to be sent.
#[derive(Debug)]
pub(super) struct Line {
    name: FolderName,
    attributes: Vec<&'static str>,
    old_name: Option<FolderName>,
}

impl Line {
    pub(super) fn as_list(&self, names: crate::parse::Names) -> ListLine<'_> {
        ListLine {
            kind: ListKind::List,
            attributes: &self.attributes,
            name: self.name.as_str(),
            child_subscribed: false,
            old_name: self.old_name.as_ref().map(FolderName::as_str),
            names,
        }
    }
}

/// The folders of the mailbox as they are now.
pub(super) struct Now<'a>(BTreeMap<FolderName, list::Node<'a>>);

impl<'a> Now<'a> {
    pub(super) fn new(folders: &'a [FolderInfo]) -> Self {
        Now(list::tree(folders))
    }

    /// The folder of a name.
    fn folder(&self, name: &FolderName) -> Option<&'a FolderInfo> {
        self.0.get(name)?.folder
    }

    fn has_children(&self, name: &FolderName) -> bool {
        self.0.get(name).is_some_and(|node| node.children)
    }

    /// What is told of a name: of the folder that has it, if one does.
    fn line(&self, name: &FolderName) -> Line {
        let folder = self.folder(name);
        let mut attributes = Vec::new();
        match folder {
            None => attributes.push("\\NonExistent"),
            Some(folder) if !folder.selectable => attributes.push("\\Noselect"),
            Some(_) => {}
        }
        attributes.push(list::children(self.has_children(name)));
        if folder.is_some_and(|folder| folder.subscribed) {
            attributes.push("\\Subscribed");
        }
        attributes.extend(folder.and_then(|folder| folder.special_use).map(|usage| usage.name()));
        Line { name: name.clone(), attributes, old_name: None }
    }

    /// What is told of a folder that may not be read.
    pub(super) fn closed(&self, name: &FolderName) -> Line {
        let mut line = self.line(name);
        line.attributes.insert(0, "\\NoAccess");
        line
    }
}

/// Whether the session is told of what is in a folder, if it may read it.
pub(super) fn reads(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::MessageNew(_) | Event::MailboxMetadataChange))
}

/// What is told of a mailbox whose folders were `before` and are `now`.
pub(super) fn changed(this: &Notifying, before: &BTreeMap<u64, Known>, now: &[FolderInfo], own: &[Own]) -> Vec<Line> {
    let same = before.len() == now.len()
        && now.iter().all(|folder| before.get(&folder.id).is_some_and(|known| known.info == *folder));
    if same {
        return Vec::new();
    }
    let picture = Now::new(now);
    let mut lines = Lines { this, picture: &picture, told: Vec::new(), concerned: BTreeSet::new() };
    // First what is gone: its name may be another's already.
    let ids: BTreeSet<u64> = now.iter().map(|folder| folder.id).collect();
    for known in before.values().filter(|known| !ids.contains(&known.info.id)) {
        let name = &known.info.name;
        // What CREATE makes of a name that only held others is another folder.
        if own.iter().any(|own| own.deleted(name) || own.created(name)) {
            continue;
        }
        lines.concerned.extend(name.parent());
        if this.events(&known.info).contains(&Event::MailboxName) {
            let mut line = picture.line(name);
            line.attributes = vec!["\\NonExistent", list::children(picture.has_children(name))];
            lines.told.push(line);
        }
    }
    // By name: a folder comes before those under it.
    let mut renamings: Vec<(&FolderName, &FolderName)> = Vec::new();
    for folder in picture.0.values().filter_map(|node| node.folder) {
        let name = &folder.name;
        let events = this.events(folder);
        let Some(known) = before.get(&folder.id) else {
            if !own.iter().any(|own| own.created(name)) {
                lines.concerned.extend(name.parent());
                if events.contains(&Event::MailboxName) {
                    lines.told.push(picture.line(name));
                }
            }
            continue;
        };
        lines.follow(&known.info, folder, events, own, &mut renamings);
    }
    lines.whole()
}

/// Lines being put together.
struct Lines<'a> {
    this: &'a Notifying,
    picture: &'a Now<'a>,
    told: Vec<Line>,
    /// Names that something was made or is gone under.
    concerned: BTreeSet<FolderName>,
}

impl<'a> Lines<'a> {
    /// What became of a folder that was there before.
    fn follow(
        &mut self,
        old: &'a FolderInfo,
        new: &'a FolderInfo,
        events: &[Event],
        own: &[Own],
        renamings: &mut Vec<(&'a FolderName, &'a FolderName)>,
    ) {
        if old.name != new.name && !own.iter().any(|own| own.renamed(&old.name, &new.name)) {
            let this = (&old.name, &new.name);
            if events.contains(&Event::MailboxName) && !renamings.iter().any(|above| explains(*above, this)) {
                renamings.push(this);
                self.told.push(Line { old_name: Some(old.name.clone()), ..self.picture.line(&new.name) });
                self.concerned.extend(old.name.parent());
                self.concerned.extend(new.name.parent());
                return;
            }
            if !events.contains(&Event::MailboxName)
                && self.this.events(old).contains(&Event::MailboxName)
                && self.picture.folder(&old.name).is_none()
            {
                // It went where nobody asked about.
                self.told.push(self.picture.line(&old.name));
                return;
            }
        }
        let (could, can) = (old.rights.contains(Rights::READ), new.rights.contains(Rights::READ));
        if could != can && reads(events) {
            self.told.push(if can { self.picture.line(&new.name) } else { self.picture.closed(&new.name) });
            return;
        }
        let subscription =
            old.subscribed != new.subscribed && !own.iter().any(|own| own.subscribed(&new.name, new.subscribed));
        // One that was subscribed may have been asked for as such.
        let wanted = [events, self.this.events(old)].iter().any(|events| events.contains(&Event::SubscriptionChange));
        if subscription && wanted {
            self.told.push(self.picture.line(&new.name));
            return;
        }
        if old.selectable != new.selectable
            && events.contains(&Event::MailboxName)
            && !own.iter().any(|own| own.deleted(&new.name) || own.created(&new.name))
        {
            self.told.push(self.picture.line(&new.name));
        }
    }

    /// With the names above what was made or is gone, each name once.
    fn whole(mut self) -> Vec<Line> {
        for name in std::mem::take(&mut self.concerned) {
            let subscribed = self.picture.folder(&name).is_some_and(|folder| folder.subscribed);
            let wanted = self.this.events_of(&name, subscribed).contains(&Event::MailboxName);
            if wanted && !self.told.iter().any(|line| line.name == name) {
                self.told.push(self.picture.line(&name));
            }
        }
        self.told
    }
}
