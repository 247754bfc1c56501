//! Why a command stops, and with which exit code. docs/editor.md lists the codes.

use std::path::PathBuf;

use lps::explain::{Explain, Fault, Language, Told};

pub use exit::{DOCUMENT, LOGIN, REFUSED};

/// Exit codes; 0 is done, 2 a wrong command line (clap's), 130 an interruption.
mod exit {
    /// What follows does not say more: settings, files, this program.
    pub const FAILED: u8 = 1;
    /// Somebody must log in (again).
    pub const LOGIN: u8 = 3;
    /// A document or a value that was given is not good.
    pub const DOCUMENT: u8 = 4;
    /// The operator, the recipient's operator, PSC or the directory says no; or the person has not the right.
    pub const REFUSED: u8 = 5;
    /// The same may work later without anybody doing anything.
    pub const TEMPORARY: u8 = 6;
    /// A server is not to be trusted: certificate, revocation, a foreign domain.
    pub const TRUST: u8 = 7;
    /// Ctrl-C or SIGTERM, as shells have it.
    pub const INTERRUPTED: u8 = 130;
}

/// Why a command ends before its end.
#[derive(Debug)]
pub enum Stop {
    /// An error, of the library or of this command.
    Explained(Box<dyn Explain + Send + Sync>),
    /// Whoever read the answer has gone (`| head`): no failure.
    ReaderGone,
    /// Ctrl-C or SIGTERM.
    Interrupted,
    /// Something went wrong and was told; only the exit code is left to say.
    Told(u8),
}

impl<E: Explain + Send + Sync + 'static> From<E> for Stop {
    fn from(error: E) -> Stop {
        Stop::Explained(Box::new(error))
    }
}

impl Stop {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Stop::Explained(error) => code(&**error),
            Stop::ReaderGone => 0,
            Stop::Interrupted => exit::INTERRUPTED,
            Stop::Told(code) => *code,
        }
    }
}

/// The exit code of an error: by what to do about it.
pub fn code(error: &dyn Explain) -> u8 {
    if ["login.needed", "login.session-over", "agent.not-running", "agent.nobody-logged-in"].contains(&error.code()) {
        return exit::LOGIN;
    }
    if error.is_temporary() {
        return exit::TEMPORARY;
    }
    // What was given to be sent, whoever should have known better.
    if ["compose.", "document.", "documents.", "patient."].iter().any(|module| error.code().starts_with(module)) {
        return exit::DOCUMENT;
    }
    match error.fault() {
        Fault::Host | Fault::Network => exit::FAILED,
        Fault::Document => exit::DOCUMENT,
        Fault::User | Fault::Operator | Fault::Recipient | Fault::Psc | Fault::Directory => exit::REFUSED,
        Fault::Space => exit::TRUST,
    }
}

/// As JSON: `{"code", "fault", "temporary", "message", "remedy"}`.
pub fn json(error: &dyn Explain, language: Language) -> serde_json::Value {
    serde_json::json!({
        "code": error.code(),
        "fault": error.fault().code(),
        "temporary": error.is_temporary(),
        "message": error.message(language),
        "remedy": error.remedy(language),
    })
}

/// What this command finds wrong by itself.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// No settings file was found.
    #[error("there is no settings file: neither {home} nor {sandbox} exists", home = .home.display(), sandbox = .sandbox.display())]
    NoSettings {
        /// The person's.
        home: PathBuf,
        /// The sandbox's.
        sandbox: PathBuf,
    },
    /// No mailbox was named and none is remembered.
    #[error("which mailbox?")]
    NoMailbox,
    /// The list of mailboxes cannot be read.
    #[error("{file} is not understood: {why}", file = .file.display())]
    Boxes {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// That mailbox is not among the remembered ones.
    #[error("{0} is not among the remembered mailboxes")]
    NotRemembered(String),
    /// A file cannot be read or written.
    #[error("{file}: {why}", file = .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system says.
        why: std::io::Error,
    },
    /// Standard input or output.
    #[error("{0}")]
    Stream(std::io::Error),
    /// A certificate and key that do not fit.
    #[error("the certificate cannot be used: {0}")]
    Certificate(String),
    /// There is no such message.
    #[error("there is no message {uid} in {folder}")]
    NoMessage {
        /// Its UID.
        uid: u32,
        /// The folder.
        folder: String,
    },
    /// Nobody was named to log in by telephone.
    #[error("who logs in?")]
    WhoLogsIn,
    /// The settings have no section `[psc]`.
    #[error("the settings say nothing of Pro Santé Connect")]
    NoPsc,
    /// No display name is known for the sender.
    #[error("the message needs a label: what recipients see beside the address")]
    NoLabel,
    /// The patient was not confirmed.
    #[error("the patient was not confirmed; nothing was sent")]
    NotConfirmed,
    /// A value that cannot be used; holds what and why in French and in English.
    #[error("{1}")]
    Value(String, String),
}

impl Explain for CommandError {
    fn told(&self) -> Told {
        match self {
            CommandError::NoSettings { home, sandbox } => Told::new(
                "command.no-settings",
                Fault::Host,
                format!("aucun fichier de réglages : ni {} ni {} n'existe", home.display(), sandbox.display()),
                (
                    "Donnez --space FICHIER, ou démarrez un espace d'essai ici : vaguemestre sandbox.",
                    "Give --space FILE, or start a test space here: vaguemestre sandbox.",
                ),
            ),
            CommandError::NoMailbox => Told::new(
                "command.no-mailbox",
                Fault::Host,
                "quelle BAL ?",
                (
                    "Donnez --mailbox ADRESSE, ou retenez-en une : vaguemestre lps boxes add ADRESSE.",
                    "Give --mailbox ADDRESS, or have one remembered: vaguemestre lps boxes add ADDRESS.",
                ),
            ),
            CommandError::Boxes { file, why } => Told::new(
                "command.boxes",
                Fault::Host,
                format!("{} n'est pas compris : {why}", file.display()),
                ("Corrigez-le ou supprimez-le.", "Mend it or remove it."),
            ),
            CommandError::NotRemembered(address) => Told::new(
                "command.not-remembered",
                Fault::Host,
                format!("{address} n'est pas parmi les BAL retenues"),
                ("vaguemestre lps boxes les montre.", "vaguemestre lps boxes shows them."),
            ),
            CommandError::File { .. } => Told::new(
                "command.file",
                Fault::Host,
                self.to_string(),
                ("Vérifiez le nom, les droits et la place.", "See to its name, its rights and the space left."),
            ),
            CommandError::Stream(_) => Told::new(
                "command.stream",
                Fault::Host,
                self.to_string(),
                ("Vérifiez d'où cela vient et où cela va.", "See where it comes from and goes to."),
            ),
            CommandError::Certificate(why) => Told::new(
                "command.certificate",
                Fault::Host,
                format!("le certificat est inutilisable : {why}"),
                (
                    "Donnez un certificat ORG AUTH_CLI et sa clé, en PEM : --certificate FICHIER --key FICHIER.",
                    "Give an ORG AUTH_CLI certificate and its key, as PEM: --certificate FILE --key FILE.",
                ),
            ),
            CommandError::NoMessage { uid, folder } => Told::new(
                "command.no-message",
                Fault::Document,
                format!("il n'y a pas de message {uid} dans {folder}"),
                (
                    "vaguemestre lps list montre les numéros ; --folder choisit le dossier.",
                    "vaguemestre lps list shows the numbers; --folder chooses the folder.",
                ),
            ),
            CommandError::WhoLogsIn => Told::new(
                "command.who-logs-in",
                Fault::Host,
                "qui s'identifie ?",
                ("Donnez --as IDNAT : 8 suivi du numéro RPPS.", "Give --as IDNAT: 8 and the RPPS number."),
            ),
            CommandError::NoPsc => Told::new(
                "command.no-psc",
                Fault::Host,
                "les réglages ne disent rien de Pro Santé Connect",
                (
                    "Ajoutez une section [psc] (docs/editor.md), ou ouvrez une BAL APP avec --certificate.",
                    "Add a section [psc] (docs/editor.md), or open a BAL APP with --certificate.",
                ),
            ),
            CommandError::NoLabel => Told::new(
                "command.no-label",
                Fault::Host,
                "il faut au message un libellé : ce que les destinataires voient à côté de l'adresse",
                (
                    "Donnez --label Dr_Prénom_NOM_Entité, ou retenez-le : vaguemestre lps boxes add ADRESSE --label ….",
                    "Give --label Dr_First_NAME_Entity, or have it remembered: vaguemestre lps boxes add ADDRESS --label ….",
                ),
            ),
            CommandError::NotConfirmed => Told::new(
                "command.not-confirmed",
                Fault::Document,
                "le patient n'a pas été confirmé ; rien n'a été envoyé",
                (
                    "Vérifiez l'identité, puis confirmez ou donnez --yes.",
                    "Check the identity, then confirm or give --yes.",
                ),
            ),
            CommandError::Value(french, _) => Told::new(
                "command.value",
                Fault::Document,
                french.clone(),
                ("Corrigez la ligne de commande.", "Mend the command line."),
            ),
        }
    }
}

/// An error of the file system about a file.
pub fn file(file: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Stop {
    let file = file.into();
    move |why| CommandError::File { file, why }.into()
}
