//! Why a message was not handed over, for people.

use smtp::Reply;
use smtp::client::ClientError;
use trust::tls::{HandshakeError, TlsError};

use super::{Cause, Outcome};
use crate::account::TokenError;
use crate::explain::{Explain, Fault, Language};
use crate::space::ConnectError;

/// Why a message was not handed over. `Display` never quotes an address.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No access token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Our certificate or the authorities cannot be used.
    #[error("certificates: {0}")]
    Certificates(#[from] TlsError),
    /// The server did not prove that it is the operator, or TLS failed.
    #[error(transparent)]
    Handshake(HandshakeError),
    /// The server does not offer STARTTLS: nothing was said.
    #[error("the server does not offer STARTTLS")]
    NoStartTls,
    /// The server does not offer the way to authenticate.
    #[error("the server does not offer the authentication this mailbox needs")]
    NoMechanism,
    /// The server refuses the token or the certificate, a fresh one too.
    #[error("the operator refuses the authentication: {reply}")]
    LoginRefused {
        /// Its answer.
        reply: Reply,
    },
    /// The server refuses the connection, the authentication for now, or to go on.
    #[error("the operator answers: {reply}")]
    Answer {
        /// Its answer.
        reply: Reply,
    },
    /// Every recipient is refused, or the message is.
    #[error("no recipient accepted: {}", summary(outcomes))]
    Refused {
        /// Each recipient.
        outcomes: Vec<Outcome>,
    },
    /// Above what the operator takes.
    #[error("the operator takes no message above {limit} octets")]
    TooLarge {
        /// Its limit, in octets.
        limit: u64,
    },
    /// The message forwards one with octets above 127, which the server does not take.
    #[error("the operator takes no message with 8-bit characters, which the forwarded message has")]
    EightBit,
    /// The connection broke before the message was whole: nobody has it.
    #[error("the message could not be handed over: {0}")]
    Interrupted(#[source] ClientError),
    /// What the server says is not SMTP.
    #[error("{0}")]
    Protocol(#[source] ClientError),
    /// The message could not be read, or its state not written.
    #[error("the message cannot be read: {0}")]
    Read(#[source] std::io::Error),
    /// The whole message was sent and no answer came: perhaps it is delivered, perhaps not. Sending it again may give it twice.
    #[error("the message was sent but the operator's answer is lost: it may be delivered or not ({because})")]
    Uncertain {
        /// How the answer was lost.
        #[source]
        because: Box<SendError>,
    },
    /// An earlier attempt may have succeeded and this operator would not recognise the message: it was not sent again.
    #[error("the operator would not recognise the message, which it may have: not sent again")]
    NotRecognised,
}

/// Each cause with its number, without addresses.
fn summary(outcomes: &[Outcome]) -> String {
    let mut causes: Vec<(&'static str, usize)> = Vec::new();
    for code in outcomes.iter().filter_map(|outcome| outcome.cause).map(Cause::code) {
        match causes.iter_mut().find(|(known, _)| *known == code) {
            Some((_, count)) => *count += 1,
            None => causes.push((code, 1)),
        }
    }
    let reply = outcomes.first().map(|outcome| outcome.reply.code().to_string()).unwrap_or_default();
    let causes = causes.iter().map(|(code, count)| format!("{count} {code}")).collect::<Vec<_>>().join(", ");
    format!("{causes} ({reply})")
}

impl SendError {
    /// Whether the server said no, in so many words: then it has not taken the message.
    pub(super) fn is_an_answer(&self) -> bool {
        matches!(self, SendError::Answer { .. } | SendError::Refused { .. } | SendError::LoginRefused { .. })
    }

    /// Whether another connection may do better, at once.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            SendError::Interrupted(_) => true,
            // A server that goes away (421) says come again.
            SendError::Answer { reply } => reply.code() == 421,
            SendError::Connect(error) => matches!(error, ConnectError::Unreachable { .. }),
            SendError::Handshake(error) => matches!(error, HandshakeError::Io(_)),
            _ => false,
        }
    }

    /// Whether it is about the way to the server rather than the message.
    pub(super) fn is_of_connection(&self) -> bool {
        matches!(
            self,
            SendError::Connect(_) | SendError::Interrupted(_) | SendError::Answer { .. } | SendError::Handshake(_)
        )
    }

    /// Whether somebody may have received the message.
    #[must_use]
    pub fn may_be_delivered(&self) -> bool {
        matches!(self, SendError::Uncertain { .. } | SendError::NotRecognised)
    }

    /// Each recipient with its answer, when the operator gave them.
    #[must_use]
    pub fn outcomes(&self) -> &[Outcome] {
        match self {
            SendError::Refused { outcomes } => outcomes,
            _ => &[],
        }
    }

    /// The one cause all recipients share.
    fn cause(&self) -> Option<Cause> {
        let mut causes = self.outcomes().iter().filter_map(|outcome| outcome.cause);
        let first = causes.next()?;
        causes.all(|cause| cause == first).then_some(first)
    }
}

impl Explain for SendError {
    fn code(&self) -> &'static str {
        match self {
            SendError::Token(error) => error.code(),
            SendError::Connect(error) => error.code(),
            SendError::Certificates(_) => "send.certificates",
            SendError::Handshake(error) => error.code(),
            SendError::NoStartTls => "send.no-starttls",
            SendError::NoMechanism => "send.no-mechanism",
            SendError::LoginRefused { .. } => "send.login-refused",
            SendError::Answer { .. } => "send.answer",
            SendError::Refused { .. } => match self.cause() {
                Some(Cause::OutsideWhiteList) => "send.outside-white-list",
                Some(Cause::Unknown) => "send.unknown-recipient",
                Some(Cause::BadAddress) => "send.bad-address",
                Some(Cause::Closed) => "send.closed",
                Some(Cause::Full) => "send.full",
                Some(Cause::TooLarge) => "send.too-large",
                Some(Cause::NotAllowed) => "send.not-allowed",
                Some(Cause::Later) => "send.later",
                Some(Cause::Other) | None => "send.refused",
            },
            SendError::TooLarge { .. } => "send.too-large",
            SendError::EightBit => "send.eight-bit",
            SendError::Interrupted(_) => "send.interrupted",
            SendError::Protocol(_) => "send.protocol",
            SendError::Read(_) => "send.read",
            SendError::Uncertain { .. } => "send.uncertain",
            SendError::NotRecognised => "send.not-recognised",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            SendError::Token(error) => error.fault(),
            SendError::Connect(error) => error.fault(),
            SendError::Handshake(error) => error.fault(),
            SendError::Certificates(_) | SendError::Read(_) => Fault::Host,
            SendError::NoStartTls | SendError::NoMechanism | SendError::Protocol(_) | SendError::EightBit => {
                Fault::Operator
            }
            SendError::LoginRefused { .. } | SendError::TooLarge { .. } => Fault::User,
            SendError::Answer { .. } => Fault::Operator,
            SendError::Refused { .. } => match self.cause() {
                Some(Cause::TooLarge | Cause::NotAllowed) => Fault::User,
                Some(Cause::Later) => Fault::Operator,
                _ => Fault::Recipient,
            },
            SendError::Interrupted(_) | SendError::Uncertain { .. } | SendError::NotRecognised => Fault::Network,
        }
    }

    fn is_temporary(&self) -> bool {
        match self {
            SendError::Token(error) => error.is_temporary(),
            SendError::Connect(error) => error.is_temporary(),
            SendError::Handshake(error) => error.is_temporary(),
            SendError::Answer { reply } => !reply.is_permanent(),
            SendError::Refused { outcomes } => outcomes.iter().any(|outcome| outcome.cause == Some(Cause::Later)),
            SendError::Interrupted(_) => true,
            // The same call could give the message twice.
            _ => false,
        }
    }

    fn message(&self, language: Language) -> String {
        if language == Language::English {
            return self.to_string();
        }
        match self {
            SendError::Token(error) => error.message(language),
            SendError::Connect(error) => error.message(language),
            SendError::Handshake(error) => error.message(language),
            SendError::Certificates(error) => format!("certificats : {error}"),
            SendError::NoStartTls => "le serveur n'offre pas STARTTLS".into(),
            SendError::NoMechanism => "le serveur n'offre pas l'authentification que demande cette boîte".into(),
            SendError::LoginRefused { reply } => format!("l'opérateur refuse l'authentification : {reply}"),
            SendError::Answer { reply } => format!("l'opérateur répond : {reply}"),
            SendError::Refused { outcomes } => match self.cause() {
                Some(cause) => format!("aucun destinataire accepté : {}", cause.text(language)),
                None => format!("aucun destinataire accepté ({} refus)", outcomes.len()),
            },
            SendError::TooLarge { limit } => {
                format!("l'opérateur ne prend pas de message au-delà de {limit} octets")
            }
            SendError::EightBit => "l'opérateur ne prend pas les caractères à 8 bits qu'a le message transféré".into(),
            SendError::Interrupted(why) => format!("le message n'a pas pu être remis : {why}"),
            SendError::Protocol(why) => format!("le serveur ne parle pas SMTP : {why}"),
            SendError::Read(why) => format!("le message ne peut pas être lu : {why}"),
            SendError::Uncertain { .. } => {
                "le message est parti mais la réponse de l'opérateur est perdue : il est peut-être remis, peut-être pas"
                    .into()
            }
            SendError::NotRecognised => {
                "l'opérateur ne reconnaîtrait pas le message, qu'il a peut-être déjà : il n'a pas été renvoyé".into()
            }
        }
    }

    fn remedy(&self, language: Language) -> String {
        match self {
            SendError::Token(error) => return error.remedy(language),
            SendError::Connect(error) => return error.remedy(language),
            SendError::Handshake(error) => return error.remedy(language),
            SendError::Refused { .. } if self.cause().is_some() => {
                return self.cause().map(|cause| cause.text(language).to_owned()).unwrap_or_default();
            }
            SendError::Refused { .. } => language
                .pick("Voyez la réponse donnée pour chaque destinataire.", "See the answer given for each recipient."),
            SendError::LoginRefused { .. } => language.pick(
                "Vérifiez que vous avez un droit sur cette boîte, puis identifiez-vous de nouveau.",
                "Check that you have a right on this mailbox, then log in again.",
            ),
            SendError::TooLarge { .. } => language.pick(
                "Retirez des pièces jointes, ou envoyez-les en plusieurs messages.",
                "Take attachments away, or send them in several messages.",
            ),
            SendError::EightBit => {
                language.pick("Joignez le message comme un fichier.", "Attach the message as a file.")
            }
            SendError::Interrupted(_) => language.pick("Réessayez dans un instant.", "Try again in a moment."),
            SendError::Answer { reply } if !reply.is_permanent() => {
                language.pick("Réessayez dans quelques minutes.", "Try again in a few minutes.")
            }
            SendError::Uncertain { .. } | SendError::NotRecognised => language.pick(
                "Demandez au destinataire, ou attendez un accusé, avant d'envoyer de nouveau.",
                "Ask the recipient, or wait for a receipt, before sending again.",
            ),
            SendError::Certificates(_) | SendError::Read(_) => language.pick(
                "Vérifiez le certificat, la clé, le disque et les droits de ce logiciel.",
                "Check this software's certificate, key, disk and rights.",
            ),
            SendError::NoStartTls | SendError::NoMechanism | SendError::Protocol(_) | SendError::Answer { .. } => {
                language.pick("Prévenez l'opérateur.", "Tell the operator.")
            }
        }
        .to_owned()
    }
}
