//! The part of the white list: other lists than the usual one, served to one operator under a lease, and who fetched what.
//!
//! | | |
//! |---|---|
//! | `GET /white-list` | number of the last fetch, when the log begins |
//! | `GET /white-list/fetches?since=SEQ` | the fetches after that number |
//! | `PUT /white-list/scenario`, `DELETE /white-list/scenario/LEASE` | `{liste, lecteur}` and `lease_seconds`; 423 while another campaign holds the stand |
//!
//! `lecteur` is the operator it is for, by the word it fetches with (`?operateur=MOT`); the others get the usual list meanwhile. The lists
//! are data (`catalogue/liste-blanche.json`), [`Publisher`] serves them. Invariant: each has the usual entries too, so that a played list cuts
//! nobody off.

mod lists;
mod making;
mod publisher;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::fetched::{self, Counter, Nudge, Part, seconds};
use super::{Client, Held, Leases, StandError};

pub(crate) use lists::DATA;
pub use lists::{Bad, List, Listed, Lists, Name};
pub use making::{Answer, Material};
pub use publisher::{PATH, Publisher};

/// The part's name in leases and paths.
pub const PART: &str = "white-list";

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

/// A list that is played.
#[derive(Clone)]
pub(super) struct Played {
    reader: String,
    word: String,
    answer: Answer,
}

impl fetched::Played for Arc<Played> {
    fn reader(&self) -> &str {
        &self.reader
    }
}

/// What one of those who drive it plays.
#[derive(Clone)]
struct Driven {
    counter: Counter<Arc<Played>, Fetch>,
    /// Something was played since the usual list was last dated.
    is_stale: Arc<AtomicBool>,
}

impl Driven {
    fn new(counter: Counter<Arc<Played>, Fetch>) -> Driven {
        Driven { counter, is_stale: Arc::default() }
    }

    /// Whether what was played is over, and the usual list must be newer than it. Asked once.
    fn is_over(&self) -> bool {
        self.counter.played().is_none() && self.is_stale.swap(false, Ordering::Relaxed)
    }
}

struct Inner {
    material: Material,
    /// What is played: to whoever the whole stand says, and by each operator's own stand.
    all: Mutex<Vec<Driven>>,
    began: SystemTime,
}

/// What stands between the publisher and who fetches. Cheap to clone.
#[derive(Clone)]
pub struct ListStand {
    inner: Arc<Inner>,
    /// What is played from here.
    own: Driven,
    /// The only one it is played to; none: to whom the scenario says.
    whose: Option<Arc<str>>,
}

impl ListStand {
    /// Serving the usual list until told otherwise.
    #[must_use]
    pub fn new(material: Material, leases: Leases) -> ListStand {
        let own = Driven::new(Counter::new(leases, PART));
        let inner = Inner { material, all: Mutex::new(vec![own.clone()]), began: SystemTime::now() };
        ListStand { inner: Arc::new(inner), own, whose: None }
    }

    /// The same publisher, driven for one operator: what it plays is for that reader, whatever others play.
    #[must_use]
    pub fn of_operator(&self, reader: &str, leases: Leases) -> ListStand {
        let own = Driven::new(self.own.counter.beside(leases, PART));
        self.inner.all.lock().unwrap_or_else(PoisonError::into_inner).push(own.clone());
        ListStand { inner: self.inner.clone(), own, whose: Some(Arc::from(reader)) }
    }

    /// How operators are told to fetch. Once.
    pub fn nudged_by(&self, nudge: Nudge) {
        self.own.counter.nudged_by(nudge);
    }

    /// A fetch by `reader`, noted: what it is answered instead of the usual list.
    fn answer(&self, reader: String) -> Option<Answer> {
        let mut played = self.all().into_iter().filter_map(|one| one.counter.played());
        let played = played.find(|played| played.reader.is_empty() || played.reader == reader);
        let served = played.as_ref().map_or("usuelle", |played| &played.word).to_owned();
        self.own.counter.note(|seq, at| Fetch { seq, at, lecteur: reader, servie: served });
        played.map(|played| played.answer.clone())
    }

    /// Whether the usual list must be dated anew: an operator that took what was played would find it older. Asked once for each scenario.
    fn renewal_is_due(&self) -> bool {
        // Each is asked.
        self.all().iter().filter(|one| one.is_over()).count() > 0
    }

    fn all(&self) -> Vec<Driven> {
        // One for each operator, and one for all.
        self.inner.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl List {
    /// Its word in the data, in scenarios and in the log of fetches.
    #[must_use]
    pub fn word(self) -> String {
        // A variant without content: its name.
        serde_json::to_value(self).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

impl Part for ListStand {
    type Play = Play;
    type Played = Arc<Played>;
    type Fetch = Fetch;
    const USUAL_LEASE: u64 = 120;

    fn counter(&self) -> &Counter<Arc<Played>, Fetch> {
        &self.own.counter
    }

    async fn prepare(&self, Play { liste, lecteur }: Play) -> Result<Arc<Played>, String> {
        let lecteur = self.whose.as_ref().map_or(lecteur, |whose| whose.to_string());
        let making = self.inner.clone();
        let made = tokio::task::spawn_blocking(move || making.material.make(liste)).await;
        let answer = made.unwrap_or_else(|_| Err("a thread died".to_owned()))?;
        Ok(Arc::new(Played { reader: lecteur, word: liste.word(), answer }))
    }

    fn begins(&self) {
        self.own.is_stale.store(true, Ordering::Relaxed);
    }
}

/// The part, for [`super::router`] under `/white-list`.
pub fn part(stand: ListStand) -> Router {
    fetched::routes().route("/", get(state)).with_state(stand)
}

async fn state(State(stand): State<ListStand>) -> Json<Now> {
    Json(Now { last: stand.own.counter.last(), since: seconds(stand.inner.began) })
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

    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    use crate::forge::Expected;
    use trust::pki::{LeafRequest, Organization, TestAuthority};
    use trust::revocation::Revocation;
    use trust::white_list::{Entry, RequiredSigner, SignaturePolicy, WhiteList};
    use trust::{Dn, SystemClock};

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
            match self.stand.inner.material.make(list).expect("made") {
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
            stand.own.is_stale.store(true, Ordering::Relaxed);
            stand.own.counter.slot().tell(reader, Some(Arc::new(played)), Duration::from_secs(60)).expect("free").id
        };
        let (alpha, beta) = (of("alpha"), of("beta"));
        let (first, second) = (play(&alpha, "alpha", 503), play(&beta, "beta", 404));
        assert_eq!(space.stand.answer("alpha".to_owned()), Some(Answer::Status(503)));
        assert_eq!(space.stand.answer("beta".to_owned()), Some(Answer::Status(404)));
        assert!(!space.stand.renewal_is_due());
        assert!(alpha.own.counter.slot().give_back(&first));
        assert!(space.stand.renewal_is_due() && !space.stand.renewal_is_due(), "for alpha, while beta plays");
        assert_eq!(
            (space.stand.answer("alpha".to_owned()), space.stand.answer("beta".to_owned())),
            (None, Some(Answer::Status(404)))
        );
        assert!(beta.own.counter.slot().give_back(&second) && space.stand.renewal_is_due());
    }

    #[test]
    fn only_the_reader_it_is_for_gets_it_and_only_for_its_time() {
        let space = space();
        let stand = &space.stand;
        let answer = Answer::Status(503);
        let played = Played { reader: "alpha".to_owned(), word: "indisponible".to_owned(), answer: answer.clone() };
        let lease = stand.own.counter.slot().tell("x", Some(Arc::new(played)), Duration::from_secs(60)).expect("free");
        stand.own.is_stale.store(true, Ordering::Relaxed);
        assert_eq!(stand.answer("alpha".to_owned()), Some(answer));
        assert_eq!(stand.answer("beta".to_owned()), None);
        assert!(!stand.renewal_is_due(), "still played");
        assert!(stand.own.counter.slot().give_back(&lease.id));
        assert_eq!(stand.answer("alpha".to_owned()), None);
        assert!(stand.renewal_is_due() && !stand.renewal_is_due(), "once");
        let words: Vec<String> = stand.own.counter.since(0).into_iter().map(|fetch| fetch.servie).collect();
        assert_eq!(words, ["indisponible", "usuelle", "usuelle"]);
    }
}
