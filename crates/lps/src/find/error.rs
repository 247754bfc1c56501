//! Why nobody was found, for people.

use directory::{ApiError, ExtractionError, QueryError, SettingsError};

use crate::explain::{Explain, Fault, Remedy, Told};

/// Why a search or an update failed.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// No `[directory]` section, or neither source in it.
    #[error("no directory is configured")]
    NotConfigured,
    /// What is looked for.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The interface.
    #[error(transparent)]
    Api(ApiError),
    /// The extraction.
    #[error(transparent)]
    Extraction(ExtractionError),
    /// The program ends.
    #[error("the search was stopped")]
    Stopped,
}

impl From<ApiError> for FindError {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Query(error) => FindError::Query(error),
            other => FindError::Api(other),
        }
    }
}

impl From<ExtractionError> for FindError {
    fn from(error: ExtractionError) -> Self {
        match error {
            ExtractionError::Query(error) => FindError::Query(error),
            other => FindError::Extraction(other),
        }
    }
}

impl FindError {
    /// Whether the source merely is not there, which is a choice and no trouble.
    pub(super) fn is_absence(&self) -> bool {
        matches!(
            self,
            FindError::Api(ApiError::NotConfigured)
                | FindError::Extraction(ExtractionError::NotConfigured | ExtractionError::NoIndex(_))
        )
    }
}

impl Explain for FindError {
    fn told(&self) -> Told {
        match self {
            FindError::NotConfigured => Told::new(
                "find.not-configured",
                Fault::Host,
                "aucun annuaire n'est configuré",
                (
                    "Renseignez [directory] dans le fichier de réglages (docs/editor.md) : url et api_key_file, ou extraction et index.",
                    "Fill in [directory] in the settings file (docs/editor.md): url and api_key_file, or extraction and index.",
                ),
            ),
            FindError::Query(error) => {
                let code = if matches!(error, QueryError::Empty) { "find.empty" } else { "find.query" };
                Told::new(code, Fault::User, query_message(error), ("Corrigez la recherche.", "Correct the search."))
            }
            FindError::Api(error) => api(error),
            FindError::Extraction(error) => extraction(error),
            FindError::Stopped => Told::new(
                "find.stopped",
                Fault::Host,
                "la recherche a été arrêtée",
                ("Relancez la recherche.", "Search again."),
            ),
        }
    }
}

fn api(error: &ApiError) -> Told {
    const KEY: Remedy = (
        "Vérifiez la clé et l'abonnement à l'API Annuaire Santé sur portal.api.esante.gouv.fr.",
        "Check the key and its subscription to the API Annuaire Santé on portal.api.esante.gouv.fr.",
    );
    const SLOWER: Remedy = (
        "Attendez quelques secondes ; donnez une clé à chaque application.",
        "Wait some seconds; give each application a key of its own.",
    );
    const SETTINGS: Remedy = (
        "Vérifiez url, api_key_file et anchors dans [directory].",
        "Check url, api_key_file and anchors in [directory].",
    );
    const LATER: Remedy =
        ("Réessayez plus tard, ou cherchez dans l'extraction.", "Try again later, or search the extraction.");
    const OTHERWISE: Remedy = (
        "Cherchez autrement ou dans l'extraction ; si cela persiste, prévenez l'ANS.",
        "Search otherwise or in the extraction; if it goes on, tell the ANS.",
    );
    let (fault, remedy) = match error {
        ApiError::Key(_) => (Fault::Host, KEY),
        ApiError::TooMany => (Fault::Host, SLOWER),
        ApiError::Unreachable(_) | ApiError::TimeOut(_) => (Fault::Network, LATER),
        ApiError::Broken(_) => (Fault::Directory, LATER),
        ApiError::NotConfigured | ApiError::Settings(_) | ApiError::Authorities(_) => (Fault::Host, SETTINGS),
        ApiError::Query(_) => (Fault::Host, OTHERWISE),
        _ => (Fault::Directory, OTHERWISE),
    };
    Told::new(api_code(error), fault, api_message(error), remedy).passing_if(error.is_temporary())
}

fn extraction(error: &ExtractionError) -> Told {
    const UPDATE: Remedy = ("Lancez la mise à jour de l'extraction.", "Run the update of the extraction.");
    const KEYS: Remedy = ("Donnez extraction et index dans [directory].", "Give extraction and index in [directory].");
    const DISK: Remedy = (
        "Vérifiez la place sur le disque et les droits sur ce fichier et son dossier.",
        "Check the room on the disk and the rights on this file and its folder.",
    );
    const KEPT: Remedy = (
        "L'extraction précédente reste en usage ; réessayez plus tard.",
        "The extraction before stays in use; try again later.",
    );
    let (fault, remedy) = match error {
        ExtractionError::NoIndex(_) | ExtractionError::Damaged { .. } => (Fault::Host, UPDATE),
        ExtractionError::NotConfigured => (Fault::Host, KEYS),
        ExtractionError::File { .. } => (Fault::Host, DISK),
        ExtractionError::Fetch(_) => (Fault::Network, KEPT),
        _ => (Fault::Directory, KEPT),
    };
    Told::new(extraction_code(error), fault, extraction_message(error), remedy).passing_if(error.is_temporary())
}

fn api_code(error: &ApiError) -> &'static str {
    match error {
        ApiError::Query(_) => "find.query",
        ApiError::Settings(_) => "find.settings",
        ApiError::NotConfigured => "find.no-interface",
        ApiError::Authorities(_) => "find.authorities",
        ApiError::Unreachable(_) => "find.unreachable",
        ApiError::TimeOut(_) => "find.timed-out",
        ApiError::Key(_) => "find.key",
        ApiError::TooMany => "find.too-many",
        ApiError::Refused { .. } => "find.refused",
        ApiError::Broken(_) => "find.out-of-order",
        ApiError::NotFhir(_) => "find.not-fhir",
        ApiError::TooLarge(_) => "find.too-large",
        ApiError::OtherOrigin => "find.other-origin",
        ApiError::Circle => "find.circle",
    }
}

fn extraction_code(error: &ExtractionError) -> &'static str {
    match error {
        ExtractionError::Query(_) => "find.query",
        ExtractionError::NotConfigured => "find.no-extraction",
        ExtractionError::NoIndex(_) => "find.no-index",
        ExtractionError::File { .. } => "find.file",
        ExtractionError::Damaged { .. } => "find.damaged",
        ExtractionError::Header(_) => "find.not-an-extraction",
        ExtractionError::Broken { .. } => "find.broken-lines",
        ExtractionError::Shrunk { .. } => "find.shrunk",
        ExtractionError::Archive(_) | ExtractionError::Zip(_) => "find.archive",
        ExtractionError::Fetch(_) => "find.fetch",
        ExtractionError::Status(_) => "find.status",
        ExtractionError::TooLarge(_) => "find.extraction-too-large",
    }
}

fn query_message(error: &QueryError) -> String {
    match error {
        QueryError::Empty => {
            "rien n'est cherché : donnez un nom, un lieu, une structure, une profession, un RPPS ou une adresse"
        }
        QueryError::Wordless(_) => "un critère ne contient ni lettre ni chiffre",
        QueryError::Long(_) => "un critère est trop long (200 caractères au plus)",
        QueryError::Rpps => "un numéro RPPS a 11 chiffres (12 avec le 8 devant)",
    }
    .to_owned()
}

fn api_message(error: &ApiError) -> String {
    match error {
        ApiError::Query(error) => query_message(error),
        ApiError::Settings(error) => settings_message(error),
        ApiError::NotConfigured => "l'API de l'annuaire n'est pas configurée".to_owned(),
        ApiError::Authorities(why) => format!("les autorités de l'API de l'annuaire sont inutilisables : {why}"),
        ApiError::Unreachable(why) => format!("l'annuaire est injoignable : {why}"),
        ApiError::TimeOut(after) => format!("l'annuaire n'a pas répondu en entier en {} s", after.as_secs()),
        ApiError::Key(status) => format!("l'annuaire refuse la clé (HTTP {status})"),
        ApiError::TooMany => "l'annuaire demande de ralentir : trop d'appels de cette application".to_owned(),
        ApiError::Refused { status, said } => format!("l'annuaire refuse la requête (HTTP {status}) : {said}"),
        ApiError::Broken(status) => format!("l'annuaire est en panne (HTTP {status})"),
        ApiError::NotFhir(why) => format!("la réponse de l'annuaire n'est pas du FHIR : {why}"),
        ApiError::TooLarge(limit) => format!("l'annuaire a envoyé plus de {limit} octets"),
        ApiError::OtherOrigin => "l'annuaire renvoie à un autre serveur pour la page suivante".to_owned(),
        ApiError::Circle => "les pages de l'annuaire tournent en rond".to_owned(),
    }
}

fn extraction_message(error: &ExtractionError) -> String {
    match error {
        ExtractionError::Query(error) => query_message(error),
        ExtractionError::NotConfigured => "aucune extraction n'est configurée".to_owned(),
        ExtractionError::NoIndex(path) => format!("{} : pas encore d'index de l'annuaire", path.display()),
        ExtractionError::File { path, error } => format!("{} : {error}", path.display()),
        ExtractionError::Damaged { path, what } => {
            format!("{} : l'index de l'annuaire est endommagé ({what})", path.display())
        }
        ExtractionError::Header(column) => {
            format!("le fichier n'est pas une extraction de l'annuaire : {column} manque à sa première ligne")
        }
        ExtractionError::Broken { lines, refused } => {
            format!("{refused} lignes sur {lines} de l'extraction sont inutilisables")
        }
        ExtractionError::Shrunk { lines, before } => {
            format!("l'extraction a {lines} lignes, la précédente {before} : elle semble coupée")
        }
        ExtractionError::Archive(_) | ExtractionError::Zip(_) => {
            "l'archive de l'extraction ne peut pas être lue".to_owned()
        }
        ExtractionError::Fetch(why) => format!("l'extraction ne peut pas être téléchargée : {why}"),
        ExtractionError::Status(status) => format!("l'extraction ne peut pas être téléchargée : HTTP {status}"),
        ExtractionError::TooLarge(limit) => format!("l'extraction dépasse {limit} octets"),
    }
}

/// In French; the settings file's keys are the same in every language.
pub(crate) fn settings_message(error: &SettingsError) -> String {
    match error {
        SettingsError::KeyWithoutUrl => "[directory] api_key_file est donné sans url".to_owned(),
        SettingsError::NotHttps => "[directory] url doit commencer par https://".to_owned(),
        SettingsError::NoIndex => "[directory] extraction est donné sans index".to_owned(),
        SettingsError::Key { path, error } => format!("{} : {error}", path.display()),
        SettingsError::BadKey(path) => format!("{} : aucune clé en caractères imprimables", path.display()),
    }
}
