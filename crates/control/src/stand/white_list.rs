//! The part of the white list: other lists than the usual one, served to one operator under a lease, and who fetched what.
//!
//! | | |
//! |---|---|
//! | `GET /white-list` | number of the last fetch, when the log begins, what is played |
//! | `GET /white-list/fetches?since=SEQ` | the fetches after that number |
//! | `PUT /white-list/scenario`, `DELETE /white-list/scenario/LEASE` | `{liste, lecteur}` and `lease_seconds`; 423 while another campaign holds the stand |
//!
//! `lecteur` is the operator it is for, by the word it fetches with (`?operateur=MOT`); the others get the usual list meanwhile. The lists
//! are data (`catalogue/liste-blanche.json`). Invariant: each has the usual entries too, so that a played list cuts nobody off.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, put};
use axum::{Json, Router};
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;
use serde::{Deserialize, Serialize};
use trust::Dn;
use trust::white_list::{Entry, WhiteListBuilder, sign};

use super::{Client, Held, Leased, Leases, Since, Slot, StandError, holder, problem};
use crate::forge::Expected;

/// The part's name in leases and paths.
pub const PART: &str = "white-list";
/// The data.
pub(crate) const DATA: &str = include_str!("../../catalogue/liste-blanche.json");
/// How long a scenario lasts that does not say.
const USUAL_LEASE: u64 = 120;
/// Fetches remembered; an operator fetches some tens of times a day.
const MAX_FETCHES: usize = 2000;
/// How long an operator that is told to fetch is waited for.
const NUDGE: Duration = Duration::from_secs(5);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// A list that must not be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bad {
    /// For people.
    pub nom: String,
    /// What is served.
    pub liste: List,
}

/// An entry to be told from others, and who speaks in the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// For people.
    pub nom: String,
    /// The domain as published; absent: no entry of its own.
    #[serde(default)]
    pub domaine: Option<String>,
    /// The name as published.
    #[serde(default)]
    pub dn: Option<Name>,
    /// Another entry of the same domain.
    #[serde(default)]
    pub aussi: Option<Name>,
    /// The domain of MAIL FROM.
    pub expediteur: String,
    /// What must become of it.
    pub attendu: Expected,
}

/// How a certificate's name is written in an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the words are those of the data, which explain them")]
pub enum Name {
    Pair,
    PairEspaces,
    PairGuillemets,
    PairLieu,
    PairOrdre,
    PairProche,
    PairStructure,
    Autre,
}

/// The data of the white list's cases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lists {
    /// The domain that is put in and taken out.
    pub temoin: String,
    /// What must not be taken.
    pub refusees: Vec<Bad>,
    /// What must be told apart.
    pub entrees: Vec<Listed>,
}

impl Lists {
    /// Those of this program.
    #[must_use]
    pub fn embedded() -> Lists {
        // Tested below: they cannot be damaged in a program that was built.
        serde_json::from_str(DATA).expect("the lists are tested")
    }
}

/// What is served instead of the usual list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the words are those of the data, which explain them")]
pub enum List {
    Temoin,
    Sans,
    Entrees,
    Corrompue,
    Tronquee,
    Vide,
    SignatureFausse,
    SansSignature,
    AutreSignataire,
    Ancienne,
    Future,
    Indisponible,
    Muette,
}

/// A scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Play {
    /// What.
    pub liste: List,
    /// To whom; empty: to everybody.
    #[serde(default)]
    pub lecteur: String,
}

/// A fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// Its number.
    pub seq: u64,
    /// When, seconds since 1970.
    pub at: u64,
    /// By whom: the word it fetches with.
    pub lecteur: String,
    /// What it got: `usuelle`, or the word of what was played.
    pub servie: String,
}

/// What goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// The number of the last fetch.
    pub last: u64,
    /// When the log begins, seconds since 1970.
    pub since: u64,
}

/// What lists are made of.
pub struct Material {
    /// The usual entries.
    pub entries: Vec<Entry>,
    /// Who signs.
    pub signer: (X509, PKey<Private>),
    /// A good certificate for signing, of somebody else.
    pub other_signer: (X509, PKey<Private>),
    /// The peer's name.
    pub peer: Dn,
    /// The name of another operator.
    pub other: Dn,
}

/// Has an operator fetch its lists now. Where nobody can do that, campaigns wait.
pub type Nudge = Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What is answered to a fetch instead of the usual list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A document.
    Document(String),
    /// A status without document.
    Status(u16),
    /// Nothing.
    Silence,
}

struct Played {
    reader: String,
    word: String,
    answer: Answer,
}

#[derive(Default)]
struct Fetches {
    last: u64,
    kept: VecDeque<Fetch>,
}

/// What one of those who drive it plays.
#[derive(Clone)]
struct ListSlot {
    slot: Slot<Option<Arc<Played>>>,
    /// Something was played since the usual list was last dated.
    is_stale: Arc<AtomicBool>,
}

impl ListSlot {
    fn new(leases: Leases) -> ListSlot {
        ListSlot { slot: Slot::new(leases, PART), is_stale: Arc::default() }
    }

    /// Whether what was played is over, and the usual list must be newer than it. Asked once.
    fn is_over(&self) -> bool {
        self.slot.now().is_none() && self.is_stale.swap(false, Ordering::Relaxed)
    }
}

struct Inner {
    material: Material,
    /// What is played: to whoever the whole stand says, and by each operator's own stand.
    slots: Mutex<Vec<ListSlot>>,
    fetches: Mutex<Fetches>,
    nudge: OnceLock<Nudge>,
    began: SystemTime,
}

/// What stands between the publisher and who fetches. Cheap to clone.
#[derive(Clone)]
pub struct ListStand {
    inner: Arc<Inner>,
    /// What is played from here.
    slot: ListSlot,
    /// The only one it is played to; none: to whom the scenario says.
    whose: Option<Arc<str>>,
}

impl ListStand {
    /// Serving the usual list until told otherwise.
    #[must_use]
    pub fn new(material: Material, leases: Leases) -> ListStand {
        let slot = ListSlot::new(leases);
        let inner = Inner {
            material,
            slots: Mutex::new(vec![slot.clone()]),
            fetches: Mutex::default(),
            nudge: OnceLock::new(),
            began: SystemTime::now(),
        };
        ListStand { inner: Arc::new(inner), slot, whose: None }
    }

    /// The same publisher, driven for one operator: what it plays is for that reader, whatever others play.
    #[must_use]
    pub fn of_operator(&self, reader: &str, leases: Leases) -> ListStand {
        let slot = ListSlot::new(leases);
        self.inner.slots.lock().unwrap_or_else(PoisonError::into_inner).push(slot.clone());
        ListStand { inner: self.inner.clone(), slot, whose: Some(Arc::from(reader)) }
    }

    /// How operators are told to fetch. Once.
    pub fn nudged_by(&self, nudge: Nudge) {
        // Told twice, the first stands.
        let _ = self.inner.nudge.set(nudge);
    }

    /// A fetch by `reader`, noted: what it is answered instead of the usual list.
    #[must_use]
    pub fn answer(&self, reader: &str) -> Option<Answer> {
        const MAX_WORD: usize = 64;
        let reader: String = reader.chars().take(MAX_WORD).collect();
        let slots = self.slots();
        let mut played = slots.iter().filter_map(|one| one.slot.now());
        let played = played.find(|played| played.reader.is_empty() || played.reader == reader);
        let mut fetches = self.inner.fetches.lock().unwrap_or_else(PoisonError::into_inner);
        fetches.last += 1;
        let served = played.as_ref().map_or("usuelle", |played| &played.word).to_owned();
        let fetch = Fetch { seq: fetches.last, at: seconds(SystemTime::now()), lecteur: reader, servie: served };
        if fetches.kept.len() >= MAX_FETCHES {
            fetches.kept.pop_front();
        }
        fetches.kept.push_back(fetch);
        played.map(|played| played.answer.clone())
    }

    /// Whether the usual list must be dated anew: an operator that took what was played would find it older. Asked once for each scenario.
    #[must_use]
    pub fn renewal_is_due(&self) -> bool {
        // Each is asked.
        self.slots().iter().filter(|one| one.is_over()).count() > 0
    }

    fn slots(&self) -> Vec<ListSlot> {
        // One for each operator, and one for all.
        self.inner.slots.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn nudge(&self, reader: String) {
        if let Some(nudge) = self.inner.nudge.get() {
            // One that is answered nothing waits for longer; it was told, that is what counts.
            let _ = tokio::time::timeout(NUDGE, nudge(reader)).await;
        }
    }

    fn make(&self, list: List) -> Result<Answer, String> {
        let material = &self.inner.material;
        let data = Lists::embedded();
        let now = SystemTime::now();
        let witness = |date: SystemTime| {
            let entry = Entry::new(data.temoin.clone(), material.peer.clone());
            self.usual(date).with(entry).to_xml()
        };
        let (certificate, key) = &material.signer;
        let signed = |xml: &str| sign(xml, key, certificate).map_err(|error| error.to_string());
        Ok(match list {
            List::Temoin => Answer::Document(signed(&witness(now))?),
            List::Sans => Answer::Document(signed(&self.usual(now).to_xml())?),
            List::Entrees => Answer::Document(signed(&self.entries(&data, now))?),
            List::Corrompue => Answer::Document(signed(&self.usual(now).to_xml())?.replacen(
                "<ListeDomaines>",
                &format!("<ListeDomaines>{}", domain(&data.temoin, &material.peer.to_string())),
                1,
            )),
            List::Tronquee => {
                let whole = signed(&witness(now))?;
                // Domains and names are ASCII there; a document cut inside a character would be no text at all.
                let half = whole.floor_char_boundary(whole.len() / 2);
                Answer::Document(whole[..half].to_owned())
            }
            List::Vide => Answer::Document(signed(&WhiteListBuilder::new(now).to_xml())?),
            List::SignatureFausse => {
                let whole = signed(&witness(now))?;
                let (head, value) = whole.split_once("SignatureValue>").ok_or("no signature in what was signed")?;
                // One character of its base64.
                let turned = if value.starts_with('A') { "B" } else { "A" };
                Answer::Document(format!("{head}SignatureValue>{turned}{}", &value[1..]))
            }
            List::SansSignature => Answer::Document(witness(now)),
            List::AutreSignataire => {
                let (certificate, key) = &material.other_signer;
                Answer::Document(sign(&witness(now), key, certificate).map_err(|error| error.to_string())?)
            }
            List::Ancienne => Answer::Document(signed(&witness(now - YEAR))?),
            List::Future => Answer::Document(signed(&witness(now + 10 * YEAR))?),
            List::Indisponible => Answer::Status(503),
            List::Muette => Answer::Silence,
        })
    }

    fn usual(&self, date: SystemTime) -> WhiteListBuilder {
        self.inner.material.entries.iter().cloned().fold(WhiteListBuilder::new(date), WhiteListBuilder::with)
    }

    /// The usual list and every entry of the data, names written as the data say.
    fn entries(&self, data: &Lists, date: SystemTime) -> String {
        let mut own = String::new();
        for entry in &data.entrees {
            let Some(name) = &entry.domaine else { continue };
            for dn in [entry.dn, entry.aussi].into_iter().flatten() {
                own.push_str(&domain(name, &self.written(dn)));
            }
        }
        self.usual(date).to_xml().replacen("</ListeDomaines>", &format!("{own}</ListeDomaines>"), 1)
    }

    /// A name as somebody might write it.
    fn written(&self, name: Name) -> String {
        let peer = self.inner.material.peer.to_string();
        let parts = || peer.split(',').map(str::trim).map(str::to_owned).collect::<Vec<_>>();
        let each = |change: fn(&str, &str) -> String| {
            let changed = |part: &String| part.split_once('=').map_or(part.clone(), |(k, v)| change(k, v));
            parts().iter().map(changed).collect::<Vec<_>>().join(",")
        };
        match name {
            Name::Pair => peer.clone(),
            Name::Autre => self.inner.material.other.to_string(),
            Name::PairEspaces => parts().join("  ,  "),
            Name::PairGuillemets => each(|key, value| format!("{key}=\"{value}\"")),
            Name::PairLieu => each(|key, value| format!("{}={value}", if key == "ST" { "L" } else { key })),
            Name::PairOrdre => {
                let mut all = parts();
                all.reverse();
                all.join(", ")
            }
            Name::PairProche => each(|key, value| format!("{key}={}{value}", if key == "CN" { "x" } else { "" })),
            Name::PairStructure => each(|key, value| format!("{key}={value}{}", if key == "OU" { "0" } else { "" })),
        }
    }
}

/// An entry as the publisher writes it.
fn domain(name: &str, dn: &str) -> String {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    let (name, dn) = (escaped(name), escaped(dn));
    format!(
        "<Domaine><Nom>{name}</Nom><Description>essai</Description><DNCertificatOperateur>{dn}</DNCertificatOperateur>\
         <ResponsableContact>essai</ResponsableContact><SupportContact>essai</SupportContact>\
         <DateMAJ>2026-01-01T00:00:00Z</DateMAJ></Domaine>"
    )
}

pub(super) fn seconds(instant: SystemTime) -> u64 {
    instant.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The part, for [`super::router`] under `/white-list`.
pub fn part(stand: ListStand) -> Router {
    Router::new()
        .route("/", get(state))
        .route("/fetches", get(fetches))
        .route("/scenario", put(play))
        .route("/scenario/{lease}", delete(back))
        .with_state(stand)
}

async fn state(State(stand): State<ListStand>) -> Json<Now> {
    let last = stand.inner.fetches.lock().unwrap_or_else(PoisonError::into_inner).last;
    Json(Now { last, since: seconds(stand.inner.began) })
}

async fn fetches(State(stand): State<ListStand>, Query(Since { since }): Query<Since>) -> Json<Vec<Fetch>> {
    let fetches = stand.inner.fetches.lock().unwrap_or_else(PoisonError::into_inner);
    Json(fetches.kept.iter().filter(|fetch| fetch.seq > since).cloned().collect())
}

/// A scenario and how long it lasts.
#[derive(Debug, Deserialize)]
struct Asked {
    lease_seconds: Option<u64>,
    #[serde(flatten)]
    play: Play,
}

async fn play(State(stand): State<ListStand>, headers: HeaderMap, Json(asked): Json<Asked>) -> Response {
    let Play { liste, lecteur } = asked.play;
    let lecteur = stand.whose.as_ref().map_or(lecteur, |whose| whose.to_string());
    let making = stand.clone();
    let made = tokio::task::spawn_blocking(move || making.make(liste)).await;
    let answer = match made.unwrap_or_else(|_| Err("a thread died".to_owned())) {
        Ok(answer) => answer,
        Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, problem("value", error)).into_response(),
    };
    let word = serde_json::to_value(liste).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default();
    let played = Arc::new(Played { reader: lecteur.clone(), word, answer });
    let length = Duration::from_secs(asked.lease_seconds.unwrap_or(USUAL_LEASE));
    let lease = match stand.slot.slot.tell(&holder(&headers), Some(played), length) {
        Ok(lease) => lease,
        Err(busy) => return busy.into_response(),
    };
    stand.slot.is_stale.store(true, Ordering::Relaxed);
    stand.nudge(lecteur).await;
    Json(Leased { lease: lease.id, lease_seconds: lease.length.as_secs() }).into_response()
}

async fn back(State(stand): State<ListStand>, Path(lease): Path<String>) -> Response {
    let reader = stand.slot.slot.now().map(|played| played.reader.clone()).unwrap_or_default();
    if stand.slot.slot.give_back(&lease) {
        stand.nudge(reader).await;
        return StatusCode::NO_CONTENT.into_response();
    }
    (StatusCode::NOT_FOUND, problem("lease", "not held: it ended by itself, or another one took its place"))
        .into_response()
}

/// The campaign's side.
impl Client {
    /// How the log of fetches stands.
    ///
    /// # Errors
    /// [`StandError`].
    pub async fn white_list(&self) -> Result<Now, StandError> {
        self.get(PART).await
    }

    /// The fetches after a number.
    ///
    /// # Errors
    /// [`StandError`].
    pub async fn list_fetches(&self, since: u64) -> Result<Vec<Fetch>, StandError> {
        self.get(&format!("{PART}/fetches?since={since}")).await
    }

    /// Plays a list to a reader.
    ///
    /// # Errors
    /// [`StandError`].
    pub async fn play_list(&self, list: List, reader: &str, length: Duration) -> Result<Held, StandError> {
        self.play(PART, &Play { liste: list, lecteur: reader.to_owned() }, length).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trust::SystemClock;
    use trust::pki::{LeafRequest, Organization, TestAuthority};
    use trust::revocation::Revocation;
    use trust::white_list::{RequiredSigner, SignaturePolicy, WhiteList};

    struct Space {
        stand: ListStand,
        policy: SignaturePolicy,
        peer: Dn,
    }

    fn space() -> Space {
        let authority = TestAuthority::generate("http://127.0.0.1:1", SystemClock::shared()).expect("an authority");
        let structure = Organization::new("1750000009", "ESSAI", "Paris (75)");
        let requests = [
            LeafRequest::sign("Liste", &structure),
            LeafRequest::sign("Autre", &structure),
            LeafRequest::server("mx.pair.mssante.fr", &structure, &[], &[]),
            LeafRequest::server("mx.autre.mssante.fr", &structure, &[], &[]),
        ];
        let issued = authority.issue_all(&requests).expect("issued");
        let pair = |at: usize| (issued[at].certificate().clone(), issued[at].key().clone());
        let dn = |at: usize| issued[at].dn().expect("a name");
        let material = Material {
            entries: vec![Entry::new("pair.mssante.fr", dn(2)), Entry::new("autre.mssante.fr", dn(3))],
            signer: pair(0),
            other_signer: pair(1),
            peer: dn(2),
            other: dn(3),
        };
        let policy = SignaturePolicy::Required(RequiredSigner {
            anchors: authority.anchors(),
            name: dn(0),
            revocation: Arc::new(Revocation::none()),
        });
        Space { stand: ListStand::new(material, Leases::default()), policy, peer: dn(2) }
    }

    impl Space {
        fn read(&self, list: List) -> Option<WhiteList> {
            match self.stand.make(list).expect("made") {
                Answer::Document(xml) => WhiteList::from_xml(xml.as_bytes(), &self.policy, SystemTime::now()).ok(),
                _ => None,
            }
        }
    }

    #[test]
    fn lists_are_what_their_words_say() {
        let space = space();
        let data = Lists::embedded();
        let good = space.read(List::Temoin).expect("good");
        assert!(good.allows(&data.temoin, &space.peer) && good.is_listed("autre.mssante.fr"));
        assert!(!space.read(List::Sans).expect("good").is_listed(&data.temoin));
        let old = space.read(List::Ancienne).expect("well signed");
        assert!(old.generated_at() < SystemTime::now() - YEAR / 2 && old.is_listed(&data.temoin));
        assert!(space.read(List::Future).expect("well signed").generated_at() > SystemTime::now() + YEAR);
        assert!(space.read(List::Vide).is_none_or(|list| list.is_empty()));
        for bad in [List::Corrompue, List::Tronquee, List::SignatureFausse, List::SansSignature, List::AutreSignataire]
        {
            assert!(space.read(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn entries_mean_what_the_data_expect() {
        let space = space();
        let list = space.read(List::Entrees).expect("well signed");
        for entry in Lists::embedded().entrees {
            let is_allowed = list.allows(&entry.expediteur, &space.peer);
            match entry.attendu {
                Expected::Accord => assert!(is_allowed, "{}", entry.nom),
                Expected::Refus => assert!(!is_allowed, "{}", entry.nom),
                Expected::Constat => {}
            }
        }
    }

    #[test]
    fn two_operators_play_beside_each_other() {
        let (space, leases) = (space(), Leases::default());
        let of = |reader: &str| space.stand.of_operator(reader, leases.of_operator(reader));
        let play = |stand: &ListStand, reader: &str, status: u16| {
            let played = Played { reader: reader.to_owned(), word: status.to_string(), answer: Answer::Status(status) };
            stand.slot.is_stale.store(true, Ordering::Relaxed);
            stand.slot.slot.tell(reader, Some(Arc::new(played)), Duration::from_secs(60)).expect("free").id
        };
        let (alpha, beta) = (of("alpha"), of("beta"));
        let (first, second) = (play(&alpha, "alpha", 503), play(&beta, "beta", 404));
        assert_eq!(space.stand.answer("alpha"), Some(Answer::Status(503)));
        assert_eq!(space.stand.answer("beta"), Some(Answer::Status(404)));
        assert!(!space.stand.renewal_is_due());
        assert!(alpha.slot.slot.give_back(&first));
        assert!(space.stand.renewal_is_due() && !space.stand.renewal_is_due(), "for alpha, while beta plays");
        assert_eq!((space.stand.answer("alpha"), space.stand.answer("beta")), (None, Some(Answer::Status(404))));
        assert!(beta.slot.slot.give_back(&second) && space.stand.renewal_is_due());
    }

    #[test]
    fn only_the_reader_it_is_for_gets_it_and_only_for_its_time() {
        let space = space();
        let stand = &space.stand;
        let answer = Answer::Status(503);
        let played = Played { reader: "alpha".to_owned(), word: "indisponible".to_owned(), answer: answer.clone() };
        let lease = stand.slot.slot.tell("x", Some(Arc::new(played)), Duration::from_secs(60)).expect("free");
        stand.slot.is_stale.store(true, Ordering::Relaxed);
        assert_eq!(stand.answer("alpha"), Some(answer));
        assert_eq!(stand.answer("beta"), None);
        assert!(!stand.renewal_is_due(), "still played");
        assert!(stand.slot.slot.give_back(&lease.id));
        assert_eq!(stand.answer("alpha"), None);
        assert!(stand.renewal_is_due() && !stand.renewal_is_due(), "once");
        let words: Vec<String> =
            stand.inner.fetches.lock().expect("whole").kept.iter().map(|fetch| fetch.servie.clone()).collect();
        assert_eq!(words, ["indisponible", "usuelle", "usuelle"]);
    }
}
