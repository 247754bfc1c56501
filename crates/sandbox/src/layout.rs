//! What lies where in a sandbox's folder.

use std::path::{Path, PathBuf};

use crate::SandboxError;

/// The folder of a sandbox.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout of a folder that need not exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Layout { root: root.into() }
    }

    /// Makes the folders, readable by their owner only: keys and mail lie there.
    pub(crate) fn make(&self) -> Result<(), SandboxError> {
        use std::os::unix::fs::DirBuilderExt;
        let (peers, traps) = (self.pki().join("control"), self.pki().join("pieges"));
        let folders =
            [self.root.clone(), self.pki(), self.negative(), peers, traps, self.psc(), self.mes(), self.control()];
        for folder in folders {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
            made.map_err(SandboxError::file(&folder))?;
        }
        Ok(())
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Certificates and keys.
    pub fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    /// Certificates made for refusals.
    pub fn negative(&self) -> PathBuf {
        self.root.join("pki/negative")
    }

    /// Keys and secrets of Pro Santé Connect.
    pub fn psc(&self) -> PathBuf {
        self.root.join("psc")
    }

    /// The key of the directory.
    pub fn directory(&self) -> PathBuf {
        self.root.join("directory")
    }

    /// What the control application has here.
    pub fn control(&self) -> PathBuf {
        self.root.join("control")
    }

    /// What Mon espace santé receives.
    pub fn mes(&self) -> PathBuf {
        self.root.join("mes")
    }

    /// The folder of an operator.
    pub fn operator(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The configuration of an operator.
    pub fn config(&self, name: &str) -> PathBuf {
        self.operator(name).join("vaguemestre.toml")
    }

    /// The description of the running sandbox.
    pub fn description(&self) -> PathBuf {
        self.root.join("sandbox.json")
    }

    /// The settings of mail software.
    pub fn lps(&self) -> PathBuf {
        self.root.join("lps.toml")
    }

    /// The white list as Mon espace santé last had it.
    pub(crate) fn mes_list(&self) -> PathBuf {
        self.root.join("mes-white-list.xml")
    }

    pub(crate) fn ports(&self) -> PathBuf {
        self.root.join("ports.json")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }
}
