//! URL parts of CATENATE (RFC 4469): messages and sections of the session's own mailbox, streamed into the new message.
//!
//! Whatever does not name such a thing is `NO [BADURL …]`: another server, another user, another epoch of UIDs, a folder, a
//! message or a section that is not there.

use std::sync::Arc;

use mail::{FolderName, Uid};

use super::super::reply::{Reply, Stop};
use super::fetch::Source;
use crate::backend::{Account, Failure, OpenFolder};
use crate::url::{MessageUrl, Place};

/// Locates what a URL names, for a session on the server `hostname` with that folder selected.
pub(super) async fn open(
    hostname: &str,
    selected: Option<(FolderName, Arc<dyn OpenFolder>)>,
    account: &dyn Account,
    url: &[u8],
) -> Result<Source, Stop> {
    let bad = || bad_url(url);
    let parsed = MessageUrl::parse(url).ok_or_else(bad)?;
    if let Some(user) = &parsed.user
        && !user.eq_ignore_ascii_case(account.address())
    {
        return Err(bad().into());
    }
    if let Some(host) = &parsed.host
        && !host.eq_ignore_ascii_case(hostname)
    {
        return Err(bad().into());
    }
    let (folder, validity) = match parsed.place {
        Place::Selected => (selected.ok_or_else(bad)?.1, None),
        Place::Folder { name, uid_validity } => {
            let name = FolderName::new(&name).map_err(|_| bad())?;
            let folder = match selected.filter(|(selected, _)| *selected == name) {
                Some((_, folder)) => folder,
                None => account.open(&name).await.map_err(|failure| match failure {
                    Failure::Unavailable => failure.into(),
                    _ => bad(),
                })?,
            };
            (folder, uid_validity)
        }
    };
    let view = folder.view().borrow().clone();
    if validity.is_some_and(|validity| validity != view.uid_validity) {
        return Err(bad().into());
    }
    let entry = view.find(Uid(parsed.uid)).copied().ok_or_else(bad)?;
    let source = Source::open(&*folder, &entry, &parsed.section, parsed.partial).await?;
    Ok(source.ok_or_else(bad)?)
}

/// `NO [BADURL url]`, the URL written so that it cannot end the code (RFC 4469 §4.1).
fn bad_url(url: &[u8]) -> Reply {
    /// Octets repeated of what the client sent.
    const MOST: usize = 500;
    let mut text = String::from("BADURL ");
    for octet in url.iter().take(MOST) {
        match octet {
            b'!'..=b'Z' | b'\\' | b'^'..=b'~' | b'[' => text.push(char::from(*octet)),
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    Reply::no("That URL names nothing here").code(text)
}
