//! Verdicts as pages show them: a word, a sign and a colour, never the colour alone.

use control::verdict::{CampaignVerdict, Severity, Verdict};

use crate::db::{Campaign, State};
use crate::html;
use crate::html::Html;

/// `bon`, `mal`, `doute` or `pale`, and the sign.
pub(crate) fn look(verdict: &Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Conforme => ("bon", "✓"),
        Verdict::NonConforme { niveau } if *niveau > Severity::Information => ("mal", "✗"),
        Verdict::Inconclusif { .. } | Verdict::AExaminer { .. } => ("doute", "?"),
        _ => ("pale", "–"),
    }
}

/// Whether something is to be done about it: not conforming with effect, or open.
pub(crate) fn is_open(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Conforme | Verdict::NonApplicable { .. } => false,
        Verdict::NonConforme { niveau } => *niveau > Severity::Information,
        _ => true,
    }
}

/// A verdict.
pub(crate) fn mark(verdict: &Verdict) -> Html {
    let (class, sign) = look(verdict);
    html!("<span class=\"{}\">{} {}</span>", class, sign, verdict.label())
}

/// The verdict of a campaign by its code.
pub(crate) fn campaign_verdict(code: &str) -> Option<CampaignVerdict> {
    let all = [
        CampaignVerdict::Conforme,
        CampaignVerdict::NonConformeMajeure,
        CampaignVerdict::NonConformeBloquante,
        CampaignVerdict::NonEtabli,
    ];
    all.into_iter().find(|verdict| verdict.code() == code)
}

/// The look of a campaign's verdict.
pub(crate) fn campaign_look(verdict: CampaignVerdict) -> (&'static str, &'static str) {
    match verdict {
        CampaignVerdict::Conforme => ("bon", "✓"),
        CampaignVerdict::NonEtabli => ("doute", "?"),
        _ => ("mal", "✗"),
    }
}

/// Where a campaign is, or its verdict.
pub(crate) fn state(campaign: &Campaign) -> Html {
    match campaign.verdict.as_deref().and_then(campaign_verdict) {
        Some(verdict) => {
            let (class, sign) = campaign_look(verdict);
            html!("<span class=\"{}\">{} {}</span>", class, sign, verdict.label())
        }
        None => {
            let sign = match campaign.state {
                State::EnFile => "…",
                State::EnCours => "▶",
                _ => "–",
            };
            html!("<span class=\"pale\">{} {}</span>", sign, campaign.state.label())
        }
    }
}
