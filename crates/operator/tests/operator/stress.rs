//! The stress test of the IMAP server (`crates/imap/tests/stress`) against an operator as it runs: its store on disk, its
//! checks of rights, its TLS. `STRESS_SECONDS` and `STRESS_SEED` say how long and what.

#[path = "../../../imap/tests/stress/driver.rs"]
mod driver;
#[path = "../../../imap/tests/stress/picture.rs"]
mod picture;

use std::sync::Arc;

use operator::Operator;

use crate::support::{Imap, Labo, Space};
use driver::{Connect, Stream};

/// Settings over those of every test: nobody counts logins, and the end of a right ends sessions soon.
const SETTINGS: &str = "[rates]\nlogins_per_minute_per_mailbox = 0\nlogins_per_minute_per_address = 0\n\
                        [sessions]\nimap_recheck_seconds = 1\n";

struct Running {
    space: Space,
    operator: Operator,
    labo: Labo,
}

impl Connect for Running {
    async fn connect(&self) -> Stream {
        Box::pin(Imap::open(&self.space, &self.operator, &self.labo).await.into_stream())
    }
}

async fn running() -> Running {
    let space = Space::new().await;
    let operator = space.operator_with("alpha", SETTINGS).await;
    let labo = Labo::open(&space, &operator, "alpha").await;
    Running { space, operator, labo }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_fits_the_model() {
    driver::run(running().await, driver::Plan::from_environment()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_mailbox_open_in_thirty_two_sessions_stays_correct() {
    let plan = driver::Plan { clients: 32, acts: 45, ..driver::Plan::from_environment() };
    driver::run(running().await, plan).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_goes_ends_its_sessions() {
    // BAL-ROLES
    let running = Arc::new(running().await);
    let mut idling = Imap::open(&running.space, &running.operator, &running.labo).await;
    let mut silent = Imap::open(&running.space, &running.operator, &running.labo).await;
    idling.ok("SELECT INBOX").await;
    idling.say("i IDLE").await;
    assert!(idling.line().await.starts_with("+ "));
    silent.ok("NOOP").await;
    running.operator.store.delete_mailbox(running.labo.id).await.expect("deleted");
    for imap in [&mut idling, &mut silent] {
        let told = tokio::time::timeout(patience::PATIENCE, imap.line()).await.expect("told");
        assert!(told.starts_with("* BYE"), "{told}");
    }
}
