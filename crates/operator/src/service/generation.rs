//! Everything that is made from a configuration and can be made again from another while the server runs: certificates, authorities,
//! revocation lists, white list, Pro Santé Connect, limits, and the servers that use them.
//!
//! Invariant: a generation is made whole before any of it is in force; what fails leaves the former one as it was.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use openssl::x509::X509Ref;
use trust::presence::Room;
use trust::revocation::Revocation;
use trust::tls::{Acceptor, ClientCertificates, Profile, ServerTls};
use trust::white_list::Keeper;

use super::setup::{Setup, keeper, setup, verifier};
use super::{FIRST_FETCH, Running, StartError, seconds_of_hours, setting};
use crate::access::Access;
use crate::autoconfig;
use crate::backends::Site;
use crate::backends::imap::ImapBackend;
use crate::backends::mx::{Mx, MxBackend};
use crate::backends::submission::{Submission, SubmissionBackend};
use crate::config::Config;
use crate::queue::QueueConfig;
use crate::queue::route::Router as MailRouter;
use crate::queue::schedule::Schedule;

/// What stands behind an IMAP entry point.
pub(crate) struct ImapDoor {
    pub(crate) config: Arc<imap::Config>,
    pub(crate) backend: Arc<dyn imap::Backend>,
}

/// What stands behind an SMTP entry point.
pub(crate) struct SmtpDoor {
    pub(crate) config: Arc<smtp::Config>,
    pub(crate) backend: Arc<dyn smtp::Backend>,
}

/// A certificate to look after.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    /// Whether it is the one we show, or an authority's.
    pub(crate) ours: bool,
    pub(crate) subject: String,
    pub(crate) ends: SystemTime,
}

/// Whom we trust, and who we are.
#[derive(Clone)]
pub(crate) struct Trusted {
    pub(crate) white_list: Arc<Keeper>,
    pub(crate) revocation: Arc<Revocation>,
    pub(crate) certificates: Arc<[Certificate]>,
}

/// What a configuration makes.
pub(crate) struct Generation {
    pub(crate) trusted: Trusted,
    pub(crate) queue: QueueConfig,
    pub(crate) behind: Behind,
}

/// What stands behind the entry points.
pub(crate) struct Behind {
    pub(crate) imap: ImapDoor,
    pub(crate) imap_app: ImapDoor,
    pub(crate) submission: SmtpDoor,
    pub(crate) submission_app: SmtpDoor,
    pub(crate) mx: SmtpDoor,
    pub(crate) autoconfig: Router,
    pub(crate) autoconfig_tls: Acceptor,
    pub(crate) autoconfig_settings: ServerTls,
}

/// How many connections an entry point lets in.
pub(super) fn room(config: &Config) -> Room {
    Room { connections: config.limits.connections, per_address: config.limits.connections_per_address }
}

impl Generation {
    /// Makes everything; lists are fetched for a few seconds, then go on being fetched behind.
    pub(super) async fn make(config: &Config, running: &Running) -> Result<Generation, StartError> {
        let setup = setup(config, &running.clock)?;
        let white_list = keeper(config, &setup, &running.clock, &running.data)?;
        let first = async {
            setup.revocation.refresh().await;
            let _ = white_list.refresh().await;
        };
        if tokio::time::timeout(FIRST_FETCH, first).await.is_err() {
            tracing::warn!("revocation lists or the white list are slow to come: going on without");
        }
        // Lives as long as somebody goes by these lists: sessions begun under former settings as well.
        let refreshing = running.over.child_token();
        let trusted = Arc::new(refreshing.clone().drop_guard());
        setup.revocation.spawn_refresh(refreshing.clone());
        white_list.spawn_refresh(refreshing.clone());

        let access = Access::new(
            running.store.clone(),
            verifier(config, &running.clock)?,
            running.clock.clone(),
            running.tracer.clone(),
            running.meter.clone(),
            running.rates.clone(),
        )
        .accept_server_certificates(config.sessions.app_server_certificates);
        let relay = &config.relay;
        let site = Arc::new(Site {
            store: running.store.clone(),
            white_list: white_list.clone(),
            domains: config.domains().to_vec(),
            postmaster: config.operator.postmaster.as_ref().map(|address| address.get_ref().clone()),
            hostname: config.hostname().to_owned(),
            limit: *config.limits.message_octets.get_ref(),
            expire: seconds_of_hours(*relay.expire_hours.get_ref()),
            queue: running.queue.clone(),
            clock: running.clock.clone(),
            tracer: running.tracer.clone(),
            trusted: trusted.clone(),
        });
        let queue = queue_config(config, &setup, &white_list, running, trusted)?;
        let certificates = certificates(config, &setup)?;
        let making = Making { config, setup: &setup, running, access: Arc::new(access), site };
        let names = &running.names;
        let autoconfig_settings = setup.server(Profile::Https, ClientCertificates::NotAsked, &names.autoconfig);
        let behind = Behind {
            imap: making.imap(imap::backend::Mechanism::XOAuth2)?,
            imap_app: making.imap(imap::backend::Mechanism::External)?,
            submission: making.submission(smtp::Mechanism::XOAuth2)?,
            submission_app: making.submission(smtp::Mechanism::External)?,
            mx: making.mx()?,
            autoconfig: autoconfig::router(config),
            autoconfig_tls: Acceptor::new(autoconfig_settings.clone()).map_err(setting("TLS"))?,
            autoconfig_settings,
        };
        Ok(Generation {
            behind,
            queue,
            trusted: Trusted { white_list, revocation: setup.revocation.clone(), certificates },
        })
    }
}

struct Making<'m> {
    config: &'m Config,
    setup: &'m Setup,
    running: &'m Running,
    access: Arc<Access>,
    site: Arc<Site>,
}

impl Making<'_> {
    fn imap(&self, mechanism: imap::backend::Mechanism) -> Result<ImapDoor, StartError> {
        let (running, sessions) = (self.running, &self.config.sessions);
        let by_certificate = mechanism == imap::backend::Mechanism::External;
        let (entrance, clients) = if by_certificate {
            (&running.names.imap_app, ClientCertificates::Required)
        } else {
            (&running.names.imap, ClientCertificates::NotAsked)
        };
        let config = imap::Config {
            idle_timeout: Duration::from_secs(60 * sessions.imap_idle_minutes.get_ref()),
            recheck: Duration::from_secs(*sessions.imap_recheck_seconds.get_ref()),
            max_session: (sessions.imap_max_hours > 0)
                .then(|| Duration::from_secs(sessions.imap_max_hours.saturating_mul(3600))),
            entrance: entrance.clone(),
            drain: running.drain.clone(),
            ..imap::Config::new(self.setup.acceptor(Profile::ApiLps, clients, entrance)?, self.config.hostname())
        };
        let config = imap::Config { failure_delay: faults::hurried(config.failure_delay), ..config };
        let backend = ImapBackend {
            access: self.access.clone(),
            store: running.store.clone(),
            searcher: running.searcher.clone(),
            mechanisms: vec![mechanism],
            preauth: by_certificate && sessions.app_preauth,
            append_limit: *self.config.limits.message_octets.get_ref(),
            clock: running.clock.clone(),
            tracer: running.tracer.clone(),
        };
        Ok(ImapDoor { config: Arc::new(config), backend: Arc::new(backend) })
    }

    fn submission(&self, mechanism: smtp::Mechanism) -> Result<SmtpDoor, StartError> {
        let names = &self.running.names;
        let (entrance, clients) = match mechanism {
            smtp::Mechanism::External => (&names.submission_app, ClientCertificates::Required),
            smtp::Mechanism::XOAuth2 => (&names.submission, ClientCertificates::NotAsked),
        };
        let service = Arc::new(Submission {
            site: self.site.clone(),
            access: self.access.clone(),
            patient_limit: self.config.limits.patient_message_octets,
        });
        let tls = self.setup.acceptor(Profile::ApiLps, clients, entrance)?;
        Ok(SmtpDoor {
            config: Arc::new(self.smtp(smtp::Role::Submission, tls, entrance)),
            backend: Arc::new(SubmissionBackend { service, mechanisms: vec![mechanism] }),
        })
    }

    fn mx(&self) -> Result<SmtpDoor, StartError> {
        let entrance = &self.running.names.mx;
        // Recorded and not required: a peer with a bad certificate gets a reply that says what is wrong with it.
        let tls = self.setup.acceptor(Profile::Operator, ClientCertificates::Recorded, entrance)?;
        let service = Arc::new(Mx {
            site: self.site.clone(),
            header_from: self.config.mx.header_from,
            recipients: Default::default(),
        });
        Ok(SmtpDoor {
            config: Arc::new(self.smtp(smtp::Role::Mx, tls, entrance)),
            backend: Arc::new(MxBackend { service }),
        })
    }

    fn smtp(&self, role: smtp::Role, tls: Acceptor, entrance: &Arc<meter::Entrance>) -> smtp::Config {
        let limits = &self.config.limits;
        smtp::Config {
            max_size: *limits.message_octets.get_ref(),
            max_recipients: limits.recipients,
            // Clients are told; a relay sends again whatever it is told.
            once: (role == smtp::Role::Submission).then_some(store::DUPLICATE_MEMORY.unsigned_abs()),
            entrance: entrance.clone(),
            drain: self.running.drain.clone(),
            ..smtp::Config::new(role, tls, self.config.hostname())
        }
    }
}

fn queue_config(
    config: &Config,
    setup: &Setup,
    white_list: &Arc<Keeper>,
    running: &Running,
    trusted: Arc<tokio_util::sync::DropGuard>,
) -> Result<QueueConfig, StartError> {
    let relay = &config.relay;
    let delay_notice = seconds_of_hours(relay.delay_notice_hours);
    Ok(QueueConfig {
        store: running.store.clone(),
        white_list: white_list.clone(),
        router: MailRouter::new(relay.nameserver, relay.port).map_err(setting("DNS"))?,
        settings: smtp::client::Settings {
            helo: config.hostname().to_owned(),
            connector: setup.connector()?,
            timeouts: smtp::client::Timeouts::default(),
        },
        hostname: config.hostname().to_owned(),
        schedule: Schedule {
            first_retry: i64::try_from(*relay.first_retry_seconds.get_ref()).unwrap_or(i64::MAX),
            delay_notice,
            distrust: relay.distrust_seconds.map_or(delay_notice, |wait| i64::try_from(wait).unwrap_or(i64::MAX)),
        },
        connections_per_domain: *relay.connections_per_domain.get_ref(),
        clock: running.clock.clone(),
        tracer: running.tracer.clone(),
        trusted,
    })
}

/// When our certificate and those of the authorities end.
fn certificates(config: &Config, setup: &Setup) -> Result<Arc<[Certificate]>, StartError> {
    let read = |certificate: &X509Ref, ours| {
        let subject = trust::dn::Dn::from_x509(certificate.subject_name()).map(|dn| dn.to_string()).unwrap_or_default();
        // A date that cannot be read is one that is over: it is looked at.
        let ends = trust::tls::system_time(certificate.not_after()).unwrap_or(SystemTime::UNIX_EPOCH);
        Certificate { ours, subject, ends }
    };
    let pem = std::fs::read(config.tls.certificate.get_ref()).map_err(setting("our certificate"))?;
    let chain = openssl::x509::X509::stack_from_pem(&pem).map_err(setting("our certificate"))?;
    let ours = chain.first().map(|certificate| read(certificate, true));
    Ok(ours.into_iter().chain(setup.anchors.certificates().iter().map(|c| read(c, false))).collect())
}
