//! Why an address leads to no entry point.

use trust::tls::{HandshakeError, TlsError};

use super::document::{DocumentError, EntryFault};
use crate::account::Authentication;
use crate::explain::{Explain, Fault, Language};
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
    fn code(&self) -> &'static str {
        match self {
            DiscoverError::OutsideSpace { .. } => "discover.outside-space",
            DiscoverError::Patient => "discover.patient",
            DiscoverError::Connect(error) => error.code(),
            DiscoverError::Tls { error, .. } => error.code(),
            DiscoverError::Setup(_) => "discover.certificates",
            DiscoverError::Redirected { .. } => "discover.redirected",
            DiscoverError::Status { .. } => "discover.status",
            DiscoverError::Http { .. } => "discover.http",
            DiscoverError::Silent { .. } => "discover.silent",
            DiscoverError::Document { .. } => "discover.document",
            DiscoverError::Entry { fault, .. } => match fault {
                EntryFault::Absent { .. } => "discover.no-entry-point",
                EntryFault::NotStartTls { .. } => "discover.no-starttls",
                EntryFault::NotAName { .. } => "discover.not-a-name",
                EntryFault::OutsideSpace { .. } => "discover.server-outside-space",
                EntryFault::BadPort { .. } => "discover.bad-port",
                EntryFault::UserName { .. } => "discover.user-name",
            },
        }
    }

    fn fault(&self) -> Fault {
        match self {
            DiscoverError::OutsideSpace { .. } | DiscoverError::Patient => Fault::User,
            DiscoverError::Connect(error) => error.fault(),
            DiscoverError::Tls { error, .. } => error.fault(),
            DiscoverError::Setup(_) => Fault::Host,
            DiscoverError::Silent { .. } => Fault::Network,
            DiscoverError::Redirected { .. }
            | DiscoverError::Status { .. }
            | DiscoverError::Http { .. }
            | DiscoverError::Document { .. }
            | DiscoverError::Entry { .. } => Fault::Operator,
        }
    }

    fn is_temporary(&self) -> bool {
        self.is_outage()
    }

    fn message(&self, language: Language) -> String {
        let Language::French = language else { return self.to_string() };
        match self {
            DiscoverError::OutsideSpace { domain } => format!("le domaine {domain} est hors de l'espace de confiance"),
            DiscoverError::Patient => "la messagerie d'un patient ne s'ouvre que dans Mon espace santé".to_owned(),
            DiscoverError::Connect(error) => error.message(language),
            DiscoverError::Tls { host, error } => format!("{host} : {}", error.message(language)),
            DiscoverError::Setup(error) => format!("certificats : {error}"),
            DiscoverError::Redirected { host } => format!("{host} renvoie ailleurs, ce qui n'est pas suivi"),
            DiscoverError::Status { host, status } => format!("{host} répond par le statut HTTP {status}"),
            DiscoverError::Http { host, why } => format!("{host} : {why}"),
            DiscoverError::Silent { host } => format!("{host} ne répond pas"),
            DiscoverError::Document { host, error } => {
                let what = match error {
                    DocumentError::TooLarge => "trop grande",
                    DocumentError::Encoding => "pas en UTF-8",
                    DocumentError::Doctype => "elle a un DOCTYPE, ce qui est refusé",
                    DocumentError::Malformed => "pas du XML bien formé",
                    DocumentError::NotAutoconfiguration => "pas une autoconfiguration 1.1",
                };
                format!("la réponse de {host} est inutilisable : {what}")
            }
            DiscoverError::Entry { domain, fault, .. } => match fault {
                EntryFault::Absent { protocol } => {
                    format!("{domain} : aucun serveur {protocol} pour cette façon de s'identifier")
                }
                EntryFault::NotStartTls { protocol, socket } => {
                    format!("{domain} : le serveur {protocol} est proposé en {socket:?} et non en STARTTLS")
                }
                EntryFault::NotAName { host } => format!("{domain} : {host:?} n'est pas le nom DNS d'un serveur"),
                EntryFault::OutsideSpace { host } => {
                    format!("{domain} : le serveur {host} est hors de l'espace de confiance")
                }
                EntryFault::BadPort { port } => format!("{domain} : {port:?} n'est pas un port"),
                EntryFault::UserName { username } => {
                    format!("{domain} : l'identifiant {username:?} n'est pas l'adresse de la messagerie")
                }
            },
        }
    }

    fn remedy(&self, language: Language) -> String {
        match self {
            DiscoverError::OutsideSpace { .. } => language.pick(
                "Vérifiez l'adresse : une messagerie sécurisée de santé finit par .mssante.fr, ou son domaine est à ajouter à network.domains.",
                "Check the address: a secure health mailbox ends with .mssante.fr, or its domain is to be added to network.domains.",
            ),
            DiscoverError::Patient => {
                language.pick("Donnez l'adresse d'un professionnel.", "Give the address of a professional.")
            }
            DiscoverError::Connect(error) => return error.remedy(language),
            DiscoverError::Tls { error, .. } => return error.remedy(language),
            DiscoverError::Setup(_) => language.pick(
                "Vérifiez les certificats donnés dans trust.anchors.",
                "Check the certificates given in trust.anchors.",
            ),
            DiscoverError::Http { .. } | DiscoverError::Silent { .. } => {
                language.pick("Réessayez dans un instant.", "Try again in a moment.")
            }
            DiscoverError::Status { .. } if self.is_outage() => {
                language.pick("Réessayez dans un instant.", "Try again in a moment.")
            }
            DiscoverError::Entry { authentication: Authentication::Certificate, fault: EntryFault::Absent { .. }, .. } => {
                language.pick(
                    "L'opérateur n'annonce pas d'accès par certificat : demandez-lui le point d'accès des BAL applicatives.",
                    "The operator announces no access by certificate: ask for the entry point of application mailboxes.",
                )
            }
            DiscoverError::Redirected { .. }
            | DiscoverError::Status { .. }
            | DiscoverError::Document { .. }
            | DiscoverError::Entry { .. } => language.pick(
                "Prévenez l'opérateur : son autoconfiguration est à corriger ; en attendant, ses points d'accès peuvent être donnés à la main.",
                "Tell the operator: the autoconfiguration must be mended; meanwhile the entry points can be given by hand.",
            ),
        }
        .to_owned()
    }
}
