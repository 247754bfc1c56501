//! Opening a mailbox: from what a client presents to a mailbox it may use, or not. IMAP and submission both ask here.
//!
//! Invariants: the token is checked before anything is looked up, and a mailbox that does not exist, one of another
//! operator, one of somebody else and a bad address all answer [`Denied::Refused`] after the same steps (LPS-IDENT);
//! trouble of ours or of Pro Santé Connect is [`Denied::Unavailable`], never a refusal (LPS-ERR).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use faults::Fault;
use mail::{FolderName, Rights};
use mssante::{Address, NationalId, StructureId};
use psc::{TokenError, Verifier, xoauth2};
use store::{Mailbox, Store, StoreError};
use trust::clock::Clock;
use trust::tls::TlsInfo;

use crate::backends::defects;
use crate::monitoring::{LoginOutcome, Meter};
use crate::rates::{Allowance, Rates};
use crate::rights::{self, Capacity};
use crate::sharing;
use crate::traces::{Action, Trace, Tracer, Who};

/// Why a mailbox is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// The client's fault, whatever it is.
    Refused,
    /// Not the client's fault.
    Unavailable,
}

/// A mailbox opened by somebody.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The mailbox.
    pub mailbox: Mailbox,
    /// Who opened it.
    pub who: Who,
    /// As what.
    pub capacity: Capacity,
    /// What the session may ask for; counts as a session while it lives.
    pub allowance: Arc<Allowance>,
}

impl Opened {
    /// The person who opened it; `None` is an application.
    pub fn person(&self) -> Option<NationalId> {
        match &self.who {
            Who::Person(id) => id.parse().ok(),
            _ => None,
        }
    }
}

/// Where a client is, for traces.
#[derive(Clone, Debug)]
pub struct From {
    /// What it wants to do.
    pub action: Action,
    /// Its address.
    pub peer: std::net::SocketAddr,
    /// The connection's number.
    pub connection: u64,
}

/// Decides who opens what.
pub struct Access {
    store: Arc<dyn Store>,
    verifier: Verifier,
    clock: Arc<dyn Clock>,
    tracer: Tracer,
    server_certificates: bool,
    meter: Arc<Meter>,
    rates: Arc<Rates>,
}

impl Access {
    /// An access over a store, believing the tokens that `verifier` believes, within `rates`.
    pub fn new(
        store: Arc<dyn Store>,
        verifier: Verifier,
        clock: Arc<dyn Clock>,
        tracer: Tracer,
        meter: Arc<Meter>,
        rates: Arc<Rates>,
    ) -> Self {
        Access { store, verifier, clock, tracer, server_certificates: false, meter, rates }
    }

    /// Whether a server's certificate opens a BAL APP of its structure, as an `ORG AUTH_CLI` one does (CER-07).
    pub fn accept_server_certificates(mut self, accept: bool) -> Self {
        self.server_certificates = accept;
        self
    }

    /// XOAUTH2 (MSS-7.2, MSS-7.4): `response` is the decoded client response.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn by_token(&self, response: &[u8], from: &From) -> Result<Opened, Denied> {
        self.level(from, self.judge_token(response, from)).await
    }

    async fn judge_token(&self, response: &[u8], from: &From) -> Result<Opened, Denied> {
        let Ok(asked) = xoauth2::parse(response) else {
            return Err(self.refused(LoginOutcome::Malformed, Who::Unknown, "malformed XOAUTH2 response", None, from));
        };
        let identity = match self.verifier.verify(asked.token.expose()).await {
            Ok(identity) => identity,
            Err(TokenError::Refused(why)) => {
                return Err(self.refused(LoginOutcome::Token, Who::Unknown, &why.to_string(), None, from));
            }
            Err(TokenError::Unavailable(why)) => {
                tracing::warn!(connection = from.connection, "a token could not be checked: {why}");
                self.meter.login(from.action, LoginOutcome::Unavailable);
                return Err(Denied::Unavailable);
            }
        };
        let who = Who::Person(identity.national_id.to_string());
        let Some(mailbox) = self.mailbox(&asked.user).await? else {
            if faults::is_on(Fault::Oracle) {
                return Err(Denied::Unavailable);
            }
            return Err(self.refused(LoginOutcome::NoMailbox, who, "no such mailbox", None, from));
        };
        let given = self.store.rights(mailbox.id).await.map_err(|e| unavailable(&e))?;
        match rights::of_person(&mailbox, &given, &identity.national_id, self.now()) {
            Some(capacity)
                if from.action == Action::OpenSubmission
                    && !self.may_post(&mailbox, &identity.national_id, capacity).await? =>
            {
                Err(self.refused(LoginOutcome::NoRight, who, "no right to send as this mailbox", Some(&mailbox), from))
            }
            Some(capacity) => self.opened(mailbox, who, capacity, from).await,
            None if faults::is_on(Fault::AnyMailbox) => self.opened(mailbox, who, Capacity::Holder, from).await,
            None => Err(self.refused(LoginOutcome::NoRight, who, "no right on this mailbox", Some(&mailbox), from)),
        }
    }

    /// SASL EXTERNAL (LPS-APP): the mailbox asked for, or without one the only APP mailbox of the certificate's structure.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn by_certificate(&self, authzid: &str, tls: &TlsInfo, from: &From) -> Result<Opened, Denied> {
        self.level(from, self.judge_certificate(authzid, tls, from)).await
    }

    async fn judge_certificate(&self, authzid: &str, tls: &TlsInfo, from: &From) -> Result<Opened, Denied> {
        if faults::is_on(Fault::ClosedApp) {
            return Err(self.refused(LoginOutcome::Certificate, Who::Unknown, "closed", None, from));
        }
        if faults::is_on(Fault::OpenApp)
            && tls.peer.is_none()
            && let Some(mailbox) = self.mailbox(authzid).await?
        {
            return self.opened(mailbox, Who::Unknown, Capacity::Application, from).await;
        }
        let Some(certificate) = &tls.peer else {
            return Err(self.refused(LoginOutcome::Certificate, Who::Unknown, "no client certificate", None, from));
        };
        if let Err(fault) = &certificate.verdict {
            return Err(self.refused(LoginOutcome::Certificate, Who::Unknown, &fault.to_string(), None, from));
        }
        // LPS-APP: the certificate of an application, not the one of a server that the same structure runs.
        if certificate.usages.server_auth && !self.server_certificates {
            return Err(self.refused(
                LoginOutcome::Certificate,
                Who::Unknown,
                "a server's certificate, not an application's",
                None,
                from,
            ));
        }
        let structure = certificate.subject.structure_id().and_then(|id| StructureId::lenient(id).ok());
        let Some(structure) = structure else {
            return Err(self.refused(
                LoginOutcome::Certificate,
                Who::Unknown,
                "the certificate names no structure",
                None,
                from,
            ));
        };
        let who = Who::Application(structure.to_string());
        let mailbox =
            if authzid.is_empty() { self.only_app_of(&structure).await? } else { self.mailbox(authzid).await? };
        let Some(mailbox) = mailbox else {
            return Err(self.refused(LoginOutcome::NoMailbox, who, "no such mailbox", None, from));
        };
        match rights::of_structure(&mailbox, &structure) {
            Some(capacity) => self.opened(mailbox, who, capacity, from).await,
            None if faults::is_on(Fault::AnyStructure) => self.opened(mailbox, who, Capacity::Application, from).await,
            None => {
                Err(self.refused(LoginOutcome::NoRight, who, "not a mailbox of this structure", Some(&mailbox), from))
            }
        }
    }

    async fn mailbox(&self, address: &str) -> Result<Option<Mailbox>, Denied> {
        let Ok(address) = address.parse::<Address>() else { return Ok(None) };
        self.store.mailbox(&address).await.map_err(|e| unavailable(&e))
    }

    async fn only_app_of(&self, structure: &StructureId) -> Result<Option<Mailbox>, Denied> {
        let all = self.store.mailboxes().await.map_err(|e| unavailable(&e))?;
        let mut theirs = all.into_iter().filter(|m| rights::of_structure(m, structure).is_some());
        Ok(match (theirs.next(), theirs.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        })
    }

    /// As what somebody who opened a mailbox may still have it open (BAL-ROLES); `None`: a right ended, or the mailbox is gone.
    ///
    /// # Errors
    /// [`Denied::Unavailable`]: nobody knows now.
    pub async fn still(&self, opened: &Opened) -> Result<Option<Capacity>, Denied> {
        let found = self.store.mailbox(&opened.mailbox.address).await.map_err(|e| unavailable(&e))?;
        let Some(mailbox) = found.filter(|mailbox| mailbox.id == opened.mailbox.id) else { return Ok(None) };
        let capacity = match (&opened.who, opened.person()) {
            (Who::Application(structure), _) => {
                let structure = StructureId::lenient(structure).ok();
                structure.and_then(|structure| rights::of_structure(&mailbox, &structure))
            }
            (_, Some(person)) => {
                let given = self.store.rights(mailbox.id).await.map_err(|e| unavailable(&e))?;
                rights::of_person(&mailbox, &given, &person, self.now())
            }
            _ => None,
        };
        if capacity.is_none() {
            self.tracer.record(
                Trace::new(opened.who.clone(), Action::Close, true).mailbox(&mailbox.address).answer("the right ended"),
            );
        }
        Ok(capacity)
    }

    /// Whether who opened a mailbox may send as it: `p` on INBOX (RFC 4314 §2.1).
    async fn may_post(&self, mailbox: &Mailbox, who: &NationalId, capacity: Capacity) -> Result<bool, Denied> {
        let list = self.store.access(mailbox.id).await.map_err(|e| unavailable(&e))?;
        if list.is_empty() {
            return Ok(true);
        }
        let folders = self.store.folders(mailbox.id).await.map_err(|e| unavailable(&e))?;
        let inbox = folders.iter().find(|folder| folder.name == FolderName::inbox());
        Ok(inbox.is_none_or(|inbox| sharing::in_folder(capacity, Some(who), &list, inbox.id).contains(Rights::POST)))
    }

    async fn opened(&self, mailbox: Mailbox, who: Who, capacity: Capacity, from: &From) -> Result<Opened, Denied> {
        let Some(allowance) = self.rates.enter(mailbox.id) else {
            tracing::warn!(connection = from.connection, "a mailbox is opened too often, or by too many sessions");
            return Err(self.limited(from));
        };
        self.meter.login(from.action, LoginOutcome::Granted);
        if let Err(e) = self.store.note_authentication(mailbox.id, self.now()).await {
            tracing::warn!("an authentication could not be noted: {e}");
        }
        self.tracer.record(Trace {
            capacity: Some(capacity.label()),
            peer: Some(from.peer.to_string()),
            connection: Some(from.connection),
            ..Trace::new(who.clone(), from.action, true).mailbox(&mailbox.address)
        });
        Ok(Opened { mailbox, who, capacity, allowance })
    }

    fn refused(&self, outcome: LoginOutcome, who: Who, why: &str, mailbox: Option<&Mailbox>, from: &From) -> Denied {
        self.meter.login(from.action, outcome);
        tracing::info!(connection = from.connection, "authentication refused: {why}");
        self.tracer.record(Trace {
            mailbox: mailbox.map(|m| m.address.to_string()),
            peer: Some(from.peer.to_string()),
            connection: Some(from.connection),
            ..Trace::new(who, from.action, false).answer(why)
        });
        Denied::Refused
    }

    fn now(&self) -> i64 {
        seconds(self.clock.as_ref())
    }

    fn limited(&self, from: &From) -> Denied {
        self.meter.login(from.action, LoginOutcome::Limited);
        Denied::Unavailable
    }

    /// Gives every refusal of an address the same time, longer when it has had many.
    async fn level(
        &self,
        from: &From,
        judging: impl Future<Output = Result<Opened, Denied>>,
    ) -> Result<Opened, Denied> {
        if !self.rates.attempt(from.peer.ip()) {
            tracing::warn!(connection = from.connection, "too many logins from one address");
            return Err(self.limited(from));
        }
        let began = tokio::time::Instant::now();
        let judged = judging.await;
        let judged = if faults::ARMED { defects::spoiled(judged).await } else { judged };
        if matches!(judged, Err(Denied::Refused)) {
            tokio::time::sleep_until(began + faults::hurried(REFUSAL_AFTER) * self.rates.refused(from.peer.ip())).await;
        }
        judged
    }
}

/// A refusal comes no earlier than this after the question, whatever was looked up to decide it: the time of the answer must
/// not tell which mailboxes exist (LPS-IDENT), and guessing is slow. Long beside a look-up, short for a person.
const REFUSAL_AFTER: Duration = Duration::from_millis(250);

fn unavailable(error: &StoreError) -> Denied {
    tracing::error!("the store cannot answer: {error}");
    Denied::Unavailable
}

/// Seconds since 1970 of a clock.
pub(crate) fn seconds(clock: &dyn Clock) -> i64 {
    let since = clock.now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
