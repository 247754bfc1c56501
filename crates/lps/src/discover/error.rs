//! Why an address leads to no entry point.

use trust::tls::{HandshakeError, TlsError};

use super::document::{DocumentError, EntryFault};
use crate::account::Authentication;
use crate::explain::{Explain, Fault, Language, Remedy, Told};
use crate::space::ConnectError;

/// Why an address leads to no entry point.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// An address outside `*.mssante.fr` and the configured domains.
    #[error("the domain {domain} is outside the trust space")]
    OutsideSpace {
        /// The domain of the address.
        domain: String,
    },
    /// A patient's address: Mon espace santé opens them, no mail software does.
    #[error("a patient's mailbox is opened in Mon espace santé only")]
    Patient,
    /// No connection to the server of autoconfiguration.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Its certificate, or its TLS.
    #[error("{host}: {error}")]
    Tls {
        /// The server.
        host: String,
        /// What is wrong.
        #[source]
        error: HandshakeError,
    },
    /// TLS could not be set up on our side.
    #[error(transparent)]
    Setup(#[from] TlsError),
    /// It sends elsewhere, where we do not follow.
    #[error("{host} sends elsewhere, which is not followed")]
    Redirected {
        /// The server.
        host: String,
    },
    /// It answers something other than 200.
    #[error("{host} answers with HTTP status {status}")]
    Status {
        /// The server.
        host: String,
        /// The status.
        status: u16,
    },
    /// It breaks HTTP, or the connection broke.
    #[error("{host}: {why}")]
    Http {
        /// The server.
        host: String,
        /// What happened.
        why: String,
    },
    /// It is connected and does not answer.
    #[error("{host} does not answer")]
    Silent {
        /// The server.
        host: String,
    },
    /// What it answers is no autoconfiguration.
    #[error("the answer of {host} is unusable: {error}")]
    Document {
        /// The server.
        host: String,
        /// What is wrong.
        error: DocumentError,
    },
    /// The autoconfiguration has no acceptable entry point of this profile.
    #[error("{domain}: {fault}")]
    Entry {
        /// The domain of the address.
        domain: String,
        /// Which profile was asked for.
        authentication: Authentication,
        /// What is wrong.
        fault: EntryFault,
    },
}

impl DiscoverError {
    /// Whether the operator could not be asked, rather than gave an answer that must not be used: a document kept may then serve.
    pub(super) fn is_outage(&self) -> bool {
        match self {
            DiscoverError::Connect(error) => error.is_temporary(),
            DiscoverError::Tls { error, .. } => error.is_temporary(),
            DiscoverError::Status { status, .. } => *status >= 500 || *status == 429,
            DiscoverError::Http { .. } | DiscoverError::Silent { .. } => true,
            _ => false,
        }
    }
}

impl Explain for DiscoverError {
    fn told(&self) -> Told {
        const OPERATOR: Remedy = (
            "Prévenez l'opérateur : son autoconfiguration est à corriger ; en attendant, ses points d'accès peuvent être donnés à la main.",
            "Tell the operator: the autoconfiguration must be mended; meanwhile the entry points can be given by hand.",
        );
        const SOON: Remedy = ("Réessayez dans un instant.", "Try again in a moment.");
        let told = match self {
            DiscoverError::OutsideSpace { domain } => Told::new(
                "discover.outside-space",
                Fault::User,
                format!("le domaine {domain} est hors de l'espace de confiance"),
                (
                    "Vérifiez l'adresse : une messagerie sécurisée de santé finit par .mssante.fr, ou son domaine est à ajouter à network.domains.",
                    "Check the address: a secure health mailbox ends with .mssante.fr, or its domain is to be added to network.domains.",
                ),
            ),
            DiscoverError::Patient => Told::new(
                "discover.patient",
                Fault::User,
                "la messagerie d'un patient ne s'ouvre que dans Mon espace santé",
                ("Donnez l'adresse d'un professionnel.", "Give the address of a professional."),
            ),
            DiscoverError::Connect(error) => error.told(),
            DiscoverError::Tls { host, error } => {
                Told { french: format!("{host} : {}", error.message(Language::French)), ..error.told() }
            }
            DiscoverError::Setup(error) => Told::new(
                "discover.certificates",
                Fault::Host,
                format!("certificats : {error}"),
                (
                    "Vérifiez les certificats donnés dans trust.anchors.",
                    "Check the certificates given in trust.anchors.",
                ),
            ),
            DiscoverError::Redirected { host } => Told::new(
                "discover.redirected",
                Fault::Operator,
                format!("{host} renvoie ailleurs, ce qui n'est pas suivi"),
                OPERATOR,
            ),
            DiscoverError::Status { host, status } => {
                let remedy = if self.is_outage() { SOON } else { OPERATOR };
                Told::new(
                    "discover.status",
                    Fault::Operator,
                    format!("{host} répond par le statut HTTP {status}"),
                    remedy,
                )
            }
            DiscoverError::Http { host, why } => {
                Told::new("discover.http", Fault::Operator, format!("{host} : {why}"), SOON)
            }
            DiscoverError::Silent { host } => {
                Told::new("discover.silent", Fault::Network, format!("{host} ne répond pas"), SOON)
            }
            DiscoverError::Document { host, error } => Told::new(
                "discover.document",
                Fault::Operator,
                {
                    let what = match error {
                        DocumentError::TooLarge => "trop grande",
                        DocumentError::Encoding => "pas en UTF-8",
                        DocumentError::Doctype => "elle a un DOCTYPE, ce qui est refusé",
                        DocumentError::Malformed => "pas du XML bien formé",
                        DocumentError::NotAutoconfiguration => "pas une autoconfiguration 1.1",
                    };
                    format!("la réponse de {host} est inutilisable : {what}")
                },
                OPERATOR,
            ),
            DiscoverError::Entry { domain, authentication, fault } => {
                let (code, french) = entry(fault);
                let remedy = match (authentication, fault) {
                    (Authentication::Certificate, EntryFault::Absent { .. }) => (
                        "L'opérateur n'annonce pas d'accès par certificat : demandez-lui le point d'accès des BAL applicatives.",
                        "The operator announces no access by certificate: ask for the entry point of application mailboxes.",
                    ),
                    _ => OPERATOR,
                };
                Told::new(code, Fault::Operator, format!("{domain} : {french}"), remedy)
            }
        };
        told.passing_if(self.is_outage())
    }
}

/// Code and French words of a fault of an entry point.
fn entry(fault: &EntryFault) -> (&'static str, String) {
    match fault {
        EntryFault::Absent { protocol } => {
            ("discover.no-entry-point", format!("aucun serveur {protocol} pour cette façon de s'identifier"))
        }
        EntryFault::NotStartTls { protocol, socket } => {
            ("discover.no-starttls", format!("le serveur {protocol} est proposé en {socket:?} et non en STARTTLS"))
        }
        EntryFault::NotAName { host } => ("discover.not-a-name", format!("{host:?} n'est pas le nom DNS d'un serveur")),
        EntryFault::OutsideSpace { host } => {
            ("discover.server-outside-space", format!("le serveur {host} est hors de l'espace de confiance"))
        }
        EntryFault::BadPort { port } => ("discover.bad-port", format!("{port:?} n'est pas un port")),
        EntryFault::UserName { username } => {
            ("discover.user-name", format!("l'identifiant {username:?} n'est pas l'adresse de la messagerie"))
        }
    }
}
