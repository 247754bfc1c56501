//! The part of revocation: lists and OCSP that fail, are over, or end soon, under a lease; and who asked what.
//!
//! | | |
//! |---|---|
//! | `GET /revocation/fetches?since=SEQ` | what was asked after that number |
//! | `PUT /revocation/scenario`, `DELETE /revocation/scenario/LEASE` | `{crl, ocsp, lecteur}` and `lease_seconds`; 423 while another campaign holds the stand |
//!
//! `lecteur` is the operator it is for, by the word it fetches lists with (`?operateur=MOT`). Who fetches by what a certificate says has no
//! word: it is answered as that operator is. The services themselves are the authority's ([`trust::pki::router`]).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use trust::pki::{Ca, INTERMEDIATE_CRL_PATH, OCSP_PATH, ROOT_CRL_PATH, TestAuthority};

use super::fetched::{self, Counter, Nudge, Part, reader};
use super::{Client, Held, Leases, StandError};

/// The part's name in leases and paths.
pub const PART: &str = "revocation";
/// A list that is over ended this long ago, after a week.
const OVER: Duration = Duration::from_secs(86_400);
const WEEK: Duration = Duration::from_secs(7 * 86_400);
/// Longest life of a short list.
const MAX_SHORT: u64 = 600;

/// What becomes of the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lists {
    /// As they must be.
    #[default]
    Normal,
    /// 503.
    Indisponible,
    /// Well signed, and over since yesterday.
    Perimee,
    /// Well signed, and over in some seconds.
    Courte,
}

/// What becomes of OCSP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ocsp {
    /// As it must be.
    #[default]
    Normal,
    /// 503.
    Indisponible,
}

/// A scenario.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Play {
    /// The lists.
    pub crl: Lists,
    /// OCSP.
    pub ocsp: Ocsp,
    /// Seconds a short list lives.
    pub vie: u64,
    /// For whom; empty: for everybody.
    pub lecteur: String,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// Its number.
    pub seq: u64,
    /// When, seconds since 1970.
    pub at: u64,
    /// `crl` or `ocsp`.
    pub quoi: String,
    /// By whom, when they say.
    pub lecteur: String,
    /// The status answered.
    pub statut: u16,
}

impl fetched::Played for Play {
    fn reader(&self) -> &str {
        &self.lecteur
    }
}

struct Inner {
    authority: Arc<TestAuthority>,
    counter: Counter<Play, Fetch>,
}

/// What stands before the authority's services. Cheap to clone.
#[derive(Clone)]
pub struct RevocationStand(Arc<Inner>);

/// What is asked at a path of these services; `None`: something that no scenario changes.
fn asked(uri: &Uri) -> Option<&'static str> {
    match uri.path() {
        path if path.starts_with(OCSP_PATH) => Some("ocsp"),
        ROOT_CRL_PATH | INTERMEDIATE_CRL_PATH => Some("crl"),
        _ => None,
    }
}

impl RevocationStand {
    /// As the authority says, until told otherwise.
    #[must_use]
    pub fn new(authority: Arc<TestAuthority>, leases: Leases) -> RevocationStand {
        RevocationStand(Arc::new(Inner { authority, counter: Counter::new(leases, PART) }))
    }

    /// How operators are told to fetch. Once.
    pub fn nudged_by(&self, nudge: Nudge) {
        self.0.counter.nudged_by(nudge);
    }

    /// Notes what somebody who said no word was answered elsewhere, while a scenario is played here: it may have been this stand's operator.
    pub fn overheard(&self, uri: &Uri, status: StatusCode) {
        if let (Some(what), Some(_)) = (asked(uri), self.0.counter.played()) {
            self.note(what, String::new(), status);
        }
    }

    /// The authority's services, with this before them.
    pub fn router(&self) -> Router {
        let services = trust::pki::router(Arc::clone(&self.0.authority));
        services.layer(middleware::from_fn_with_state(self.clone(), before))
    }

    fn note(&self, what: &str, reader: String, status: StatusCode) {
        let (quoi, statut) = (what.to_owned(), status.as_u16());
        self.0.counter.note(|seq, at| Fetch { seq, at, quoi, lecteur: reader, statut });
    }

    /// A list that is not the usual one.
    fn list(&self, path: &str, play: &Play) -> Response {
        let ca = if path == ROOT_CRL_PATH { Ca::Root } else { Ca::Organizations };
        let authority = &self.0.authority;
        let made = match play.crl {
            Lists::Perimee => authority.crl_from(ca, SystemTime::now() - WEEK - OVER, WEEK),
            _ => authority.crl(ca, Duration::from_secs(play.vie.clamp(1, MAX_SHORT))),
        };
        match made.and_then(|list| Ok(list.to_der()?)) {
            Ok(der) => ([(header::CONTENT_TYPE, "application/pkix-crl")], der).into_response(),
            Err(error) => {
                tracing::error!(%error, "the test authority cannot publish");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

impl Part for RevocationStand {
    type Play = Play;
    type Played = Play;
    type Fetch = Fetch;
    const USUAL_LEASE: u64 = 60;

    fn counter(&self) -> &Counter<Play, Fetch> {
        &self.0.counter
    }

    async fn prepare(&self, play: Play) -> Result<Play, String> {
        Ok(play)
    }
}

async fn before(State(stand): State<RevocationStand>, request: Request, next: Next) -> Response {
    let Some(what) = asked(request.uri()) else { return next.run(request).await };
    let (path, reader) = (request.uri().path().to_owned(), reader(request.uri()));
    let play = stand.0.counter.played().unwrap_or_default();
    let is_meant = play.lecteur.is_empty() || reader.is_empty() || play.lecteur == reader;
    let response = match (what, play.crl, play.ocsp) {
        _ if !is_meant => next.run(request).await,
        ("ocsp", _, Ocsp::Indisponible) | ("crl", Lists::Indisponible, _) => {
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        ("crl", Lists::Perimee | Lists::Courte, _) => stand.list(&path, &play),
        _ => next.run(request).await,
    };
    stand.note(what, reader, response.status());
    response
}

/// The part, for [`super::router`] under `/revocation`.
pub fn part(stand: RevocationStand) -> Router {
    fetched::routes().with_state(stand)
}

/// The campaign's side.
impl Client {
    /// What was asked after a number.
    ///
    /// # Errors
    /// [`StandError`].
    pub async fn revocation_fetches(&self, since: u64) -> Result<Vec<Fetch>, StandError> {
        self.get(&format!("{PART}/fetches?since={since}")).await
    }

    /// Plays.
    ///
    /// # Errors
    /// [`StandError`].
    pub async fn play_revocation(&self, play: &Play, length: Duration) -> Result<Held, StandError> {
        self.play(PART, play, length).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trust::SystemClock;

    #[test]
    fn what_no_word_was_said_for_is_noted_while_something_is_played() {
        let authority = TestAuthority::generate("http://127.0.0.1:1", SystemClock::shared()).expect("an authority");
        let stand = RevocationStand::new(Arc::new(authority), Leases::default());
        let uri = |path: &str| path.parse::<Uri>().expect("a URI");
        stand.overheard(&uri(OCSP_PATH), StatusCode::OK);
        assert!(stand.0.counter.since(0).is_empty(), "nothing is played");
        let play = Play { lecteur: "alpha".to_owned(), ..Play::default() };
        stand.0.counter.slot().tell("x", Some(play), Duration::from_secs(600)).expect("free");
        stand.overheard(&uri("/AC%20TEST/x.cer"), StatusCode::OK);
        stand.overheard(&uri(ROOT_CRL_PATH), StatusCode::OK);
        let seen = stand.0.counter.since(0);
        let told: Vec<(&str, &str, u16)> =
            seen.iter().map(|one| (one.quoi.as_str(), one.lecteur.as_str(), one.statut)).collect();
        assert_eq!(told, [("crl", "", 200)]);
    }
}
