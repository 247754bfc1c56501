//! Why documents are not sent.

use mssante::XmlError;
use mssante::cda::CdaError;
use mssante::headers::BadValue;
use mssante::pdf_name::PdfNameError;
use mssante::subject::SubjectError;
use mssante::xdm::BuildError;
use render::RenderError;

use crate::explain::{Explain, Fault, Language};

/// Why documents are not sent. A number is the rank of the document, from 1; no name and no identifier of a patient is quoted.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// No document was given.
    #[error("no document")]
    None,
    /// A file cannot be read.
    #[error("document {0} cannot be read: {1}")]
    Unreadable(usize, #[source] std::io::Error),
    /// Not a plain file.
    #[error("document {0} is not a file")]
    NotAFile(usize),
    /// Larger than a mail may be; it was not read. Holds its size in octets.
    #[error("document {0} has {1} octets: at most {limit} fit in a mail", limit = super::MAX_DOCUMENT)]
    TooLarge(usize, u64),
    /// Together larger than a mail may be.
    #[error("the documents together exceed {limit} octets", limit = super::MAX_SET)]
    SetTooLarge,
    /// Not a readable CDA: see the inner error.
    #[error("document {0}: {1}")]
    Cda(usize, #[source] CdaError),
    /// No INS at all.
    #[error("document {0} has no INS")]
    NoIns(usize),
    /// An INS whose key is wrong.
    #[error("document {0} has an INS whose key is wrong")]
    InsKey(usize),
    /// An INS without the four traits: the identity is not qualified and the matricule must not leave (INS/va1.53).
    #[error("document {0} has an INS without birth name, first name, complete birth date and sex")]
    NotQualified(usize),
    /// About another patient than those before it (ECO.2.1.1).
    #[error("document {0} is about another patient than those before it")]
    SeveralPatients(usize),
    /// The same document as one before it.
    #[error("document {0} has the identifier of one before it")]
    SameDocument(usize),
    /// It says that it replaces another document than asked.
    #[error("document {0} says that it replaces another document than the one asked for")]
    ReplacesAnother(usize),
    /// It would replace itself.
    #[error("document {0} has the identifier of the document that it replaces: a new version needs its own")]
    ReplacesItself(usize),
    /// A code cannot stand in X-MSS-CODECDA.
    #[error(transparent)]
    Header(#[from] BadValue),
    /// The subject cannot be composed.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// The PDF copy cannot be named.
    #[error("document {0}: {1}")]
    PdfName(usize, #[source] PdfNameError),
    /// The PDF copy cannot be made.
    #[error("document {0}: {1}")]
    Pdf(usize, #[source] RenderError),
    /// The archive cannot be made.
    #[error(transparent)]
    Archive(#[from] BuildError),
    /// A temporary file cannot be written.
    #[error("a temporary file: {0}")]
    Io(#[from] std::io::Error),
}

impl Explain for DocumentError {
    fn code(&self) -> &'static str {
        match self {
            Self::None => "documents.none",
            Self::Unreadable(..) => "documents.unreadable",
            Self::NotAFile(_) => "documents.not-a-file",
            Self::TooLarge(..) => "documents.too-large",
            Self::SetTooLarge => "documents.set-too-large",
            Self::Cda(_, CdaError::Xml(error)) => match error {
                XmlError::Limit => "documents.xml-limit",
                XmlError::Doctype => "documents.doctype",
                XmlError::Encoding => "documents.encoding",
                XmlError::Truncated => "documents.truncated",
                XmlError::Malformed => "documents.malformed",
            },
            Self::Cda(_, CdaError::NotCda) => "documents.not-cda",
            Self::Cda(_, CdaError::Missing(_)) => "documents.missing-header",
            Self::NoIns(_) => "documents.no-ins",
            Self::InsKey(_) => "documents.ins-key",
            Self::NotQualified(_) => "documents.ins-not-qualified",
            Self::SeveralPatients(_) => "documents.several-patients",
            Self::SameDocument(_) => "documents.same-document",
            Self::ReplacesAnother(_) => "documents.replaces-another",
            Self::ReplacesItself(_) => "documents.replaces-itself",
            Self::Header(_) => "documents.type-code",
            Self::Subject(_) => "documents.subject",
            Self::PdfName(..) => "documents.pdf-name",
            Self::Pdf(..) => "documents.pdf",
            Self::Archive(_) => "documents.archive",
            Self::Io(_) => "documents.temporary-file",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::None
            | Self::Unreadable(..)
            | Self::NotAFile(_)
            | Self::Io(_)
            | Self::Archive(BuildError::SourceId) => Fault::Host,
            Self::Pdf(_, RenderError::PdfA(_)) => Fault::Host,
            _ => Fault::Document,
        }
    }

    fn is_temporary(&self) -> bool {
        matches!(self, Self::Io(_))
    }

    fn message(&self, language: Language) -> String {
        if language == Language::English {
            return self.to_string();
        }
        match self {
            Self::None => "aucun document".to_owned(),
            Self::Unreadable(rank, error) => format!("le document {rank} ne peut pas être lu : {error}"),
            Self::NotAFile(rank) => format!("le document {rank} n'est pas un fichier"),
            Self::TooLarge(rank, size) => format!("le document {rank} est trop gros pour un courriel ({size} octets)"),
            Self::SetTooLarge => "les documents réunis sont trop gros pour un courriel".to_owned(),
            Self::Cda(rank, error) => format!("document {rank} : {}", cda(*error)),
            Self::NoIns(rank) => format!("le document {rank} n'a pas d'INS"),
            Self::InsKey(rank) => format!("le document {rank} porte un matricule INS dont la clé est fausse"),
            Self::NotQualified(rank) => {
                format!(
                    "le document {rank} porte un matricule INS sans les quatre traits : l'identité n'est pas qualifiée"
                )
            }
            Self::SeveralPatients(rank) => format!("le document {rank} concerne un autre patient que les précédents"),
            Self::SameDocument(rank) => format!("le document {rank} a le même identifiant qu'un précédent"),
            Self::ReplacesAnother(rank) => {
                format!("le document {rank} dit remplacer un autre document que celui demandé")
            }
            Self::ReplacesItself(rank) => format!("le document {rank} a l'identifiant de celui qu'il remplace"),
            Self::Header(_) => "le code de type d'un document n'a pas la forme voulue pour X-MSS-CODECDA".to_owned(),
            Self::Subject(SubjectError::NoLabel) | Self::PdfName(_, PdfNameError::NoLabel) => {
                "le type d'un document n'a pas de libellé (displayName)".to_owned()
            }
            Self::Subject(SubjectError::NoName) | Self::PdfName(_, PdfNameError::NoName) => {
                "un document n'a pas le nom de naissance ou le prénom du patient".to_owned()
            }
            Self::Subject(SubjectError::NoDocument) => "aucun document".to_owned(),
            Self::Subject(SubjectError::SeveralPatients) => "les documents concernent plusieurs patients".to_owned(),
            Self::PdfName(rank, PdfNameError::NoDate) => format!("le document {rank} n'a pas de date"),
            Self::Pdf(rank, error) => format!("document {rank} : {}", render(*error)),
            Self::Archive(error) => archive(error),
            Self::Io(error) => format!("fichier temporaire : {error}"),
        }
    }

    fn remedy(&self, language: Language) -> String {
        let (french, english) = match self {
            Self::None => ("Donnez au moins un document CDA R2.", "Give at least one CDA R2 document."),
            Self::Unreadable(..) | Self::NotAFile(_) => (
                "Vérifiez le chemin du fichier et les droits de lecture.",
                "Check the path of the file and the right to read it.",
            ),
            Self::TooLarge(..) | Self::SetTooLarge => (
                "Allégez le document (images du PDF) ou envoyez-en moins à la fois.",
                "Make the document lighter (images of the PDF) or send fewer at once.",
            ),
            Self::Cda(_, CdaError::Xml(XmlError::Doctype)) => (
                "Retirez la déclaration DOCTYPE et ses entités : un CDA n'en a jamais.",
                "Take the DOCTYPE declaration and its entities out: a CDA never has one.",
            ),
            Self::Cda(_, CdaError::Xml(XmlError::Encoding)) => {
                ("Enregistrez le document en UTF-8.", "Save the document as UTF-8.")
            }
            Self::Cda(_, CdaError::Xml(XmlError::Truncated)) => (
                "Le fichier est incomplet : reprenez-le à sa source.",
                "The file is incomplete: take it again from its source.",
            ),
            Self::Cda(..) => (
                "Faites corriger le document par le logiciel qui le produit (CI-SIS, structuration minimale).",
                "Have the document mended by the software that makes it (CI-SIS, structuration minimale).",
            ),
            Self::NoIns(_) => (
                "Qualifiez l'identité du patient puis reproduisez le document ; entre professionnels seulement, un envoi sans INS peut être \
                 autorisé explicitement (X-MSS-INS: N).",
                "Qualify the patient's identity and make the document again; between professionals only, sending without INS can be \
                 allowed explicitly (X-MSS-INS: N).",
            ),
            Self::InsKey(_) => (
                "Corrigez le matricule dans le dossier du patient par un appel au téléservice INSi.",
                "Correct the matricule in the patient's record by asking the INSi service.",
            ),
            Self::NotQualified(_) => (
                "Complétez nom de naissance, premier prénom, date de naissance et sexe, ou retirez le matricule du document.",
                "Complete birth name, first given name, birth date and sex, or take the matricule out of the document.",
            ),
            Self::SeveralPatients(_) | Self::Subject(SubjectError::SeveralPatients) => {
                ("Envoyez un courriel par patient.", "Send one mail for each patient.")
            }
            Self::SameDocument(_) => ("Ne joignez chaque document qu'une fois.", "Attach each document once."),
            Self::ReplacesAnother(_) | Self::ReplacesItself(_) => (
                "Donnez l'identifiant (ClinicalDocument/id) de la dernière version envoyée, et un identifiant neuf à la nouvelle.",
                "Give the identifier (ClinicalDocument/id) of the last version sent, and a new one to the new version.",
            ),
            Self::Header(_) | Self::Subject(_) | Self::PdfName(..) => (
                "Complétez l'en-tête du document : code et libellé du type, nom, prénom, date.",
                "Complete the header of the document: code and display name of its type, names, date.",
            ),
            Self::Pdf(_, RenderError::PdfA(_)) => (
                "Signalez ce défaut avec la version du logiciel.",
                "Report this defect with the version of the software.",
            ),
            Self::Pdf(..) => (
                "Faites corriger le document par le logiciel qui le produit : son contenu ne peut pas être copié en PDF.",
                "Have the document mended by the software that makes it: its content cannot be copied as PDF.",
            ),
            Self::Archive(BuildError::SourceId) => (
                "Corrigez source_id dans [software] : l'OID du système émetteur.",
                "Correct source_id in [software]: the OID of the sending system.",
            ),
            Self::Archive(_) => ("Vérifiez les documents donnés.", "Check the documents given."),
            Self::Io(_) => (
                "Libérez de la place dans le dossier temporaire (TMPDIR).",
                "Make room in the temporary folder (TMPDIR).",
            ),
        };
        language.pick(french, english).to_owned()
    }
}

fn cda(error: CdaError) -> String {
    match error {
        CdaError::Xml(XmlError::Limit) => "le XML dépasse une limite (taille, profondeur, attributs)".to_owned(),
        CdaError::Xml(XmlError::Doctype) => "le XML a une déclaration DOCTYPE, refusée".to_owned(),
        CdaError::Xml(XmlError::Encoding) => "le XML n'est pas en UTF-8".to_owned(),
        CdaError::Xml(XmlError::Truncated) => "le XML est tronqué".to_owned(),
        CdaError::Xml(XmlError::Malformed) => "le XML est mal formé".to_owned(),
        CdaError::NotCda => "ce n'est pas un CDA R2".to_owned(),
        CdaError::Missing(what) => format!("il manque {what} à l'en-tête CDA"),
    }
}

fn render(error: RenderError) -> String {
    match error {
        RenderError::Cda(error) => cda(error),
        RenderError::Empty => "le document n'a pas de contenu".to_owned(),
        RenderError::MediaType => {
            "le fichier contenu n'est ni un PDF, ni un texte, ni une image PNG ou JPEG".to_owned()
        }
        RenderError::Embedded => "le fichier contenu ne peut pas être extrait".to_owned(),
        RenderError::NotAnnounced => "le fichier contenu n'est pas du type annoncé".to_owned(),
        RenderError::Limit => "le document dépasse une limite de l'affichage (texte, tableaux, pages)".to_owned(),
        RenderError::PdfA(_) => "la copie PDF ne peut pas être rendue archivable".to_owned(),
    }
}

fn archive(error: &BuildError) -> String {
    match error {
        BuildError::Count => "une archive contient de 1 à 100 documents".to_owned(),
        BuildError::Document(rank, error) => format!("document {rank} : {}", cda(*error)),
        BuildError::SeveralPatients => "les documents concernent plusieurs patients".to_owned(),
        BuildError::SameDocument => "deux documents ont le même identifiant".to_owned(),
        BuildError::ReplacesItself => "un document a l'identifiant de celui qu'il remplace".to_owned(),
        BuildError::SourceId => "l'identifiant du système émetteur n'est pas un OID".to_owned(),
        BuildError::Zip(error) => format!("l'archive ne peut pas être écrite : {error}"),
    }
}
