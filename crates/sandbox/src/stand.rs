//! The stand of the control application: what campaigns drive in this space ([`control::stand`]). Its key is made once, in `DIR/control`.

use std::sync::Arc;

use axum::Router;
use control::stand::revocation::RevocationStand;
use control::stand::white_list::{ListStand, Nudge};
use control::stand::{self, Key, Leases};
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

/// Everything a campaign can drive here, under one key and one set of leases.
pub(crate) fn router(
    layout: &Layout,
    realm: Realm,
    leases: Leases,
    lists: &ListStand,
    revocation: &RevocationStand,
    traps: Arc<Archive>,
) -> Result<Router, SandboxError> {
    let parts = [
        ("/psc", stand::psc::part(realm, leases)),
        ("/white-list", stand::white_list::part(lists.clone())),
        ("/revocation", stand::revocation::part(revocation.clone())),
        ("/traps", stand::traps::part(traps, crate::traps::DOMAIN)),
    ];
    Ok(stand::router(key(layout)?, parts))
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

fn key(layout: &Layout) -> Result<Key, SandboxError> {
    let path = layout.root().join(KEY_FILE);
    Key::at(&path).map_err(SandboxError::file(&path))
}
