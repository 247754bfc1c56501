//! A door for `bench/instructions` to what is reached only through a session: SEARCH, from its text to its answer. No part of the crate's
//! interface.

use std::sync::Arc;
use std::time::Duration;

use mail::FolderName;
use tokio::io::AsyncWrite;
use tokio_util::sync::CancellationToken;

use super::enabled::Enabled;
use super::output::Output;
use super::progress::Progress;
use super::search::{Plan, Positions, Told, Work, matching, tell};
use super::selected::Selected;
use crate::backend::OpenFolder;
use crate::command::{Command, Tagged};
use crate::parse;

/// Longer than anything that is counted takes.
const LONG: Duration = Duration::from_secs(3600);

/// A folder that is searched.
pub struct Searching {
    out: Output,
    selected: Selected,
}

impl Searching {
    /// Answers go to `sink`.
    pub fn new(folder: Arc<dyn OpenFolder>, sink: Box<dyn AsyncWrite + Send + Unpin>) -> Self {
        let out = Output::new(sink, LONG, CancellationToken::new());
        Searching { out, selected: Selected::new(FolderName::inbox(), folder, false, Enabled::default()) }
    }

    /// Answers a SEARCH command, without its tagged line; whether it could.
    pub async fn search(&mut self, command: &[u8]) -> bool {
        let Ok(Tagged { tag, command: Command::Search { numbers, options, key, .. } }) = parse::parse(command) else {
            return false;
        };
        let (shutdown, plan) = (CancellationToken::new(), Plan::new(key, &self.selected, 0));
        let progress = Progress::every(&tag, LONG, LONG);
        let mut work = Work { out: &mut self.out, selected: &mut self.selected, shutdown: &shutdown, progress };
        let Ok(positions) = matching(&mut work, &plan).await else { return false };
        let positions = Positions::Of(positions);
        let told = Told { name: "SEARCH", tag: &tag, numbers, options: options.as_deref(), positions, modseq: false };
        tell(&mut self.out, &mut self.selected, &told).await.is_ok() && self.out.flush().await.is_ok()
    }
}
