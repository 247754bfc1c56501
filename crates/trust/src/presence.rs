//! How many connections are open, in all and from each address: every listener of every crate counts here.
//!
//! Invariant: one address cannot take all the places, and a place is free again when its [`Place`] is dropped, however its
//! connection ended. An IPv6 address counts as its /64: whoever has one such address has all the others of that network.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// How many connections.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// At once in all.
    pub connections: usize,
    /// At once from one address.
    pub per_address: usize,
}

#[derive(Debug)]
struct Counts {
    room: Room,
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// All places are taken.
    Full,
    /// The address has all it may have.
    Address,
}

/// What of an address tells its owner apart: an IPv4 address whole (mapped into IPv6 or not), an IPv6 one by its /64.
pub fn owner(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => match six.to_ipv4_mapped() {
            Some(four) => four.into(),
            None => Ipv6Addr::from_bits(six.to_bits() & (u128::MAX << 64)).into(),
        },
    }
}

/// The connections present at one listener.
#[derive(Clone, Debug)]
pub struct Presence {
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
        Presence { counts: Arc::new(Mutex::new(Counts { room, total: 0, by_address: HashMap::new() })) }
    }

    /// Changes how many there may be, for those to come.
    pub fn resize(&self, room: Room) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).room = room;
    }

    /// A place for a connection from `address`.
    ///
    /// # Errors
    /// When there is none left for it.
    pub fn enter(&self, address: IpAddr) -> Result<Place, NoPlace> {
        let address = owner(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let here = counts.by_address.get(&address).copied().unwrap_or(0);
        if counts.total >= counts.room.connections {
            return Err(NoPlace::Full);
        }
        if here >= counts.room.per_address {
            return Err(NoPlace::Address);
        }
        counts.total += 1;
        counts.by_address.insert(address, here + 1);
        Ok(Place { address, counts: self.counts.clone() })
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
        assert_eq!(presence.enter(a).expect_err("two for one address"), NoPlace::Address);
        let _third = presence.enter(b).expect("room for another");
        assert_eq!(presence.enter(b).expect_err("three in all"), NoPlace::Full);
        drop(first);
        assert!(presence.enter(b).is_ok());
        assert!(presence.enter(a).is_ok());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let presence = Presence::new(Room { connections: 10, per_address: 1 });
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let _one = presence.enter(address("2001:db8:0:1::1")).expect("room");
        assert!(presence.enter(address("2001:db8:0:1:ffff::2")).is_err(), "the same /64");
        let _other = presence.enter(address("2001:db8:0:2::1")).expect("another /64");
        let _mapped = presence.enter(address("::ffff:192.0.2.1")).expect("room");
        assert!(presence.enter(address("192.0.2.1")).is_err(), "the same IPv4 address");
        assert!(presence.enter(address("192.0.2.2")).is_ok());
        presence.resize(Room { connections: 10, per_address: 2 });
        assert!(presence.enter(address("192.0.2.1")).is_ok(), "there is more room now");
    }
}
