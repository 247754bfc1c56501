//! The directory and the operator agree (ANN-08). What asks for mailboxes to be made, aged or published is not here: it needs an operator
//! that publishes to the stand's directory.

use serde_json::Value;
use trust::tls::Anchors;

use crate::catalogue::Case;
use crate::context::{Context, Findings, Protocol};
use crate::job::Directory;
use crate::peer::{self, Attempt};
use crate::verdict::{Severity, Verdict};
use crate::wire::Log;

/// What is run: ANN-05 is a document that somebody reads.
pub(super) const CASES: &[&str] = &["ANN-05", "ANN-08"];

/// Largest answer of the directory.
const MAX_ANSWER: usize = 8 * 1024 * 1024;
/// Most mailboxes asked about: the rest of the sample is for the next campaign.
const SAMPLE: usize = 50;
/// What may carry a mailbox.
const KINDS: [&str; 3] = ["Practitioner", "PractitionerRole", "Organization"];
/// A mailbox that nobody has.
const ABSENT: &str = "personne-de-ce-nom-7391";

pub(super) async fn run(case: &Case, context: &Context, findings: &mut Findings) {
    if case.id == "ANN-05" {
        let raison =
            "joignez au dossier la preuve datée de l'information du titulaire (message, courrier, notification)";
        let verdict = Verdict::AExaminer { raison: raison.to_owned() };
        return findings.tell("pièce à fournir", None, &case.expected, "", verdict, None);
    }
    let none = |cause: &str| Verdict::NonExecute { cause: cause.to_owned() };
    let Some(section) = &context.job.directory else {
        let verdict = none("le job n'a pas de section [directory]");
        return findings.tell("cas", None, &case.expected, "", verdict, None);
    };
    for domain in &context.job.operator.domains {
        let published = match published(context, section, domain).await {
            Ok(published) => published,
            Err(error) => {
                findings.tell(domain, None, &case.expected, &*error, Verdict::unclear(&error), None);
                continue;
            }
        };
        if published.is_empty() {
            let verdict = none("l'annuaire ne publie aucune BAL de ce domaine");
            findings.tell(domain, None, &case.expected, "", verdict, None);
            continue;
        }
        let log = Log::default();
        let (observed, verdict) = compare(context, &published, domain, &log).await;
        let hashes: Vec<String> =
            published.iter().map(|address| crate::report::sha256(address.to_lowercase().as_bytes())).collect();
        let proof = findings.keep(&hashes);
        let digest = crate::report::sha256(hashes.join("\n").as_bytes());
        let observed = format!("{observed} ; échantillon sha256 {digest}");
        findings.tell(domain, Some(Protocol::Smtp), &case.expected, observed, verdict, Some(proof));
    }
}

/// The mailboxes of a domain that the directory shows, in order, a sample of them.
async fn published(context: &Context, section: &Directory, domain: &str) -> Result<Vec<String>, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let key = std::fs::read_to_string(&section.key_file).map_err(|error| text(&error))?;
    let anchors = match &section.anchors {
        Some(path) => Some(Anchors::from_file(path).map_err(|error| text(&error))?),
        None => context.anchors.clone(),
    };
    let builder = trust::http::builder(anchors.as_ref().map(|anchors| anchors.certificates()));
    let http = builder.map_err(|error| text(&error))?.build().map_err(|error| text(&error))?;
    let mut found = Vec::new();
    for kind in KINDS {
        let url =
            format!("{}/{kind}?mailbox-mss:contains=@{domain}&_count={SAMPLE}", section.url.trim_end_matches('/'));
        let request = http.get(url).header("ESANTE-API-KEY", key.trim());
        let response = request.send().await.map_err(|error| text(&error))?;
        let status = response.status();
        let body = trust::http::read_limited(response, MAX_ANSWER).await.map_err(|error| text(&error))?;
        if !status.is_success() {
            return Err(format!("l'annuaire répond {status}"));
        }
        let bundle: Value = serde_json::from_slice(&body).map_err(|error| text(&error))?;
        collect(&bundle, domain, &mut found);
    }
    found.sort();
    found.dedup();
    found.truncate(SAMPLE);
    Ok(found)
}

/// The mailboxes of a domain in a bundle.
fn collect(bundle: &Value, domain: &str, found: &mut Vec<String>) {
    let end = format!("@{}", domain.to_lowercase());
    let array = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for entry in array(&bundle["entry"]) {
        for point in array(&entry["resource"]["telecom"]) {
            let address = point["value"].as_str().unwrap_or_default();
            // Marked as MSSanté: an ordinary address of the same domain is none.
            let is_marked = array(&point["extension"]).iter().any(|extension| {
                extension["url"].as_str().is_some_and(|url| url.to_ascii_lowercase().contains("mailbox-mss"))
            });
            let is_plain = address.chars().all(|c| c.is_ascii_graphic() && !"<>()[]\\,;:\"".contains(c));
            if is_marked && is_plain && address.to_lowercase().ends_with(&end) {
                found.push(address.to_lowercase());
            }
        }
    }
}

/// RCPT to each, without DATA; then one to nobody.
async fn compare(context: &Context, published: &[String], domain: &str, log: &Log) -> (String, Verdict) {
    let (section, server, who) = match context.interface() {
        Ok(all) => all,
        Err(verdict) => return (String::new(), verdict),
    };
    let from = format!("pair@{}", section.peer.domain);
    let asked = async {
        let mut wire = peer::smtp(context, server, Some(&who), log).await.map_err(|end| end.to_string())?;
        let mut seen = Vec::new();
        for address in published.iter().cloned().chain([format!("{ABSENT}@{domain}")]) {
            for command in [format!("MAIL FROM:<{from}>"), format!("RCPT TO:<{address}>")] {
                let answer = wire.smtp(&command).await.map_err(|error| error.to_string())?;
                if command.starts_with("RCPT") {
                    seen.push(Attempt::of_reply(&answer));
                } else if answer.code >= 300 {
                    return Err(format!("MAIL FROM : {}", answer.line()));
                }
            }
            wire.smtp("RSET").await.map_err(|error| error.to_string())?;
        }
        Ok(seen)
    };
    let mut seen: Vec<Attempt> = match asked.await {
        Ok(seen) => seen,
        Err(error) => return (error.clone(), Verdict::unclear(error)),
    };
    let absent = seen.pop();
    let is_open = |seen: &&Attempt| matches!(seen, Attempt::Unclear(_) | Attempt::Postponed(_));
    if let Some(open) = seen.iter().chain(&absent).find(is_open) {
        return (open.line().to_owned(), Verdict::unclear(open.line()));
    }
    let missing = seen.iter().filter(|seen| !seen.is_accepted()).count();
    let total = seen.len();
    let is_open = absent.is_some_and(|absent| absent.is_accepted());
    let told = format!(
        "{total} BAL publiées, {missing} refusées ({} %) ; inexistante : {}",
        missing * 100 / total.max(1),
        if is_open { "acceptée" } else { "refusée" }
    );
    // One in a hundred at most; and who accepts anybody proves nothing.
    let is_right = missing * 100 <= total && !is_open;
    (told, if is_right { Verdict::Conforme } else { Verdict::fault(Severity::Minor) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_mailboxes_of_the_domain_are_taken() {
        let marked = json!([{ "url": "https://x/as-ext-mailbox-mss-metadata" }]);
        let bundle = json!({ "entry": [{ "resource": { "telecom": [
            { "value": "A@alpha.mssante.fr", "extension": marked },
            { "value": "standard@alpha.mssante.fr" },
            { "value": "b@beta.mssante.fr", "extension": marked },
            { "value": "c>\r\nDATA@alpha.mssante.fr", "extension": marked },
        ] } }] });
        let mut found = Vec::new();
        collect(&bundle, "alpha.mssante.fr", &mut found);
        assert_eq!(found, ["a@alpha.mssante.fr"]);
    }
}
