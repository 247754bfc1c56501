//! What the operator sends (OPE-10 to OPE-18, SMA-02): the campaign hands messages for the traps to the operator's own API LPS, from the BAL
//! of the tests, and watches the traps and the notices that come back.
//!
//! What must not be delivered is a sandwich: a letter to the nominal trap before and after must arrive, or nothing is concluded. Silence
//! concludes nothing: only what a trap received, a notice, or what a session showed does. One silence speaks: of two letters acknowledged in
//! the same session, to the same trap, one came in time and of the other nothing was ever seen, neither an attempt nor a notice. It is lost.

mod judge;
mod notice;
mod post;
#[cfg(test)]
mod tests;
mod watch;

use serde_json::json;

use crate::catalogue::Case;
use crate::context::{Context, Findings, Protocol};
use crate::trap::Trap;
use crate::verdict::Verdict;
use crate::wire::Log;
use judge::{Judged, Terms};
use post::{Handed, Letter, post};
use watch::{Seen, Watch};

/// What is run.
pub(super) const CASES: &[&str] =
    &["SMA-02", "OPE-10", "OPE-11", "OPE-12", "OPE-13", "OPE-14", "OPE-15", "OPE-16", "OPE-17", "OPE-18"];

/// What is asked of a trap's letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Must {
    /// It comes, at once.
    Arrive,
    /// It comes after retries, once.
    Return,
    /// It does not come, and the sender is told.
    Stay,
    /// It is refused by the trap, and the sender is told with that status.
    Fail(&'static str),
    /// Nothing connects.
    Nowhere,
    /// What was injected is not believed.
    Doubt,
}

/// The traps of a case.
fn traps(id: &str) -> &'static [(&'static str, Must)] {
    match id {
        "SMA-02" | "OPE-10" => &[("nominal", Must::Arrive)],
        "OPE-11" => &[("sans-starttls", Must::Stay)],
        "OPE-12" => &[
            ("expire", Must::Stay),
            ("revoque", Must::Stay),
            ("autosigne", Must::Stay),
            ("mauvais-nom", Must::Stay),
            ("autre-ac", Must::Stay),
            ("dn-non-liste", Must::Stay),
        ],
        "OPE-13" => &[("tls10", Must::Stay), ("suites-hors-liste", Must::Stay), ("dh1024", Must::Stay)],
        "OPE-14" => &[("hors-liste", Must::Nowhere)],
        "OPE-15" => &[("liste-grise", Must::Return), ("421", Must::Return), ("lent", Must::Return)],
        "OPE-16" => &[("refus", Must::Fail("5.1.1")), ("plein", Must::Fail("5.2.2")), ("contenu", Must::Fail("5.6.0"))],
        "OPE-17" => &[("coupure-data", Must::Return), ("mx2", Must::Return)],
        "OPE-18" => &[("injection", Must::Doubt)],
        _ => &[],
    }
}

pub(super) async fn run(case: &Case, context: &Context, findings: &mut Findings) {
    let log = Log::default();
    if let Err(verdict) = play(case, context, &log, findings).await {
        let proof = findings.keep(&log.lines());
        findings.tell("cas", Some(Protocol::Smtp), &case.expected, "", verdict, Some(proof));
    }
}

/// The whole case; an error when it cannot be played to its end.
async fn play(case: &Case, context: &Context, log: &Log, findings: &mut Findings) -> Result<(), Verdict> {
    let mut watch = Watch::begin(context).await?;
    let asked: Vec<(&'static Trap, Must)> =
        traps(&case.id).iter().filter_map(|(name, must)| Some((Trap::named(name)?, *must))).collect();
    let letter =
        |trap: &'static Trap, watch: &Watch<'_>, word: &str| Letter::new(trap, &watch.domain, &watch.batch, word);
    let mut letters: Vec<Letter> = asked.iter().map(|(trap, _)| letter(trap, &watch, trap.name)).collect();
    let needs_control = asked.iter().any(|(_, must)| !matches!(must, Must::Arrive | Must::Return));
    let nominal = Trap::named("nominal").filter(|_| needs_control);
    if let Some(nominal) = nominal {
        letters.push(letter(nominal, &watch, "avant"));
    }
    let awaited = asked.iter().find(|(_, must)| *must == Must::Arrive).map(|(trap, _)| *trap);
    if let Some(trap) = awaited {
        letters.push(letter(trap, &watch, "temoin"));
    }
    let posted = post(context, &case.id, &mut letters, log).await;
    let waited = match posted {
        Ok(()) => wait(context, &asked, &mut letters, &mut watch).await,
        Err(verdict) => Err(verdict),
    };
    let witness = awaited.and_then(|_| letters.pop());
    let before = nominal.map(|_| letters.pop().is_some_and(|letter| !watch.seen.taken(&letter).is_empty()));
    let after = match (nominal, before, &waited) {
        (Some(nominal), Some(true), Ok(())) => {
            let mut last = [letter(nominal, &watch, "apres")];
            post(context, &case.id, &mut last, log).await?;
            let is_settled = |seen: &Seen| seen.is_settled(&last[0]);
            watch.until(&last, context.job.sending.arrival(), is_settled).await?;
            Some(!watch.seen.taken(&last[0]).is_empty())
        }
        (None, ..) => None,
        _ => Some(false),
    };
    waited?;
    let proof = findings.keep(&json!({
        "soumission": log.lines(), "lettres": letters, "temoin": witness, "avis": watch.seen.notices,
        "sessions": watch.seen.sessions.iter().filter(|s| concerns(s, &asked, &letters)).collect::<Vec<_>>(),
    }));
    for ((trap, must), letter) in asked.iter().zip(&letters) {
        let terms = Terms { case, context, trap, letter, witness: witness.as_ref(), seen: &watch.seen };
        let judged = match (before, after) {
            (Some(false), _) | (_, Some(false)) => vec![Judged {
                what: trap.name.to_owned(),
                observed: String::new(),
                verdict: Verdict::unclear("le contrôle positif échoue : le message nominal n'arrive pas au piège"),
            }],
            _ => terms.judge(*must),
        };
        for Judged { what, observed, verdict } in judged {
            findings.add(crate::context::VariantResult {
                nom: what,
                protocole: Some(Protocol::Smtp),
                attendu: case.expected.clone(),
                observe: observed,
                verdict,
                controle_avant: before,
                controle_apres: after,
                preuves: vec![proof.clone()],
            });
        }
    }
    Ok(())
}

/// Waits until it is known what became of every letter; then, where it matters, whether it comes again.
async fn wait(
    context: &Context,
    asked: &[(&'static Trap, Must)],
    letters: &mut [Letter],
    watch: &mut Watch<'_>,
) -> Result<(), Verdict> {
    let sending = &context.job.sending;
    let longest = asked.iter().map(|(_, must)| match must {
        Must::Arrive => sending.arrival(),
        Must::Return => sending.retry(),
        Must::Stay | Must::Fail(_) | Must::Nowhere | Must::Doubt => sending.notice(),
    });
    let longest = longest.max().unwrap_or_default();
    watch.until(letters, longest, |seen| letters.iter().all(|letter| seen.is_settled(letter))).await?;
    let is_repeated = |seen: &Seen| letters.iter().any(|letter| seen.taken(letter).len() > 1);
    let counts = asked.iter().any(|(_, must)| *must == Must::Return);
    let any_taken = letters.iter().any(|letter| !watch.seen.taken(letter).is_empty());
    if counts && any_taken {
        watch.until(letters, sending.repeat(), is_repeated).await?;
    }
    Ok(())
}

/// Whether a session belongs into the proof of a case: its letters, or a door of its own that broke off before anybody was named.
fn concerns(session: &crate::trap::Session, asked: &[(&'static Trap, Must)], letters: &[Letter]) -> bool {
    session.recipients().any(|to| letters.iter().any(|letter| to.run.as_deref() == Some(&*letter.run)))
        || (session.recipients().next().is_none()
            && asked.iter().any(|(trap, _)| trap.door != crate::trap::Door::Usual && trap.door.name() == session.door))
}
