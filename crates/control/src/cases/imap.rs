//! Logging in by IMAP: capabilities, both forms, refusals, malformed responses, whose BAL, long tokens; then what a session can do.

use std::time::{Duration, Instant};

use crate::catalogue::Case;
use crate::context::{Context, Findings, Login, LoginOutcome, Protocol, judge};
use crate::forge::{Forge, Mutation, xoauth2};
use crate::job::Mailbox;
use crate::verdict::{Severity, Verdict};
use crate::wire::{Log, WireError};

/// What is run.
pub(super) const CASES: &[&str] = &["IMA-01", "IMA-02", "IMA-03", "IMA-04", "IMA-05", "IMA-06", "IMA-07", "IMA-08"];

/// Difference of the medians above which two refusals can be told apart by their time.
const ORACLE: Duration = Duration::from_millis(200);
/// How often each refusal is timed.
const TIMED: usize = 5;

const IMAP: Protocol = Protocol::Imap;

pub(super) async fn run(case: &Case, context: &Context, findings: &mut Findings) {
    if case.id == "IMA-01" {
        let log = Log::default();
        let (observed, verdict) = match capabilities(context, &log).await {
            Ok(line) => {
                let words: Vec<String> = line.to_ascii_uppercase().split(' ').map(ToOwned::to_owned).collect();
                let is_whole = ["AUTH=XOAUTH2", "SASL-IR"].iter().all(|word| words.iter().any(|w| w == word));
                (line, judge(is_whole, case))
            }
            Err(error) => (error.to_string(), Verdict::unclear(error)),
        };
        let proof = findings.keep(&log.lines());
        return findings.tell("CAPABILITY", Some(IMAP), &case.expected, observed, verdict, Some(proof));
    }
    let (forge, mailbox) = match context.tokens() {
        Ok(both) => both,
        Err(verdict) => return findings.tell("cas", None, &case.expected, "", verdict, None),
    };
    match case.id.as_str() {
        "IMA-02" => nominal(case, context, forge, mailbox, findings).await,
        "IMA-03" => refusal(case, context, forge, mailbox, findings).await,
        "IMA-04" => malformed(case, context, forge, mailbox, findings).await,
        "IMA-05" => others(case, context, forge, mailbox, findings).await,
        "IMA-06" => oracle(case, context, forge, mailbox, findings).await,
        "IMA-07" => long(case, context, forge, mailbox, findings).await,
        _ => operations(case, context, findings).await,
    }
}

async fn capabilities(context: &Context, log: &Log) -> Result<String, WireError> {
    let mut wire = context.open(IMAP, log).await?;
    let answer = wire.imap("CAPABILITY").await?;
    Ok(answer
        .untagged
        .into_iter()
        .find(|line| line.to_ascii_uppercase().starts_with("* CAPABILITY"))
        .unwrap_or_default())
}

/// A good response, and the words of a log-in that could not be made.
fn response(forge: &Forge, mailbox: &Mailbox) -> Result<Vec<u8>, Verdict> {
    Ok(xoauth2(&mailbox.address, &forge.nominal(&mailbox.idnat).map_err(Verdict::unclear)?))
}

/// The verdict of a login that had to be taken.
fn taken(login: &Login, level: Severity) -> Verdict {
    match login.outcome {
        LoginOutcome::Accepted => Verdict::Conforme,
        LoginOutcome::Refused | LoginOutcome::Cut => Verdict::fault(level),
        LoginOutcome::Temporary | LoginOutcome::Failed(_) => Verdict::unclear(&login.line),
    }
}

/// The verdict of a login that had to be refused; `is_sound`: a good login works beside it.
fn refused(login: &Login, level: Severity, is_sound: bool) -> Verdict {
    match login.outcome {
        _ if !is_sound => Verdict::unclear("le contrôle positif est refusé"),
        LoginOutcome::Accepted => Verdict::fault(level),
        LoginOutcome::Refused | LoginOutcome::Cut => Verdict::Conforme,
        LoginOutcome::Temporary | LoginOutcome::Failed(_) => Verdict::unclear(&login.line),
    }
}

async fn nominal(case: &Case, context: &Context, forge: &Forge, mailbox: &Mailbox, findings: &mut Findings) {
    for (name, initial, level) in
        [("avec réponse initiale", true, case.severity), ("sans réponse initiale", false, Severity::Major)]
    {
        let log = Log::default();
        let mut login = match response(forge, mailbox) {
            Ok(response) => context.login(IMAP, &response, initial, &log).await,
            Err(verdict) => return findings.tell(name, Some(IMAP), &case.expected, "", verdict, None),
        };
        let mut verdict = taken(&login, level);
        let mut observed = login.line.clone();
        if let (true, Some(wire)) = (login.is_accepted(), &mut login.wire) {
            match wire.imap("SELECT INBOX").await {
                Ok(answer) if answer.is_ok() => {}
                Ok(answer) => {
                    (observed, verdict) = (format!("SELECT INBOX : {}", answer.line), Verdict::fault(case.severity))
                }
                Err(error) => (observed, verdict) = (error.to_string(), Verdict::unclear(error)),
            }
            match wire.imap("LOGOUT").await {
                Ok(answer) if answer.untagged.iter().any(|line| line.to_ascii_uppercase().starts_with("* BYE")) => {}
                Ok(_) if verdict == Verdict::Conforme => {
                    (observed, verdict) = ("LOGOUT sans BYE".to_owned(), Verdict::fault(Severity::Minor))
                }
                _ => {}
            }
        }
        let proof = findings.keep(&log.lines());
        findings.tell(name, Some(IMAP), &case.expected, observed, verdict, Some(proof));
    }
}

/// A token that is over since an hour.
fn expired(forge: &Forge, mailbox: &Mailbox) -> Result<Vec<u8>, Verdict> {
    let over = [("exp", "T-3600"), ("iat", "T-3720")]
        .map(|(nom, at)| Mutation::PoserCharge { nom: nom.to_owned(), valeur: serde_json::json!(at) });
    let token = forge.make(&mailbox.idnat, &mailbox.other_idnat, &over).map_err(Verdict::unclear)?;
    Ok(xoauth2(&mailbox.address, &token))
}

async fn refusal(case: &Case, context: &Context, forge: &Forge, mailbox: &Mailbox, findings: &mut Findings) {
    let log = Log::default();
    let mut login = match expired(forge, mailbox) {
        Ok(response) => context.login(IMAP, &response, true, &log).await,
        Err(verdict) => return findings.tell("cas", Some(IMAP), &case.expected, "", verdict, None),
    };
    let mut observed = login.line.clone();
    let verdict = match login.outcome {
        LoginOutcome::Accepted => Verdict::fault(Severity::Blocking),
        LoginOutcome::Cut => Verdict::fault(case.severity),
        LoginOutcome::Temporary | LoginOutcome::Failed(_) => Verdict::unclear(&observed),
        LoginOutcome::Refused => {
            let has_code =
                ["AUTHENTICATIONFAILED", "EXPIRED"].iter().any(|code| observed.to_ascii_uppercase().contains(code));
            let stays_out = match &mut login.wire {
                Some(wire) => match wire.imap("SELECT INBOX").await {
                    Ok(answer) => !answer.is_ok(),
                    Err(_) => true,
                },
                None => true,
            };
            if !stays_out {
                observed.push_str(" ; mais SELECT est accepté ensuite");
            } else if !has_code {
                observed.push_str(" ; sans code AUTHENTICATIONFAILED");
            }
            match (stays_out, has_code && observed.to_ascii_uppercase().starts_with("NO")) {
                (false, _) => Verdict::fault(Severity::Blocking),
                (_, right) => judge(right, case),
            }
        }
    };
    if let Some(challenge) = &login.challenge {
        observed.push_str(&format!(" ; défi : {challenge}"));
    }
    let proof = findings.keep(&log.lines());
    findings.tell("jeton expiré", Some(IMAP), &case.expected, observed, verdict, Some(proof));
}

async fn malformed(case: &Case, context: &Context, forge: &Forge, mailbox: &Mailbox, findings: &mut Findings) {
    let token = match forge.nominal(&mailbox.idnat) {
        Ok(token) => token,
        Err(error) => return findings.tell("cas", Some(IMAP), &case.expected, "", Verdict::unclear(error), None),
    };
    let user = &mailbox.address;
    let variants: [(&str, String); 7] = [
        ("sans ^A finals", format!("user={user}\u{1}auth=Bearer {token}")),
        ("sans auth=", format!("user={user}\u{1}\u{1}")),
        ("user vide", format!("user=\u{1}auth=Bearer {token}\u{1}\u{1}")),
        ("user double", format!("user={user}\u{1}user={}\u{1}auth=Bearer {token}\u{1}\u{1}", mailbox.other_address)),
        ("user avec CRLF", format!("user={user}\r\nX\u{1}auth=Bearer {token}\u{1}\u{1}")),
        ("user avec NUL", format!("user={user}\0\u{1}auth=Bearer {token}\u{1}\u{1}")),
        ("vide", String::new()),
    ];
    for (name, text) in variants {
        let log = Log::default();
        let login = context.login(IMAP, text.as_bytes(), true, &log).await;
        let is_sound = context.nominal(IMAP, &log).await.is_some_and(|login| login.is_accepted());
        let verdict = refused(&login, case.severity, is_sound);
        let proof = findings.keep(&log.lines());
        findings.tell(name, Some(IMAP), &case.expected, login.line, verdict, Some(proof));
    }
    let log = Log::default();
    let login =
        context.login(IMAP, format!("user={user}\u{1}auth=bearer {token}\u{1}\u{1}").as_bytes(), true, &log).await;
    let verdict = match login.outcome {
        LoginOutcome::Temporary | LoginOutcome::Failed(_) => Verdict::unclear(&login.line),
        _ => Verdict::fault(Severity::Information),
    };
    let proof = findings.keep(&log.lines());
    findings.tell(
        "« bearer » en minuscules (constat)",
        Some(IMAP),
        "accepté ou refusé",
        login.line,
        verdict,
        Some(proof),
    );
}

async fn others(case: &Case, context: &Context, forge: &Forge, mailbox: &Mailbox, findings: &mut Findings) {
    let log = Log::default();
    let token = match forge.nominal(&mailbox.idnat) {
        Ok(token) => token,
        Err(error) => return findings.tell("cas", Some(IMAP), &case.expected, "", Verdict::unclear(error), None),
    };
    let login = context.login(IMAP, &xoauth2(&mailbox.other_address, &token), true, &log).await;
    let is_sound = context.nominal(IMAP, &log).await.is_some_and(|login| login.is_accepted());
    let verdict = refused(&login, case.severity, is_sound);
    let proof = findings.keep(&log.lines());
    findings.tell("BAL d'un autre titulaire", Some(IMAP), &case.expected, login.line, verdict, Some(proof));
}

async fn oracle(case: &Case, context: &Context, forge: &Forge, mailbox: &Mailbox, findings: &mut Findings) {
    let log = Log::default();
    let domain = mailbox.address.rsplit_once('@').map_or("exemple.invalid", |(_, domain)| domain);
    let users = [format!("personne-de-ce-nom-7391@{domain}"), mailbox.other_address.clone()];
    let mut lines: [Option<String>; 2] = [None, None];
    let mut times: [Vec<Duration>; 2] = [Vec::new(), Vec::new()];
    for turn in 0..TIMED * 2 {
        let at = turn % 2;
        let Ok(token) = forge.nominal(&mailbox.idnat) else { break };
        let mut wire = match context.open(IMAP, &log).await {
            Ok(wire) => wire,
            Err(error) => {
                return findings.tell(
                    "cas",
                    Some(IMAP),
                    &case.expected,
                    error.to_string(),
                    Verdict::unclear(&error),
                    None,
                );
            }
        };
        let started = Instant::now();
        match wire.imap_xoauth2(&xoauth2(&users[at], &token), true).await {
            Ok((answer, challenge)) => {
                times[at].push(started.elapsed());
                lines[at].get_or_insert_with(|| format!("{} {}", answer.line, challenge.unwrap_or_default()));
            }
            Err(error) => {
                return findings.tell(
                    "cas",
                    Some(IMAP),
                    &case.expected,
                    error.to_string(),
                    Verdict::unclear(&error),
                    None,
                );
            }
        }
    }
    let [absent, foreign] = times.map(|mut times| {
        times.sort();
        times.get(times.len() / 2).copied().unwrap_or_default()
    });
    let gap = absent.abs_diff(foreign);
    let is_same = lines[0] == lines[1];
    let words = if is_same { "mêmes réponses" } else { "réponses différentes" };
    let observed = format!("{words} ; inexistante {} ms, d'autrui {} ms", absent.as_millis(), foreign.as_millis());
    let verdict = match (is_same, gap < ORACLE) {
        (false, _) => Verdict::fault(case.severity),
        (true, true) => Verdict::Conforme,
        (true, false) => Verdict::fault(Severity::Information),
    };
    let proof = findings.keep(&log.lines());
    findings.tell("inexistante ou d'autrui", Some(IMAP), &case.expected, observed, verdict, Some(proof));
}

async fn long(case: &Case, context: &Context, forge: &Forge, mailbox: &Mailbox, findings: &mut Findings) {
    for (name, octets, is_due) in [("4 Ko", 2_300, true), ("8 Ko", 5_300, true), ("12 Ko", 8_400, false)] {
        let log = Log::default();
        let token = match forge.swollen(&mailbox.idnat, octets / 4 * 3) {
            Ok(token) => token,
            Err(error) => return findings.tell(name, Some(IMAP), &case.expected, "", Verdict::unclear(error), None),
        };
        let response = xoauth2(&mailbox.address, &token);
        let login = context.login(IMAP, &response, true, &log).await;
        let observed = format!("{} octets de réponse initiale : {}", response.len().div_ceil(3) * 4, login.line);
        let verdict = match login.outcome {
            LoginOutcome::Temporary | LoginOutcome::Failed(_) => Verdict::unclear(&login.line),
            LoginOutcome::Accepted => Verdict::Conforme,
            LoginOutcome::Refused | LoginOutcome::Cut => judge(!is_due, case),
        };
        let proof = findings.keep(&log.lines());
        findings.tell(name, Some(IMAP), &case.expected, observed, verdict, Some(proof));
    }
}

async fn operations(case: &Case, context: &Context, findings: &mut Findings) {
    let log = Log::default();
    let Some(login) = context.nominal(IMAP, &log).await else { return };
    let (observed, verdict) = match login.wire {
        Some(mut wire) if login.outcome == LoginOutcome::Accepted => {
            // Unlike any other: what a campaign that was killed left behind is not taken for ours.
            let subject = format!("vaguemestre-controle {}", crate::forge::id());
            match walk(&mut wire, &subject).await {
                Ok(None) => ("tout est OK, le message supprimé ne réapparaît pas".to_owned(), Verdict::Conforme),
                Ok(Some(wrong)) => (wrong, Verdict::fault(case.severity)),
                Err(error) => (error.to_string(), Verdict::unclear(error)),
            }
        }
        _ => (login.line.clone(), Verdict::unclear(login.line)),
    };
    let proof = findings.keep(&log.lines());
    findings.tell("opérations de base", Some(IMAP), &case.expected, observed, verdict, Some(proof));
}

/// A message of ours put there, found, marked, taken away: only what carries our mark is touched. The first command that fails.
async fn walk(wire: &mut crate::wire::Wire, subject: &str) -> Result<Option<String>, WireError> {
    let refused = |command: &str, line: &str| Ok(Some(format!("{command} : {line}")));
    for command in ["LIST \"\" \"*\"", "SELECT INBOX", "NOOP"] {
        let answer = wire.imap(command).await?;
        if !answer.is_ok() {
            return refused(command, &answer.line);
        }
    }
    let message = format!(
        "From: <controle@vaguemestre.invalid>\r\nSubject: {subject}\r\nX-Vaguemestre-Controle: 1\r\n\r\nessai\r\n"
    );
    let tag = wire.next_tag();
    wire.say(&format!("{tag} APPEND INBOX {{{}}}", message.len())).await?;
    let line = wire.line().await?;
    if !line.starts_with('+') {
        return refused("APPEND", &crate::tls::starttls::shown(&line));
    }
    wire.send(format!("{message}\r\n").as_bytes(), "[message du test]").await?;
    let answer = wire.imap_answer(&tag).await?;
    if !answer.is_ok() {
        return refused("APPEND", &answer.line);
    }
    let search = format!("UID SEARCH SUBJECT \"{subject}\"");
    let found = |lines: &[String]| -> Vec<u32> {
        let line = lines.iter().find(|line| line.to_ascii_uppercase().starts_with("* SEARCH"));
        line.map(|line| line.split(' ').filter_map(|word| word.parse().ok()).collect()).unwrap_or_default()
    };
    let answer = wire.imap(&search).await?;
    let uids = found(&answer.untagged);
    let Some(uid) = uids.last() else { return refused("UID SEARCH", "le message déposé n'est pas trouvé") };
    for command in [
        format!("UID FETCH {uid} (FLAGS RFC822.SIZE BODY.PEEK[HEADER.FIELDS (SUBJECT)])"),
        format!("UID STORE {uid} +FLAGS (\\Deleted)"),
        format!("UID EXPUNGE {uid}"),
    ] {
        let answer = wire.imap(&command).await?;
        if !answer.is_ok() && !command.starts_with("UID EXPUNGE") {
            return refused(&command, &answer.line);
        }
        if !answer.is_ok() {
            // Without UIDPLUS all that is marked goes; nothing else of this BAL is marked by us.
            let answer = wire.imap("EXPUNGE").await?;
            if !answer.is_ok() {
                return refused("EXPUNGE", &answer.line);
            }
        }
    }
    let answer = wire.imap(&search).await?;
    if !found(&answer.untagged).is_empty() {
        return refused("EXPUNGE", "le message supprimé est encore là");
    }
    // The BYE and the OK: judged by IMA-02.
    let _ = wire.imap("LOGOUT").await;
    Ok(None)
}
