//! Searches over the interface: few calls, pages followed, what comes completed and checked.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use openssl::x509::X509;
use trust::SharedClock;
use url::Url;

use super::assemble::Pool;
use super::error::ApiError;
use super::exchange::Exchange;
use super::plan::{Params, Route, route};
use crate::entry::Answer;
use crate::order;
use crate::query::{Query, Sought};
use crate::settings::{ApiKey, Settings};

/// A search ends by then: somebody looks at the screen. The gateway's own limit is 30 s.
pub const DEADLINE: Duration = Duration::from_secs(25);
/// Most calls of one search: three seconds of the application's seventeen a second, and the search says that it is not complete.
pub const MAX_CALLS: usize = 50;
/// Most octets read for one search, so that the memory it takes has a limit.
pub const MAX_OCTETS: usize = 40 * 1024 * 1024;
/// Matches asked of a page.
const COUNT: usize = 100;
/// Ids in one request: an id has 20 characters, and a URL stays below 4 KB.
const IDS: usize = 50;
/// Longest URL of a following page.
const MAX_URL: usize = 8 * 1024;

/// A client of the FHIR interface. Clones share its connections and its pace: make one per application.
///
/// A search may be dropped at any time: nothing but the calls it was counted for remains of it.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    base: Url,
    exchange: Exchange,
    clock: SharedClock,
    deadline: Duration,
}

impl Client {
    /// A client as the settings say. Blocking: it reads the key and the authorities.
    ///
    /// # Errors
    /// [`ApiError::NotConfigured`] without URL or key; a key or authorities that cannot be read.
    pub fn open(settings: &Settings, clock: SharedClock) -> Result<Client, ApiError> {
        settings.check()?;
        let (Some(base), Some(key)) = (settings.url.clone(), settings.api_key()?) else {
            return Err(ApiError::NotConfigured);
        };
        let authorities = match &settings.anchors {
            None => None,
            Some(path) => {
                let wrong = |why: String| ApiError::Authorities(format!("{}: {why}", path.display()));
                let pem = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
                Some(X509::stack_from_pem(&pem).map_err(|e| wrong(e.to_string()))?)
            }
        };
        Client::new(base, &key, authorities.as_deref(), clock)
    }

    /// A client of the interface at `base`, whose server is believed by these authorities (the system's when none are given).
    ///
    /// # Errors
    /// A base that takes no path, or authorities that cannot be used.
    pub fn new(base: Url, key: &ApiKey, authorities: Option<&[X509]>, clock: SharedClock) -> Result<Client, ApiError> {
        if base.cannot_be_a_base() {
            return Err(ApiError::NotConfigured);
        }
        let exchange = Exchange::new(key, authorities)?;
        Ok(Client { inner: Arc::new(Inner { base, exchange, clock, deadline: DEADLINE }) })
    }

    /// The same with another deadline for a search.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Client {
        match Arc::try_unwrap(self.inner) {
            Ok(inner) => Client { inner: Arc::new(Inner { deadline, ..inner }) },
            // Shared already: the clones keep theirs.
            Err(inner) => Client { inner },
        }
    }

    /// Who is looked for.
    ///
    /// # Errors
    /// [`ApiError`]; a search that only costs more than [`MAX_CALLS`] is no error but an incomplete [`Answer`].
    pub async fn find(&self, query: &Query) -> Result<Answer, ApiError> {
        let sought = query.sought()?;
        let start = Instant::now();
        let search = Search {
            inner: &self.inner,
            limit: query.limit(),
            until: start + self.inner.deadline,
            calls: 0,
            pool: Pool::default(),
            octets: 0,
            pages: HashSet::new(),
            asked: HashSet::new(),
            sought: &sought,
        };
        // Each call looks at the deadline; this one is for the work between them.
        match tokio::time::timeout(self.inner.deadline, search.run()).await {
            Ok(answer) => answer,
            Err(_) => Err(ApiError::TimeOut(self.inner.deadline)),
        }
    }
}

/// How a series of pages ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// All pages were read.
    Whole,
    /// Enough was found, or no more calls may be made.
    Cut,
}

/// What is done with each page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// Nothing more.
    Nothing,
    /// Structures of its roles are fetched.
    Structures,
    /// Structures and people of its roles are fetched.
    All,
    /// Who practises in its structures is fetched.
    Staff,
}

/// One search under way.
struct Search<'a> {
    inner: &'a Inner,
    sought: &'a Sought,
    limit: usize,
    until: Instant,
    calls: usize,
    pool: Pool,
    octets: usize,
    /// Pages read, to notice a circle.
    pages: HashSet<String>,
    /// Structures whose staff was asked for.
    asked: HashSet<String>,
}

impl Search<'_> {
    async fn run(mut self) -> Result<Answer, ApiError> {
        let end = match route(self.sought) {
            Route::Nowhere => End::Whole,
            Route::Address(address) => self.by_address(&address).await?,
            Route::People(mut params) => {
                params.push(("_revinclude", "PractitionerRole:practitioner".to_owned()));
                self.pages("Practitioner", params, Then::Structures).await?
            }
            Route::Structures { params, people } => {
                self.pages("Organization", params, if people { Then::Staff } else { Then::Nothing }).await?
            }
        };
        let mut entries = self.found();
        let complete = end == End::Whole && entries.len() <= self.limit;
        entries.truncate(self.limit);
        Ok(Answer { entries, complete })
    }

    /// The three kinds of bearers.
    async fn by_address(&mut self, address: &str) -> Result<End, ApiError> {
        let mut end = End::Whole;
        let of = |name: &'static str, include: Option<&str>| {
            let mut params: Params = vec![("mailbox-mss", address.to_owned())];
            params.extend(include.map(|include| (name, include.to_owned())));
            params
        };
        let people = of("_revinclude", Some("PractitionerRole:practitioner"));
        let roles = of("_include", Some("PractitionerRole:practitioner"));
        for (kind, params, then) in [
            ("Practitioner", people, Then::Structures),
            ("PractitionerRole", roles, Then::All),
            ("Organization", of("", None), Then::Nothing),
        ] {
            if self.pages(kind, params, then).await? == End::Cut {
                end = End::Cut;
            }
        }
        Ok(end)
    }

    /// Every page of a search, until enough is found.
    async fn pages(&mut self, kind: &str, params: Params, then: Then) -> Result<End, ApiError> {
        let mut next = Some(self.url(kind, params));
        while let Some(url) = next.take() {
            if self.calls >= MAX_CALLS || self.found().len() > self.limit {
                return Ok(End::Cut);
            }
            next = self.page(url).await?;
            let end = match then {
                Then::Nothing => End::Whole,
                Then::Structures => self.structures().await?,
                Then::All => {
                    let people = self.by_ids("Practitioner", self.pool.missing_practitioners()).await?;
                    let structures = self.structures().await?;
                    if people == End::Cut { people } else { structures }
                }
                Then::Staff => self.staff().await?,
            };
            if end == End::Cut {
                return Ok(End::Cut);
            }
        }
        Ok(End::Whole)
    }

    async fn structures(&mut self) -> Result<End, ApiError> {
        self.by_ids("Organization", self.pool.missing_organizations()).await
    }

    /// Resources by id, as many as may be asked for.
    async fn by_ids(&mut self, kind: &str, ids: BTreeSet<String>) -> Result<End, ApiError> {
        let ids: Vec<String> = ids.into_iter().collect();
        for some in ids.chunks(IDS) {
            let mut next = Some(self.url(kind, vec![("_id", some.join(","))]));
            while let Some(url) = next.take() {
                if self.calls >= MAX_CALLS {
                    return Ok(End::Cut);
                }
                next = self.page(url).await?;
            }
        }
        Ok(End::Whole)
    }

    /// Who practises in the structures gathered and not asked for yet.
    async fn staff(&mut self) -> Result<End, ApiError> {
        let ids: Vec<String> =
            self.pool.organizations().filter(|id| !self.asked.contains(*id)).map(str::to_owned).collect();
        self.asked.extend(ids.iter().cloned());
        for some in ids.chunks(IDS) {
            let params = vec![
                ("active", "true".to_owned()),
                ("organization", some.join(",")),
                ("_include", "PractitionerRole:practitioner".to_owned()),
            ];
            let mut next = Some(self.url("PractitionerRole", params));
            while let Some(url) = next.take() {
                if self.calls >= MAX_CALLS || self.found().len() > self.limit {
                    return Ok(End::Cut);
                }
                next = self.page(url).await?;
            }
        }
        Ok(End::Whole)
    }

    /// Reads one page into the pool; gives the following one.
    async fn page(&mut self, url: Url) -> Result<Option<Url>, ApiError> {
        if !self.pages.insert(url.as_str().to_owned()) {
            return Err(ApiError::Circle);
        }
        self.calls += 1;
        let (document, octets) = self.inner.exchange.get(&url, self.until, self.inner.deadline).await?;
        self.octets += octets;
        if self.octets > MAX_OCTETS {
            return Err(ApiError::TooLarge(MAX_OCTETS));
        }
        let next = match document.next() {
            None => None,
            Some(text) if text.len() > MAX_URL => return Err(ApiError::NotFhir("an endless URL".to_owned())),
            // Verbatim; a relative one is of this server.
            Some(text) => Some(url.join(text).map_err(|_| ApiError::NotFhir("a page without URL".to_owned()))?),
        };
        if next.as_ref().is_some_and(|next| next.origin() != self.inner.base.origin()) {
            return Err(ApiError::OtherOrigin);
        }
        document.entry.0.into_iter().filter_map(|entry| entry.resource.0).for_each(|resource| self.pool.add(resource));
        Ok(next)
    }

    fn url(&self, kind: &str, params: Params) -> Url {
        let mut url = self.inner.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(kind);
        }
        url.query_pairs_mut().extend_pairs(params).append_pair("_count", &COUNT.to_string());
        url
    }

    /// What was gathered and is looked for, in order.
    fn found(&self) -> Vec<crate::Entry> {
        let mut entries = self.pool.entries(self.inner.clock.now());
        entries.retain(|entry| self.sought.matches(entry));
        order::merge(entries, usize::MAX)
    }
}
