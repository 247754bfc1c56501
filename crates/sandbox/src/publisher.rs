//! What the white list of the space is made of; [`Publisher`] signs and serves it.

use control::stand::Leases;
use control::stand::white_list::{Material, Publisher};
use trust::SharedClock;
use trust::white_list::Entry;

use crate::cast::OPERATORS;
use crate::pki::Pki;
use crate::pki::control::PEER_DOMAIN;
use crate::{SandboxError, traps};

/// The publisher of this space.
pub(crate) fn open(pki: &Pki, clock: SharedClock, leases: Leases) -> Result<Publisher, SandboxError> {
    let material = Material {
        entries: entries(pki)?,
        signer: pki.signer.clone(),
        other_signer: pki.other_signer.clone(),
        peer: pki.peer.clone(),
        other: pki.mes_dn()?,
    };
    Publisher::new(material, clock, leases).map_err(SandboxError::setup("white list"))
}

/// The usual entries.
pub(crate) fn entries(pki: &Pki) -> Result<Vec<Entry>, SandboxError> {
    let mut all: Vec<Entry> =
        OPERATORS.iter().zip(&pki.operators).map(|(operator, dn)| Entry::new(operator.domain, dn.clone())).collect();
    all.push(Entry::new(mssante::PATIENT_DOMAIN, pki.mes_dn()?));
    all.push(Entry::new(PEER_DOMAIN, pki.peer.clone()));
    all.extend(traps::listed(pki).map(|(domain, dn)| Entry::new(domain, dn)));
    Ok(all)
}
