//! Mail from our own people: submission (RFC 6409) with the duties of the API LPS.
//!
//! Invariants: the sender is the authenticated mailbox, in the envelope (or `<>`, for receipts, RFC 8098) and in the one From
//! field; a recipient outside the white list is refused at RCPT and can never be queued (OPE-LIST); what is answered 250 is on
//! disk, in the mailboxes of ours it was for and in the queue for the others, in one commit; what is sent again, octet for octet, goes
//! to nobody a second time (ADR 3).

use std::sync::Arc;

use async_trait::async_trait;
use faults::Fault;
use mail::date::{Moment, format_rfc5322};
use mail::header::{self, Fields, Writer, parse_addresses};
use mssante::Address;
use smtp::backend::{
    Accepted, AuthFailure, Backend, Credentials, Mechanism, MessageSink, Peer, Received, Sender, Transaction,
};
use smtp::{BodyType, Enhanced, ForwardPath, MailFrom, Notify, Rcpt, Reply, Ret, ReversePath};
use store::{Commit, Delivered, MailParameters, MailboxId, NewQueueEntry, NewQueueRecipient, Target};

use super::Site;
use super::incoming::{Arrived, Gate, Incoming, NO_FIELD, NO_LIST, RETURN_PATH, message_number, received_field, reply};
use crate::access::{Access, Denied, From, Opened, seconds};
use crate::notices::{Destination, Notices, Subject};
use crate::traces::{Action, Trace};

/// What submission needs, shared by all its connections.
pub struct Submission {
    /// What it shares with the operator interface.
    pub site: Arc<Site>,
    /// Who decides who sends.
    pub access: Arc<Access>,
    /// The largest message to Mon espace santé, in octets (OPE-PATIENT).
    pub patient_limit: u64,
}

/// Submission for one entry point.
pub struct SubmissionBackend {
    /// The service.
    pub service: Arc<Submission>,
    /// What the entry point offers: XOAUTH2, or EXTERNAL.
    pub mechanisms: Vec<Mechanism>,
}

#[async_trait]
impl Backend for SubmissionBackend {
    fn mechanisms(&self) -> &[Mechanism] {
        &self.mechanisms
    }

    async fn authenticate(&self, peer: &Peer, credentials: Credentials) -> Result<Arc<dyn Sender>, AuthFailure> {
        let from = From { action: Action::OpenSubmission, peer: peer.address, connection: peer.connection };
        let access = &self.service.access;
        let opened = match credentials {
            Credentials::XOAuth2(response) => access.by_token(&response, &from).await,
            Credentials::External(authzid) => access.by_certificate(&authzid, &peer.tls, &from).await,
        };
        match opened {
            Ok(opened) => Ok(Arc::new(Author { service: self.service.clone(), opened: Arc::new(opened) })),
            Err(Denied::Refused) => Err(AuthFailure::Refused),
            Err(Denied::Unavailable) => Err(AuthFailure::Unavailable),
        }
    }

    async fn identify(&self, _peer: &Peer) -> Result<Arc<dyn Sender>, Reply> {
        Err(Reply::AUTH_REQUIRED)
    }
}

/// Somebody authenticated.
struct Author {
    service: Arc<Submission>,
    opened: Arc<Opened>,
}

const NOT_YOUR_ADDRESS: Reply =
    Reply::fixed(550, Some(Enhanced(5, 7, 1)), "The sender must be the mailbox you authenticated for");

#[async_trait]
impl Sender for Author {
    async fn mail_from(&self, peer: &Peer, from: &MailFrom) -> Result<Box<dyn Transaction>, Reply> {
        let own = &self.opened.mailbox.address;
        let allowed = match &from.path {
            ReversePath::Null => true,
            ReversePath::Address(address) => address == own,
            ReversePath::Other(_) => false,
        };
        if !allowed && !faults::is_on(Fault::AnySender) {
            self.service.refused(&self.opened, peer, &NOT_YOUR_ADDRESS, None);
            return Err(NOT_YOUR_ADDRESS);
        }
        Ok(Box::new(Draft {
            service: self.service.clone(),
            opened: self.opened.clone(),
            peer: peer.clone(),
            from: from.clone(),
            local: Vec::new(),
            remote: Vec::new(),
        }))
    }
}

impl Submission {
    fn refused(&self, opened: &Opened, peer: &Peer, answer: &Reply, to: Option<&str>) {
        self.site.tracer.record(Trace {
            capacity: Some(opened.capacity.label()),
            with: to.into_iter().map(String::from).collect(),
            peer: Some(peer.address.to_string()),
            connection: Some(peer.connection),
            ..Trace::new(opened.who.clone(), Action::Submit, false).mailbox(&opened.mailbox.address).reply(answer)
        });
    }

    /// Where a recipient is, or why it cannot be written to.
    async fn route(&self, address: &Address, announced: Option<u64>) -> Result<Route, Reply> {
        if self.site.domains.contains(address.domain()) {
            let find = async |address| self.site.store.mailbox(address).await.map_err(|e| reply(&e));
            let mailbox = match (find(address).await?, self.site.in_place_of(address)) {
                (None, Some(postmaster)) => find(postmaster).await?,
                (found, _) => found,
            };
            return mailbox.map(|m| Route::Local(m.id)).ok_or(Reply::NO_SUCH_MAILBOX);
        }
        let Some(list) = self.site.white_list.current() else { return Err(NO_LIST) };
        let is_let_out = faults::is_on(Fault::Outside) || faults::is_on(Fault::OutsideDelivery);
        if !list.is_listed(address.domain().as_str()) && !is_let_out {
            return Err(OUTSIDE);
        }
        if address.is_patient() {
            if address.ins().is_none() {
                return Err(BAD_INS);
            }
            if announced.is_some_and(|size| size > self.patient_limit) {
                return Err(TOO_BIG_FOR_PATIENT);
            }
        }
        Ok(Route::Remote)
    }
}

const TOO_MANY_MESSAGES: Reply =
    Reply::fixed(452, Some(Enhanced(4, 7, 1)), "This mailbox has sent too many messages in an hour, try again later");
const OUTSIDE: Reply = Reply::fixed(
    550,
    Some(Enhanced(5, 7, 1)),
    "The recipient's domain is not on the white list of the MSSante trust space: mail never leaves it",
);
const BAD_INS: Reply = Reply::fixed(
    550,
    Some(Enhanced(5, 1, 3)),
    "The patient's address is not an INS with a right key: check the matricule",
);
const TOO_BIG_FOR_PATIENT: Reply =
    Reply::fixed(552, Some(Enhanced(5, 3, 4)), "Mon espace sante takes no message above 25 MB");

enum Route {
    Local(MailboxId),
    Remote,
}

/// A recipient of ours.
struct Local {
    mailbox: MailboxId,
    rcpt: NewQueueRecipient,
}

/// A transaction.
struct Draft {
    service: Arc<Submission>,
    opened: Arc<Opened>,
    peer: Peer,
    from: MailFrom,
    local: Vec<Local>,
    remote: Vec<NewQueueRecipient>,
}

#[async_trait]
impl Transaction for Draft {
    async fn rcpt(&mut self, to: &Rcpt) -> Result<(), Reply> {
        let postmaster = match to.path {
            ForwardPath::Postmaster => self.service.site.postmaster(),
            _ => None,
        };
        let Some(address) = to.path.address().or(postmaster.as_ref()) else {
            self.service.refused(&self.opened, &self.peer, &OUTSIDE, Some(&to.path.to_string()));
            return Err(OUTSIDE);
        };
        let known = |r: &NewQueueRecipient| r.address == *address;
        if self.local.iter().any(|l| known(&l.rcpt)) || self.remote.iter().any(known) {
            return Ok(());
        }
        let rcpt = NewQueueRecipient {
            address: address.clone(),
            notify: notify(to.notify),
            original: to.orcpt.as_ref().map(ToString::to_string),
        };
        match self.service.route(address, self.from.size).await {
            // Two addresses may lead to one mailbox (the postmaster's): it gets one.
            Ok(Route::Local(mailbox)) if self.local.iter().any(|l| l.mailbox == mailbox) => {}
            Ok(Route::Local(mailbox)) => self.local.push(Local { mailbox, rcpt }),
            Ok(Route::Remote) => self.remote.push(rcpt),
            Err(answer) => {
                self.service.refused(&self.opened, &self.peer, &answer, Some(&address.to_string()));
                return Err(answer);
            }
        }
        Ok(())
    }

    async fn begin_data(self: Box<Self>) -> Result<Box<dyn MessageSink>, Reply> {
        let service = &self.service;
        if !self.opened.allowance.message() {
            service.refused(&self.opened, &self.peer, &TOO_MANY_MESSAGES, None);
            return Err(TOO_MANY_MESSAGES);
        }
        let to_patient = self.remote.iter().any(|r| r.address.is_patient());
        let limit = if to_patient { service.patient_limit.min(service.site.limit) } else { service.site.limit };
        let number = message_number();
        let recipients = self.local.iter().map(|l| &l.rcpt).chain(&self.remote);
        let mut addresses = recipients.map(|r| r.address.to_string());
        let only_for = addresses.next().filter(|_| addresses.next().is_none());
        drop(addresses);
        let now = seconds(service.site.clock.as_ref());
        let trace_field = received_field(
            &self.peer,
            &service.site.hostname,
            true,
            self.from.smtputf8,
            &number,
            only_for.as_deref(),
            now,
        );
        // RFC 5321 §4.4: who delivers writes it first. The relay leaves it out ([`BodyReader`](crate::queue)).
        let return_path =
            if self.local.is_empty() { String::new() } else { format!("{RETURN_PATH}<{}>\r\n", self.from.path) };
        let gate = AuthorGate {
            own: self.opened.mailbox.address.clone(),
            trace_field: return_path + &trace_field,
            number: number.clone(),
            hostname: service.site.hostname.clone(),
            now,
            message_id: None,
            identified: false,
        };
        let incoming = Incoming::new(service.site.store.spool(), gate, limit, self.from.size);
        Ok(Box::new(Submitting { draft: *self, incoming, number, now }))
    }
}

/// NOTIFY, as the store has it.
pub(super) fn notify(asked: Option<Notify>) -> store::Notify {
    match asked {
        None => store::Notify::default(),
        Some(Notify::Never) => store::Notify { success: false, failure: false, delay: false, explicit: true },
        Some(Notify::When { success, failure, delay }) => store::Notify { success, failure, delay, explicit: true },
    }
}

/// Checks the header: one From field, and in it, as in those that other programs may show instead, the author's own address and
/// no other.
struct AuthorGate {
    own: Address,
    trace_field: String,
    number: String,
    hostname: String,
    now: i64,
    message_id: Option<String>,
    /// Whether the client gave the Message-ID: the same octets again are then the same message (ADR 3).
    identified: bool,
}

const FROM_NOT_YOURS: Reply = Reply::fixed(
    550,
    Some(Enhanced(5, 7, 1)),
    "The From field must hold one address: the mailbox you authenticated for",
);
const ONE_FROM: Reply = Reply::fixed(550, Some(Enhanced(5, 6, 0)), "The message must have exactly one From field");

/// Whether the field holds this address and no other, written so that every program reads it as we do: nothing was skipped or
/// guessed (`clean`), and neither quotes, blanks nor comments inside, nor a source route, which the grammar allows and few know.
fn is_only(value: &str, own: &Address) -> bool {
    let list = parse_addresses(value, 2);
    let [only] = list.addresses.as_slice() else { return false };
    let same = only.address().and_then(|a| a.parse::<Address>().ok()).is_some_and(|a| a == *own);
    let (written, key) = (value.to_ascii_lowercase(), own.lookup_key());
    let plain = written == key
        || written.ends_with(&format!("<{key}>"))
        || written.strip_prefix(&key).is_some_and(|rest| rest.trim_start().starts_with('('));
    list.clean && same && plain
}

impl Gate for AuthorGate {
    fn pass(&mut self, block: &[u8]) -> Result<Vec<u8>, Reply> {
        if !header::is_sound(block) {
            return Err(NO_FIELD);
        }
        if header::count(block, "From") != 1 || header::count(block, "Sender") > 1 {
            return Err(ONE_FROM);
        }
        let names = ["From", "Sender", "Resent-From", "Resent-Sender"];
        let mut authors = Fields::new(block).filter(|field| names.iter().any(|name| field.is(name)));
        if authors.any(|field| !is_only(&field.value(), &self.own)) {
            return Err(FROM_NOT_YOURS);
        }
        self.message_id = header::find(block, "Message-ID");
        self.identified = self.message_id.is_some();
        let mut front = self.trace_field.clone().into_bytes();
        let mut added = Writer::new();
        // RFC 6409 §8.2, §8.3: a submission server adds what a lazy client left out.
        if self.message_id.is_none() {
            let made = format!("<{}@{}>", self.number, self.hostname);
            added.raw("Message-ID", &made).expect("made of printable characters");
            self.message_id = Some(made);
        }
        if header::find(block, "Date").is_none() {
            added.raw("Date", &format_rfc5322(Moment::utc(self.now))).expect("made of printable characters");
        }
        front.extend_from_slice(&added.finish());
        Ok(front)
    }

    /// Whoever gets a blind copy is nobody else's business (RFC 5322 §3.6.3; ENT-05), also when a client forgets it.
    fn taken_out(&self) -> &'static [&'static str] {
        &["Bcc", "Resent-Bcc"]
    }
}

struct Submitting {
    draft: Draft,
    incoming: Incoming<AuthorGate>,
    number: String,
    now: i64,
}

#[async_trait]
impl MessageSink for Submitting {
    async fn write(&mut self, piece: &[u8]) -> Result<(), Reply> {
        self.draft.opened.allowance.pace(piece.len() as u64).await;
        self.incoming.write(piece).await
    }

    async fn commit(self: Box<Self>, received: Received) -> Result<Accepted, Reply> {
        let Submitting { draft, incoming, number, now } = *self;
        let service = draft.service.clone();
        if faults::is_on(Fault::FirstLost)
            && !draft.remote.is_empty()
            && super::defects::is_first(draft.peer.connection)
        {
            return Ok(Accepted { id: number });
        }
        let outcome = match incoming.finish().await {
            Ok(arrived) => draft.store(arrived, received, &number, now).await,
            Err(answer) => Err(answer),
        };
        if let Err(answer) = &outcome {
            service.refused(&draft.opened, &draft.peer, answer, None);
        }
        outcome
    }
}

impl Draft {
    async fn store(
        &self,
        arrived: Arrived<AuthorGate>,
        received: Received,
        number: &str,
        now: i64,
    ) -> Result<Accepted, Reply> {
        let service = &self.service;
        let target = |local: &Local| Target::inbox(local.mailbox, now);
        let size = arrived.content.body.len();
        let enqueue = (!self.remote.is_empty()).then(|| NewQueueEntry {
            sender: Some(self.opened.mailbox.id),
            return_path: self.from.path.address().cloned(),
            parameters: MailParameters {
                return_full: self.from.ret.map(|ret| ret == Ret::Full),
                envelope_id: self.from.envid.as_ref().map(ToString::to_string),
                eight_bit: received.eight_bit || self.from.body == BodyType::EightBit,
                utf8: self.from.smtputf8,
            },
            recipients: self.remote.clone(),
            accepted_at: now,
            expires_at: now + service.site.expire,
        });
        let duplicate_key = arrived.gate.identified.then_some(arrived.digest);
        let commit = Commit {
            content: Some(arrived.content),
            deliver: self.local.iter().map(target).collect(),
            enqueue,
            // A client that lost our 250 may send again what it sent: the same people do not get it twice (ADR 3).
            duplicate_key,
            saved_at: now,
            ..Commit::default()
        };
        let done = service.site.store.commit(commit).await.map_err(|e| reply(&e))?;
        if let Some(id) = done.queued {
            service.site.queue.added(id, self.remote.iter().map(|r| r.address.domain().clone()).collect(), now);
        }
        let recipients = self.local.iter().map(|l| &l.rcpt).chain(&self.remote);
        service.site.tracer.record(Trace {
            capacity: Some(self.opened.capacity.label()),
            with: recipients.map(|r| r.address.to_string()).collect(),
            message: arrived.gate.message_id.clone(),
            quantity: Some(size),
            peer: Some(self.peer.address.to_string()),
            connection: Some(self.peer.connection),
            ..Trace::new(self.opened.who.clone(), Action::Submit, true)
                .mailbox(&self.opened.mailbox.address)
                .answer(number)
        });
        // Those who had it already are told of apart: the notice of then may be what was lost. If it was not, the same about the same
        // recipients is recognised; for others of a message sent again it may be told twice, which costs less than never.
        for again in [false, true] {
            let wanted = |(local, delivered): (&Local, &Delivered)| {
                let had = *delivered == Delivered::Duplicate;
                (had == again && local.rcpt.notify.success).then(|| local.rcpt.clone())
            };
            let told: Vec<NewQueueRecipient> = self.local.iter().zip(&done.delivered).filter_map(wanted).collect();
            self.tell_of_success(&told, duplicate_key, arrived.gate.message_id.as_deref(), now).await;
        }
        Ok(Accepted { id: number.to_owned() })
    }

    /// DSN for our own recipients whose delivery was to be told (RFC 3461). The mail is delivered: trouble here is only logged.
    async fn tell_of_success(
        &self,
        told: &[NewQueueRecipient],
        message: Option<[u8; 16]>,
        message_id: Option<&str>,
        now: i64,
    ) {
        let Some(return_path) = self.from.path.address().filter(|_| !told.is_empty()) else { return };
        let notices = Notices { hostname: &self.service.site.hostname, tracer: &self.service.site.tracer };
        let subject = Subject {
            to: return_path,
            envelope_id: self.from.envid.as_ref().map(|e| e.as_str()),
            message_id,
            accepted_at: now,
            original: None,
        };
        let to = Destination::Mailbox(self.opened.mailbox.id);
        let commit = match notices.delivered(&subject, told, message, to, self.service.site.store.spool(), now).await {
            Ok(commit) => commit,
            Err(error) => return tracing::warn!("a delivery notice could not be made: {error}"),
        };
        if let Err(error) = self.service.site.store.commit(commit).await {
            tracing::warn!("a delivery notice could not be delivered: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_author_whatever_program_reads() {
        let own: Address = "paul.durand@alpha.mssante.fr".parse().expect("an address");
        let gate = || AuthorGate {
            own: own.clone(),
            trace_field: "Received: x\r\n".into(),
            number: "N".into(),
            hostname: "mx.alpha.mssante.fr".into(),
            now: 0,
            message_id: None,
            identified: false,
        };
        let passes = |header: &str| gate().pass(format!("{header}\r\nSubject: x\r\n\r\n").as_bytes()).is_ok();
        for header in [
            "From: paul.durand@alpha.mssante.fr",
            "from : Paul.Durand@ALPHA.mssante.fr (Paul)",
            "From: <paul.durand@alpha.mssante.fr>",
            "From: =?utf-8?q?Dr_Paul_DURAND?=\r\n <paul.durand@alpha.mssante.fr>",
            "From: \"DURAND, Paul\" <paul.durand@alpha.mssante.fr>\r\nSender: paul.durand@alpha.mssante.fr",
            "From: paul.durand@alpha.mssante.fr\r\nReply-To: marie@alpha.mssante.fr",
        ] {
            assert!(passes(header), "{header:?}");
        }
        let mine = "From: paul.durand@alpha.mssante.fr\r\n";
        for header in [
            "To: paul.durand@alpha.mssante.fr".to_owned(),
            "From: marie@alpha.mssante.fr".to_owned(),
            format!("{mine}{mine}Subject: twice"),
            "From: paul.durand@alpha.mssante.fr, marie@alpha.mssante.fr".to_owned(),
            "From: marie@alpha.mssante.fr <paul.durand@alpha.mssante.fr>".to_owned(),
            "From: x: paul.durand@alpha.mssante.fr;".to_owned(),
            // What the grammar allows and programs read in several ways.
            "From: <@marie.fr:paul.durand@alpha.mssante.fr>".to_owned(),
            "From: paul . durand@alpha.mssante.fr".to_owned(),
            "From: paul.durand(x)@alpha.mssante.fr".to_owned(),
            "From: \"paul.durand\"@alpha.mssante.fr".to_owned(),
            "From: \"paul.durand@alpha.mssante.fr\" <paul. durand@alpha.mssante.fr>".to_owned(),
            // What only other programs take for a From.
            format!("{mine}From \r\n : marie@alpha.mssante.fr"),
            format!("{mine}From\x0b: marie@alpha.mssante.fr"),
            format!(" From: marie@alpha.mssante.fr\r\n{mine}X: y"),
            format!("{mine}no field"),
            format!("{mine}Sender: marie@alpha.mssante.fr"),
            format!("{mine}Resent-From: marie@alpha.mssante.fr"),
            format!("{mine}Resent-Sender: {own}\r\nResent-Sender: marie@alpha.mssante.fr"),
        ] {
            assert!(!passes(&header), "{header:?}");
        }
    }
}
