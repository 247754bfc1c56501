//! The file of the switches, read again when it changed.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use crate::Fault;

/// What tells one state of the file from another: it is replaced by a new one, not written over.
type Mark = Option<(SystemTime, u64, u64)>;

#[derive(Default)]
struct State {
    mark: Mark,
    on: HashSet<Fault>,
}

fn path() -> Option<&'static PathBuf> {
    static PATH: OnceLock<Option<PathBuf>> = OnceLock::new();
    PATH.get_or_init(|| std::env::var_os("VAGUEMESTRE_FAULTS").map(PathBuf::from)).as_ref()
}

pub(crate) fn beside(name: &str) -> Option<PathBuf> {
    Some(path()?.parent()?.join(name))
}

pub(crate) fn is_on(fault: Fault) -> bool {
    use std::os::unix::fs::MetadataExt;
    static STATE: Mutex<Option<State>> = Mutex::new(None);
    let Some(path) = path() else { return false };
    let mark: Mark =
        std::fs::metadata(path).ok().and_then(|file| Some((file.modified().ok()?, file.ino(), file.len())));
    // Changed as a whole: a panic leaves the former one.
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    let state = state.get_or_insert_default();
    if state.mark != mark {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        *state = State { mark, on: text.lines().filter_map(named).collect() };
    }
    state.on.contains(&fault)
}

fn named(line: &str) -> Option<Fault> {
    let name = line.trim();
    if name.is_empty() || name.starts_with('#') {
        return None;
    }
    let found = Fault::ALL.iter().find(|(_, known)| *known == name).map(|(fault, _)| *fault);
    if found.is_none() {
        eprintln!("vaguemestre-defaillant: no such fault: {name}");
    }
    found
}
