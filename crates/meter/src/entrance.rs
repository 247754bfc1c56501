//! What goes through one entry point: its connections by state, handshakes, octets and commands.

use std::sync::Arc;
use std::time::Duration;

use crate::registry::{Counter, Counters, Gauge, Histogram, Registry};

/// Bounds of the time a command takes, in seconds: from what memory answers to what a person gives up waiting for.
const COMMAND_SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing but a connection, in clear or in its handshake.
    Plain,
    /// Under TLS.
    Secure,
    /// It is known who it is.
    Authenticated,
}

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The entry point has as many as it may.
    Full,
    /// The address has as many as it may.
    Address,
}

/// The numbers of one entry point. Entry points of the same name in the same registry share them.
#[derive(Debug)]
pub struct Entrance {
    accepted: Arc<Counter>,
    refused: [Arc<Counter>; 2],
    stages: [Arc<Gauge>; 3],
    handshakes: [Arc<Counter>; 2],
    octets: [Arc<Counter>; 2],
    listening: Arc<Gauge>,
    commands: Counters,
    seconds: Arc<Histogram>,
    name: &'static str,
}

impl Entrance {
    /// The entry point `name`, counted in `registry`.
    pub fn new(registry: &Registry, name: &'static str) -> Arc<Self> {
        let accepted = registry
            .counters("vaguemestre_connections_accepted_total", "Connections taken.", &["entrance"])
            .of(&[name]);
        let refused = registry.counters(
            "vaguemestre_connections_refused_total",
            "Connections refused, by what there were too many of: connections in all, or of one address.",
            &["entrance", "reason"],
        );
        let stages = registry.gauges(
            "vaguemestre_connections",
            "Connections open, by how far they have come.",
            &["entrance", "state"],
        );
        let handshakes =
            registry.counters("vaguemestre_tls_handshakes_total", "TLS handshakes.", &["entrance", "outcome"]);
        let octets =
            registry.counters("vaguemestre_tls_bytes_total", "Octets carried inside TLS.", &["entrance", "direction"]);
        let listening =
            registry.gauges("vaguemestre_listening", "1 while connections are taken.", &["entrance"]).of(&[name]);
        let commands = registry.counters(
            "vaguemestre_commands_total",
            "Commands answered: IMAP with its status, SMTP with the class of the reply.",
            &["entrance", "command", "status"],
        );
        let seconds = registry
            .histograms(
                "vaguemestre_command_seconds",
                "Time from a command to its answer (IDLE is not counted).",
                &["entrance"],
                COMMAND_SECONDS,
            )
            .of(&[name]);
        Arc::new(Entrance {
            accepted,
            refused: ["full", "address"].map(|reason| refused.of(&[name, reason])),
            stages: ["plain", "tls", "authenticated"].map(|state| stages.of(&[name, state])),
            handshakes: ["ok", "failed"].map(|outcome| handshakes.of(&[name, outcome])),
            octets: ["in", "out"].map(|direction| octets.of(&[name, direction])),
            listening,
            commands,
            seconds,
            name,
        })
    }

    /// One that nobody reads, for tests and for servers without monitoring.
    pub fn unwatched() -> Arc<Self> {
        Entrance::new(&Registry::new(), "none")
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// A connection was taken; it is counted open until what this answers is dropped.
    pub fn arrive(self: &Arc<Self>) -> Stay {
        self.accepted.one();
        self.stages[Stage::Plain as usize].add(1);
        Stay { entrance: self.clone(), stage: Stage::Plain }
    }

    /// A connection was refused.
    pub fn refuse(&self, why: Refusal) {
        self.refused[why as usize].one();
    }

    /// A handshake is over.
    pub fn handshake(&self, succeeded: bool) {
        self.handshakes[usize::from(!succeeded)].one();
    }

    /// Octets came in.
    pub fn read(&self, octets: usize) {
        self.octets[0].add(octets as u64);
    }

    /// Octets went out.
    pub fn written(&self, octets: usize) {
        self.octets[1].add(octets as u64);
    }

    /// A command was answered, after `time` unless it is one that waits by nature.
    pub fn command(&self, command: &str, status: &str, time: Option<Duration>) {
        self.commands.of(&[self.name, command, status]).one();
        if let Some(time) = time {
            self.seconds.observe(time.as_secs_f64());
        }
    }

    /// Connections are taken, or no more.
    pub fn listening(&self, listening: bool) {
        self.listening.set(i64::from(listening));
    }

    /// Whether connections are taken.
    pub fn is_listening(&self) -> bool {
        self.listening.get() != 0
    }
}

/// One connection counted; no longer when dropped.
#[derive(Debug)]
pub struct Stay {
    entrance: Arc<Entrance>,
    stage: Stage,
}

impl Stay {
    /// It has come so far.
    pub fn reach(&mut self, stage: Stage) {
        self.entrance.stages[self.stage as usize].add(-1);
        self.entrance.stages[stage as usize].add(1);
        self.stage = stage;
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.entrance.stages[self.stage as usize].add(-1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Text;

    #[test]
    fn a_connection_is_counted_once_wherever_it_is() {
        let registry = Registry::new();
        let entrance = Entrance::new(&registry, "imap");
        let open = |state: &str| {
            let mut text = Text::default();
            registry.write(&mut text);
            let line = format!("vaguemestre_connections{{entrance=\"imap\",state=\"{state}\"}} ");
            text.finish().lines().find_map(|l| l.strip_prefix(&line).map(str::to_owned)).expect("there")
        };
        let mut stay = entrance.arrive();
        assert_eq!((open("plain"), open("tls")), ("1".into(), "0".into()));
        stay.reach(Stage::Secure);
        stay.reach(Stage::Authenticated);
        assert_eq!((open("plain"), open("authenticated")), ("0".into(), "1".into()));
        drop(stay);
        assert_eq!(open("authenticated"), "0");
    }
}
