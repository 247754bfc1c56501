//! A sandbox of the program under test, in a folder of its own, that ends with us.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::load::Entrance;

/// How long it may take to start.
const START: Duration = Duration::from_secs(60);
/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// It runs, and says this of itself.
pub struct Sandbox {
    child: Child,
    /// Where it is, as an absolute path.
    pub folder: PathBuf,
    description: Value,
}

impl Sandbox {
    /// Starts one in a folder that is emptied first; it serves when this returns. What it logs goes to `sandbox.log` there.
    pub fn start(binary: &Path, folder: &Path) -> Result<Sandbox, String> {
        let folder = std::path::absolute(folder).map_err(|e| e.to_string())?;
        let place = |e: std::io::Error| format!("{}: {e}", folder.display());
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).map_err(place)?;
        let log = std::fs::File::create(folder.join("sandbox.log")).map_err(place)?;
        let child = Command::new(binary)
            .args(["sandbox", "--no-self-check", "--dir"])
            .arg(&folder)
            .stdout(log.try_clone().map_err(place)?)
            .stderr(log)
            .spawn()
            .map_err(|e| format!("{}: {e}; build it: cargo build --release -p vaguemestre", binary.display()))?;
        let mut sandbox = Sandbox { child, folder, description: Value::Null };
        sandbox.description = sandbox.described()?;
        Ok(sandbox)
    }

    fn described(&mut self) -> Result<Value, String> {
        let start = Instant::now();
        loop {
            if let Ok(text) = std::fs::read(self.folder.join("sandbox.json")) {
                return serde_json::from_slice(&text).map_err(|e| format!("sandbox.json: {e}"));
            }
            let log = self.folder.join("sandbox.log");
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the sandbox stopped: {status}, see {}", log.display()));
            }
            if start.elapsed() > START {
                return Err(format!("the sandbox does not start, see {}", log.display()));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it says of one of its operators.
    pub fn operator(&self, name: &str) -> Result<&Value, String> {
        let mut operators = self.description["operators"].as_array().into_iter().flatten();
        operators.find(|o| o["name"] == name).ok_or_else(|| format!("sandbox.json has no operator {name}"))
    }

    /// How operator beta, whose certificate the white list has, sends to the operator interface at that address.
    pub fn as_beta(&self, address: SocketAddr) -> Result<Entrance, String> {
        let beta = self.operator("beta")?;
        let file = |key: &str| {
            let file = beta[key].as_str().map(|path| self.folder.join(path));
            file.ok_or_else(|| format!("sandbox.json has no {key} for beta"))
        };
        Ok(Entrance {
            address,
            sender: format!("bench@{}", beta["domain"].as_str().unwrap_or_default()),
            certificate: Some((file("certificate")?, file("key")?)),
        })
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
