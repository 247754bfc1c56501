//! What senders are told of their mail: delivery status notifications into their own mailbox (RFC 3461, RFC 3464; OPE-QUEUE).
//!
//! Invariants: a notice is a [`Commit`] to be made together with what it tells of; it goes to the mailbox of ours that sent, or
//! through the queue to the operator whose message asked for it; there is none about a notice.

use mail::date::Moment;
use mail::header;
use mail::report::{Action, Recipient, Report, Returned, TypedAddress, decode_xtext};
use mssante::{Address, Domain};
use smtp::Enhanced;
use store::{
    Body, Commit, MailParameters, MailboxId, NewQueueEntry, NewQueueRecipient, Notify, QueueRecipient, Spool, Target,
};

use crate::backends::incoming::{MAX_HEADER, Streamed, message_number};
use crate::traces::{self, Trace, Tracer, Who};

/// Makes notices.
pub struct Notices<'a> {
    /// The server that reports.
    pub hostname: &'a str,
    /// Where traces go.
    pub tracer: &'a Tracer,
}

/// The message a notice speaks of.
pub struct Subject<'a> {
    /// Its return path: whom the notice is for.
    pub to: &'a Address,
    /// Its ENVID, as received.
    pub envelope_id: Option<&'a str>,
    /// Its Message-ID, for the trace.
    pub message_id: Option<&'a str>,
    /// When it was accepted, seconds since 1970.
    pub accepted_at: i64,
    /// The message, and whether the sender wants all of it back (`RET=FULL`).
    pub original: Option<(Body, bool)>,
}

/// Where a notice goes.
#[derive(Clone, Copy, Debug)]
pub enum Destination<'a> {
    /// Into the mailbox that sent.
    Mailbox(MailboxId),
    /// To the sender at another operator.
    Away {
        /// The domain of ours that writes.
        domain: &'a Domain,
        /// When it is given up, seconds since 1970.
        expires_at: i64,
    },
}

/// What became of a recipient.
#[derive(Clone, Debug)]
pub enum Event {
    /// Given up.
    Failed {
        /// The status.
        status: Enhanced,
        /// What was said.
        why: String,
    },
    /// Not yet.
    Delayed {
        /// The status.
        status: Enhanced,
        /// What was said.
        why: String,
        /// Until when it is tried, seconds since 1970.
        until: i64,
    },
    /// Handed to a server that does not report.
    Relayed {
        /// What it answered.
        reply: String,
    },
}

/// A recipient the sender is told of.
#[derive(Clone, Debug)]
pub struct Told {
    /// Who.
    pub recipient: QueueRecipient,
    /// What became of it.
    pub event: Event,
    /// The server that answered.
    pub host: Option<String>,
}

impl Notices<'_> {
    /// A notice about recipients elsewhere.
    ///
    /// # Errors
    /// The store's.
    pub async fn report(
        &self,
        subject: &Subject<'_>,
        told: &[Told],
        to: Destination<'_>,
        spool: Spool,
        now: i64,
    ) -> store::Result<Commit> {
        let recipients = told.iter().map(|told| of_told(told, now)).collect();
        self.commit(subject, recipients, to, spool, now).await
    }

    /// A notice that recipients of ours have their mail. `message`: what recognises the mail if it comes again: a mailbox here that was
    /// told the same of it is not told twice.
    ///
    /// # Errors
    /// The store's.
    pub async fn delivered(
        &self,
        subject: &Subject<'_>,
        told: &[NewQueueRecipient],
        message: Option<[u8; 16]>,
        to: Destination<'_>,
        spool: Spool,
        now: i64,
    ) -> store::Result<Commit> {
        let delivered = told.iter().map(|recipient| Recipient {
            original: original(recipient.original.as_deref()),
            address: recipient.address.to_string(),
            action: Action::Delivered,
            status: Enhanced(2, 1, 5),
            remote_mta: None,
            diagnostic: None,
            last_attempt: Some(Moment::utc(now)),
            will_retry_until: None,
        });
        let commit = self.commit(subject, delivered.collect(), to, spool, now).await?;
        Ok(Commit { duplicate_key: message.map(|message| notice_key(message, told)), ..commit })
    }

    async fn commit(
        &self,
        subject: &Subject<'_>,
        recipients: Vec<Recipient>,
        to: Destination<'_>,
        spool: Spool,
        now: i64,
    ) -> store::Result<Commit> {
        let quantity = recipients.len() as u64;
        let ours = match to {
            Destination::Mailbox(_) => subject.to.domain(),
            Destination::Away { domain, .. } => domain,
        };
        let report = Report {
            message_id: format!("<{}@{}>", message_number(), self.hostname),
            date: Moment::utc(now),
            from: format!("postmaster@{ours}"),
            to: subject.to.to_string(),
            reporting_mta: self.hostname.to_owned(),
            envelope_id: subject.envelope_id.and_then(decode_xtext),
            arrival: Some(Moment::utc(subject.accepted_at)),
            recipients,
            returned: returned(subject.original.as_ref()).await?,
        };
        let message = match report.write() {
            Ok(message) => message,
            Err(error) => {
                // What it would have told stays in the traces; it must not hold up what it tells of.
                tracing::error!("a notice cannot be written: {error}");
                return Ok(Commit::default());
            }
        };
        let mut streamed = Streamed::new(spool);
        if matches!(to, Destination::Mailbox(_)) {
            streamed.write(b"Return-Path: <>\r\n").await?;
        }
        streamed.write(&message).await?;
        self.tracer.record(Trace {
            message: subject.message_id.map(str::to_owned),
            ..Trace::new(Who::Server, traces::Action::Notice, true).mailbox(subject.to).quantity(quantity)
        });
        let content = Some(streamed.finish().await?);
        Ok(match to {
            Destination::Mailbox(mailbox) => {
                let target = Target::inbox(mailbox, now);
                Commit { content, deliver: vec![target], saved_at: now, ..Commit::default() }
            }
            Destination::Away { expires_at, .. } => {
                // RFC 3461 §6.2: nobody is told of what becomes of a notice.
                let never = Notify { success: false, failure: false, delay: false, explicit: true };
                let recipient = NewQueueRecipient { address: subject.to.clone(), notify: never, original: None };
                let entry = NewQueueEntry {
                    sender: None,
                    return_path: None,
                    parameters: MailParameters { eight_bit: !message.is_ascii(), ..MailParameters::default() },
                    recipients: vec![recipient],
                    accepted_at: now,
                    expires_at,
                };
                Commit { content, enqueue: Some(entry), ..Commit::default() }
            }
        })
    }
}

/// What recognises a notice that these recipients have this message.
fn notice_key(message: [u8; 16], told: &[NewQueueRecipient]) -> [u8; 16] {
    let mut digest = openssl::sha::Sha256::new();
    digest.update(b"delivered");
    digest.update(&message);
    for recipient in told {
        digest.update(recipient.address.lookup_key().as_bytes());
        digest.update(b"\0");
    }
    let mut key = [0; 16];
    key.copy_from_slice(&digest.finish()[..16]);
    key
}

fn of_told(told: &Told, now: i64) -> Recipient {
    let (action, enhanced, diagnostic, until) = match &told.event {
        Event::Failed { status, why } => (Action::Failed, *status, why, None),
        Event::Delayed { status, why, until } => (Action::Delayed, *status, why, Some(*until)),
        Event::Relayed { reply } => (Action::Relayed, Enhanced(2, 1, 9), reply, None),
    };
    Recipient {
        original: original(told.recipient.original.as_deref()),
        address: told.recipient.address.to_string(),
        action,
        status: enhanced,
        remote_mta: told.host.clone(),
        diagnostic: Some(diagnostic.clone()),
        last_attempt: Some(Moment::utc(now)),
        will_retry_until: until.map(Moment::utc),
    }
}

fn original(orcpt: Option<&str>) -> Option<TypedAddress> {
    orcpt.and_then(TypedAddress::from_orcpt)
}

/// What is given back of the message: its header, or all of it when asked for and not large.
async fn returned(original: Option<&(Body, bool)>) -> store::Result<Returned> {
    let Some((body, full)) = original else { return Ok(Returned::Nothing) };
    let whole = *full && body.len() <= Returned::MAX as u64;
    // Our own trace fields stand before the header that was limited to MAX_HEADER.
    let most = if whole { Returned::MAX } else { MAX_HEADER + 4096 };
    let mut octets = Vec::new();
    while octets.len() < most {
        let piece = body.read(octets.len() as u64, most - octets.len()).await?;
        if piece.is_empty() {
            break;
        }
        octets.extend_from_slice(&piece);
    }
    if whole {
        return Ok(Returned::Message(octets));
    }
    let end = header::end(&octets).unwrap_or(octets.len());
    octets.truncate(end);
    Ok(Returned::Header(octets))
}
