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
    let began = OffsetDateTime::now_utc();
    let operator = Operator::start(&job.client).await?;
    let asked = |case: &&ClientCase| {
        only.is_empty()
            || only.iter().any(|id| id.eq_ignore_ascii_case(&case.case.id) || id.eq_ignore_ascii_case("CLI"))
    };
    let cases: Vec<&ClientCase> = ClientCatalogue::embedded().cases.iter().filter(asked).collect();
    told(Progress::Planned(cases.len()));
    let mut run =
        Run { job, operator, told, stop, seen: BTreeMap::new(), controls: BTreeMap::new(), ids: BTreeMap::new() };
    let mut results = Vec::new();
    let mut proofs = BTreeMap::new();
    for case in cases {
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
    run.operator.stop().await;
    Ok(campaign)
}

/// What was seen of a step, or why it was not done.
type Acted = Result<Vec<Session>, Verdict>;

struct Run<'r> {
    job: &'r ClientJob,
    operator: Operator,
    told: &'r (dyn Fn(Progress<'_>) + Sync),
    stop: &'r CancellationToken,
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
            let (verdict, seen) = checks::secrets(case, &sessions);
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
            return unrun("campagne arrêtée");
        }
        if !self.job.client.does(step) {
            return unrun(&format!("client.steps du job : « {} » n'est pas fait", step.code()));
        }
        let mark = self.operator.begin(place);
        let stop = self.stop.clone();
        let done = tokio::select! {
            () = stop.cancelled() => Err("campagne arrêtée".to_owned()),
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
                self.wait(mark).await
            }
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
