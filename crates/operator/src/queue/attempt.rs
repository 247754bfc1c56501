//! One attempt: the recipients of one entry in one domain, over one connection; then one commit that tells what became of
//! them, with the notice to the sender in the same commit, so that a crash makes neither two notices nor none.

use faults::Fault;
use std::time::Duration;

use mssante::Domain;
use smtp::client::{Client, ClientError, Delivery, Envelope, RecipientResult, Stage};
use smtp::{BodyType, Enhanced, ForwardPath, MailFrom, Notify, Rcpt, Reply, Ret, ReversePath};
use store::{Commit, Outcome, QueueEntry, QueueId, QueueRecipient, Settlement};

use super::QueueConfig;
use super::connection::{Connected, Connections, Unreachable};
use super::reader::BodyReader;
use super::route::RouteError;
use crate::access::seconds;
use crate::notices::{Destination, Event, Notices, Subject, Told};
use crate::traces::{Action, Trace, Who};

/// Pause before asking the store again when it cannot answer, in seconds.
const STORE_PAUSE: i64 = 15;
/// Pauses of a commit that cannot be made (a full disk): they double from the first to the longest.
const RECORD_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_RECORD_PAUSE: Duration = Duration::from_secs(30);

/// What became of one recipient.
enum Verdict {
    /// The other server has it; whether it also took over the duty to report.
    Relayed { reply: Reply, reports: bool },
    /// Never.
    Failed { status: Enhanced, why: String },
    /// Not this time.
    Later { status: Enhanced, why: String, distrust: bool },
}

/// Tries; answers when the same entry and domain are due again, if ever (seconds since 1970).
pub(super) async fn attempt(
    config: &QueueConfig,
    connections: &mut Connections,
    id: QueueId,
    domain: &Domain,
) -> Option<i64> {
    let now = seconds(config.clock.as_ref());
    let entry = match config.store.queue_entry(id).await {
        Ok(Some(entry)) => entry,
        Ok(None) => return None,
        Err(error) => {
            tracing::error!("the queue cannot be read: {error}");
            return Some(now + STORE_PAUSE);
        }
    };
    let open: Vec<QueueRecipient> = entry.recipients.iter().filter(|r| r.address.domain() == domain).cloned().collect();
    let (due, later): (Vec<_>, Vec<_>) = open.into_iter().partition(|r| r.next_attempt <= now);
    let next = later.iter().map(|r| r.next_attempt).min();
    if due.is_empty() {
        return next;
    }
    let (verdicts, host) = relay(config, connections, &entry, &due, domain).await;
    let again = record(config, &entry, &due, verdicts, host.as_deref(), now).await;
    next.into_iter().chain(again).min()
}

/// Speaks to the other operator. One verdict per recipient, and the server that gave them.
async fn relay(
    config: &QueueConfig,
    connections: &mut Connections,
    entry: &QueueEntry,
    due: &[QueueRecipient],
    domain: &Domain,
) -> (Vec<Verdict>, Option<String>) {
    let all = |verdict: &dyn Fn() -> Verdict| due.iter().map(|_| verdict()).collect::<Vec<_>>();
    let Some(list) = config.white_list.current() else {
        let why = "the white list of the trust space is not available";
        return (all(&|| Verdict::Later { status: Enhanced(4, 4, 3), why: why.into(), distrust: false }), None);
    };
    if !list.is_listed(domain.as_str()) && !faults::is_on(Fault::OutsideDelivery) {
        let why = format!("the domain {domain} is no longer on the white list of the trust space");
        return (all(&|| Verdict::Failed { status: Enhanced(5, 7, 1), why: why.clone() }), None);
    }
    loop {
        let connected = match connections.get(config, domain, &list).await {
            Ok(connected) => connected,
            Err(error) => return (all(&|| unreachable(&error)), None),
        };
        let Connected { host, mut client, held } = connected;
        let body = match config.store.queue_body(entry.id).await {
            Ok(Some(body)) => body,
            Ok(None) => {
                connections.keep(host, client);
                return (
                    all(&|| Verdict::Failed { status: Enhanced(5, 3, 0), why: "the message is gone".into() }),
                    None,
                );
            }
            Err(error) => {
                connections.keep(host, client);
                let why = error.to_string();
                return (
                    all(&|| Verdict::Later { status: Enhanced(4, 3, 0), why: why.clone(), distrust: false }),
                    None,
                );
            }
        };
        let sent = send(&mut client, entry, due, BodyReader::new(body)).await;
        // A server that had enough of a connection says nothing of this message: at once again, by a new one.
        if held && sent.as_ref().map_or_else(is_stale, is_dismissal) {
            continue;
        }
        let verdicts = match sent {
            Ok(delivery) => {
                if !is_dismissal(&delivery) {
                    connections.keep(host.clone(), client);
                }
                let reports = delivery.dsn;
                delivery.recipients.into_iter().map(|result| verdict(result, reports)).collect()
            }
            Err(error) => all(&|| refused(&error)),
        };
        return (verdicts, Some(host));
    }
}

/// Whether the connection was closed before the message was begun.
fn is_stale(error: &ClientError) -> bool {
    match error {
        ClientError::Closed(stage) => matches!(stage, Stage::Envelope | Stage::Finish),
        ClientError::Refused { stage: Stage::Envelope | Stage::Finish, reply } => reply.closes(),
        _ => false,
    }
}

/// Whether all the server said is that it closes the connection (421).
fn is_dismissal(delivery: &Delivery) -> bool {
    delivery.recipients.iter().all(|result| result.reply().closes())
}

async fn send(
    client: &mut Client,
    entry: &QueueEntry,
    due: &[QueueRecipient],
    mut body: BodyReader,
) -> Result<Delivery, ClientError> {
    let parameters = &entry.parameters;
    let from = MailFrom {
        size: Some(entry.size),
        body: if parameters.eight_bit { BodyType::EightBit } else { BodyType::SevenBit },
        smtputf8: parameters.utf8,
        ret: parameters.return_full.map(|full| if full { Ret::Full } else { Ret::Headers }),
        // Was read as xtext when it was accepted.
        envid: parameters.envelope_id.as_ref().and_then(|text| text.parse().ok()),
        ..MailFrom::new(entry.return_path.clone().map_or(ReversePath::Null, ReversePath::Address))
    };
    let to = due
        .iter()
        .map(|r| Rcpt {
            path: ForwardPath::Address(r.address.clone()),
            notify: r.notify.explicit.then_some(match (r.notify.success, r.notify.failure, r.notify.delay) {
                (false, false, false) => Notify::Never,
                (success, failure, delay) => Notify::When { success, failure, delay },
            }),
            orcpt: r.original.as_ref().and_then(|text| text.parse().ok()),
        })
        .collect();
    client.send(&Envelope { from, to }, &mut body).await
}

fn verdict(result: RecipientResult, reports: bool) -> Verdict {
    match result {
        RecipientResult::Accepted(reply) => Verdict::Relayed { reply, reports },
        RecipientResult::Temporary(reply) if faults::is_on(Fault::NoRetry) => {
            Verdict::Failed { status: Enhanced(5, 0, 0), why: reply.to_string() }
        }
        RecipientResult::Permanent(reply) if faults::is_on(Fault::RetryForEver) => {
            Verdict::Later { status: Enhanced(4, 0, 0), why: reply.to_string(), distrust: false }
        }
        RecipientResult::Temporary(reply) => Verdict::Later {
            status: reply.enhanced().unwrap_or(Enhanced(4, 0, 0)),
            why: reply.to_string(),
            distrust: false,
        },
        RecipientResult::Permanent(reply) => {
            Verdict::Failed { status: reply.enhanced().unwrap_or(Enhanced(5, 0, 0)), why: reply.to_string() }
        }
    }
}

fn unreachable(error: &Unreachable) -> Verdict {
    let why = error.to_string();
    match error {
        Unreachable::Route(RouteError::None(_)) => Verdict::Failed { status: Enhanced(5, 1, 2), why },
        Unreachable::Route(RouteError::Unknown(_)) => {
            Verdict::Later { status: Enhanced(4, 4, 3), why, distrust: false }
        }
        Unreachable::Server { .. } if error.is_distrust() => {
            Verdict::Later { status: Enhanced(4, 7, 5), why, distrust: true }
        }
        Unreachable::Server { .. } => Verdict::Later { status: Enhanced(4, 4, 1), why, distrust: false },
    }
}

fn refused(error: &ClientError) -> Verdict {
    let why = error.to_string();
    let said = match error {
        ClientError::Refused { reply, .. } => reply.enhanced(),
        _ => None,
    };
    let is_cut = matches!(error, ClientError::Closed(Stage::Message | Stage::End));
    if is_cut && faults::is_on(Fault::CutIsFinal) {
        return Verdict::Failed { status: Enhanced(5, 4, 2), why };
    }
    if error.is_temporary() {
        Verdict::Later { status: said.unwrap_or(Enhanced(4, 4, 2)), why, distrust: error.is_trust() }
    } else {
        Verdict::Failed { status: said.unwrap_or(Enhanced(5, 5, 0)), why }
    }
}

/// Writes down what became of the recipients, and the notice about it; answers when to try again.
async fn record(
    config: &QueueConfig,
    entry: &QueueEntry,
    due: &[QueueRecipient],
    verdicts: Vec<Verdict>,
    host: Option<&str>,
    now: i64,
) -> Option<i64> {
    let mut outcomes = Vec::new();
    let mut told = Vec::new();
    let mut again: Option<i64> = None;
    for (recipient, verdict) in due.iter().zip(verdicts) {
        let verdict = give_up(config, entry, verdict, now);
        trace(config, entry, recipient, &verdict, host);
        let tell = |event: Event| Told { recipient: recipient.clone(), event, host: host.map(str::to_owned) };
        let notify = recipient.notify;
        match verdict {
            Verdict::Relayed { reports, reply } => {
                // RFC 3461 §5.2.2: a server that does not report leaves the duty to us.
                if notify.success && !reports {
                    told.push(tell(Event::Relayed { reply: reply.to_string() }));
                }
                outcomes.push((recipient.index, Outcome::Relayed));
            }
            Verdict::Failed { status, why } => {
                if notify.failure {
                    told.push(tell(Event::Failed { status, why }));
                }
                outcomes.push((recipient.index, Outcome::Failed));
            }
            Verdict::Later { status, why, .. } => {
                let at =
                    config.schedule.next(now, recipient.attempts + 1, entry.id.0).min(entry.expires_at.max(now + 1));
                let late = !recipient.delay_told && now - entry.accepted_at >= config.schedule.delay_notice;
                if late && notify.delay {
                    told.push(tell(Event::Delayed { status, why: why.clone(), until: entry.expires_at }));
                }
                again = Some(again.map_or(at, |other| other.min(at)));
                outcomes.push((
                    recipient.index,
                    Outcome::Retry { at, error: why, delay_told: recipient.delay_told || late },
                ));
            }
        }
    }
    // Until it is recorded nothing more goes out by this worker: an attempt made again would be a duplicate at the other
    // operator. Only the end of the process ends the wait (the store is closed then).
    let mut pause = RECORD_PAUSE;
    loop {
        let commit = match commit(config, entry, &outcomes, &told, now).await {
            Ok(commit) => config.store.commit(commit).await,
            Err(error) => Err(error),
        };
        match commit {
            Ok(_) => return again,
            // A sender over quota still must not block the queue: what became of the message is in the traces.
            Err(store::StoreError::OverQuota | store::StoreError::NoSuchMailbox) if !told.is_empty() => told.clear(),
            Err(store::StoreError::Closed) => return None,
            Err(error) => {
                tracing::error!("what became of a message could not be recorded, tried again in {pause:?}: {error}");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_RECORD_PAUSE);
            }
        }
    }
}

/// A delay becomes a failure when the message has waited long enough.
fn give_up(config: &QueueConfig, entry: &QueueEntry, verdict: Verdict, now: i64) -> Verdict {
    match verdict {
        Verdict::Later { why, .. } if now >= entry.expires_at => Verdict::Failed {
            status: Enhanced(5, 4, 7),
            why: format!("given up after too many attempts; the last one said: {why}"),
        },
        Verdict::Later { why, distrust: true, .. } if now - entry.accepted_at >= config.schedule.distrust => {
            Verdict::Failed { status: Enhanced(5, 7, 5), why }
        }
        other => other,
    }
}

async fn commit(
    config: &QueueConfig,
    entry: &QueueEntry,
    outcomes: &[(u32, Outcome)],
    told: &[Told],
    now: i64,
) -> store::Result<Commit> {
    let settle = Some(Settlement { entry: entry.id, recipients: outcomes.to_vec() });
    // A message without a return path is itself a notice: nobody is told (RFC 5321 §6.1).
    let (Some(return_path), Some(sender), false) = (&entry.return_path, entry.sender, told.is_empty()) else {
        return Ok(Commit { settle, ..Commit::default() });
    };
    let notices = Notices { hostname: &config.hostname, tracer: &config.tracer };
    // RFC 3461 §4.3: RET speaks of failures; other notices give the header back.
    let failed = told.iter().any(|told| matches!(told.event, Event::Failed { .. }));
    let subject = Subject {
        to: return_path,
        envelope_id: entry.parameters.envelope_id.as_deref(),
        message_id: None,
        accepted_at: entry.accepted_at,
        original: config
            .store
            .queue_body(entry.id)
            .await?
            .map(|body| (body, failed && entry.parameters.return_full == Some(true))),
    };
    let notice = notices.report(&subject, told, Destination::Mailbox(sender), config.store.spool(), now).await?;
    Ok(Commit { settle, ..notice })
}

fn trace(config: &QueueConfig, entry: &QueueEntry, recipient: &QueueRecipient, verdict: &Verdict, host: Option<&str>) {
    let (done, answer, status) = match verdict {
        Verdict::Relayed { reply, .. } => (true, reply.to_string(), None),
        Verdict::Failed { why, status } | Verdict::Later { why, status, .. } => (false, why.clone(), Some(*status)),
    };
    config.tracer.record(Trace {
        mailbox: entry.return_path.as_ref().map(ToString::to_string),
        with: vec![recipient.address.to_string()],
        message: Some(format!("queue {}", entry.id.0)),
        quantity: Some(entry.size),
        answer: Some(answer),
        peer: host.map(str::to_owned),
        status,
        ..Trace::new(Who::Server, Action::Relay, done)
    });
}
