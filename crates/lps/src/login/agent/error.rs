//! Why the agent cannot be used.

use std::path::PathBuf;

use psc::login::LoginError;
use serde::{Deserialize, Serialize};

use crate::account::TokenError;
use crate::explain::{Explain, Fault, Remedy, Told};

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
    fn told(&self) -> Told {
        const ANEW: Remedy = (
            "Déconnectez-vous (vaguemestre lps logout), puis identifiez-vous de nouveau.",
            "Log out (vaguemestre lps logout), then log in again.",
        );
        const FOLDER: Remedy = (
            "Vérifiez que cet utilisateur peut écrire dans ce dossier, et réessayez.",
            "Check that this user may write in this folder, and try again.",
        );
        const LOG_IN: Remedy = ("Identifiez-vous : vaguemestre lps login.", "Log in: vaguemestre lps login.");
        const SETTINGS: Remedy = (
            "Vérifiez la section [psc] des réglages, puis identifiez-vous de nouveau.",
            "Check the section [psc] of the settings, then log in again.",
        );
        match self {
            AgentError::NotRunning => {
                Told::new("agent.not-running", Fault::User, "aucun agent ne tourne : personne n'est connecté", LOG_IN)
            }
            AgentError::Running => Told::new("agent.running", Fault::Host, "un agent tourne déjà", ANEW),
            AgentError::Insecure { path } => Told::new(
                "agent.insecure",
                Fault::Host,
                format!("{} n'est pas réservé à cet utilisateur", path.display()),
                (
                    "Ne continuez pas ; supprimez ce dossier s'il est à vous, sinon prévenez l'administrateur du poste.",
                    "Do not go on; remove this folder if it is yours, else tell whoever administers this machine.",
                ),
            ),
            AgentError::BadPath { path } => Told::new(
                "agent.bad-path",
                Fault::Host,
                format!("{} ne peut pas être le chemin d'une prise", path.display()),
                ("Donnez un chemin plus court (moins de 100 octets).", "Give a shorter path (less than 100 octets)."),
            ),
            AgentError::Io { path, source } => {
                Told::new("agent.io", Fault::Host, format!("{} : {source}", path.display()), FOLDER)
            }
            AgentError::Protocol(error) => Told::new(
                "agent.protocol",
                Fault::Host,
                format!("l'agent ne répond pas comme il le doit : {error}"),
                ANEW,
            ),
            AgentError::NotStarted => Told::new("agent.not-started", Fault::Host, "l'agent n'a pas démarré", FOLDER),
            AgentError::Session(error) => error.told(),
            AgentError::Refused(why) => match why {
                Refusal::NobodyLoggedIn => {
                    Told::new("agent.nobody-logged-in", Fault::User, "personne n'est connecté", LOG_IN)
                }
                Refusal::SeveralPeople => Told::new(
                    "agent.several-people",
                    Fault::User,
                    "plusieurs personnes sont connectées : dites laquelle",
                    ("Donnez l'identifiant national avec --as.", "Give the national identifier with --as."),
                ),
                Refusal::Unreachable(why) => Told::new(
                    "agent.psc-unreachable",
                    Fault::Psc,
                    format!("Pro Santé Connect est injoignable : {why}"),
                    ("Réessayez dans un instant.", "Try again in a moment."),
                )
                .passing(),
                Refusal::Psc(why) => {
                    Told::new("agent.psc-refuses", Fault::Host, format!("Pro Santé Connect refuse : {why}"), SETTINGS)
                }
                Refusal::BadSession => Told::new(
                    "agent.bad-session",
                    Fault::Host,
                    "ce qui a été confié à l'agent n'est pas une session de cet espace",
                    LOG_IN,
                ),
                Refusal::Space(why) => Told::new(
                    "agent.space",
                    Fault::Host,
                    format!("l'agent ne peut pas utiliser les réglages de l'espace : {why}"),
                    SETTINGS,
                ),
                Refusal::Full => Told::new("agent.full", Fault::Host, "l'agent garde déjà trop de sessions", ANEW),
            },
        }
    }
}
