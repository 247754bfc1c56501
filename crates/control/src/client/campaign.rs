//! A campaign about mail software: the same cases, verdicts and report as for an operator, with the software as what is controlled.
//!
//! A case ends by observation. A step is done by a command of the job, or by somebody: then what to do is told, and the step is over once the
//! software came and nothing moves any more. What must not happen is looked at between two controls with a good operator, so that software
//! that does nothing at all is not called prudent.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::{sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::checks::{self, Look};
use super::content;
use super::data::{Check, ClientCase, ClientCatalogue, Scenario, places, scenarios};
use super::hands::{Act, Hands, Place, Played, Word};
use super::job::ClientJob;
use super::operator::{Operator, StartError};
use super::seen::{Service, Session};
use super::step::Step;
use crate::context::{Findings, Protocol, VariantResult};
use crate::engine::{Campaign, CaseResult, Depth, Progress};
use crate::verdict::{CampaignVerdict, Verdict};

/// After a command, how long sessions may take to end.
const SETTLE: Duration = Duration::from_secs(2);
/// Between two looks at what moves.
const LOOK: Duration = Duration::from_millis(50);

/// How long the software may take to be made ready, when somebody drives it.
const READY: Duration = Duration::from_secs(3600);
/// Said of a case that was still to be run, or under way, when the campaign was stopped.
const STOPPED: &str = "campagne arrêtée";

/// What is asked of a campaign.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Ids, all when empty.
    pub only: Vec<String>,
    /// What a campaign that was stopped gave already: not run again.
    pub done: Vec<CaseResult>,
    /// Its proofs.
    pub proofs: BTreeMap<String, serde_json::Value>,
    /// Stops it: what is under way is dropped, and not told as done.
    pub stop: CancellationToken,
    /// Who drives the software, step by step; none: steps are told, and over once nothing moves.
    pub hands: Option<Hands>,
}

/// Runs the cases. `only`: ids, all when empty. Stopped, it gives what it has: the cases left are not run.
///
/// # Errors
/// [`StartError`].
pub async fn run(
    job: &ClientJob,
    only: &[String],
    stop: &CancellationToken,
    told: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Campaign, StartError> {
    run_asked(job, Asked { only: only.to_vec(), stop: stop.clone(), ..Asked::default() }, told).await
}

/// The same, gone on with, or driven by hand. Whatever becomes of it, the ports are closed at its end.
///
/// # Errors
/// [`StartError`], before anything was told.
pub async fn run_asked(
    job: &ClientJob,
    asked: Asked,
    told: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Campaign, StartError> {
    let Asked { only, done, proofs, stop, hands } = asked;
    let began = OffsetDateTime::now_utc();
    let operator = Operator::start(&job.client).await?;
    if let Some(hands) = &hands {
        hands.opened(place(job, &operator), operator.seen.clone());
    }
    let asked = |case: &&ClientCase| {
        only.is_empty()
            || only.iter().any(|id| id.eq_ignore_ascii_case(&case.case.id) || id.eq_ignore_ascii_case("CLI"))
    };
    let cases: Vec<&ClientCase> = ClientCatalogue::embedded().cases.iter().filter(asked).collect();
    let is_done = |case: &ClientCase| done.iter().any(|one| one.id == case.case.id);
    told(Progress::Planned(cases.iter().filter(|case| !is_done(case)).count()));
    let mut run = Run {
        job,
        operator,
        told,
        stop: &stop,
        hands: hands.clone(),
        is_resumed: !done.is_empty(),
        seen: BTreeMap::new(),
        controls: BTreeMap::new(),
        ids: BTreeMap::new(),
    };
    let is_ready = match hands {
        Some(_) if cases.iter().any(|case| !is_done(case)) => run.ready().await,
        _ => true,
    };
    let mut results = Vec::new();
    let mut proofs = proofs;
    for case in cases {
        if let Some(before) = done.iter().find(|one| one.id == case.case.id) {
            results.push(before.clone());
            continue;
        }
        if stop.is_cancelled() || !is_ready {
            let cause = if is_ready { STOPPED } else { "personne n'a dit que le logiciel était prêt" };
            let result = unrun(case, cause);
            if !stop.is_cancelled() {
                told(Progress::Begun(&case.case));
                told(Progress::Done { result: &result, evidence: &BTreeMap::new() });
            }
            results.push(result);
            continue;
        }
        told(Progress::Begun(&case.case));
        let started = Instant::now();
        let findings = run.case(case).await;
        let result = CaseResult {
            id: case.case.id.clone(),
            titre: case.case.title.clone(),
            exigences: case.case.requirements.clone(),
            gravite: case.case.severity,
            verdict: Verdict::of(findings.variants.iter().map(|variant| &variant.verdict)),
            variantes: findings.variants,
            duree_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        if stop.is_cancelled() {
            // Stopped under it: what it says may be of that.
            results.push(unrun(case, STOPPED));
            continue;
        }
        told(Progress::Done { result: &result, evidence: &findings.evidence });
        proofs.extend(findings.evidence);
        results.push(result);
    }
    let mut counts = BTreeMap::new();
    for result in &results {
        *counts.entry(result.verdict.label()).or_insert(0) += 1;
    }
    let rfc3339 = |instant: OffsetDateTime| instant.format(&Rfc3339).unwrap_or_default();
    let (imap, smtp) = run.operator.places(0);
    let campaign = Campaign {
        plan: super::job::PLAN.to_owned(),
        nom: job.name.clone(),
        operateur: if job.software.vendor.is_empty() { job.software.name.clone() } else { job.software.vendor.clone() },
        solution: job.software.name.clone(),
        version_solution: job.software.version.clone(),
        domaines: vec![job.client.domain.clone()],
        cible: vec![format!(
            "opérateur scénarisé : IMAP {imap}, SMTP {smtp}, autoconfiguration {}",
            run.operator.autoconfig
        )],
        profondeur: Depth::Complet,
        partielle: !only.is_empty() || stop.is_cancelled(),
        debut: rfc3339(began),
        fin: rfc3339(OffsetDateTime::now_utc()),
        verdict: CampaignVerdict::of(results.iter().map(|result| (result.gravite, &result.verdict))),
        comptes: counts,
        cas: results,
        preuves: proofs,
    };
    if let Some(hands) = &run.hands {
        hands.closed();
    }
    run.operator.stop().await;
    Ok(campaign)
}

/// A case that was not run.
fn unrun(case: &ClientCase, cause: &str) -> CaseResult {
    CaseResult {
        id: case.case.id.clone(),
        titre: case.case.title.clone(),
        exigences: case.case.requirements.clone(),
        gravite: case.case.severity,
        verdict: Verdict::NonExecute { cause: cause.to_owned() },
        variantes: Vec::new(),
        duree_ms: 0,
    }
}

/// Where it is, for whoever drives the software.
fn place(job: &ClientJob, operator: &Operator) -> Place {
    let scenarios = scenarios().iter().enumerate().map(|(at, scenario)| {
        let (imap, smtp) = operator.places(at);
        Played { nom: scenario.nom.clone(), titre: scenario.titre.clone(), imap: imap.port(), smtp: smtp.port() }
    });
    Place {
        host: job.client.host(),
        domain: job.client.domain.clone(),
        address: job.client.listen,
        autoconfig: operator.autoconfig,
        dns: job.client.dns,
        scenarios: scenarios.collect(),
    }
}

/// What was seen of a step, or why it was not done.
type Acted = Result<Vec<Session>, Verdict>;

struct Run<'r> {
    job: &'r ClientJob,
    operator: Operator,
    told: &'r (dyn Fn(Progress<'_>) + Sync),
    stop: &'r CancellationToken,
    hands: Option<Hands>,
    /// Whether some of it was run before, by an operator that is gone with what it saw.
    is_resumed: bool,
    /// Steps with the good operator, which several cases look at.
    seen: BTreeMap<Step, Vec<Session>>,
    /// Whether each step last worked with the good operator.
    controls: BTreeMap<Step, bool>,
    /// Message-IDs so far and how often each came.
    ids: BTreeMap<String, usize>,
}

/// Whether a check needs the sandwich.
fn is_negative(check: Check) -> bool {
    matches!(check, Check::AucuneConnexion | Check::AucunSecret | Check::Injection | Check::Retenue | Check::Taille)
}

impl Run<'_> {
    async fn case(&mut self, case: &ClientCase) -> Findings {
        let mut findings = Findings::default();
        if case.check == Check::SecretsDeLaCampagne {
            let sessions = self.operator.seen.since(0);
            let (mut verdict, seen) = checks::secrets(case, &sessions);
            if self.is_resumed && verdict == Verdict::Conforme {
                verdict = Verdict::unclear(
                    "la campagne a été interrompue puis reprise : ce qui a été envoyé avant n'est plus là pour être regardé",
                );
            }
            let where_sent: Vec<_> = sessions
                .iter()
                .filter(|session| !session.secrets.is_empty())
                .map(|session| json!({ "session": session.numero, "service": session.service, "scenario": session.scenario, "secrets": session.secrets }))
                .collect();
            let proof = findings.keep(&where_sent);
            findings.tell("toute la campagne", None, &case.case.expected, seen, verdict, Some(proof));
            return findings;
        }
        let places = places();
        for name in &case.scenarios {
            // Tested: cases name scenarios that there are.
            let Some(&place) = places.get(name.as_str()) else { continue };
            if case.step == Some(Step::Configurer) {
                self.variant(case, place, None, Step::Configurer, &mut findings).await;
                continue;
            }
            for protocol in &case.protocols {
                let step = case.step.unwrap_or_else(|| Step::of(*protocol));
                self.variant(case, place, Some(*protocol), step, &mut findings).await;
            }
        }
        if is_negative(case.check) {
            self.after(case, &mut findings).await;
        }
        // Messages were judged; those of the good operator are looked at again.
        let kept: bool = self.seen.values().flatten().any(|session| !session.messages.is_empty());
        if !kept {
            self.operator.seen.forget_messages();
        }
        findings
    }

    async fn variant(
        &mut self,
        case: &ClientCase,
        place: usize,
        protocol: Option<Protocol>,
        step: Step,
        findings: &mut Findings,
    ) {
        let scenario = &scenarios()[place];
        let before = match is_negative(case.check) {
            true => self.control(case, step).await,
            false => None,
        };
        let acted = if place == 0 { self.nominal(case, step).await } else { self.act(case, place, step).await };
        let name = format!("{}@ : {}", scenario.nom, scenario.titre);
        let (verdict, seen, preuves) = match acted {
            Err(verdict) => (verdict, String::new(), Vec::new()),
            Ok(sessions) => {
                let proof = findings.keep(&sessions);
                let (verdict, seen, more) = self.judge(case, scenario, protocol, &sessions, before, findings);
                (verdict, seen, [Some(proof), more].into_iter().flatten().collect())
            }
        };
        findings.add(VariantResult {
            nom: name,
            protocole: protocol,
            attendu: case.case.expected.clone(),
            observe: seen,
            verdict,
            controle_avant: before,
            controle_apres: None,
            preuves,
        });
    }

    fn judge(
        &mut self,
        case: &ClientCase,
        scenario: &Scenario,
        protocol: Option<Protocol>,
        sessions: &[Session],
        before: Option<bool>,
        findings: &mut Findings,
    ) -> (Verdict, String, Option<String>) {
        let address = self.address(scenario);
        if matches!(case.check, Check::Nil | Check::EnTetes | Check::Documents | Check::SansDocument | Check::Enveloppe)
        {
            let mut mails = sessions.iter().flat_map(|session| &session.messages);
            let Some(mail) = mails.rfind(|mail| mail.accepte && !mail.octets.is_empty()) else {
                return (Verdict::unclear("aucun message accepté"), "aucun message".to_owned(), None);
            };
            let facts = content::look(mail, &address, self.job.software.nil.as_deref());
            let (mut verdict, mut seen) = checks::of_message(case, &facts);
            if case.check == Check::EnTetes && verdict == Verdict::Conforme && self.ids.values().any(|count| *count > 1)
            {
                verdict = Verdict::fault(case.case.severity);
                seen = "deux messages différents ont le même Message-ID".to_owned();
            }
            return (verdict, seen, Some(findings.keep(&facts)));
        }
        let autoconfig = format!("autoconfig.{}", self.job.client.domain);
        let look = Look {
            case,
            scenario,
            protocol,
            sessions,
            address: &address,
            autoconfig: &autoconfig,
            controls: (before, None),
        };
        let (verdict, seen) = look.said();
        (verdict, seen, None)
    }

    fn address(&self, scenario: &Scenario) -> String {
        format!("{}@{}", scenario.nom, self.job.client.domain)
    }

    /// Whether the step works with the good operator: done anew by command, remembered when somebody would have to do it each time.
    async fn control(&mut self, case: &ClientCase, step: Step) -> Option<bool> {
        if let Some(known) = self.controls.get(&step) {
            return Some(*known);
        }
        self.control_anew(case, step).await
    }

    async fn control_anew(&mut self, case: &ClientCase, step: Step) -> Option<bool> {
        let sessions = if self.job.client.command.is_some() {
            self.act(case, 0, step).await
        } else {
            self.nominal(case, step).await
        };
        let works = match (sessions, step) {
            (Err(_), _) => return None,
            (Ok(sessions), Step::Configurer) => {
                sessions.iter().any(|session| session.service == Service::Autoconfig && session.abouti)
                    && sessions.iter().any(|session| matches!(session.service, Service::Imap | Service::Smtp))
            }
            (Ok(sessions), Step::Relever | Step::Surveiller) => {
                sessions.iter().any(|session| session.service == Service::Imap && session.abouti)
            }
            (Ok(sessions), Step::Envoyer | Step::EnvoyerDocument) => {
                sessions.iter().any(|session| session.service == Service::Smtp && session.abouti)
            }
        };
        self.controls.insert(step, works);
        Some(works)
    }

    /// The second slice of the sandwich: what was said to be good stays so only if the software still works.
    async fn after(&mut self, case: &ClientCase, findings: &mut Findings) {
        if self.job.client.command.is_none() {
            return;
        }
        let mut again = BTreeMap::new();
        for variant in &mut findings.variants {
            if variant.preuves.is_empty() {
                continue;
            }
            let step = case.step.or(variant.protocole.map(Step::of)).unwrap_or(Step::Configurer);
            let works = match again.get(&step) {
                Some(works) => *works,
                None => {
                    let works = self.control_anew(case, step).await;
                    again.insert(step, works);
                    works
                }
            };
            variant.controle_apres = works;
            if works == Some(false) && variant.verdict == Verdict::Conforme {
                variant.verdict =
                    Verdict::unclear("ensuite, avec un opérateur conforme, la même action n'aboutit plus");
            }
        }
    }

    /// A step with the good operator, done once for all the cases that look at it.
    async fn nominal(&mut self, case: &ClientCase, step: Step) -> Acted {
        if let Some(known) = self.seen.get(&step) {
            return Ok(known.clone());
        }
        let sessions = self.act(case, 0, step).await?;
        self.seen.insert(step, sessions.clone());
        Ok(sessions)
    }

    /// Has a step done, and waits for its end.
    async fn act(&mut self, case: &ClientCase, place: usize, step: Step) -> Acted {
        let unrun = |cause: &str| Err(Verdict::NonExecute { cause: cause.to_owned() });
        if self.stop.is_cancelled() {
            return unrun(STOPPED);
        }
        if !self.job.client.does(step) {
            return unrun(&format!("client.steps du job : « {} » n'est pas fait", step.code()));
        }
        let mark = self.operator.begin(place);
        let stop = self.stop.clone();
        let done = tokio::select! {
            () = stop.cancelled() => Err(STOPPED.to_owned()),
            done = self.do_step(case, place, step, mark) => done,
        };
        let sessions = self.operator.seen.since(mark);
        if let Err(cause) = done {
            return unrun(&cause);
        }
        for mail in sessions.iter().flat_map(|session| &session.messages).filter(|mail| mail.accepte) {
            if let Some(id) = &mail.message_id {
                *self.ids.entry(id.clone()).or_insert(0) += 1;
            }
        }
        Ok(sessions)
    }

    async fn do_step(&self, case: &ClientCase, place: usize, step: Step, mark: u64) -> Result<(), String> {
        let scenario = &scenarios()[place];
        let (imap, smtp) = self.operator.places(place);
        let address = self.address(scenario);
        let settings = &self.job.client;
        let recipient = settings.recipient.clone().unwrap_or_else(|| format!("destinataire@{}", settings.domain));
        match &settings.command {
            Some(command) => {
                let values = [
                    ("{step}", step.code().to_owned()),
                    ("{scenario}", scenario.nom.clone()),
                    ("{address}", address),
                    ("{recipient}", recipient),
                    ("{host}", settings.host()),
                    ("{imap}", imap.to_string()),
                    ("{smtp}", smtp.to_string()),
                    ("{autoconfig}", self.operator.autoconfig.to_string()),
                ];
                let fill = |word: String| values.iter().fold(word, |word, (name, value)| word.replace(name, value));
                let words: Vec<String> = command.words().into_iter().map(fill).collect();
                self.run_command(&words).await?;
                self.settle(mark).await;
                Ok(())
            }
            None => {
                let what = format!(
                    "votre action — {} : {address} (IMAP {imap}, SMTP {smtp}, serveur {})",
                    step.label(),
                    settings.host()
                );
                (self.told)(Progress::Waiting { case: &case.case, what: &what });
                let Some(hands) = &self.hands else { return self.wait(mark).await };
                hands.begins(mark, |numero| Act {
                    numero,
                    cas: case.case.id.clone(),
                    etape: Some(step),
                    action: step.label().to_owned(),
                    scenario: scenario.nom.clone(),
                    adresse: address,
                    destinataire: recipient,
                    imap: imap.to_string(),
                    smtp: smtp.to_string(),
                });
                let done = tokio::select! {
                    done = self.wait(mark) => done,
                    word = hands.word() => self.said(word, mark).await,
                };
                hands.ends();
                done
            }
        }
    }

    /// Waits until somebody says that the software is ready; whether they did.
    async fn ready(&self) -> bool {
        let Some(hands) = &self.hands else { return true };
        let (imap, smtp) = self.operator.places(0);
        hands.begins(self.operator.seen.mark(), |numero| Act {
            numero,
            cas: String::new(),
            etape: None,
            action: "Préparer le logiciel".to_owned(),
            scenario: scenarios()[0].nom.clone(),
            adresse: self.address(&scenarios()[0]),
            destinataire: String::new(),
            imap: imap.to_string(),
            smtp: smtp.to_string(),
        });
        let is_ready = tokio::select! {
            () = self.stop.cancelled() => true,
            word = timeout(READY, hands.word()) => word == Ok(Word::Done),
        };
        hands.ends();
        is_ready
    }

    /// What somebody said of a step.
    async fn said(&self, word: Word, mark: u64) -> Result<(), String> {
        if word == Word::Unable {
            return Err("d'après le testeur, le logiciel ne sait pas le faire".to_owned());
        }
        self.settle(mark).await;
        match self.operator.seen.mark() == mark {
            true => Err("dit fait par le testeur, et rien n'est venu du logiciel".to_owned()),
            false => Ok(()),
        }
    }

    /// Runs the command to its end; how it ends says nothing: what counts is what was seen.
    async fn run_command(&self, words: &[String]) -> Result<(), String> {
        let Some((program, arguments)) = words.split_first() else { return Err("client.command : vide".to_owned()) };
        let mut child = tokio::process::Command::new(program);
        child.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = child.spawn().map_err(|error| format!("client.command : {program} : {error}"))?;
        // Too long: killed when dropped, and judged on what it did.
        let _ = timeout(self.job.client.patience(), child.wait()).await;
        Ok(())
    }

    /// Waits until sessions have ended, a little.
    async fn settle(&self, mark: u64) {
        let until = Instant::now() + SETTLE;
        while Instant::now() < until && self.operator.seen.since(mark).iter().any(|session| session.fin_ms.is_none()) {
            sleep(LOOK).await;
        }
    }

    /// Waits until the software came, then until nothing moves.
    async fn wait(&self, mark: u64) -> Result<(), String> {
        let mut moved = self.operator.seen.watch();
        let until = tokio::time::Instant::now() + self.job.client.patience();
        while self.operator.seen.mark() == mark {
            if timeout_at(until, moved.changed()).await.is_err() {
                return Err(format!("aucune action constatée en {} s", self.job.client.wait_seconds));
            }
        }
        let quiet = Duration::from_secs(self.job.client.quiet_seconds.max(1));
        while tokio::time::Instant::now() < until && timeout(quiet, moved.changed()).await.is_ok() {}
        Ok(())
    }
}
