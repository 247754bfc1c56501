//! CER-10: what becomes of a good and of a revoked certificate while the revocation services fail. The operator is made to fetch (stand,
//! under a lease); a list that lives some seconds shows what it does once the last one is over.

use std::time::{Duration, Instant};

use crate::catalogue::Case;
use crate::context::{Context, Findings, Protocol};
use crate::job::{Certificates, RevocationBy};
use crate::peer::Attempt;
use crate::stand::Client;
use crate::stand::revocation::{Lists, Ocsp, Play};
use crate::verdict::Verdict;
use crate::wire::{Log, Shown};

/// Life of the short list: time enough to fetch it on a slow machine.
const LIFE: Duration = Duration::from_secs(8);
/// Between two looks at the log.
const BETWEEN: Duration = Duration::from_millis(100);
/// What the attempts may take beside the waiting.
const ATTEMPTS: Duration = Duration::from_secs(90);

const IMAP: Option<Protocol> = Some(Protocol::Imap);

struct Trial<'c> {
    case: &'c Case,
    context: &'c Context,
    section: &'c Certificates,
    stand: &'c Client,
    nominal: &'c Shown,
    revoked: Option<Shown>,
}

pub(super) async fn run(
    case: &Case,
    context: &Context,
    section: &Certificates,
    nominal: &Shown,
    findings: &mut Findings,
) {
    let raison = "demande un certificat de l'autre environnement, que le job ne peut pas donner".to_owned();
    findings.tell("environnement croisé", None, &case.expected, "", Verdict::NonApplicable { raison }, None);
    let stand = match context.stand() {
        Ok(stand) => stand,
        Err(verdict) => return findings.tell("cas", None, &case.expected, "", verdict, None),
    };
    let revoked = section.refused.get("revoque").and_then(|pair| Shown::read(pair).ok());
    let trial = Trial { case, context, section, stand, nominal, revoked };
    if section.revocation != RevocationBy::Ocsp {
        for (name, lists) in [("services indisponibles", Lists::Indisponible), ("liste périmée", Lists::Perimee)] {
            trial.kept(name, lists, findings).await;
        }
    }
    trial.over(findings).await;
}

impl Trial<'_> {
    async fn open(&self, who: &Shown, log: &Log) -> Attempt {
        self.context.open_app(self.section, Protocol::Imap, Some(who), log).await
    }

    fn play(&self, crl: Lists) -> Play {
        let lecteur = self.context.job.stand.as_ref().map(|stand| stand.reader.clone()).unwrap_or_default();
        Play { crl, ocsp: Ocsp::Indisponible, vie: LIFE.as_secs(), lecteur }
    }

    /// Plays, and waits until the operator has asked for a list.
    async fn asked(&self, play: &Play) -> Result<crate::stand::Held, Verdict> {
        let limits = &self.context.job.limits;
        let before = self.stand.revocation_fetches(0).await?.last().map_or(0, |fetch| fetch.seq);
        let held = self.stand.play_revocation(play, limits.fetch() + limits.settle() + ATTEMPTS).await?;
        let began = Instant::now();
        loop {
            let fetches = self.stand.revocation_fetches(before).await?;
            let is_ours = |reader: &str| play.lecteur.is_empty() || reader == play.lecteur;
            if fetches.iter().any(|fetch| fetch.quoi == "crl" && is_ours(&fetch.lecteur)) {
                return Ok(held);
            }
            if began.elapsed() >= limits.fetch() {
                let _ = self.stand.give_back(held).await;
                return Err(Verdict::NonExecute {
                    cause: format!(
                        "l'opérateur n'a pas relu sa liste de révocation en {} s : donnez sa période à limits.fetch_seconds",
                        limits.fetch().as_secs()
                    ),
                });
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }

    /// The last good list counts: the good one is let in, the revoked one is not.
    async fn kept(&self, name: &str, lists: Lists, findings: &mut Findings) {
        let log = Log::default();
        let due = "la dernière liste non échue compte : bon certificat accepté, révoqué refusé";
        let seen = async {
            let before = self.open(self.nominal, &log).await;
            let held = self.asked(&self.play(lists)).await?;
            tokio::time::sleep(self.context.job.limits.settle()).await;
            let good = self.open(self.nominal, &log).await;
            let revoked = match &self.revoked {
                Some(revoked) => Some(self.open(revoked, &log).await),
                None => None,
            };
            self.stand.give_back(held).await?;
            let after = self.open(self.nominal, &log).await;
            Ok::<_, Verdict>((before, good, revoked, after))
        };
        let (observed, verdict) = match seen.await {
            Err(verdict) => (String::new(), verdict),
            Ok((before, good, revoked, after)) => {
                let told = revoked.as_ref().map_or("absent du job", Attempt::line);
                let told = format!("bon : {} ; révoqué : {told}", good.line());
                let verdict = match (&good, &revoked) {
                    _ if !before.is_accepted() || !after.is_accepted() => {
                        Verdict::unclear("le contrôle positif échoue, avant ou après")
                    }
                    (_, Some(Attempt::Accepted(_))) | (Attempt::Refused(_), _) => Verdict::fault(self.case.severity),
                    (Attempt::Unclear(line) | Attempt::Postponed(line), _)
                    | (_, Some(Attempt::Unclear(line) | Attempt::Postponed(line))) => Verdict::unclear(line),
                    _ => Verdict::Conforme,
                };
                (told, verdict)
            }
        };
        let proof = findings.keep(&log.lines());
        findings.tell(name, IMAP, due, observed, verdict, Some(proof));
    }

    /// Once the last list is over and nothing can be found out, nobody is let in.
    async fn over(&self, findings: &mut Findings) {
        let log = Log::default();
        let seen = async {
            let before = self.open(self.nominal, &log).await;
            let short = self.asked(&self.play(Lists::Courte)).await?;
            let fetched = Instant::now();
            // The lease goes to the next scenario.
            drop(short);
            let length = LIFE + ATTEMPTS;
            let held = self.stand.play_revocation(&self.play(Lists::Indisponible), length).await?;
            let rest = (LIFE + Duration::from_secs(1)).saturating_sub(fetched.elapsed());
            tokio::time::sleep(rest).await;
            let late = self.open(self.nominal, &log).await;
            self.stand.give_back(held).await?;
            let after = self.open(self.nominal, &log).await;
            Ok::<_, Verdict>((before, late, after))
        };
        let (observed, verdict) = match seen.await {
            Err(verdict) => (String::new(), verdict),
            Ok((before, late, after)) => {
                let verdict = match &late {
                    _ if !before.is_accepted() || !after.is_accepted() => {
                        Verdict::unclear(format!("le contrôle positif échoue, avant ou après : {}", after.line()))
                    }
                    Attempt::Accepted(_) => Verdict::fault(self.case.severity),
                    Attempt::Refused(_) => Verdict::Conforme,
                    // A refusal for now is one: the certificate cannot be judged.
                    Attempt::Unclear(line) | Attempt::Postponed(line) => Verdict::unclear(line),
                };
                (late.line().to_owned(), verdict)
            }
        };
        let proof = findings.keep(&log.lines());
        let due = "une fois la liste échue et rien d'autre à consulter : refus";
        findings.tell("dernière liste échue", IMAP, due, observed, verdict, Some(proof));
    }
}
