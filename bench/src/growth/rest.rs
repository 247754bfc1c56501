//! When the server is there, and when it rests.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::imap::ours::Ours;
use crate::imap::process;

/// How long the server spends nothing when it is at rest: longer than the index waits for more.
const REST: Duration = Duration::from_secs(8);

/// Waits for the greeting: the port takes connections before the store is open.
pub fn greeted(address: SocketAddr) -> Result<(), String> {
    let stream = TcpStream::connect(address).map_err(|e| e.to_string())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).map_err(|e| e.to_string())?;
    if line.starts_with("* OK") { Ok(()) } else { Err(format!("greeted with {line:?}")) }
}

/// Waits until the server spends nothing: what arrived is indexed. `false`: it does not within so many seconds.
pub fn rest(ours: &Ours, patience: u64) -> Result<bool, String> {
    let pid = ours.running().ok_or("the server does not run")?;
    let spent = || process::cpu(pid);
    let began = Instant::now();
    let (mut since, mut before) = (Instant::now(), spent()?);
    while since.elapsed() < REST {
        if began.elapsed().as_secs() > patience {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_secs(1));
        let now = spent()?;
        // One that wants to run and is not let, on a loaded machine, is not at rest.
        if now - before > 0.03 || wants_to_run(pid) {
            since = Instant::now();
        }
        before = now;
    }
    Ok(true)
}

/// Whether a thread of a process is running or waits for a processor.
fn wants_to_run(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok())
        .any(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with(['R', 'D'])))
}
