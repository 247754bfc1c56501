//! Why a session could not do what was asked.

use imap::client::{ClientError, Code, Status, Told};
use trust::tls::{HandshakeError, TlsError};

use crate::account::TokenError;
use crate::explain::{Explain, Fault, Language};
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

    fn refusal(command: &'static str, told: Told, folder: Option<&str>) -> Self {
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
    fn code(&self) -> &'static str {
        match self {
            SessionError::Connect(error) => error.code(),
            SessionError::Identity(_) => "session.identity",
            SessionError::Tls(error) => error.code(),
            SessionError::Login(error) => error.code(),
            SessionError::NoStartTls => "session.no-starttls",
            SessionError::Injected => "session.injected",
            SessionError::NoMechanism(_) => "session.no-mechanism",
            SessionError::NotAllowed(_) => "session.not-allowed",
            SessionError::Unavailable(_) => "session.unavailable",
            SessionError::Silent => "session.silent",
            SessionError::Cut(_) => "session.cut",
            SessionError::Bye(_) => "session.bye",
            SessionError::Protocol(_) => "session.protocol",
            SessionError::NoFolder(_) => "session.no-folder",
            SessionError::NoMessage => "session.no-message",
            SessionError::FolderChanged(_) => "session.folder-changed",
            SessionError::TooLarge { .. } => "session.too-large",
            SessionError::OverQuota => "session.over-quota",
            SessionError::NoRight => "session.no-right",
            SessionError::NotKept(_) => "session.not-kept",
            SessionError::Unsupported(_) => "session.unsupported",
            SessionError::Refused { .. } => "session.refused",
            SessionError::Uncertain => "session.uncertain",
            SessionError::Sink(_) => "session.sink",
            SessionError::Source(_) => "session.source",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            SessionError::Connect(error) => error.fault(),
            SessionError::Tls(error) => error.fault(),
            SessionError::Login(error) => error.fault(),
            SessionError::Identity(_)
            | SessionError::NoMechanism(_)
            | SessionError::Sink(_)
            | SessionError::Source(_) => Fault::Host,
            SessionError::NotAllowed(_)
            | SessionError::NoFolder(_)
            | SessionError::NoMessage
            | SessionError::FolderChanged(_)
            | SessionError::TooLarge { .. }
            | SessionError::OverQuota
            | SessionError::NoRight => Fault::User,
            SessionError::Silent | SessionError::Cut(_) | SessionError::Uncertain => Fault::Network,
            SessionError::NoStartTls
            | SessionError::Injected
            | SessionError::Unavailable(_)
            | SessionError::Bye(_)
            | SessionError::Protocol(_)
            | SessionError::NotKept(_)
            | SessionError::Unsupported(_)
            | SessionError::Refused { .. } => Fault::Operator,
        }
    }

    fn is_temporary(&self) -> bool {
        match self {
            SessionError::Tls(error) => error.is_temporary(),
            SessionError::FolderChanged(_) => true,
            _ => self.is_worth_another_try(),
        }
    }

    fn message(&self, language: Language) -> String {
        let Language::French = language else { return self.to_string() };
        match self {
            SessionError::Connect(error) => error.message(language),
            SessionError::Identity(error) => format!("le certificat de ce logiciel est inutilisable : {error}"),
            SessionError::Tls(error) => error.message(language),
            SessionError::Login(error) => error.message(language),
            SessionError::NoStartTls => "le serveur n'offre pas STARTTLS".into(),
            SessionError::Injected => "le serveur a envoyé des données en clair avant TLS".into(),
            SessionError::NoMechanism(name) => format!("le serveur n'offre pas {name}"),
            SessionError::NotAllowed(text) => format!("l'opérateur ne vous ouvre pas cette BAL : {text}"),
            SessionError::Unavailable(text) => format!("l'opérateur ne peut pas ouvrir la BAL maintenant : {text}"),
            SessionError::Silent => "le serveur de l'opérateur ne répond pas".into(),
            SessionError::Cut(why) => format!("la connexion est coupée de façon répétée : {why}"),
            SessionError::Bye(text) => format!("le serveur de l'opérateur met fin à la session : {text}"),
            SessionError::Protocol(what) => format!("le serveur de l'opérateur ne respecte pas IMAP : {what}"),
            SessionError::NoFolder(folder) => format!("il n'y a pas de dossier {folder}"),
            SessionError::NoMessage => "le message n'est plus là".into(),
            SessionError::FolderChanged(folder) => {
                format!("le dossier {folder} a été refait : synchronisez-le de nouveau")
            }
            SessionError::TooLarge { limit } => format!("le message dépasse {limit} octets"),
            SessionError::OverQuota => "la BAL est pleine".into(),
            SessionError::NoRight => "vous n'avez pas le droit de faire cela dans cette BAL".into(),
            SessionError::NotKept(flag) => format!("le serveur ne garde pas {flag} dans ce dossier"),
            SessionError::Unsupported(what) => format!("le serveur de l'opérateur ne connaît pas {what}"),
            SessionError::Refused { command, text } => format!("l'opérateur refuse {command} : {text}"),
            SessionError::Uncertain => "on ne sait pas si le message est dans le dossier".into(),
            SessionError::Sink(error) => format!("écriture impossible : {error}"),
            SessionError::Source(error) => format!("lecture impossible : {error}"),
        }
    }

    fn remedy(&self, language: Language) -> String {
        let pick = |french: &str, english: &str| language.pick(french, english).to_owned();
        match self {
            SessionError::Connect(error) => error.remedy(language),
            SessionError::Tls(error) => error.remedy(language),
            SessionError::Login(error) => error.remedy(language),
            SessionError::Identity(_) => pick(
                "Vérifiez le certificat ORG AUTH_CLI et sa clé dans les réglages.",
                "Check the ORG AUTH_CLI certificate and its key in the settings.",
            ),
            SessionError::NoMechanism(_) => pick(
                "Vérifiez que ce point d'entrée est celui du profil choisi (Pro Santé Connect ou certificat).",
                "Check that this entry point is the one of the profile chosen (Pro Santé Connect or certificate).",
            ),
            SessionError::NoStartTls | SessionError::Injected => pick(
                "Ne vous connectez pas d'ici : prévenez l'opérateur, quelqu'un altère peut-être la connexion.",
                "Do not connect from here: tell the operator, somebody may be altering the connection.",
            ),
            SessionError::NotAllowed(_) => pick(
                "Vérifiez l'adresse de la BAL, ou demandez à son titulaire ou à l'opérateur de vous y donner accès.",
                "Check the address of the mailbox, or ask its holder or the operator for access.",
            ),
            SessionError::Unavailable(_) | SessionError::Bye(_) => {
                pick("Réessayez dans quelques minutes.", "Try again in a few minutes.")
            }
            SessionError::Silent | SessionError::Cut(_) => pick(
                "Vérifiez la connexion de ce poste, puis réessayez.",
                "Check this machine's connection, then try again.",
            ),
            SessionError::NoFolder(_) => pick("Choisissez un dossier de la liste.", "Choose a folder of the list."),
            SessionError::NoMessage | SessionError::FolderChanged(_) => {
                pick("Actualisez la liste des messages.", "Refresh the list of messages.")
            }
            SessionError::TooLarge { .. } => pick(
                "Réduisez les pièces jointes, ou demandez une limite plus haute.",
                "Make the attachments smaller, or ask for a higher limit.",
            ),
            SessionError::OverQuota => pick(
                "Supprimez des messages traités, ou demandez plus de place à l'opérateur.",
                "Delete messages that are done with, or ask the operator for more room.",
            ),
            SessionError::NoRight => {
                pick("Demandez ce droit au titulaire de la BAL.", "Ask the holder of the mailbox for that right.")
            }
            SessionError::Uncertain => {
                pick("Regardez dans le dossier avant de recommencer.", "Look into the folder before doing it again.")
            }
            SessionError::Protocol(_)
            | SessionError::NotKept(_)
            | SessionError::Unsupported(_)
            | SessionError::Refused { .. } => {
                pick("Prévenez l'opérateur de la messagerie.", "Tell the operator of the mailbox.")
            }
            SessionError::Sink(_) | SessionError::Source(_) => {
                pick("Vérifiez la place et les droits sur ce poste.", "Check room and rights on this machine.")
            }
        }
    }
}
