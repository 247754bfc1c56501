//! What is handed over arrives, as it was: OPE-03, OPE-07, OPE-08.

use std::time::{Duration, Instant};

use super::{SMTP, Stage};
use crate::catalogue::Case;
use crate::context::{Context, Findings};
use crate::peer::{self, Message};
use crate::reader::{Reader, values};
use crate::tls::starttls::shown;
use crate::verdict::Verdict;
use crate::wire::{Log, SmtpAnswer};

/// How long what is only to be taken away may be waited for.
const TIDY: Duration = Duration::from_secs(5);

/// A message over a session of its own.
async fn hand_over(
    context: &Context,
    stage: &Stage<'_>,
    from: &str,
    parameters: &str,
    message: &Message,
    log: &Log,
) -> Result<SmtpAnswer, Verdict> {
    let wire = peer::smtp(context, stage.server, Some(&stage.who), log).await;
    let mut wire = wire.map_err(|end| Verdict::unclear(format!("le contrôle positif n'aboutit pas : {end}")))?;
    let answer = peer::post(&mut wire, from, parameters, stage.to, &message.octets).await.map_err(Verdict::unclear)?;
    let _ = wire.smtp("QUIT").await;
    Ok(answer)
}

/// The verdict of a message that had to be taken.
fn taken(case: &Case, answer: &SmtpAnswer) -> Verdict {
    match answer.code {
        200..300 => Verdict::Conforme,
        400..500 => Verdict::unclear(shown(answer.line())),
        _ => Verdict::fault(case.severity),
    }
}

/// OPE-03: a peer as it must be.
pub(super) async fn nominal(case: &Case, context: &Context, stage: &Stage<'_>, findings: &mut Findings) {
    let log = Log::default();
    let message = Message::new(&stage.from, stage.to, &[], b"essai\r\n");
    let (observed, verdict) = match hand_over(context, stage, &stage.from, "", &message, &log).await {
        Ok(answer) => {
            let subject = crate::tls::certificate::subject(stage.who.certificate());
            let told = format!("{} ; {subject} ; Message-ID {}", shown(answer.line()), message.mark);
            (told, taken(case, &answer))
        }
        Err(verdict) => (verdict.reason().unwrap_or_default().to_owned(), verdict),
    };
    if verdict == Verdict::Conforme {
        tidy(context, &message.mark).await;
    }
    let proof = findings.keep(&log.lines());
    findings.tell("pair de la liste blanche", SMTP, &case.expected, observed, verdict, Some(proof));
}

/// Takes away what was only to be handed over. Best effort: a BAL of tests may keep a message of tests.
async fn tidy(context: &Context, mark: &str) {
    let log = Log::default();
    if let Ok(mut reader) = Reader::open(context, &log).await
        && let Ok(uids) = reader.wait(mark, 1, TIDY).await
    {
        let _ = reader.remove(&uids).await;
    }
}

/// What arrived of a message, and after how long; then it is taken away.
async fn arrived(
    context: &Context,
    message: &Message,
    since: Instant,
    log: &Log,
) -> Result<Option<(Vec<u8>, usize, Duration)>, Verdict> {
    let mut reader = Reader::open(context, log).await?;
    let most = context.job.limits.delivery();
    let uids = reader.wait(&message.mark, 1, most).await.map_err(Verdict::unclear)?;
    let delay = since.elapsed();
    let Some(first) = uids.first() else { return Ok(None) };
    let octets = reader.fetch(*first).await.map_err(Verdict::unclear)?;
    reader.remove(&uids).await.map_err(Verdict::unclear)?;
    Ok(Some((octets, uids.len(), delay)))
}

/// The octets after the header.
pub(in crate::cases) fn body(message: &[u8]) -> &[u8] {
    let end = message.windows(4).position(|four| four == b"\r\n\r\n");
    end.map_or(&[], |end| &message[end + 4..])
}

/// A body of everything that suffers on the way: octets above 127, lines of dots, of 998 octets, trailing spaces, an attachment.
fn difficult() -> Vec<u8> {
    let mut random = [0; 6000];
    // Without randomness the attachment is of zeros: the comparison is as good.
    let _ = openssl::rand::rand_bytes(&mut random);
    let encoded = openssl::base64::encode_block(&random);
    let lines: Vec<&str> = encoded.as_bytes().chunks(76).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    let long = "x".repeat(998);
    format!(
        "--limite\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         Élève, cœur, 漢字, €uro — « guillemets » \u{1F3E5}\r\n.\r\n..\r\n.point\r\nFrom au début\r\nespaces   \r\n\ttabulation\r\n\r\n\r\n{long}\r\n\
         --limite\r\nContent-Type: application/octet-stream; name=\"piece.bin\"\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"piece.bin\"\r\n\r\n{}\r\n--limite--\r\n",
        lines.join("\r\n")
    )
    .into_bytes()
}

/// OPE-07: from another operator to the reader, octet for octet.
pub(super) async fn end_to_end(case: &Case, context: &Context, stage: &Stage<'_>, findings: &mut Findings) {
    let log = Log::default();
    let fields = [("MIME-Version", "1.0"), ("Content-Type", "multipart/mixed; boundary=limite")];
    let message = Message::new(&stage.from, stage.to, &fields, &difficult());
    let began = Instant::now();
    let seen = async {
        let answer = hand_over(context, stage, &stage.from, " BODY=8BITMIME", &message, &log).await?;
        if answer.code >= 300 {
            return Ok((format!("remise refusée : {}", shown(answer.line())), taken(case, &answer)));
        }
        let Some((read, count, delay)) = arrived(context, &message, began, &log).await? else {
            let told = format!("accepté, absent de la BAL après {} s", context.job.limits.delivery().as_secs());
            return Ok((told, Verdict::fault(case.severity)));
        };
        let (sent, got) = (digest(body(&message.octets)), digest(body(&read)));
        let received = values(&read, "Received").first().cloned().unwrap_or_default();
        let told = format!(
            "{count} exemplaire(s) après {} ms ; corps envoyé sha256 {sent}, lu {got} ; Received : {}",
            delay.as_millis(),
            shown(&received)
        );
        let is_right = count == 1 && sent == got;
        Ok::<_, Verdict>((told, if is_right { Verdict::Conforme } else { Verdict::fault(case.severity) }))
    };
    let (observed, verdict) =
        seen.await.unwrap_or_else(|verdict: Verdict| (verdict.reason().unwrap_or_default().to_owned(), verdict));
    let proof = findings.keep(&log.lines());
    findings.tell("UTF-8, 8BITMIME, pièce jointe", SMTP, &case.expected, observed, verdict, Some(proof));
}

fn digest(octets: &[u8]) -> String {
    openssl::sha::sha256(octets).iter().map(|octet| format!("{octet:02x}")).collect()
}

/// OPE-08: notices have no sender.
pub(super) async fn notices(case: &Case, context: &Context, stage: &Stage<'_>, findings: &mut Findings) {
    let dsn = format!(
        "--limite\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nNon remis.\r\n--limite\r\nContent-Type: message/delivery-status\r\n\r\n\
         Reporting-MTA: dns; mx.{0}\r\n\r\nFinal-Recipient: rfc822; absent@{0}\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--limite--\r\n",
        stage.section.peer.domain
    );
    let mdn = format!(
        "--limite\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nLu.\r\n--limite\r\nContent-Type: message/disposition-notification\r\n\r\n\
         Final-Recipient: rfc822; {0}\r\nOriginal-Message-ID: <essai@exemple.invalid>\r\n\
         Disposition: manual-action/MDN-sent-manually; displayed\r\n\r\n--limite--\r\n",
        stage.from
    );
    for (name, kind, text) in [
        ("avis de non-remise (DSN)", "delivery-status", dsn),
        ("accusé de lecture (MDN)", "disposition-notification", mdn),
    ] {
        let log = Log::default();
        let content = format!("multipart/report; report-type={kind}; boundary=limite");
        let fields = [("MIME-Version", "1.0"), ("Content-Type", content.as_str())];
        let message = Message::new(&stage.from, stage.to, &fields, text.as_bytes());
        let began = Instant::now();
        let seen = async {
            let answer = hand_over(context, stage, "", "", &message, &log).await?;
            if answer.code >= 300 {
                return Ok((shown(answer.line()), taken(case, &answer)));
            }
            Ok::<_, Verdict>(match arrived(context, &message, began, &log).await? {
                None => ("accepté, absent de la BAL".to_owned(), Verdict::fault(case.severity)),
                Some((read, ..)) if body(&read) != body(&message.octets) => {
                    ("remis, mais le corps n'est plus le même".to_owned(), Verdict::fault(case.severity))
                }
                Some(_) => ("accepté avec MAIL FROM:<> et remis".to_owned(), Verdict::Conforme),
            })
        };
        let (observed, verdict) =
            seen.await.unwrap_or_else(|verdict: Verdict| (verdict.reason().unwrap_or_default().to_owned(), verdict));
        let proof = findings.keep(&log.lines());
        findings.tell(name, SMTP, &case.expected, observed, verdict, Some(proof));
    }
}
