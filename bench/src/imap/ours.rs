//! Vaguemestre: operator alpha run by `vaguemestre serve` beside a sandbox, which gives it Pro Santé Connect and certificates. A process of
//! its own, so that its memory is its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use openssl::base64::encode_block;

use super::Mailstore;
use crate::load::Entrance;
use crate::postfix::free_port;
use crate::sandbox::Sandbox;

/// How long the server may take to start.
const START: Duration = Duration::from_secs(30);
/// A person of the bench: ORG mailboxes are opened by those entitled to them.
pub const PERSON: &str = "899700000017";

/// Whom the server asks about a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// Nobody: it goes by the keys of Pro Santé Connect, which it has.
    Nobody,
    /// Pro Santé Connect, at each login (introspection).
    Psc,
}

/// Where the sandbox's Pro Santé Connect is asked about tokens, and as whom.
pub struct Introspection {
    /// Its address.
    pub url: String,
    /// Of the client of the operator.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// The authority of its certificate, in PEM.
    pub anchors: PathBuf,
    /// A token.
    pub token: String,
}

/// The server, running.
pub struct Ours {
    asking: Asking,
    binary: PathBuf,
    /// Ends with this.
    sandbox: Sandbox,
    server: Option<Child>,
    config: PathBuf,
    address: SocketAddr,
    /// Its operator interface.
    mx: SocketAddr,
    domain: String,
    token: String,
}

impl Ours {
    /// `mailboxes`: how many there are.
    pub fn start(base: &Path, binary: &Path, mailboxes: usize) -> Result<Self, String> {
        Self::start_asking(Asking::Nobody, base, binary, mailboxes)
    }

    /// The same, with a say in whom it asks.
    pub fn start_asking(asking: Asking, base: &Path, binary: &Path, mailboxes: usize) -> Result<Self, String> {
        let folder = if asking == Asking::Psc { "ours-asking" } else { "ours" };
        let sandbox = Sandbox::start(binary, &base.join(folder))?;
        let folder = sandbox.folder.clone();
        let mut ours = Ours {
            asking,
            binary: binary.to_owned(),
            sandbox,
            server: None,
            config: folder.join("alone.toml"),
            address: ([127, 0, 0, 1], free_port()?).into(),
            mx: ([127, 0, 0, 1], free_port()?).into(),
            domain: String::new(),
            token: String::new(),
        };
        ours.configure(&folder)?;
        for number in 0..mailboxes {
            let address = ours.mailbox(number);
            ours.admin(&["create", &address, "--kind", "ORG", "--holder", "1750000001", "--label", "Bench"])?;
            ours.admin(&["grant", &address, "--person", PERSON, "--role", "member"])?;
        }
        ours.token = ours
            .run(&["sandbox", "token", "--ttl", "24h", "--id", PERSON, "--dir", &folder.display().to_string()])?
            .trim()
            .to_owned();
        ours.begin()?;
        Ok(ours)
    }

    /// The address of a mailbox.
    pub fn mailbox(&self, number: usize) -> String {
        format!("bench{number}@{}", self.domain)
    }

    /// Alpha's configuration, with a folder, ports and limits of its own.
    fn configure(&mut self, folder: &Path) -> Result<(), String> {
        let text = std::fs::read_to_string(folder.join("alpha/vaguemestre.toml")).map_err(|e| e.to_string())?;
        let mut config: toml::Table = text.parse().map_err(|e| format!("alpha/vaguemestre.toml: {e}"))?;
        // Paths of that file are relative to its folder.
        self.config = folder.join("alpha/alone.toml");
        let table = |config: &mut toml::Table, name: &str, key: &str, value: toml::Value| {
            if let Some(table) = config.entry(name).or_insert_with(|| toml::Table::new().into()).as_table_mut() {
                table.insert(key.into(), value);
            }
        };
        self.domain = config["operator"]["domains"][0].as_str().ok_or("no domain in alpha's configuration")?.to_owned();
        table(&mut config, "operator", "data", folder.join("alone-data").display().to_string().into());
        for entrance in ["imap", "submission", "imap_app", "submission_app", "mx", "autoconfig"] {
            let address = match entrance {
                "imap" => self.address,
                "mx" => self.mx,
                _ => ([127, 0, 0, 1], free_port()?).into(),
            };
            table(&mut config, "listen", entrance, address.to_string().into());
        }
        if let Some(table) = config.get_mut("listen").and_then(|l| l.as_table_mut()) {
            table.retain(|key, _| key != "monitoring");
        }
        config.remove("monitoring");
        if let Some(psc) = config.get_mut("psc").and_then(|p| p.as_table_mut()) {
            psc.remove("userinfo");
            if self.asking == Asking::Nobody {
                psc.remove("introspection");
            }
        }
        table(&mut config, "limits", "connections_per_address", 6000.into());
        table(&mut config, "limits", "connections", 8000.into());
        std::fs::write(&self.config, config.to_string()).map_err(|e| e.to_string())
    }

    /// How another server asks the same Pro Santé Connect; for [`Asking::Psc`].
    pub fn introspection(&self) -> Result<Introspection, String> {
        let text = std::fs::read_to_string(&self.config).map_err(|e| e.to_string())?;
        let config: toml::Table = text.parse().map_err(|e| format!("{}: {e}", self.config.display()))?;
        let psc = &config["psc"];
        let said = |value: &toml::Value| value.as_str().unwrap_or_default().to_owned();
        let asked = psc.get("introspection").ok_or("this server asks nobody")?;
        let alpha = self.sandbox.folder.join("alpha");
        let secret = alpha.join(said(&asked["client_secret_file"]));
        let client_secret = std::fs::read_to_string(&secret).map_err(|e| format!("{}: {e}", secret.display()))?;
        Ok(Introspection {
            url: said(&asked["url"]),
            client_id: said(&asked["client_id"]),
            client_secret: client_secret.trim().to_owned(),
            anchors: alpha.join(said(&psc["anchors"])),
            token: self.token.clone(),
        })
    }

    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(&self.binary).args(arguments).output().map_err(|e| e.to_string())?;
        if !output.status.success() {
            return Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn admin(&self, arguments: &[&str]) -> Result<String, String> {
        let config = self.config.display().to_string();
        self.run(&[&["mailbox"], arguments, &["--config", &config]].concat())
    }

    /// How another operator sends to it.
    pub fn mx(&self) -> Result<Entrance, String> {
        self.sandbox.as_beta(self.mx)
    }

    /// Where the store is, for who fills it while the server is stopped.
    pub fn store(&self) -> Result<PathBuf, String> {
        let text = std::fs::read_to_string(&self.config).map_err(|e| e.to_string())?;
        let config: toml::Table = text.parse().map_err(|e| format!("{}: {e}", self.config.display()))?;
        Ok(Path::new(config["operator"]["data"].as_str().ok_or("no data folder")?).join("store"))
    }

    /// Octets of memory of the server, which runs.
    pub fn memory(&self) -> Result<u64, String> {
        super::process::tree(self.running().ok_or("the server does not run")?)
    }

    /// The process of the server, when it runs.
    pub fn running(&self) -> Option<u32> {
        self.server.as_ref().map(Child::id)
    }

    /// Starts the server; it takes connections when this returns.
    pub fn begin(&mut self) -> Result<(), String> {
        let server = Command::new(&self.binary)
            .args(["serve", "--config"])
            .arg(&self.config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.server = Some(server.map_err(|e| e.to_string())?);
        let begun = Instant::now();
        while std::net::TcpStream::connect(self.address).is_err() {
            if begun.elapsed() > START {
                return Err(format!(
                    "the server does not start: {} serve --config {}",
                    self.binary.display(),
                    self.config.display()
                ));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Stops the server.
    pub fn end(&mut self) {
        if let Some(mut server) = self.server.take() {
            // A clean stop, as the other gets.
            let _ = Command::new("kill").arg(server.id().to_string()).status();
            let _ = server.wait();
        }
    }
}

/// AUTHENTICATE with a token.
pub fn xoauth2(user: &str, token: &str) -> String {
    let response = format!("user={user}\x01auth=Bearer {token}\x01\x01");
    format!("AUTHENTICATE XOAUTH2 {}", encode_block(response.as_bytes()).replace('\n', ""))
}

impl Mailstore for Ours {
    fn name(&self) -> &'static str {
        "Vaguemestre"
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn login(&self, mailbox: usize) -> String {
        xoauth2(&self.mailbox(mailbox), &self.token)
    }

    fn asks(&self) -> bool {
        self.asking == Asking::Psc
    }

    fn only(&self) -> Option<&'static str> {
        self.asks().then_some("logins")
    }

    fn restart(&mut self) -> Result<(), String> {
        self.end();
        self.begin()
    }

    fn process(&self) -> u32 {
        self.server.as_ref().map_or(0, Child::id)
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.end();
    }
}
