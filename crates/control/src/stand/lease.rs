//! Leases: whoever changes how a stand behaves holds it alone, for a time that ends by itself. control.md §5.2, §5.3.
//!
//! One manager for all parts of one operator's stand: while a campaign holds one part, another campaign gets none; the same one may
//! hold several. Nothing runs in the background: a lease that is over is over when somebody looks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Longest lease: an outage by night must not outlive the campaign for hours.
pub const MAX_LEASE: Duration = Duration::from_secs(15 * 60);

/// Another campaign holds the stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("held by another campaign for {} s more at most", left.as_secs() + 1)]
pub struct Busy {
    /// For how long at most.
    pub left: Duration,
}

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// To give back.
    pub id: String,
    /// When it ends by itself.
    pub until: Instant,
    /// How long it was given for.
    pub length: Duration,
}

/// The leases of one stand. Cheap to clone.
///
/// A stand that several operators share has those of each ([`Leases::of_operator`]): two operators' campaigns do not wait for each other, and
/// whoever drives the whole stand waits for both, as they for it.
#[derive(Debug, Clone, Default)]
pub struct Leases {
    parts: Arc<Mutex<Parts>>,
    /// Whose; none: the whole stand's.
    operator: Option<Arc<str>>,
}

#[derive(Debug, Default)]
struct Parts {
    parts: BTreeMap<Name, Held>,
    made: u64,
}

/// Whose part, and which.
type Name = (Option<Arc<str>>, String);
/// By whom, and until when.
type Held = (String, Lease);

impl Leases {
    fn parts(&self) -> MutexGuard<'_, Parts> {
        // Every change is one insertion or removal.
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        parts.parts.retain(|_, (_, lease)| now < lease.until);
        parts
    }

    /// Those of one operator of the stand.
    #[must_use]
    pub fn of_operator(&self, alias: &str) -> Leases {
        Leases { parts: self.parts.clone(), operator: Some(Arc::from(alias)) }
    }

    fn name(&self, part: &str) -> Name {
        (self.operator.clone(), part.to_owned())
    }

    /// Whether what is held there would be disturbed from here.
    fn meets(&self, operator: &Option<Arc<str>>) -> bool {
        self.operator.is_none() || operator.is_none() || self.operator == *operator
    }

    /// Takes a part for a holder, or takes it anew: the lease before ends.
    ///
    /// # Errors
    /// [`Busy`] while another holder has any part of the same operator, or of the whole stand.
    pub fn take(&self, holder: &str, part: &str, length: Duration) -> Result<Lease, Busy> {
        let mut parts = self.parts();
        let others = parts.parts.iter().filter(|((operator, _), (other, _))| self.meets(operator) && other != holder);
        if let Some(until) = others.map(|(_, (_, lease))| lease.until).max() {
            return Err(Busy { left: until.saturating_duration_since(Instant::now()) });
        }
        let length = length.clamp(Duration::from_secs(1), MAX_LEASE);
        parts.made += 1;
        // Not to be guessed by another campaign; numbered so that two never agree even if random numbers fail.
        let id = format!("{}-{}", parts.made, crate::forge::id());
        let lease = Lease { id, until: Instant::now() + length, length };
        parts.parts.insert(self.name(part), (holder.to_owned(), lease.clone()));
        Ok(lease)
    }

    /// Gives a lease back; whether it was still held.
    pub fn give_back(&self, part: &str, id: &str) -> bool {
        let mut parts = self.parts();
        let name = self.name(part);
        let is_held = parts.parts.get(&name).is_some_and(|(_, lease)| lease.id == id);
        if is_held {
            parts.parts.remove(&name);
        }
        is_held
    }

    /// The lease of a part, while it lasts.
    pub fn of(&self, part: &str) -> Option<Lease> {
        self.parts().parts.get(&self.name(part)).map(|(_, lease)| lease.clone())
    }

    /// Whether that lease still holds the part.
    pub fn is_held(&self, part: &str, id: &str) -> bool {
        self.of(part).is_some_and(|lease| lease.id == id)
    }
}

/// What a part was told under a lease; its usual value when the lease is over.
#[derive(Debug, Clone)]
pub struct Slot<T> {
    leases: Leases,
    part: &'static str,
    held: Arc<Mutex<Option<(String, T)>>>,
}

impl<T: Clone + Default> Slot<T> {
    /// Of a part.
    #[must_use]
    pub fn new(leases: Leases, part: &'static str) -> Slot<T> {
        Slot { leases, part, held: Arc::default() }
    }

    /// Takes the part and tells it.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn tell(&self, holder: &str, value: T, length: Duration) -> Result<Lease, Busy> {
        let lease = self.leases.take(holder, self.part, length)?;
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some((lease.id.clone(), value));
        Ok(lease)
    }

    /// As before; whether the lease was still held.
    pub fn give_back(&self, id: &str) -> bool {
        self.leases.give_back(self.part, id)
    }

    /// What it is told to be now.
    #[must_use]
    pub fn now(&self) -> T {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match held {
            Some((id, value)) if self.leases.is_held(self.part, &id) => value,
            _ => T::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn one_campaign_at_a_time_and_all_parts_to_it() {
        let leases = Leases::default();
        let psc = leases.take("a", "psc", MINUTE).expect("free");
        assert!(leases.take("a", "white-list", MINUTE).is_ok(), "the same campaign");
        let busy = leases.take("b", "revocation", MINUTE).expect_err("another campaign");
        assert!(busy.left <= MINUTE && busy.left > MINUTE / 2, "{busy}");
        assert!(!leases.give_back("psc", "wrong"));
        assert!(leases.give_back("psc", &psc.id));
        assert!(!leases.give_back("psc", &psc.id), "given back already");
        assert!(leases.take("b", "psc", MINUTE).is_err(), "the white list is still held");
    }

    #[test]
    fn operators_do_not_wait_for_each_other_and_the_whole_waits_for_both() {
        let whole = Leases::default();
        let (alpha, beta) = (whole.of_operator("alpha"), whole.of_operator("beta"));
        let first = alpha.take("a", "psc", MINUTE).expect("free");
        let second = beta.take("b", "psc", MINUTE).expect("another operator's");
        assert!(alpha.take("c", "white-list", MINUTE).is_err(), "one campaign at a time of each");
        assert!(whole.take("d", "psc", MINUTE).is_err(), "both are held");
        assert!(alpha.is_held("psc", &first.id) && beta.is_held("psc", &second.id) && whole.of("psc").is_none());
        // What is common is taken whole: by one that holds its own part, once nobody else holds any.
        assert!(whole.take("a", "revocation", MINUTE).is_err(), "beta's campaign holds something");
        assert!(!alpha.give_back("psc", &second.id) && beta.give_back("psc", &second.id));
        assert!(whole.take("a", "revocation", MINUTE).is_ok(), "the same campaign");
        assert!(beta.take("b", "psc", MINUTE).is_err(), "what is common is disturbed");
    }

    #[test]
    fn a_lease_ends_by_itself_and_never_lasts_too_long() {
        let leases = Leases::default();
        let slot: Slot<u8> = Slot::new(leases.clone(), "x");
        assert_eq!(slot.now(), 0);
        let lease = slot.tell("a", 7, Duration::ZERO).expect("free");
        assert_eq!((slot.now(), lease.length), (7, Duration::from_secs(1)));
        assert_eq!(slot.tell("a", 8, MINUTE * 600).expect("held by the same").length, MAX_LEASE);
        assert!(!slot.give_back(&lease.id), "replaced");
        assert_eq!(slot.now(), 8);
        let lease = slot.tell("a", 9, Duration::from_secs(1)).expect("held by the same");
        std::thread::sleep(lease.until.saturating_duration_since(Instant::now()));
        assert_eq!(slot.now(), 0);
        assert!(leases.take("b", "x", MINUTE).is_ok());
        assert!(!slot.give_back(&lease.id));
    }
}
