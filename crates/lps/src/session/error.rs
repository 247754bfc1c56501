//! Why a session could not do what was asked.

use imap::client::{self, ClientError, Code, Status};
use trust::tls::{HandshakeError, TlsError};

use crate::account::TokenError;
use crate::explain::{Explain, Fault, Remedy, Told};
use crate::space::ConnectError;

/// Why a session could not do what was asked. It surfaces when opening again did not help, or could not.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No way to the server.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// This program's own certificate cannot be used.
    #[error("the certificate of this software cannot be used: {0}")]
    Identity(#[from] TlsError),
    /// The handshake: the server's certificate, or its TLS.
    #[error(transparent)]
    Tls(HandshakeError),
    /// No access token.
    #[error(transparent)]
    Login(#[from] TokenError),
    /// The server has no STARTTLS: nothing was sent to it.
    #[error("the server does not offer STARTTLS")]
    NoStartTls,
    /// Octets came in clear with the answer to STARTTLS.
    #[error("the server sent data in clear before TLS")]
    Injected,
    /// The server does not offer this way to authenticate: wrong entry point.
    #[error("the server does not offer {0}")]
    NoMechanism(&'static str),
    /// The server does not open this BAL to whoever is logged in.
    #[error("the operator does not open this mailbox to you: {0}")]
    NotAllowed(String),
    /// The server cannot check now.
    #[error("the operator cannot open the mailbox now: {0}")]
    Unavailable(String),
    /// It says nothing.
    #[error("the operator's server does not answer")]
    Silent,
    /// The connection broke, again and again.
    #[error("the connection breaks again and again: {0}")]
    Cut(String),
    /// The server ends every session.
    #[error("the operator's server ends the session: {0}")]
    Bye(String),
    /// It does not speak IMAP as it should.
    #[error("the operator's server does not speak IMAP as it should: {0}")]
    Protocol(&'static str),
    /// No such folder.
    #[error("there is no folder {0}")]
    NoFolder(String),
    /// No such message any more.
    #[error("the message is no longer there")]
    NoMessage,
    /// The folder became another one in the middle (UIDVALIDITY): what was known of it must be thrown away.
    #[error("the folder {0} was made anew: synchronise it again")]
    FolderChanged(String),
    /// More octets than asked for or taken.
    #[error("the message is larger than {limit} octets")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// No room in the BAL.
    #[error("the mailbox is full")]
    OverQuota,
    /// No right to change anything there.
    #[error("no right to do that in this mailbox")]
    NoRight,
    /// The server does not keep this flag or keyword in that folder.
    #[error("the server does not keep {0} in this folder")]
    NotKept(String),
    /// The server lacks an extension that this cannot be done safely without.
    #[error("the operator's server does not know {0}")]
    Unsupported(&'static str),
    /// It refuses for another reason.
    #[error("the operator refuses {command}: {text}")]
    Refused {
        /// What was asked.
        command: &'static str,
        /// What it says.
        text: String,
    },
    /// The connection broke when the message may have been put into the folder already, and that cannot be found out.
    #[error("the message may or may not be in the folder")]
    Uncertain,
    /// What is written to here.
    #[error("cannot write: {0}")]
    Sink(#[source] std::io::Error),
    /// What is read from here.
    #[error("cannot read: {0}")]
    Source(#[source] std::io::Error),
}

impl SessionError {
    /// What a refusal or a broken connection means, in that folder.
    pub(super) fn of(error: ClientError, folder: Option<&str>) -> Self {
        match error {
            ClientError::Io(error) => SessionError::Cut(error.to_string()),
            ClientError::Closed => SessionError::Cut("the server closed the connection".into()),
            ClientError::Silent => SessionError::Silent,
            ClientError::TooMuch(what) | ClientError::Protocol(what) => SessionError::Protocol(what),
            ClientError::Bye(told) if told.code == Some(Code::Unavailable) => SessionError::Unavailable(told.text),
            ClientError::Bye(told) => SessionError::Bye(told.text),
            ClientError::NoStartTls => SessionError::NoStartTls,
            ClientError::Injected => SessionError::Injected,
            ClientError::Tls(error) => SessionError::Tls(error),
            ClientError::NoMechanism(name) => SessionError::NoMechanism(name),
            ClientError::Refused { command, told } => SessionError::refusal(command, *told, folder),
            ClientError::Unsupported(what) => SessionError::Unsupported(what),
            ClientError::Missing => SessionError::NoMessage,
            ClientError::TooLarge { limit } => SessionError::TooLarge { limit },
            ClientError::Sink(error) => SessionError::Sink(error),
            ClientError::Source(error) => SessionError::Source(error),
        }
    }

    fn refusal(command: &'static str, told: client::Told, folder: Option<&str>) -> Self {
        let temporary = matches!(told.code, Some(Code::Unavailable | Code::InUse | Code::ServerBug));
        match (command, told.code, folder) {
            (_, Some(Code::Unavailable | Code::InUse), _) => SessionError::Unavailable(told.text),
            ("AUTHENTICATE", _, _) if told.status == Status::No && !temporary => SessionError::NotAllowed(told.text),
            (_, Some(Code::NonExistent | Code::TryCreate), Some(folder)) => SessionError::NoFolder(folder.to_owned()),
            (_, Some(Code::NoPerm | Code::ReadOnly | Code::AuthorizationFailed), _) => SessionError::NoRight,
            (_, Some(Code::OverQuota), _) => SessionError::OverQuota,
            _ => SessionError::Refused { command, text: told.text },
        }
    }

    /// Whether opening the session again may help.
    pub(super) fn is_worth_another_try(&self) -> bool {
        match self {
            SessionError::Connect(error) => error.is_temporary(),
            SessionError::Tls(error) => matches!(error, HandshakeError::TimedOut | HandshakeError::Io(_)),
            SessionError::Login(error) => error.is_temporary(),
            SessionError::Unavailable(_) | SessionError::Silent | SessionError::Cut(_) | SessionError::Bye(_) => true,
            _ => false,
        }
    }
}

impl Explain for SessionError {
    fn told(&self) -> Told {
        const ALTERED: Remedy = (
            "Ne vous connectez pas d'ici : prévenez l'opérateur, quelqu'un altère peut-être la connexion.",
            "Do not connect from here: tell the operator, somebody may be altering the connection.",
        );
        const LATER: Remedy = ("Réessayez dans quelques minutes.", "Try again in a few minutes.");
        const CONNECTION: Remedy =
            ("Vérifiez la connexion de ce poste, puis réessayez.", "Check this machine's connection, then try again.");
        const OPERATOR: Remedy = ("Prévenez l'opérateur de la messagerie.", "Tell the operator of the mailbox.");
        const REFRESH: Remedy = ("Actualisez la liste des messages.", "Refresh the list of messages.");
        const DISK: Remedy =
            ("Vérifiez la place et les droits sur ce poste.", "Check room and rights on this machine.");
        match self {
            SessionError::Connect(error) => error.told(),
            SessionError::Identity(error) => Told::new(
                "session.identity",
                Fault::Host,
                format!("le certificat de ce logiciel est inutilisable : {error}"),
                (
                    "Vérifiez le certificat ORG AUTH_CLI et sa clé dans les réglages.",
                    "Check the ORG AUTH_CLI certificate and its key in the settings.",
                ),
            ),
            SessionError::Tls(error) => error.told(),
            SessionError::Login(error) => error.told(),
            SessionError::NoStartTls => {
                Told::new("session.no-starttls", Fault::Operator, "le serveur n'offre pas STARTTLS", ALTERED)
            }
            SessionError::Injected => Told::new(
                "session.injected",
                Fault::Operator,
                "le serveur a envoyé des données en clair avant TLS",
                ALTERED,
            ),
            SessionError::NoMechanism(name) => Told::new(
                "session.no-mechanism",
                Fault::Host,
                format!("le serveur n'offre pas {name}"),
                (
                    "Vérifiez que ce point d'entrée est celui du profil choisi (Pro Santé Connect ou certificat).",
                    "Check that this entry point is the one of the profile chosen (Pro Santé Connect or certificate).",
                ),
            ),
            SessionError::NotAllowed(text) => Told::new(
                "session.not-allowed",
                Fault::User,
                format!("l'opérateur ne vous ouvre pas cette BAL : {text}"),
                (
                    "Vérifiez l'adresse de la BAL, ou demandez à son titulaire ou à l'opérateur de vous y donner accès.",
                    "Check the address of the mailbox, or ask its holder or the operator for access.",
                ),
            ),
            SessionError::Unavailable(text) => Told::new(
                "session.unavailable",
                Fault::Operator,
                format!("l'opérateur ne peut pas ouvrir la BAL maintenant : {text}"),
                LATER,
            )
            .passing(),
            SessionError::Silent => {
                Told::new("session.silent", Fault::Network, "le serveur de l'opérateur ne répond pas", CONNECTION)
                    .passing()
            }
            SessionError::Cut(why) => Told::new(
                "session.cut",
                Fault::Network,
                format!("la connexion est coupée de façon répétée : {why}"),
                CONNECTION,
            )
            .passing(),
            SessionError::Bye(text) => Told::new(
                "session.bye",
                Fault::Operator,
                format!("le serveur de l'opérateur met fin à la session : {text}"),
                LATER,
            )
            .passing(),
            SessionError::Protocol(what) => Told::new(
                "session.protocol",
                Fault::Operator,
                format!("le serveur de l'opérateur ne respecte pas IMAP : {what}"),
                OPERATOR,
            ),
            SessionError::NoFolder(folder) => Told::new(
                "session.no-folder",
                Fault::User,
                format!("il n'y a pas de dossier {folder}"),
                ("Choisissez un dossier de la liste.", "Choose a folder of the list."),
            ),
            SessionError::NoMessage => {
                Told::new("session.no-message", Fault::User, "le message n'est plus là", REFRESH)
            }
            SessionError::FolderChanged(folder) => Told::new(
                "session.folder-changed",
                Fault::User,
                format!("le dossier {folder} a été refait : synchronisez-le de nouveau"),
                REFRESH,
            )
            .passing(),
            SessionError::TooLarge { limit } => Told::new(
                "session.too-large",
                Fault::User,
                format!("le message dépasse {limit} octets"),
                (
                    "Réduisez les pièces jointes, ou demandez une limite plus haute.",
                    "Make the attachments smaller, or ask for a higher limit.",
                ),
            ),
            SessionError::OverQuota => Told::new(
                "session.over-quota",
                Fault::User,
                "la BAL est pleine",
                (
                    "Supprimez des messages traités, ou demandez plus de place à l'opérateur.",
                    "Delete messages that are done with, or ask the operator for more room.",
                ),
            ),
            SessionError::NoRight => Told::new(
                "session.no-right",
                Fault::User,
                "vous n'avez pas le droit de faire cela dans cette BAL",
                ("Demandez ce droit au titulaire de la BAL.", "Ask the holder of the mailbox for that right."),
            ),
            SessionError::NotKept(flag) => Told::new(
                "session.not-kept",
                Fault::Operator,
                format!("le serveur ne garde pas {flag} dans ce dossier"),
                OPERATOR,
            ),
            SessionError::Unsupported(what) => Told::new(
                "session.unsupported",
                Fault::Operator,
                format!("le serveur de l'opérateur ne connaît pas {what}"),
                OPERATOR,
            ),
            SessionError::Refused { command, text } => Told::new(
                "session.refused",
                Fault::Operator,
                format!("l'opérateur refuse {command} : {text}"),
                OPERATOR,
            ),
            SessionError::Uncertain => Told::new(
                "session.uncertain",
                Fault::Network,
                "on ne sait pas si le message est dans le dossier",
                ("Regardez dans le dossier avant de recommencer.", "Look into the folder before doing it again."),
            ),
            SessionError::Sink(error) => {
                Told::new("session.sink", Fault::Host, format!("écriture impossible : {error}"), DISK)
            }
            SessionError::Source(error) => {
                Told::new("session.source", Fault::Host, format!("lecture impossible : {error}"), DISK)
            }
        }
    }
}
