//! Requirement by case: each requirement that the plan's cases cite, the cases that control it, and what they said, or why they were not run.

use std::collections::BTreeMap;

use crate::catalogue::{Case, all_cases};
use crate::engine::{Campaign, CaseResult};

/// A requirement and one of its cases.
#[derive(Debug)]
pub struct Row<'c> {
    /// `R2-1.6`.
    pub requirement: &'c str,
    /// The case's id.
    pub case: &'c str,
    /// What it gave; none when it was not run.
    pub result: Option<&'c CaseResult>,
}

impl Row<'_> {
    /// The verdict, or « non testé » and why.
    #[must_use]
    pub fn words(&self) -> String {
        match self.result {
            None => "non testé : hors du périmètre demandé".to_owned(),
            Some(result) => match result.verdict.reason() {
                Some(reason) => format!("{} : {reason}", result.verdict.label()),
                None => result.verdict.label(),
            },
        }
    }
}

/// The matrix of a campaign, by requirement.
#[must_use]
pub fn matrix(campaign: &Campaign) -> Vec<Row<'_>> {
    let results: BTreeMap<&str, &CaseResult> = campaign.cas.iter().map(|case| (case.id.as_str(), case)).collect();
    // What a case cites is the catalogue's of today; of a case that is not there any more, what the report says.
    let mut rows = BTreeMap::new();
    let mut put = |requirements: &'_ str, id: &'_ str| -> Vec<(String, String)> {
        requirements.split(" ; ").map(|one| (one.trim().to_owned(), id.to_owned())).collect()
    };
    for case in &campaign.cas {
        for (at, (requirement, _)) in put(&case.exigences, &case.id).into_iter().enumerate() {
            rows.insert((requirement, case.id.as_str(), at), Some(case));
        }
    }
    let mut out: Vec<Row<'_>> = Vec::new();
    for ((_, id, at), result) in rows {
        let requirement = results.get(id).and_then(|case| case.exigences.split(" ; ").nth(at)).unwrap_or_default().trim();
        out.push(Row { requirement, case: id, result });
    }
    for case in all_cases().filter(|case| is_planned(case, campaign) && !results.contains_key(case.id.as_str())) {
        out.extend(case.requirements.split(" ; ").map(|one| Row { requirement: one.trim(), case: &case.id, result: None }));
    }
    out.sort_by(|a, b| (a.requirement, a.case).cmp(&(b.requirement, b.case)));
    out
}

/// Whether a case is of the campaign's plan.
fn is_planned(case: &Case, campaign: &Campaign) -> bool {
    if campaign.plan == crate::client::job::PLAN {
        return case.group() == "CLI";
    }
    super::words::plan(campaign).is_some_and(|plan| plan.has(case))
}
