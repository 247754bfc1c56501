//! A campaign: the cases of a plan, several at a time when the job allows it, with progress; what it gives is the report's matter.
//!
//! Invariants:
//! * the report has every case that was asked for, in the catalogue's order, whatever the order they ended in and whether or not the campaign
//!   was stopped before;
//! * a case that disturbs what others count on ([`cases::Bearing`]) runs beside none of those;
//! * stopped: what is under way is dropped at once, and nothing is told of it as done, so that whoever keeps what was told can go on with
//!   [`Asked::done`].

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::turns::{Calm, Turn, Turns};
use crate::cases::{self, Things};
use crate::catalogue::{Case, Catalogue};
use crate::context::{Context, Protocol, VariantResult};
use crate::verdict::{CampaignVerdict, Severity, Verdict};
use crate::wire::{Log, WireError};

mod turns;

/// How deep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// What may be run against production: no valid token, no real BAL.
    Eclair,
    /// Everything.
    Complet,
}

/// What one case gave.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CaseResult {
    /// Its id.
    pub id: String,
    /// Its title.
    pub titre: String,
    /// Where the duty comes from.
    pub exigences: String,
    /// How heavy a fault is.
    pub gravite: Severity,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Its variants.
    pub variantes: Vec<VariantResult>,
    /// How long it took.
    pub duree_ms: u64,
}

/// A campaign that is over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Campaign {
    /// The plan.
    pub plan: String,
    /// How its user calls it.
    pub nom: String,
    /// Name, product and version of what was controlled.
    pub operateur: String,
    /// The product.
    pub solution: String,
    /// Its version.
    pub version_solution: String,
    /// Its domains.
    pub domaines: Vec<String>,
    /// Where.
    pub cible: Vec<String>,
    /// How deep.
    pub profondeur: Depth,
    /// Whether only some of the plan's cases were asked for.
    pub partielle: bool,
    /// When it began, RFC 3339.
    pub debut: String,
    /// When it ended.
    pub fin: String,
    /// The verdict.
    pub verdict: CampaignVerdict,
    /// How many cases of each verdict.
    pub comptes: BTreeMap<String, usize>,
    /// The cases.
    pub cas: Vec<CaseResult>,
    /// Proof by its SHA-256.
    pub preuves: BTreeMap<String, serde_json::Value>,
}

/// Something to say while it goes on.
pub enum Progress<'a> {
    /// So many cases will be run; those done before are not counted.
    Planned(usize),
    /// One begins.
    Begun(&'a Case),
    /// One waits for something: what, in words for people.
    Waiting {
        /// Which.
        case: &'a Case,
        /// For what.
        what: &'a str,
    },
    /// One is over.
    Done {
        /// What it gave.
        result: &'a CaseResult,
        /// Its proofs by their SHA-256.
        evidence: &'a Proofs,
    },
}

/// Proofs by their SHA-256.
pub type Proofs = BTreeMap<String, serde_json::Value>;

/// What of the plan is to be run, and how.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Ids or groups; all when empty.
    pub only: Vec<String>,
    /// How deep.
    pub depth: Depth,
    /// What a campaign that was stopped gave already: not run again.
    pub done: Vec<CaseResult>,
    /// The proofs of those.
    pub proofs: Proofs,
    /// Ends the campaign when cancelled.
    pub stop: CancellationToken,
    /// How many cases at a time, 1 to [`MAX_PARALLEL`]; usually the job's own
    /// [`limits.parallel`](crate::job::Limits::parallel).
    pub parallel: usize,
}

impl Default for Asked {
    /// The whole plan, one case after the other.
    fn default() -> Asked {
        Asked {
            only: Vec::new(),
            depth: Depth::Complet,
            done: Vec::new(),
            proofs: Proofs::new(),
            stop: CancellationToken::new(),
            parallel: 1,
        }
    }
}

/// Most cases at a time: each has a connection or two to each server, and servers let in some tens from one address.
pub const MAX_PARALLEL: usize = 16;

/// Said of a case that was still to be run, or under way, when the campaign was stopped.
const STOPPED: &str = "la campagne a été arrêtée avant la fin de ce cas";

/// What a case that runs says to the engine.
enum Said {
    /// What it waits for.
    Waits(String),
    /// What it no longer counts on.
    LetsGo(Things),
}

/// How a case that runs speaks to the engine.
struct Voice {
    case: &'static Case,
    to: mpsc::UnboundedSender<(&'static Case, Said)>,
    may_let_go: bool,
    calm: Arc<Calm>,
}

tokio::task_local! {
    static VOICE: Voice;
}

/// Tells that the case that runs waits, and for what ([`Progress::Waiting`]). Nothing outside of a campaign.
pub fn waiting(what: impl Into<String>) {
    // Nobody listens any more: the campaign is over, and so is the wait.
    let _ = VOICE.try_with(|voice| voice.to.send((voice.case, Said::Waits(what.into()))));
}

/// Tells that the case that runs does not count on these any more: others may disturb them. Whoever says so asks
/// [`disturbed_since`] about what it sees then, and sets [`Findings::again`](crate::context::Findings::again) when it may be their doing.
pub(crate) fn lets_go(things: Things) {
    let _ = VOICE.try_with(|voice| voice.may_let_go.then(|| voice.to.send((voice.case, Said::LetsGo(things)))));
}

/// Whether another case disturbed, after that instant, what the case that runs let go of.
pub(crate) fn disturbed_since(instant: Instant) -> bool {
    VOICE.try_with(|voice| voice.calm.disturbed_since(instant)).unwrap_or(false)
}

/// What is wrong before anything is run: never a non-conformity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preflight {
    /// What was looked at.
    pub quoi: String,
    /// Whether it is right.
    pub bon: bool,
    /// What was seen, and what to do.
    pub detail: String,
}

/// « Vérifier la configuration »: ports, banners, TLS, and that one good token is taken by both.
pub async fn preflight(context: &Context) -> Vec<Preflight> {
    let mut checks = Vec::new();
    for protocol in Protocol::BOTH {
        let log = Log::default();
        let place = &context.server(protocol).address;
        let (bon, detail) = match context.open(protocol, &log).await {
            Ok(_) => (true, format!("{place} répond, TLS établi")),
            Err(error @ WireError::Unreachable(_)) => {
                (false, format!("{place} : {error}. Vérifiez l'adresse, le port, le pare-feu."))
            }
            Err(error) => (false, format!("{place} : {error}")),
        };
        checks.push(Preflight { quoi: format!("{} : connexion et STARTTLS", protocol.label()), bon, detail });
        if !bon {
            continue;
        }
        let check = match context.nominal(protocol, &log).await {
            None => (false, "pas de jeton : sections [psc] et [mailbox] du job".to_owned()),
            Some(login) if login.is_accepted() => (true, "un jeton nominal est accepté".to_owned()),
            Some(login) => (
                false,
                format!(
                    "{} — l'opérateur croit-il cet émetteur (psc.issuer) et cette clé ? la BAL est-elle à cet IDNAT ?",
                    login.line
                ),
            ),
        };
        checks.push(Preflight {
            quoi: format!("{} : authentification nominale", protocol.label()),
            bon: check.0,
            detail: check.1,
        });
    }
    checks
}

/// Whether a case is in a campaign.
fn is_asked(case: &Case, context: &Context, asked: &Asked) -> bool {
    let is_named = |name: &String| name.eq_ignore_ascii_case(&case.id) || name.eq_ignore_ascii_case(case.group());
    context.job.plan.has(case)
        && (asked.only.is_empty() || asked.only.iter().any(is_named))
        && (asked.depth == Depth::Complet || case.prod)
}

/// A case that was run to its end.
struct Ran {
    case: &'static Case,
    result: CaseResult,
    proofs: Proofs,
    /// Whether it is to be run again, undisturbed.
    again: bool,
}

/// A case under way.
type Going<'c> = Pin<Box<dyn Future<Output = Ran> + Send + 'c>>;

/// Runs one case to its end.
async fn one(case: &'static Case, context: &Context) -> Ran {
    let started = Instant::now();
    let findings = cases::run(case, context).await;
    let result = CaseResult {
        verdict: Verdict::of(findings.variants.iter().map(|variant| &variant.verdict)),
        variantes: findings.variants,
        duree_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        ..CaseResult::open(case, "")
    };
    Ran { case, result, proofs: findings.evidence, again: findings.again }
}

impl CaseResult {
    /// Of a case that was not run.
    fn open(case: &Case, cause: &str) -> CaseResult {
        CaseResult {
            id: case.id.clone(),
            titre: case.title.clone(),
            exigences: case.requirements.clone(),
            gravite: case.severity,
            verdict: Verdict::NonExecute { cause: cause.to_owned() },
            variantes: Vec::new(),
            duree_ms: 0,
        }
    }
}

/// Runs the plan's cases.
pub async fn run(context: &Context, asked: Asked, told: &(dyn Fn(Progress<'_>) + Sync)) -> Campaign {
    let began = OffsetDateTime::now_utc();
    let all = &Catalogue::embedded().cases;
    let planned: Vec<&'static Case> = all.iter().filter(|case| is_asked(case, context, &asked)).collect();
    let mut results: BTreeMap<String, CaseResult> =
        asked.done.iter().map(|result| (result.id.clone(), result.clone())).collect();
    let mut proofs = asked.proofs.clone();
    let left = planned.iter().copied().filter(|case| !results.contains_key(&case.id));
    let turns = Turns::new(left, asked.parallel.clamp(1, MAX_PARALLEL));
    told(Progress::Planned(turns.left()));
    let mut over = |result: CaseResult, evidence: Proofs| {
        told(Progress::Done { result: &result, evidence: &evidence });
        proofs.extend(evidence);
        results.insert(result.id.clone(), result);
    };
    all_of(context, turns, &asked.stop, told, &mut over).await;
    let results: Vec<CaseResult> = planned
        .iter()
        .map(|case| results.remove(&case.id).unwrap_or_else(|| CaseResult::open(case, STOPPED)))
        .collect();
    let mut counts = BTreeMap::new();
    for result in &results {
        *counts.entry(result.verdict.label()).or_insert(0) += 1;
    }
    let rfc3339 = |instant: OffsetDateTime| instant.format(&Rfc3339).unwrap_or_default();
    let job = &context.job;
    Campaign {
        plan: job.plan.code().to_owned(),
        nom: job.name.clone(),
        operateur: job.operator.name.clone(),
        solution: job.operator.solution.clone(),
        version_solution: job.operator.version.clone(),
        domaines: job.operator.domains.clone(),
        cible: Protocol::BOTH
            .iter()
            .map(|p| format!("{} {} ({})", p.label(), context.server(*p).name, context.server(*p).address))
            .collect(),
        profondeur: asked.depth,
        partielle: !asked.only.is_empty() || asked.depth == Depth::Eclair,
        debut: rfc3339(began),
        fin: rfc3339(OffsetDateTime::now_utc()),
        verdict: CampaignVerdict::of(results.iter().map(|result| (result.gravite, &result.verdict))),
        comptes: counts,
        cas: results,
        preuves: proofs,
    }
}

/// Runs these, each when its turn comes, until all are over or the campaign is stopped.
async fn all_of(
    context: &Context,
    mut turns: Turns,
    stop: &CancellationToken,
    told: &(dyn Fn(Progress<'_>) + Sync),
    over: &mut (dyn FnMut(CaseResult, Proofs) + Send),
) {
    let (to, mut said) = mpsc::unbounded_channel();
    let mut going: FuturesUnordered<Going<'_>> = FuturesUnordered::new();
    loop {
        while !stop.is_cancelled()
            && let Some(Turn { case, may_let_go, calm, .. }) = turns.begin()
        {
            told(Progress::Begun(case));
            let voice = Voice { case, to: to.clone(), may_let_go, calm };
            going.push(Box::pin(VOICE.scope(voice, one(case, context))));
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            Some((case, said)) = said.recv() => match said {
                Said::Waits(what) => told(Progress::Waiting { case, what: &what }),
                Said::LetsGo(things) => turns.let_go(case, things),
            },
            next = going.next() => match next {
                Some(ran) => {
                    if !turns.over(ran.case, ran.again) {
                        over(ran.result, ran.proofs);
                    }
                }
                None => return,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A job against ports where nobody is: every case ends at once, inconclusive.
    fn context(parallel: usize) -> Context {
        let job = format!(
            "plan = \"api-lps\"\n[operator]\nname = \"x\"\ndomains = [\"x.test\"]\n[api_lps]\nprivate_addresses = true\n\
             autoconfig = \"127.0.0.1:1\"\nimap = {{ address = \"127.0.0.1:1\", name = \"x.test\" }}\n\
             smtp = {{ address = \"127.0.0.1:1\", name = \"x.test\" }}\n[limits]\nparallel = {parallel}\npatience_seconds = 2\n"
        );
        Context::new(toml::from_str(&job).expect("a job")).expect("a context")
    }

    #[tokio::test]
    async fn a_campaign_goes_on_where_it_was_stopped() {
        let context = context(4);
        let only = vec!["STL".to_owned(), "IMA-01".to_owned()];
        let asked = |stop: &CancellationToken| Asked {
            only: only.clone(),
            stop: stop.clone(),
            parallel: context.job.limits.parallel,
            ..Asked::default()
        };
        fn sent<T: Send>(future: T) -> T {
            future
        }
        let whole = sent(run(&context, asked(&CancellationToken::new()), &|_| {})).await;
        assert_eq!(whole.cas.len(), 7);
        assert!(whole.cas.iter().all(|case| case.verdict.code() == "inconclusif"), "{:?}", whole.comptes);

        let stop = CancellationToken::new();
        let (kept, planned) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let told = |progress: Progress<'_>| match progress {
            Progress::Planned(count) => planned.lock().expect("no panic").push(count),
            Progress::Done { result, evidence } => {
                kept.lock().expect("no panic").push((result.clone(), evidence.clone()));
                stop.cancel();
            }
            _ => {}
        };
        let part = run(&context, asked(&stop), &told).await;
        let (done, proofs): (Vec<_>, Vec<_>) = kept.lock().expect("no panic").drain(..).unzip();
        assert_eq!(done.len(), 1);
        assert_eq!(part.cas.iter().filter(|case| case.verdict.code() == "non_execute").count(), 6);
        assert_eq!(part.verdict, CampaignVerdict::NonEtabli);

        let again = CancellationToken::new();
        let proofs: Proofs = proofs.into_iter().flatten().collect();
        let told_again = |progress: Progress<'_>| {
            if let Progress::Planned(count) = progress {
                planned.lock().expect("no panic").push(count);
            }
        };
        let rest = run(&context, Asked { done: done.clone(), proofs, ..asked(&again) }, &told_again).await;
        assert_eq!(*planned.lock().expect("no panic"), [7, 6]);
        let ids = |campaign: &Campaign| campaign.cas.iter().map(|case| case.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&rest), ids(&whole), "the catalogue's order, whatever ended first");
        assert!(rest.cas.iter().all(|case| case.verdict.code() == "inconclusif"));
        let cited = rest.cas.iter().flat_map(|case| &case.variantes).flat_map(|variant| &variant.preuves);
        assert!(cited.into_iter().all(|proof| rest.preuves.contains_key(proof)), "no proof is lost");
    }

    #[tokio::test]
    async fn a_case_says_what_it_waits_for() {
        waiting("outside of a campaign: nobody hears");
        let case = Catalogue::embedded().case("JWT-22").expect("in the catalogue");
        let (sender, mut waits) = mpsc::unbounded_channel();
        let voice = |may_let_go| Voice { case, to: sender.clone(), may_let_go, calm: Arc::default() };
        VOICE.scope(voice(false), async { waiting("la fin d'un bail") }).await;
        let (heard, said) = waits.recv().await.expect("heard");
        assert!(heard.id == "JWT-22" && matches!(said, Said::Waits(what) if what == "la fin d'un bail"));
        VOICE.scope(voice(false), async { lets_go(Things::PSC) }).await;
        VOICE.scope(voice(true), async { lets_go(Things::SERVER) }).await;
        let (_, said) = waits.recv().await.expect("heard");
        assert!(matches!(said, Said::LetsGo(Things::SERVER)), "who may not let go is not heard");
        lets_go(Things::PSC);
        assert!(!disturbed_since(Instant::now()), "outside of a campaign nothing is");
    }
}
