//! PSC is down, slow or wrong (RES-01 to RES-03). The stub plays a scenario under a lease;
//! good and bad tokens are shown to both servers meanwhile; before and after it, a good one must get in.
//!
//! What is played once for two cases (a PSC that answers nothing in time: RES-01, RES-02) is judged by each. Tokens of one scenario are shown
//! side by side when the job allows several cases at a time, one after the other otherwise.

use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use serde_json::{Value, json};

use crate::catalogue::Case;
use crate::context::{Context, Findings, Login, LoginOutcome, Protocol, VariantResult};
use crate::engine::MAX_PARALLEL;
use crate::forge::{Mutation, Spoil, With, id, xoauth2};
use crate::stand::psc::{Bait, Behaviour, Call, Endpoint, PART, Scenario};
use crate::stand::{Client, StandError};
use crate::verdict::{Severity, Verdict};
use crate::wire::{Line, Log, WireError};

/// What is run.
pub(super) const CASES: &[&str] = &["RES-01", "RES-02", "RES-03"];

/// Longest time before an answer (RES-02).
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// What is waited for one, so that a late answer is seen.
const PATIENCE: Duration = Duration::from_secs(40);
/// Within which good tokens are taken again once PSC is back.
const RECOVERY: Duration = Duration::from_secs(120);
/// Between two tries meanwhile.
const PAUSE: Duration = Duration::from_secs(1);
/// The lease of one scenario, which an operator has to bear when the campaign is killed: its tokens one after the other…
const LEASE: Duration = Duration::from_secs(90);
/// …and when each of them is answered late.
const LEASE_OF_SLOW: Duration = Duration::from_secs(4 * 60);
/// How long tokens of unknown keys are shown so that the operator reads the JWKS while it is wrong; by night as long as an operator waits
/// that reads it once a minute at most.
const PROVOKED_WITHIN: Duration = Duration::from_secs(12);
const PROVOKED_BY_NIGHT: Duration = Duration::from_secs(70);
/// Between two of those.
const PROVOKED_EVERY: Duration = Duration::from_millis(500);
/// Longer than anybody waits for PSC: an outage, and the slowest of answers.
const NEVER: Duration = Duration::from_secs(60);
/// Longest text of an answer told in a summary; the dialogue has all of it.
const MAX_SAID: usize = 90;

/// What must become of a token while a scenario is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Must {
    /// A good one: in, or refused for now; never for good.
    Welcome,
    /// A bad one: never in.
    Out,
    /// A good one about which PSC says nothing sensible: in only when PSC was not asked.
    OutWhenAsked,
}

/// A token shown while a scenario is played.
struct Probe {
    nom: &'static str,
    mutations: Vec<Mutation>,
    must: Must,
}

/// Of which key a token is that makes an operator read the JWKS.
enum Key {
    /// Of one that nobody publishes, another each time.
    Unknown,
    /// Of the one that the redirection serves.
    Served(String),
}

impl Key {
    fn probe(&self) -> Probe {
        let (nom, kid) = match self {
            Key::Unknown => ("clé inconnue", format!("inconnue-{}", id())),
            Key::Served(kid) => ("clé servie par la redirection", kid.clone()),
        };
        bad(nom, vec![put_header("kid", kid), Mutation::Signer { avec: With::CleEtrangere }])
    }
}

/// A good token once more, when the operator has read what is wrong.
fn afterwards() -> Probe {
    Probe { nom: "jeton valide, ensuite", ..good(Must::Welcome) }
}

/// A scenario, and what is shown meanwhile.
struct Play {
    nom: &'static str,
    scenario: Scenario,
    /// What provokes a reading of the JWKS, when it is part of what is wrong.
    key: Option<Key>,
    probes: Vec<Probe>,
}

impl Play {
    /// Whether it is [`silence`].
    fn is_silence(&self) -> bool {
        self.scenario == Scenario::all(&Behaviour::Slow(NEVER))
    }

    /// Whether a good token is shown once more at the end: whoever keeps wrong keys refuses it only then. Not where each answer takes long.
    fn has_afterwards(&self) -> bool {
        self.key.is_some() && !matches!(self.scenario.jwks, Behaviour::Slow(_))
    }
}

pub(super) async fn run(case: &Case, context: &Context, findings: &mut Findings) {
    if let Err(verdict) = context.tokens() {
        return findings.tell("cas", None, &case.expected, "", verdict, None);
    }
    let stand = match context.stand() {
        Ok(stand) => stand,
        Err(verdict) => return findings.tell("cas", None, &case.expected, "", verdict, None),
    };
    let plays = match plays(case, context, stand).await {
        Ok(plays) => plays,
        Err(error) => {
            return findings.tell("bouchon PSC", None, &case.expected, error.to_string(), error.into(), None);
        }
    };
    for play in plays {
        let performed = match play.is_silence() {
            true => context.silence.get_or_try_init(|| perform(context, stand, &play)).await.cloned(),
            false => perform(context, stand, &play).await,
        };
        match performed {
            Ok(performance) => performance.judged(case, &play, findings),
            Err(error) => findings.tell(play.nom, None, &case.expected, error.to_string(), error.into(), None),
        }
    }
}

// --- what is played ------------------------------------------------------------------------------------------------------------------

fn put_header(nom: &str, valeur: impl Into<Value>) -> Mutation {
    Mutation::PoserEntete { nom: nom.to_owned(), valeur: valeur.into() }
}

fn put_claim(nom: &str, valeur: impl Into<Value>) -> Mutation {
    Mutation::PoserCharge { nom: nom.to_owned(), valeur: valeur.into() }
}

fn good(must: Must) -> Probe {
    Probe { nom: "jeton valide", mutations: Vec::new(), must }
}

fn bad(nom: &'static str, mutations: Vec<Mutation>) -> Probe {
    Probe { nom, mutations, must: Must::Out }
}

fn outage(nom: &'static str, behaviour: &Behaviour) -> Play {
    Play {
        nom,
        scenario: Scenario::all(behaviour),
        key: Some(Key::Unknown),
        probes: vec![
            good(Must::Welcome),
            bad("signature altérée", vec![Mutation::Alterer { comment: Spoil::UnBit }]),
            bad("expiré", vec![put_claim("exp", "T-3600"), put_claim("iat", "T-3720")]),
            Key::Unknown.probe(),
        ],
    }
}

/// What RES-01 and RES-02 both want to see.
fn silence(nom: &'static str) -> Play {
    outage(nom, &Behaviour::Slow(NEVER))
}

async fn plays(case: &Case, context: &Context, stand: &Client) -> Result<Vec<Play>, StandError> {
    let scenario = |text: Value| serde_json::from_value::<Scenario>(text).unwrap_or_default();
    let slow = |seconds| Behaviour::Slow(Duration::from_secs(seconds));
    Ok(match case.id.as_str() {
        "RES-01" => {
            vec![
                outage("PSC répond 503", &Behaviour::Status(503)),
                outage("PSC ferme la connexion", &Behaviour::Refused),
                silence("PSC ne répond pas à temps"),
            ]
        }
        "RES-02" => {
            let late = |nom, seconds| Play {
                nom,
                scenario: Scenario::all(&slow(seconds)),
                key: Some(Key::Unknown),
                probes: vec![good(Must::Welcome), Key::Unknown.probe()],
            };
            vec![late("réponses à 2 s", 2), late("réponses à 10 s", 10), silence("réponses à 60 s")]
        }
        _ => {
            let keys = |nom, behaviour: &str| Play {
                nom,
                scenario: scenario(json!({ "jwks": behaviour })),
                key: Some(Key::Unknown),
                probes: vec![good(Must::Welcome), Key::Unknown.probe()],
            };
            let kid = format!("redirigee-{}", id());
            if let Ok((forge, _)) = context.tokens()
                && let Ok(key) = forge.strange_jwk(&kid)
            {
                // Whoever follows the redirection finds the key of the token shown.
                let body = json!({ "keys": [key] }).to_string();
                stand.lay_bait(stub::REDIRECTED, &Bait { body, ..Bait::default() }).await?;
            }
            let redirected = Play {
                nom: "JWKS redirigé vers d'autres clés",
                scenario: scenario(json!({ "jwks": "redirect" })),
                probes: vec![good(Must::Welcome), Key::Served(kid.clone()).probe()],
                key: Some(Key::Served(kid)),
            };
            let asked =
                |nom, said: Value, must| Play { nom, scenario: scenario(said), key: None, probes: vec![good(must)] };
            vec![
                redirected,
                keys("JWKS vide", "empty"),
                keys("JWKS qui n'est pas du JSON", "invalid"),
                keys("JWKS de 10 Mo", "huge"),
                asked(
                    "introspection et UserInfo en 500",
                    json!({ "introspection": "500", "userinfo": "500" }),
                    Must::Welcome,
                ),
                asked("introspection sans active", json!({ "introspection": "no_active" }), Must::OutWhenAsked),
                asked("introspection qui n'est pas du JSON", json!({ "introspection": "invalid" }), Must::Welcome),
                Play {
                    nom: "découverte d'un autre émetteur",
                    scenario: scenario(json!({ "discovery": "other_issuer" })),
                    key: None,
                    probes: vec![
                        bad("jeton de cet autre émetteur", vec![put_claim("iss", stub::keys::FOREIGN_ISSUER)]),
                        good(Must::Welcome),
                    ],
                },
            ]
        }
    })
}

// --- playing it ----------------------------------------------------------------------------------------------------------------------

/// What one token became.
#[derive(Debug, Clone)]
struct Shown {
    nom: &'static str,
    must: Must,
    outcome: LoginOutcome,
    line: String,
    took: Duration,
}

async fn show(context: &Context, protocol: Protocol, probe: &Probe, log: &Log) -> Result<Shown, Verdict> {
    let (forge, mailbox) = context.tokens()?;
    let token = forge.make(&mailbox.idnat, &mailbox.other_idnat, &probe.mutations).map_err(Verdict::unclear)?;
    let began = Instant::now();
    let login = context.login_within(PATIENCE, protocol, &xoauth2(&mailbox.address, &token), true, log).await;
    let (nom, must) = (probe.nom, probe.must);
    Ok(Shown { nom, must, outcome: login.outcome, line: login.line, took: began.elapsed() })
}

/// All tokens to one server, as many at a time as the job allows cases; what was said of each goes to a log of its own.
async fn show_all(
    context: &Context,
    protocol: Protocol,
    probes: &[Probe],
    logs: &[Log],
) -> Result<Vec<Shown>, Verdict> {
    let side_by_side = context.job.limits.parallel.clamp(1, MAX_PARALLEL);
    let shows: Vec<BoxFuture<'_, Result<Shown, Verdict>>> =
        probes.iter().zip(logs).map(|(probe, log)| show(context, protocol, probe, log).boxed()).collect();
    let shown: Vec<Result<Shown, Verdict>> = stream::iter(shows).buffered(side_by_side).collect().await;
    shown.into_iter().collect()
}

/// Until a good token is taken again: nothing, or the last answer.
async fn recovery(context: &Context, protocol: Protocol, log: &Log) -> Result<Duration, (LoginOutcome, String)> {
    let began = Instant::now();
    loop {
        let Some(login) = context.nominal(protocol, log).await else {
            return Err((LoginOutcome::Temporary, "aucun jeton ne peut être fait".to_owned()));
        };
        match login.outcome {
            LoginOutcome::Accepted => return Ok(began.elapsed()),
            outcome if began.elapsed() >= RECOVERY => return Err((outcome, login.line)),
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Shows tokens of keys that the operator cannot know until it reads the JWKS, or long enough: without that, what it does with a wrong
/// JWKS would not be seen. What became of the worst of them.
async fn provoke(
    context: &Context,
    stand: &Client,
    play: &Play,
    from: u64,
    log: &Log,
) -> Result<Option<Shown>, Verdict> {
    let Some(key) = &play.key else { return Ok(None) };
    let within = if context.job.limits.night { PROVOKED_BY_NIGHT } else { PROVOKED_WITHIN };
    let began = Instant::now();
    let mut worst: Option<Shown> = None;
    loop {
        let shown = show(context, Protocol::Imap, &key.probe(), log).await?;
        let is_in = shown.outcome == LoginOutcome::Accepted;
        if is_in || worst.as_ref().is_none_or(|worst| worst.took < shown.took) {
            worst = Some(shown);
        }
        let has_read = stand.psc_calls(from).await?.iter().any(|call| call.endpoint == Endpoint::Jwks);
        if is_in || has_read || began.elapsed() >= within {
            return Ok(worst);
        }
        tokio::time::sleep(PROVOKED_EVERY).await;
    }
}

/// What one server did while a scenario was played.
#[derive(Debug, Clone)]
struct Side {
    protocol: Protocol,
    /// What became of each token, or why nothing can be said.
    shown: Result<Vec<Shown>, Verdict>,
    /// Whether a good token was taken before.
    before: bool,
    /// After how long one was again, or the last answer.
    after: Result<Duration, (LoginOutcome, String)>,
    /// Everything said.
    lines: Vec<Line>,
    /// What was said with the tokens that make an operator read the keys.
    provoked: Vec<Line>,
}

/// A scenario that was played, and all that was seen of it.
#[derive(Debug, Clone)]
pub(crate) struct Performance {
    sides: [Side; 2],
    /// What PSC was asked.
    calls: Vec<Call>,
}

async fn perform(context: &Context, stand: &Client, play: &Play) -> Result<Performance, StandError> {
    // Of each server: around the scenario, and for each token. Then of what provokes a reading.
    let around = [Log::default(), Log::default()];
    let each = [(); 2].map(|()| play.probes.iter().map(|_| Log::default()).collect::<Vec<Log>>());
    let provoking = Log::default();
    let before = tokio::join!(context.nominal(Protocol::Imap, &around[0]), context.nominal(Protocol::Smtp, &around[1]));
    let from = stand.psc().await?.last;
    let lease = if matches!(play.scenario.userinfo, Behaviour::Slow(_)) { LEASE_OF_SLOW } else { LEASE };
    let held = stand.play(PART, &play.scenario, lease).await?;
    let (imap, smtp, provoked) = tokio::join!(
        show_all(context, Protocol::Imap, &play.probes, &each[0]),
        show_all(context, Protocol::Smtp, &play.probes, &each[1]),
        provoke(context, stand, play, from, &provoking)
    );
    let last: Vec<Probe> = play.has_afterwards().then(afterwards).into_iter().collect();
    let ends = [[Log::default()], [Log::default()]];
    let (imap_last, smtp_last) = tokio::join!(
        show_all(context, Protocol::Imap, &last, &ends[0]),
        show_all(context, Protocol::Smtp, &last, &ends[1])
    );
    let imap = imap.and_then(|shown| Ok(shown.into_iter().chain(provoked?).chain(imap_last?).collect()));
    let smtp = smtp.and_then(|shown| Ok(shown.into_iter().chain(smtp_last?).collect()));
    let is_good = |login: Option<Login>| login.is_some_and(|login| login.is_accepted());
    let before = [is_good(before.0), is_good(before.1)];
    // One that ended by itself was no outage any more.
    stand.give_back(held).await?;
    let calls = stand.psc_calls(from).await?;
    let later = [Log::default(), Log::default()];
    let after =
        tokio::join!(recovery(context, Protocol::Imap, &later[0]), recovery(context, Protocol::Smtp, &later[1]));
    let seen = |index: usize, shown, after, provoked: Vec<Line>| {
        let logs = [&around[index]].into_iter().chain(&each[index]).chain(&ends[index]).chain([&later[index]]);
        let (protocol, before) = (Protocol::BOTH[index], before[index]);
        Side { protocol, shown, before, after, lines: logs.flat_map(Log::lines).collect(), provoked }
    };
    Ok(Performance { sides: [seen(0, imap, after.0, provoking.lines()), seen(1, smtp, after.1, Vec::new())], calls })
}

impl Performance {
    /// What one case thinks of it.
    fn judged(&self, case: &Case, play: &Play, findings: &mut Findings) {
        for side in &self.sides {
            let (observed, verdict) = match &side.shown {
                Err(verdict) => (String::new(), verdict.clone()),
                Ok(shown) => {
                    let verdict = match side.before {
                        true => verdict(case, play, shown, &self.calls, &side.after),
                        false => Verdict::unclear("le contrôle positif d'avant est refusé"),
                    };
                    (observed(shown, &self.calls, &side.after), verdict)
                }
            };
            let said = json!({
                "scenario": play.scenario, "dialogue": side.lines, "cles": side.provoked, "appels": self.calls,
            });
            let proof = findings.keep(&said);
            findings.add(VariantResult {
                nom: play.nom.to_owned(),
                protocole: Some(side.protocol),
                attendu: expected(case, play).to_owned(),
                observe: observed,
                verdict,
                controle_avant: Some(side.before),
                controle_apres: Some(side.after.is_ok()),
                preuves: vec![proof],
            });
        }
    }
}

fn expected(case: &Case, play: &Play) -> &'static str {
    let when_asked = play.probes.iter().any(|probe| probe.must == Must::OutWhenAsked);
    match case.id.as_str() {
        "RES-02" => "réponse au client en moins de 30 s",
        _ if when_asked => "refus si l'opérateur a interrogé PSC",
        _ => "jeton valide accepté ou refusé pour un temps (UNAVAILABLE, 454) ; jamais d'accord à un mauvais",
    }
}

/// In words: what became of each token, what PSC was asked, and how long the operator took to come back.
fn observed(shown: &[Shown], calls: &[Call], after: &Result<Duration, (LoginOutcome, String)>) -> String {
    let mut parts: Vec<String> = shown
        .iter()
        .map(|shown| {
            let line: String = shown.line.chars().take(MAX_SAID).collect();
            format!("{} : {line} ({} ms)", shown.nom, shown.took.as_millis())
        })
        .collect();
    let count = |endpoint| calls.iter().filter(|call| call.endpoint == endpoint).count();
    let asked: Vec<String> = [
        (Endpoint::Jwks, "JWKS"),
        (Endpoint::Introspection, "introspection"),
        (Endpoint::Userinfo, "UserInfo"),
        (Endpoint::Discovery, "découverte"),
        (Endpoint::Trap, "adresse de la redirection"),
    ]
    .into_iter()
    .map(|(endpoint, name)| (count(endpoint), name))
    .filter(|(count, _)| *count > 0)
    .map(|(count, name)| format!("{count} × {name}"))
    .collect();
    parts.push(match asked.is_empty() {
        true => "PSC n'a pas été interrogé".to_owned(),
        false => format!("appels : {}", asked.join(", ")),
    });
    if let Err((_, line)) = after {
        parts.push(format!("PSC rétabli depuis {} s, jeton valide toujours refusé : {line}", RECOVERY.as_secs()));
    }
    parts.join(" ; ")
}

fn verdict(
    case: &Case,
    play: &Play,
    shown: &[Shown],
    calls: &[Call],
    after: &Result<Duration, (LoginOutcome, String)>,
) -> Verdict {
    let has_asked = calls.iter().any(|call| matches!(call.endpoint, Endpoint::Introspection | Endpoint::Userinfo));
    let of = |shown: &Shown| one(case, shown, has_asked);
    let mut verdicts: Vec<Verdict> = shown.iter().map(of).collect();
    // Followed, and not believed: worth knowing.
    let has_followed =
        play.scenario.jwks == Behaviour::Redirect && calls.iter().any(|call| call.endpoint == Endpoint::Trap);
    if has_followed {
        verdicts.push(Verdict::fault(Severity::Information));
    }
    match after {
        Ok(_) => {}
        Err((LoginOutcome::Refused | LoginOutcome::Cut | LoginOutcome::Temporary, _)) => {
            verdicts.push(Verdict::fault(Severity::Major));
        }
        Err((_, line)) => verdicts.push(Verdict::unclear(line)),
    }
    Verdict::of(&verdicts)
}

/// Of one token.
fn one(case: &Case, shown: &Shown, has_asked: bool) -> Verdict {
    let is_slow_case = case.id == "RES-02";
    match (&shown.outcome, shown.must) {
        (LoginOutcome::Failed(WireError::Silent), _) if is_slow_case => Verdict::fault(case.severity),
        (LoginOutcome::Failed(_), _) => Verdict::unclear(&shown.line),
        (LoginOutcome::Accepted, Must::Out) => Verdict::fault(case.severity),
        (LoginOutcome::Accepted, Must::OutWhenAsked) if has_asked => Verdict::fault(case.severity),
        _ if is_slow_case && shown.took >= ANSWER_WITHIN => Verdict::fault(case.severity),
        // Told that its token is bad, mail software asks its user to log in again, for nothing.
        (LoginOutcome::Refused | LoginOutcome::Cut, Must::Welcome) => {
            Verdict::fault(if is_slow_case { Severity::Minor } else { Severity::Major })
        }
        _ => Verdict::Conforme,
    }
}
