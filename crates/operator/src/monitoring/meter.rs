//! The typed events that feed the counters. A trace is such an event: the one value feeds the log, the trace file and the metric.

use std::sync::Arc;

use ::meter::{Counters, Registry};

use crate::traces::{Action, Trace};

/// How a login ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginOutcome {
    /// The mailbox is open.
    Granted,
    /// What the client sent is not what the mechanism wants.
    Malformed,
    /// The token is not good.
    Token,
    /// The certificate is not good, or not one of an application.
    Certificate,
    /// There is no such mailbox.
    NoMailbox,
    /// Whoever it is has no right on the mailbox.
    NoRight,
    /// More than the limits allow.
    Limited,
    /// We, or Pro Santé Connect, could not tell.
    Unavailable,
}

impl LoginOutcome {
    fn label(self) -> &'static str {
        match self {
            LoginOutcome::Granted => "granted",
            LoginOutcome::Malformed => "malformed",
            LoginOutcome::Token => "token",
            LoginOutcome::Certificate => "certificate",
            LoginOutcome::NoMailbox => "no_mailbox",
            LoginOutcome::NoRight => "no_right",
            LoginOutcome::Limited => "limited",
            LoginOutcome::Unavailable => "unavailable",
        }
    }
}

/// A limit of `[rates]` that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Sessions at once on one mailbox.
    SessionsOfMailbox,
    /// Logins to one mailbox.
    LoginsOfMailbox,
    /// Attempts to log in from one address.
    LoginsOfAddress,
    /// Refused logins from one address: the answer took longer.
    Refusals,
    /// Messages of one mailbox.
    Messages,
    /// Octets of one mailbox.
    Octets,
}

impl Limit {
    fn label(self) -> &'static str {
        match self {
            Limit::SessionsOfMailbox => "sessions_per_mailbox",
            Limit::LoginsOfMailbox => "logins_per_mailbox",
            Limit::LoginsOfAddress => "logins_per_address",
            Limit::Refusals => "refused_logins_per_address",
            Limit::Messages => "messages_per_mailbox",
            Limit::Octets => "octets_per_mailbox",
        }
    }
}

/// The counters of one operator.
#[derive(Debug)]
pub struct Meter {
    registry: Registry,
    logins: Counters,
    actions: Counters,
    messages: Counters,
    octets: Counters,
    limited: Counters,
    reloads: Counters,
}

impl Meter {
    /// Everything at nought.
    pub fn new() -> Arc<Self> {
        let registry = Registry::new();
        Arc::new(Meter {
            logins: registry.counters(
                "vaguemestre_logins_total",
                "Attempts to open a mailbox, by service and outcome.",
                &["service", "outcome"],
            ),
            actions: registry.counters(
                "vaguemestre_actions_total",
                "What the functional traces tell, by action and whether it was done.",
                &["action", "outcome"],
            ),
            messages: registry.counters(
                "vaguemestre_messages_total",
                "Messages and recipients submitted, received from other operators and relayed to them: accepted, deferred (4.x.x) or refused (5.x.x), by enhanced status code.",
                &["flow", "outcome", "status"],
            ),
            octets: registry.counters(
                "vaguemestre_message_bytes_total",
                "Octets of the messages accepted.",
                &["flow"],
            ),
            limited: registry.counters(
                "vaguemestre_limited_total",
                "Times a limit of [rates] was reached.",
                &["limit"],
            ),
            reloads: registry.counters(
                "vaguemestre_reloads_total",
                "Times the configuration was read again.",
                &["outcome"],
            ),
            registry,
        })
    }

    /// Where entry points and pages are counted too.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// An attempt to open a mailbox.
    pub fn login(&self, action: Action, outcome: LoginOutcome) {
        let service = if action == Action::OpenSubmission { "submission" } else { "imap" };
        self.logins.of(&[service, outcome.label()]).one();
    }

    /// A limit was reached.
    pub fn limited(&self, limit: Limit) {
        self.limited.of(&[limit.label()]).one();
    }

    /// The configuration was read again, and applied or not.
    pub fn reloaded(&self, applied: bool) {
        self.reloads.of(&[if applied { "applied" } else { "refused" }]).one();
    }

    /// What a trace tells.
    pub(crate) fn trace(&self, trace: &Trace) {
        let outcome = if trace.done { "done" } else { "refused" };
        self.actions.of(&[trace.action.label(), outcome]).one();
        let flow = match trace.action {
            Action::Submit => "submitted",
            Action::Receive => "received",
            Action::Relay => "relayed",
            _ => return,
        };
        let class = trace.status.map_or(if trace.done { 2 } else { 5 }, |status| status.0);
        let outcome = match class {
            2 => "accepted",
            4 => "deferred",
            _ => "refused",
        };
        let status = trace.status.map(|status| status.to_string()).unwrap_or_default();
        self.messages.of(&[flow, outcome, &status]).one();
        if let (true, Some(octets)) = (trace.done, trace.quantity) {
            self.octets.of(&[flow]).add(octets);
        }
    }
}
