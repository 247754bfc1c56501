//! What processes take of memory (the proportional set size, so that pages shared between processes count once) and of processor.

use std::collections::HashMap;

/// Octets of a process and all under it.
pub fn tree(root: u32) -> Result<u64, String> {
    Ok(pids(root)?.into_iter().filter_map(proportional).sum())
}

/// The most octets that a process and all under it had resident, each at its own time; those that ended are not counted.
pub fn peak(root: u32) -> Result<u64, String> {
    let highest = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        kib(status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?)
    };
    Ok(pids(root)?.into_iter().filter_map(highest).sum())
}

/// Seconds of processor that a process and all under it took, ended children included.
pub fn cpu(root: u32) -> Result<f64, String> {
    let spent = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<f64> =
            stat.rsplit_once(')')?.1.split_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect();
        // utime, stime, cutime, cstime are fields 14 to 17 of the line, the state being the third; hundredths of a second.
        Some(fields.get(11..15)?.iter().sum::<f64>() / 100.0)
    };
    Ok(pids(root)?.into_iter().filter_map(spent).sum())
}

/// The processes under one, those that ended and were not waited for left out.
pub fn under(root: u32) -> Result<Vec<u32>, String> {
    Ok(pids(root)?.into_iter().filter(|pid| *pid != root && lives(*pid)).collect())
}

/// Whether a process is there and has not ended.
pub fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// A process and all under it.
fn pids(root: u32) -> Result<Vec<u32>, String> {
    let mut parents: HashMap<u32, u32> = HashMap::new();
    for entry in std::fs::read_dir("/proc").map_err(|e| e.to_string())?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        parents.insert(pid, parent.unwrap_or(0));
    }
    let under = |mut pid: u32| loop {
        if pid == root {
            return true;
        }
        match parents.get(&pid) {
            Some(parent) if *parent != 0 => pid = *parent,
            _ => return false,
        }
    };
    Ok(parents.keys().copied().filter(|pid| under(*pid)).collect())
}

fn proportional(pid: u32) -> Option<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    kib(rollup.lines().find_map(|l| l.strip_prefix("Pss:"))?)
}

/// `1234 kB`, in octets.
fn kib(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}
