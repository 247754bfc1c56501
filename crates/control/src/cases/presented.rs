//! Certificates that must be refused, one at a time between two good ones (control.md §5.6): the variants are data
//! (`catalogue/certificats.json`), what they are tried on is the case's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::insist::{self, AGAIN, Turn};
use crate::catalogue::Case;
use crate::context::{Context, Findings, Protocol, VariantResult};
use crate::forge::Expected;
use crate::job::{Certificates, Pair, RevocationBy, Server};
use crate::peer::Attempt;
use crate::verdict::{Severity, Verdict};
use crate::wire::{Log, Shown};

/// The data.
pub(crate) const DATA: &str = include_str!("../../catalogue/certificats.json");

/// What is done to a good certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Spoiled {
    /// Shown by somebody who has not its key.
    AutreCle,
    /// One bit of its signature turned.
    Signature,
}

/// A variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Variant {
    pub(super) cas: String,
    pub(super) nom: String,
    /// Its name in the job; `nominal` is the good one; absent: none is shown.
    #[serde(default)]
    pub(super) certificat: Option<String>,
    #[serde(default)]
    pub(super) alteration: Option<Spoiled>,
    pub(super) attendu: Expected,
    /// Other than the case's.
    #[serde(default)]
    pub(super) niveau: Option<Severity>,
    /// Only for an operator that finds out that way; for another it is told.
    #[serde(default)]
    pub(super) revocation: Option<RevocationBy>,
}

/// The variants of a case.
pub(super) fn variants(case: &str) -> Vec<Variant> {
    // Tested: it cannot be damaged in a program that was built.
    let all: Vec<Variant> = serde_json::from_str(DATA).expect("the variants are tested");
    all.into_iter().filter(|variant| variant.cas == case).collect()
}

/// What the job has to show.
pub(super) struct Wardrobe<'j> {
    pub(super) nominal: Shown,
    pub(super) others: &'j BTreeMap<String, Pair>,
    pub(super) revocation: RevocationBy,
}

impl Wardrobe<'_> {
    /// What a variant shows; the verdict when the job does not have it.
    fn shown(&self, variant: &Variant) -> Result<Option<Shown>, Verdict> {
        let none = |cause: String| Verdict::NonExecute { cause };
        let shown = match variant.certificat.as_deref() {
            None => return Ok(None),
            Some("nominal") => self.nominal.clone(),
            Some(name) => {
                let pair = self.others.get(name);
                let pair = pair.ok_or_else(|| none(format!("le job ne donne pas de certificat « {name} »")))?;
                Shown::read(pair).map_err(|error| none(error.to_string()))?
            }
        };
        let spoiled = match variant.alteration {
            None => Ok(shown),
            Some(Spoiled::AutreCle) => shown.without_its_key(),
            Some(Spoiled::Signature) => shown.with_a_broken_signature(),
        };
        spoiled.map(Some).map_err(|error| none(error.to_string()))
    }
}

/// What a certificate is tried on.
pub(super) enum Place<'j> {
    /// The operator interface: from and to whom, up to RCPT.
    Mx { server: &'j Server, from: &'j str, to: &'j str },
    /// A BAL APP.
    App { section: &'j Certificates, protocol: Protocol },
}

impl Place<'_> {
    async fn attempt(&self, context: &Context, who: Option<&Shown>, log: &Log) -> Attempt {
        match self {
            Place::Mx { server, from, to } => context.present(server, who, from, to, log).await,
            Place::App { section, protocol } => context.open_app(section, *protocol, who, log).await,
        }
    }

    fn protocol(&self) -> Protocol {
        match self {
            Place::Mx { .. } => Protocol::Smtp,
            Place::App { protocol, .. } => *protocol,
        }
    }
}

/// Every variant of the case between two good attempts. The one after a variant is the one before the next.
pub(super) async fn sandwich(
    case: &Case,
    context: &Context,
    wardrobe: &Wardrobe<'_>,
    place: &Place<'_>,
    findings: &mut Findings,
) {
    let protocol = Some(place.protocol());
    let mut log = Log::default();
    let mut before = place.attempt(context, Some(&wardrobe.nominal), &log).await;
    for variant in variants(&case.id) {
        let (seen, after, is_for_good) = match wardrobe.shown(&variant) {
            Ok(shown) => {
                let mut seen = place.attempt(context, shown.as_ref(), &log).await;
                let mut after = place.attempt(context, Some(&wardrobe.nominal), &log).await;
                let must_be_refused = variant.attendu == Expected::Refus;
                let mut is_for_good =
                    must_be_refused && before.is_accepted() && is_put_off(&seen) && after.is_accepted();
                for turn in AGAIN {
                    if !is_for_good {
                        break;
                    }
                    is_for_good = match turn {
                        Turn::Wrong => {
                            seen = place.attempt(context, shown.as_ref(), &log).await;
                            is_put_off(&seen)
                        }
                        Turn::Good => {
                            after = place.attempt(context, Some(&wardrobe.nominal), &log).await;
                            after.is_accepted()
                        }
                    };
                }
                (seen, after, is_for_good)
            }
            Err(verdict) => {
                findings.tell(&variant.nom, protocol, expected(&variant), "", verdict, None);
                continue;
            }
        };
        let verdict = match is_for_good {
            true => insist::verdict(),
            false => verdict(case, &variant, wardrobe.revocation, &before, &seen, &after),
        };
        let observed = if is_for_good { insist::told(seen.line()) } else { seen.line().to_owned() };
        let proof = findings.keep(&log.lines());
        findings.add(VariantResult {
            nom: variant.nom.clone(),
            protocole: protocol,
            attendu: expected(&variant).to_owned(),
            observe: observed,
            verdict,
            controle_avant: Some(before.is_accepted()),
            controle_apres: Some(after.is_accepted()),
            preuves: vec![proof],
        });
        before = after;
        log = Log::default();
    }
}

fn is_put_off(seen: &Attempt) -> bool {
    matches!(seen, Attempt::Postponed(_))
}

fn expected(variant: &Variant) -> &'static str {
    match variant.attendu {
        Expected::Refus => "refus (alerte TLS ou réponse 5xx, NO)",
        Expected::Accord => "accord",
        Expected::Constat => "refus ou accord (constat)",
    }
}

fn verdict(
    case: &Case,
    variant: &Variant,
    by: RevocationBy,
    before: &Attempt,
    seen: &Attempt,
    after: &Attempt,
) -> Verdict {
    if !before.is_accepted() {
        return Verdict::unclear(format!("le contrôle positif d'avant n'aboutit pas : {}", before.line()));
    }
    if !after.is_accepted() {
        return Verdict::unclear(format!("le contrôle positif d'après n'aboutit pas : {}", after.line()));
    }
    let concerned = variant.revocation.is_none_or(|way| by == way || by == RevocationBy::Both);
    match (seen, variant.attendu) {
        (Attempt::Unclear(line) | Attempt::Postponed(line), _) => Verdict::unclear(line),
        (Attempt::Accepted(_), Expected::Refus) if !concerned => Verdict::fault(Severity::Information),
        (Attempt::Accepted(_), Expected::Refus) | (Attempt::Refused(_), Expected::Accord) => {
            Verdict::fault(variant.niveau.unwrap_or(case.severity))
        }
        (Attempt::Accepted(_), Expected::Constat) => Verdict::fault(Severity::Information),
        _ => Verdict::Conforme,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;

    #[test]
    fn the_data_hold_together() {
        let all: Vec<Variant> = serde_json::from_str(DATA).expect("JSON");
        for variant in &all {
            assert!(Catalogue::embedded().case(&variant.cas).is_some(), "{}", variant.cas);
        }
        for case in ["OPE-04", "CER-03", "CER-04", "CER-05", "CER-06", "CER-07", "CER-08", "CER-09"] {
            assert!(!variants(case).is_empty(), "{case}");
        }
    }

    #[test]
    fn nothing_is_concluded_between_bad_controls() {
        let case = Catalogue::embedded().case("CER-05").expect("there");
        let [both, list, ocsp] = <[Variant; 3]>::try_from(variants("CER-05")).expect("three");
        let (yes, no) = (Attempt::Accepted(String::new()), Attempt::Refused(String::new()));
        let late = Attempt::Postponed("421".to_owned());
        let say = |variant, before, seen, after| verdict(case, variant, RevocationBy::Crl, before, seen, after);
        assert_eq!(say(&both, &yes, &no, &yes), Verdict::Conforme);
        assert_eq!(say(&both, &yes, &yes, &yes), Verdict::fault(Severity::Blocking));
        assert_eq!(say(&list, &yes, &yes, &yes), Verdict::fault(Severity::Blocking));
        // Not its way of finding out: told, without effect.
        assert_eq!(say(&ocsp, &yes, &yes, &yes), Verdict::fault(Severity::Information));
        assert_eq!(say(&both, &yes, &late, &yes).code(), "inconclusif");
        assert_eq!(say(&both, &no, &no, &yes).code(), "inconclusif");
        assert_eq!(say(&both, &yes, &no, &no).code(), "inconclusif");
    }
}
