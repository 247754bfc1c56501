//! A job of the plan « client »: one file, like those of operators. Unknown keys are refused; paths are relative to the file.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::step::Step;
use crate::job::JobError;

/// The value of `plan`.
pub const PLAN: &str = "client";

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientJob {
    /// `client`.
    pub plan: ClientPlan,
    /// How its user calls it.
    #[serde(default)]
    pub name: String,
    /// The software under test.
    pub software: Software,
    /// The scripted operator, and how the software is driven.
    pub client: Settings,
}

/// The only value of `plan` here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum ClientPlan {
    /// Mail software.
    #[serde(rename = "client")]
    Client,
}

/// The software under test.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Software {
    /// Its name.
    pub name: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// Who makes it.
    #[serde(default)]
    pub vendor: String,
    /// The product's reference, when X-MSS-NIL is to be compared with it.
    #[serde(default)]
    pub nil: Option<String>,
}

/// A command: words, or a line cut at blanks.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Command {
    /// Words.
    Words(Vec<String>),
    /// A line.
    Line(String),
}

impl Command {
    /// Its words.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        match self {
            Command::Words(words) => words.clone(),
            Command::Line(line) => line.split_whitespace().map(str::to_owned).collect(),
        }
    }
}

/// The scripted operator, and how the software is driven.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The domain of its BAL: `<scénario>@domain`.
    pub domain: String,
    /// The address it listens on: never all of them.
    #[serde(default = "loopback")]
    pub listen: IpAddr,
    /// First port of the scenarios, two for each; any free port when absent.
    #[serde(default)]
    pub first_port: Option<u16>,
    /// Port of autoconfiguration; any when absent.
    #[serde(default)]
    pub autoconfig_port: Option<u16>,
    /// Port of the lists of revoked certificates; any when absent. Fixed, the authority is kept from one run to the next.
    #[serde(default)]
    pub revocation_port: Option<u16>,
    /// Where a small name server answers; none when absent.
    #[serde(default)]
    pub dns: Option<SocketAddr>,
    /// Where the authority is kept, beside the file.
    #[serde(default = "folder")]
    pub folder: PathBuf,
    /// What is run for each step, instead of asking somebody.
    #[serde(default)]
    pub command: Option<Command>,
    /// Steps the command, or the tester, can do; all when absent.
    #[serde(default)]
    pub steps: Option<Vec<Step>>,
    /// Where messages are sent; any address of the domain when absent.
    #[serde(default)]
    pub recipient: Option<String>,
    /// Seconds a step by command may take.
    #[serde(default = "two_minutes")]
    pub command_seconds: u64,
    /// Seconds to wait for somebody to act.
    #[serde(default = "five_minutes")]
    pub wait_seconds: u64,
    /// Seconds without anything new after which a step done by hand is over.
    #[serde(default = "ten_seconds")]
    pub quiet_seconds: u64,
}

fn loopback() -> IpAddr {
    IpAddr::from([127, 0, 0, 1])
}

fn folder() -> PathBuf {
    PathBuf::from("controle-client")
}

fn two_minutes() -> u64 {
    120
}

fn five_minutes() -> u64 {
    300
}

fn ten_seconds() -> u64 {
    10
}

impl Settings {
    /// The name of its servers.
    #[must_use]
    pub fn host(&self) -> String {
        format!("lps.{}", self.domain)
    }

    /// Whether a step is done.
    #[must_use]
    pub fn does(&self, step: Step) -> bool {
        self.steps.as_ref().is_none_or(|steps| steps.contains(&step))
    }

    /// How long a step may take.
    #[must_use]
    pub fn patience(&self) -> Duration {
        let seconds = if self.command.is_some() { self.command_seconds } else { self.wait_seconds };
        Duration::from_secs(seconds.clamp(1, 3600))
    }
}

/// Only the plan of a job.
#[derive(Deserialize)]
struct Peek {
    plan: toml::Value,
}

/// Whether a file is a job of this plan. What cannot be read is none.
#[must_use]
pub fn is_client(path: &Path) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    toml::from_str::<Peek>(&text).is_ok_and(|peek| peek.plan.as_str() == Some(PLAN))
}

impl ClientJob {
    /// Reads the file.
    ///
    /// # Errors
    /// [`JobError`], with the line and what to do.
    pub fn load(path: &Path) -> Result<ClientJob, JobError> {
        let text =
            std::fs::read_to_string(path).map_err(|error| JobError::Unreadable { path: path.to_owned(), error })?;
        let mut job = ClientJob::parse(&text)
            .map_err(|error| JobError::Syntax { path: path.to_owned(), error: Box::new(error) })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        job.client.folder = folder.join(&job.client.folder);
        job.check()?;
        Ok(job)
    }

    /// Reads the text of one.
    ///
    /// # Errors
    /// Where and what.
    pub fn parse(text: &str) -> Result<ClientJob, toml::de::Error> {
        toml::from_str(text)
    }

    /// What the form of the file does not say: names, addresses, ports.
    ///
    /// # Errors
    /// [`JobError::Value`], with the key.
    pub fn check(&self) -> Result<(), JobError> {
        let value = |text: &str| Err(JobError::Value(text.to_owned()));
        let client = &self.client;
        let is_name = |label: &str| {
            !label.is_empty()
                && label.len() < 64
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if client.domain.len() > 200 || !client.domain.contains('.') || !client.domain.split('.').all(is_name) {
            return value("client.domain: a domain name in lower case, such as controle.formation.mssante.fr");
        }
        if client.listen.is_unspecified() || client.dns.is_some_and(|dns| dns.ip().is_unspecified()) {
            return value("client.listen, client.dns: name one address of this machine, not all of them");
        }
        let ports = super::data::scenarios().len() * 2;
        if client.first_port.is_some_and(|port| usize::from(port) + ports > 65_535 || port < 1) {
            return value("client.first_port: too high, each scenario takes two ports");
        }
        if client.command.as_ref().is_some_and(|command| command.words().is_empty()) {
            return value("client.command: empty");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "plan = \"client\"\n[software]\nname = \"X\"\n[client]\ndomain = \"controle.mssante.fr\"\n";

    #[test]
    fn one_file() {
        let job = ClientJob::parse(&format!("{GOOD}command = \"faire {{step}} {{address}}\"\n")).expect("good");
        assert!(job.check().is_ok());
        assert_eq!(
            job.client.command.as_ref().map(Command::words),
            Some(vec!["faire".into(), "{step}".into(), "{address}".into()])
        );
        assert!(job.client.does(Step::EnvoyerDocument));
        for wrong in ["listen = \"0.0.0.0\"", "first_port = 65500", "command = []"] {
            let job = ClientJob::parse(&format!("{GOOD}{wrong}\n")).expect("read");
            assert!(job.check().is_err(), "{wrong}");
        }
        assert!(ClientJob::parse(&format!("{GOOD}inconnu = 1\n")).is_err());
        assert!(ClientJob::parse(&GOOD.replace("client\"", "api-lps\"")).is_err());
    }
}
