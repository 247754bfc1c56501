//! What a peer may not say, and what must not come of it: open relay (OPE-06), wrong sequences, limits, SMTP smuggling (OPE-09). The
//! variants are data (`catalogue/smtp.json`).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{SMTP, Stage};
use crate::catalogue::Case;
use crate::context::{Context, EHLO, Findings, VariantResult};
use crate::peer::{self, Attempt, Message};
use crate::reader::Reader;
use crate::tls::starttls::shown;
use crate::verdict::{Severity, Verdict};
use crate::wire::{Log, Wire, WireError};

/// The data.
pub(crate) const DATA: &str = include_str!("../../../catalogue/smtp.json");
/// Longer than any command line may be (RFC 5321 §4.5.3.1.4; OPE-09).
const LONG: usize = 1100;
/// Messages handed over in a row.
const BURST: usize = 20;
/// How long what was accepted may take into the BAL before it is counted.
const ARRIVAL: Duration = Duration::from_secs(20);
/// Replies read after a message that may hold commands.
const MAX_REPLIES: usize = 12;

/// A variant: a recipient, commands, or an end of DATA that is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Variant {
    Recipient { cas: String, nom: String, destinataire: String, attendu: Relay },
    Commands { cas: String, nom: String, commandes: Vec<String>, attendu: Vec<u16>, niveau: Option<Severity> },
    End { cas: String, nom: String, fin: String, attendu: [u16; 0] },
}

/// Why a recipient is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Relay {
    /// Nobody relays.
    Relais,
    /// There is no such BAL.
    Inconnu,
}

fn variants() -> Vec<Variant> {
    // Tested: it cannot be damaged in a program that was built.
    serde_json::from_str(DATA).expect("the variants are tested")
}

/// What stands for names of the job.
fn filled(text: &str, context: &Context, stage: &Stage<'_>) -> String {
    let domain = stage.to.rsplit_once('@').map_or("", |(_, domain)| domain);
    let other = stage.section.other_domain.as_deref().unwrap_or("autre-operateur.invalid");
    let own = context.job.operator.domains.first().map_or(domain, String::as_str);
    text.replace("{bal}", stage.to)
        .replace("{pair}", &stage.from)
        .replace("{domaine}", own)
        .replace("{autre_domaine}", other)
        .replace("{long}", &"x".repeat(LONG))
}

/// What is answered to a recipient: code and line; or why that is not known.
async fn offered(context: &Context, stage: &Stage<'_>, to: &str, log: &Log) -> Result<(u16, String), String> {
    let mut wire = peer::smtp(context, stage.server, Some(&stage.who), log).await.map_err(|e| e.to_string())?;
    let sender = wire.smtp(&format!("MAIL FROM:<{}>", stage.from)).await.map_err(|e| e.to_string())?;
    if sender.code >= 300 {
        return Err(format!("MAIL FROM : {}", shown(sender.line())));
    }
    let answer = wire.smtp(&format!("RCPT TO:<{to}>")).await.map_err(|e| e.to_string())?;
    Ok((answer.code, shown(answer.line())))
}

/// OPE-06: each recipient between two good ones.
pub(super) async fn recipients(case: &Case, context: &Context, stage: &Stage<'_>, findings: &mut Findings) {
    let is_good = |seen: &Result<(u16, String), String>| matches!(seen, Ok((200..300, _)));
    let mut log = Log::default();
    let mut before = offered(context, stage, stage.to, &log).await;
    for variant in variants() {
        let Variant::Recipient { nom, destinataire, attendu, .. } = variant else { continue };
        let to = filled(&destinataire, context, stage);
        let seen = offered(context, stage, &to, &log).await;
        let after = offered(context, stage, stage.to, &log).await;
        let (observed, verdict) = match (&seen, is_good(&before) && is_good(&after)) {
            (Err(error), _) => (error.clone(), Verdict::unclear(error)),
            (Ok((_, line)), false) => (line.clone(), Verdict::unclear("le contrôle positif n'aboutit pas")),
            (Ok((code, line)), true) => {
                let verdict = match (code, attendu) {
                    (550 | 551 | 553, _) | (500..600, Relay::Relais) => Verdict::Conforme,
                    (500..600, Relay::Inconnu) => Verdict::fault(Severity::Minor),
                    (400..500, _) => Verdict::unclear(line),
                    _ => Verdict::fault(case.severity),
                };
                (format!("RCPT TO:<{to}> : {line}"), verdict)
            }
        };
        let proof = findings.keep(&log.lines());
        findings.add(VariantResult {
            nom,
            protocole: SMTP,
            attendu: case.expected.clone(),
            observe: observed,
            verdict,
            controle_avant: Some(is_good(&before)),
            controle_apres: Some(is_good(&after)),
            preuves: vec![proof],
        });
        before = after;
        log = Log::default();
    }
}

/// OPE-09.
pub(super) async fn run(case: &Case, context: &Context, stage: &Stage<'_>, findings: &mut Findings) {
    let log = Log::default();
    let before = context.present(stage.server, Some(&stage.who), &stage.from, stage.to, &log).await;
    let mut seen: Vec<(String, String, Verdict, Log)> = Vec::new();
    let mut marks = Vec::new();
    for variant in variants() {
        let log = Log::default();
        match variant {
            Variant::Recipient { .. } => {}
            Variant::Commands { nom, commandes, attendu, niveau, .. } => {
                let level = niveau.unwrap_or(case.severity);
                let (observed, verdict) = commands(context, stage, &commandes, &attendu, level, &log).await;
                seen.push((nom, observed, verdict, log));
            }
            Variant::End { nom, fin, .. } => {
                let (observed, verdict, mark) = smuggle(case, context, stage, &fin, &log).await;
                marks.extend(mark);
                seen.push((nom, observed, verdict, log));
            }
        }
    }
    let log_of_burst = Log::default();
    let (observed, verdict) = burst(case, context, stage, &log_of_burst, &mut marks).await;
    seen.push((format!("{BURST} messages à la suite"), observed, verdict, log_of_burst));
    let after = context.present(stage.server, Some(&stage.who), &stage.from, stage.to, &log).await;
    tidy(context, &marks).await;
    for (nom, observed, verdict, log) in seen {
        let verdict = match (before.is_accepted(), after.is_accepted()) {
            (true, true) => verdict,
            _ => Verdict::unclear("le contrôle positif n'aboutit pas avant ou après"),
        };
        let proof = findings.keep(&log.lines());
        findings.add(VariantResult {
            nom,
            protocole: SMTP,
            attendu: case.expected.clone(),
            observe: observed,
            verdict,
            controle_avant: Some(before.is_accepted()),
            controle_apres: Some(after.is_accepted()),
            preuves: vec![proof],
        });
    }
}

async fn session(context: &Context, stage: &Stage<'_>, log: &Log) -> Result<Wire, Verdict> {
    peer::smtp(context, stage.server, Some(&stage.who), log).await.map_err(|end| Verdict::unclear(end.to_string()))
}

async fn commands(
    context: &Context,
    stage: &Stage<'_>,
    commands: &[String],
    due: &[u16],
    level: Severity,
    log: &Log,
) -> (String, Verdict) {
    let mut wire = match session(context, stage, log).await {
        Ok(wire) => wire,
        Err(verdict) => return (String::new(), verdict),
    };
    let mut last = None;
    for command in commands {
        let mut command = filled(command, context, stage);
        if command.contains("{size+1}") {
            let size = match wire.smtp(EHLO).await {
                Ok(answer) => {
                    answer.extension("SIZE").and_then(|size| size.split_ascii_whitespace().nth(1)?.parse::<u64>().ok())
                }
                Err(error) => return (error.to_string(), Verdict::unclear(error)),
            };
            let Some(size) = size.filter(|size| *size > 0) else {
                let raison = "aucune taille n'est annoncée".to_owned();
                return (raison.clone(), Verdict::NonApplicable { raison });
            };
            command = command.replace("{size+1}", &(size + 1).to_string());
        }
        last = match wire.smtp(&command).await {
            Ok(answer) => Some((answer.code, shown(answer.line()))),
            // Closed for it: refused, without words.
            Err(WireError::Closed) => return (WireError::Closed.to_string(), Verdict::fault(Severity::Minor)),
            Err(error) => return (error.to_string(), Verdict::unclear(error)),
        };
    }
    let Some((code, line)) = last else { return (String::new(), Verdict::unclear("rien n'a été dit")) };
    let verdict = match code {
        code if due.contains(&code) => Verdict::Conforme,
        400..500 => Verdict::unclear(&line),
        500..600 => Verdict::fault(Severity::Minor),
        _ => Verdict::fault(level),
    };
    (line, verdict)
}

/// One DATA with something in it that only a lenient reader takes for its end, and commands of another message behind: two messages, or
/// replies to those commands, are the fault. CVE-2023-51764.
async fn smuggle(
    case: &Case,
    context: &Context,
    stage: &Stage<'_>,
    end: &str,
    log: &Log,
) -> (String, Verdict, Option<String>) {
    let message = Message::new(&stage.from, stage.to, &[], b"premier");
    // The second carries the mark of the first: one search finds both.
    let text = String::from_utf8_lossy(&message.octets).replace("Essai de l'", "Contrebande de l'");
    let hidden = format!("MAIL FROM:<{0}>\r\nRCPT TO:<{1}>\r\nDATA\r\n{text}", stage.from, stage.to);
    let mark = Some(message.mark.clone());
    let said = async {
        let mut wire = peer::smtp(context, stage.server, Some(&stage.who), log).await.map_err(|e| e.to_string())?;
        for command in [format!("MAIL FROM:<{}>", stage.from), format!("RCPT TO:<{}>", stage.to), "DATA".to_owned()] {
            let answer = wire.smtp(&command).await.map_err(|e| e.to_string())?;
            if answer.code >= 400 {
                return Err(shown(answer.line()));
            }
        }
        let mut octets = message.octets.strip_suffix(b"\r\n").unwrap_or(&message.octets).to_vec();
        octets.extend(end.as_bytes());
        octets.extend(hidden.as_bytes());
        octets.extend(b"\r\n.\r\n");
        let text = format!("[deux messages, entre eux {}]", shown(end));
        wire.send(&octets, &text).await.map_err(|e| e.to_string())?;
        // A closed connection answers no QUIT.
        let _ = wire.say("QUIT").await;
        let mut replies = Vec::new();
        while replies.len() < MAX_REPLIES {
            match wire.smtp_answer().await {
                Ok(answer) => {
                    let is_last = answer.code == 221;
                    replies.push(answer);
                    if is_last {
                        break;
                    }
                }
                Err(WireError::Closed) => break,
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(replies)
    };
    let replies = match said.await {
        Ok(replies) => replies,
        Err(error) => return (error.clone(), Verdict::unclear(error), mark),
    };
    let told: Vec<String> = replies.iter().map(|reply| shown(reply.line())).collect();
    let told = told.join(" | ");
    // To the message and to QUIT: more than that answers what lay hidden.
    let of_commands = replies.iter().filter(|reply| reply.code != 221 && reply.code != 421).count();
    if of_commands > 1 {
        return (format!("les commandes cachées sont exécutées : {told}"), Verdict::fault(case.severity), mark);
    }
    let is_taken = replies.first().is_some_and(|reply| reply.code < 300);
    let count = match count(context, &message.mark, usize::from(is_taken), log).await {
        Ok(count) => count,
        Err(verdict) => return (told, verdict, mark),
    };
    let verdict = if count > 1 { Verdict::fault(case.severity) } else { Verdict::Conforme };
    (format!("{told} ; {count} message(s) dans la BAL"), verdict, mark)
}

/// How many messages carry the mark, once those that were accepted are there.
async fn count(context: &Context, mark: &str, accepted: usize, log: &Log) -> Result<usize, Verdict> {
    let mut reader = Reader::open(context, log).await?;
    Ok(reader.wait(mark, accepted, ARRIVAL).await.map_err(Verdict::unclear)?.len())
}

/// Many messages quickly: each is taken or put off, and what was taken is there.
async fn burst(
    case: &Case,
    context: &Context,
    stage: &Stage<'_>,
    log: &Log,
    marks: &mut Vec<String>,
) -> (String, Verdict) {
    let mut wire = match session(context, stage, log).await {
        Ok(wire) => wire,
        Err(verdict) => return (String::new(), verdict),
    };
    let first = Message::new(&stage.from, stage.to, &[], b"rafale");
    marks.push(first.mark.clone());
    let (mut taken, mut later, mut refused) = (0, 0, None);
    for number in 0..BURST {
        // Not the same octets twice: an operator may take them for one message.
        let octets = [&first.octets[..], format!("numéro {number}\r\n").as_bytes()].concat();
        match peer::post(&mut wire, &stage.from, "", stage.to, &octets).await {
            Ok(answer) => match Attempt::of_reply(&answer) {
                Attempt::Accepted(_) => taken += 1,
                Attempt::Unclear(_) | Attempt::Postponed(_) => later += 1,
                Attempt::Refused(line) => refused = Some(line),
            },
            // 421 is a clean way to put off.
            Err(WireError::Busy(_)) => {
                later += 1;
                break;
            }
            Err(error) => return (error.to_string(), Verdict::unclear(error)),
        }
        if later > 0 {
            let _ = wire.smtp("RSET").await;
        }
    }
    let there = match count(context, &first.mark, taken, log).await {
        Ok(there) => there,
        Err(verdict) => return (format!("{taken} acceptés, {later} remis à plus tard"), verdict),
    };
    let told = format!("{taken} acceptés, {later} remis à plus tard, {there} dans la BAL");
    match refused {
        _ if there != taken => (told, Verdict::fault(case.severity)),
        Some(line) => (format!("{told} ; refus définitif : {line}"), Verdict::fault(Severity::Minor)),
        None => (told, Verdict::Conforme),
    }
}

/// Takes away what was accepted. Best effort.
async fn tidy(context: &Context, marks: &[String]) {
    let log = Log::default();
    let Ok(mut reader) = Reader::open(context, &log).await else { return };
    for mark in marks {
        if let Ok(uids) = reader.find(mark).await {
            let _ = reader.remove(&uids).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_hold_together() {
        let all = variants();
        let case = |variant: &Variant| match variant {
            Variant::Recipient { cas, .. } | Variant::Commands { cas, .. } | Variant::End { cas, .. } => cas.clone(),
        };
        for id in ["OPE-06", "OPE-09"] {
            assert!(all.iter().any(|variant| case(variant) == id), "{id}");
        }
        assert!(all.iter().filter(|variant| matches!(variant, Variant::End { .. })).count() >= 4);
    }
}
