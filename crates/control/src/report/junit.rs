//! JUnit XML, for continuous integration: a suite for each group, a test for each case. What could not be concluded is an error, not a
//! failure; what is minor or information passes, with its words.

use super::escaped;
use crate::catalogue::groups;
use crate::engine::{Campaign, CaseResult};
use crate::verdict::{Severity, Verdict};

/// The report as JUnit XML.
#[must_use]
pub fn junit(campaign: &Campaign) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let seconds = |cases: &[&CaseResult]| cases.iter().map(|case| case.duree_ms).sum::<u64>() as f64 / 1000.0;
    let all: Vec<&CaseResult> = campaign.cas.iter().collect();
    out += &format!(
        "<testsuites name=\"{}\" tests=\"{}\" time=\"{:.3}\">\n",
        escaped(&campaign.operateur),
        all.len(),
        seconds(&all)
    );
    for (group, about) in groups() {
        let cases: Vec<&CaseResult> =
            all.iter().copied().filter(|case| case.id.starts_with(&format!("{group}-"))).collect();
        if cases.is_empty() {
            continue;
        }
        let count = |is: fn(&Verdict) -> bool| cases.iter().filter(|case| is(&case.verdict)).count();
        out += &format!(
            "<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3}\">\n",
            escaped(about),
            cases.len(),
            count(is_failure),
            count(is_error),
            count(is_skipped),
            seconds(&cases),
        );
        for case in cases {
            out += &test(case);
        }
        out += "</testsuite>\n";
    }
    out + "</testsuites>\n"
}

fn is_failure(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::NonConforme { niveau } if *niveau >= Severity::Major)
}

fn is_error(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Inconclusif { .. } | Verdict::AExaminer { .. })
}

fn is_skipped(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::NonExecute { .. } | Verdict::NonApplicable { .. })
}

fn test(case: &CaseResult) -> String {
    let words: Vec<String> = case
        .variantes
        .iter()
        .filter(|variant| variant.verdict != Verdict::Conforme)
        .map(|variant| {
            let reason = variant.verdict.reason().unwrap_or_default();
            format!(
                "{} : attendu {} ; observé {} ; {} {reason}",
                variant.nom,
                variant.attendu,
                variant.observe,
                variant.verdict.label()
            )
        })
        .collect();
    let words = escaped(&words.join("\n"));
    let label = escaped(&case.verdict.label());
    let inside = match &case.verdict {
        verdict if is_failure(verdict) => format!("<failure message=\"{label}\">{words}</failure>"),
        verdict if is_error(verdict) => format!("<error message=\"{label}\">{words}</error>"),
        verdict if is_skipped(verdict) => {
            format!("<skipped message=\"{}\"/>", escaped(verdict.reason().unwrap_or_default()))
        }
        _ if words.is_empty() => String::new(),
        _ => format!("<system-out>{words}</system-out>"),
    };
    format!(
        "<testcase classname=\"{}\" name=\"{} {}\" time=\"{:.3}\">{inside}</testcase>\n",
        escaped(case.id.split('-').next().unwrap_or_default()),
        escaped(&case.id),
        escaped(&case.titre),
        case.duree_ms as f64 / 1000.0,
    )
}
