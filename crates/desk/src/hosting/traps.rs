//! The doors of the traps, opened on the addresses of the configuration.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use control::trap::serve::{Entrance, Listed, Settings, serve};
use control::trap::{Archive, Presented};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trust::SharedClock;
use trust::dn::Dn;
use trust::revocation::{CrlSource, Revocation, RevocationSettings};
use trust::tls::Anchors;
use trust::white_list::{Keeper, KeeperConfig, RequiredSigner, SignaturePolicy};

use super::config::{TrapsConfig, WhiteListConfig};
use super::{HostingError, Routes, file, setup};

/// Pause between two looks at the white list.
const LIST_EVERY: Duration = Duration::from_secs(3600);

/// Opens them; the archive of their sessions, in `folder`, and what waits for their end.
pub(super) async fn open(
    config: &TrapsConfig,
    folder: &Path,
    routes: Routes,
    clock: &SharedClock,
    shutdown: &CancellationToken,
) -> Result<(Arc<Archive>, TaskTracker), HostingError> {
    let archive = Archive::open(folder.join("pieges")).map_err(file(folder))?;
    let anchors = Anchors::from_file(&config.anchors).map_err(setup("traps.anchors"))?;
    let revocation = match config.crl.is_empty() {
        true => Arc::new(Revocation::none()),
        false => {
            let sources = config.crl.iter().map(|url| CrlSource::Url(url.clone())).collect();
            let settings = RevocationSettings {
                clock: clock.clone(),
                cache_dir: Some(folder.join("revocation")),
                ..RevocationSettings::required(anchors.clone(), sources)
            };
            let revocation = Arc::new(Revocation::new(settings).map_err(setup("traps.crl"))?);
            revocation.spawn_refresh(shutdown.clone());
            revocation
        }
    };
    let listed: Listed = match &config.white_list {
        None => Arc::new(|_: &Dn| None),
        Some(list) => listed(list, folder, &anchors, &revocation, clock, shutdown)?,
    };
    let mut entrances = Vec::new();
    for door in &config.doors {
        let chain = std::fs::read(&door.certificate).map_err(file(&door.certificate))?;
        let key = std::fs::read(&door.key).map_err(file(&door.key))?;
        let listener = TcpListener::bind(door.listen).await;
        entrances.push(Entrance {
            door: door.door(),
            host: door.host(&config.domain),
            presented: Presented::from_pem(&chain, &key).map_err(setup("traps.door: certificate, key"))?,
            listener: listener.map_err(|error| HostingError::Listen(door.listen, error))?,
        });
    }
    let settings = Settings {
        domain: config.domain.clone(),
        anchors,
        revocation,
        listed,
        clock: clock.clone(),
        route: Arc::new(move |domain| routes.of(domain)),
        slow: Duration::from_secs(config.slow_seconds),
        archive: archive.clone(),
    };
    let tasks = serve(entrances, settings, shutdown).map_err(setup("traps"))?;
    Ok((archive, tasks))
}

/// What the white list, kept up to date, gives to a name.
fn listed(
    config: &WhiteListConfig,
    folder: &Path,
    anchors: &Anchors,
    revocation: &Arc<Revocation>,
    clock: &SharedClock,
    shutdown: &CancellationToken,
) -> Result<Listed, HostingError> {
    let of_server = config.anchors.as_ref().map(|path| Anchors::from_file(path));
    let of_server = of_server.transpose().map_err(setup("traps.white_list.anchors"))?;
    let builder = trust::http::builder(of_server.as_ref().map(Anchors::certificates));
    let http = builder.map_err(setup("traps.white_list"))?.build().map_err(setup("traps.white_list"))?;
    let settings = KeeperConfig {
        url: config.url.parse().map_err(setup("traps.white_list.url"))?,
        policy: SignaturePolicy::Required(RequiredSigner {
            anchors: anchors.clone(),
            name: config.signer.parse().map_err(setup("traps.white_list.signer"))?,
            revocation: revocation.clone(),
        }),
        path: folder.join("liste-blanche.xml"),
        refresh_every: LIST_EVERY,
    };
    let keeper = Keeper::open(settings, http, clock.clone());
    keeper.spawn_refresh(shutdown.clone());
    Ok(Arc::new(move |name: &Dn| Some(keeper.current()?.domains_of(name).map(str::to_owned).collect())))
}
