//! Driving a campaign about mail software by program: where to point it, what is to be done now, and that it was done. What the page shows.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use control::client::Word;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, By, read};
use crate::Desk;
use crate::acts::Who;
use crate::db::Campaign;
use crate::error::Refusal;

fn answer(desk: &Desk, campaign: &Campaign) -> Result<Value, Refusal> {
    if !crate::question::is_software(&campaign.plan) {
        return Err(Refusal::NotFound);
    }
    let hands = desk.hands(&campaign.id);
    let Some((hands, place)) = hands.and_then(|hands| hands.place().map(|place| (hands, place))) else {
        return Ok(json!({ "ouvert": false, "lieu": null, "action": null, "vu": [] }));
    };
    let seen: Vec<String> = hands.glimpses().into_iter().map(|one| one.texte).collect();
    Ok(json!({
        "ouvert": true,
        "lieu": {
            "domaine": place.domain,
            "serveur": place.host,
            "adresse": place.address,
            "autoconfiguration": place.autoconfig,
            "serveur_de_noms": place.dns.or(desk.settings().client.as_ref().and_then(|client| client.resolver)),
            "scenarios": place.scenarios,
        },
        "action": hands.act(),
        "vu": seen,
    }))
}

pub(super) async fn show(State(desk): State<Desk>, By(who): By, Path(id): Path<String>) -> Answer<Json<Value>> {
    let campaign = desk.campaign_of(&who, &id).await?;
    Ok(Json(answer(&desk, &campaign)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    /// Of which act.
    numero: u64,
    /// Whether it was done; else the software cannot do it.
    fait: bool,
}

pub(super) async fn say(
    State(desk): State<Desk>,
    By(who): By,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer<Json<Value>> {
    let campaign = desk.campaign_of(&who, &id).await?;
    told(&desk, &who, &campaign, &body).await
}

async fn told(desk: &Desk, who: &Who, campaign: &Campaign, body: &[u8]) -> Answer<Json<Value>> {
    who.must(crate::account::role::Role::may_run)?;
    let Said { numero, fait } = read(body)?;
    let word = if fait { Word::Done } else { Word::Unable };
    desk.say(who, campaign, numero, word).await?;
    Ok(Json(answer(desk, campaign)?))
}
