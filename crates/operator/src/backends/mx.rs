//! Mail from other operators, by mutual TLS (OPE-MTLS, OPE-LIST).
//!
//! Invariants: a peer speaks for a domain only if the DN of its valid certificate stands beside that domain in the white list;
//! nothing is relayed: a recipient is one of ours or is refused; a message we acknowledged and whose 250 was lost comes again
//! and is recognised (OPE-QUEUE); who asked to be told of success is told, since EHLO takes that duty over (RFC 3461 §5.2.2).

use std::sync::Arc;

use async_trait::async_trait;
use faults::Fault;
use mail::header;
use mail::header::{Address as MailAddress, Fields, parse_addresses};
use mssante::{Domain, MailboxKind};
use smtp::backend::{
    Accepted, AuthFailure, Backend, Credentials, Mechanism, MessageSink, Peer, Received, Sender, Transaction,
};
use smtp::{Enhanced, MailFrom, Rcpt, Reply, ReversePath};
use store::{Commit, Delivered, MailboxId, NewQueueRecipient, Target};
use trust::dn::{CanonicalDn, Dn};
use trust::tls::CertificateFault;
use trust::white_list::WhiteList;

use super::Site;
use super::incoming::{Gate, Incoming, NO_FIELD, NO_LIST, RETURN_PATH, message_number, received_field, reply};
use super::recipients::Recipients;
use super::submission::notify;
use crate::access::seconds;
use crate::config::HeaderFrom;
use crate::notices::{Destination, Notices, Subject};
use crate::traces::{Action, Trace, Who};

/// The operator interface.
pub struct MxBackend {
    /// What all its connections share.
    pub service: Arc<Mx>,
}

/// What the operator interface needs.
pub struct Mx {
    /// What it shares with submission.
    pub site: Arc<Site>,
    /// Whose names peers may write in the From field.
    pub header_from: HeaderFrom,
    /// Mailboxes looked up a moment ago.
    pub recipients: Recipients,
}

const UNLISTED: Reply = Reply::fixed(
    550,
    Some(Enhanced(5, 7, 1)),
    "The DN of your certificate is not on the white list of the MSSante trust space",
);
const NOT_YOUR_DOMAIN: Reply = Reply::fixed(
    550,
    Some(Enhanced(5, 7, 1)),
    "The sender's domain is not one of those the white list gives to your certificate",
);
const NO_RELAY: Reply = Reply::fixed(550, Some(Enhanced(5, 7, 1)), "Relaying denied: not a domain of this operator");

const FROM_IS_OURS: Reply = Reply::fixed(
    550,
    Some(Enhanced(5, 7, 1)),
    "The From field names somebody of this operator: only they may write in that name",
);
/// Authors of one message that are looked at; a header of 64 KiB holds no more.
const MAX_AUTHORS: usize = 10_000;

/// What a fault of a client certificate is answered.
fn fault_reply(fault: CertificateFault) -> Reply {
    match fault {
        CertificateFault::Missing => Reply::CERTIFICATE_REQUIRED,
        CertificateFault::CrlUnavailable => Reply::fixed(
            451,
            Some(Enhanced(4, 7, 5)),
            "Your certificate cannot be checked now: no valid revocation list at hand, try again later",
        ),
        other => Reply::new(550, Enhanced(5, 7, 1), format!("Your client certificate is refused: {other}")),
    }
}

#[async_trait]
impl Backend for MxBackend {
    fn mechanisms(&self) -> &[Mechanism] {
        &[]
    }

    async fn authenticate(&self, _peer: &Peer, _credentials: Credentials) -> Result<Arc<dyn Sender>, AuthFailure> {
        Err(AuthFailure::Refused)
    }

    async fn identify(&self, peer: &Peer) -> Result<Arc<dyn Sender>, Reply> {
        let service = &self.service;
        let presented = peer.tls.peer.as_ref().map(|p| p.subject.clone());
        let outcome = match (peer.tls.client(), service.site.white_list.current()) {
            (Err(fault), _) => Err(fault_reply(fault)),
            (Ok(_), None) => Err(NO_LIST),
            (Ok(_), Some(_)) if faults::is_on(Fault::PeerRefused) => Err(UNLISTED),
            (Ok(certificate), Some(_)) if faults::is_on(Fault::UnlistedPeer) => Ok(certificate.subject.clone()),
            (Ok(certificate), Some(list)) if list.domains_of(&certificate.subject).next().is_none() => Err(UNLISTED),
            (Ok(certificate), Some(_)) => Ok(certificate.subject.clone()),
        };
        if let Err(answer) = &outcome {
            let who = presented.map_or(Who::Unknown, |dn| Who::Operator(dn.to_string()));
            service.site.tracer.record(Trace {
                peer: Some(peer.address.to_string()),
                connection: Some(peer.connection),
                ..Trace::new(who, Action::OperatorPresents, false).reply(answer)
            });
        }
        let subject = Arc::new(Presented::new(&outcome?));
        Ok(Arc::new(OtherOperator { service: service.clone(), subject }))
    }
}

/// The name of a certificate, as each message of its connection needs it.
struct Presented {
    /// For the white list.
    key: CanonicalDn,
    /// For traces.
    text: String,
}

impl Presented {
    fn new(name: &Dn) -> Self {
        Presented { key: name.canonical(), text: name.to_string() }
    }
}

/// An operator whose certificate is listed.
struct OtherOperator {
    service: Arc<Mx>,
    subject: Arc<Presented>,
}

impl Mx {
    fn refused(&self, subject: &Presented, peer: &Peer, from: &ReversePath, to: Option<&str>, answer: &Reply) {
        self.site.tracer.record(Trace {
            with: std::iter::once(from.to_string()).chain(to.map(String::from)).collect(),
            peer: Some(peer.address.to_string()),
            connection: Some(peer.connection),
            ..Trace::new(Who::Operator(subject.text.clone()), Action::Receive, false).reply(answer)
        });
    }

    /// Refuses a From field that would pass its message off as somebody else's ([`HeaderFrom`]).
    fn check_from(&self, block: &[u8], subject: &Presented) -> Result<(), Reply> {
        if self.header_from == HeaderFrom::Any {
            return Ok(());
        }
        // A line that is no field may be a From field to other programs.
        if !header::is_sound(block) {
            return Err(NO_FIELD);
        }
        let list = self.list()?;
        for field in Fields::new(block).filter(|field| field.is("From")) {
            for address in parse_addresses(&field.value(), MAX_AUTHORS).addresses {
                let MailAddress::Mailbox { domain, .. } = address else { continue };
                let ours = domain.parse::<Domain>().is_ok_and(|domain| self.site.domains.contains(&domain));
                if ours {
                    return Err(FROM_IS_OURS);
                }
                if self.header_from == HeaderFrom::Listed && !list.allows_key(&domain, &subject.key) {
                    return Err(NOT_YOUR_DOMAIN);
                }
            }
        }
        Ok(())
    }

    fn list(&self) -> Result<Arc<WhiteList>, Reply> {
        self.site.white_list.current().ok_or(NO_LIST)
    }
}

impl OtherOperator {
    /// Whether a defect has the sender's domain taken.
    fn is_spoiled(&self, list: &WhiteList, domain: &str) -> bool {
        let parent = domain.split_once('.').map_or("", |(_, parent)| parent);
        let is_below = faults::is_on(Fault::Subdomains) && list.allows_key(parent, &self.subject.key);
        let is_unlisted = faults::is_on(Fault::UnlistedPeer) && list.is_listed(domain);
        is_below || is_unlisted || super::defects::is_kept(domain, list.allows_key(domain, &self.subject.key))
    }
}

#[async_trait]
impl Sender for OtherOperator {
    async fn mail_from(&self, peer: &Peer, from: &MailFrom) -> Result<Box<dyn Transaction>, Reply> {
        let allowed = match &from.path {
            // A notice has no sender: the certificate is listed, and that is all there is to check.
            ReversePath::Null if faults::is_on(Fault::NoNullSender) => Err(NOT_YOUR_DOMAIN),
            ReversePath::Null => Ok(()),
            ReversePath::Address(_) | ReversePath::Other(_) if faults::is_on(Fault::AnyDomain) => Ok(()),
            ReversePath::Address(address) => match self.service.list() {
                Ok(list) if faults::ARMED && self.is_spoiled(&list, address.domain().as_str()) => Ok(()),
                Ok(list) if list.allows_key(address.domain().as_str(), &self.subject.key) => Ok(()),
                Ok(_) => Err(NOT_YOUR_DOMAIN),
                Err(answer) => Err(answer),
            },
            ReversePath::Other(_) => Err(NOT_YOUR_DOMAIN),
        };
        if let Err(answer) = allowed {
            self.service.refused(&self.subject, peer, &from.path, None, &answer);
            return Err(answer);
        }
        Ok(Box::new(Delivery {
            service: self.service.clone(),
            subject: self.subject.clone(),
            peer: peer.clone(),
            from: from.clone(),
            to: Vec::new(),
        }))
    }
}

struct Delivery {
    service: Arc<Mx>,
    subject: Arc<Presented>,
    peer: Peer,
    from: MailFrom,
    to: Vec<Addressee>,
}

/// A recipient of ours.
struct Addressee {
    mailbox: MailboxId,
    rcpt: NewQueueRecipient,
}

impl Delivery {
    /// The mailbox of a recipient, or why it gets nothing.
    async fn find(&self, to: &Rcpt) -> Result<Addressee, Reply> {
        let service = &self.service;
        let address = match &to.path {
            smtp::ForwardPath::Address(address) => address.clone(),
            smtp::ForwardPath::Postmaster => service.site.postmaster().ok_or(Reply::NO_SUCH_MAILBOX)?,
            smtp::ForwardPath::Other(_) => return Err(NO_RELAY),
        };
        if !service.site.domains.contains(address.domain()) {
            return Err(NO_RELAY);
        }
        let find =
            async |address| service.recipients.find(service.site.store.as_ref(), address).await.map_err(|e| reply(&e));
        let mailbox = match (find(&address).await?, service.site.in_place_of(&address)) {
            (None, Some(postmaster)) => find(postmaster).await?,
            (found, _) => found,
        };
        let mailbox = mailbox.ok_or(Reply::NO_SUCH_MAILBOX)?;
        if mailbox.kind == MailboxKind::Org && faults::is_on(Fault::ClosedServices) {
            return Err(Reply::NO_SUCH_MAILBOX);
        }
        let (quota, usage) = (mailbox.quota, mailbox.usage);
        let coming = self.from.size.unwrap_or(0);
        let full = quota.octets.is_some_and(|most| usage.octets + coming > most)
            || quota.messages.is_some_and(|most| usage.messages >= most);
        if full {
            return Err(reply(&store::StoreError::OverQuota));
        }
        let original = to.orcpt.as_ref().map(ToString::to_string);
        let rcpt = NewQueueRecipient { address: mailbox.address, notify: notify(to.notify), original };
        Ok(Addressee { mailbox: mailbox.id, rcpt })
    }
}

#[async_trait]
impl Transaction for Delivery {
    async fn rcpt(&mut self, to: &Rcpt) -> Result<(), Reply> {
        match self.find(to).await {
            Ok(found) => {
                if !self.to.iter().any(|other| other.mailbox == found.mailbox) {
                    self.to.push(found);
                }
                Ok(())
            }
            Err(_) if faults::is_on(Fault::OpenRelay) => Ok(()),
            Err(answer) => {
                self.service.refused(&self.subject, &self.peer, &self.from.path, Some(&to.path.to_string()), &answer);
                Err(answer)
            }
        }
    }

    async fn begin_data(self: Box<Self>) -> Result<Box<dyn MessageSink>, Reply> {
        let service = &self.service;
        let number = message_number();
        let now = seconds(service.site.clock.as_ref());
        let only_for = match self.to.as_slice() {
            [only] => Some(only.rcpt.address.to_string()),
            _ => None,
        };
        let only_for = only_for.as_deref();
        let trace =
            received_field(&self.peer, &service.site.hostname, false, self.from.smtputf8, &number, only_for, now);
        let gate = TraceGate {
            service: service.clone(),
            subject: self.subject.clone(),
            front: format!("{RETURN_PATH}<{}>\r\n{trace}", self.from.path),
            message_id: None,
            relayed: false,
        };
        let incoming = Incoming::new(service.site.store.spool(), gate, service.site.limit, self.from.size);
        Ok(Box::new(Arriving { delivery: *self, incoming, number, now }))
    }
}

/// Puts the trace fields in front, and notes what recognises the message if it comes again.
struct TraceGate {
    service: Arc<Mx>,
    subject: Arc<Presented>,
    front: String,
    message_id: Option<String>,
    relayed: bool,
}

impl Gate for TraceGate {
    fn pass(&mut self, block: &[u8]) -> Result<Vec<u8>, Reply> {
        self.service.check_from(block, &self.subject)?;
        self.message_id = header::find(block, "Message-ID");
        self.relayed = header::find(block, "Received").is_some();
        Ok(std::mem::take(&mut self.front).into_bytes())
    }
}

struct Arriving {
    delivery: Delivery,
    incoming: Incoming<TraceGate>,
    number: String,
    now: i64,
}

#[async_trait]
impl MessageSink for Arriving {
    async fn write(&mut self, piece: &[u8]) -> Result<(), Reply> {
        self.incoming.write(piece).await
    }

    async fn commit(self: Box<Self>, _received: Received) -> Result<Accepted, Reply> {
        let Arriving { delivery, incoming, number, now } = *self;
        let service = &delivery.service;
        let outcome = async {
            let arrived = incoming.finish().await?;
            let size = arrived.content.body.len();
            let target = |to: &Addressee| Target::inbox(to.mailbox, now);
            // The very same octets with the number and time of another server's Received and a Message-ID: it is the same
            // message again, not another one that looks like it.
            let again = arrived.gate.relayed && arrived.gate.message_id.is_some();
            let commit = Commit {
                content: Some(arrived.content),
                deliver: delivery.to.iter().map(target).collect(),
                duplicate_key: again.then_some(arrived.digest),
                saved_at: now,
                ..Commit::default()
            };
            let done = service.site.store.commit(commit).await.map_err(|e| reply(&e))?;
            Ok((size, arrived.gate.message_id, done.delivered))
        };
        match outcome.await {
            Ok((size, message, delivered)) => {
                let duplicate = delivered.iter().all(|d| matches!(d, Delivered::Duplicate));
                let answer = if duplicate { format!("{number} (already received)") } else { number.clone() };
                service.site.tracer.record(Trace {
                    with: std::iter::once(delivery.from.path.to_string())
                        .chain(delivery.to.iter().map(|to| to.rcpt.address.to_string()))
                        .collect(),
                    message: message.clone(),
                    quantity: Some(size),
                    peer: Some(delivery.peer.address.to_string()),
                    connection: Some(delivery.peer.connection),
                    ..Trace::new(Who::Operator(delivery.subject.text.clone()), Action::Receive, true).answer(answer)
                });
                delivery.tell_of_success(message.as_deref(), now).await;
                Ok(Accepted { id: number })
            }
            Err(answer) => {
                service.refused(&delivery.subject, &delivery.peer, &delivery.from.path, None, &answer);
                Err(answer)
            }
        }
    }
}

impl Delivery {
    /// DSN for recipients whose delivery was to be told (RFC 3461). The mail is delivered: trouble here is only logged. A message
    /// that came again is told of again: the first notice may be what was lost.
    async fn tell_of_success(&self, message_id: Option<&str>, now: i64) {
        let service = &self.service;
        let told: Vec<_> = self.to.iter().filter(|to| to.rcpt.notify.success).map(|to| to.rcpt.clone()).collect();
        let Some(return_path) = self.from.path.address().filter(|_| !told.is_empty()) else { return };
        let notices = Notices { hostname: &service.site.hostname, tracer: &service.site.tracer };
        let subject = Subject {
            to: return_path,
            envelope_id: self.from.envid.as_ref().map(|e| e.as_str()),
            message_id,
            accepted_at: now,
            original: None,
        };
        let to = Destination::Away { domain: &service.site.domains[0], expires_at: now + service.site.expire };
        let commit = match notices.delivered(&subject, &told, None, to, service.site.store.spool(), now).await {
            Ok(commit) => commit,
            Err(error) => return tracing::warn!("a delivery notice could not be made: {error}"),
        };
        match service.site.store.commit(commit).await {
            Ok(done) => {
                if let Some(id) = done.queued {
                    service.site.queue.added(id, vec![return_path.domain().clone()], now);
                }
            }
            Err(error) => tracing::warn!("a delivery notice could not be queued: {error}"),
        }
    }
}
