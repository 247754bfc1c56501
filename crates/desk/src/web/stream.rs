//! The progress of a campaign as server-sent events: `avance` (counts, cases under way), `cas` (one result), `banc` (about mail software: the act
//! under way, what was seen of it), `fin`.
//!
//! Each event of a result has its position as id: whoever reconnects (`Last-Event-ID`, or `depuis=`) gets what it missed, from the disk. A stream
//! ends with its campaign, with the process, or after [`LONGEST`]; browsers come back by themselves.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use control::engine::CaseResult;
use futures_util::stream;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};

use super::verdicts;
use crate::Desk;
use crate::db::{CampaignId, Scope};
use crate::error::{Broken, Refusal};

/// A stream that nobody closes does not stay for ever.
const LONGEST: Duration = Duration::from_secs(1800);
/// Something is said at least so often.
const ALIVE: Duration = Duration::from_secs(15);

struct Following {
    desk: Desk,
    scope: Scope,
    id: CampaignId,
    after: i64,
    ready: VecDeque<Event>,
    is_over: bool,
    is_first: bool,
    /// What was last told of who drives software.
    told: String,
    end: Instant,
    _place: OwnedSemaphorePermit,
}

/// The stream of a campaign, after a position.
pub(crate) fn of(desk: &Desk, scope: Result<Scope, Refusal>, id: CampaignId, after: i64) -> Result<Response, Refusal> {
    let place = desk.0.streams.clone().try_acquire_owned();
    let place =
        place.map_err(|_| Refusal::Conflict("Trop de suivis en direct : rechargez la page pour voir l’avancement."))?;
    let following = Following {
        desk: desk.clone(),
        scope: scope?,
        id,
        after,
        ready: VecDeque::new(),
        is_over: false,
        is_first: true,
        told: String::new(),
        end: Instant::now() + LONGEST,
        _place: place,
    };
    let events = stream::unfold(following, |mut following| async move {
        loop {
            if let Some(event) = following.ready.pop_front() {
                return Some((Ok::<_, Infallible>(event), following));
            }
            if following.is_over || Instant::now() >= following.end {
                return None;
            }
            if let Err(error) = following.look().await {
                tracing::error!("the progress of a campaign cannot be read: {error}");
                return None;
            }
        }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)).into_response())
}

impl Following {
    /// What is new, waited for.
    async fn look(&mut self) -> Result<(), Broken> {
        let notify = self.desk.watch(&self.id);
        // Before looking: what changes meanwhile is not missed.
        let mut changed = std::pin::pin!(notify.notified());
        changed.as_mut().enable();
        if !self.is_first && !self.has_news().await? {
            tokio::select! {
                _ = timeout(ALIVE, changed) => {}
                () = self.desk.0.shutdown.cancelled() => {
                    self.is_over = true;
                    return Ok(());
                }
            }
        }
        self.is_first = false;
        self.read().await
    }

    async fn has_news(&self) -> Result<bool, Broken> {
        let campaign = self.desk.db().campaign(self.scope, &self.id).await?;
        Ok(campaign.is_none_or(|campaign| campaign.state.is_over() || i64::from(campaign.done) > self.after))
    }

    async fn read(&mut self) -> Result<(), Broken> {
        let Some(campaign) = self.desk.db().campaign(self.scope, &self.id).await? else {
            self.is_over = true;
            return Ok(());
        };
        for (position, result) in self.desk.db().results(self.scope, &self.id, self.after).await? {
            self.after = position;
            self.ready.push_back(event("cas", &case(&result)).id(position.to_string()));
        }
        let current = self.desk.current(&self.id);
        let current: Vec<_> = current.iter().map(|(case, what)| json!({ "cas": case, "attend": what })).collect();
        let counts =
            json!({ "etat": campaign.state, "faits": campaign.done, "prevus": campaign.planned, "en_cours": current });
        self.ready.push_back(event("avance", &counts));
        if let Some(hands) = self.desk.hands(&self.id) {
            let now = super::software::now(&hands);
            let text = now.to_string();
            if text != self.told {
                self.ready.push_back(event("banc", &now));
                self.told = text;
            }
        }
        if campaign.state.is_over() {
            self.is_over = true;
            self.ready.push_back(event("fin", &json!({ "etat": campaign.state, "verdict": campaign.verdict })));
        }
        Ok(())
    }
}

fn event(name: &'static str, data: &serde_json::Value) -> Event {
    // JSON on one line: no new line can end the event.
    Event::default().event(name).data(data.to_string())
}

fn case(result: &CaseResult) -> serde_json::Value {
    let (class, sign) = verdicts::look(&result.verdict);
    json!({
        "id": result.id,
        "titre": result.titre,
        "etat": result.verdict.code(),
        "libelle": result.verdict.label(),
        "classe": class,
        "signe": sign,
        "duree_ms": result.duree_ms,
    })
}
