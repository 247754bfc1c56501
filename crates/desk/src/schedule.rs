//! Whose turn it is: so many campaigns at once, one of each operator, the oldest first; those about mail software, which wait for people, apart.
//!
//! Invariant: what ran when the process ended (cleanly or not) is in the queue again when it starts, and goes on after its last result.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Desk;
use crate::db::{Campaign, CampaignId, Scope, State};
use crate::desk::{AWAY_PAUSE, Live, lasting};
use crate::error::{Broken, Refusal};
use crate::question;

impl Desk {
    /// Runs campaigns as they come, until the shutdown; then those under way are stopped, to go on at the next start.
    pub async fn schedule(self) {
        let tasks = TaskTracker::new();
        if let Err(error) = lasting!(self, self.db().recover(self.now())) {
            tracing::error!("campaigns cannot be taken up again: {error}");
        }
        tasks.spawn(self.clone().watch_domains());
        tasks.spawn(self.clone().keep_watch());
        let mut is_failed = false;
        loop {
            let wake = self.0.wake.notified();
            let started = async {
                if is_failed {
                    self.find_lost().await?;
                }
                self.start_some(&tasks).await
            };
            let started = started.await;
            if let (Err(error), false) = (&started, is_failed) {
                tracing::error!("campaigns cannot be started: {error}");
            }
            is_failed = started.is_err();
            tokio::select! {
                () = wake => {}
                () = tokio::time::sleep(AWAY_PAUSE), if is_failed => {}
                () = self.0.shutdown.cancelled() => break,
            }
        }
        self.with_live(|live| live.values().for_each(|one| one.stop.cancel()));
        tasks.close();
        tasks.wait().await;
    }

    /// Campaigns that the database says run, and nobody here runs: the answer to their beginning was lost with the connection.
    async fn find_lost(&self) -> Result<(), Broken> {
        for id in self.db().running().await? {
            if !self.with_live(|live| live.contains_key(&id)) {
                self.db().requeue(&id).await?;
            }
        }
        Ok(())
    }

    async fn start_some(&self, tasks: &TaskTracker) -> Result<(), Broken> {
        for campaign in self.db().waiting().await? {
            let is_software = question::is_software(&campaign.plan);
            // Those that wait for people take no place of those that do not.
            let most = match &self.settings().client {
                Some(place) if is_software => place.most(),
                _ => self.settings().campaigns.max(1),
            };
            let is_free = self.with_live(|live| {
                let of_its_kind = || live.values().filter(|one| one.is_software == is_software);
                of_its_kind().count() < most && of_its_kind().all(|one| one.organisation != campaign.organisation)
            });
            if !is_free || !self.db().begin_campaign(&campaign.id, self.now()).await? {
                continue;
            }
            let stop = CancellationToken::new();
            let live = Live {
                organisation: campaign.organisation,
                stop: stop.clone(),
                is_cancelled: false,
                current: Default::default(),
                is_software,
                hands: None,
            };
            self.with_live(|all| all.insert(campaign.id.clone(), live));
            self.changed(&campaign.id);
            let desk = self.clone();
            tasks.spawn(async move { desk.see_through(campaign, stop).await });
        }
        Ok(())
    }

    /// One campaign, whatever becomes of it.
    async fn see_through(&self, campaign: Campaign, stop: CancellationToken) {
        let id = campaign.id.clone();
        let (desk, again) = (self.clone(), campaign.clone());
        // Of its own: a case that panics ends its campaign, and is told.
        let done = tokio::spawn(async move { desk.run(campaign, stop).await }).await;
        let (is_over, now) = (self.0.shutdown.is_cancelled(), self.now());
        let ended = match done {
            Ok(Ok(())) => Ok(()),
            // The database went, then the process: it is taken up again at the next start.
            Ok(Err(_)) if is_over => self.db().requeue(&id).await,
            Ok(Err(cause)) => {
                lasting!(self, self.db().end_campaign(&id, State::Interrompue, &cause, None, None, now))
            }
            Err(_) => {
                tracing::error!("a campaign of the plan {} ended in a panic", again.plan);
                let cause = "une erreur interne de l'application a mis fin à la campagne : elle est au journal";
                lasting!(self, self.db().end_campaign(&id, State::Interrompue, cause, None, None, now))
            }
        };
        if let Err(error) = ended {
            tracing::error!("the end of a campaign could not be kept: {error}");
        }
        self.with_live(|live| live.remove(&id));
        self.changed(&id);
        self.0.wake.notify_one();
    }

    /// Stops a campaign of the scope, waiting or running.
    ///
    /// # Errors
    /// [`Refusal`]: there is none, or it is over.
    pub async fn stop(&self, scope: Scope, id: &CampaignId) -> Result<(), Refusal> {
        let campaign = self.db().campaign(scope, id).await?.ok_or(Refusal::NotFound)?;
        if campaign.state.is_over() {
            return Err(Refusal::Conflict("Cette campagne est déjà finie."));
        }
        if self.db().cancel_waiting(scope, id, self.now()).await? {
            self.changed(id);
            return Ok(());
        }
        self.with_live(|live| {
            if let Some(one) = live.get_mut(id) {
                one.is_cancelled = true;
                one.stop.cancel();
            }
        });
        Ok(())
    }
}
