//! CER-10: what becomes of a good and of a revoked certificate while the revocation services fail. The operator is made to fetch (stand,
//! under a lease); a list that lives some seconds shows what it does once the last one is over.

use std::time::{Duration, Instant};

use crate::cases::fetching::{Playing, again, fetched};
use crate::catalogue::Case;
use crate::context::{Context, Findings, Protocol};
use crate::job::{Certificates, RevocationBy};
use crate::peer::Attempt;
use crate::stand::revocation::{Fetch, Lists, Ocsp, Play};
use crate::stand::{Client, Held, StandError};
use crate::verdict::Verdict;
use crate::wire::{Log, Shown};

/// Life of the short list: time enough to fetch it on a slow machine.
const LIFE: Duration = Duration::from_secs(8);
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

/// A scenario of the services.
struct Played<'c> {
    stand: &'c Client,
    play: Play,
    /// The number of the last request before.
    since: u64,
}

impl Playing for Played<'_> {
    const WHAT: &'static str = "sa liste de révocation";

    fn stand(&self) -> &Client {
        self.stand
    }

    async fn play(&self, length: Duration) -> Result<Held, StandError> {
        self.stand.play_revocation(&self.play, length).await
    }

    async fn is_fetched(&self) -> Result<bool, StandError> {
        let is_it = |fetch: &Fetch| {
            let is_ours = self.play.lecteur.is_empty() || fetch.lecteur == self.play.lecteur;
            fetch.quoi == "crl" && is_ours && (fetch.statut == 200) == (self.play.crl != Lists::Indisponible)
        };
        Ok(self.stand.revocation_fetches(self.since).await?.iter().any(is_it))
    }
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
    async fn asked(&self, play: Play) -> Result<Held, Verdict> {
        let since = self.last().await?;
        fetched(&self.context.job.limits, ATTEMPTS, &Played { stand: self.stand, play, since }).await
    }

    /// The number of the last request.
    async fn last(&self) -> Result<u64, StandError> {
        Ok(self.stand.revocation_fetches(0).await?.last().map_or(0, |fetch| fetch.seq))
    }

    /// The good certificate, once all is as before.
    async fn open_again(&self, log: &Log) -> Attempt {
        again(&self.context.job.limits, || self.open(self.nominal, log)).await
    }

    /// Whether somebody who said no word was answered as usual since then, by a service that was to fail: perhaps the operator.
    async fn may_have_asked_elsewhere(&self, since: u64) -> Result<bool, StandError> {
        let fetches = self.stand.revocation_fetches(since).await?;
        Ok(fetches.iter().any(|fetch| fetch.lecteur.is_empty() && fetch.statut == 200))
    }

    /// The last good list counts: the good one is let in, the revoked one is not.
    async fn kept(&self, name: &str, lists: Lists, findings: &mut Findings) {
        let log = Log::default();
        let due = "la dernière liste non échue compte : bon certificat accepté, révoqué refusé";
        let seen = async {
            let before = self.open(self.nominal, &log).await;
            let held = self.asked(self.play(lists)).await?;
            tokio::time::sleep(self.context.job.limits.settle()).await;
            let good = self.open(self.nominal, &log).await;
            let revoked = match &self.revoked {
                Some(revoked) => Some(self.open(revoked, &log).await),
                None => None,
            };
            self.stand.give_back(held).await?;
            let after = self.open_again(&log).await;
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
            let short = self.asked(self.play(Lists::Courte)).await?;
            let fetched = Instant::now();
            // The lease goes to the next scenario.
            drop(short);
            let length = LIFE + ATTEMPTS;
            let away = self.last().await?;
            let held = self.stand.play_revocation(&self.play(Lists::Indisponible), length).await?;
            let rest = (LIFE + Duration::from_secs(1)).saturating_sub(fetched.elapsed());
            tokio::time::sleep(rest).await;
            let late = self.open(self.nominal, &log).await;
            let is_doubtful = self.may_have_asked_elsewhere(away).await?;
            self.stand.give_back(held).await?;
            let after = self.open_again(&log).await;
            Ok::<_, Verdict>((before, late, is_doubtful, after))
        };
        let (observed, verdict) = match seen.await {
            Err(verdict) => (String::new(), verdict),
            Ok((before, late, is_doubtful, after)) => {
                let verdict = match &late {
                    _ if !before.is_accepted() || !after.is_accepted() => {
                        Verdict::unclear(format!("le contrôle positif échoue, avant ou après : {}", after.line()))
                    }
                    Attempt::Accepted(_) if is_doubtful => Verdict::unclear(
                        "quelqu'un a interrogé le service de révocation sans son mot (?operateur=) et d'une adresse inconnue : l'opérateur, peut-être",
                    ),
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
