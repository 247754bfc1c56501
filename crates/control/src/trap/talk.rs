//! One session with a trap: SMTP, and the fault of the door or of the local part.
//!
//! A command goes from [`Talk::command`] to the verb; each verb answers, and says whether the session goes on.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::answer::{self, Question};
use super::body::Body;
use super::boxes::{Act, Door, Trap};
use super::conn::Conn;
use super::reading;
use super::record::{self, End, Message, Session, Transaction};
use super::serve::{House, Room};
use super::tls;
use crate::tls::starttls::shown;

/// Commands of one session; pipelined deliveries of a hundred messages have some hundreds.
const MAX_COMMANDS: usize = 1000;
/// Commands that were none before the session is ended.
const MAX_ERRORS: usize = 20;
/// How long one session may take: the slow trap is slow, nobody holds a connection for a day.
const MAX_TIME: Duration = Duration::from_secs(3600);
/// Recipients of one transaction: RFC 5321 §4.5.3.1.8.
const MAX_RECIPIENTS: usize = 100;
/// Transactions of one session.
const MAX_TRANSACTIONS: usize = 100;
/// Largest message, announced by SIZE.
const MAX_SIZE: u64 = 20 * 1024 * 1024;
/// How long the answer to EHLO is held inside TLS after an injection: whoever took the injected answer for it speaks before.
const HOLD: Duration = Duration::from_millis(1500);
/// 421 is said this often.
const DISMISSALS: u32 = 1;
/// 451 is said this often.
const GREY: u32 = 2;
/// Messages are cut this often.
const CUTS: u32 = 1;

/// What is injected behind the answer to STARTTLS: a complete answer to EHLO that nobody asked for.
const INJECTED: [&str; 4] = ["220 2.0.0 Ready", "250-injecte.piege.invalid", "250-X-INJECTE", "250 8BITMIME"];

/// Serves one connection to its end and keeps what it was.
pub(super) async fn session(
    stream: TcpStream,
    peer: IpAddr,
    room: &Room,
    house: &Arc<House>,
    shutdown: CancellationToken,
) {
    // Answers are small; a failure only slows.
    let _ = stream.set_nodelay(true);
    let seq = match house.archive.number() {
        Ok(seq) => seq,
        Err(error) => {
            tracing::error!("a trap has nowhere to keep its sessions: {error}");
            return;
        }
    };
    let now = OffsetDateTime::from(house.clock.now());
    let session = Session {
        seq,
        at: now.format(&Rfc3339).unwrap_or_default(),
        at_ms: i64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX),
        door: room.door.name().to_owned(),
        peer: peer.to_string(),
        hello: None,
        tls: None,
        taken_in: None,
        transactions: Vec::new(),
        end: None,
        ms: 0,
        dialogue: Vec::new(),
    };
    let mut talk = Talk { conn: Conn::new(stream), session, room, house, is_greeted: false, is_open: false, errors: 0 };
    let end = tokio::select! {
        () = shutdown.cancelled() => End::Stopped,
        end = tokio::time::timeout(MAX_TIME, talk.run()) => end.unwrap_or(End::Limit),
    };
    talk.conn.close(end != End::ClosedByTrap).await;
    talk.session.end = Some(end);
    talk.note();
    if let Err(error) = house.archive.keep(&talk.session, None).await {
        tracing::error!(seq, "a session of a trap could not be kept: {error}");
    }
}

struct Talk<'a> {
    conn: Conn,
    session: Session,
    room: &'a Room,
    house: &'a Arc<House>,
    /// Whether EHLO or HELO was said, inside TLS once it is up.
    is_greeted: bool,
    /// Whether MAIL was said and its message not yet: the last transaction is under way.
    is_open: bool,
    errors: usize,
}

/// Whether the session goes on.
type Next = Result<(), End>;

impl Talk<'_> {
    async fn run(&mut self) -> End {
        let greeting = format!("220 {} ESMTP piege", self.room.host);
        let mut next = self.conn.say(&[&greeting]).await;
        let mut commands = 0;
        loop {
            match next {
                Err(end) => return end,
                Ok(()) if commands == MAX_COMMANDS || self.errors > MAX_ERRORS => {
                    let _ = self.conn.say(&["421 4.7.0 Trop de commandes"]).await;
                    return End::Limit;
                }
                Ok(()) => commands += 1,
            }
            next = match self.conn.line().await {
                Ok(line) => self.command(&line).await,
                Err(End::Silence) => {
                    let _ = self.conn.say(&["421 4.4.2 Rien ne vient"]).await;
                    Err(End::Silence)
                }
                Err(end) => Err(end),
            };
        }
    }

    /// Brings what is kept up to date.
    fn note(&mut self) {
        self.session.ms = self.conn.ms();
        self.session.dialogue.clone_from(&self.conn.dialogue);
    }

    /// Shows what was seen so far.
    fn show(&mut self) {
        self.note();
        self.house.archive.show(&self.session);
    }

    async fn command(&mut self, line: &str) -> Next {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => self.hello(rest, true).await,
            "HELO" => self.hello(rest, false).await,
            "STARTTLS" => self.starttls().await,
            "MAIL" => self.mail(rest).await,
            "RCPT" => self.rcpt(rest).await,
            "DATA" => self.data().await,
            "RSET" => {
                self.is_open = false;
                self.conn.say(&["250 2.0.0 Ok"]).await
            }
            "NOOP" => self.conn.say(&["250 2.0.0 Ok"]).await,
            "QUIT" => {
                let _ = self.conn.say(&["221 2.0.0 Au revoir"]).await;
                Err(End::Quit)
            }
            _ => self.wrong("500 5.5.2 Commande inconnue").await,
        }
    }

    async fn wrong(&mut self, answer: &str) -> Next {
        self.errors += 1;
        self.conn.say(&[answer]).await
    }

    async fn hello(&mut self, name: &str, is_extended: bool) -> Next {
        self.session.hello = Some(shown(name.trim()));
        (self.is_greeted, self.is_open) = (true, false);
        let host = &self.room.host;
        if !is_extended {
            return self.conn.say(&[&format!("250 {host}")]).await;
        }
        if self.conn.is_tls() && self.session.taken_in.is_none() && self.room.door == Door::Injection {
            let spoke = self.conn.speaks_within(HOLD).await?;
            self.session.taken_in = Some(spoke);
            let told = if spoke {
                "le client a parlé avant la réponse à EHLO : il a pris la réponse injectée pour elle"
            } else {
                "le client attend la vraie réponse à EHLO"
            };
            self.conn.note('=', told);
            self.show();
        }
        let mut lines = vec![format!("250-{host}"), format!("250-SIZE {MAX_SIZE}"), "250-8BITMIME".to_owned()];
        if self.conn.is_tls() {
            lines.push("250-PIPELINING".to_owned());
        } else if self.room.door != Door::SansStarttls {
            lines.push("250-STARTTLS".to_owned());
        }
        lines.push("250 ENHANCEDSTATUSCODES".to_owned());
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        self.conn.say(&lines).await
    }

    async fn starttls(&mut self) -> Next {
        if self.conn.is_tls() || self.room.door == Door::SansStarttls {
            return self.wrong("502 5.5.1 STARTTLS n'est pas offert").await;
        }
        if self.room.door == Door::Injection {
            // One write: what follows the first line is in the peer's buffer before its handshake.
            self.conn.say(&INJECTED).await?;
        } else {
            self.conn.say(&["220 2.0.0 Ready"]).await?;
        }
        let Some((stream, early)) = self.conn.take_plain() else { return Err(End::ClosedByPeer) };
        if early > 0 {
            self.conn.note('=', &format!("{early} octets dits en clair avant la poignée de main : jetés"));
        }
        let now = self.house.clock.now();
        let (sheet, stream) = tls::shake(&self.room.context, stream, &self.house.judge, now).await;
        self.conn.note('=', &format!("TLS : {}", sheet.words()));
        self.session.tls = Some(sheet);
        (self.is_greeted, self.is_open) = (false, false);
        let next = match stream {
            Some(stream) => {
                self.conn.put_tls(stream);
                Ok(())
            }
            None => Err(End::Handshake),
        };
        self.show();
        next
    }

    async fn mail(&mut self, rest: &str) -> Next {
        if !self.conn.is_tls() && self.room.door != Door::SansStarttls {
            return self.wrong("530 5.7.0 STARTTLS d'abord").await;
        }
        if !self.is_greeted || self.is_open {
            return self.wrong("503 5.5.1 Pas maintenant").await;
        }
        let Some((from, parameters)) = path(rest, "FROM:") else {
            return self.wrong("501 5.5.4 MAIL FROM:<adresse>").await;
        };
        let size =
            |word: &str| word.to_ascii_uppercase().strip_prefix("SIZE=").and_then(|size| size.parse::<u64>().ok());
        if parameters.split(' ').filter_map(size).any(|size| size > MAX_SIZE) {
            return self.conn.say(&["552 5.3.4 Message trop gros"]).await;
        }
        if self.session.transactions.len() == MAX_TRANSACTIONS {
            return self.conn.say(&["452 4.5.3 Trop de messages dans une session"]).await;
        }
        let ms = self.conn.ms();
        self.session.transactions.push(Transaction { ms, from: shown(from), to: Vec::new(), message: None });
        self.is_open = true;
        self.conn.say(&["250 2.1.0 Ok"]).await
    }

    async fn rcpt(&mut self, rest: &str) -> Next {
        if !self.is_open {
            return self.wrong("503 5.5.1 MAIL d'abord").await;
        }
        let Some((address, _)) = path(rest, "TO:") else {
            return self.wrong("501 5.5.4 RCPT TO:<adresse>").await;
        };
        let mut recipient = record::recipient(&shown(address));
        let known = recipient.trap.as_deref().and_then(Trap::named).filter(|trap| trap.door == self.room.door);
        let domain = address.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase());
        let is_here = domain.as_deref() == Some(&self.room.door.domain(&self.house.domain));
        let count = self.session.transactions.last().map_or(0, |transaction| transaction.to.len());
        let sender = self.session.transactions.last().map(|t| t.from.clone()).unwrap_or_default();
        let run = recipient.run.clone().unwrap_or_else(|| sender.to_ascii_lowercase());
        let (answer, end) = match known {
            _ if count == MAX_RECIPIENTS => ("452 4.5.3 Trop de destinataires", None),
            _ if !is_here => ("550 5.7.1 Pas de relais", None),
            None => ("550 5.1.1 Aucune boîte piège de ce nom", None),
            Some(trap) => match trap.act {
                Act::Greylist if self.house.count(trap.name, &run) < GREY => ("451 4.7.1 Liste grise, revenez", None),
                Act::Dismiss if self.house.count(trap.name, &run) < DISMISSALS => {
                    ("421 4.3.2 Fermé pour l'instant", Some(End::ClosedByTrap))
                }
                Act::RefuseRecipient => ("550 5.1.1 Boîte inconnue", None),
                Act::RefuseFull => ("552 5.2.2 Boîte pleine", None),
                Act::Slow => {
                    tokio::time::sleep(self.house.slow).await;
                    ("250 2.1.5 Ok", None)
                }
                _ => ("250 2.1.5 Ok", None),
            },
        };
        recipient.answer = answer.to_owned();
        if count < MAX_RECIPIENTS
            && let Some(transaction) = self.session.transactions.last_mut()
        {
            transaction.to.push(recipient);
        }
        let said = self.conn.say(&[&plain(answer)]).await;
        self.show();
        end.map_or(said, Err)
    }

    /// The acts of the recipients taken.
    fn acts(&self) -> Vec<(&'static str, Act, String)> {
        let Some(transaction) = self.session.transactions.last() else { return Vec::new() };
        transaction
            .to
            .iter()
            .filter(|to| to.answer.starts_with('2'))
            .filter_map(|to| {
                let trap = to.trap.as_deref().and_then(Trap::named)?;
                Some((trap.name, trap.act, to.run.clone().unwrap_or_else(|| transaction.from.to_ascii_lowercase())))
            })
            .collect()
    }

    async fn data(&mut self) -> Next {
        let acts = self.acts();
        if !self.is_open {
            return self.wrong("503 5.5.1 MAIL d'abord").await;
        }
        if acts.is_empty() {
            return self.wrong("554 5.5.1 Aucun destinataire").await;
        }
        let is_slow = acts.iter().any(|(_, act, _)| *act == Act::Slow);
        let is_cut = acts.iter().any(|(name, act, run)| *act == Act::CutData && self.house.count(name, run) < CUTS);
        if is_slow {
            tokio::time::sleep(self.house.slow).await;
        }
        self.conn.say(&["354 Allez-y"]).await?;
        let mut body = Body::default();
        loop {
            let octets = match self.conn.octets().await {
                Ok(octets) => octets,
                Err(end) => {
                    self.finish(body, false, false, "le client a coupé", false).await;
                    return Err(end);
                }
            };
            let end = body.push(&octets);
            if is_cut {
                self.conn.note('=', "coupure au milieu du message");
                self.finish(body, false, false, "coupure", false).await;
                return Err(End::ClosedByTrap);
            }
            if let Some(end) = end {
                self.conn.give_back(&octets[end..]);
                break;
            }
            if body.octets > 2 * MAX_SIZE {
                self.finish(body, false, false, "trop gros", false).await;
                return Err(End::Limit);
            }
        }
        self.is_open = false;
        self.conn.note('=', &format!("message de {} octets", body.octets));
        if is_slow {
            tokio::time::sleep(self.house.slow).await;
        }
        let refusal = if body.octets > MAX_SIZE {
            Some("552 5.3.4 Message trop gros")
        } else if acts.iter().any(|(_, act, _)| *act == Act::RefuseContent) {
            Some("554 5.6.0 Contenu refusé")
        } else {
            None
        };
        let answer = refusal.unwrap_or("250 2.0.0 Ok, gardé");
        let fields = reading::fields(&body.held);
        if !self.finish(body, true, refusal.is_none(), answer, true).await {
            return self.conn.say(&["451 4.3.0 Plus tard"]).await;
        }
        if refusal.is_none() {
            self.answer(&acts, &fields);
        }
        self.conn.say(&[&plain(answer)]).await
    }

    /// Has the traps that answer do so, once for each run.
    fn answer(&self, acts: &[(&'static str, Act, String)], fields: &[(String, String)]) {
        let Some(transaction) = self.session.transactions.last() else { return };
        for (name, act, run) in acts {
            let Some(trap) = Trap::named(name).filter(|_| matches!(act, Act::Receipt | Act::Report | Act::Reply))
            else {
                continue;
            };
            let of = |to: &&record::Recipient| to.trap.as_deref() == Some(*name);
            let address = transaction.to.iter().find(of).map(|to| to.address.clone()).unwrap_or_default();
            let (from, run, fields) = (transaction.from.clone(), run.clone(), fields.to_vec());
            let question = Question { trap, address, from, run, fields };
            if !question.may_be_answered() || self.house.count(name, &question.run) > 0 {
                continue;
            }
            let Ok(room) = self.house.answers.clone().try_acquire_owned() else { continue };
            let house = self.house.clone();
            tokio::spawn(async move {
                answer::answer(question, house).await;
                drop(room);
            });
        }
    }

    /// Notes a message, and keeps it when `is_kept`: false when that could not be done.
    async fn finish(&mut self, body: Body, is_whole: bool, is_taken: bool, answer: &str, is_kept: bool) -> bool {
        let mut fields = reading::fields(&body.held);
        let is_ours = reading::mark(&fields).is_some();
        if !is_ours {
            fields.iter_mut().for_each(|(_, value)| value.clear());
        }
        let held = if is_ours && is_kept { body.held.clone() } else { Vec::new() };
        let index = self.session.transactions.len().saturating_sub(1);
        let message = Message {
            ms: self.conn.ms(),
            octets: body.octets,
            sha256: body.sha256(),
            is_whole,
            is_taken,
            answer: answer.to_owned(),
            is_ours,
            kept: held.len() as u64,
            has_bare_lf: body.has_bare_lf,
            fields,
        };
        if let Some(transaction) = self.session.transactions.last_mut() {
            transaction.message = Some(message);
        }
        self.note();
        if !is_kept {
            self.house.archive.show(&self.session);
            return true;
        }
        let held = (!held.is_empty()).then_some((index, held));
        match self.house.archive.keep(&self.session, held).await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!("a message to a trap could not be kept: {error}");
                if let Some(message) = self.session.transactions.last_mut().and_then(|t| t.message.as_mut()) {
                    (message.is_taken, message.kept) = (false, 0);
                    "451 4.3.0 Plus tard".clone_into(&mut message.answer);
                }
                false
            }
        }
    }
}

/// `FROM:<a@b> SIZE=1`: the address, and what follows.
fn path<'a>(rest: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let head = rest.get(..word.len())?;
    if !head.eq_ignore_ascii_case(word) {
        return None;
    }
    let (address, parameters) = rest[word.len()..].trim_start().strip_prefix('<')?.split_once('>')?;
    Some((address, parameters.trim()))
}

/// An answer on the wire: ASCII only (RFC 5321 §2.4), what is kept has its accents.
fn plain(answer: &str) -> String {
    answer
        .chars()
        .map(|c| match c {
            'é' | 'è' | 'ê' => 'e',
            'î' => 'i',
            'à' => 'a',
            c if c.is_ascii() => c,
            _ => '?',
        })
        .collect()
}
