//! `/ready`: whether mail can be sent and received now, one check after the other.

use std::time::Duration;

use serde::Serialize;
use store::QueueId;
use trust::white_list::ALERT_AGE;

use super::process;
use crate::config::Revocation;
use crate::service::Running;

/// How long the store may take to answer a look-up. Longer, nobody can work with it.
const STORE_ANSWERS: Duration = Duration::from_secs(5);

/// One check.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What is looked at.
    pub name: &'static str,
    /// Whether it is well.
    pub ok: bool,
    /// What was found.
    pub detail: String,
}

/// The answer of `/ready`.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether all is well.
    pub ready: bool,
    /// Each check.
    pub checks: Vec<Check>,
}

/// Looks at everything.
pub(crate) async fn report(running: &Running) -> Report {
    let mut checks = vec![drain(running), listeners(running), store(running).await];
    checks.extend([disk(running), white_list(running), revocation(running), certificate(running)]);
    Report { ready: checks.iter().all(|check| check.ok), checks }
}

fn drain(running: &Running) -> Check {
    let draining = running.drain.is_cancelled();
    let detail = if draining { "the server is stopping" } else { "in service" };
    Check { name: "service", ok: !draining, detail: detail.into() }
}

fn listeners(running: &Running) -> Check {
    let closed: Vec<&str> =
        running.entrances.iter().filter(|entrance| !entrance.is_listening()).map(|e| e.name()).collect();
    let detail = match closed.as_slice() {
        [] => format!("{} entry points take connections", running.entrances.len()),
        closed => format!("no longer taking connections: {}", closed.join(", ")),
    };
    Check { name: "listeners", ok: closed.is_empty(), detail }
}

/// A look-up of something that is never there, and how the last commit went.
async fn store(running: &Running) -> Check {
    let check = |ok, detail: String| Check { name: "store", ok, detail };
    match tokio::time::timeout(STORE_ANSWERS, running.store.queue_entry(QueueId(0))).await {
        Err(_) => return check(false, format!("no answer in {} s", STORE_ANSWERS.as_secs())),
        Ok(Err(error)) => return check(false, error.to_string()),
        Ok(Ok(_)) => {}
    }
    match running.store.statistics() {
        Some(statistics) if statistics.is_failing() => check(false, "the last commit did not get to the disk".into()),
        _ => check(true, "answers, and the last commit is on disk".into()),
    }
}

fn disk(running: &Running) -> Check {
    let config = running.config();
    let least = config.monitoring.least_free_mib;
    let (ok, detail) = match process::disk(&config.operator.data) {
        None => (false, "the data folder cannot be looked at".to_owned()),
        Some((free, _)) => {
            let free = free >> 20;
            (free >= least, format!("{free} MiB free, {least} wanted"))
        }
    };
    Check { name: "disk", ok, detail }
}

fn white_list(running: &Running) -> Check {
    let status = running.trusted().white_list.status();
    let (ok, detail) = match (status.domains, status.age) {
        (0, _) => (false, "none yet".to_owned()),
        (domains, None) => (false, format!("{domains} domains, never confirmed")),
        (domains, Some(age)) => {
            let hours = age.as_secs() / 3600;
            (age < ALERT_AGE, format!("{domains} domains, confirmed {hours} h ago"))
        }
    };
    Check { name: "white_list", ok, detail }
}

fn revocation(running: &Running) -> Check {
    let now = running.clock.now();
    let config = running.config();
    let lists = running.trusted().revocation.status();
    let valid = lists.iter().filter(|list| now < list.next_update).count();
    let wanted = config.trust.crl.len();
    let ok = valid >= wanted || config.trust.revocation == Revocation::Tolerant;
    Check { name: "revocation", ok, detail: format!("{valid} valid lists, {wanted} wanted") }
}

fn certificate(running: &Running) -> Check {
    let ends = running.trusted().certificates.iter().filter(|c| c.ours).map(|c| c.ends).min();
    let now = running.clock.now();
    let (ok, detail) = match ends.map(|ends| ends.duration_since(now)) {
        None => (false, "its end cannot be read".to_owned()),
        Some(Err(_)) => (false, "past its end".to_owned()),
        Some(Ok(left)) => (true, format!("{} days left", left.as_secs() / 86_400)),
    };
    Check { name: "certificate", ok, detail }
}
