//! Vaguemestre: the sandbox's operator alpha, reached on its operator interface with beta's certificate (mutual TLS).

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::load::Entrance;
use crate::sandbox::Sandbox;
use crate::{Delivery, Server};

pub struct Ours {
    /// Ends with this.
    _sandbox: Sandbox,
    entrance: Entrance,
    recipients: Vec<String>,
    binary: PathBuf,
    config: PathBuf,
}

impl Ours {
    pub fn start(options: &Delivery) -> Result<Self, String> {
        let sandbox = Sandbox::start(&options.binary, &options.folder.join("vaguemestre"))?;
        let folder = sandbox.folder.clone();
        let alpha = sandbox.operator("alpha")?.clone();
        let (host, port) = (alpha["mx"]["host"].as_str().unwrap_or_default(), &alpha["mx"]["port"]);
        let mx = format!("{host}:{port}").parse().map_err(|e| format!("the MX of alpha in sandbox.json: {e}"))?;
        let mut ours = Ours {
            entrance: sandbox.as_beta(mx)?,
            _sandbox: sandbox,
            recipients: Vec::new(),
            binary: options.binary.clone(),
            config: folder.join("alpha/vaguemestre.toml"),
        };
        for number in 0..options.mailboxes {
            let address = format!("bench{number}@{}", alpha["domain"].as_str().unwrap_or_default());
            ours.mailbox(&["create", &address, "--kind", "ORG", "--holder", "1750000001", "--label", "Bench"])?;
            ours.recipients.push(address);
        }
        Ok(ours)
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

    fn accepts_by_delivering(&self) -> bool {
        true
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
