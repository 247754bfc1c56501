//! The *liste blanche*: which domains belong to the trust space, and which certificates may speak for each (OPE-LIST;
//! operator.md §2.3–2.6).
//!
//! * [`WhiteList`]: the list in memory, `domain → set of names` and back;
//! * [`SignaturePolicy`], [`verify`]: the enveloped XML signature; the list is read from what was signed and nothing else;
//! * [`Keeper`]: the list kept current: fetched, checked, never replaced by an older or an unsigned one, kept on disk;
//! * [`WhiteListBuilder`], [`sign`]: the publisher's side, for the sandbox.
//!
//! Invariants: a domain is held once, in lower case and as A-labels; names are compared by [`Dn::canonical`]; an entry that
//! cannot be understood gives no right to anybody and does not spoil the others; a document that cannot be understood is
//! refused whole.

mod document;
mod domain;
mod form;
mod keeper;
mod keeper_file;
mod parse;
mod sign;
mod signature;
mod write;

#[cfg(test)]
mod tests;

pub use keeper::{ALERT_AGE, Keeper, KeeperConfig, KeeperError, KeeperStatus};
pub use parse::{ListError, MAX_DOCUMENT, MAX_ENTRIES, Skipped, SkippedEntry};
pub use sign::{SignError, sign};
pub use signature::{RequiredSigner, SignatureError, SignaturePolicy, Verified, verify};
pub use write::{Entry, WhiteListBuilder};

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::time::SystemTime;

use crate::dn::{CanonicalDn, Dn};

/// The list of the domains of the trust space.
pub struct WhiteList {
    generated_at: SystemTime,
    /// Distinct names, each once, in the writing first met.
    names: Vec<Dn>,
    by_name: HashMap<CanonicalDn, usize>,
    /// Indices in `names`, by domain. Ordered, so that a listing is.
    domains: BTreeMap<String, BTreeSet<usize>>,
    /// Domains of each name.
    domains_of: Vec<BTreeSet<String>>,
    skipped: Vec<SkippedEntry>,
    skipped_total: usize,
    signer: Option<Dn>,
}

impl WhiteList {
    fn empty(generated_at: SystemTime) -> Self {
        Self {
            generated_at,
            names: Vec::new(),
            by_name: HashMap::new(),
            domains: BTreeMap::new(),
            domains_of: Vec::new(),
            skipped: Vec::new(),
            skipped_total: 0,
            signer: None,
        }
    }

    /// Adds one entry; the same twice is the same once. `domain` is already normalised.
    fn insert(&mut self, domain: String, name: Dn) {
        let index = *self.by_name.entry(name.canonical()).or_insert_with(|| {
            self.names.push(name);
            self.domains_of.push(BTreeSet::new());
            self.names.len() - 1
        });
        self.domains_of[index].insert(domain.clone());
        self.domains.entry(domain).or_default().insert(index);
    }

    /// Checks the signature as `policy` says and reads the list from the octets that were signed.
    ///
    /// # Errors
    /// [`ListError`]: bad signature, not a white list, or beyond the limits.
    pub fn from_xml(document: &[u8], policy: &SignaturePolicy, now: SystemTime) -> Result<Self, ListError> {
        let verified = verify(document, policy, now)?;
        let mut list = parse::parse(&verified.content)?;
        list.signer = verified.signer;
        Ok(list)
    }

    /// When the publisher made it (`DateDeGeneration`).
    pub fn generated_at(&self) -> SystemTime {
        self.generated_at
    }

    /// Who signed it; `None` when signatures are not required.
    pub fn signer(&self) -> Option<&Dn> {
        self.signer.as_ref()
    }

    /// Number of distinct domains.
    pub fn len(&self) -> usize {
        self.domains.len()
    }

    /// Whether no domain is listed.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }

    /// Whether `domain` (any case, Unicode or A-labels) belongs to the trust space.
    pub fn is_listed(&self, domain: &str) -> bool {
        self.entry(domain).is_some()
    }

    /// The certificate names that may speak for `domain`; none when it is not listed.
    pub fn dns_of(&self, domain: &str) -> impl Iterator<Item = &Dn> {
        self.entry(domain).into_iter().flatten().map(|&index| &self.names[index])
    }

    /// Whether the bearer of a certificate of this name may speak for `domain` (compared attribute by attribute).
    pub fn allows(&self, domain: &str, name: &Dn) -> bool {
        self.allows_key(domain, &name.canonical())
    }

    /// The same, for who asks often about one name.
    pub fn allows_key(&self, domain: &str, name: &CanonicalDn) -> bool {
        // An empty name designates nobody; parsed entries never have one.
        let index = if name.is_empty() { None } else { self.by_name.get(name) };
        index.is_some_and(|index| self.entry(domain).is_some_and(|set| set.contains(index)))
    }

    /// The domains bound to this certificate name.
    pub fn domains_of(&self, name: &Dn) -> impl Iterator<Item = &str> {
        self.by_name.get(&name.canonical()).into_iter().flat_map(|&index| &self.domains_of[index]).map(String::as_str)
    }

    /// Every domain, in order.
    pub fn domains(&self) -> impl Iterator<Item = &str> {
        self.domains.keys().map(String::as_str)
    }

    /// The first entries that were left out because malformed, with their reason (bounded; see [`Self::skipped_total`]).
    pub fn skipped(&self) -> &[SkippedEntry] {
        &self.skipped
    }

    /// How many entries were left out.
    pub fn skipped_total(&self) -> usize {
        self.skipped_total
    }

    fn entry(&self, domain: &str) -> Option<&BTreeSet<usize>> {
        self.domains.get(domain::normalise(domain)?.as_str())
    }
}

impl fmt::Debug for WhiteList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WhiteList")
            .field("generated_at", &self.generated_at)
            .field("domains", &self.domains.len())
            .field("names", &self.names.len())
            .field("skipped", &self.skipped_total)
            .finish_non_exhaustive()
    }
}
