//! LIST: plain (RFC 3501 §6.3.8), extended (RFC 5258), with SPECIAL-USE (RFC 6154), MYRIGHTS (RFC 8440), CHILDREN (RFC 3348) and STATUS (RFC 5819).
//!
//! Folders that do not exist but have some below are told as `\Noselect`, or `\NonExistent` to a client that knows LIST-EXTENDED.

use std::collections::BTreeMap;

use mail::FolderName;

use super::super::output::Output;
use super::super::reply::{Outcome, Reply, Stop};
use super::{pattern::Pattern, status};
use crate::backend::{Account, FolderInfo};
use crate::command::List;
use crate::response::{self, ListKind, ListLine};

/// Folders looked at before other tasks get their turn.
const TURN: usize = 256;

/// A folder, or a level above folders.
#[derive(Default)]
pub(in super::super) struct Node<'f> {
    pub(in super::super) folder: Option<&'f FolderInfo>,
    pub(in super::super) children: bool,
    subscribed_below: bool,
}

pub(in super::super) async fn run(out: &mut Output, account: &dyn Account, list: &List) -> Outcome {
    if list.select_recursive && !list.select_subscribed && !list.select_special_use {
        return Ok(Reply::bad("RECURSIVEMATCH needs another selection option"));
    }
    if !list.extended && list.patterns.iter().all(String::is_empty) {
        // What the separator is, and the root of the reference.
        let line = ListLine {
            kind: ListKind::List,
            attributes: &["\\Noselect"],
            name: "",
            child_subscribed: false,
            old_name: None,
            names: out.names,
        };
        response::list(out.buffer(), &line);
        return Ok(Reply::ok("Done"));
    }
    let patterns =
        list.patterns.iter().map(|p| Pattern::new(&list.reference, p)).collect::<Result<Vec<Pattern>, Reply>>()?;
    let folders = account.folders().await?;
    let nodes = tree(&folders);
    for (i, (name, node)) in nodes.iter().enumerate() {
        if i % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
        if !patterns.iter().any(|p| p.matches(name.as_str())) {
            continue;
        }
        let subscribed = node.folder.is_some_and(|f| f.subscribed);
        let special_use = node.folder.and_then(|f| f.special_use);
        let selected = (!list.select_subscribed || subscribed) && (!list.select_special_use || special_use.is_some());
        // CHILDINFO is defined for SUBSCRIBED only.
        let child_subscribed = list.select_recursive && list.select_subscribed && node.subscribed_below;
        if !selected && !child_subscribed {
            continue;
        }
        let mut attributes = Vec::new();
        match node.folder {
            None if list.extended => attributes.push("\\NonExistent"),
            Some(FolderInfo { selectable: true, .. }) => {}
            _ => attributes.push("\\Noselect"),
        }
        attributes.push(children(node.children));
        if subscribed && (list.return_subscribed || list.select_subscribed) {
            attributes.push("\\Subscribed");
        }
        attributes.extend(special_use.map(|u| u.name()));
        let line = ListLine {
            kind: ListKind::List,
            attributes: &attributes,
            name: name.as_str(),
            child_subscribed,
            old_name: None,
            names: out.names,
        };
        response::list(out.buffer(), &line);
        if let Some(folder) = node.folder.filter(|_| list.return_my_rights) {
            let names = out.names;
            response::my_rights(out.buffer(), names, name, folder.rights);
        }
        if !list.return_status.is_empty() && node.folder.is_some_and(|f| f.selectable) {
            // A folder whose counts cannot be had is listed all the same (RFC 5819 §2).
            if let Ok(counts) = account.status(name).await {
                status::write(out, name, &counts, account.append_limit(), &list.return_status);
            }
        }
        out.room().await?;
    }
    Ok(Reply::ok("Done"))
}

/// The attribute that says whether there are folders below (RFC 5258 §4).
pub(in super::super) fn children(any: bool) -> &'static str {
    if any { "\\HasChildren" } else { "\\HasNoChildren" }
}

/// The line of the folder that was selected (RFC 9051 §6.3.2).
pub(super) async fn selected(out: &mut Output, account: &dyn Account, name: &FolderName) -> Result<(), Stop> {
    let folders = account.folders().await?;
    let nodes = tree(&folders);
    let Some(node) = nodes.get(name) else { return Ok(()) };
    let mut attributes = vec![children(node.children)];
    attributes.extend(node.folder.and_then(|f| f.special_use).map(|u| u.name()));
    let line = ListLine {
        kind: ListKind::List,
        attributes: &attributes,
        name: name.as_str(),
        child_subscribed: false,
        old_name: None,
        names: out.names,
    };
    response::list(out.buffer(), &line);
    Ok(())
}

/// The folders by name, and the levels above them.
pub(in super::super) fn tree(folders: &[FolderInfo]) -> BTreeMap<FolderName, Node<'_>> {
    let mut nodes: BTreeMap<FolderName, Node<'_>> = BTreeMap::new();
    for folder in folders {
        let mut above = folder.name.parent();
        while let Some(name) = above {
            above = name.parent();
            let node = nodes.entry(name).or_default();
            node.children = true;
            node.subscribed_below |= folder.subscribed;
        }
        nodes.entry(folder.name.clone()).or_default().folder = Some(folder);
    }
    nodes
}
