//! The entry points: sockets bound first, then opened with the servers behind them.
//!
//! Each connection takes the settings that are in force when it comes, and keeps them: a reload changes them for those that follow.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use meter::Entrance;
use tokio::net::TcpListener;
use tower::ServiceExt;
use trust::presence::Presence;
use trust::tls::Acceptor;

use super::generation::{Behind, ImapDoor, SmtpDoor, room};
use super::slot::Slot;
use super::{Addresses, Running, StartError};
use crate::config::{self, Config};
use crate::listener::{Door, listen};
use crate::monitoring;

/// The names of entry points, as in `[listen]`.
#[derive(Debug, Clone)]
pub(crate) struct Entrances {
    pub(crate) imap: Arc<Entrance>,
    pub(crate) submission: Arc<Entrance>,
    pub(crate) imap_app: Arc<Entrance>,
    pub(crate) submission_app: Arc<Entrance>,
    pub(crate) mx: Arc<Entrance>,
    pub(crate) autoconfig: Arc<Entrance>,
}

impl Entrances {
    pub(crate) fn new(meter: &monitoring::Meter) -> Self {
        let of = |name| Entrance::new(meter.registry(), name);
        Entrances {
            imap: of("imap"),
            submission: of("submission"),
            imap_app: of("imap_app"),
            submission_app: of("submission_app"),
            mx: of("mx"),
            autoconfig: of("autoconfig"),
        }
    }
}

/// The sockets, bound before anything else so that a taken port is told at once.
pub(super) struct Listeners {
    imap: Option<TcpListener>,
    submission: Option<TcpListener>,
    imap_app: Option<TcpListener>,
    submission_app: Option<TcpListener>,
    mx: Option<TcpListener>,
    autoconfig: Option<TcpListener>,
    monitoring: Option<TcpListener>,
}

impl Listeners {
    pub(super) async fn bind(listen: &config::Listen, monitoring: Option<SocketAddr>) -> Result<Self, StartError> {
        async fn one(entrance: &'static str, address: Option<SocketAddr>) -> Result<Option<TcpListener>, StartError> {
            let Some(address) = address else { return Ok(None) };
            let bound = TcpListener::bind(address).await;
            bound.map(Some).map_err(|error| StartError::Listen { entrance, address, error })
        }
        Ok(Listeners {
            imap: one("listen.imap", listen.imap).await?,
            submission: one("listen.submission", listen.submission).await?,
            imap_app: one("listen.imap_app", listen.imap_app).await?,
            submission_app: one("listen.submission_app", listen.submission_app).await?,
            mx: one("listen.mx", listen.mx).await?,
            autoconfig: one("listen.autoconfig", listen.autoconfig).await?,
            monitoring: one("monitoring.listen", monitoring).await?,
        })
    }

    pub(super) fn addresses(&self) -> Addresses {
        let of = |listener: &Option<TcpListener>| listener.as_ref().and_then(|l| l.local_addr().ok());
        Addresses {
            imap: of(&self.imap),
            submission: of(&self.submission),
            imap_app: of(&self.imap_app),
            submission_app: of(&self.submission_app),
            mx: of(&self.mx),
            autoconfig: of(&self.autoconfig),
            monitoring: of(&self.monitoring),
        }
    }

    /// The entry points there are, for the check that they all take connections.
    pub(super) fn entrances(&self, names: &Entrances) -> Vec<Arc<Entrance>> {
        let all = [
            (&self.imap, &names.imap),
            (&self.submission, &names.submission),
            (&self.imap_app, &names.imap_app),
            (&self.submission_app, &names.submission_app),
            (&self.mx, &names.mx),
        ];
        all.into_iter().filter(|(listener, _)| listener.is_some()).map(|(_, name)| name.clone()).collect()
    }
}

/// What stands behind the entry points, in force for those who come.
#[derive(Clone)]
pub(crate) struct Doors {
    imap: Slot<ImapDoor>,
    imap_app: Slot<ImapDoor>,
    submission: Slot<SmtpDoor>,
    submission_app: Slot<SmtpDoor>,
    mx: Slot<SmtpDoor>,
    autoconfig: Slot<Router>,
    autoconfig_tls: Acceptor,
    /// How many connections each of them lets in.
    rooms: Vec<Presence>,
}

impl Doors {
    pub(super) fn new(behind: Behind, config: &Config) -> Self {
        let one = |_| Presence::new(room(config));
        Doors {
            imap: Slot::new(behind.imap),
            imap_app: Slot::new(behind.imap_app),
            submission: Slot::new(behind.submission),
            submission_app: Slot::new(behind.submission_app),
            mx: Slot::new(behind.mx),
            autoconfig: Slot::new(behind.autoconfig),
            autoconfig_tls: behind.autoconfig_tls,
            rooms: (0..5).map(one).collect(),
        }
    }

    /// Puts what a new configuration asks for in force.
    ///
    /// # Errors
    /// TLS settings that OpenSSL does not take after all; nothing is changed then.
    pub(super) fn replace(&self, behind: Behind, config: &Config) -> Result<(), trust::tls::TlsError> {
        self.autoconfig_tls.reload(behind.autoconfig_settings)?;
        self.imap.set(behind.imap);
        self.imap_app.set(behind.imap_app);
        self.submission.set(behind.submission);
        self.submission_app.set(behind.submission_app);
        self.mx.set(behind.mx);
        self.autoconfig.set(behind.autoconfig);
        for presence in &self.rooms {
            presence.resize(room(config));
        }
        Ok(())
    }

    /// Opens the ports.
    pub(super) fn open(&self, listeners: Listeners, running: &Arc<Running>) {
        let names = &running.names;
        let mut rooms = self.rooms.iter();
        let mut door = |farewell, entrance: &Arc<Entrance>| {
            // As many rooms as there are calls below.
            let presence = rooms.next().cloned().unwrap_or_else(|| Presence::new(room(&running.config())));
            Door { presence, farewell, entrance: entrance.clone() }
        };
        const BYE: &str = "* BYE Too many connections, try again later\r\n";
        const NO: &str = "421 4.3.2 Too many connections, try again later\r\n";
        let doors = [
            (listeners.imap, door(BYE, &names.imap), Speaks::Imap(&self.imap)),
            (listeners.imap_app, door(BYE, &names.imap_app), Speaks::Imap(&self.imap_app)),
            (listeners.submission, door(NO, &names.submission), Speaks::Smtp(&self.submission)),
            (listeners.submission_app, door(NO, &names.submission_app), Speaks::Smtp(&self.submission_app)),
            (listeners.mx, door(NO, &names.mx), Speaks::Smtp(&self.mx)),
        ];
        for (listener, door, speaks) in doors {
            let Some(listener) = listener else { continue };
            match speaks {
                Speaks::Imap(slot) => serve_imap(listener, door, slot.clone(), running),
                Speaks::Smtp(slot) => serve_smtp(listener, door, slot.clone(), running),
            }
        }
        if let Some(listener) = listeners.autoconfig {
            let slot = self.autoconfig.clone();
            let router = Router::new().fallback(move |request: Request| {
                let router = Router::clone(&slot.get());
                async move { router.oneshot(request).await }
            });
            let tls = Some(self.autoconfig_tls.clone());
            running.tasks.spawn(trust::http::serve(listener, tls, router, running.drain.clone()));
        }
        if let Some(listener) = listeners.monitoring {
            // Not one of the tasks that a stop waits for: it tells how the stop goes on.
            let router = monitoring::router(running.clone());
            tokio::spawn(trust::http::serve(listener, None, router, running.over.clone()));
        }
    }
}

/// What an entry point speaks, and what stands behind.
enum Speaks<'s> {
    Imap(&'s Slot<ImapDoor>),
    Smtp(&'s Slot<SmtpDoor>),
}

fn serve_imap(listener: TcpListener, door: Door, slot: Slot<ImapDoor>, running: &Arc<Running>) {
    let shutdown = running.shutdown.clone();
    let serve = move |stream, address| {
        let behind = slot.get();
        imap::serve(stream, address, behind.config.clone(), behind.backend.clone(), shutdown.clone())
    };
    running.tasks.spawn(listen(listener, door, running.tasks.clone(), running.drain.clone(), serve));
}

fn serve_smtp(listener: TcpListener, door: Door, slot: Slot<SmtpDoor>, running: &Arc<Running>) {
    let shutdown = running.shutdown.clone();
    let serve = move |stream, address| {
        let behind = slot.get();
        smtp::serve(stream, address, behind.config.clone(), behind.backend.clone(), shutdown.clone())
    };
    running.tasks.spawn(listen(listener, door, running.tasks.clone(), running.drain.clone(), serve));
}
