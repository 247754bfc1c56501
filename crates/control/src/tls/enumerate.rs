//! Which suites and groups are accepted, by removal: offer a chunk, take away what was chosen, offer again, until a refusal. It costs
//! as many connections as there are accepted ones, and one more for each chunk (control.md §5.4).

use super::flight::{Flight, KeyExchange};
use super::hello::{CHUNK, Hello};
use super::prober::{Doubt, Outcome, Prober, Refusal};
use super::words::{Exchange, Group, Suite, Version};

/// Suites tried first, by what servers have in common; whoever accepts the version accepts one of them, or nearly so.
const USUAL: [u16; 40] = [
    0x009C, 0x009D, 0x002F, 0x0035, 0x003C, 0x003D, 0xC02F, 0xC030, 0xC02B, 0xC02C, 0xCCA8, 0xCCA9, 0xCCAA, 0x009E,
    0x009F, 0xC027, 0xC028, 0xC023, 0xC024, 0x0067, 0x006B, 0xC013, 0xC014, 0xC009, 0xC00A, 0x0033, 0x0039, 0x000A,
    0xC012, 0x0016, 0x0005, 0x0004, 0xC011, 0xC007, 0x0041, 0x0084, 0x0045, 0x0088, 0xC09C, 0xC09D,
];

/// What is accepted of one version.
#[derive(Debug, Clone, Default)]
pub struct Accepted {
    /// Suites, as the server chose them: by its preference when it has one and they were offered together.
    pub suites: Vec<Suite>,
    /// The flight that came with each.
    pub flights: Vec<Flight>,
    /// How the first offer was refused, when nothing is accepted.
    pub refusal: Option<Refusal>,
    /// Another version the server chose instead.
    pub instead: Option<Version>,
    /// Why it is not known whether more is accepted.
    pub doubt: Option<Doubt>,
    /// A suite chosen that was not offered.
    pub violation: Option<Suite>,
}

impl Accepted {
    /// Whether the version is spoken.
    #[must_use]
    pub fn is_spoken(&self) -> bool {
        !self.suites.is_empty()
    }
}

/// Everything of a version, in chunks.
pub async fn suites(prober: &mut Prober<'_>, version: Version) -> Accepted {
    let mut accepted = Accepted::default();
    for chunk in chunks(version) {
        if !offer(prober, version, chunk, &mut accepted).await {
            break;
        }
    }
    accepted
}

/// Only these; false when asking further is no use.
async fn offer(prober: &mut Prober<'_>, version: Version, mut chunk: Vec<Suite>, accepted: &mut Accepted) -> bool {
    while !chunk.is_empty() {
        let hello = prober.hello(version).with_suites(chunk.iter().copied());
        match prober.ask(&hello).await {
            Outcome::Flight(flight) => {
                if flight.version != Some(version) {
                    accepted.instead = flight.version;
                    return false;
                }
                let Some(chosen) = flight.suite else { return true };
                let Some(at) = chunk.iter().position(|suite| *suite == chosen) else {
                    accepted.violation = Some(chosen);
                    return false;
                };
                chunk.remove(at);
                accepted.suites.push(chosen);
                accepted.flights.push(*flight);
            }
            Outcome::Refused(refusal) => {
                accepted.refusal = Some(refusal);
                // protocol_version: no suite will change that.
                let is_version = matches!(refusal, Refusal::Alert(alert) if alert.description == 70);
                return accepted.is_spoken() || !is_version;
            }
            Outcome::Ssl2 { .. } => return false,
            Outcome::Inconclusive(doubt) => {
                accepted.doubt = Some(doubt);
                return false;
            }
        }
    }
    true
}

/// The usual ones first, the others interleaved, so that no chunk is all of one kind.
fn chunks(version: Version) -> Vec<Vec<Suite>> {
    let known: Vec<Suite> = Suite::known(version).collect();
    let usual: Vec<Suite> = USUAL.into_iter().map(Suite).filter(|suite| known.contains(suite)).collect();
    let others: Vec<Suite> = known.into_iter().filter(|suite| !usual.contains(suite)).collect();
    let count = others.len().div_ceil(CHUNK).max(1);
    let interleaved = (0..count).map(|first| others.iter().copied().skip(first).step_by(count).collect());
    [usual].into_iter().chain(interleaved).filter(|chunk: &Vec<Suite>| !chunk.is_empty()).collect()
}

/// Which of these suites a server that accepts them all takes first, whatever the client's order; none when it follows the client.
/// Three connections at most.
pub async fn preferred(prober: &mut Prober<'_>, version: Version, suites: &[Suite]) -> Option<Suite> {
    if suites.len() < 2 {
        return None;
    }
    let mut chosen = Vec::new();
    for order in [suites.to_vec(), suites.iter().rev().copied().collect()] {
        match prober.ask(&prober.hello(version).with_suites(order)).await {
            Outcome::Flight(flight) => chosen.push(flight.suite?),
            _ => return None,
        }
    }
    (chosen[0] == chosen[1]).then_some(chosen[0])
}

/// What is accepted of groups.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    /// Groups, as the server chose them.
    pub accepted: Vec<Group>,
    /// Why it is not known whether there are more.
    pub doubt: Option<Doubt>,
    /// Whether a curve was given by explicit parameters.
    pub is_explicit: bool,
}

/// The elliptic curves of TLS 1.2 and before, with suites that need one.
pub async fn curves(prober: &mut Prober<'_>, version: Version, suites: &[Suite]) -> Groups {
    let suites: Vec<Suite> =
        suites.iter().copied().filter(|s| matches!(s.exchange(), Exchange::Ecdhe | Exchange::EcdhAnon)).collect();
    let mut groups = Groups::default();
    let mut left: Vec<Group> = Group::curves().collect();
    while !suites.is_empty() && !left.is_empty() {
        let hello = prober.hello(version).with_suites(suites.iter().copied()).with_groups(left.iter().copied());
        match prober.ask(&hello).await {
            Outcome::Flight(flight) => match flight.key_exchange {
                Some(KeyExchange::Curve(group)) if left.contains(&group) => {
                    left.retain(|other| *other != group);
                    groups.accepted.push(group);
                }
                Some(KeyExchange::Curve(group)) => {
                    // Not offered: told, and asking on would never end.
                    groups.accepted.push(group);
                    break;
                }
                Some(KeyExchange::Explicit) => {
                    groups.is_explicit = true;
                    break;
                }
                _ => break,
            },
            Outcome::Inconclusive(doubt) => {
                groups.doubt = Some(doubt);
                break;
            }
            _ => break,
        }
    }
    groups
}

/// The groups of TLS 1.3: without any share the server names the one it wants.
pub async fn shares(prober: &mut Prober<'_>, suites: &[Suite]) -> Groups {
    let mut groups = Groups::default();
    let mut left: Vec<Group> = Group::shares().collect();
    while !left.is_empty() {
        let hello = prober.hello(Version::Tls13).with_suites(suites.iter().copied()).with_groups(left.iter().copied());
        match prober.ask(&hello).await {
            Outcome::Flight(flight) => match flight.group {
                Some(group) if left.contains(&group) => {
                    left.retain(|other| *other != group);
                    groups.accepted.push(group);
                }
                _ => break,
            },
            Outcome::Inconclusive(doubt) => {
                groups.doubt = Some(doubt);
                break;
            }
            _ => break,
        }
    }
    groups
}

/// A finite field that a server used.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Prime {
    /// Size in bits.
    pub bits: u32,
    /// RFC 7919, RFC 3526, or none when the prime is nobody's in particular.
    pub known: Option<&'static str>,
}

/// First octets after the leading ones of the primes of RFC 7919 and RFC 3526.
const FFDHE: [u8; 4] = [0xAD, 0xF8, 0x54, 0x58];
const MODP: [u8; 4] = [0xC9, 0x0F, 0xDA, 0xA2];

impl Prime {
    fn of(exchange: &KeyExchange) -> Option<Prime> {
        let KeyExchange::Finite { bits, prime, .. } = exchange else { return None };
        let digits = prime.iter().position(|octet| *octet != 0).map_or(&[][..], |at| &prime[at..]);
        let known = match digits.get(8..12) {
            Some(octets) if octets == FFDHE => Some("RFC 7919"),
            Some(octets) if octets == MODP => Some("RFC 3526"),
            _ => None,
        };
        Some(Prime { bits: *bits, known })
    }
}

/// The finite fields used with and without the groups of RFC 7919 in the offer: a server may answer 2048 bits when asked and 1024
/// otherwise. Two connections.
pub async fn primes(prober: &mut Prober<'_>, version: Version, suites: &[Suite]) -> (Vec<Prime>, Option<Doubt>) {
    let suites: Vec<Suite> =
        suites.iter().copied().filter(|s| matches!(s.exchange(), Exchange::Dhe | Exchange::DhAnon)).collect();
    let mut primes = Vec::new();
    if suites.is_empty() {
        return (primes, None);
    }
    for groups in [Vec::new(), Group::finite().collect()] {
        let hello: Hello = prober.hello(version).with_suites(suites.iter().copied()).with_groups(groups);
        match prober.ask(&hello).await {
            Outcome::Flight(flight) => primes.extend(flight.key_exchange.as_ref().and_then(Prime::of)),
            Outcome::Inconclusive(doubt) => return (primes, Some(doubt)),
            _ => {}
        }
    }
    (primes, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_hold_each_suite_once() {
        for version in [Version::Tls12, Version::Tls13, Version::Ssl3] {
            let mut all: Vec<Suite> = chunks(version).into_iter().flatten().collect();
            assert!(chunks(version).iter().all(|chunk| chunk.len() <= CHUNK));
            all.sort();
            assert!(all.iter().eq(Suite::known(version).collect::<Vec<_>>().iter()));
        }
        assert!(chunks(Version::Tls12).len() <= 7);
    }
}
