//! What is kept of a message on its way: fields of MSSanté, of RFC 5322, what somebody smuggles into them. Three ways: from another
//! operator to the BAL, from the BAL to itself by the API LPS, and from the BAL to a trap of the stand. The variants are data (`catalogue/entetes.json`).

use std::io::{Cursor, Read, Write};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::cases::receiving::{Stage, body};
use crate::catalogue::Case;
use crate::context::{Context, Findings, LoginOutcome, Protocol};
use crate::peer::{self, Message};
use crate::reader::{Reader, values};
use crate::tls::starttls::shown;
use crate::trap::record::Transaction;
use crate::verdict::{Severity, Verdict};
use crate::wire::{Log, SmtpAnswer};

/// The data.
pub(crate) const DATA: &str = include_str!("../../catalogue/entetes.json");
/// What is run.
pub(super) const CASES: &[&str] = &["ENT-01", "ENT-02", "ENT-03", "ENT-04", "ENT-05", "ENT-06", "ENT-07"];
/// How long the stand is asked to wait for a change.
const POLL: Duration = Duration::from_secs(2);
/// A field that must not appear.
const INJECTED: &str = "X-Injecte:";

/// A variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Variant {
    cas: String,
    nom: String,
    champs: Vec<(String, String)>,
}

fn variants(case: &str) -> Vec<Variant> {
    // Tested: it cannot be damaged in a program that was built.
    let all: Vec<Variant> = serde_json::from_str(DATA).expect("the variants are tested");
    all.into_iter().filter(|variant| variant.cas == case).collect()
}

/// By which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From another operator.
    Peer,
    /// By the API LPS.
    Lps,
    /// By the API LPS, to another operator: a trap of the stand.
    Trap,
}

impl Way {
    fn label(self) -> &'static str {
        match self {
            Way::Peer => "reçu d'un opérateur",
            Way::Lps => "soumis par l'API LPS",
            Way::Trap => "soumis par l'API LPS, lu au piège",
        }
    }
}

/// What became of a message.
struct Passed {
    answer: SmtpAnswer,
    /// As read in the BAL, when it was taken and arrived.
    read: Option<Vec<u8>>,
}

pub(super) async fn run(case: &Case, context: &Context, findings: &mut Findings) {
    match case.id.as_str() {
        "ENT-01" => each(case, context, &[Way::Lps, Way::Trap], kept, findings).await,
        "ENT-02" => each(case, context, &[Way::Peer, Way::Lps, Way::Trap], kept, findings).await,
        "ENT-04" => each(case, context, &[Way::Peer, Way::Lps], kept, findings).await,
        "ENT-03" => documents(case, context, findings).await,
        "ENT-05" => {
            each(case, context, &[Way::Lps, Way::Peer, Way::Trap], ordinary, findings).await;
            blind(case, context, findings).await;
        }
        "ENT-06" => each(case, context, &[Way::Peer, Way::Lps], neutral, findings).await,
        _ => traced(case, context, findings).await,
    }
}

/// A judge of what arrived: what was sent, what was read.
type Judge = fn(&Case, &Variant, &Message, &Passed) -> (String, Verdict);

async fn each(case: &Case, context: &Context, ways: &[Way], judge: Judge, findings: &mut Findings) {
    for variant in variants(&case.id) {
        // Without a stand there is nobody to send to; the other ways tell as much as they can.
        for way in ways.iter().filter(|way| **way != Way::Trap || context.stand.is_some()) {
            let log = Log::default();
            let (observed, verdict) = match sent(context, *way, &variant.champs, b"essai\r\n", &log).await {
                Ok((message, passed)) => judge(case, &variant, &message, &passed),
                Err(verdict) => (String::new(), verdict),
            };
            let proof = findings.keep(&log.lines());
            let name = format!("{}, {}", variant.nom, way.label());
            findings.tell(&name, Some(Protocol::Smtp), &case.expected, observed, verdict, Some(proof));
        }
    }
}

/// Hands over a message with these fields, reads it in the BAL, takes it away.
async fn sent(
    context: &Context,
    way: Way,
    fields: &[(String, String)],
    content: &[u8],
    log: &Log,
) -> Result<(Message, Passed), Verdict> {
    let (_, mailbox) = context.tokens()?;
    let bal = mailbox.address.as_str();
    let filled: Vec<(String, String)> =
        fields.iter().map(|(name, value)| (name.clone(), value.replace("{bal}", bal))).collect();
    // A field given twice stands twice: the first alone may take the place of one of ours.
    let given: Vec<(&str, &str)> = filled.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let (from, answer, message) = match way {
        Way::Peer => {
            let stage = Stage::of(context)?;
            let message = Message::new(&stage.from, bal, &given, content);
            let wire = peer::smtp(context, stage.server, Some(&stage.who), log).await;
            let mut wire = wire.map_err(|end| Verdict::unclear(end.to_string()))?;
            (stage.from.clone(), peer::post(&mut wire, &stage.from, "", bal, &message.octets).await, message)
        }
        Way::Lps | Way::Trap => {
            let message = Message::new(bal, bal, &given, content);
            let to = match way {
                Way::Trap => format!("nominal+{}@{}", message.mark, context.stand()?.traps().await?.domain),
                _ => bal.to_owned(),
            };
            let Some(login) = context.nominal(Protocol::Smtp, log).await else {
                return Err(Verdict::unclear("aucun jeton n'a pu être fait"));
            };
            let Some(mut wire) = login.wire.filter(|_| login.outcome == LoginOutcome::Accepted) else {
                return Err(Verdict::unclear(format!("la BAL ne s'ouvre pas en SMTP : {}", login.line)));
            };
            (bal.to_owned(), peer::post(&mut wire, bal, "", &to, &message.octets).await, message)
        }
    };
    let answer = match answer {
        // A close after a line that is none is a refusal.
        Err(crate::wire::WireError::Closed) => {
            let lines = vec![format!("554 fermeture après le message de {from}")];
            SmtpAnswer { code: 554, lines }
        }
        other => other.map_err(Verdict::unclear)?,
    };
    let read = match answer.code {
        200..300 if way == Way::Trap => Some(trapped(context, &message).await?),
        200..300 => arrived(context, &message, log).await?,
        _ => None,
    };
    Ok((message, Passed { answer, read }))
}

async fn arrived(context: &Context, message: &Message, log: &Log) -> Result<Option<Vec<u8>>, Verdict> {
    let mut reader = Reader::open(context, log).await?;
    let uids = reader.wait(&message.mark, 1, context.job.limits.delivery()).await.map_err(Verdict::unclear)?;
    let Some(uid) = uids.first() else { return Ok(None) };
    let read = reader.fetch(*uid).await.map_err(Verdict::unclear)?;
    reader.remove(&uids).await.map_err(Verdict::unclear)?;
    Ok(Some(read))
}

/// The message as another operator got it. What does not come concludes nothing here: OPE-10 is about that.
async fn trapped(context: &Context, message: &Message) -> Result<Vec<u8>, Verdict> {
    let stand = context.stand()?;
    let (began, most) = (Instant::now(), context.job.limits.delivery());
    let mut version = 0;
    while began.elapsed() < most {
        let page = stand.trap_sessions(&message.mark, 0, version, POLL).await?;
        version = page.version;
        for session in &page.sessions {
            // One session may bring other messages too.
            let taken = |one: &Transaction| {
                let is_ours = one.to.iter().any(|to| to.run.as_deref() == Some(message.mark.as_str()));
                is_ours && one.message.as_ref().is_some_and(|message| message.is_taken)
            };
            if let Some(at) = session.transactions.iter().position(taken) {
                return Ok(stand.octets(&format!("traps/sessions/{}/messages/{at}", session.seq)).await?);
            }
        }
    }
    Err(Verdict::unclear(format!("accepté, pas arrivé au piège en {} s", most.as_secs())))
}

/// The message that had to arrive, or the verdict.
fn read<'p>(case: &Case, passed: &'p Passed) -> Result<&'p [u8], (String, Verdict)> {
    let line = shown(passed.answer.line());
    match (passed.answer.code, &passed.read) {
        (_, Some(read)) => Ok(read),
        (200..300, None) => Err(("accepté, absent de la BAL".to_owned(), Verdict::fault(case.severity))),
        (400..500, None) => Err((line.clone(), Verdict::unclear(line))),
        _ => Err((format!("refusé : {line}"), Verdict::fault(case.severity))),
    }
}

/// The names of a variant, each once.
fn names(variant: &Variant) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in &variant.champs {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            names.push(name);
        }
    }
    names
}

/// The values of every field of the variant, octet for octet.
fn kept(case: &Case, variant: &Variant, message: &Message, passed: &Passed) -> (String, Verdict) {
    let read = match read(case, passed) {
        Ok(read) => read,
        Err(told) => return told,
    };
    for name in names(variant) {
        let (before, after) = (values(&message.octets, name), values(read, name));
        if before != after {
            let told =
                format!("{name} : envoyé {}, lu {}", shown(&format!("{before:?}")), shown(&format!("{after:?}")));
            return (told, Verdict::fault(case.severity));
        }
    }
    let told: Vec<String> =
        names(variant).iter().map(|name| format!("{name} : {}", shown(&values(read, name).join(" | ")))).collect();
    (told.join(" ; "), Verdict::Conforme)
}

/// One Date, one From, one Message-ID, and those of the variant as they were.
fn ordinary(case: &Case, variant: &Variant, message: &Message, passed: &Passed) -> (String, Verdict) {
    let arrived = match read(case, passed) {
        Ok(arrived) => arrived,
        Err(told) => return told,
    };
    for name in ["Date", "From", "Message-ID"] {
        let (before, after) = (values(&message.octets, name), values(arrived, name));
        if after.len() != 1 || before != after {
            let told =
                format!("{name} : envoyé {}, lu {}", shown(&format!("{before:?}")), shown(&format!("{after:?}")));
            return (told, Verdict::fault(case.severity));
        }
    }
    kept(case, variant, message, passed)
}

/// Refused, or without any line that begins as the injected field does, whatever counts as a line end.
fn neutral(case: &Case, _: &Variant, _: &Message, passed: &Passed) -> (String, Verdict) {
    let line = shown(passed.answer.line());
    let Some(read) = &passed.read else {
        return match passed.answer.code {
            200..300 => ("accepté, absent de la BAL".to_owned(), Verdict::fault(Severity::Minor)),
            400..500 => (line.clone(), Verdict::unclear(line)),
            _ => (format!("refusé : {line}"), Verdict::Conforme),
        };
    };
    let text = String::from_utf8_lossy(read);
    let head = text.split_once("\r\n\r\n").map_or(&*text, |(head, _)| head);
    let is_there = head.split(['\r', '\n', '\0']).any(|line| line.starts_with(INJECTED));
    match is_there {
        true => ("remis, et le champ injecté y est".to_owned(), Verdict::fault(case.severity)),
        false => ("remis, neutralisé".to_owned(), Verdict::Conforme),
    }
}

/// ENT-05: Bcc is nobody's business.
async fn blind(case: &Case, context: &Context, findings: &mut Findings) {
    let log = Log::default();
    let fields = [("Bcc".to_owned(), "<copie-cachee@exemple.invalid>".to_owned())];
    let (observed, verdict) = match sent(context, Way::Lps, &fields, b"essai\r\n", &log).await {
        Ok((_, passed)) => match read(case, &passed) {
            Ok(read) if values(read, "Bcc").is_empty() => ("Bcc retiré".to_owned(), Verdict::Conforme),
            Ok(_) => {
                ("Bcc remis tel quel : les autres destinataires le lisent".to_owned(), Verdict::fault(case.severity))
            }
            Err(told) => told,
        },
        Err(verdict) => (String::new(), verdict),
    };
    let proof = findings.keep(&log.lines());
    let name = format!("Bcc, {}", Way::Lps.label());
    findings.tell(&name, Some(Protocol::Smtp), &case.expected, observed, verdict, Some(proof));
}

/// An `IHE_XDM.zip` with a CDA of each code.
fn archive(codes: &[&str]) -> Option<Vec<u8>> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (number, code) in codes.iter().enumerate() {
        let name = format!("IHE_XDM/SUBSET01/DOC{:04}.XML", number + 1);
        zip.start_file(name, zip::write::SimpleFileOptions::default()).ok()?;
        let cda = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ClinicalDocument xmlns=\"urn:hl7-org:v3\"><code code=\"{code}\" \
             codeSystem=\"2.16.840.1.113883.6.1\"/><title>Essai, sans patient</title></ClinicalDocument>"
        );
        zip.write_all(cda.as_bytes()).ok()?;
    }
    Some(zip.finish().ok()?.into_inner())
}

/// The codes of the CDA of the archive in a message of ours.
fn codes(message: &[u8]) -> Option<Vec<String>> {
    /// Longest document read of an archive of ours.
    const MAX_DOCUMENT: u64 = 64 * 1024;
    let text = String::from_utf8_lossy(body(message));
    let (_, part) = text.split_once("filename=\"IHE_XDM.zip\"\r\n\r\n")?;
    let (encoded, _) = part.split_once("\r\n--limite")?;
    let plain: String = encoded.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let mut archive = zip::ZipArchive::new(Cursor::new(openssl::base64::decode_block(&plain).ok()?)).ok()?;
    let mut codes = Vec::new();
    for at in 0..archive.len().min(16) {
        let mut document = String::new();
        archive.by_index(at).ok()?.take(MAX_DOCUMENT).read_to_string(&mut document).ok()?;
        let document = roxmltree::Document::parse(&document).ok()?;
        let code = document.root_element().children().find(|node| node.tag_name().name() == "code")?;
        codes.push(code.attribute("code")?.to_owned());
    }
    Some(codes)
}

/// ENT-03: X-MSS-CODECDA and X-MSS-INS go with the documents.
async fn documents(case: &Case, context: &Context, findings: &mut Findings) {
    for (name, all) in [("un CDA", &["34133-9"][..]), ("deux CDA", &["34133-9", "11502-2"][..]), ("sans CDA", &[][..])]
    {
        for way in [Way::Peer, Way::Lps] {
            let log = Log::default();
            let mut fields = vec![
                ("MIME-Version".to_owned(), "1.0".to_owned()),
                ("Content-Type".to_owned(), "multipart/mixed; boundary=limite".to_owned()),
            ];
            let mut text = "--limite\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nessai\r\n".to_owned();
            if !all.is_empty() {
                fields.push(("X-MSS-CODECDA".to_owned(), all.join(",")));
                fields.push(("X-MSS-INS".to_owned(), "N".to_owned()));
                let Some(archive) = archive(all) else { continue };
                let encoded = openssl::base64::encode_block(&archive);
                let lines: Vec<&str> =
                    encoded.as_bytes().chunks(76).filter_map(|line| std::str::from_utf8(line).ok()).collect();
                text.push_str(&format!(
                    "--limite\r\nContent-Type: application/zip; name=\"IHE_XDM.zip\"\r\nContent-Transfer-Encoding: base64\r\n\
                     Content-Disposition: attachment; filename=\"IHE_XDM.zip\"\r\n\r\n{}\r\n",
                    lines.join("\r\n")
                ));
            }
            text.push_str("--limite--\r\n");
            let (observed, verdict) = match sent(context, way, &fields, text.as_bytes(), &log).await {
                Ok((_, passed)) => match read(case, &passed) {
                    Ok(read) => coherent(case, read),
                    Err(told) => told,
                },
                Err(verdict) => (String::new(), verdict),
            };
            let proof = findings.keep(&log.lines());
            let name = format!("{name}, {}", way.label());
            findings.tell(&name, Some(Protocol::Smtp), &case.expected, observed, verdict, Some(proof));
        }
    }
}

/// Whether the fields say what the documents are.
fn coherent(case: &Case, message: &[u8]) -> (String, Verdict) {
    let documents = codes(message).unwrap_or_default();
    let said: Vec<String> = values(message, "X-MSS-CODECDA")
        .iter()
        .flat_map(|value| value.split(',').map(|code| code.trim().to_owned()).collect::<Vec<_>>())
        .collect();
    let ins = values(message, "X-MSS-INS");
    let told = format!(
        "CDA : {} ; X-MSS-CODECDA : {} ; X-MSS-INS : {}",
        shown(&documents.join(",")),
        shown(&said.join(",")),
        shown(&ins.join(","))
    );
    let is_right = documents == said && ins.len() == usize::from(!documents.is_empty());
    (told, if is_right { Verdict::Conforme } else { Verdict::fault(case.severity) })
}

/// ENT-07: what can be seen from here; the trace is asked of the operator.
async fn traced(case: &Case, context: &Context, findings: &mut Findings) {
    let log = Log::default();
    let fields = [("Disposition-Notification-To".to_owned(), "<{bal}>".to_owned())];
    let (observed, verdict) = match sent(context, Way::Peer, &fields, b"essai\r\n", &log).await {
        Ok((message, passed)) => match read(case, &passed) {
            Ok(read) => {
                let name = "Disposition-Notification-To";
                let is_kept = values(&message.octets, name) == values(read, name);
                let received = values(read, "Received").first().cloned().unwrap_or_default();
                // RFC 3848: the S of ESMTPS; others write the version out.
                let words = received.to_ascii_uppercase();
                let is_told = words.contains("ESMTPS") || words.contains("TLS");
                let yes = |is: bool| if is { "oui" } else { "non" };
                let told = format!(
                    "Disposition-Notification-To préservé : {} ; Received mentionne TLS : {} ({})",
                    yes(is_kept),
                    yes(is_told),
                    shown(&received)
                );
                let verdict = match is_kept && is_told {
                    false => Verdict::fault(case.severity),
                    true => Verdict::AExaminer {
                        raison: format!(
                            "demandez à l'opérateur la trace de <{}@controle.vaguemestre.invalid> (un jour ouvré)",
                            message.mark
                        ),
                    },
                };
                (told, verdict)
            }
            Err(told) => told,
        },
        Err(verdict) => (String::new(), verdict),
    };
    let proof = findings.keep(&log.lines());
    findings.tell("accusé et trace", Some(Protocol::Smtp), &case.expected, observed, verdict, Some(proof));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;

    fn case(id: &str) -> &'static Case {
        Catalogue::embedded().case(id).expect("there")
    }

    fn passed(read: &[u8]) -> Passed {
        let answer = SmtpAnswer { code: 250, lines: vec!["250 ok".to_owned()] };
        Passed { answer, read: Some(read.to_vec()) }
    }

    #[test]
    fn the_data_hold_together() {
        for id in ["ENT-01", "ENT-02", "ENT-04", "ENT-05", "ENT-06"] {
            assert!(!variants(id).is_empty(), "{id}");
        }
    }

    #[test]
    fn a_changed_value_is_seen() {
        let variant = variants("ENT-02").into_iter().nth(2).expect("folded");
        let given: Vec<(&str, &str)> = variant.champs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let message = Message::new("a@x.invalid", "b@x.invalid", &given, b"essai");
        let whole = [b"Received: x\r\n", &message.octets[..]].concat();
        assert_eq!(kept(case("ENT-02"), &variant, &message, &passed(&whole)).1, Verdict::Conforme);
        let unfolded = String::from_utf8_lossy(&whole).replace(",\r\n ", ", ");
        let verdict = kept(case("ENT-02"), &variant, &message, &passed(unfolded.as_bytes())).1;
        assert_eq!(verdict, Verdict::fault(Severity::Major));
    }

    #[test]
    fn an_injected_field_is_seen_behind_any_line_end() {
        let variant = &variants("ENT-06")[0];
        let message = Message::new("a@x.invalid", "b@x.invalid", &[], b"essai");
        for end in ["\r\n", "\n", "\r"] {
            let read = format!("Subject: essai{end}X-Injecte: 1\r\n\r\ncorps\r\n");
            let verdict = neutral(case("ENT-06"), variant, &message, &passed(read.as_bytes())).1;
            assert_eq!(verdict, Verdict::fault(Severity::Major), "{end:?}");
        }
        let read = b"Subject: essai X-Injecte: 1\r\n\r\nX-Injecte: dans le corps\r\n";
        assert_eq!(neutral(case("ENT-06"), variant, &message, &passed(read)).1, Verdict::Conforme);
    }

    #[test]
    fn codes_are_read_in_the_documents() {
        let encoded = openssl::base64::encode_block(&archive(&["A-1", "B-2"]).expect("zipped"));
        let message = format!(
            "X-MSS-CODECDA: A-1,B-2\r\nX-MSS-INS: N\r\n\r\n--limite\r\nContent-Disposition: attachment; filename=\"IHE_XDM.zip\"\r\n\r\n\
             {encoded}\r\n--limite--\r\n"
        );
        assert_eq!(codes(message.as_bytes()), Some(vec!["A-1".to_owned(), "B-2".to_owned()]));
        assert_eq!(coherent(case("ENT-03"), message.as_bytes()).1, Verdict::Conforme);
        let wrong = message.replace("A-1,B-2", "A-1");
        assert_eq!(coherent(case("ENT-03"), wrong.as_bytes()).1, Verdict::fault(Severity::Minor));
    }
}
