//! What is kept of a session with a trap. Also what the stand tells in JSON: keys may be added, none is renamed.

use serde::{Deserialize, Serialize};

use super::boxes;
use crate::wire::Line;

/// Lines kept of one dialogue; one of a mail server has some tens.
pub const MAX_LINES: usize = 400;
/// Fields of one header that are kept, and characters of each.
pub const MAX_FIELDS: usize = 200;
/// Characters kept of one field.
pub const MAX_FIELD: usize = 2000;

/// One session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its number; they rise, over restarts too.
    pub seq: u64,
    /// When it began, RFC 3339.
    pub at: String,
    /// The same in milliseconds since 1970.
    pub at_ms: i64,
    /// The door: [`super::Door::name`].
    pub door: String,
    /// The address of the peer.
    pub peer: String,
    /// What it said in EHLO or HELO, the last time.
    pub hello: Option<String>,
    /// TLS, when STARTTLS was said.
    pub tls: Option<Sheet>,
    /// Whether an answer injected before TLS was taken for one inside it; none when nothing was injected.
    pub taken_in: Option<bool>,
    /// Mail transactions.
    pub transactions: Vec<Transaction>,
    /// How it ended; none while it goes on.
    pub end: Option<End>,
    /// How long it took, or has taken so far.
    pub ms: u64,
    /// What was said: `<` the peer, `>` ours, `=` a remark.
    pub dialogue: Vec<Line>,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The peer said QUIT.
    Quit,
    /// The peer closed.
    ClosedByPeer,
    /// The trap closed, as it must.
    ClosedByTrap,
    /// The TLS handshake failed.
    Handshake,
    /// The peer said nothing for too long.
    Silence,
    /// A limit of ours.
    Limit,
    /// The trap was stopped.
    Stopped,
    /// An answer of the trap to whoever wrote: the session is its own, towards the operator.
    Answered,
}

/// What TLS was.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sheet {
    /// Version agreed on, none when the handshake failed.
    pub version: Option<String>,
    /// Suite agreed on, IANA name.
    pub suite: Option<String>,
    /// Its code.
    pub suite_code: Option<u16>,
    /// The host asked for (SNI).
    pub server_name: Option<String>,
    /// The suites the peer offered, by code.
    pub offered: Vec<u16>,
    /// The certificate shown by the peer.
    pub certificate: Option<Certificate>,
    /// Why the handshake failed.
    pub error: Option<String>,
}

/// The certificate shown by the peer, and what is thought of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Its name.
    pub subject: String,
    /// Its issuer's.
    pub issuer: String,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// SHA-256 of it, hexadecimal.
    pub sha256: String,
    /// Beginning of its validity.
    pub not_before: String,
    /// End of its validity.
    pub not_after: String,
    /// Names of the certificates sent with it.
    pub chain: Vec<String>,
    /// What is wrong with it (chain, dates, usage, revocation); none when it is good.
    pub fault: Option<String>,
    /// Whether that could not be told, for want of revocation lists.
    #[serde(default)]
    pub is_unclear: bool,
    /// The domains the white list gives to its name; none when there is no list.
    pub domains: Option<Vec<String>>,
}

/// A mail transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// Milliseconds since the beginning of the session.
    pub ms: u64,
    /// MAIL FROM; empty for a notice.
    pub from: String,
    /// Its recipients.
    pub to: Vec<Recipient>,
    /// The message, when one was begun.
    pub message: Option<Message>,
}

/// A recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// As it was written.
    pub address: String,
    /// The trap: [`super::Trap`]'s name; none when there is none of that name.
    pub trap: Option<String>,
    /// The run.
    pub run: Option<String>,
    /// What was answered to RCPT.
    pub answer: String,
}

/// A message, whole or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// When its last octet came, milliseconds since the beginning of the session.
    pub ms: u64,
    /// Octets received.
    pub octets: u64,
    /// SHA-256 of what was received, dots taken off, hexadecimal.
    pub sha256: String,
    /// Whether its end came.
    pub is_whole: bool,
    /// Whether it was taken: 250.
    pub is_taken: bool,
    /// What was answered.
    pub answer: String,
    /// Whether it carries our mark. Otherwise only the names of its fields are kept.
    pub is_ours: bool,
    /// Octets kept: none of a message that is not ours.
    pub kept: u64,
    /// Whether a line ended by LF alone.
    pub has_bare_lf: bool,
    /// Its header fields.
    pub fields: Vec<(String, String)>,
}

impl Message {
    /// The first field of that name, whatever the case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl Session {
    /// Recipients of the whole session.
    pub fn recipients(&self) -> impl Iterator<Item = &Recipient> {
        self.transactions.iter().flat_map(|transaction| &transaction.to)
    }

    /// Messages taken, with their transaction, for that run.
    pub fn taken<'a>(&'a self, run: &'a str) -> impl Iterator<Item = (&'a Transaction, &'a Message)> {
        self.transactions.iter().filter_map(move |transaction| {
            let message = transaction.message.as_ref().filter(|message| message.is_taken)?;
            transaction.to.iter().any(|to| to.run.as_deref() == Some(run)).then_some((transaction, message))
        })
    }

    /// In short.
    #[must_use]
    pub fn brief(&self) -> Brief {
        let message = self.transactions.iter().filter_map(|transaction| transaction.message.as_ref()).next_back();
        let mut runs: Vec<String> = self.recipients().filter_map(|to| to.run.clone()).collect();
        runs.dedup();
        Brief {
            seq: self.seq,
            at: self.at.clone(),
            door: self.door.clone(),
            peer: self.peer.clone(),
            from: self.transactions.first().map(|transaction| transaction.from.clone()),
            to: self.recipients().map(|to| to.address.clone()).collect(),
            runs,
            subject: message.and_then(|message| message.field("Subject")).map(str::to_owned),
            octets: message.map(|message| message.octets),
            taken: self
                .transactions
                .iter()
                .filter(|transaction| transaction.message.as_ref().is_some_and(|message| message.is_taken))
                .count(),
            tls: self.tls.as_ref().map(Sheet::words),
            dn: self.tls.as_ref().and_then(|tls| tls.certificate.as_ref()).map(|shown| shown.subject.clone()),
            end: self.end,
        }
    }
}

impl Sheet {
    /// In one line.
    #[must_use]
    pub fn words(&self) -> String {
        match (&self.version, &self.suite, &self.error) {
            (Some(version), Some(suite), _) => format!("{version}, {suite}"),
            (_, _, Some(error)) => format!("poignée de main échouée : {error}"),
            _ => "poignée de main inachevée".to_owned(),
        }
    }
}

/// A session in short, for lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    /// Its number.
    pub seq: u64,
    /// When it began.
    pub at: String,
    /// The door.
    pub door: String,
    /// The address of the peer.
    pub peer: String,
    /// MAIL FROM of its first transaction.
    pub from: Option<String>,
    /// Every recipient.
    pub to: Vec<String>,
    /// Their runs.
    pub runs: Vec<String>,
    /// The subject of the last message that is ours.
    pub subject: Option<String>,
    /// Its size.
    pub octets: Option<u64>,
    /// How many messages were taken.
    pub taken: usize,
    /// TLS in one line.
    pub tls: Option<String>,
    /// The name of the peer's certificate.
    pub dn: Option<String>,
    /// How it ended; none while it goes on.
    pub end: Option<End>,
}

/// A recipient as the protocol has it.
#[must_use]
pub(crate) fn recipient(address: &str) -> Recipient {
    let local = address.rsplit_once('@').map_or(address, |(local, _)| local);
    let (trap, run) = boxes::read_local(local);
    Recipient { address: address.to_owned(), trap: trap.map(|trap| trap.name.to_owned()), run, answer: String::new() }
}
