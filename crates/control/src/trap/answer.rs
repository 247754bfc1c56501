//! The traps that answer: a read receipt (`mdn`), a delivery report (`dsn`), an automatic reply (`repondeur`), sent to whoever wrote, as
//! another operator sends them. What an operator makes of them shows whether it answers answers.
//!
//! Invariants: nothing is answered that has an empty return path or says it was made by a program (RFC 3834 §2); each run is answered once;
//! answers have an empty return path. What was said is kept as a session of its own, under the run.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mail::Enhanced;
use mail::date::Moment;
use mail::disposition::{ActionMode, Disposition, Fate, Notification, SendingMode};
use mail::header::Writer;
use mail::report::{Action, Recipient as Reported, Report, Returned};
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

use super::boxes::{Act, Door, Trap};
use super::record::{End, Message, Recipient, Session, Transaction};
use super::serve::{House, Voice};
use super::{MARK, reading};
use crate::peer;
use crate::wire::{Log, Wire, WireError};

/// How long the operator may take for each answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Answers under way at once: more are not made.
pub(super) const MAX_ANSWERS: usize = 20;

/// Where the mail of a domain goes, and the name its server has; none when that is not known.
pub type Route = Arc<dyn Fn(&str) -> Option<(SocketAddr, String)> + Send + Sync>;

/// What is answered.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) trap: &'static Trap,
    /// The trap's address, as it was written.
    pub(super) address: String,
    /// The return path.
    pub(super) from: String,
    pub(super) run: String,
    pub(super) fields: Vec<(String, String)>,
}

impl Question {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// Whether it may be answered at all.
    pub(super) fn may_be_answered(&self) -> bool {
        let is_program = self.field("Auto-Submitted").is_some_and(|value| !value.eq_ignore_ascii_case("no"))
            || self.field("Content-Type").is_some_and(|kind| kind.to_ascii_lowercase().starts_with("multipart/report"));
        !self.from.is_empty() && !is_program
    }

    /// The answer, lines ended by CRLF; none when what was asked cannot be cited.
    pub(super) fn answer(&self, host: &str, now: OffsetDateTime) -> Option<Vec<u8>> {
        let id = format!("<{}@{host}>", crate::forge::id());
        let about = self.field("Message-ID").filter(|id| id.is_ascii() && id.len() < 900);
        let mut head = Writer::new();
        head.text("Date", &now.format(&Rfc2822).ok()?).ok()?;
        head.text("From", &format!("<{}>", self.address)).ok()?;
        head.text("To", &format!("<{}>", self.from)).ok()?;
        head.text("Message-ID", &id).ok()?;
        if let Some(about) = about {
            head.text("In-Reply-To", about).ok()?;
            head.text("References", about).ok()?;
        }
        head.text("Auto-Submitted", "auto-replied").ok()?;
        head.text(MARK, &self.run).ok()?;
        let mut octets = head.finish();
        match self.trap.act {
            Act::Reply => octets.extend(
                format!(
                    "Subject: Absence [controle {}]\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n\
                     Reponse automatique de la boite piege {}.\r\n",
                    self.run, self.trap.name
                )
                .into_bytes(),
            ),
            Act::Receipt => {
                let notification = Notification {
                    reporting_ua: Some(format!("{host}; pieges")),
                    original_recipient: None,
                    final_recipient: self.address.clone(),
                    original_message_id: about.map(str::to_owned),
                    disposition: Disposition {
                        action: ActionMode::Automatic,
                        sending: SendingMode::Automatically,
                        fate: Fate::Displayed,
                        modifier: None,
                    },
                    errors: Vec::new(),
                    failures: Vec::new(),
                    warnings: Vec::new(),
                };
                octets.extend(
                    format!(
                        "Subject: Lu [controle {}]\r\nMIME-Version: 1.0\r\n\
                         Content-Type: multipart/report; report-type=disposition-notification; boundary=piege\r\n\r\n--piege\r\n\
                         Content-Type: text/plain; charset=us-ascii\r\n\r\nLe message a ete affiche.\r\n--piege\r\n\
                         Content-Type: message/disposition-notification\r\n\r\n",
                        self.run
                    )
                    .into_bytes(),
                );
                octets.extend(notification.write().ok()?);
                octets.extend(b"\r\n--piege--\r\n");
            }
            Act::Report => {
                let at = Moment::utc(now.unix_timestamp());
                let recipient = Reported {
                    original: None,
                    address: self.address.clone(),
                    action: Action::Delivered,
                    status: Enhanced(2, 1, 5),
                    remote_mta: None,
                    diagnostic: None,
                    last_attempt: Some(at),
                    will_retry_until: None,
                };
                let report = Report {
                    message_id: id,
                    date: at,
                    from: format!("postmaster@{}", self.address.rsplit_once('@')?.1),
                    to: self.from.clone(),
                    reporting_mta: host.to_owned(),
                    envelope_id: None,
                    arrival: Some(at),
                    recipients: vec![recipient],
                    returned: Returned::Nothing,
                };
                // A report has its own header; the mark goes before it.
                octets = format!("{MARK}: {}\r\n", self.run).into_bytes();
                octets.extend(report.write().ok()?);
            }
            _ => return None,
        }
        Some(octets)
    }
}

/// Answers, and keeps what was said.
pub(super) async fn answer(question: Question, house: Arc<House>) {
    let Some(voice) = &house.voice else { return };
    let now = OffsetDateTime::from(house.clock.now());
    let Some(octets) = question.answer(&voice.host, now) else { return };
    let domain = question.from.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase()).unwrap_or_default();
    let Some((address, name)) = (house.route)(&domain) else { return };
    let Ok(seq) = house.archive.number() else { return };
    let log = Log::default();
    let began = std::time::Instant::now();
    let said = send(voice, address, &name, &question.from, &octets, &log).await;
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (line, is_taken) = match said {
        Ok(answer) => (crate::tls::starttls::shown(answer.line()), answer.code == 250),
        Err(error) => (error.to_string(), false),
    };
    let to = Recipient {
        address: question.from.clone(),
        trap: Some(question.trap.name.to_owned()),
        run: Some(question.run.clone()),
        answer: line.clone(),
    };
    let message = Message {
        ms,
        octets: octets.len() as u64,
        sha256: crate::report::sha256(&octets),
        is_whole: true,
        is_taken,
        answer: line,
        is_ours: true,
        kept: octets.len() as u64,
        has_bare_lf: false,
        fields: reading::fields(&octets),
    };
    let session = Session {
        seq,
        at: now.format(&Rfc3339).unwrap_or_default(),
        at_ms: i64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX),
        door: Door::Usual.name().to_owned(),
        peer: address.ip().to_string(),
        hello: None,
        tls: None,
        taken_in: None,
        transactions: vec![Transaction { ms: 0, from: String::new(), to: vec![to], message: Some(message) }],
        end: Some(End::Answered),
        ms,
        // Seen from the trap: what it says goes out.
        dialogue: log.lines(),
    };
    if let Err(error) = house.archive.keep(&session, Some((0, octets))).await {
        tracing::error!(seq, "an answer of a trap could not be kept: {error}");
    }
}

async fn send(
    voice: &Voice,
    address: SocketAddr,
    name: &str,
    to: &str,
    octets: &[u8],
    log: &Log,
) -> Result<crate::wire::SmtpAnswer, WireError> {
    let mut wire = Wire::connect(address, PATIENCE, log).await?;
    wire.smtp_answer().await?;
    let hello = format!("EHLO {}", voice.host);
    wire.smtp(&hello).await?;
    let ready = wire.smtp("STARTTLS").await?;
    if ready.code != 220 {
        return Ok(ready);
    }
    // Whoever it is: nothing of anybody is in an answer.
    let mut wire = wire.tls_as(name, Some(&voice.shown)).await.map_err(|end| WireError::Tls(end.told()))?;
    wire.smtp(&hello).await?;
    for command in ["MAIL FROM:<>".to_owned(), format!("RCPT TO:<{to}>")] {
        let answer = wire.smtp(&command).await?;
        if answer.code != 250 {
            return Ok(answer);
        }
    }
    let answer = peer::data(&mut wire, octets).await;
    let _ = wire.smtp("QUIT").await;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(trap: &str, fields: &[(&str, &str)]) -> Question {
        let own = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let trap = Trap::named(trap).expect("a trap");
        Question {
            trap,
            address: format!("{}+r1@p.test", trap.name),
            from: "marie@a.test".into(),
            run: "r1".into(),
            fields: own,
        }
    }

    #[test]
    fn each_answers_in_its_form_and_none_an_answer() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let id = ("Message-ID", "<1@a.test>");
        let text = |trap| {
            let octets = question(trap, &[id]).answer("mx.p.test", now).expect("an answer");
            assert_eq!(reading::mark(&reading::fields(&octets)).as_deref(), Some("r1"), "{trap}");
            octets
        };
        let (receipt, report, reply) = (text("mdn"), text("dsn"), text("repondeur"));
        let kinds = |octets: &[u8]| reading::read(octets).parts.into_iter().map(|part| part.kind).collect::<Vec<_>>();
        assert!(kinds(&receipt).contains(&"message/disposition-notification".to_owned()));
        let read = mail::report::ReadReport::parse(&report).expect("a report");
        assert_eq!(read.recipients[0].action, Action::Delivered);
        assert_eq!(mail::header::find(&reply, "In-Reply-To").as_deref(), Some("<1@a.test>"));
        for octets in [&receipt, &report, &reply] {
            let fields = reading::fields(octets);
            let answered = Question { fields, ..question("repondeur", &[]) };
            assert!(!answered.may_be_answered());
        }
        assert!(question("mdn", &[("Auto-Submitted", "no")]).may_be_answered());
        assert!(!Question { from: String::new(), ..question("mdn", &[]) }.may_be_answered());
        assert!(question("nominal", &[]).answer("mx.p.test", now).is_none());
        // What a peer wrote adds no field.
        let wicked = question("repondeur", &[("Message-ID", "<1@a>\r\nX-Mal: 1")]).answer("mx.p.test", now);
        assert!(wicked.is_none_or(|octets| mail::header::find(&octets, "X-Mal").is_none()));
    }
}
