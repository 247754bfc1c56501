//! Why a message was not handed over, for people.

use smtp::Reply;
use smtp::client::ClientError;
use trust::tls::{HandshakeError, TlsError};

use super::{Cause, Outcome};
use crate::account::TokenError;
use crate::explain::{Explain, Fault, Language, Remedy, Told};
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
    fn told(&self) -> Told {
        const OWN: Remedy = (
            "Vérifiez le certificat, la clé, le disque et les droits de ce logiciel.",
            "Check this software's certificate, key, disk and rights.",
        );
        const OPERATOR: Remedy = ("Prévenez l'opérateur.", "Tell the operator.");
        const ASK: Remedy = (
            "Demandez au destinataire, ou attendez un accusé, avant d'envoyer de nouveau.",
            "Ask the recipient, or wait for a receipt, before sending again.",
        );
        const LATER: Remedy = ("Réessayez dans quelques minutes.", "Try again in a few minutes.");
        match self {
            SendError::Token(error) => error.told(),
            SendError::Connect(error) => error.told(),
            SendError::Certificates(error) => {
                Told::new("send.certificates", Fault::Host, format!("certificats : {error}"), OWN)
            }
            SendError::Handshake(error) => error.told(),
            SendError::NoStartTls => {
                Told::new("send.no-starttls", Fault::Operator, "le serveur n'offre pas STARTTLS", OPERATOR)
            }
            SendError::NoMechanism => Told::new(
                "send.no-mechanism",
                Fault::Operator,
                "le serveur n'offre pas l'authentification que demande cette boîte",
                OPERATOR,
            ),
            SendError::LoginRefused { reply } => Told::new(
                "send.login-refused",
                Fault::User,
                format!("l'opérateur refuse l'authentification : {reply}"),
                (
                    "Vérifiez que vous avez un droit sur cette boîte, puis identifiez-vous de nouveau.",
                    "Check that you have a right on this mailbox, then log in again.",
                ),
            ),
            SendError::Answer { reply } => {
                let remedy = if reply.is_permanent() { OPERATOR } else { LATER };
                Told::new("send.answer", Fault::Operator, format!("l'opérateur répond : {reply}"), remedy)
                    .passing_if(!reply.is_permanent())
            }
            SendError::Refused { outcomes } => refused(self.cause(), outcomes),
            SendError::TooLarge { limit } => Told::new(
                "send.too-large",
                Fault::User,
                format!("l'opérateur ne prend pas de message au-delà de {limit} octets"),
                (
                    "Retirez des pièces jointes, ou envoyez-les en plusieurs messages.",
                    "Take attachments away, or send them in several messages.",
                ),
            ),
            SendError::EightBit => Told::new(
                "send.eight-bit",
                Fault::Operator,
                "l'opérateur ne prend pas les caractères à 8 bits qu'a le message transféré",
                ("Joignez le message comme un fichier.", "Attach the message as a file."),
            ),
            SendError::Interrupted(why) => Told::new(
                "send.interrupted",
                Fault::Network,
                format!("le message n'a pas pu être remis : {why}"),
                ("Réessayez dans un instant.", "Try again in a moment."),
            )
            .passing(),
            SendError::Protocol(why) => {
                Told::new("send.protocol", Fault::Operator, format!("le serveur ne parle pas SMTP : {why}"), OPERATOR)
            }
            SendError::Read(why) => {
                Told::new("send.read", Fault::Host, format!("le message ne peut pas être lu : {why}"), OWN)
            }
            SendError::Uncertain { .. } => Told::new(
                "send.uncertain",
                Fault::Network,
                "le message est parti mais la réponse de l'opérateur est perdue : il est peut-être remis, peut-être pas",
                ASK,
            ),
            SendError::NotRecognised => Told::new(
                "send.not-recognised",
                Fault::Network,
                "l'opérateur ne reconnaîtrait pas le message, qu'il a peut-être déjà : il n'a pas été renvoyé",
                ASK,
            ),
        }
    }
}

/// By the one cause that all recipients share, when there is one.
fn refused(cause: Option<Cause>, outcomes: &[Outcome]) -> Told {
    let (code, fault) = match cause {
        Some(Cause::OutsideWhiteList) => ("send.outside-white-list", Fault::Recipient),
        Some(Cause::Unknown) => ("send.unknown-recipient", Fault::Recipient),
        Some(Cause::BadAddress) => ("send.bad-address", Fault::Recipient),
        Some(Cause::Closed) => ("send.closed", Fault::Recipient),
        Some(Cause::Full) => ("send.full", Fault::Recipient),
        Some(Cause::TooLarge) => ("send.too-large", Fault::User),
        Some(Cause::NotAllowed) => ("send.not-allowed", Fault::User),
        Some(Cause::Later) => ("send.later", Fault::Operator),
        Some(Cause::Other) | None => ("send.refused", Fault::Recipient),
    };
    let (french, remedy) = match cause {
        Some(cause) => {
            let (french, english) = (cause.text(Language::French), cause.text(Language::English));
            (format!("aucun destinataire accepté : {french}"), (french, english))
        }
        None => (
            format!("aucun destinataire accepté ({} refus)", outcomes.len()),
            ("Voyez la réponse donnée pour chaque destinataire.", "See the answer given for each recipient."),
        ),
    };
    let some_later = outcomes.iter().any(|outcome| outcome.cause == Some(Cause::Later));
    Told::new(code, fault, french, remedy).passing_if(some_later)
}
