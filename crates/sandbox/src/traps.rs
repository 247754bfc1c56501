//! The traps of the control application in this space ([`control::trap`]): a domain, a host, an address and a certificate for each door;
//! sessions are kept in `DIR/control/pieges`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::control::trap::serve::{Entrance, Listed, Settings, serve};
use ::control::trap::{Archive, Door};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trust::SharedClock;
use trust::dn::Dn;
use trust::pki::Ca;
use trust::revocation::{Revocation, RevocationSettings};

use crate::cast::{OPERATORS, Structure};
use crate::pki::Pki;
use crate::{Layout, Ports, SandboxError, publisher, space};

/// Their domain; doors of their own are below it.
pub const DOMAIN: &str = "pieges.formation.mssante.fr";
/// Whose they are.
pub(crate) const HOLDER: Structure =
    Structure { id: "1130000005", name: "BOITES PIEGES DE TEST", department: "Bouches-du-Rhône (13)" };
/// Behind the operators, Mon espace santé and the domain that is not listed.
const FIRST: u8 = 5;
/// Pause of the slow trap: nobody wants to wait for minutes here.
const SLOW: Duration = Duration::from_secs(2);

/// The last byte of a door's address.
pub(crate) fn number(door: Door) -> u8 {
    let place = Door::ALL.iter().position(|known| *known == door).unwrap_or(Door::ALL.len());
    // Fourteen doors.
    FIRST + u8::try_from(place).unwrap_or(u8::MAX - FIRST)
}

/// The last byte of the address where nothing listens: the first server of [`Door::Mx2`].
pub(crate) fn closed() -> u8 {
    FIRST + u8::try_from(Door::ALL.len()).unwrap_or(u8::MAX - FIRST)
}

/// The last bytes of the addresses of all doors, in their order.
pub(crate) fn numbers() -> impl Iterator<Item = u8> {
    Door::ALL.into_iter().map(number)
}

/// A door's host name.
pub(crate) fn host(door: Door) -> String {
    door.host(DOMAIN)
}

/// Its entries of the white list.
pub(crate) fn listed(pki: &Pki) -> impl Iterator<Item = (String, Dn)> {
    let usual = pki.traps.iter().find(|(door, ..)| *door == Door::Usual).map(|(.., name)| name.clone());
    pki.traps.iter().filter_map(move |(door, _, name)| match door {
        Door::HorsListe => None,
        // Another good certificate is the one that is cited.
        Door::DnNonListe => Some((door.domain(DOMAIN), usual.clone()?)),
        door => Some((door.domain(DOMAIN), name.clone())),
    })
}

/// The operator interfaces of this space.
fn route(ports: &Ports) -> impl Fn(&str) -> Option<(SocketAddr, String)> + Send + Sync + use<> {
    let place = |index: usize| SocketAddr::new(ports.mx(index as u8 + 1), ports.relay);
    let known: Vec<_> =
        OPERATORS.iter().enumerate().map(|(index, own)| (own.domain, place(index), own.host("mx"))).collect();
    move |domain| {
        let (_, address, host) = known.iter().find(|(known, ..)| *known == domain)?;
        Some((*address, host.clone()))
    }
}

/// Opens the doors; the archive of their sessions.
pub(crate) fn open(
    listeners: Vec<TcpListener>,
    layout: &Layout,
    ports: &Ports,
    pki: &Arc<Pki>,
    clock: &SharedClock,
    shutdown: &CancellationToken,
) -> Result<(Arc<Archive>, TaskTracker), SandboxError> {
    let folder = layout.control().join("pieges");
    let archive = Archive::open(&folder).map_err(SandboxError::file(&folder))?;
    let anchors = pki.authority.anchors();
    let revocation = RevocationSettings {
        clock: clock.clone(),
        ..RevocationSettings::required(anchors.clone(), space::crl_sources(ports))
    };
    let revocation = Arc::new(Revocation::new(revocation).map_err(SandboxError::setup("traps"))?);
    // At hand from the first connection on; fetched as by anybody else from then on.
    for ca in [Ca::Root, Ca::Organizations] {
        revocation.install(&pki.authority.crl_der(ca)?).map_err(SandboxError::setup("traps"))?;
    }
    revocation.spawn_refresh(shutdown.clone());
    let entries: Vec<_> =
        publisher::entries(pki)?.into_iter().map(|entry| (entry.domain, entry.name.canonical())).collect();
    let listed: Listed = Arc::new(move |name: &Dn| {
        let name = name.canonical();
        Some(entries.iter().filter(|(_, known)| *known == name).map(|(domain, _)| domain.clone()).collect())
    });
    let settings = Settings {
        domain: DOMAIN.to_owned(),
        anchors,
        revocation,
        listed,
        clock: clock.clone(),
        route: Arc::new(route(ports)),
        slow: SLOW,
        archive: archive.clone(),
    };
    let entrances = pki.traps.iter().zip(listeners).map(|((door, presented, _), listener)| Entrance {
        door: *door,
        host: host(*door),
        presented: presented.clone(),
        listener,
    });
    let tasks = serve(entrances.collect(), settings, shutdown).map_err(SandboxError::setup("traps"))?;
    Ok((archive, tasks))
}
