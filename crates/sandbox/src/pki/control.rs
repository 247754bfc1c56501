//! The certificates of the control application: the operator it plays (on the white list), and those that must be refused, of that
//! operator and of each operator's BAL APP. What is wrong is all that is wrong: names are those of the good ones.

use trust::pki::{Channel, Kind, LeafRequest, Validity};

use super::{By, Leaf, application_file};
use crate::Ports;
use crate::cast::{self, Holder, OPERATORS};

/// The domain of the operator that the control application plays.
pub const PEER_DOMAIN: &str = "controle.formation.mssante.fr";
/// Its certificate, under `pki`.
pub const PEER: &str = "control/pair";

/// A good certificate for signing, of an operator.
pub(super) const OTHER_SIGNER: &str = "control/alpha-signature";

/// What is wrong with a certificate of another operator; names of `catalogue/certificats.json`.
const PEER_FAULTS: [&str; 8] =
    ["expire", "pas-encore", "revoque", "ac-inconnue", "homonyme", "autosigne", "usage", "sans-usage"];
/// What is wrong with a certificate of a BAL APP.
const APP_FAULTS: [&str; 12] = [
    "expire",
    "pas-encore",
    "revoque",
    "revoque-crl",
    "revoque-ocsp",
    "ac-inconnue",
    "homonyme",
    "autosigne",
    "signature",
    "personne",
    "sans-clientauth",
    "serveur",
];

/// The mailbox of software of an operator.
fn application(index: usize) -> Option<&'static cast::Mailbox> {
    let of = |mailbox: &&cast::Mailbox| {
        matches!(mailbox.holder, Holder::Application) && mailbox.operator == OPERATORS[index].name
    };
    cast::MAILBOXES.iter().find(of)
}

/// All of them.
pub(super) fn leaves(ports: &Ports) -> Vec<Leaf> {
    let peer = || LeafRequest::server(&format!("mx.{PEER_DOMAIN}"), &cast::SPACE.organization(), &[], &[ports.mx(4)]);
    let mut all = vec![Leaf::good(PEER, peer())];
    all.extend(PEER_FAULTS.map(|fault| faulty(format!("{PEER}-{fault}"), fault, peer())));
    for (index, operator) in OPERATORS.iter().enumerate() {
        let Some(mailbox) = application(index) else { continue };
        let app = || LeafRequest::auth_cli(mailbox.local, &operator.structure.organization());
        all.extend(APP_FAULTS.map(|fault| faulty(format!("control/{}-{fault}", operator.name), fault, app())));
    }
    all
}

fn faulty(file: String, fault: &str, good: LeafRequest) -> Leaf {
    let kind = |kind| LeafRequest { kind, ..good.clone() };
    let request = match fault {
        "expire" => good.clone().valid(Validity::Expired),
        "pas-encore" => good.clone().valid(Validity::NotYet),
        "usage" | "sans-clientauth" => kind(Kind::ServerOnly),
        "sans-usage" => kind(Kind::NoUsage),
        "signature" => kind(Kind::Sign),
        "serveur" => kind(Kind::Server { dns_names: Vec::new(), addresses: Vec::new() }),
        _ => good,
    };
    let by = match fault {
        "ac-inconnue" => By::Stranger,
        "homonyme" => By::Impostor,
        "autosigne" => By::Itself,
        "personne" => By::Persons,
        _ => By::Ours,
    };
    let revoked = match fault {
        "revoque" => Some(Channel::Both),
        "revoque-crl" => Some(Channel::List),
        "revoque-ocsp" => Some(Channel::Ocsp),
        _ => None,
    };
    Leaf { file, request, by, revoked }
}

/// Name and file (under `pki`, without extension) of what the operator interface must refuse.
pub(crate) fn peer_refusals() -> impl Iterator<Item = Refusal> {
    let own = PEER_FAULTS.into_iter().map(|fault| (fault, format!("{PEER}-{fault}")));
    own.chain([("hors-liste", "negative/unlisted".to_owned())])
}

/// A name of `catalogue/certificats.json` and the file of the certificate it is for.
pub(crate) type Refusal = (&'static str, String);

/// The BAL APP of an operator (address, file of its certificate), and what it must refuse.
pub(crate) fn app_refusals(index: usize) -> Option<(String, String, Vec<Refusal>)> {
    let mailbox = application(index)?;
    let own = APP_FAULTS.into_iter().map(|fault| (fault, format!("control/{}-{fault}", OPERATORS[index].name)));
    let all = own.chain([("autre-structure", "negative/other-structure".to_owned())]).collect();
    Some((mailbox.address(), application_file(mailbox), all))
}
