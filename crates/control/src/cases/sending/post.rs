//! Handing messages to the operator, as its user does: one submission session, logged in, a message for each trap.

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::context::{Context, LoginOutcome, Protocol};
use crate::tls::starttls::shown;
use crate::trap::{MARK, Trap};
use crate::verdict::Verdict;
use crate::wire::{Log, Wire, WireError};

/// What the letters of one case have in common: unique, and short enough for a tag.
pub(super) fn batch() -> String {
    crate::forge::id().chars().filter(char::is_ascii_alphanumeric).take(12).collect::<String>().to_ascii_lowercase()
}

/// A message to a trap.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Letter {
    /// The trap's name.
    pub trap: &'static str,
    /// Its run, also that of the notice about it.
    pub run: String,
    /// The recipient.
    pub to: String,
    /// What the operator answered.
    pub handed: Handed,
}

/// What the operator said to a message handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Handed {
    /// Not yet.
    No,
    /// It took it: the answer.
    Taken(String),
    /// It refuses it for good: at which command, and the answer.
    Refused(&'static str, String),
    /// It refuses it for now, or the session broke.
    Unclear(String),
}

impl Letter {
    /// `batch` is the case's own, `word` tells its letters apart.
    pub(super) fn new(trap: &'static Trap, domain: &str, batch: &str, word: &str) -> Letter {
        let run = format!("{batch}-{word}");
        Letter { trap: trap.name, to: trap.address(&run, domain), run, handed: Handed::No }
    }

    /// The message, lines ended by CRLF.
    pub(super) fn text(&self, from: &str, case: &str) -> String {
        let date = OffsetDateTime::now_utc().format(&Rfc2822).unwrap_or_default();
        let Letter { trap, run, to, .. } = self;
        format!(
            "Date: {date}\r\nFrom: <{from}>\r\nTo: <{to}>\r\nMessage-ID: <{run}@controle.vaguemestre.invalid>\r\n\
             Subject: Controle {case} : {trap} [controle {run}]\r\n{MARK}: {run}\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=us-ascii\r\n\r\n\
             Message de l'application de controle, sans donnee de sante.\r\nCas {case}, piege {trap}, marque {run}.\r\n"
        )
    }
}

/// Hands the letters over, each with what became of it; an error when the session cannot be opened.
pub(super) async fn post(context: &Context, case: &str, letters: &mut [Letter], log: &Log) -> Result<(), Verdict> {
    let (_, mailbox) = context.tokens()?;
    let Some(login) = context.nominal(Protocol::Smtp, log).await else {
        return Err(Verdict::unclear("aucun jeton n'a pu être fait"));
    };
    let mut wire = match (login.outcome, login.wire) {
        (LoginOutcome::Accepted, Some(wire)) => wire,
        _ => return Err(Verdict::unclear(format!("la soumission nominale n'est pas possible : {}", login.line))),
    };
    for letter in letters {
        let text = letter.text(&mailbox.address, case);
        letter.handed = match hand(&mut wire, &mailbox.address, &letter.to, &text).await {
            Ok(handed) => handed,
            Err(error) => Handed::Unclear(error.to_string()),
        };
    }
    // What was taken is taken.
    let _ = wire.smtp("QUIT").await;
    Ok(())
}

async fn hand(wire: &mut Wire, from: &str, to: &str, text: &str) -> Result<Handed, WireError> {
    let size = text.len();
    let steps = [
        ("MAIL", format!("MAIL FROM:<{from}> SIZE={size}"), 250),
        ("RCPT", format!("RCPT TO:<{to}>"), 250),
        ("DATA", "DATA".to_owned(), 354),
    ];
    for (verb, command, code) in steps {
        let answer = wire.smtp(&command).await?;
        if answer.code != code {
            // Open no more: the next letter begins anew. What is answered to RSET does not matter.
            let _ = wire.smtp("RSET").await;
            return Ok(refused(verb, answer.code, answer.line()));
        }
    }
    // No line of ours begins with a dot.
    wire.send(format!("{text}.\r\n").as_bytes(), &format!("[message de {size} octets]")).await?;
    let answer = wire.smtp_answer().await?;
    Ok(match answer.code {
        250 => Handed::Taken(shown(answer.line())),
        code => refused("fin du message", code, answer.line()),
    })
}

fn refused(verb: &'static str, code: u16, line: &str) -> Handed {
    match code {
        500..600 => Handed::Refused(verb, shown(line)),
        _ => Handed::Unclear(format!("{verb} : {}", shown(line))),
    }
}
