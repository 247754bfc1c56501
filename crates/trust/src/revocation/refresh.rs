//! Fetching the lists, in the background, and keeping them on disk.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::crl::{CrlError, IssuerKey};
use super::{CrlSource, Revocation, RevocationError};
use crate::http::get_limited;

/// Largest list. Those of IGC-Santé have tens of KB to a few MB.
const MAX_CRL: usize = 32 * 1024 * 1024;
/// Time before the next try after a failure (never longer than the regular interval).
const RETRY_AFTER: Duration = Duration::from_secs(300);
/// Most files read in the cache folder, which only holds ours.
const MAX_CACHED: usize = 100;

impl Revocation {
    /// Fetches every source once. What fails is returned and logged; the lists at hand stay.
    pub async fn refresh(&self) -> Vec<(CrlSource, CrlError)> {
        let mut failures = Vec::new();
        let learned = self.learned();
        for source in self.settings.sources.iter().chain(&learned) {
            let fetched = match self.fetch(source).await {
                Ok(bytes) => self.install(&bytes).map(drop),
                Err(error) => Err(error),
            };
            if let Err(error) = fetched {
                tracing::warn!(?source, %error, "revocation list not refreshed");
                failures.push((source.clone(), error));
            }
        }
        failures
    }

    /// Refreshes now, then at every interval, until `shutdown`.
    pub fn spawn_refresh(self: &Arc<Self>, shutdown: CancellationToken) -> JoinHandle<()> {
        let revocation = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                let every = revocation.settings.refresh_every;
                let pause = tokio::select! {
                    () = shutdown.cancelled() => return,
                    failures = revocation.refresh() => if failures.is_empty() { every } else { every.min(RETRY_AFTER) },
                };
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
            }
        })
    }

    pub(super) async fn fetch(&self, source: &CrlSource) -> Result<Vec<u8>, CrlError> {
        match (source, &self.client) {
            (CrlSource::Url(url), Some(client)) => Ok(get_limited(client.get()?, url, MAX_CRL).await?),
            // a store made by `none()` has no source
            (CrlSource::Url(_), None) => Err(CrlError::UnknownIssuer),
            (CrlSource::File(path), _) => read_limited(path),
        }
    }

    /// Takes the lists of the cache folder that still count; the others are left for the next good one to replace.
    pub(super) fn load_cache(&self) -> Result<(), RevocationError> {
        let Some(dir) = &self.settings.cache_dir else { return Ok(()) };
        let failed = |source| RevocationError::CacheDir { path: dir.clone(), source };
        std::fs::create_dir_all(dir).map_err(failed)?;
        for entry in std::fs::read_dir(dir).map_err(failed)?.take(MAX_CACHED) {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == "part") && is_old(&path) {
                // What a kill left.
                let _ = std::fs::remove_file(&path);
            }
            if path.extension().is_none_or(|extension| extension != "crl") {
                continue;
            }
            if let Err(error) = read_limited(&path).and_then(|bytes| self.install(&bytes)) {
                tracing::info!(path = %path.display(), %error, "cached revocation list not taken");
            }
        }
        Ok(())
    }

    /// Writes a list to the cache folder, whole or not at all. A failure costs only the survival to a restart: it is logged.
    pub(super) fn save(&self, key: &IssuerKey) {
        let Some(dir) = &self.settings.cache_dir else { return };
        let Some(list) = self.lists.read().unwrap_or_else(PoisonError::into_inner).get(key).map(Arc::clone) else {
            return;
        };
        let target = dir.join(format!("{}.crl", key.hex()));
        // Of this writer alone: several programs and tasks share the folder.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let draft = dir.join(format!("{}.{}-{number}.part", key.hex(), std::process::id()));
        let written = std::fs::File::create(&draft)
            .and_then(|mut file| file.write_all(list.der()).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::rename(&draft, &target));
        if let Err(error) = written {
            // What was written of it, if anything was.
            let _ = std::fs::remove_file(&draft);
            tracing::warn!(path = %target.display(), %error, "revocation list not kept on disk");
        }
    }
}

/// Whether nobody can still be writing it.
fn is_old(path: &Path) -> bool {
    const LONG: std::time::Duration = std::time::Duration::from_secs(3600);
    let written = path.metadata().and_then(|about| about.modified());
    written.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > LONG))
}

fn read_limited(path: &Path) -> Result<Vec<u8>, CrlError> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_CRL as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_CRL { Err(CrlError::TooLarge) } else { Ok(bytes) }
}
