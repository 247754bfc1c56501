//! Letters into a mailbox.

use std::collections::HashSet;
use std::sync::Arc;

use mail::{Flags, FolderName, Keywords};
use mssante::Address;
use store::{Commit, Delivered, MailboxId, Store, StoreError, Target};

use super::{MAX_BATCH, MAX_LETTERS, Outcome, Post, Result, TransferError};
use crate::backends::incoming::Streamed;

/// The mailbox of an address.
///
/// # Errors
/// [`TransferError::NoMailbox`], the store's.
pub async fn mailbox(store: &dyn Store, address: &Address) -> Result<MailboxId> {
    let found = store.mailbox(address).await?;
    found.map(|mailbox| mailbox.id).ok_or_else(|| TransferError::NoMailbox(address.to_string()))
}

/// Puts letters into their folders, which are made when missing; in one commit as long as none is refused, one by one otherwise.
/// Answers what became of each, in order.
///
/// # Errors
/// The store's, when it is not about one letter: full, closed, broken.
pub async fn receive(store: &Arc<dyn Store>, mailbox: MailboxId, posts: &[Post]) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::with_capacity(posts.len());
    let mut folders: HashSet<FolderName> =
        store.folders(mailbox).await?.into_iter().filter(|f| f.selectable).map(|f| f.name).collect();
    for batch in batches(posts) {
        match together(store, mailbox, &mut folders, batch).await? {
            Some(done) => outcomes.extend(done),
            None => {
                for post in batch {
                    outcomes.push(alone(store, mailbox, &mut folders, post).await?);
                }
            }
        }
    }
    Ok(outcomes)
}

/// Cuts into what goes in one commit.
fn batches(posts: &[Post]) -> impl Iterator<Item = &[Post]> {
    let mut rest = posts;
    std::iter::from_fn(move || {
        let mut octets = 0;
        let fits = rest.iter().take(MAX_LETTERS).take_while(|post| {
            octets += post.octets.len();
            octets <= MAX_BATCH
        });
        let count = fits.count().max(1);
        if rest.is_empty() {
            return None;
        }
        let (now, later) = rest.split_at(count);
        rest = later;
        Some(now)
    })
}

/// All in one commit; `None` when one of them must be refused.
async fn together(
    store: &Arc<dyn Store>,
    mailbox: MailboxId,
    folders: &mut HashSet<FolderName>,
    posts: &[Post],
) -> Result<Option<Vec<Outcome>>> {
    let mut commits = Vec::with_capacity(posts.len());
    for post in posts {
        match commit(store, mailbox, folders, post).await? {
            Ok(commit) => commits.push(commit),
            Err(_) => return Ok(None),
        }
    }
    match store.commit_all(commits).await {
        Ok(done) => Ok(Some(done.iter().map(outcome).collect())),
        Err(error) if refusal(&error).is_some() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn alone(
    store: &Arc<dyn Store>,
    mailbox: MailboxId,
    folders: &mut HashSet<FolderName>,
    post: &Post,
) -> Result<Outcome> {
    let commit = match commit(store, mailbox, folders, post).await? {
        Ok(commit) => commit,
        Err(why) => return Ok(Outcome::Refused(why)),
    };
    match store.commit(commit).await {
        Ok(done) => Ok(outcome(&done)),
        Err(error) => match refusal(&error) {
            Some(why) => Ok(Outcome::Refused(why.to_owned())),
            None => Err(error.into()),
        },
    }
}

fn outcome(done: &store::Committed) -> Outcome {
    match done.delivered.first() {
        Some(Delivered::Duplicate) => Outcome::Already,
        _ => Outcome::Stored,
    }
}

/// What concerns one letter only.
fn refusal(error: &StoreError) -> Option<&'static str> {
    match error {
        StoreError::OverQuota => Some("the mailbox is full (quota)"),
        StoreError::TooManyKeywords => Some("the folder has no room for more keywords"),
        StoreError::NoSuchFolder => Some("the folder went away"),
        _ => None,
    }
}

/// A letter as a commit; `Err` says why it cannot be one.
async fn commit(
    store: &Arc<dyn Store>,
    mailbox: MailboxId,
    folders: &mut HashSet<FolderName>,
    post: &Post,
) -> Result<std::result::Result<Commit, String>> {
    let name = match FolderName::new(&post.letter.folder) {
        Ok(name) => name,
        Err(error) => return Ok(Err(format!("{:?}: {error}", post.letter.folder))),
    };
    if !folders.contains(&name) {
        match store.create_folder(mailbox, &name, None).await {
            Ok(_) | Err(StoreError::FolderExists) => {}
            Err(StoreError::FolderRefused(why)) => return Ok(Err(format!("{name}: {why}"))),
            Err(error) => return Err(error.into()),
        }
        folders.insert(name.clone());
    }
    let mut flags = Flags::NONE;
    let mut keywords: Vec<String> = Vec::new();
    for flag in &post.letter.flags {
        match Flags::system(flag) {
            Some(system) => flags = flags.with(system),
            // \Recent and what other servers invented mean nothing here.
            None if flag.starts_with('\\') || !is_keyword(flag) => {}
            None if keywords.len() < Keywords::MAX => keywords.push(flag.clone()),
            None => {}
        }
    }
    let mut streamed = Streamed::new(store.spool());
    streamed.write(&post.octets).await?;
    let target = Target { mailbox, folder: name, flags, keywords, internal_date: post.letter.date };
    Ok(Ok(Commit {
        content: Some(streamed.finish().await?),
        deliver: vec![target],
        duplicate_key: Some(post.letter.key.0),
        saved_at: time::OffsetDateTime::now_utc().unix_timestamp(),
        ..Commit::default()
    }))
}

/// An atom (RFC 3501), short enough.
fn is_keyword(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= Keywords::MAX_LENGTH
        && name.bytes().all(|b| b.is_ascii_graphic() && !b"(){%*\"\\]".contains(&b))
}
