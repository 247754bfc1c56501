//! A campaign that somebody drives by hand, seen while it runs: where the servers are, what is to be done now, what came of it; and the word
//! that it is done, or cannot be. One clone is the campaign's, the others are of whoever shows it.
//!
//! Invariant: a word is about the act that was shown when it was said; said of an act that is over it does nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

use super::seen::{Phase, Seen, Service, Session, Tls};
use super::step::Step;

/// Sessions shown of one act: software that opens more repeats itself.
const MOST_SHOWN: usize = 40;
/// Verbs shown of one session.
const MOST_VERBS: usize = 12;

/// Where the scripted operator listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The name of its servers.
    pub host: String,
    /// The domain of its BAL.
    pub domain: String,
    /// The address of everything.
    pub address: IpAddr,
    /// Where autoconfiguration is.
    pub autoconfig: SocketAddr,
    /// Where a name server answers for the domain.
    pub dns: Option<SocketAddr>,
    /// Of each scenario: its BAL's local part, what it is, its ports.
    pub scenarios: Vec<Played>,
}

/// Where one scenario is played.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Played {
    /// The local part of its BAL.
    pub nom: String,
    /// What it is.
    pub titre: String,
    /// Its port for reading.
    pub imap: u16,
    /// Its port for sending.
    pub smtp: u16,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Act {
    /// Its number; 0: making the software ready.
    pub numero: u64,
    /// The case it is for.
    pub cas: String,
    /// What; nothing yet: the software is made ready.
    pub etape: Option<Step>,
    /// The same, in words.
    pub action: String,
    /// With which scenario.
    pub scenario: String,
    /// With which BAL.
    pub adresse: String,
    /// To whom messages go.
    pub destinataire: String,
    /// Reading: address and port.
    pub imap: String,
    /// Sending: address and port.
    pub smtp: String,
}

/// What somebody says of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It was done.
    Done,
    /// The software cannot do it.
    Unable,
}

/// A session in brief.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Glimpse {
    /// Its number.
    pub numero: u64,
    /// One line: with whom, TLS, commands, what came of it.
    pub texte: String,
}

#[derive(Debug, Default)]
struct State {
    place: Option<Place>,
    seen: Option<Seen>,
    mark: u64,
    act: Option<Act>,
    made: u64,
    word: Option<Word>,
}

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hands {
    state: Arc<Mutex<State>>,
    moved: Arc<watch::Sender<u64>>,
}

impl Default for Hands {
    fn default() -> Hands {
        Hands { state: Arc::default(), moved: Arc::new(watch::Sender::new(0)) }
    }
}

impl Hands {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stir(&self) {
        self.moved.send_modify(|count| *count += 1);
    }

    /// Something to wait for the next act, or the end.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    /// Where the servers are, while they are.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        self.state().place.clone()
    }

    /// What is to be done now.
    #[must_use]
    pub fn act(&self) -> Option<Act> {
        self.state().act.clone()
    }

    /// What moves with what the software does.
    #[must_use]
    pub fn seen(&self) -> Option<Seen> {
        self.state().seen.clone()
    }

    /// What was seen of the act so far.
    #[must_use]
    pub fn glimpses(&self) -> Vec<Glimpse> {
        let (seen, mark) = {
            let state = self.state();
            (state.seen.clone(), state.mark)
        };
        let sessions = seen.map(|seen| seen.since(mark)).unwrap_or_default();
        sessions.iter().take(MOST_SHOWN).map(glimpse).collect()
    }

    /// Says something of an act; whether it is the one under way.
    pub fn say(&self, number: u64, word: Word) -> bool {
        let mut state = self.state();
        let is_now = state.act.as_ref().is_some_and(|act| act.numero == number);
        if is_now {
            state.word = Some(word);
            drop(state);
            self.stir();
        }
        is_now
    }

    pub(super) fn opened(&self, place: Place, seen: Seen) {
        let mut state = self.state();
        (state.place, state.seen) = (Some(place), Some(seen));
        drop(state);
        self.stir();
    }

    /// An act begins; `make` is given its number.
    pub(super) fn begins(&self, mark: u64, make: impl FnOnce(u64) -> Act) {
        let mut state = self.state();
        let act = make(state.made);
        state.made += 1;
        (state.act, state.mark, state.word) = (Some(act), mark, None);
        drop(state);
        self.stir();
    }

    pub(super) fn ends(&self) {
        let mut state = self.state();
        (state.act, state.word) = (None, None);
        drop(state);
        self.stir();
    }

    pub(super) fn closed(&self) {
        let mut state = self.state();
        (state.place, state.seen, state.act) = (None, None, None);
        drop(state);
        self.stir();
    }

    /// What is said of the act under way, waited for.
    pub(super) async fn word(&self) -> Word {
        let mut moved = self.watch();
        loop {
            // Before looking: what is said meanwhile is not missed.
            moved.borrow_and_update();
            if let Some(word) = self.state().word {
                return word;
            }
            if moved.changed().await.is_err() {
                // The sender is ours: it lives as long as this.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// What a session was, in a line. Nothing in it is more than the report says: verbs, versions, counts.
fn glimpse(session: &Session) -> Glimpse {
    let service = match session.service {
        Service::Imap => "IMAP",
        Service::Smtp => "SMTP",
        Service::Autoconfig => "autoconfiguration",
        Service::Ailleurs => "là où mène la redirection",
        Service::Revocation => "listes de révocation",
    };
    let mut parts = vec![if session.scenario.is_empty() {
        service.to_owned()
    } else {
        format!("{service}, {}@", session.scenario)
    }];
    match &session.tls {
        Tls::Aucun => {}
        Tls::Echec(_) => parts.push("TLS : échec de la négociation".to_owned()),
        Tls::Etabli(how) => parts.push(format!("TLS : {how}")),
    }
    if !session.verbes.is_empty() {
        let verbs: Vec<String> = session
            .verbes
            .iter()
            .take(MOST_VERBS)
            .map(|(phase, verb)| if *phase == Phase::Clair { format!("{verb} (en clair)") } else { verb.clone() })
            .collect();
        let more = if session.verbes.len() > MOST_VERBS { " …" } else { "" };
        parts.push(format!("{}{more}", verbs.join(" ")));
    }
    if !session.secrets.is_empty() {
        parts.push(format!("{} secret(s) envoyé(s)", session.secrets.len()));
    }
    let taken = session.messages.iter().filter(|mail| mail.accepte).count();
    if taken > 0 {
        parts.push(format!("{taken} message(s) accepté(s)"));
    }
    if session.coupee {
        parts.push("coupée par l'opérateur scénarisé".to_owned());
    }
    parts.push(if session.fin_ms.is_some() { "finie" } else { "en cours" }.to_owned());
    Glimpse { numero: session.numero, texte: parts.join(" ; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(numero: u64) -> Act {
        Act {
            numero,
            cas: "CLI-01".to_owned(),
            etape: Some(Step::Relever),
            action: Step::Relever.label().to_owned(),
            scenario: "nominal".to_owned(),
            adresse: "nominal@controle.test.fr".to_owned(),
            destinataire: "d@controle.test.fr".to_owned(),
            imap: "127.0.0.1:1".to_owned(),
            smtp: "127.0.0.1:2".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_word_is_about_the_act_that_was_shown() {
        let hands = Hands::default();
        assert!(!hands.say(0, Word::Done), "nothing is to be done");
        hands.begins(0, act);
        let theirs = hands.clone();
        let waiting = tokio::spawn(async move { theirs.word().await });
        assert!(!hands.say(1, Word::Done), "not yet");
        assert!(hands.say(0, Word::Unable));
        assert_eq!(waiting.await.expect("said"), Word::Unable);
        hands.begins(0, act);
        assert_eq!(hands.act().map(|act| act.numero), Some(1));
        assert!(!hands.say(0, Word::Done), "over");
        // What was said of the act before is not said of this one.
        let mut word = Box::pin(hands.word());
        assert!(futures_util::FutureExt::now_or_never(&mut word).is_none());
        assert!(hands.say(1, Word::Done));
        assert_eq!(word.await, Word::Done);
        hands.closed();
        assert_eq!((hands.place(), hands.act(), hands.glimpses()), (None, None, Vec::new()));
    }

    #[test]
    fn a_session_in_a_line() {
        let (hands, seen) = (Hands::default(), Seen::default());
        let place = Place {
            host: "lps.controle.test.fr".to_owned(),
            domain: "controle.test.fr".to_owned(),
            address: IpAddr::from([127, 0, 0, 1]),
            autoconfig: SocketAddr::from(([127, 0, 0, 1], 3)),
            dns: None,
            scenarios: Vec::new(),
        };
        hands.opened(place, seen.clone());
        drop(seen.begin(Service::Imap, "nominal"));
        hands.begins(seen.mark(), act);
        let handle = seen.begin(Service::Smtp, "expire");
        handle.verb(Phase::Clair, "EHLO");
        handle.with(|session| session.tls = Tls::Echec("alert".to_owned()));
        let shown = hands.glimpses();
        assert_eq!(shown.len(), 1, "those of this act");
        assert_eq!(shown[0].texte, "SMTP, expire@ ; TLS : échec de la négociation ; EHLO (en clair) ; en cours");
        drop(handle);
        assert!(hands.glimpses()[0].texte.ends_with("finie"));
    }
}
