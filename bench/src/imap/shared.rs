//! One BAL that many have open: what a hospital service's is.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::client::Client;
use super::measures::{Bench, Figure, Unit, figure};
use super::messages;

/// Sessions that have the folder open.
const SESSIONS: usize = 32;
/// Messages that are each session's own to change: nobody's change is undone by another.
const OWN: usize = 10_000 / SESSIONS;
/// How long they work.
const WORK: Duration = Duration::from_secs(4);
/// Messages that arrive while they wait.
const ARRIVALS: usize = 15;

impl Bench<'_> {
    /// Sessions that change flags in the same folder of 10,000, each hearing of what the others do; then all wait, and a message comes.
    pub fn shared(&self) -> Result<Vec<Figure>, String> {
        let mut clients = (0..SESSIONS)
            .map(|_| {
                let mut client = self.connect(1)?;
                client.command("SELECT idle").map(|_| client)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let rate = working(&mut clients)?;
        let told = waiting(&mut clients)?;
        Ok(vec![
            figure(format!("{SESSIONS} sessions in one folder of 10000: STORE, NOOP, FETCH"), rate, Unit::PerSecond),
            figure(format!("APPEND of 20 KB to the last of {} in IDLE being told", SESSIONS - 1), told, Unit::Ms),
        ])
    }
}

/// Commands a second of all together.
fn working(clients: &mut [Client]) -> Result<f64, String> {
    let (done, start) = (AtomicUsize::new(0), Barrier::new(clients.len()));
    let began = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = clients
            .iter_mut()
            .enumerate()
            .map(|(session, client)| {
                let (done, start) = (&done, &start);
                scope.spawn(move || -> Result<(), String> {
                    start.wait();
                    let mut turn = 0;
                    while began.elapsed() < WORK {
                        let uid = 1 + session + turn % OWN * SESSIONS;
                        let sign = if (turn / OWN).is_multiple_of(2) { '+' } else { '-' };
                        client.command(&format!("UID STORE {uid} {sign}FLAGS.SILENT (\\Flagged)"))?;
                        client.command("NOOP")?;
                        client.command(&format!("UID FETCH {uid} (FLAGS)"))?;
                        done.fetch_add(3, Ordering::Relaxed);
                        turn += 1;
                    }
                    Ok(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|t| t.join().map_err(|_| "a client failed".to_owned())?)
    })?;
    Ok(done.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
}

/// Milliseconds from a message being sent until the last of those who wait was told of it, the median of some.
fn waiting(clients: &mut [Client]) -> Result<f64, String> {
    let Some((sender, waiting)) = clients.split_first_mut() else { return Err("no session".into()) };
    for client in &mut *waiting {
        client.next_tag();
        client.send(b"i IDLE\r\n")?;
        client.continuation()?;
    }
    let text = messages::message(7, 16_900);
    let mut times = Vec::new();
    for _ in 0..ARRIVALS {
        let began = Instant::now();
        sender.append("idle", &text)?;
        // Read one after the other: none is told later than it is read here.
        for client in &mut *waiting {
            client.untagged("EXISTS")?;
        }
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
