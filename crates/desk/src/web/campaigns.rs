//! The campaigns of an operator, or all for the regulator.

use axum::response::Response;

use super::guard::{Asked, Failure, Signed};
use super::layout::{self, Page};
use super::verdicts;
use crate::db::{Campaign, CampaignId, Filter};
use crate::html;
use crate::html::{Html, link};
use crate::words::{duration, instant};

/// Campaigns of one page.
const PER_PAGE: u32 = 50;

/// Campaigns as a table.
pub(super) fn table(campaigns: &[Campaign], caption: &str, with_operator: bool) -> Html {
    if campaigns.is_empty() {
        return html!("<p>Aucune campagne.</p>\n");
    }
    let operator_head = if with_operator { html!("<th scope=\"col\">Opérateur</th>") } else { Html::empty() };
    let rows: Html = campaigns
        .iter()
        .map(|campaign| {
            let operator =
                if with_operator { html!("<td>{}</td>", campaign.operator) } else { Html::empty() };
            let took = match (campaign.begun, campaign.ended) {
                (Some(begun), Some(ended)) => duration(ended - begun),
                _ => "–".to_owned(),
            };
            let part = if campaign.only.is_empty() { "" } else { " (partielle)" };
            html!(
                "<tr><th scope=\"row\"><a href=\"/campagnes/{}\">{}{}<span class=\"cache\"> du {}</span></a></th>{}<td>{}</td><td>{}</td><td>{}/{}</td><td>{}</td><td>{}</td></tr>\n",
                campaign.id,
                campaign.name,
                part,
                instant(campaign.queued),
                operator,
                instant(campaign.queued),
                verdicts::state(campaign),
                campaign.done,
                campaign.planned,
                took,
                campaign.author
            )
        })
        .collect();
    html!(
        "<div class=\"defile\" tabindex=\"0\" role=\"region\" aria-label=\"{}\"><table>\n<caption>{}</caption>\n<thead><tr><th scope=\"col\">Campagne</th>{}<th scope=\"col\">Lancée le</th>\
         <th scope=\"col\">État ou verdict</th><th scope=\"col\">Cas</th><th scope=\"col\">Durée</th><th scope=\"col\">Par</th></tr></thead>\n<tbody>\n{}</tbody></table></div>\n",
        caption,
        caption,
        operator_head,
        rows
    )
}

pub(super) async fn list(signed: Signed, Asked(asked): Asked) -> Result<Response, Failure> {
    let who = signed.who();
    let scope = signed.or_fails(who.scope())?;
    let filter = Filter { before: CampaignId::read(asked.get("avant")), most: PER_PAGE, ..Filter::default() };
    let found = signed.or_fails(signed.desk.db().campaigns(scope, filter).await)?;
    let more = match found.last() {
        Some(last) if found.len() == PER_PAGE as usize => {
            html!(
                "<p><a href=\"{}\">Campagnes plus anciennes</a></p>\n",
                link("/campagnes", &[("avant", last.id.as_str())])
            )
        }
        _ => Html::empty(),
    };
    let body = html!(
        "<h1>Campagnes</h1>\n{}{}",
        table(&found, "Campagnes, la plus récente d’abord", who.role.sees_all()),
        more
    );
    let session = Some(&signed.session);
    Ok(layout::page(&signed.desk, Page { title: "Campagnes", session, here: "/campagnes", body, ..Page::default() }))
}
