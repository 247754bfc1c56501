//! What the system says of this process and of the disk. What cannot be read is left out.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ::meter::Text;

/// Writes what is known of the process, under the names every Prometheus client uses.
pub(super) fn write(text: &mut Text, started: SystemTime) {
    let one = |value: Option<f64>| value.map(|value| (Vec::new(), value));
    text.gauges("process_resident_memory_bytes", "Memory held.", one(resident()));
    text.gauges("process_open_fds", "File descriptors open.", one(count("/proc/self/fd")));
    text.gauges("process_max_fds", "File descriptors allowed.", one(most_files()));
    text.gauges("process_threads", "Threads.", one(count("/proc/self/task")));
    text.counters("process_cpu_seconds_total", "Time of processors used.", one(processor_time()));
    let started = started.duration_since(UNIX_EPOCH).map(|since| since.as_secs_f64());
    text.gauges("process_start_time_seconds", "When it started, seconds since 1970.", one(started.ok()));
}

/// Octets free for us and octets in all, where `folder` is.
pub(super) fn disk(folder: &Path) -> Option<(u64, u64)> {
    let room = rustix::fs::statvfs(folder).ok()?;
    Some((room.f_bavail.saturating_mul(room.f_frsize), room.f_blocks.saturating_mul(room.f_frsize)))
}

/// How many entries a folder has.
fn count(folder: &str) -> Option<f64> {
    Some(std::fs::read_dir(folder).ok()?.count() as f64)
}

fn resident() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024.0)
}

fn most_files() -> Option<f64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Seconds in user and system mode. `/proc` counts hundredths on every Linux there is (`USER_HZ`).
fn processor_time() -> Option<f64> {
    const USER_HZ: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses, which may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let (user, system): (f64, f64) = (fields.get(11)?.parse().ok()?, fields.get(12)?.parse().ok()?);
    Some((user + system) / USER_HZ)
}
