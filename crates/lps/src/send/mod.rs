//! Handing a message over to the operator: SMTP with STARTTLS, XOAUTH2 or EXTERNAL, one result per recipient. ECO.1.0.1, ECO.2.3.1;
//! RFC 5321, 3461, 1870.
//!
//! Never twice. Between the final dot and the answer to it a connection may break, and nobody can tell whether the operator took the
//! message (RFC 1047). [`send`] tries again by itself before that point only, or when the operator says in its EHLO that it recognises
//! a message it has had ([`smtp::client::ONCE`], ADR 3); otherwise it answers [`SendError::Uncertain`] and leaves the choice to people.
//! A program that may be killed hands its messages to an [`Outbox`](crate::outbox::Outbox), which remembers how far each one was.
//!
//! A token is asked for each time a connection is opened, and once more when the operator refuses one (it may have ended on the way).

mod attempt;
mod copy;
mod error;
mod outcome;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use smtp::Reply;
use smtp::client::Timeouts;
use time::OffsetDateTime;
use tokio::time::sleep;

use crate::account::Account;
use crate::compose::Outgoing;
use crate::space::Space;
use crate::trace::{Action, Trace};

pub(crate) use attempt::{Doubt, Tried, attempt};
pub use copy::keep_copy;
pub use error::SendError;
pub use outcome::{Cause, Outcome};

/// Connections made for one message, at most: a server that closes three in a row has something to put right.
const ATTEMPTS: u32 = 3;
/// For a server that starts anew, and not long for somebody who waits.
const PAUSE: Duration = Duration::from_millis(500);

/// When the sender wants the operator's notice about a recipient (DSN, ECO.2.3.1); kept so in the records of the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notices {
    /// When it is delivered.
    pub success: bool,
    /// When it cannot be.
    pub failure: bool,
    /// When it takes long.
    pub delay: bool,
    /// Whether a failure gives the whole message back, rather than its header.
    pub whole: bool,
}

impl Notices {
    /// Delivery, failure and delay; the header only is given back.
    #[must_use]
    pub fn all() -> Self {
        Self { success: true, failure: true, delay: true, whole: false }
    }
}

/// How to send.
#[derive(Debug, Clone)]
pub struct SendOptions {
    /// Notices asked for; when not said, the operator tells failures only, as all do.
    pub notices: Option<Notices>,
    /// How long to wait for each answer.
    pub timeouts: Timeouts,
    /// Connections made at most, one at least.
    pub attempts: u32,
    /// Wait before the second connection; twice that before the third.
    pub pause: Duration,
    /// Counts the octets of the message given to the connection, for whoever shows how far it is; begins anew with each connection.
    pub progress: Option<Arc<AtomicU64>>,
}

impl Default for SendOptions {
    /// No notice; shorter times than a relay's, since somebody waits, but ten minutes for the last answer (RFC 5321 §4.5.3.2.6):
    /// giving up there makes a doubt.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        let timeouts = Timeouts {
            connect: seconds(15),
            greeting: seconds(30),
            command: seconds(60),
            data_start: seconds(60),
            data_block: seconds(120),
            data_end: seconds(600),
        };
        Self { notices: None, timeouts, attempts: ATTEMPTS, pause: PAUSE, progress: None }
    }
}

/// What was handed over.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Each recipient, in the order of the message. One of them at least was accepted.
    pub outcomes: Vec<Outcome>,
    /// Whether the operator took over the notices asked for; when not, none will come.
    pub notices: bool,
    /// Connections it took.
    pub attempts: u32,
}

impl Sent {
    /// Recipients who will not get it, or not by this attempt.
    pub fn refused(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| !outcome.is_accepted())
    }

    /// The operator's answer to the message.
    #[must_use]
    pub fn answer(&self) -> Option<&Reply> {
        self.outcomes.iter().find(|outcome| outcome.is_accepted()).map(|outcome| &outcome.reply)
    }
}

/// Hands a message over; returns when the operator has it. Stopping to wait for this (dropping the future) once the message is on its
/// way leaves the doubt described above.
///
/// # Errors
/// [`SendError`]. Except for [`SendError::Uncertain`], nobody was sent the message. A message that some recipients are refused is no
/// error: see [`Sent::refused`].
pub async fn send(
    space: &Space,
    account: &Account,
    message: &Outgoing,
    options: &SendOptions,
) -> Result<Sent, SendError> {
    let mut doubt: Option<Doubt> = None;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let before = space.clock.now();
        let Tried { result, ended, once } = attempt(space, account, message, options, doubt, None).await;
        trace(space, account, message, &result);
        let error = match result {
            Ok(sent) => return Ok(Sent { attempts, ..sent }),
            Err(error) => error,
        };
        if ended && matches!(error, SendError::Uncertain { .. }) {
            // The first doubt is the one whose memory counts.
            doubt = doubt.or(Some(Doubt { since: before }));
        }
        let again = match &error {
            SendError::Uncertain { .. } => once,
            SendError::NotRecognised => false,
            other => other.may_pass() || (doubt.is_some() && other.is_of_connection()),
        };
        if attempts >= options.attempts.max(1) || !again {
            // What is said of a later attempt must not hide that an earlier one may have succeeded.
            return Err(match doubt {
                Some(_) if !matches!(error, SendError::Uncertain { .. }) => {
                    SendError::Uncertain { because: Box::new(error) }
                }
                _ => error,
            });
        }
        sleep(options.pause * attempts).await;
    }
}

/// One line for each connection (ECO.4.1.2): how many, how much, what was answered; nobody's address.
pub(crate) fn trace(space: &Space, account: &Account, message: &Outgoing, result: &Result<Sent, SendError>) {
    let count = message.recipients().len();
    let answer = match result {
        Ok(sent) => {
            let refused = sent.refused().count();
            let answer = sent.answer().map(ToString::to_string).unwrap_or_default();
            if refused == 0 { answer } else { format!("{refused} of {count} refused; {answer}") }
        }
        Err(error) => error.to_string(),
    };
    space.tracer.record(Trace {
        at: OffsetDateTime::from(space.clock.now()),
        author: account.author(),
        mailbox: Some(account.address.to_string()),
        action: Action::Send,
        request: format!("MAIL to {count} recipients, {} octets", message.size()),
        answer: answer.chars().take(crate::trace::MAX_ANSWER).collect(),
        done: result.is_ok(),
        message_id: Some(message.message_id().to_string()),
    });
}
