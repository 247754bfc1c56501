//! Why a message cannot be written, for people.

use std::io;

use crate::explain::{Explain, Fault, Remedy, Told};

/// Why a patient cannot be written to. ECO.2.2.6. Never quotes the number nor a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatientError {
    /// Not 15 characters of the right kind.
    #[error("the matricule is not an INS: 15 characters are expected")]
    Form,
    /// The key does not fit the number.
    #[error("the key of the INS matricule is wrong")]
    Key,
    /// A trait is blank: the INS is not qualified.
    #[error("the INS is not qualified: the {0} is missing")]
    NotQualified(&'static str),
    /// The sex of the identity is not the matricule's.
    #[error("the sex of the patient is not the one the matricule tells")]
    Sex,
    /// The date of birth of the identity is not the matricule's.
    #[error("the date of birth of the patient is not the one the matricule tells")]
    Birth,
}

impl Explain for PatientError {
    fn told(&self) -> Told {
        const MATRICULE: Remedy = (
            "Vérifiez le matricule auprès d'INSi, puis recommencez.",
            "Check the matricule with INSi, then try again.",
        );
        const IDENTITY: Remedy = (
            "Vérifiez l'identité du patient et qualifiez son INS avant de lui écrire.",
            "Check the patient's identity and qualify the INS before writing to them.",
        );
        match self {
            PatientError::Form => Told::new(
                "patient.form",
                Fault::Document,
                "le matricule n'est pas un INS : 15 caractères sont attendus",
                MATRICULE,
            ),
            PatientError::Key => {
                Told::new("patient.key", Fault::Document, "la clé du matricule INS est fausse", MATRICULE)
            }
            PatientError::NotQualified(what) => Told::new(
                "patient.not-qualified",
                Fault::Document,
                {
                    let missing = match *what {
                        "birth name" => "le nom de naissance manque",
                        "first name" => "le prénom de naissance manque",
                        _ => "un trait d'identité manque",
                    };
                    format!("l'INS n'est pas qualifiée : {missing}")
                },
                IDENTITY,
            ),
            PatientError::Sex => Told::new(
                "patient.sex",
                Fault::Document,
                "le sexe du patient n'est pas celui que dit le matricule",
                IDENTITY,
            ),
            PatientError::Birth => Told::new(
                "patient.birth",
                Fault::Document,
                "la date de naissance du patient n'est pas celle que dit le matricule",
                IDENTITY,
            ),
        }
    }
}

/// Why a message cannot be written. Never quotes what it holds.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// Nobody to write to.
    #[error("the message has no recipient")]
    NoRecipient,
    /// More than [`super::MAX_RECIPIENTS`].
    #[error("the message has more than {} recipients", super::MAX_RECIPIENTS)]
    TooManyRecipients,
    /// A patient's address was given as any other.
    #[error("a patient's address is made from a qualified INS, never typed")]
    RawPatientAddress,
    /// Several patients among the recipients.
    #[error("a message is written to one patient only")]
    SeveralPatients,
    /// The documents are about another patient than the one written to.
    #[error("the documents are not about the patient who is written to")]
    OtherPatient,
    /// `X-MSS-MES: FIN` without a patient.
    #[error("the end of the exchange is said to a patient only")]
    EndWithoutPatient,
    /// A domain that the white list does not hold.
    #[error("the domain {0} is not on the white list of the trust space")]
    OutsideWhiteList(String),
    /// No subject and no document to make one from.
    #[error("the message has no subject")]
    NoSubject,
    /// A subject was given to a message with documents.
    #[error("the subject of a message with documents is composed from them")]
    SubjectIsComposed,
    /// A value holds CR, LF, NUL or another control character, or is far too long for a field.
    #[error("the {0} cannot stand in a header field: a control character, or too long")]
    Field(&'static str),
    /// A NUL in the text.
    #[error("the text holds a NUL")]
    Text,
    /// An HTML text without its plain one.
    #[error("a text in HTML needs its plain text too")]
    HtmlAlone,
    /// An attachment's name is blank, too long, or holds a control character or a separator of folders. Holds its rank, from 1.
    #[error("attachment {0} has no usable name")]
    AttachmentName(usize),
    /// An attachment's media type is not `type/subtype`, or is a composite one. Holds its rank, from 1.
    #[error("attachment {0} has no usable media type")]
    MediaType(usize),
    /// An archive of documents was attached by hand.
    #[error("IHE_XDM.zip comes from a set of documents, never from an attachment")]
    ArchiveByHand,
    /// A forwarded message has a NUL, a line above 998 octets or a line end that is not CRLF: no server takes it as it is.
    #[error("the forwarded message is ill-formed and cannot be sent as it is")]
    IllFormedMessage,
    /// A file could not be read, or the message not written.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// Larger than the limit set.
    #[error("the message is larger than the limit of {limit} octets")]
    TooLarge {
        /// The limit, in octets.
        limit: u64,
    },
    /// Larger than what Mon espace santé takes.
    #[error("Mon espace santé takes no message above {limit} octets")]
    TooLargeForPatient {
        /// The limit, in octets.
        limit: u64,
    },
    /// The system gives no randomness.
    #[error("no randomness: {0}")]
    Randomness(#[from] openssl::error::ErrorStack),
}

impl Explain for ComposeError {
    fn told(&self) -> Told {
        const HOST: Remedy = (
            "Le logiciel hôte doit corriger ce qu'il donne à écrire.",
            "The host program must correct what it gives to be written.",
        );
        const DISK: Remedy = (
            "Vérifiez le fichier, la place sur le disque et les droits.",
            "Check the file, the room on the disk and the rights.",
        );
        const LIGHTER: Remedy = (
            "Retirez des pièces jointes, ou envoyez-les en plusieurs messages.",
            "Take attachments away, or send them in several messages.",
        );
        match self {
            ComposeError::NoRecipient => Told::new(
                "compose.no-recipient",
                Fault::User,
                "le message n'a pas de destinataire",
                ("Ajoutez un destinataire.", "Add a recipient."),
            ),
            ComposeError::TooManyRecipients => Told::new(
                "compose.too-many-recipients",
                Fault::User,
                format!("le message a plus de {} destinataires", super::MAX_RECIPIENTS),
                ("Envoyez plusieurs messages.", "Send several messages."),
            ),
            ComposeError::RawPatientAddress => Told::new(
                "compose.raw-patient-address",
                Fault::Host,
                "l'adresse d'un patient se fait à partir d'une INS qualifiée, elle ne se saisit pas",
                (
                    "Choisissez le patient dans le logiciel, avec son INS qualifiée.",
                    "Pick the patient in the software, with a qualified INS.",
                ),
            ),
            ComposeError::SeveralPatients => Told::new(
                "compose.several-patients",
                Fault::User,
                "un message ne s'écrit qu'à un patient",
                ("Écrivez un message par patient.", "Write one message for each patient."),
            ),
            ComposeError::OtherPatient => Told::new(
                "compose.other-patient",
                Fault::Document,
                "les documents ne concernent pas le patient à qui l'on écrit",
                (
                    "Vérifiez le patient et les documents : l'un des deux n'est pas le bon.",
                    "Check the patient and the documents: one of the two is wrong.",
                ),
            ),
            ComposeError::EndWithoutPatient => Told::new(
                "compose.end-without-patient",
                Fault::User,
                "la fin de l'échange ne se dit qu'à un patient",
                (
                    "Retirez la fin d'échange, ou écrivez à un patient.",
                    "Take the end of the exchange away, or write to a patient.",
                ),
            ),
            ComposeError::OutsideWhiteList(domain) => Told::new(
                "compose.outside-white-list",
                Fault::Recipient,
                format!("le domaine {domain} n'est pas dans la liste blanche de l'espace de confiance"),
                (
                    "Cherchez l'adresse MSSanté du destinataire dans l'Annuaire Santé.",
                    "Look for the recipient's MSSanté address in the Annuaire Santé.",
                ),
            ),
            ComposeError::NoSubject => Told::new(
                "compose.no-subject",
                Fault::User,
                "le message n'a pas d'objet",
                ("Donnez un objet.", "Give a subject."),
            ),
            ComposeError::SubjectIsComposed => Told::new(
                "compose.subject-is-composed",
                Fault::Host,
                "l'objet d'un message qui porte des documents est composé à partir d'eux",
                ("Ne donnez pas d'objet.", "Give no subject."),
            ),
            ComposeError::Field(what) => Told::new(
                "compose.field",
                Fault::Host,
                {
                    let what = match *what {
                        "subject" => "l'objet",
                        "message identifier" => "l'identifiant de message",
                        _ => "une valeur",
                    };
                    format!("{what} ne peut pas figurer dans un en-tête : caractère de contrôle, ou trop long")
                },
                HOST,
            ),
            ComposeError::Text => Told::new("compose.text", Fault::Host, "le texte contient un caractère NUL", HOST),
            ComposeError::HtmlAlone => Told::new(
                "compose.html-alone",
                Fault::Host,
                "un texte en HTML doit être accompagné du même en texte simple",
                HOST,
            ),
            ComposeError::AttachmentName(rank) => Told::new(
                "compose.attachment-name",
                Fault::Host,
                format!("la pièce jointe {rank} n'a pas de nom utilisable"),
                HOST,
            ),
            ComposeError::MediaType(rank) => Told::new(
                "compose.media-type",
                Fault::Host,
                format!("la pièce jointe {rank} n'a pas de type utilisable"),
                HOST,
            ),
            ComposeError::ArchiveByHand => Told::new(
                "compose.archive-by-hand",
                Fault::Host,
                "IHE_XDM.zip vient d'un ensemble de documents, jamais d'une pièce jointe",
                HOST,
            ),
            ComposeError::IllFormedMessage => Told::new(
                "compose.ill-formed-message",
                Fault::Document,
                "le message transféré est mal formé et ne peut pas être envoyé tel quel",
                ("Joignez-le comme un fichier, ou recopiez-en le texte.", "Attach it as a file, or copy its text."),
            ),
            ComposeError::Io { source, .. } => {
                Told::new("compose.io", Fault::Host, format!("lecture ou écriture impossible : {source}"), DISK)
            }
            ComposeError::TooLarge { limit } => Told::new(
                "compose.too-large",
                Fault::User,
                format!("le message dépasse la limite de {limit} octets"),
                LIGHTER,
            ),
            ComposeError::TooLargeForPatient { limit } => Told::new(
                "compose.too-large-for-patient",
                Fault::User,
                format!("Mon espace santé ne prend pas de message au-delà de {limit} octets"),
                LIGHTER,
            ),
            ComposeError::Randomness(_) => {
                Told::new("compose.randomness", Fault::Host, "le système ne donne pas d'aléa", DISK)
            }
        }
    }
}
