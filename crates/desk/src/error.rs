//! Why something asked for is not done, and what is said of it. The HTTP statuses of both the pages and the API stand in [`Refusal::status`].

use axum::http::StatusCode;

/// Something of ours does not work: told in the log, never to the user.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// SQLite.
    #[error("database: {0}")]
    Database(#[from] rusqlite::Error),
    /// PostgreSQL says no.
    #[error("PostgreSQL: {0}")]
    Postgres(String),
    /// PostgreSQL is not there: for now.
    #[error("PostgreSQL does not answer: {0}; does it run, and may this machine reach it? It is tried again by itself")]
    Away(String),
    /// PostgreSQL serves another application.
    #[error("another control application uses this database: there is one for each")]
    Taken,
    /// A column holds something else than it should.
    #[error("stored data: column {0}")]
    Column(usize),
    /// A file of ours.
    #[error("{0}: {1}")]
    File(std::path::PathBuf, std::io::Error),
    /// OpenSSL.
    #[error("OpenSSL: {0}")]
    OpenSsl(#[from] openssl::error::ErrorStack),
    /// Something stored cannot be read back.
    #[error("stored data: {0}")]
    Json(#[from] serde_json::Error),
    /// What operators talk to cannot be served.
    #[error(transparent)]
    Hosting(#[from] crate::hosting::HostingError),
    /// The name service cannot be used.
    #[error(transparent)]
    Names(#[from] control::names::NameError),
    /// A report cannot be laid out.
    #[error("report: {0}")]
    Report(Box<dyn std::error::Error + Send + Sync>),
    /// A database of a later version.
    #[error("the database is of version {0}, this program knows {1}")]
    Version(i64, i64),
    /// The key of second factors.
    #[error(transparent)]
    Vault(#[from] crate::account::vault::VaultError),
    /// The section `[oidc]`.
    #[error(transparent)]
    Oidc(#[from] crate::oidc::OidcError),
    /// A task of ours ended before its answer.
    #[error("a task ended early")]
    Task,
}

/// A mistake in what was typed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Mistake {
    /// The field of the form, or the key of the job.
    #[serde(rename = "champ")]
    pub field: String,
    /// What is wrong and what to do, in French.
    #[serde(rename = "message")]
    pub text: String,
}

impl Mistake {
    /// One of a field.
    pub fn of(field: impl Into<String>, text: impl Into<String>) -> Mistake {
        Mistake { field: field.into(), text: text.into() }
    }
}

/// Why something asked for is not done.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Nothing there, or nothing this account may see: the two are not told apart.
    #[error("Cette page n'existe pas, ou n'est pas à vous.")]
    NotFound,
    /// Nobody is signed in.
    #[error("Connectez-vous d'abord.")]
    Unsigned,
    /// The role does not allow it.
    #[error("Votre rôle ne le permet pas.")]
    Forbidden,
    /// The form was not one of ours, or too old.
    #[error("Ce formulaire a expiré : revenez à la page et recommencez.")]
    Stale,
    /// What was typed cannot be.
    #[error("La saisie comporte des erreurs.")]
    Invalid(Vec<Mistake>),
    /// Not now.
    #[error("{0}")]
    Conflict(&'static str),
    /// Too often.
    #[error("Trop d'essais : attendez quelques minutes.")]
    TooMany,
    /// The database is away.
    #[error(
        "La base de données ne répond pas pour le moment : réessayez dans une minute. Rien de ce qui a été affiché n'est perdu."
    )]
    Away(String),
    /// Ours.
    #[error("Une erreur de l'application est survenue ; elle est au journal.")]
    Broken(Broken),
}

impl From<crate::account::vault::VaultError> for Refusal {
    fn from(error: crate::account::vault::VaultError) -> Refusal {
        Refusal::Broken(error.into())
    }
}

impl From<Broken> for Refusal {
    fn from(error: Broken) -> Refusal {
        match error {
            Broken::Away(cause) => Refusal::Away(cause),
            other => Refusal::Broken(other),
        }
    }
}

impl Refusal {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::NotFound => StatusCode::NOT_FOUND,
            Refusal::Unsigned => StatusCode::UNAUTHORIZED,
            Refusal::Forbidden | Refusal::Stale => StatusCode::FORBIDDEN,
            Refusal::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::Conflict(_) => StatusCode::CONFLICT,
            Refusal::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Away(_) => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Stable, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::NotFound => "introuvable",
            Refusal::Unsigned => "non_authentifie",
            Refusal::Forbidden => "interdit",
            Refusal::Stale => "formulaire_expire",
            Refusal::Invalid(_) => "saisie_invalide",
            Refusal::Conflict(_) => "conflit",
            Refusal::TooMany => "trop_d_essais",
            Refusal::Away(_) => "base_indisponible",
            Refusal::Broken(_) => "erreur_interne",
        }
    }

    /// The mistakes, when that is it.
    #[must_use]
    pub fn mistakes(&self) -> &[Mistake] {
        match self {
            Refusal::Invalid(mistakes) => mistakes,
            _ => &[],
        }
    }
}
