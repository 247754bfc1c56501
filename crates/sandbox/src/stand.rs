//! The stand of the control application: what campaigns drive in this space ([`control::stand`]). Its key is made once, in `DIR/control`; each
//! operator's campaigns have a path and a key of their own, and by them see the PSC of this operator's door and no other.

use std::sync::Arc;

use axum::Router;
use control::stand::revocation::RevocationStand;
use control::stand::white_list::ListStand;
use control::stand::{self, Key, Leases, Nudge};
use control::trap::Archive;
use operator::Refresher;
use stub::Realm;

use crate::{Layout, SandboxError};

/// Where its key is, in the sandbox's folder.
pub(crate) const KEY_FILE: &str = "control/stand.key";

/// Where it is driven.
pub(crate) fn url(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

/// Where the campaigns of an operator drive it.
pub(crate) fn url_of(port: u16, operator: &str) -> String {
    format!("{}/{operator}", url(port))
}

/// The key for that.
pub(crate) fn key_file_of(operator: &str) -> String {
    format!("control/stand-{operator}.key")
}

/// Everything a campaign can drive here: all of it, and by the path and the key of each operator what is its own, under its own leases. The
/// revocation lists are everybody's: certificates lead all operators to the same ones, so whoever changes them waits for all.
pub(crate) fn router(
    layout: &Layout,
    (realm, doors): (Realm, Vec<(&'static str, Realm)>),
    leases: Leases,
    lists: &ListStand,
    revocation: &RevocationStand,
    traps: Arc<Archive>,
) -> Result<Router, SandboxError> {
    let parts = |realm: Realm, leases: Leases, lists: ListStand| {
        [
            ("/psc", stand::psc::part(realm, leases)),
            ("/white-list", stand::white_list::part(lists)),
            ("/revocation", stand::revocation::part(revocation.clone())),
            ("/traps", stand::traps::part(traps.clone(), crate::traps::DOMAIN)),
        ]
    };
    let mut all = stand::router(key(layout, KEY_FILE)?, parts(realm, leases.clone(), lists.clone()));
    for (operator, door) in doors {
        let of_it = leases.of_operator(operator);
        let lists = lists.of_operator(operator, of_it.clone());
        let own = stand::router(key(layout, &key_file_of(operator))?, parts(door, of_it, lists));
        all = all.nest(&format!("/{operator}"), own);
    }
    Ok(all)
}

/// Has operators fetch their lists as soon as a campaign changes them: by name, or all.
pub(crate) fn nudge(refreshers: Vec<(&'static str, Refresher)>) -> Nudge {
    Arc::new(move |reader: String| {
        let meant = refreshers.iter().filter(|(name, _)| reader.is_empty() || reader == *name);
        let meant: Vec<Refresher> = meant.map(|(_, refresher)| refresher.clone()).collect();
        Box::pin(async move {
            for refresher in meant {
                refresher.refresh().await;
            }
        })
    })
}

fn key(layout: &Layout, file: &str) -> Result<Key, SandboxError> {
    let path = layout.root().join(file);
    Key::at(&path).map_err(SandboxError::file(&path))
}
