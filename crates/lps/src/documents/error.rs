//! Why documents are not sent.

use mssante::XmlError;
use mssante::cda::CdaError;
use mssante::headers::BadValue;
use mssante::pdf_name::PdfNameError;
use mssante::subject::SubjectError;
use mssante::xdm::BuildError;
use render::RenderError;

use crate::explain::{Explain, Fault, Remedy, Told};

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
    fn told(&self) -> Told {
        const PATH: Remedy = (
            "Vérifiez le chemin du fichier et les droits de lecture.",
            "Check the path of the file and the right to read it.",
        );
        const LIGHTER: Remedy = (
            "Allégez le document (images du PDF) ou envoyez-en moins à la fois.",
            "Make the document lighter (images of the PDF) or send fewer at once.",
        );
        const VERSIONS: Remedy = (
            "Donnez l'identifiant (ClinicalDocument/id) de la dernière version envoyée, et un identifiant neuf à la nouvelle.",
            "Give the identifier (ClinicalDocument/id) of the last version sent, and a new one to the new version.",
        );
        const HEADER: Remedy = (
            "Complétez l'en-tête du document : code et libellé du type, nom, prénom, date.",
            "Complete the header of the document: code and display name of its type, names, date.",
        );
        const ONE_PATIENT: Remedy = ("Envoyez un courriel par patient.", "Send one mail for each patient.");
        const DEFECT: Remedy =
            ("Signalez ce défaut avec la version du logiciel.", "Report this defect with the version of the software.");
        const NO_COPY: Remedy = (
            "Faites corriger le document par le logiciel qui le produit : son contenu ne peut pas être copié en PDF.",
            "Have the document mended by the software that makes it: its content cannot be copied as PDF.",
        );
        const SOURCE_ID: Remedy = (
            "Corrigez source_id dans [software] : l'OID du système émetteur.",
            "Correct source_id in [software]: the OID of the sending system.",
        );
        const NO_LABEL: &str = "le type d'un document n'a pas de libellé (displayName)";
        const NO_NAME: &str = "un document n'a pas le nom de naissance ou le prénom du patient";
        match self {
            Self::None => Told::new(
                "documents.none",
                Fault::Host,
                "aucun document",
                ("Donnez au moins un document CDA R2.", "Give at least one CDA R2 document."),
            ),
            Self::Unreadable(rank, error) => Told::new(
                "documents.unreadable",
                Fault::Host,
                format!("le document {rank} ne peut pas être lu : {error}"),
                PATH,
            ),
            Self::NotAFile(rank) => {
                Told::new("documents.not-a-file", Fault::Host, format!("le document {rank} n'est pas un fichier"), PATH)
            }
            Self::TooLarge(rank, size) => Told::new(
                "documents.too-large",
                Fault::Document,
                format!("le document {rank} est trop gros pour un courriel ({size} octets)"),
                LIGHTER,
            ),
            Self::SetTooLarge => Told::new(
                "documents.set-too-large",
                Fault::Document,
                "les documents réunis sont trop gros pour un courriel",
                LIGHTER,
            ),
            Self::Cda(rank, error) => unreadable(*rank, *error),
            Self::NoIns(rank) => Told::new(
                "documents.no-ins",
                Fault::Document,
                format!("le document {rank} n'a pas d'INS"),
                (
                    "Qualifiez l'identité du patient puis reproduisez le document ; entre professionnels seulement, un envoi sans INS peut être \
                 autorisé explicitement (X-MSS-INS: N).",
                    "Qualify the patient's identity and make the document again; between professionals only, sending without INS can be \
                 allowed explicitly (X-MSS-INS: N).",
                ),
            ),
            Self::InsKey(rank) => Told::new(
                "documents.ins-key",
                Fault::Document,
                format!("le document {rank} porte un matricule INS dont la clé est fausse"),
                (
                    "Corrigez le matricule dans le dossier du patient par un appel au téléservice INSi.",
                    "Correct the matricule in the patient's record by asking the INSi service.",
                ),
            ),
            Self::NotQualified(rank) => Told::new(
                "documents.ins-not-qualified",
                Fault::Document,
                format!(
                    "le document {rank} porte un matricule INS sans les quatre traits : l'identité n'est pas qualifiée"
                ),
                (
                    "Complétez nom de naissance, premier prénom, date de naissance et sexe, ou retirez le matricule du document.",
                    "Complete birth name, first given name, birth date and sex, or take the matricule out of the document.",
                ),
            ),
            Self::SeveralPatients(rank) => Told::new(
                "documents.several-patients",
                Fault::Document,
                format!("le document {rank} concerne un autre patient que les précédents"),
                ONE_PATIENT,
            ),
            Self::SameDocument(rank) => Told::new(
                "documents.same-document",
                Fault::Document,
                format!("le document {rank} a le même identifiant qu'un précédent"),
                ("Ne joignez chaque document qu'une fois.", "Attach each document once."),
            ),
            Self::ReplacesAnother(rank) => Told::new(
                "documents.replaces-another",
                Fault::Document,
                format!("le document {rank} dit remplacer un autre document que celui demandé"),
                VERSIONS,
            ),
            Self::ReplacesItself(rank) => Told::new(
                "documents.replaces-itself",
                Fault::Document,
                format!("le document {rank} a l'identifiant de celui qu'il remplace"),
                VERSIONS,
            ),
            Self::Header(_) => Told::new(
                "documents.type-code",
                Fault::Document,
                "le code de type d'un document n'a pas la forme voulue pour X-MSS-CODECDA",
                HEADER,
            ),
            Self::Subject(error) => {
                let (french, remedy) = match error {
                    SubjectError::NoLabel => (NO_LABEL, HEADER),
                    SubjectError::NoName => (NO_NAME, HEADER),
                    SubjectError::NoDocument => ("aucun document", HEADER),
                    SubjectError::SeveralPatients => ("les documents concernent plusieurs patients", ONE_PATIENT),
                };
                Told::new("documents.subject", Fault::Document, french, remedy)
            }
            Self::PdfName(rank, error) => {
                let french = match error {
                    PdfNameError::NoLabel => NO_LABEL.to_owned(),
                    PdfNameError::NoName => NO_NAME.to_owned(),
                    PdfNameError::NoDate => format!("le document {rank} n'a pas de date"),
                };
                Told::new("documents.pdf-name", Fault::Document, french, HEADER)
            }
            Self::Pdf(rank, error) => {
                let (fault, remedy) = match error {
                    RenderError::PdfA(_) => (Fault::Host, DEFECT),
                    _ => (Fault::Document, NO_COPY),
                };
                Told::new("documents.pdf", fault, format!("document {rank} : {}", render(*error)), remedy)
            }
            Self::Archive(error) => {
                let (fault, remedy) = match error {
                    BuildError::SourceId => (Fault::Host, SOURCE_ID),
                    _ => (Fault::Document, ("Vérifiez les documents donnés.", "Check the documents given.")),
                };
                Told::new("documents.archive", fault, archive(error), remedy)
            }
            Self::Io(error) => Told::new(
                "documents.temporary-file",
                Fault::Host,
                format!("fichier temporaire : {error}"),
                (
                    "Libérez de la place dans le dossier temporaire (TMPDIR).",
                    "Make room in the temporary folder (TMPDIR).",
                ),
            )
            .passing(),
        }
    }
}

/// A document that is not a readable CDA.
fn unreadable(rank: usize, error: CdaError) -> Told {
    const MEND: Remedy = (
        "Faites corriger le document par le logiciel qui le produit (CI-SIS, structuration minimale).",
        "Have the document mended by the software that makes it (CI-SIS, structuration minimale).",
    );
    let (code, remedy) = match error {
        CdaError::Xml(XmlError::Limit) => ("documents.xml-limit", MEND),
        CdaError::Xml(XmlError::Doctype) => (
            "documents.doctype",
            (
                "Retirez la déclaration DOCTYPE et ses entités : un CDA n'en a jamais.",
                "Take the DOCTYPE declaration and its entities out: a CDA never has one.",
            ),
        ),
        CdaError::Xml(XmlError::Encoding) => {
            ("documents.encoding", ("Enregistrez le document en UTF-8.", "Save the document as UTF-8."))
        }
        CdaError::Xml(XmlError::Truncated) => (
            "documents.truncated",
            (
                "Le fichier est incomplet : reprenez-le à sa source.",
                "The file is incomplete: take it again from its source.",
            ),
        ),
        CdaError::Xml(XmlError::Malformed) => ("documents.malformed", MEND),
        CdaError::NotCda => ("documents.not-cda", MEND),
        CdaError::Missing(_) => ("documents.missing-header", MEND),
    };
    Told::new(code, Fault::Document, format!("document {rank} : {}", cda(error)), remedy)
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
