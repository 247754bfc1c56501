//! How many connections are open, in all and from each address: every listener of every crate counts here.
//!
//! Invariant: one address cannot take all the places, and a place is free again when its [`Place`] is dropped, however its
//! connection ended.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// How many connections.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// At once in all.
    pub connections: usize,
    /// At once from one address.
    pub per_address: usize,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The connections present at one listener.
#[derive(Clone, Debug)]
pub struct Presence {
    room: Room,
    counts: Arc<Mutex<Counts>>,
}

/// One connection counted; no longer when dropped.
#[derive(Debug)]
pub struct Place {
    address: IpAddr,
    counts: Arc<Mutex<Counts>>,
}

impl Presence {
    /// Nobody is there yet.
    pub fn new(room: Room) -> Self {
        Presence { room, counts: Arc::default() }
    }

    /// A place for a connection from `address`; `None` when there is none left for it.
    pub fn enter(&self, address: IpAddr) -> Option<Place> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let here = counts.by_address.get(&address).copied().unwrap_or(0);
        if counts.total >= self.room.connections || here >= self.room.per_address {
            return None;
        }
        counts.total += 1;
        counts.by_address.insert(address, here + 1);
        Some(Place { address, counts: self.counts.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total -= 1;
        if let Some(here) = counts.by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_given_back() {
        let presence = Presence::new(Room { connections: 3, per_address: 2 });
        let (a, b) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let first = presence.enter(a).expect("room");
        let _second = presence.enter(a).expect("room");
        assert!(presence.enter(a).is_none(), "two for one address");
        let _third = presence.enter(b).expect("room for another");
        assert!(presence.enter(b).is_none(), "three in all");
        drop(first);
        assert!(presence.enter(b).is_some());
        assert!(presence.enter(a).is_some());
    }
}
