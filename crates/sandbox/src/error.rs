//! Why a sandbox does not start or cannot be used.

use std::path::{Path, PathBuf};

/// Why a sandbox does not start or cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A file or folder.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file of ours that cannot be read any more.
    #[error("{path} is damaged ({why}); stop the sandbox and remove its folder to begin anew")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Another sandbox uses the folder.
    #[error("another sandbox runs in {folder}; stop it, or give another folder with --dir")]
    Busy {
        /// Which.
        folder: PathBuf,
    },
    /// No sandbox runs in the folder.
    #[error("no sandbox runs in {folder} (no sandbox.json there); start one with `vaguemestre sandbox --dir {folder}`")]
    NotRunning {
        /// Which.
        folder: PathBuf,
    },
    /// A port that was asked for is taken.
    #[error("cannot listen on {address} ({purpose}): {error}; stop what uses it, or give another --port-base")]
    Port {
        /// Where.
        address: std::net::SocketAddr,
        /// What for.
        purpose: &'static str,
        /// Why.
        error: std::io::Error,
    },
    /// No room for all ports above the base.
    #[error("--port-base {base} leaves no room for {needed} ports below 65536; give a lower one")]
    PortBase {
        /// What was given.
        base: u16,
        /// How many follow it.
        needed: u16,
    },
    /// No common free port was found.
    #[error("no free port could be found on the loopback addresses")]
    NoFreePort,
    /// The test authority.
    #[error("certificates: {0}")]
    Pki(#[from] trust::pki::PkiError),
    /// Keys of Pro Santé Connect.
    #[error("Pro Santé Connect: {0}")]
    Psc(#[from] stub::StubError),
    /// An operator does not start.
    #[error("operator {name}: {error}")]
    Operator {
        /// Which.
        name: &'static str,
        /// Why.
        error: operator::StartError,
    },
    /// The configuration made for an operator is refused by it.
    #[error("operator {name}: {problems}")]
    Config {
        /// Which.
        name: &'static str,
        /// Why.
        problems: String,
    },
    /// The store of an operator.
    #[error("mailboxes of operator {name}: {error}")]
    Store {
        /// Which.
        name: &'static str,
        /// Why.
        error: store::StoreError,
    },
    /// Anything else that is set up once.
    #[error("{what}: {why}")]
    Setup {
        /// What was being set up.
        what: &'static str,
        /// Why it failed.
        why: String,
    },
}

impl SandboxError {
    /// Trouble with a file.
    pub(crate) fn file(path: &Path) -> impl Fn(std::io::Error) -> SandboxError + use<> {
        let path = path.to_owned();
        move |error| SandboxError::File { path: path.clone(), error }
    }

    /// A file that does not hold what we wrote.
    pub(crate) fn damaged(path: &Path, why: &dyn std::fmt::Display) -> SandboxError {
        SandboxError::Damaged { path: path.to_owned(), why: why.to_string() }
    }

    /// Trouble setting something up.
    pub(crate) fn setup<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> SandboxError {
        move |why| SandboxError::Setup { what, why: why.to_string() }
    }

    /// Whether other ports may help: somebody took one between our choice and its use.
    pub(crate) fn is_taken_port(&self) -> bool {
        matches!(self, SandboxError::Operator { error: operator::StartError::Listen { .. }, .. })
    }
}
