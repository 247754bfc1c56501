//! CPU time of everything on the machine but this process and the commands it ran (what counts the messages afterwards): processes
//! of Postfix come and go, so none is followed by itself.

/// Seconds of CPU the machine spent since it started, idle and waiting apart.
pub fn machine() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let numbers: Vec<f64> = stat.lines().next()?.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    // user nice system idle iowait irq softirq: ticks are hundredths of a second on Linux.
    let busy = numbers.first()? + numbers.get(1)? + numbers.get(2)? + numbers.get(5)? + numbers.get(6)?;
    Some(busy / 100.0)
}

/// Seconds of CPU this process spent, and those of its children that have ended.
fn own() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let numbers: Vec<f64> = after_name.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    // After the name and the state letter (which is no number): utime, stime, cutime and cstime are fields 14 to 17 of the line.
    Some(numbers.get(10..14)?.iter().sum::<f64>() / 100.0)
}

/// Seconds of CPU spent by others.
pub fn others() -> f64 {
    machine().zip(own()).map_or(0.0, |(machine, own)| machine - own)
}
