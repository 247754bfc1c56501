//! Testing mail software: where the scripted operator listens, the job of what a user wrote, and the campaign.
//!
//! Invariants:
//! * nothing a user writes names a command, a file, an address or a port of this machine ([`ALLOWED`]);
//! * listeners are open from the first act of a campaign to its end, and no longer, however it ends;
//! * they are leased to one campaign: where the configuration names a port there is one campaign at a time, and the others wait; where it names
//!   none each has ports of its own.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use control::client::job::PLAN;
use control::client::{Asked, ClientJob, Hands, StartError, Word, run_asked, scenarios};
use control::engine::{self, Preflight, Progress};
use serde::Deserialize;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::time::timeout;
use toml::{Table, Value};

use crate::Desk;
use crate::account::role::Role;
use crate::acts::Who;
use crate::db::{Campaign, CampaignId, OrganisationId};
use crate::error::{Mistake, Refusal};

/// Keys a user may set; a section stands for all in it.
pub(crate) const ALLOWED: &[&str] =
    &["plan", "name", "software", "client.steps", "client.wait_seconds", "client.quiet_seconds"];
/// Longest wait for somebody to act, or for nothing to move any more, in seconds.
const MOST_SECONDS: i64 = 3600;
/// Campaigns of software at once where ports are free: each listens on some eighty, and waits for people.
const MOST: usize = 8;
/// Longest text of the software's name and the like, in characters.
const LONGEST: usize = 120;
/// What moves is told so often at most.
const PULSE: Duration = Duration::from_millis(200);
/// How long whoever said something waits for what is next to be shown.
const NEXT: Duration = Duration::from_secs(15);
/// The name of the file that software is told to believe.
pub(crate) const AUTHORITY: &str = "autorite.pem";

/// The section `[client]`: where the scripted operator listens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientPlace {
    /// The address, one of this machine: never all of them.
    pub listen: IpAddr,
    /// The domain of its BAL; `lps.` and `autoconfig.` below it lead to the address.
    pub domain: String,
    /// First port of the scenarios, two for each; any free ones when absent.
    #[serde(default)]
    pub first_port: Option<u16>,
    /// Port of autoconfiguration; any when absent. 443 to the world.
    #[serde(default)]
    pub autoconfig_port: Option<u16>,
    /// Port of the lists of revoked certificates; any when absent, the same again when it is free.
    #[serde(default)]
    pub revocation_port: Option<u16>,
    /// Where a small name server answers for the domain; none when absent.
    #[serde(default)]
    pub dns: Option<SocketAddr>,
    /// A name server that answers for the domain already: to be told.
    #[serde(skip)]
    pub resolver: Option<SocketAddr>,
}

impl ClientPlace {
    /// How many campaigns there may be at once: one where a port is fixed.
    pub(crate) fn most(&self) -> usize {
        let fixed = [self.first_port, self.autoconfig_port, self.revocation_port];
        if fixed.iter().any(Option::is_some) || self.dns.is_some() { 1 } else { MOST }
    }

    /// Whether what the section says can be.
    ///
    /// # Errors
    /// What is wrong, with the key.
    pub fn check(&self) -> Result<(), String> {
        let table: Table = format!("plan = \"{PLAN}\"\n[software]\nname = \"x\"\n").parse().unwrap_or_default();
        match job(&table, self, PathBuf::new()) {
            Ok(_) => Ok(()),
            Err(mistakes) => Err(mistakes.into_iter().map(|one| one.text).collect::<Vec<_>>().join("; ")),
        }
    }

    /// Whether the listeners can be had now; they are let go at once.
    async fn try_listen(&self) -> Result<(), (SocketAddr, std::io::Error)> {
        let count = u16::try_from(2 * scenarios().len()).unwrap_or(u16::MAX);
        let first = self.first_port.map(|first| first..first.saturating_add(count)).unwrap_or(0..1);
        let mut held = Vec::new();
        for port in first.chain(self.autoconfig_port).chain(self.revocation_port) {
            let place = SocketAddr::new(self.listen, port);
            held.push(TcpListener::bind(place).await.map_err(|error| (place, error))?);
        }
        match self.dns {
            Some(place) => UdpSocket::bind(place).await.map(drop).map_err(|error| (place, error)),
            None => Ok(()),
        }
    }
}

/// Whether a user's text is about mail software.
pub(crate) fn is_one(written: &Table) -> bool {
    written.get("plan").and_then(Value::as_str) == Some(PLAN)
}

/// The job of a user's text, on the place of the configuration.
pub(crate) fn job(written: &Table, place: &ClientPlace, folder: PathBuf) -> Result<ClientJob, Vec<Mistake>> {
    let mut whole = written.clone();
    let section = whole.entry("client").or_insert_with(|| Value::Table(Table::new()));
    let Value::Table(client) = section else {
        return Err(vec![Mistake::of("client", "Une section [client] est attendue.")]);
    };
    let mut mistakes = Vec::new();
    for key in ["wait_seconds", "quiet_seconds"] {
        if client.get(key).is_some_and(|asked| !asked.as_integer().is_some_and(|n| (1..=MOST_SECONDS).contains(&n))) {
            mistakes.push(Mistake::of(format!("client.{key}"), format!("De 1 à {MOST_SECONDS} secondes.")));
        }
    }
    let port = |port: u16| Value::Integer(port.into());
    let fixed = [
        ("listen", Some(Value::String(place.listen.to_string()))),
        ("domain", Some(Value::String(place.domain.clone()))),
        ("folder", Some(Value::String(folder.display().to_string()))),
        ("first_port", place.first_port.map(port)),
        ("autoconfig_port", place.autoconfig_port.map(port)),
        ("revocation_port", place.revocation_port.map(port)),
        ("dns", place.dns.map(|dns| Value::String(dns.to_string()))),
    ];
    for (key, value) in fixed {
        if let Some(value) = value {
            client.insert(key.to_owned(), value);
        }
    }
    let text = toml::to_string(&whole).map_err(|error| vec![Mistake::of("fichier", error.to_string())])?;
    let job = match ClientJob::parse(&text) {
        Ok(job) => job,
        Err(error) => {
            // Lines are those of the whole, which nobody wrote.
            mistakes.push(Mistake::of("fichier", error.message().to_owned()));
            return Err(mistakes);
        }
    };
    if let Err(error) = job.check() {
        mistakes.push(Mistake::of("client", error.to_string()));
    }
    let software = &job.software;
    if software.name.trim().is_empty() {
        mistakes.push(Mistake::of("software.name", "Le nom du logiciel manque."));
    }
    let texts = [&software.name, &software.version, &software.vendor];
    if texts.into_iter().chain(&software.nil).any(|text| text.chars().count() > LONGEST) {
        mistakes.push(Mistake::of("software.name", format!("{LONGEST} caractères au plus, partout.")));
    }
    if mistakes.is_empty() { Ok(job) } else { Err(mistakes) }
}

impl Desk {
    /// Where the scripted operator listens.
    pub(crate) fn client_place(&self) -> Result<&ClientPlace, Refusal> {
        let closed = "Les logiciels ne sont pas contrôlés ici : l’administrateur n’a pas ouvert de banc ([client]).";
        self.settings().client.as_ref().ok_or(Refusal::Conflict(closed))
    }

    /// Where the authority of an operator's campaigns is kept: given to the software once.
    fn authority_of(&self, organisation: OrganisationId) -> PathBuf {
        self.settings().folder.join("logiciels").join(format!("o{}", organisation.0))
    }

    /// The job of a user's table.
    pub(crate) fn software_job(&self, organisation: OrganisationId, written: &Table) -> Result<ClientJob, Refusal> {
        let place = self.client_place()?;
        job(written, place, self.authority_of(organisation)).map_err(Refusal::Invalid)
    }

    /// The same, of a text that was kept.
    pub(crate) fn software_job_of(&self, organisation: OrganisationId, text: &str) -> Result<ClientJob, String> {
        let written = crate::compose::read(text).map_err(Refusal::Invalid);
        let job = written.and_then(|written| self.software_job(organisation, &written.table));
        job.map_err(|refusal| {
            let mistakes = refusal.mistakes().iter().map(|one| format!("{} : {}", one.field, one.text));
            let mistakes: Vec<String> = mistakes.collect();
            if mistakes.is_empty() { refusal.to_string() } else { mistakes.join(" ; ") }
        })
    }

    /// « Vérifier la configuration » of a test of software: whether the operator can be played.
    pub(crate) async fn check_software(&self, organisation: OrganisationId, text: &str) -> Vec<Preflight> {
        let finding = |quoi: &str, bon: bool, detail: String| Preflight { quoi: quoi.to_owned(), bon, detail };
        let job = match self.software_job_of(organisation, text) {
            Ok(job) => job,
            Err(cause) => return vec![finding("Préparation", false, cause)],
        };
        let mut found = vec![finding("Logiciel", true, format!("{} {}", job.software.name, job.software.version))];
        let Ok(place) = self.client_place() else { return found };
        let is_held = place.most() == 1 && self.with_live(|live| live.values().any(|one| one.is_software));
        found.push(if is_held {
            let detail = "tenus par une autre campagne : celle-ci attendra qu'elle finisse";
            finding("Ports d'écoute", true, detail.to_owned())
        } else {
            match place.try_listen().await {
                Ok(()) => finding("Ports d'écoute", true, format!("libres, sur {}", place.listen)),
                Err((at, error)) => finding(
                    "Ports d'écoute",
                    false,
                    format!(
                        "{at} : {error} ; c'est à l'administrateur de l'application ([client] de la configuration)"
                    ),
                ),
            }
        });
        found
    }

    /// Plays the operator until every case has its verdict, or the stop.
    ///
    /// # Errors
    /// Why it cannot be played, for people.
    pub(crate) async fn run_software(
        &self,
        campaign: &Campaign,
        mut job: ClientJob,
        asked: engine::Asked,
        told: &(dyn Fn(Progress<'_>) + Sync),
    ) -> Result<engine::Campaign, String> {
        let hands = Hands::default();
        self.with_live(|live| live.get_mut(&campaign.id).map(|one| one.hands = Some(hands.clone())));
        let following = tokio::spawn(self.clone().follow(campaign.id.clone(), hands.clone()));
        let is_free = job.client.revocation_port.is_none();
        if is_free {
            job.client.revocation_port = remembered(&job).await;
        }
        let over = loop {
            let asked = Asked {
                only: asked.only.clone(),
                done: asked.done.clone(),
                proofs: asked.proofs.clone(),
                stop: asked.stop.clone(),
                hands: Some(hands.clone()),
            };
            match run_asked(&job, asked, told).await {
                // Somebody else has it meanwhile: another authority then.
                Err(StartError::Port { key: "revocation_port", .. })
                    if is_free && job.client.revocation_port.is_some() =>
                {
                    job.client.revocation_port = None;
                }
                over => break over,
            }
        };
        following.abort();
        over.map_err(|error| {
            tracing::error!("the scripted operator cannot be played: {error}");
            "l'opérateur scénarisé ne peut pas être joué : la raison est au journal de l'application".to_owned()
        })
    }

    /// Tells whoever looks at the campaign that something moved.
    async fn follow(self, id: CampaignId, hands: Hands) {
        let mut acts = hands.watch();
        let mut sessions: Option<watch::Receiver<u64>> = None;
        loop {
            if sessions.is_none() {
                sessions = hands.seen().map(|seen| seen.watch());
            }
            let moved = async {
                match &mut sessions {
                    Some(moved) => moved.changed().await.is_ok(),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = acts.changed() => {}
                is_there = moved => if !is_there { sessions = None },
            }
            self.changed(&id);
            tokio::time::sleep(PULSE).await;
        }
    }

    /// Who drives the software of a campaign, while it runs.
    pub(crate) fn hands(&self, id: &CampaignId) -> Option<Hands> {
        self.with_live(|live| live.get(id).and_then(|one| one.hands.clone()))
    }

    /// Says that an act was done, or cannot be; then waits a moment for the next one.
    pub(crate) async fn say(&self, who: &Who, campaign: &Campaign, number: u64, word: Word) -> Result<(), Refusal> {
        who.must(Role::may_run)?;
        let hands = self.hands(&campaign.id);
        let Some(hands) = hands.filter(|hands| hands.say(number, word)) else {
            return Err(Refusal::Conflict("Cette action est déjà finie : la page de la campagne montre la suivante."));
        };
        let mut moved = hands.watch();
        let next = async {
            loop {
                moved.borrow_and_update();
                let is_next = match hands.act() {
                    Some(act) => act.numero != number,
                    None => hands.place().is_none(),
                };
                if is_next || moved.changed().await.is_err() {
                    break;
                }
            }
        };
        // Shown later, when it is not there by then.
        let _ = timeout(NEXT, next).await;
        Ok(())
    }

    /// The authority that software is told to believe, PEM; there once the campaign has begun.
    pub(crate) async fn software_authority(&self, campaign: &Campaign) -> Result<Vec<u8>, Refusal> {
        if !crate::question::is_software(&campaign.plan) {
            return Err(Refusal::NotFound);
        }
        let path = self.authority_of(campaign.organisation).join("ca.pem");
        tokio::fs::read(&path).await.map_err(|_| Refusal::NotFound)
    }
}

/// The port of the revocation lists that the authority kept in the folder names: with it the software need not be told of another one.
async fn remembered(job: &ClientJob) -> Option<u16> {
    let base = tokio::fs::read_to_string(job.client.folder.join("base.txt")).await.ok()?;
    let place: SocketAddr = base.strip_prefix("http://")?.parse().ok()?;
    (place.ip() == job.client.listen).then_some(place.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> ClientPlace {
        ClientPlace {
            listen: IpAddr::from([127, 0, 0, 1]),
            domain: "logiciels.exemple.fr".to_owned(),
            first_port: None,
            autoconfig_port: None,
            revocation_port: None,
            dns: None,
            resolver: None,
        }
    }

    fn made(text: &str) -> Result<(ClientJob, Vec<String>), Vec<String>> {
        let fields = |wrong: Vec<Mistake>| wrong.into_iter().map(|one| one.field).collect::<Vec<_>>();
        let written = crate::compose::read(text).map_err(fields)?;
        assert!(is_one(&written.table));
        let job = job(&written.table, &place(), PathBuf::from("/data/logiciels/o1")).map_err(fields)?;
        Ok((job, written.left_out))
    }

    #[test]
    fn a_users_text_names_nothing_of_this_machine() {
        let text = "plan = \"client\"\nname = \"n\"\n[software]\nname = \"X\"\n[client]\nsteps = [\"relever\"]\nwait_seconds = 60\n";
        let (job, left_out) = made(text).expect("a job");
        assert_eq!((job.software.name.as_str(), job.client.wait_seconds, left_out.len()), ("X", 60, 0));
        let wicked = "command = [\"rm\", \"-rf\", \"/\"]\nfolder = \"/etc\"\nlisten = \"0.0.0.0\"\nfirst_port = 1\ndns = \"127.0.0.1:53\"\ndomain = \"x.fr\"\n";
        let (job, left_out) = made(&format!("{text}{wicked}[psc]\nkey = \"/etc/shadow\"\n")).expect("a job");
        assert_eq!(left_out.len(), 7, "{left_out:?}");
        assert!(job.client.command.is_none() && job.client.dns.is_none() && job.client.first_port.is_none());
        assert_eq!((job.client.listen, job.client.domain.as_str()), (place().listen, "logiciels.exemple.fr"));
        assert_eq!(job.client.folder, PathBuf::from("/data/logiciels/o1"));
    }

    #[test]
    fn what_cannot_be_is_told() {
        let wrong = |section: &str| made(&format!("plan = \"client\"\n{section}")).map(drop);
        assert_eq!(wrong("[software]\nname = \"\"\n"), Err(vec!["software.name".to_owned()]));
        let text = "[software]\nname = \"X\"\n[client]\nquiet_seconds = 100000\n";
        assert_eq!(wrong(text), Err(vec!["client.quiet_seconds".to_owned()]));
        assert_eq!(wrong("[software]\nname = \"X\"\n[client]\nsteps = [\"voler\"]\n"), Err(vec!["fichier".to_owned()]));
        assert_eq!(
            wrong(&format!("[software]\nname = \"{}\"\n", "x".repeat(200))),
            Err(vec!["software.name".to_owned()])
        );
        assert!(wrong("").is_err(), "no software");
        assert!(place().check().is_ok());
        assert!(ClientPlace { listen: IpAddr::from([0, 0, 0, 0]), ..place() }.check().is_err());
        assert!(ClientPlace { first_port: Some(65_530), ..place() }.check().is_err());
        assert!(ClientPlace { domain: "x".to_owned(), ..place() }.check().is_err());
    }

    #[test]
    fn fixed_ports_are_of_one_campaign() {
        assert_eq!(place().most(), MOST);
        for fixed in [
            ClientPlace { first_port: Some(20_000), ..place() },
            ClientPlace { autoconfig_port: Some(443), ..place() },
            ClientPlace { revocation_port: Some(80), ..place() },
            ClientPlace { dns: Some(SocketAddr::from(([127, 0, 0, 1], 53))), ..place() },
        ] {
            assert_eq!(fixed.most(), 1);
        }
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_told_before_anything_runs() {
        let held = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = held.local_addr().expect("bound").port();
        assert!(place().try_listen().await.is_ok());
        let taken = ClientPlace { autoconfig_port: Some(port), ..place() };
        assert_eq!(taken.try_listen().await.expect_err("taken").0.port(), port);
        drop(held);
        assert!(taken.try_listen().await.is_ok(), "and nothing is held of it");
    }
}
