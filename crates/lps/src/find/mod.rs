//! Who to write to: the Annuaire Santé, by its interface or in its extraction. DIR-READ, SC.MSS/CONF.20.
//!
//! Invariants:
//! * the interface is asked first; the extraction when it is not configured, does not answer or does not give all;
//! * one entry for each mailbox, whichever source knows it; the order and the meaning of a query are the same for both;
//! * a search is traced (ECO.4.1.1) by its criteria and its count, never by a name.

mod error;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use directory::extraction::{Progress, Update};
use directory::{Answer, Client, Entry, Extraction, ExtractionError, Source, merge};
use time::OffsetDateTime;
use trust::SharedClock;

pub use directory::{ApiError, Person, Place, Query, QueryError, Site, StructureSought};
pub use error::FindError;
pub(crate) use error::settings_message;

use crate::space::Space;
use crate::trace::{Action, Trace, Tracer};

/// Where a search looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sources {
    /// The interface; the extraction too when it is not configured, fails, or does not give all.
    #[default]
    Auto,
    /// The interface alone.
    Api,
    /// The extraction alone: nothing leaves the machine.
    Extraction,
    /// Both.
    Both,
}

/// What a search gives.
#[derive(Debug)]
pub struct Found {
    /// One for each mailbox: by name, first name, structure, address.
    pub entries: Vec<Entry>,
    /// Whether these are all.
    pub complete: bool,
    /// Why a source that was to be asked gave nothing; the entries are the other's.
    pub doubts: Vec<FindError>,
}

/// Looks for correspondents. Make one and keep it: it holds the connections and the pace of the interface.
#[derive(Clone)]
pub struct Finder {
    api: Option<Client>,
    extraction: Option<Extraction>,
    tracer: Arc<dyn Tracer>,
    clock: SharedClock,
}

impl Finder {
    /// As the section `[directory]` of the space says. Blocking: reads the key and the authorities.
    ///
    /// # Errors
    /// [`FindError::NotConfigured`] without such a section or with neither source in it; a key or authorities that cannot be read.
    pub fn open(space: &Space) -> Result<Finder, FindError> {
        let settings = space.directory.as_ref().ok_or(FindError::NotConfigured)?;
        let api = match Client::open(settings, space.clock.clone()) {
            Ok(client) => Some(client),
            Err(ApiError::NotConfigured) => None,
            Err(error) => return Err(error.into()),
        };
        let anchors = space.anchors().certificates();
        let extraction = match Extraction::new(settings, anchors, space.clock.clone()) {
            Ok(extraction) => Some(extraction),
            Err(ExtractionError::NotConfigured) => None,
            Err(error) => return Err(error.into()),
        };
        if api.is_none() && extraction.is_none() {
            return Err(FindError::NotConfigured);
        }
        Ok(Finder { api, extraction, tracer: space.tracer.clone(), clock: space.clock.clone() })
    }

    /// Whether the interface can be asked, and whether there is an extraction to search.
    #[must_use]
    pub fn has(&self, source: Source) -> bool {
        match source {
            Source::Api => self.api.is_some(),
            Source::Extraction => self.extraction.is_some(),
        }
    }

    /// Looks for correspondents; `author` is who does, for the trace. May be dropped at any time.
    ///
    /// # Errors
    /// [`FindError`] when no source gave an answer.
    pub async fn find(&self, query: &Query, sources: Sources, author: &str) -> Result<Found, FindError> {
        let found = self.look(query, sources).await;
        let (answer, done) = match &found {
            Ok(found) => (format!("{} found", found.entries.len()), true),
            Err(error) => (error.to_string(), false),
        };
        self.trace(author, format!("directory: {}", query.criteria().join(", ")), &answer, done);
        found
    }

    async fn look(&self, query: &Query, sources: Sources) -> Result<Found, FindError> {
        query.check()?;
        let mut doubts = Vec::new();
        let api = match sources {
            Sources::Extraction => None,
            _ => take(self.ask(query).await, &mut doubts),
        };
        let enough = api.as_ref().is_some_and(|answer| answer.complete);
        let offline = match sources {
            Sources::Api => None,
            Sources::Auto if enough => None,
            _ => take(self.offline(query).await, &mut doubts),
        };
        if api.is_none() && offline.is_none() {
            // The first source asked tells more than the one that stands in for it; one that is merely not there tells nothing.
            let worth = doubts.iter().position(|doubt| !doubt.is_absence()).unwrap_or(0);
            return Err(if doubts.is_empty() { FindError::NotConfigured } else { doubts.swap_remove(worth) });
        }
        doubts.retain(|doubt| !doubt.is_absence());
        // An extraction that was searched whole does not make the interface's answer whole: it knows no BAL APP.
        let complete = match sources {
            Sources::Extraction => offline.as_ref().is_some_and(|answer| answer.complete),
            _ => enough && offline.as_ref().is_none_or(|answer| answer.complete),
        };
        let all: Vec<Entry> = [api, offline].into_iter().flatten().flat_map(|answer| answer.entries).collect();
        let mut entries = merge(all, usize::MAX);
        let complete = complete && entries.len() <= query.limit();
        entries.truncate(query.limit());
        Ok(Found { entries, complete, doubts })
    }

    async fn ask(&self, query: &Query) -> Result<Answer, FindError> {
        let client = self.api.as_ref().ok_or(ApiError::NotConfigured)?;
        Ok(client.find(query).await?)
    }

    async fn offline(&self, query: &Query) -> Result<Answer, FindError> {
        let extraction = self.extraction.clone().ok_or(ExtractionError::NotConfigured)?;
        let query = query.clone();
        let searched = tokio::task::spawn_blocking(move || extraction.index()?.find(&query)).await;
        Ok(searched.map_err(|_| FindError::Stopped)??)
    }

    /// Brings the extraction in when there is a newer one; says how far it is. A search meanwhile has the older one.
    ///
    /// # Errors
    /// [`FindError::Extraction`]; what was there stays.
    pub async fn update(
        &self,
        progress: impl Fn(Progress) + Send + Sync + 'static,
        author: &str,
    ) -> Result<Update, FindError> {
        let extraction = self.extraction.as_ref().ok_or(ExtractionError::NotConfigured)?;
        let updated = extraction.update(progress).await;
        let (answer, done) = match &updated {
            Ok(Update::Unchanged(_)) => ("nothing newer".to_owned(), true),
            Ok(Update::Taken(facts)) => (format!("{} mailboxes", facts.entries), true),
            Err(error) => (error.to_string(), false),
        };
        self.trace(author, "directory: extraction".to_owned(), &answer, done);
        Ok(updated?)
    }

    fn trace(&self, author: &str, request: String, answer: &str, done: bool) {
        self.tracer.record(Trace {
            at: OffsetDateTime::from(self.clock.now()),
            author: author.to_owned(),
            mailbox: None,
            action: Action::Search,
            request,
            answer: answer.chars().take(crate::trace::MAX_ANSWER).collect(),
            done,
            message_id: None,
        });
    }
}

/// The answer, or a doubt.
fn take(result: Result<Answer, FindError>, doubts: &mut Vec<FindError>) -> Option<Answer> {
    result.map_err(|error| doubts.push(error)).ok()
}
