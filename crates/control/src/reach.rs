//! Where a campaign may go: the tool connects where its users tell it to, and where peers do.

use std::net::IpAddr;

/// Whether an address is one of the public Internet.
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_broadcast()
                || ip.is_multicast()
                || ip.is_documentation()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b)))
        }
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(mapped) => is_public(IpAddr::V4(mapped)),
            None => {
                let [first, second, ..] = ip.segments();
                // Addresses that carry an IPv4 one (::/96, RFC 6052, 6to4) lead back to it; 2001:db8::/32 is documentation.
                !(first == 0
                    || (first == 0x64 && second == 0xFF9B)
                    || first == 0x2002
                    || (first == 0x2001 && second == 0xDB8)
                    || ip.is_multicast()
                    || (first & 0xFE00) == 0xFC00
                    || (first & 0xFFC0) == 0xFE80)
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_public() {
        let public = |text: &str| is_public(text.parse().expect("an address"));
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "198.51.100.1",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "2001:db8::1",
        ] {
            assert!(!public(private), "{private}");
        }
        assert!(public("91.198.174.192") && public("2a00:1450::1") && public("::ffff:91.198.174.192"));
    }
}
