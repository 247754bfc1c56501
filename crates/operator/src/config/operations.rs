//! The sections for whoever operates the server: `[monitoring]`, `[log]`, `[rates]`, `[stop]`.

use std::net::SocketAddr;

use serde::Deserialize;
use toml::Spanned;

/// `[monitoring]`: plain HTTP for Prometheus and supervisors.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Monitoring {
    /// Where `/metrics`, `/health` and `/ready` are; absent: not offered.
    pub listen: Option<SocketAddr>,
    /// Below this many MiB free in the data folder, `/ready` says no.
    pub least_free_mib: u64,
}

impl Default for Monitoring {
    fn default() -> Self {
        // The log of the store may reach some hundred MB before it is emptied, and a large message comes twice: spool, body.
        Monitoring { listen: None, least_free_mib: 1024 }
    }
}

/// How much the log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What needs somebody.
    Error,
    /// And what may.
    Warn,
    /// And what goes on.
    #[default]
    Info,
    /// And each command and connection.
    Debug,
    /// And more than anybody reads.
    Trace,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// `[log]`: on standard error.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// How much it says of us; of the libraries below never more than `info`. `RUST_LOG` counts before it.
    pub level: LogLevel,
    /// How it is written. `--log-format` counts before it.
    pub format: LogFormat,
}

/// `[rates]`: how much one mailbox or one address may ask for. 0: no limit.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    /// Sessions open at once on one mailbox, IMAP and submission together.
    pub sessions_per_mailbox: u64,
    /// Logins to one mailbox in a minute.
    pub logins_per_minute_per_mailbox: u64,
    /// Attempts to log in from one address (an IPv6 /64) in a minute.
    pub logins_per_minute_per_address: u64,
    /// Refused logins of one address in a minute that take no longer than usual; beyond, the answers take longer and longer.
    pub refusals_per_minute_per_address: u64,
    /// Messages submitted from one mailbox in an hour.
    pub messages_per_hour: u64,
    /// MiB of mail that one mailbox reads and writes in a minute; beyond, its sessions are slowed down.
    pub mib_per_minute: u64,
}

impl Default for Rates {
    fn default() -> Self {
        Rates {
            // A ward's BAL ORG is open on some tens of workstations, each with two or three connections.
            sessions_per_mailbox: 500,
            // Clients that reconnect for every message are the worst in use; ten a second is a client in a loop.
            logins_per_minute_per_mailbox: 600,
            // A vendor's server speaks for hundreds of users.
            logins_per_minute_per_address: 6_000,
            // People mistype, tokens expire.
            refusals_per_minute_per_address: 30,
            // A laboratory sends its results of the night in one go.
            messages_per_hour: 10_000,
            // 100 MB/s: more than a wire carries, less than what a runaway loop on the loopback does.
            mib_per_minute: 6 * 1024,
        }
    }
}

/// `[stop]`: what a stop of the server waits for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stop {
    /// Seconds that commands, incoming messages and attempts of the queue under way have to end; 0 to 600.
    pub shutdown_grace_seconds: Spanned<u64>,
}

impl Default for Stop {
    fn default() -> Self {
        // Long enough for a large message on a slow line, well under the 90 s after which systemd kills.
        Stop { shutdown_grace_seconds: Spanned::new(0..0, 20) }
    }
}
