//! What every page and every campaign has at hand.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use control::client::Hands;
use control::names::Names;
use mssante::StructureId;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use trust::SharedClock;

use crate::account::attempts::Attempts;
use crate::account::role::Role;
use crate::account::secret::{self, Cost};
use crate::account::vault::{self, Vault};
use crate::compose::Template;
use crate::db::{CampaignId, Db, NewAccount, OrganisationId, Reach, postgres};
use crate::domains::Proof;
use crate::error::Broken;
use crate::hosting::Hosting;
use crate::oidc::{Oidc, OidcSettings};
use crate::signing::SignatureSettings;
use crate::software::ClientPlace;

/// Passwords hashed at once: each takes 32 MB.
const HASHING: usize = 4;
/// Pre-flights at once: each holds connections to an operator.
const CHECKING: usize = 4;
/// Between two tries while the database is away.
pub(crate) const AWAY_PAUSE: Duration = Duration::from_secs(1);
/// Streams of events at once: each holds a connection, of which the server has 512.
const STREAMS: usize = 256;

/// How the application is set up.
#[derive(Clone)]
pub struct Settings {
    /// Where the database is, and what else is kept.
    pub folder: PathBuf,
    /// A PostgreSQL, rather than a file in the folder.
    pub database: Option<postgres::Settings>,
    /// What operators talk to, when this process serves it.
    pub hosting: Option<Hosting>,
    /// Set: campaigns go only to domains that are proven, or declared by the administrator.
    pub proof: Option<Proof>,
    /// Where browsers find it: `https://host:port`, without a slash at the end.
    pub url: String,
    /// What it is called on its pages: `Espace de test`.
    pub title: String,
    /// Campaigns at once.
    pub campaigns: usize,
    /// Whether every account must have a second factor. False only where passwords are known to everybody (a sandbox).
    pub second_factor: bool,
    /// What passwords cost to try.
    pub cost: Cost,
    /// The administrator's job files.
    pub templates: Vec<Template>,
    /// Where the key of second factors is, when it is not in the folder.
    pub factor_key: Option<PathBuf>,
    /// The OpenID provider where people may sign in.
    pub oidc: Option<OidcSettings>,
    /// Whose signatures of reports are believed.
    pub signature: Option<SignatureSettings>,
    /// Where the scripted operator listens, for tests of mail software.
    pub client: Option<ClientPlace>,
    /// Tells the time.
    pub clock: SharedClock,
}

/// A campaign that runs.
pub(crate) struct Live {
    /// Whose.
    pub organisation: OrganisationId,
    /// Cancelled: the engine stops.
    pub stop: CancellationToken,
    /// Whether somebody asked for that, rather than the process ending.
    pub is_cancelled: bool,
    /// Cases under way, with what they wait for.
    pub current: BTreeMap<String, Option<String>>,
    /// Whether it is about mail software, and holds listeners.
    pub is_software: bool,
    /// Who drives that software, once it is played before.
    pub hands: Option<Hands>,
}

pub(crate) struct Inner {
    pub db: Db,
    /// The name service, where domains are to be proven.
    pub names: Option<Names>,
    pub settings: Settings,
    pub attempts: Attempts,
    vault: Vault,
    oidc: Option<Oidc>,
    pub live: Mutex<HashMap<CampaignId, Live>>,
    /// Somebody looks at the progress of these.
    watched: Mutex<HashMap<CampaignId, Arc<Notify>>>,
    /// A campaign came into the queue, or left.
    pub wake: Notify,
    /// A watch is new.
    pub watch_due: Notify,
    /// Makes the first account, while there is none.
    pub first_code: Mutex<Option<String>>,
    pub hashing: Semaphore,
    pub checking: Semaphore,
    pub streams: Arc<Semaphore>,
    /// The process ends: streams do.
    pub shutdown: CancellationToken,
}

/// Does something with the database that must be done: while it is away, again and again, until the process ends. What is done twice must do no
/// harm: the first may have been done, and its answer lost.
macro_rules! lasting {
    ($desk:expr, $act:expr) => {
        loop {
            match $act.await {
                Err($crate::error::Broken::Away(cause)) if $desk.waits_for_it(&cause).await => {}
                done => break done,
            }
        }
    };
}
pub(crate) use lasting;

/// The application.
#[derive(Clone)]
pub struct Desk(pub(crate) Arc<Inner>);

impl Desk {
    /// Opens its database. Nothing runs before [`Desk::schedule`].
    ///
    /// # Errors
    /// [`Broken`]: the folder or the database.
    pub async fn open(settings: Settings, shutdown: CancellationToken) -> Result<Desk, Broken> {
        let (folder, is_file) = (settings.folder.clone(), settings.database.is_none());
        let opened = tokio::task::spawn_blocking(move || {
            use std::os::unix::fs::DirBuilderExt;
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
            made.map_err(|error| Broken::File(folder.clone(), error))?;
            is_file.then(|| Db::open(&folder.join("controle.db"))).transpose()
        });
        let opened = opened.await.map_err(|_| Broken::Task)??;
        let db = match (opened, &settings.database) {
            (None, Some(database)) => Db::connect(database.clone()).await?,
            (Some(db), _) => db,
            (None, None) => return Err(Broken::Task),
        };
        Desk::with(db, settings, shutdown).await
    }

    /// On a database that is open.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn with(db: Db, settings: Settings, shutdown: CancellationToken) -> Result<Desk, Broken> {
        let names = settings.proof.as_ref().map(Proof::names).transpose()?;
        let key = settings.factor_key.clone().unwrap_or_else(|| settings.folder.join(vault::FILE));
        let vault = Vault::open(&key, &db).await?;
        let oidc = settings.oidc.clone().map(|oidc| Oidc::new(oidc, &settings.url, settings.clock.clone()));
        let oidc = oidc.transpose()?;
        let first_code = if db.has_accounts().await? { None } else { Some(secret::code()?) };
        let desk = Desk(Arc::new(Inner {
            db,
            names,
            settings,
            attempts: Attempts::default(),
            vault,
            oidc,
            live: Mutex::default(),
            watched: Mutex::default(),
            wake: Notify::new(),
            watch_due: Notify::new(),
            first_code: Mutex::new(first_code),
            hashing: Semaphore::new(HASHING),
            checking: Semaphore::new(CHECKING),
            streams: Arc::new(Semaphore::new(STREAMS)),
            shutdown,
        }));
        for operator in desk.db().organisations().await? {
            // Its issuer is asked for its keys whether or not a campaign runs.
            desk.open_stand(operator.id).await?;
        }
        Ok(desk)
    }

    /// The code that makes the first account, while there is none: for whoever started the process.
    #[must_use]
    pub fn first_code(&self) -> Option<String> {
        self.0.first_code.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An operator and its account, for a sandbox: found again at the next start, with the password of then replaced by this one.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn provide(
        &self,
        organisation: Option<(&str, Reach)>,
        login: &str,
        role: Role,
        password: &str,
    ) -> Result<(), Broken> {
        let now = self.now();
        let organisation = match organisation {
            Some((name, reach)) => Some(self.db().put_organisation(name, reach, now).await?),
            None => None,
        };
        if let Some(account) = self.db().account_named(login).await? {
            // Sessions stand as long as the password does.
            if !self.is_password(password, Some(account.password)).await? {
                let hash = self.hash(password).await?;
                self.db().set_password(account.id, hash, None).await?;
            }
            return Ok(());
        }
        let hash = self.hash(password).await?;
        let account = NewAccount { organisation, login: login.to_owned(), role, password: hash };
        self.db().add_account(account, now).await?;
        self.0.first_code.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(())
    }

    /// Declares who an operator of a sandbox is, by the national identifiers of its certificates.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn identify(&self, organisation: &str, identifiers: &[StructureId]) -> Result<(), Broken> {
        for one in self.db().organisations().await?.into_iter().filter(|one| one.name == organisation) {
            self.db().identify(one.id, identifiers).await?;
        }
        Ok(())
    }

    /// Waits a moment for the database to come back; false when the process ends first.
    pub(crate) async fn waits_for_it(&self, cause: &str) -> bool {
        tracing::warn!("the database is away, what is to be kept waits for it: {cause}");
        tokio::select! {
            () = tokio::time::sleep(AWAY_PAUSE) => true,
            () = self.0.shutdown.cancelled() => false,
        }
    }

    pub(crate) fn db(&self) -> &Db {
        &self.0.db
    }

    /// What second factors are sealed with.
    pub(crate) fn vault(&self) -> &Vault {
        &self.0.vault
    }

    /// The OpenID provider, when there is one.
    pub(crate) fn oidc(&self) -> Option<&Oidc> {
        self.0.oidc.as_ref()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Seconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        self.milliseconds() / 1000
    }

    pub(crate) fn milliseconds(&self) -> i64 {
        let since = self.0.settings.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    /// Hashes a password where that holds nobody else.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, Broken> {
        let (password, cost) = (password.to_owned(), self.0.settings.cost);
        let _place = self.0.hashing.acquire().await.map_err(|_| Broken::Task)?;
        tokio::task::spawn_blocking(move || secret::hash_password(&password, cost)).await.map_err(|_| Broken::Task)?
    }

    /// Checks a password; as dear when there is no such account.
    pub(crate) async fn is_password(&self, password: &str, kept: Option<String>) -> Result<bool, Broken> {
        let (password, cost) = (password.to_owned(), self.0.settings.cost);
        let _place = self.0.hashing.acquire().await.map_err(|_| Broken::Task)?;
        let checked = tokio::task::spawn_blocking(move || match kept {
            Some(kept) => secret::is_password(&password, &kept),
            None => secret::hash_password(&password, cost).is_err(),
        });
        checked.await.map_err(|_| Broken::Task)
    }

    /// The templates of an operator.
    pub(crate) fn templates<'a>(&'a self, operator: &'a str) -> impl Iterator<Item = &'a Template> {
        self.0
            .settings
            .templates
            .iter()
            .filter(move |template| template.organisation.as_deref().is_none_or(|name| name == operator))
    }

    /// What wakes when something of the campaign is new.
    pub(crate) fn watch(&self, id: &CampaignId) -> Arc<Notify> {
        let mut watched = self.0.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.entry(id.clone()).or_default().clone()
    }

    /// Something of the campaign is new.
    pub(crate) fn changed(&self, id: &CampaignId) {
        let mut watched = self.0.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(notify) = watched.get(id) {
            notify.notify_waiters();
            // Nobody else holds it: nobody looks any more.
            if Arc::strong_count(notify) == 1 {
                watched.remove(id);
            }
        }
    }

    pub(crate) fn with_live<T>(&self, act: impl FnOnce(&mut HashMap<CampaignId, Live>) -> T) -> T {
        act(&mut self.0.live.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The cases under way, with what they wait for.
    pub(crate) fn current(&self, id: &CampaignId) -> Vec<(String, Option<String>)> {
        self.with_live(|live| live.get(id).map(|live| live.current.clone().into_iter().collect()).unwrap_or_default())
    }
}
