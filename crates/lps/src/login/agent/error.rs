//! Why the agent cannot be used.

use std::path::PathBuf;

use psc::login::LoginError;
use serde::{Deserialize, Serialize};

use crate::account::TokenError;
use crate::explain::{Explain, Fault, Language};

/// Why the agent does not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "case", content = "what", rename_all = "kebab-case")]
pub enum Refusal {
    /// It keeps no such session, or it is over.
    #[error("nobody is logged in")]
    NobodyLoggedIn,
    /// It keeps several, and was not told which.
    #[error("several people are logged in: say which")]
    SeveralPeople,
    /// PSC does not answer.
    #[error("Pro Santé Connect cannot be reached: {0}")]
    Unreachable(String),
    /// PSC refuses.
    #[error("Pro Santé Connect refuses: {0}")]
    Psc(String),
    /// What was handed over is no session, or not of this space.
    #[error("what was handed over is not a session of this space")]
    BadSession,
    /// The settings file of the space cannot be used by the agent.
    #[error("the agent cannot use the settings of the space: {0}")]
    Space(String),
    /// It keeps as many sessions as it will.
    #[error("the agent keeps too many sessions")]
    Full,
}

/// Why there is no agent to ask, or no answer.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No agent runs: nobody is logged in.
    #[error("no agent runs: nobody is logged in")]
    NotRunning,
    /// Another runs already.
    #[error("an agent runs already")]
    Running,
    /// The folder or socket is somebody else's, or open to others.
    #[error("{path} is not this user's alone")]
    Insecure {
        /// Which.
        path: PathBuf,
    },
    /// The socket's path is too long for a Unix socket, or has no folder.
    #[error("{path} cannot be the path of a socket")]
    BadPath {
        /// Which.
        path: PathBuf,
    },
    /// A file or socket.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What answers does not speak as an agent does, or not in time.
    #[error("the agent does not answer as it must: {0}")]
    Protocol(std::io::Error),
    /// The process did not come up.
    #[error("the agent did not start")]
    NotStarted,
    /// The session could not be handed over.
    #[error(transparent)]
    Session(#[from] LoginError),
    /// The agent says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl From<LoginError> for Refusal {
    fn from(error: LoginError) -> Refusal {
        match TokenError::from(error) {
            TokenError::LoginNeeded => Refusal::NobodyLoggedIn,
            TokenError::Unreachable(why) => Refusal::Unreachable(why),
            TokenError::Refused(why) => Refusal::Psc(why),
        }
    }
}

impl From<AgentError> for TokenError {
    fn from(error: AgentError) -> TokenError {
        match error {
            AgentError::NotRunning | AgentError::Refused(Refusal::NobodyLoggedIn) => TokenError::LoginNeeded,
            AgentError::Refused(Refusal::Unreachable(why)) => TokenError::Unreachable(why),
            AgentError::Refused(Refusal::Psc(why)) => TokenError::Refused(why),
            AgentError::Session(error) => error.into(),
            other => TokenError::Refused(other.to_string()),
        }
    }
}

impl Explain for AgentError {
    fn code(&self) -> &'static str {
        match self {
            AgentError::NotRunning => "agent.not-running",
            AgentError::Running => "agent.running",
            AgentError::Insecure { .. } => "agent.insecure",
            AgentError::BadPath { .. } => "agent.bad-path",
            AgentError::Io { .. } => "agent.io",
            AgentError::Protocol(_) => "agent.protocol",
            AgentError::NotStarted => "agent.not-started",
            AgentError::Session(error) => error.code(),
            AgentError::Refused(why) => match why {
                Refusal::NobodyLoggedIn => "agent.nobody-logged-in",
                Refusal::SeveralPeople => "agent.several-people",
                Refusal::Unreachable(_) => "agent.psc-unreachable",
                Refusal::Psc(_) => "agent.psc-refuses",
                Refusal::BadSession => "agent.bad-session",
                Refusal::Space(_) => "agent.space",
                Refusal::Full => "agent.full",
            },
        }
    }

    fn fault(&self) -> Fault {
        match self {
            AgentError::NotRunning | AgentError::Refused(Refusal::NobodyLoggedIn | Refusal::SeveralPeople) => {
                Fault::User
            }
            AgentError::Refused(Refusal::Unreachable(_)) => Fault::Psc,
            AgentError::Session(error) => error.fault(),
            _ => Fault::Host,
        }
    }

    fn is_temporary(&self) -> bool {
        match self {
            AgentError::Refused(Refusal::Unreachable(_)) => true,
            AgentError::Session(error) => Explain::is_temporary(error),
            _ => false,
        }
    }

    fn message(&self, language: Language) -> String {
        let Language::French = language else { return self.to_string() };
        match self {
            AgentError::NotRunning => "aucun agent ne tourne : personne n'est connecté".to_owned(),
            AgentError::Running => "un agent tourne déjà".to_owned(),
            AgentError::Insecure { path } => format!("{} n'est pas réservé à cet utilisateur", path.display()),
            AgentError::BadPath { path } => format!("{} ne peut pas être le chemin d'une prise", path.display()),
            AgentError::Io { path, source } => format!("{} : {source}", path.display()),
            AgentError::Protocol(error) => format!("l'agent ne répond pas comme il le doit : {error}"),
            AgentError::NotStarted => "l'agent n'a pas démarré".to_owned(),
            AgentError::Session(error) => error.message(language),
            AgentError::Refused(why) => match why {
                Refusal::NobodyLoggedIn => "personne n'est connecté".to_owned(),
                Refusal::SeveralPeople => "plusieurs personnes sont connectées : dites laquelle".to_owned(),
                Refusal::Unreachable(why) => format!("Pro Santé Connect est injoignable : {why}"),
                Refusal::Psc(why) => format!("Pro Santé Connect refuse : {why}"),
                Refusal::BadSession => "ce qui a été confié à l'agent n'est pas une session de cet espace".to_owned(),
                Refusal::Space(why) => format!("l'agent ne peut pas utiliser les réglages de l'espace : {why}"),
                Refusal::Full => "l'agent garde déjà trop de sessions".to_owned(),
            },
        }
    }

    fn remedy(&self, language: Language) -> String {
        match self {
            AgentError::Session(error) => return error.remedy(language),
            AgentError::NotRunning | AgentError::Refused(Refusal::NobodyLoggedIn | Refusal::BadSession) => {
                language.pick("Identifiez-vous : vaguemestre lps login.", "Log in: vaguemestre lps login.")
            }
            AgentError::Refused(Refusal::SeveralPeople) => {
                language.pick("Donnez l'identifiant national avec --as.", "Give the national identifier with --as.")
            }
            AgentError::Refused(Refusal::Unreachable(_)) => {
                language.pick("Réessayez dans un instant.", "Try again in a moment.")
            }
            AgentError::Refused(Refusal::Psc(_) | Refusal::Space(_)) => language.pick(
                "Vérifiez la section [psc] des réglages, puis identifiez-vous de nouveau.",
                "Check the section [psc] of the settings, then log in again.",
            ),
            AgentError::Insecure { .. } => language.pick(
                "Ne continuez pas ; supprimez ce dossier s'il est à vous, sinon prévenez l'administrateur du poste.",
                "Do not go on; remove this folder if it is yours, else tell whoever administers this machine.",
            ),
            AgentError::BadPath { .. } => language.pick(
                "Donnez un chemin plus court (moins de 100 octets).",
                "Give a shorter path (less than 100 octets).",
            ),
            AgentError::Running | AgentError::Protocol(_) | AgentError::Refused(Refusal::Full) => language.pick(
                "Déconnectez-vous (vaguemestre lps logout), puis identifiez-vous de nouveau.",
                "Log out (vaguemestre lps logout), then log in again.",
            ),
            AgentError::Io { .. } | AgentError::NotStarted => language.pick(
                "Vérifiez que cet utilisateur peut écrire dans ce dossier, et réessayez.",
                "Check that this user may write in this folder, and try again.",
            ),
        }
        .to_owned()
    }
}
