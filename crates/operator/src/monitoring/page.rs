//! `/metrics`: the counters, and what is looked up when asked for: queue, trust, disk, process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ::meter::Text;

use super::process;
use crate::access::seconds;
use crate::service::Running;

/// Domains of the queue told apart, those with most recipients; the others are `other` together.
const QUEUE_DOMAINS: usize = 50;
/// The queue is read at most this often: it may be long.
const QUEUE_EVERY: Duration = Duration::from_secs(15);

/// What waits for one domain.
#[derive(Debug, Default, Clone, Copy)]
struct Waiting {
    messages: u64,
    recipients: u64,
    octets: u64,
    oldest: Option<i64>,
}

impl Waiting {
    fn add(&mut self, other: Waiting) {
        self.messages += other.messages;
        self.recipients += other.recipients;
        self.octets += other.octets;
        self.oldest = [self.oldest, other.oldest].into_iter().flatten().min();
    }
}

/// What waits, by domain.
type Domains = Vec<(String, Waiting)>;

/// The queue as it was read last.
#[derive(Debug, Default)]
pub(crate) struct QueueLook(Mutex<Option<(Instant, Arc<Domains>)>>);

impl QueueLook {
    async fn look(&self, running: &Running) -> Arc<Domains> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, known)) = &known
            && at.elapsed() < QUEUE_EVERY
        {
            return known.clone();
        }
        let Ok(entries) = running.store.queue().await else {
            return known.map(|(_, known)| known).unwrap_or_default();
        };
        let mut domains: HashMap<String, Waiting> = HashMap::new();
        for entry in entries {
            let mut recipients: HashMap<&str, u64> = HashMap::new();
            for recipient in &entry.recipients {
                *recipients.entry(recipient.address.domain().as_str()).or_default() += 1;
            }
            for (domain, recipients) in recipients {
                let oldest = Some(entry.accepted_at);
                let one = Waiting { messages: 1, recipients, octets: entry.size, oldest };
                domains.entry(domain.to_owned()).or_default().add(one);
            }
        }
        let look = Arc::new(summed(domains));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), look.clone()));
        look
    }
}

/// The domains with most recipients, and the others as one.
fn summed(domains: HashMap<String, Waiting>) -> Vec<(String, Waiting)> {
    let mut all: Vec<_> = domains.into_iter().collect();
    all.sort_unstable_by(|(a, x), (b, y)| y.recipients.cmp(&x.recipients).then_with(|| a.cmp(b)));
    if all.len() > QUEUE_DOMAINS {
        let mut others = Waiting::default();
        for (_, waiting) in all.drain(QUEUE_DOMAINS..) {
            others.add(waiting);
        }
        all.push(("other".to_owned(), others));
    }
    all
}

fn unix(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Everything.
pub(super) async fn page(running: &Running) -> String {
    let mut text = Text::default();
    running.meter.registry().write(&mut text);
    let plain = |value: f64| [(Vec::new(), value)];
    text.gauges(
        "vaguemestre_build_info",
        "1; the version is a label.",
        [(vec![("version", env!("CARGO_PKG_VERSION").to_owned())], 1.0)],
    );
    text.gauges(
        "vaguemestre_draining",
        "1 while the server stops.",
        plain(f64::from(u8::from(running.drain.is_cancelled()))),
    );
    let lost = running.tracer.lost();
    text.counters("vaguemestre_traces_lost_total", "Functional traces that could not be written.", plain(lost as f64));
    queue(running, &mut text).await;
    store(running, &mut text);
    trust(running, &mut text);
    let disk = process::disk(&running.config().operator.data);
    text.gauges(
        "vaguemestre_disk_free_bytes",
        "Room left where the data folder is.",
        disk.map(|d| (vec![], d.0 as f64)),
    );
    text.gauges(
        "vaguemestre_disk_size_bytes",
        "Room in all where the data folder is.",
        disk.map(|d| (vec![], d.1 as f64)),
    );
    process::write(&mut text, running.started);
    text.finish()
}

async fn queue(running: &Running, text: &mut Text) {
    let look = running.queue_look.look(running).await;
    let now = seconds(running.clock.as_ref());
    let series = |value: fn(&Waiting, i64) -> f64| {
        look.iter().map(move |(domain, waiting)| (vec![("domain", domain.clone())], value(waiting, now)))
    };
    text.gauges("vaguemestre_queue_messages", "Messages waiting, by domain.", series(|w, _| w.messages as f64));
    text.gauges("vaguemestre_queue_recipients", "Recipients waiting, by domain.", series(|w, _| w.recipients as f64));
    text.gauges("vaguemestre_queue_bytes", "Octets waiting, by domain.", series(|w, _| w.octets as f64));
    text.gauges(
        "vaguemestre_queue_oldest_seconds",
        "Age of the oldest message waiting, by domain.",
        series(|w, now| w.oldest.map_or(0, |oldest| (now - oldest).max(0)) as f64),
    );
}

fn store(running: &Running, text: &mut Text) {
    let views = running.store.open_views() as f64;
    text.gauges("vaguemestre_store_open_folders", "Folders held in memory.", [(vec![], views)]);
    let Some(statistics) = running.store.statistics() else { return };
    text.one_histogram(
        "vaguemestre_store_commit_seconds",
        "Time of a group commit, to the disk.",
        &statistics.commit_seconds,
    );
    text.one_histogram("vaguemestre_store_batch_requests", "Requests in a group commit.", &statistics.batch_requests);
    let commits = [("ok", &statistics.committed), ("failed", &statistics.failed)];
    text.counters(
        "vaguemestre_store_commits_total",
        "Group commits.",
        commits.map(|(outcome, n)| (vec![("outcome", outcome.to_owned())], n.get() as f64)),
    );
}

fn trust(running: &Running, text: &mut Text) {
    let trusted = running.trusted();
    let list = trusted.white_list.status();
    let age = list.age.map(|age| (vec![], age.as_secs_f64()));
    text.gauges("vaguemestre_white_list_age_seconds", "Since the white list was last confirmed by its publisher.", age);
    text.gauges("vaguemestre_white_list_domains", "Domains of the white list.", [(vec![], list.domains as f64)]);
    text.gauges(
        "vaguemestre_white_list_failures",
        "Attempts to fetch the white list that failed since the last that did not.",
        [(vec![], f64::from(list.failures))],
    );
    let lists = trusted.revocation.status();
    let series = |value: &dyn Fn(&trust::revocation::CrlStatus) -> f64| {
        lists.iter().map(|list| (vec![("issuer", list.issuer.to_string())], value(list))).collect::<Vec<_>>()
    };
    let now = unix(running.clock.now());
    let ages = series(&|list| now - unix(list.this_update));
    text.gauges("vaguemestre_crl_age_seconds", "Since each revocation list was issued.", ages);
    let ends = series(&|list| unix(list.next_update));
    text.gauges(
        "vaguemestre_crl_expiry_timestamp_seconds",
        "When each revocation list ends, seconds since 1970.",
        ends,
    );
    let certificates = trusted.certificates.iter().map(|certificate| {
        let role = if certificate.ours { "server" } else { "authority" };
        (vec![("role", role.to_owned()), ("subject", certificate.subject.clone())], unix(certificate.ends))
    });
    text.gauges(
        "vaguemestre_certificate_expiry_timestamp_seconds",
        "When our certificate and those of the authorities end, seconds since 1970.",
        certificates,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domains_with_most_to_do_are_told_apart() {
        let one = |recipients| Waiting { messages: 1, recipients, octets: 10, oldest: Some(5) };
        let domains = (0..60).map(|n| (format!("d{n:02}.mssante.fr"), one(if n == 59 { 9 } else { 1 }))).collect();
        let look = summed(domains);
        assert_eq!(look.len(), QUEUE_DOMAINS + 1);
        assert_eq!(look[0].0, "d59.mssante.fr");
        let (name, others) = look.last().expect("there");
        assert_eq!((name.as_str(), others.messages, others.octets, others.oldest), ("other", 10, 100, Some(5)));
    }
}
