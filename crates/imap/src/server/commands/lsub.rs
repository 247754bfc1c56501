//! LSUB (RFC 3501 §6.3.9): the subscribed folders; with `%`, the levels above them too.

use std::collections::BTreeMap;

use mail::FolderName;

use super::super::output::Output;
use super::super::reply::{Outcome, Reply};
use super::pattern::Pattern;
use crate::backend::Account;
use crate::response::{self, ListKind, ListLine};

pub(in super::super) async fn run(out: &mut Output, account: &dyn Account, reference: &str, pattern: &str) -> Outcome {
    if pattern.is_empty() {
        let line = ListLine {
            kind: ListKind::Lsub,
            attributes: &["\\Noselect"],
            name: "",
            child_subscribed: false,
            old_name: None,
            names: out.names,
        };
        response::list(out.buffer(), &line);
        return Ok(Reply::ok("Done"));
    }
    let levels = pattern.contains('%');
    let pattern = Pattern::new(reference, pattern)?;
    // Each name with whether it is subscribed itself.
    let mut names: BTreeMap<FolderName, bool> = BTreeMap::new();
    for folder in account.folders().await?.into_iter().filter(|f| f.subscribed) {
        let mut above = folder.name.parent().filter(|_| levels);
        while let Some(name) = above {
            above = name.parent();
            names.entry(name).or_insert(false);
        }
        names.insert(folder.name, true);
    }
    for (name, subscribed) in names.iter().filter(|(name, _)| pattern.matches(name.as_str())) {
        let attributes: &[&str] = if *subscribed { &[] } else { &["\\Noselect"] };
        let line = ListLine {
            kind: ListKind::Lsub,
            attributes,
            name: name.as_str(),
            child_subscribed: false,
            old_name: None,
            names: out.names,
        };
        response::list(out.buffer(), &line);
        out.room().await?;
    }
    Ok(Reply::ok("Done"))
}
