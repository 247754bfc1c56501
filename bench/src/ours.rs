//! Vaguemestre: the sandbox's operator alpha, reached on its operator interface with beta's certificate (mutual TLS).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::load::Entrance;
use crate::{Delivery, Server};

/// How long the sandbox may take to start.
const START: Duration = Duration::from_secs(30);

pub struct Ours {
    child: Child,
    entrance: Entrance,
    recipients: Vec<String>,
    binary: PathBuf,
    config: PathBuf,
}

impl Ours {
    pub fn start(options: &Delivery) -> Result<Self, String> {
        let folder = options.folder.join("vaguemestre");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let child = Command::new(&options.binary)
            .args(["sandbox", "--no-self-check", "--dir"])
            .arg(&folder)
            .stdout(Stdio::null())
            .spawn()
            .map_err(|e| {
                format!("{}: {e}; build it: cargo build --release -p vaguemestre", options.binary.display())
            })?;
        let mut ours = Ours {
            child,
            entrance: Entrance {
                address: SocketAddr::from(([127, 0, 0, 1], 0)),
                sender: String::new(),
                certificate: None,
            },
            recipients: Vec::new(),
            binary: options.binary.clone(),
            config: folder.join("alpha/vaguemestre.toml"),
        };
        let description = ours.description(&folder)?;
        let operator = |name: &str| {
            let operators = description["operators"].as_array().into_iter().flatten();
            operators.clone().find(|o| o["name"] == name).cloned().ok_or(format!("sandbox.json has no operator {name}"))
        };
        let (alpha, beta) = (operator("alpha")?, operator("beta")?);
        let (host, port) = (alpha["mx"]["host"].as_str().unwrap_or_default(), &alpha["mx"]["port"]);
        ours.entrance.address =
            format!("{host}:{port}").parse().map_err(|e| format!("the MX of alpha in sandbox.json: {e}"))?;
        ours.entrance.sender = format!("bench@{}", beta["domain"].as_str().unwrap_or_default());
        let file = |key: &str| {
            beta[key].as_str().map(|path| folder.join(path)).ok_or(format!("sandbox.json has no {key} for beta"))
        };
        ours.entrance.certificate = Some((file("certificate")?, file("key")?));
        for number in 0..options.mailboxes {
            let address = format!("bench{number}@{}", alpha["domain"].as_str().unwrap_or_default());
            ours.mailbox(&["create", &address, "--kind", "ORG", "--holder", "1750000001", "--label", "Bench"])?;
            ours.recipients.push(address);
        }
        Ok(ours)
    }

    fn description(&mut self, folder: &Path) -> Result<Value, String> {
        let start = Instant::now();
        loop {
            if let Ok(text) = std::fs::read(folder.join("sandbox.json")) {
                return serde_json::from_slice(&text).map_err(|e| format!("sandbox.json: {e}"));
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the sandbox stopped: {status}"));
            }
            if start.elapsed() > START {
                return Err("the sandbox does not start".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn mailbox(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(&self.binary)
            .arg("mailbox")
            .args(arguments)
            .arg("--config")
            .arg(&self.config)
            .output()
            .map_err(|e| e.to_string())?;
        if !output.status.success() {
            return Err(format!("mailbox {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Server for Ours {
    fn name(&self) -> &'static str {
        "Vaguemestre"
    }

    fn entrance(&self) -> &Entrance {
        &self.entrance
    }

    fn recipients(&self) -> &[String] {
        &self.recipients
    }

    fn delivered(&self, _expected: usize) -> Result<usize, String> {
        // 250 means delivered: one look is enough.
        let list: Value = serde_json::from_str(&self.mailbox(&["list", "--json"])?)
            .map_err(|e| format!("mailbox list --json: {e}"))?;
        let boxes = list.as_array().ok_or("mailbox list --json: not a list")?;
        let ours = boxes.iter().filter(|b| b["mailbox"].as_str().is_some_and(|a| a.starts_with("bench")));
        Ok(ours.filter_map(|b| b["messages"].as_u64()).sum::<u64>() as usize)
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
