//! The white list: fetched, taken when it is good, not taken when it is not, read to the letter. The operator is made to fetch another
//! list than the usual one (stand, under a lease), then a peer presents itself in names of that list.

use std::time::{Duration, Instant, SystemTime};

use crate::cases::fetching::{BETWEEN, Playing, again, fetched};
use crate::cases::receiving::Stage;
use crate::catalogue::Case;
use crate::context::{Context, Findings, Protocol, VariantResult};
use crate::engine::waiting;
use crate::forge::Expected;
use crate::peer::Attempt;
use crate::stand::white_list::{Fetch, List, Lists};
use crate::stand::{Client, Held, StandError};
use crate::verdict::{Severity, Verdict};
use crate::wire::Log;

/// What is run.
pub(super) const CASES: &[&str] = &["LBL-01", "LBL-02", "LBL-03", "LBL-04"];

const SMTP: Option<Protocol> = Some(Protocol::Smtp);
/// A period that is watched to its end; of a longer one the stand's notes are looked at.
const WATCHED: Duration = Duration::from_secs(60);
/// What the presentations of one list may take beside the waiting.
const PRESENTATIONS: Duration = Duration::from_secs(120);

/// A case under way.
struct Trial<'c> {
    case: &'c Case,
    context: &'c Context,
    stand: &'c Client,
    stage: Stage<'c>,
    data: Lists,
}

pub(super) async fn run(case: &Case, context: &Context, findings: &mut Findings) {
    let set_up = || Ok::<_, Verdict>((context.stand()?, Stage::of(context)?));
    let (stand, stage) = match set_up() {
        Ok(both) => both,
        Err(verdict) => return findings.tell("cas", None, &case.expected, "", verdict, None),
    };
    let trial = Trial { case, context, stand, stage, data: Lists::embedded() };
    match case.id.as_str() {
        "LBL-01" => trial.fetched_daily(findings).await,
        "LBL-02" => trial.added_and_taken_away(findings).await,
        "LBL-03" => trial.bad_lists(findings).await,
        _ => trial.to_the_letter(findings).await,
    }
}

/// A list that is served to the operator.
struct Served<'t> {
    trial: &'t Trial<'t>,
    list: List,
    /// The number of the last fetch before.
    since: u64,
}

impl Playing for Served<'_> {
    const WHAT: &'static str = "la liste";

    fn stand(&self) -> &Client {
        self.trial.stand
    }

    async fn play(&self, length: Duration) -> Result<Held, StandError> {
        self.trial.stand.play_list(self.list, self.trial.reader(), length).await
    }

    async fn is_fetched(&self) -> Result<bool, StandError> {
        let word = self.list.word();
        let fetches = self.trial.stand.list_fetches(self.since).await?;
        Ok(fetches.iter().any(|fetch| self.trial.is_ours(fetch) && fetch.servie == word))
    }
}

impl Trial<'_> {
    fn reader(&self) -> &str {
        self.context.job.stand.as_ref().map_or("", |stand| &stand.reader)
    }

    fn is_ours(&self, fetch: &Fetch) -> bool {
        self.reader().is_empty() || fetch.lecteur == self.reader()
    }

    async fn present(&self, domain: &str, log: &Log) -> Attempt {
        let from = format!("pair@{domain}");
        self.context.present(self.stage.server, Some(&self.stage.who), &from, self.stage.to, log).await
    }

    async fn usual(&self, log: &Log) -> Attempt {
        self.present(&self.stage.section.peer.domain, log).await
    }

    /// Serves a list and waits until the operator has got it.
    async fn serve(&self, list: List) -> Result<Held, Verdict> {
        let since = self.stand.white_list().await?.last;
        fetched(&self.context.job.limits, PRESENTATIONS, &Served { trial: self, list, since }).await
    }

    /// Presents a domain until it is let in, or refused, as is due; what was seen last otherwise.
    async fn until(&self, domain: &str, is_due: fn(&Attempt) -> bool, log: &Log) -> Attempt {
        let began = Instant::now();
        loop {
            let seen = self.present(domain, log).await;
            if is_due(&seen) || began.elapsed() >= self.context.job.limits.settle() {
                return seen;
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }

    /// LBL-01.
    async fn fetched_daily(&self, findings: &mut Findings) {
        let seen = async {
            let now = self.stand.white_list().await?;
            let all = self.stand.list_fetches(0).await?;
            Ok::<_, Verdict>((now, all.into_iter().filter(|fetch| self.is_ours(fetch)).collect::<Vec<_>>()))
        };
        let (now, fetches) = match seen.await {
            Ok(seen) => seen,
            Err(verdict) => return findings.tell("journal", None, &self.case.expected, "", verdict, None),
        };
        let period = self.context.job.limits.list();
        if period <= WATCHED {
            return self.fetched_again(now.last, period, findings).await;
        }
        let period = period.as_secs();
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let recent = fetches.iter().filter(|fetch| clock.saturating_sub(fetch.at) <= period).count();
        let watched = clock.saturating_sub(now.since);
        let told = format!(
            "{recent} rapatriement(s) en {} h ; le banc observe depuis {} min (l'authentification du serveur ne se voit pas d'ici)",
            period / 3600,
            watched / 60
        );
        let verdict = within(period, recent, watched, self.case.severity);
        let proof = findings.keep(&fetches);
        findings.tell("journal", None, &self.case.expected, told, verdict, Some(proof));
    }

    /// LBL-01 where the operator is to fetch so often that it can be waited for.
    async fn fetched_again(&self, before: u64, period: Duration, findings: &mut Findings) {
        waiting("que l'opérateur relise la liste de lui-même");
        let began = Instant::now();
        let (fetch, verdict) = loop {
            // Looked at after the time: a fetch just before its end counts.
            let is_over = began.elapsed() >= period;
            match self.stand.list_fetches(before).await {
                Err(error) => break (None, error.into()),
                Ok(fetches) => match fetches.into_iter().find(|fetch| self.is_ours(fetch)) {
                    Some(fetch) => break (Some(fetch), Verdict::Conforme),
                    None if is_over => break (None, Verdict::fault(self.case.severity)),
                    None => tokio::time::sleep(BETWEEN).await,
                },
            }
        };
        let told = match fetch {
            Some(_) => format!("relue par l'opérateur de lui-même après {} s", began.elapsed().as_secs()),
            None => format!("aucun rapatriement en {} s", began.elapsed().as_secs()),
        };
        let proof = findings.keep(&fetch);
        findings.tell("journal", None, &self.case.expected, told, verdict, Some(proof));
    }

    /// LBL-02.
    async fn added_and_taken_away(&self, findings: &mut Findings) {
        let log = Log::default();
        let witness = self.data.temoin.as_str();
        let seen = async {
            let before = self.present(witness, &log).await;
            if before.is_accepted() {
                return Err(Verdict::unclear("le domaine-témoin est admis avant d'être ajouté"));
            }
            let held = self.serve(List::Temoin).await?;
            let added = self.until(witness, Attempt::is_accepted, &log).await;
            // The lease goes to the next list.
            drop(held);
            let held = self.serve(List::Sans).await?;
            let gone = self.until(witness, |seen| matches!(seen, Attempt::Refused(_)), &log).await;
            let usual = self.usual(&log).await;
            let _ = self.stand.give_back(held).await;
            Ok((added, gone, usual))
        };
        let (added, gone, usual) = match seen.await {
            Ok(seen) => seen,
            Err(verdict) => {
                let proof = findings.keep(&log.lines());
                return findings.tell("domaine-témoin", SMTP, &self.case.expected, "", verdict, Some(proof));
            }
        };
        let proof = findings.keep(&log.lines());
        let mut tell = |name: &str, due: &str, seen: &Attempt, is_right: bool| {
            let verdict = match seen {
                _ if !usual.is_accepted() => Verdict::unclear(format!("le contrôle positif échoue : {}", usual.line())),
                Attempt::Unclear(line) | Attempt::Postponed(line) => Verdict::unclear(line),
                _ if is_right => Verdict::Conforme,
                _ => Verdict::fault(self.case.severity),
            };
            findings.tell(name, SMTP, due, seen.line(), verdict, Some(proof.clone()));
        };
        tell("domaine ajouté", "accepté après l'ajout", &added, added.is_accepted());
        tell("domaine retiré", "refusé après le retrait", &gone, !gone.is_accepted());
    }

    /// LBL-03: each bad list between two good moments.
    async fn bad_lists(&self, findings: &mut Findings) {
        for bad in &self.data.refusees {
            let log = Log::default();
            let before = self.usual(&log).await;
            let held = match self.serve(bad.liste).await {
                Ok(held) => held,
                Err(verdict) => {
                    findings.tell(&bad.nom, SMTP, &self.case.expected, "", verdict, None);
                    continue;
                }
            };
            tokio::time::sleep(self.context.job.limits.settle()).await;
            let during = self.usual(&log).await;
            let witness = self.present(&self.data.temoin, &log).await;
            let is_ours = self.stand.give_back(held).await.is_ok();
            let after = again(&self.context.job.limits, || self.usual(&log)).await;
            let (observed, verdict) = match (&during, &witness) {
                _ if !before.is_accepted() || !after.is_accepted() => {
                    (during.line(), Verdict::unclear("le contrôle positif échoue, avant ou après"))
                }
                _ if !is_ours => ("", Verdict::unclear("le bail du banc a pris fin avant la mesure")),
                (_, Attempt::Accepted(line)) => (line.as_str(), Verdict::fault(self.case.severity)),
                (Attempt::Refused(line), _) => (line.as_str(), Verdict::fault(self.case.severity)),
                (Attempt::Unclear(line) | Attempt::Postponed(line), _) => (line.as_str(), Verdict::unclear(line)),
                (Attempt::Accepted(line), _) => (line.as_str(), Verdict::Conforme),
            };
            let told = match witness.is_accepted() {
                true => format!("la liste est prise : un domaine qu'elle ajoute est admis ({observed})"),
                false => format!("échanges habituels : {observed}"),
            };
            let proof = findings.keep(&log.lines());
            findings.add(VariantResult {
                nom: bad.nom.clone(),
                protocole: SMTP,
                attendu: self.case.expected.clone(),
                observe: told,
                verdict,
                controle_avant: Some(before.is_accepted()),
                controle_apres: Some(after.is_accepted()),
                preuves: vec![proof],
            });
        }
    }

    /// LBL-04: one list with all that is to be told apart.
    async fn to_the_letter(&self, findings: &mut Findings) {
        let log = Log::default();
        let held = match self.serve(List::Entrees).await {
            Ok(held) => held,
            Err(verdict) => return findings.tell("cas", SMTP, &self.case.expected, "", verdict, None),
        };
        let before = self.until(&self.data.temoin, Attempt::is_accepted, &log).await;
        let mut seen = Vec::new();
        for entry in &self.data.entrees {
            seen.push((entry, self.present(&entry.expediteur, &log).await));
        }
        let after = self.usual(&log).await;
        let is_ours = self.stand.give_back(held).await.is_ok();
        let is_sound = before.is_accepted() && after.is_accepted() && is_ours;
        let proof = findings.keep(&log.lines());
        for (entry, seen) in seen {
            let verdict = match (&seen, entry.attendu) {
                _ if !is_sound => Verdict::unclear(format!("le contrôle positif échoue : {}", before.line())),
                (Attempt::Unclear(line) | Attempt::Postponed(line), _) => Verdict::unclear(line),
                (Attempt::Accepted(_), Expected::Refus) | (Attempt::Refused(_), Expected::Accord) => {
                    Verdict::fault(self.case.severity)
                }
                (Attempt::Refused(_), Expected::Constat) => Verdict::fault(Severity::Information),
                _ => Verdict::Conforme,
            };
            let due = match entry.attendu {
                Expected::Accord => "admis",
                Expected::Refus => "refusé",
                Expected::Constat => "admis ou refusé (constat)",
            };
            findings.add(VariantResult {
                nom: entry.nom.clone(),
                protocole: SMTP,
                attendu: due.to_owned(),
                observe: format!("MAIL FROM:<pair@{}> : {}", entry.expediteur, seen.line()),
                verdict,
                controle_avant: Some(before.is_accepted()),
                controle_apres: Some(after.is_accepted()),
                preuves: vec![proof.clone()],
            });
        }
    }
}

/// LBL-01: fetched at least once in the period, of which so many seconds were watched.
fn within(period: u64, recent: usize, watched: u64, severity: Severity) -> Verdict {
    match (recent, watched >= period) {
        (1.., _) => Verdict::Conforme,
        (0, true) => Verdict::fault(severity),
        (0, false) => Verdict::NonExecute {
            cause: format!(
                "aucun rapatriement encore, et le banc observe depuis moins de {} h : à relancer",
                period.div_ceil(3600)
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_without_a_fetch_is_red_once_it_was_watched() {
        const DAY: u64 = 86_400;
        let of = |recent, watched| within(DAY, recent, watched, Severity::Major);
        assert_eq!(of(1, 60), Verdict::Conforme);
        assert_eq!(of(0, DAY), Verdict::fault(Severity::Major));
        assert_eq!(of(0, DAY - 1).code(), "non_execute");
    }
}
