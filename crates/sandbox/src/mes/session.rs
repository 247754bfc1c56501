//! What Mon espace santé says to the operators that write to it.

use std::sync::Arc;

use async_trait::async_trait;
use mssante::Ins;
use smtp::backend::{Accepted, AuthFailure, Credentials, Mechanism, MessageSink, Peer, Received, Sender, Transaction};
use smtp::{Enhanced, ForwardPath, MailFrom, Rcpt, Reply, ReversePath};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use trust::SharedClock;
use trust::dn::Dn;
use trust::tls::CertificateFault;
use trust::white_list::{Keeper, WhiteList};

use super::MAX_MESSAGE;
use super::folder::{Folder, Note};

const NO_LIST: Reply =
    Reply::fixed(451, Some(Enhanced(4, 4, 3)), "The white list is not available yet, try again later");
const NO_CRL: Reply =
    Reply::fixed(451, Some(Enhanced(4, 7, 5)), "Your certificate cannot be checked now, try again later");
const UNLISTED: Reply =
    Reply::fixed(550, Some(Enhanced(5, 7, 1)), "The DN of your certificate is not on the white list");
const NOT_YOURS: Reply =
    Reply::fixed(550, Some(Enhanced(5, 7, 1)), "The sender's domain is not one of your certificate's");
const NO_RELAY: Reply = Reply::fixed(550, Some(Enhanced(5, 7, 1)), "Relaying denied: only patient.mssante.fr is here");
const NO_PATIENT: Reply =
    Reply::fixed(550, Some(Enhanced(5, 1, 1)), "No such patient: the local part is not an INS with a right key");

/// The whole service.
#[derive(Clone)]
pub(super) struct Backend {
    pub folder: Arc<Folder>,
    pub white_list: Arc<Keeper>,
    pub clock: SharedClock,
}

impl Backend {
    fn list(&self) -> Result<Arc<WhiteList>, Reply> {
        self.white_list.current().ok_or(NO_LIST)
    }
}

#[async_trait]
impl smtp::Backend for Backend {
    fn mechanisms(&self) -> &[Mechanism] {
        &[]
    }

    async fn authenticate(&self, _peer: &Peer, _credentials: Credentials) -> Result<Arc<dyn Sender>, AuthFailure> {
        Err(AuthFailure::Refused)
    }

    // OPE-MTLS, OPE-LIST
    async fn identify(&self, peer: &Peer) -> Result<Arc<dyn Sender>, Reply> {
        let certificate = peer.tls.client().map_err(|fault| match fault {
            CertificateFault::Missing => Reply::CERTIFICATE_REQUIRED,
            CertificateFault::CrlUnavailable => NO_CRL,
            other => Reply::new(550, Enhanced(5, 7, 1), format!("Your client certificate is refused: {other}")),
        })?;
        if self.list()?.domains_of(&certificate.subject).next().is_none() {
            return Err(UNLISTED);
        }
        Ok(Arc::new(Operator { service: self.clone(), dn: certificate.subject.clone() }))
    }
}

struct Operator {
    service: Backend,
    dn: Dn,
}

#[async_trait]
impl Sender for Operator {
    async fn mail_from(&self, _peer: &Peer, from: &MailFrom) -> Result<Box<dyn Transaction>, Reply> {
        match &from.path {
            ReversePath::Null => {}
            ReversePath::Address(address) if self.service.list()?.allows(address.domain().as_str(), &self.dn) => {}
            ReversePath::Address(_) | ReversePath::Other(_) => return Err(NOT_YOURS),
        }
        if from.size.is_some_and(|size| size > MAX_MESSAGE) {
            return Err(Reply::MESSAGE_TOO_BIG);
        }
        Ok(Box::new(Envelope {
            service: self.service.clone(),
            dn: self.dn.to_string(),
            from: from.path.to_string(),
            patients: Vec::new(),
        }))
    }
}

struct Envelope {
    service: Backend,
    dn: String,
    from: String,
    patients: Vec<Ins>,
}

#[async_trait]
impl Transaction for Envelope {
    async fn rcpt(&mut self, to: &Rcpt) -> Result<(), Reply> {
        let ForwardPath::Address(address) = &to.path else { return Err(NO_RELAY) };
        if !address.domain().is_patient() {
            return Err(NO_RELAY);
        }
        let patient = address.ins().ok_or(NO_PATIENT)?;
        if !self.patients.contains(&patient) {
            self.patients.push(patient);
        }
        Ok(())
    }

    async fn begin_data(self: Box<Self>) -> Result<Box<dyn MessageSink>, Reply> {
        Ok(Box::new(Message { envelope: *self, octets: Vec::new() }))
    }
}

/// A message held in memory: 25 MB at most, on a machine for tests.
struct Message {
    envelope: Envelope,
    octets: Vec<u8>,
}

#[async_trait]
impl MessageSink for Message {
    async fn write(&mut self, piece: &[u8]) -> Result<(), Reply> {
        if self.octets.len() as u64 + piece.len() as u64 > MAX_MESSAGE {
            self.octets = Vec::new();
            return Err(Reply::MESSAGE_TOO_BIG);
        }
        self.octets.extend_from_slice(piece);
        Ok(())
    }

    async fn commit(self: Box<Self>, _received: Received) -> Result<Accepted, Reply> {
        let Message { envelope, octets } = *self;
        let at = OffsetDateTime::from(envelope.service.clock.now()).format(&Rfc3339).unwrap_or_default();
        let mut note = Note {
            received_at: at,
            from: envelope.from,
            to: String::new(),
            operator_dn: envelope.dn,
            octets: octets.len() as u64,
            fin: false,
            x_mss: Vec::new(),
        };
        note.read_header(&octets);
        let patients: Vec<(Ins, Note)> = envelope
            .patients
            .into_iter()
            .map(|patient| {
                let to = patient.address().to_string();
                (patient, Note { to, ..note.clone() })
            })
            .collect();
        let folder = envelope.service.folder;
        let stored = tokio::task::spawn_blocking(move || folder.store(&patients, &octets)).await;
        match stored {
            Ok(Ok(number)) => Ok(Accepted { id: format!("MES{number}") }),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::StorageFull => Err(Reply::STORAGE_FULL),
            Ok(Err(error)) => {
                tracing::error!("Mon espace santé could not store a message: {error}");
                Err(Reply::TRY_AGAIN)
            }
            Err(_) => Err(Reply::TRY_AGAIN),
        }
    }
}
