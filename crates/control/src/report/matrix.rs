//! Requirement by case: each requirement that the plan's cases cite, the cases that control it, and what they said, or why they were not run.

use std::collections::BTreeSet;

use crate::catalogue::{Case, all_cases};
use crate::engine::{Campaign, CaseResult};
use crate::job::Plan;

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
        let Some(result) = self.result else { return "non testé : hors du périmètre demandé".to_owned() };
        match result.verdict.reason() {
            Some(reason) => format!("{} : {reason}", result.verdict.label()),
            None => result.verdict.label(),
        }
    }
}

/// The matrix of a campaign, by requirement.
#[must_use]
pub fn matrix(campaign: &Campaign) -> Vec<Row<'_>> {
    let run: BTreeSet<&str> = campaign.cas.iter().map(|case| case.id.as_str()).collect();
    let mut rows = Vec::new();
    for case in &campaign.cas {
        rows.extend(parts(&case.exigences).map(|requirement| Row { requirement, case: &case.id, result: Some(case) }));
    }
    for case in all_cases().filter(|case| is_planned(case, campaign) && !run.contains(case.id.as_str())) {
        rows.extend(parts(&case.requirements).map(|requirement| Row { requirement, case: &case.id, result: None }));
    }
    rows.sort_by(|a: &Row<'_>, b| (a.requirement, a.case).cmp(&(b.requirement, b.case)));
    rows
}

fn parts(requirements: &str) -> impl Iterator<Item = &str> {
    requirements.split(';').map(str::trim).filter(|one| !one.is_empty())
}

/// Whether a case is of the campaign's plan.
fn is_planned(case: &Case, campaign: &Campaign) -> bool {
    let is_of_clients = case.group() == "CLI";
    match Plan::of_code(&campaign.plan) {
        Some(plan) => !is_of_clients && plan.has(case),
        None => is_of_clients && campaign.plan == crate::client::job::PLAN,
    }
}
