//! The entry points: sockets bound first, then opened with the servers behind them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use store::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trust::presence::Room;
use trust::tls::{Acceptor, ClientCertificates, Profile};

use super::setup::Setup;
use super::{Addresses, StartError};
use crate::access::Access;
use crate::autoconfig;
use crate::backends::imap::ImapBackend;
use crate::backends::mx::{Mx, MxBackend};
use crate::backends::submission::{Submission, SubmissionBackend};
use crate::config;
use crate::listener::listen;
use crate::search::Searcher;
use crate::traces::Tracer;

/// The sockets, bound before anything else so that a taken port is told at once.
pub(super) struct Listeners {
    imap: Option<TcpListener>,
    submission: Option<TcpListener>,
    imap_app: Option<TcpListener>,
    submission_app: Option<TcpListener>,
    mx: Option<TcpListener>,
    autoconfig: Option<TcpListener>,
}

impl Listeners {
    pub(super) async fn bind(listen: &config::Listen) -> Result<Self, StartError> {
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
        }
    }
}

/// Opens the ports.
pub(super) struct Opening<'s> {
    pub(super) setup: &'s Setup<'s>,
    pub(super) access: Arc<Access>,
    pub(super) store: Arc<dyn Store>,
    pub(super) searcher: Arc<Searcher>,
    pub(super) submission: Arc<Submission>,
    pub(super) mx: Arc<Mx>,
    pub(super) tracer: Tracer,
    pub(super) tasks: TaskTracker,
    pub(super) shutdown: CancellationToken,
}

impl Opening<'_> {
    pub(super) fn open(&self, listeners: Listeners) -> Result<(), StartError> {
        if let Some(listener) = listeners.imap {
            let tls = self.setup.acceptor(Profile::ApiLps, ClientCertificates::NotAsked)?;
            self.imap(listener, tls, imap::backend::Mechanism::XOAuth2, false);
        }
        if let Some(listener) = listeners.imap_app {
            let tls = self.setup.acceptor(Profile::ApiLps, ClientCertificates::Required)?;
            self.imap(listener, tls, imap::backend::Mechanism::External, self.setup.config.sessions.app_preauth);
        }
        if let Some(listener) = listeners.submission {
            let tls = self.setup.acceptor(Profile::ApiLps, ClientCertificates::NotAsked)?;
            self.submission(listener, tls, smtp::Mechanism::XOAuth2);
        }
        if let Some(listener) = listeners.submission_app {
            let tls = self.setup.acceptor(Profile::ApiLps, ClientCertificates::Required)?;
            self.submission(listener, tls, smtp::Mechanism::External);
        }
        if let Some(listener) = listeners.mx {
            // Recorded and not required: a peer with a bad certificate gets a reply that says what is wrong with it.
            let tls = self.setup.acceptor(Profile::Operator, ClientCertificates::Recorded)?;
            let backend = Arc::new(MxBackend { service: self.mx.clone() });
            self.smtp(listener, self.smtp_config(smtp::Role::Mx, tls), backend);
        }
        if let Some(listener) = listeners.autoconfig {
            let tls = self.setup.acceptor(Profile::Https, ClientCertificates::NotAsked)?;
            let router = autoconfig::router(self.setup.config);
            self.tasks.spawn(trust::http::serve(listener, Some(tls), router, self.shutdown.clone()));
        }
        Ok(())
    }

    fn room(&self) -> Room {
        let limits = &self.setup.config.limits;
        Room { connections: limits.connections, per_address: limits.connections_per_address }
    }

    fn imap(&self, listener: TcpListener, tls: Acceptor, mechanism: imap::backend::Mechanism, preauth: bool) {
        let sessions = &self.setup.config.sessions;
        let config = Arc::new(imap::Config {
            idle_timeout: Duration::from_secs(60 * sessions.imap_idle_minutes.get_ref()),
            max_session: sessions.imap_max_hours.map(|hours| Duration::from_secs(3600 * hours)),
            ..imap::Config::new(tls, self.setup.config.hostname())
        });
        let backend: Arc<dyn imap::Backend> = Arc::new(ImapBackend {
            access: self.access.clone(),
            store: self.store.clone(),
            searcher: self.searcher.clone(),
            mechanisms: vec![mechanism],
            preauth,
            append_limit: *self.setup.config.limits.message_octets.get_ref(),
            clock: self.setup.clock.clone(),
            tracer: self.tracer.clone(),
        });
        let shutdown = self.shutdown.clone();
        let serve =
            move |stream, address| imap::serve(stream, address, config.clone(), backend.clone(), shutdown.clone());
        let farewell = "* BYE Too many connections, try again later\r\n";
        self.tasks.spawn(listen(listener, self.room(), farewell, self.tasks.clone(), self.shutdown.clone(), serve));
    }

    fn submission(&self, listener: TcpListener, tls: Acceptor, mechanism: smtp::Mechanism) {
        let backend = Arc::new(SubmissionBackend { service: self.submission.clone(), mechanisms: vec![mechanism] });
        self.smtp(listener, self.smtp_config(smtp::Role::Submission, tls), backend);
    }

    fn smtp_config(&self, role: smtp::Role, tls: Acceptor) -> smtp::Config {
        let limits = &self.setup.config.limits;
        smtp::Config {
            max_size: *limits.message_octets.get_ref(),
            max_recipients: limits.recipients,
            ..smtp::Config::new(role, tls, self.setup.config.hostname())
        }
    }

    fn smtp(&self, listener: TcpListener, config: smtp::Config, backend: Arc<dyn smtp::Backend>) {
        let (config, shutdown) = (Arc::new(config), self.shutdown.clone());
        let serve =
            move |stream, address| smtp::serve(stream, address, config.clone(), backend.clone(), shutdown.clone());
        let farewell = "421 4.3.2 Too many connections, try again later\r\n";
        self.tasks.spawn(listen(listener, self.room(), farewell, self.tasks.clone(), self.shutdown.clone(), serve));
    }
}
