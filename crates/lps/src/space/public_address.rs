//! Which addresses a server of the trust space may have (issue 4, Connect): those of the public Internet only, so that nobody's
//! autoconfiguration or DNS makes care software speak to a machine of the hospital's own network.
//!
//! What is refused is what the IANA registries of special-purpose addresses (RFC 6890 and after) do not call globally
//! reachable, multicast, and every form of IPv6 address that carries an IPv4 address in it: mapped (`::ffff:0:0/96`), compatible,
//! NAT64 (RFC 6052, RFC 8215), 6to4 and Teredo. A server that has only such an address is not one of the trust space.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 blocks that are not of the public Internet: first address and prefix length.
const CLOSED_V4: [([u8; 4], u32); 16] = [
    ([0, 0, 0, 0], 8),       // this network
    ([10, 0, 0, 0], 8),      // private
    ([100, 64, 0, 0], 10),   // carriers' NAT
    ([127, 0, 0, 0], 8),     // loopback
    ([169, 254, 0, 0], 16),  // link-local: also the metadata services of clouds
    ([172, 16, 0, 0], 12),   // private
    ([192, 0, 0, 0], 24),    // protocol assignments
    ([192, 0, 2, 0], 24),    // documentation
    ([192, 31, 196, 0], 24), // AS112
    ([192, 88, 99, 0], 24),  // 6to4 relays
    ([192, 168, 0, 0], 16),  // private
    ([192, 175, 48, 0], 24), // AS112
    ([198, 18, 0, 0], 15),   // benchmarks
    ([198, 51, 100, 0], 24), // documentation
    ([203, 0, 113, 0], 24),  // documentation
    ([224, 0, 0, 0], 3),     // multicast, reserved, broadcast
];

/// Blocks of 2000::/3 that are not of the public Internet; everything outside of 2000::/3 is refused at once.
const CLOSED_V6: [([u16; 8], u32); 5] = [
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), // protocol assignments: Teredo, ORCHID, benchmarks
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), // documentation
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), // 6to4
    ([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48), // AS112
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), // documentation
];

/// Whether an address is one of the public Internet.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let bits = address.to_bits();
            !CLOSED_V4.iter().any(|(first, length)| {
                let block = Ipv4Addr::from(*first).to_bits();
                (bits ^ block) >> (u32::BITS - length) == 0
            })
        }
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            let closed = |(first, length): &([u16; 8], u32)| {
                let block = Ipv6Addr::from(*first).to_bits();
                (bits ^ block) >> (u128::BITS - length) == 0
            };
            bits >> 125 == 0b001 && !CLOSED_V6.iter().any(closed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_internet_and_nothing_else() {
        for public in
            ["1.1.1.1", "80.77.33.4", "100.63.255.255", "100.128.0.1", "172.32.0.1", "223.255.255.255", "192.0.1.1"]
        {
            assert!(is_public(public.parse().expect("an address")), "{public}");
        }
        for public in ["2001:41d0::1", "2a01:e0a::1", "2001:200::1", "2600::"] {
            assert!(is_public(public.parse().expect("an address")), "{public}");
        }
        for closed in [
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.8.9.10",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:8.8.8.8",
            "::ffff:127.0.0.1",
            "::8.8.8.8",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:10::1",
            "2001:20::1",
            "2001:2::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2620:4f:8000::1",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
        ] {
            assert!(!is_public(closed.parse().expect("an address")), "{closed}");
        }
    }
}
