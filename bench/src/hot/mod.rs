//! Hot paths, each done once with a fixed input between two warm-ups and nothing else: `bench/instructions` counts what
//! [`counted`] runs. Instructions do not depend on what else the machine does. One thread does it all: what others do is not counted.
//!
//! Invariant: the same input every time, made outside [`counted`]; random salts and hash seeds change nothing that is counted
//! by more than a hundredth.

mod inputs;
mod paths;
mod searched;
mod stored;

/// Which paths.
#[derive(clap::Args)]
pub struct Options {
    /// Only these; all when none is named.
    names: Vec<String>,
}

/// A hot path: its name and what does it, once it is given the runner.
type Path = (&'static str, fn(&mut dyn FnMut(&mut dyn FnMut())) -> Result<(), String>);

/// The names, and what they are, in the order of the baseline.
const PATHS: [Path; 21] = [
    ("mime-scan-20k", paths::mime_scan),
    ("structure-encode", paths::structure_encode),
    ("envelope-bodystructure", paths::envelope_bodystructure),
    ("parse-20-commands", paths::parse_commands),
    ("fetch-flags-10k", paths::fetch_flags),
    ("view-push-100k", paths::view_push),
    ("view-update-100k", paths::view_update),
    ("view-difference-100k", paths::view_difference),
    ("view-deleted-100k", paths::view_deleted),
    ("search-text-20k", paths::search_text),
    ("search-index-1k", paths::search_index),
    ("search-query", paths::search_query),
    ("search-subject-1k", paths::search_subject),
    ("search-answer-50k", searched::all),
    ("search-half-50k", searched::half),
    ("record-seal-open-20k", paths::record),
    ("smtp-data-20k", paths::smtp_data),
    ("xoauth2", paths::xoauth2),
    ("store-all-10k", stored::mark_all),
    ("append-20k", stored::append),
    ("load-100k", stored::load),
];

/// What is counted: valgrind is told this function's name. Everything `work` calls is within.
#[inline(never)]
pub fn counted(work: &mut dyn FnMut()) {
    std::hint::black_box(&mut *work)();
}

/// Does them; prints the name of each as it is counted.
pub fn run(options: &Options) -> Result<(), String> {
    if let Some(unknown) = options.names.iter().find(|name| !PATHS.iter().any(|(known, _)| known == name)) {
        let known: Vec<&str> = PATHS.iter().map(|(name, _)| *name).collect();
        return Err(format!("{unknown}: write one of {}", known.join(", ")));
    }
    for (name, path) in PATHS {
        if !options.names.is_empty() && !options.names.iter().any(|n| n == name) {
            continue;
        }
        let mut done = 0;
        path(&mut |work| {
            // Tables made on first use, and the allocator's first pages, are not the path's.
            work();
            counted(work);
            done += 1;
        })?;
        if done != 1 {
            return Err(format!("{name} was counted {done} times"));
        }
        println!("{name}");
    }
    Ok(())
}
