//! Finding out about a certificate that no list at hand speaks of: lists fetched where the certificate says they are, and OCSP.
//!
//! A verification inside a handshake cannot wait for the network. It notes what it could not decide; once the handshake is over, and
//! before the connection is given to anybody, [`Revocation::settle`] finds out. Only certificates whose chain was found good come
//! that far, so the addresses asked are those an authority wrote.
//!
//! Order (ECO.1.1.6, ECO.1.1.7): the list at hand; an answer at hand or stapled; then lists and OCSP at the same time, whichever tells
//! first. Nothing waits longer than [`SETTLE_TIMEOUT`].

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use openssl::x509::{X509, X509Ref};
use tokio::time::{Instant, timeout};

use super::crl::IssuerKey;
use super::ocsp::{self, Answer, CertId, OcspError, Question, Status};
use super::{CrlSource, Revocation, RevocationPolicy};
use crate::http::read_limited;
use crate::tls::CertificateFault;

/// Longest time to find out about one chain: somebody waits for their mail.
pub const SETTLE_TIMEOUT: Duration = Duration::from_secs(12);
/// One exchange with an OCSP service.
const OCSP_TIMEOUT: Duration = Duration::from_secs(8);
/// Time before an address that failed is asked again.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// Most answers kept; a program talks to a handful of servers, an operator's port to some thousands.
const MAX_ANSWERS: usize = 4096;
/// Most distribution points of a certificate looked at, and most remembered in all.
const MAX_POINTS: usize = 2;
const MAX_LEARNED: usize = 32;
/// Largest answer of an OCSP service.
const MAX_OCSP: usize = 64 * 1024;

/// What may be asked over the network when no list at hand tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Online {
    /// Fetch lists during a handshake: those of the settings that are not there yet, and those the certificate points to.
    pub lists: bool,
    /// Ask OCSP services.
    pub ocsp: Ocsp,
}

impl Online {
    /// Lists, and OCSP when there is none.
    pub const ALL: Online = Online { lists: true, ocsp: Ocsp::WithoutList };
}

/// When OCSP services are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ocsp {
    /// Never.
    #[default]
    Never,
    /// When no valid list is at hand.
    WithoutList,
    /// For each certificate shown by a peer; the list is what remains when the service does not answer.
    Always,
}

/// What is known of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    Good,
    Revoked,
    Unknown,
}

/// A certificate that could not be judged during the handshake, with its issuer.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) certificate: X509,
    pub(crate) issuer: X509,
}

/// What was asked and answered.
#[derive(Debug, Default)]
pub(super) struct Asked {
    answers: std::sync::RwLock<HashMap<[u8; 32], Answer>>,
    /// When each address was last tried; held while lists are fetched, so that many handshakes cause one fetch.
    lists: tokio::sync::Mutex<HashMap<CrlSource, Instant>>,
    /// OCSP services that failed, and when.
    silent: std::sync::Mutex<HashMap<String, Instant>>,
    /// Distribution points found in certificates, for the regular refresh.
    learned: std::sync::Mutex<Vec<CrlSource>>,
    /// When all lists were last refreshed.
    refreshed: std::sync::Mutex<Option<Instant>>,
}

impl Revocation {
    /// What the lists and answers at hand say.
    pub(crate) fn judge(&self, certificate: &X509Ref, issuer: &X509Ref, now: SystemTime) -> Judgement {
        let Ok(key) = IssuerKey::of(issuer) else { return Judgement::Unknown };
        let list = self.lists.read().unwrap_or_else(PoisonError::into_inner).get(&key).map(Arc::clone);
        // a revoked certificate stays so, even if the list that says it has ended
        if list.as_ref().is_some_and(|list| list.names(certificate)) {
            return Judgement::Revoked;
        }
        match self.answer_at_hand(certificate, issuer) {
            Some(answer) if answer.status == Status::Revoked => return Judgement::Revoked,
            Some(answer) if answer.status == Status::Good && answer.counts_at(now) => return Judgement::Good,
            _ => {}
        }
        if list.is_some_and(|list| list.counts_at(now)) { Judgement::Good } else { Judgement::Unknown }
    }

    /// Whether a handshake may leave a question open, for [`Revocation::settle`].
    pub(crate) fn is_online(&self) -> bool {
        self.settings.online != Online::default()
    }

    /// Whether a certificate of a peer is asked about even if a list says that it is good.
    pub(crate) fn always_asks(&self) -> bool {
        self.settings.online.ocsp == Ocsp::Always
    }

    /// Finds out about what a handshake left open; the peer's certificate comes first. `stapled` is the answer the peer itself gave
    /// about it.
    pub(crate) async fn settle(
        self: &Arc<Self>,
        pending: &[Pending],
        stapled: Option<&[u8]>,
    ) -> Result<(), CertificateFault> {
        let now = self.settings.clock.now();
        if let (Some(stapled), Some(first)) = (stapled, pending.first()) {
            self.take_stapled(first, stapled, now);
        }
        let until = Instant::now() + SETTLE_TIMEOUT;
        for (place, pending) in pending.iter().enumerate() {
            let fresh = place == 0 && self.always_asks() && self.answer_counts(pending, now).is_none();
            let mut judgement = if fresh { Judgement::Unknown } else { self.judge_pending(pending, now) };
            if judgement == Judgement::Unknown {
                judgement =
                    tokio::time::timeout_at(until, self.find_out(pending, now)).await.unwrap_or(Judgement::Unknown);
            }
            if judgement == Judgement::Unknown {
                // what a list that came meanwhile says, or the one there was
                judgement = self.judge_pending(pending, now);
            }
            match judgement {
                Judgement::Good => {}
                Judgement::Revoked => return Err(CertificateFault::Revoked),
                Judgement::Unknown => self.without_knowledge()?,
            }
        }
        Ok(())
    }

    /// What the policy says of a certificate nothing is known of.
    pub(super) fn without_knowledge(&self) -> Result<(), CertificateFault> {
        match self.settings.policy {
            RevocationPolicy::Required if faults::is_on(faults::Fault::WithoutList) => Ok(()),
            RevocationPolicy::Required => Err(CertificateFault::CrlUnavailable),
            RevocationPolicy::Tolerant => Ok(()),
        }
    }

    fn judge_pending(&self, pending: &Pending, now: SystemTime) -> Judgement {
        self.judge(&pending.certificate, &pending.issuer, now)
    }

    /// Lists and OCSP at the same time. What comes second is not waited for; a list goes on being fetched, for the next time.
    async fn find_out(self: &Arc<Self>, pending: &Pending, now: SystemTime) -> Judgement {
        let by_list = {
            let (revocation, pending) = (Arc::clone(self), pending.clone());
            tokio::spawn(async move { revocation.fetch_lists(&pending, now).await })
        };
        let by_ocsp = self.ask(pending, now);
        tokio::pin!(by_list, by_ocsp);
        let (mut list_done, mut ocsp_done) = (false, false);
        while !(list_done && ocsp_done) {
            let found = tokio::select! {
                ended = &mut by_list, if !list_done => {
                    list_done = true;
                    ended.unwrap_or(Judgement::Unknown)
                }
                answer = &mut by_ocsp, if !ocsp_done => {
                    ocsp_done = true;
                    match answer {
                        Ok(Answer { status: Status::Good, .. }) => Judgement::Good,
                        Ok(Answer { status: Status::Revoked, .. }) => Judgement::Revoked,
                        Ok(Answer { status: Status::Unknown, .. }) => Judgement::Unknown,
                        Err(error) => {
                            tracing::debug!(%error, "no answer of OCSP");
                            Judgement::Unknown
                        }
                    }
                }
            };
            // With OCSP asked always, its word comes before that of a list that lets the certificate pass.
            let wait = self.always_asks() && !ocsp_done && found == Judgement::Good;
            if found != Judgement::Unknown && !wait {
                return found;
            }
        }
        Judgement::Unknown
    }

    /// Fetches the lists that may speak of the certificate and were not tried lately.
    async fn fetch_lists(&self, pending: &Pending, now: SystemTime) -> Judgement {
        if !self.settings.online.lists {
            return self.judge_pending(pending, now);
        }
        let mut tried = self.asked.lists.lock().await;
        let points = distribution_points(&pending.certificate);
        self.learn(&points);
        for source in self.settings.sources.iter().chain(&points) {
            // somebody may have fetched it while we waited
            let judgement = self.judge_pending(pending, now);
            if judgement != Judgement::Unknown {
                return judgement;
            }
            if tried.get(source).is_some_and(|at| at.elapsed() < RETRY_AFTER) {
                continue;
            }
            tried.insert(source.clone(), Instant::now());
            let taken = match timeout(SETTLE_TIMEOUT, self.fetch(source)).await {
                Ok(Ok(bytes)) => self.install(&bytes).map(drop).map_err(|error| error.to_string()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("no answer in time".to_owned()),
            };
            if let Err(error) = taken {
                tracing::info!(?source, error, "revocation list not fetched");
            }
        }
        self.judge_pending(pending, now)
    }

    fn learn(&self, points: &[CrlSource]) {
        let mut learned = self.asked.learned.lock().unwrap_or_else(PoisonError::into_inner);
        for point in points {
            if !learned.contains(point) && !self.settings.sources.contains(point) && learned.len() < MAX_LEARNED {
                learned.push(point.clone());
            }
        }
    }

    /// Distribution points found in certificates that are not in the settings.
    pub(super) fn learned(&self) -> Vec<CrlSource> {
        self.asked.learned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Refreshes the lists in the background when the last time is longer ago than the settings have it: for programs that run no
    /// [`Revocation::spawn_refresh`]. Returns at once.
    pub fn keep_fresh(self: &Arc<Self>) {
        {
            let mut last = self.asked.refreshed.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_some_and(|at| at.elapsed() < self.settings.refresh_every) {
                return;
            }
            *last = Some(Instant::now());
        }
        let revocation = Arc::clone(self);
        tokio::spawn(async move {
            revocation.refresh().await;
        });
    }

    /// Asks the OCSP service of a certificate.
    async fn ask(&self, pending: &Pending, now: SystemTime) -> Result<Answer, OcspError> {
        let Some(client) = self.client.as_ref().filter(|_| self.settings.online.ocsp != Ocsp::Never) else {
            return Err(OcspError::NoService);
        };
        let url = service(&pending.certificate).ok_or(OcspError::NoService)?;
        let silent = |url: &str| {
            let silent = self.asked.silent.lock().unwrap_or_else(PoisonError::into_inner);
            silent.get(url).is_some_and(|at| at.elapsed() < RETRY_AFTER)
        };
        if silent(&url) {
            return Err(OcspError::Silent);
        }
        let id = CertId::of(&pending.certificate, &pending.issuer)?;
        let question = Question::about(&id)?;
        let client = client.get()?;
        let exchange = async {
            let request =
                client.post(&url).header("content-type", "application/ocsp-request").body(question.der.clone());
            let response = request.send().await.map_err(crate::http::HttpError::from)?;
            if response.status() != reqwest::StatusCode::OK {
                return Err(OcspError::from(crate::http::HttpError::Status(response.status())));
            }
            Ok(read_limited(response, MAX_OCSP).await?)
        };
        let fetched = timeout(OCSP_TIMEOUT, exchange).await.unwrap_or(Err(OcspError::Silent));
        let bytes = match fetched {
            Ok(bytes) => bytes,
            Err(error) => {
                let mut silent = self.asked.silent.lock().unwrap_or_else(PoisonError::into_inner);
                if silent.len() >= MAX_LEARNED {
                    silent.clear();
                }
                silent.insert(url, Instant::now());
                return Err(error);
            }
        };
        let answer = ocsp::read(&bytes, &id, &pending.issuer, Some(&question.nonce), now)?;
        self.keep(&id, answer, now);
        Ok(answer)
    }

    /// Takes the answer a peer gave about its own certificate, if it is to be believed.
    fn take_stapled(&self, pending: &Pending, stapled: &[u8], now: SystemTime) {
        let taken = CertId::of(&pending.certificate, &pending.issuer)
            .and_then(|id| Ok((ocsp::read(stapled, &id, &pending.issuer, None, now)?, id)));
        match taken {
            Ok((answer, id)) => self.keep(&id, answer, now),
            Err(error) => tracing::debug!(%error, "stapled OCSP answer not taken"),
        }
    }

    fn keep(&self, id: &CertId, answer: Answer, now: SystemTime) {
        let Ok(key) = id.digest() else { return };
        let mut answers = self.asked.answers.write().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= MAX_ANSWERS {
            answers.retain(|_, answer| answer.status == Status::Revoked || answer.counts_at(now));
            if answers.len() >= MAX_ANSWERS {
                answers.clear();
            }
        }
        answers.insert(key, answer);
    }

    fn answer_at_hand(&self, certificate: &X509Ref, issuer: &X509Ref) -> Option<Answer> {
        let answers = self.asked.answers.read().unwrap_or_else(PoisonError::into_inner);
        if answers.is_empty() {
            return None;
        }
        answers.get(&CertId::of(certificate, issuer).ok()?.digest().ok()?).copied()
    }

    fn answer_counts(&self, pending: &Pending, now: SystemTime) -> Option<Answer> {
        self.answer_at_hand(&pending.certificate, &pending.issuer).filter(|answer| answer.counts_at(now))
    }
}

/// Where a certificate says the lists of its issuer are: over clear HTTP only, as RFC 5280 §8 has it (a list is signed).
fn distribution_points(certificate: &X509Ref) -> Vec<CrlSource> {
    let mut found = Vec::new();
    for point in certificate.crl_distribution_points().iter().flatten() {
        let names = point.distpoint().and_then(|name| name.fullname());
        let uris = names.into_iter().flatten().filter_map(|name| name.uri());
        found.extend(uris.filter(|uri| uri.starts_with("http://")).map(|uri| CrlSource::Url(uri.to_owned())));
    }
    found.truncate(MAX_POINTS);
    found
}

/// Where a certificate says the OCSP service of its issuer is.
fn service(certificate: &X509Ref) -> Option<String> {
    let responders = certificate.ocsp_responders().ok()?;
    responders.iter().map(|url| url.to_string()).find(|url| url.starts_with("http://"))
}
