//! What is offered: a ClientHello of any version, with anything in it.

use super::words::{Group, SCHEMES, Ssl2Cipher, Suite, Version};

/// Most suites offered at once. Some servers stumble over a larger hello (control.md §5.4).
pub const CHUNK: usize = 64;
/// Signals that no renegotiation is under way (RFC 5746 §3.3).
const RENEGOTIATION_SCSV: u16 = 0x00FF;
/// Signals a second try with an older version (RFC 7507).
const FALLBACK_SCSV: u16 = 0x5600;

/// A ClientHello of SSL 3 to TLS 1.3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The highest version offered (the only one, for TLS 1.3).
    pub version: Version,
    /// The suites, by preference.
    pub suites: Vec<Suite>,
    /// The groups, by preference; the extension is left out when there are none.
    pub groups: Vec<Group>,
    /// Signature schemes; the extension is left out before TLS 1.2 or when there are none.
    pub schemes: Vec<u16>,
    /// The name asked for (SNI): a DNS name.
    pub server_name: Option<String>,
    /// Whether DEFLATE is offered beside no compression.
    pub compression: bool,
    /// Whether this is said to be a second try with an older version.
    pub fallback: bool,
    /// Whether the certificate's OCSP answer is asked for.
    pub stapling: bool,
    /// Whether secure renegotiation, the extended master secret and session tickets are offered.
    pub hardened: bool,
    /// Says 32 random octets of the hello; the same every time makes tests repeatable.
    pub random: [u8; 32],
}

impl Hello {
    /// Everything known of a version, in one hello; [`Hello::suites`] may be more than [`CHUNK`].
    #[must_use]
    pub fn new(version: Version, server_name: Option<&str>) -> Hello {
        let groups = match version {
            Version::Tls13 => Group::shares().collect(),
            _ => Group::curves().chain(Group::finite()).collect(),
        };
        let mut random = [0; 32];
        // Only to differ from one connection to the next: nothing secret hangs on it, and a failure leaves zeros.
        let _ = openssl::rand::rand_bytes(&mut random);
        Hello {
            version,
            suites: Suite::known(version).collect(),
            groups,
            schemes: SCHEMES.iter().map(|(code, _)| *code).collect(),
            server_name: server_name.map(ToOwned::to_owned),
            compression: false,
            fallback: false,
            stapling: false,
            hardened: true,
            random,
        }
    }

    /// The same with these suites.
    #[must_use]
    pub fn with_suites(mut self, suites: impl IntoIterator<Item = Suite>) -> Hello {
        self.suites = suites.into_iter().collect();
        self
    }

    /// The same with these groups.
    #[must_use]
    pub fn with_groups(mut self, groups: impl IntoIterator<Item = Group>) -> Hello {
        self.groups = groups.into_iter().collect();
        self
    }

    /// The octets of the record.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let old = self.version == Version::Ssl3;
        let mut body = Vec::with_capacity(512);
        // TLS 1.3 hides behind TLS 1.2 and tells itself in an extension (RFC 8446 §4.1.2).
        body.extend(self.version.code().min(Version::Tls12.code()).to_be_bytes());
        body.extend(self.random);
        match self.version {
            // 32 octets of session id, for boxes on the way that know nothing newer (RFC 8446 §D.4).
            Version::Tls13 => vector8(&mut body, |id| id.extend(self.random)),
            _ => body.push(0),
        }
        vector16(&mut body, |suites| {
            for suite in &self.suites {
                suites.extend(suite.0.to_be_bytes());
            }
            if self.hardened && self.version != Version::Tls13 {
                suites.extend(RENEGOTIATION_SCSV.to_be_bytes());
            }
            if self.fallback {
                suites.extend(FALLBACK_SCSV.to_be_bytes());
            }
        });
        vector8(&mut body, |methods| methods.extend(if self.compression { &[1u8, 0][..] } else { &[0][..] }));
        if !old {
            vector16(&mut body, |extensions| self.extensions(extensions));
        }
        let mut record = vec![22, 3, if old { 0 } else { 1 }];
        vector16(&mut record, |record| {
            record.push(1);
            let length = u32::try_from(body.len()).unwrap_or(0).to_be_bytes();
            record.extend(&length[1..]);
            record.extend(&body);
        });
        record
    }

    fn extensions(&self, all: &mut Vec<u8>) {
        let mut extension = |code: u16, write: &dyn Fn(&mut Vec<u8>)| {
            all.extend(code.to_be_bytes());
            vector16(all, |data| write(data));
        };
        if let Some(name) = &self.server_name {
            extension(0, &|data| {
                vector16(data, |list| {
                    list.push(0);
                    vector16(list, |host| host.extend(name.as_bytes()));
                });
            });
        }
        if self.stapling {
            extension(5, &|data| data.extend([1, 0, 0, 0, 0]));
        }
        if !self.groups.is_empty() {
            extension(10, &|data| {
                vector16(data, |list| self.groups.iter().for_each(|group| list.extend(group.0.to_be_bytes())));
            });
            if self.version != Version::Tls13 {
                extension(11, &|data| data.extend([1, 0]));
            }
        }
        if self.version >= Version::Tls12 && !self.schemes.is_empty() {
            extension(13, &|data| {
                vector16(data, |list| self.schemes.iter().for_each(|scheme| list.extend(scheme.to_be_bytes())));
            });
        }
        if self.hardened && self.version != Version::Tls13 {
            extension(23, &|_| {});
            extension(35, &|_| {});
        }
        if self.version == Version::Tls13 {
            extension(43, &|data| {
                data.push(2);
                data.extend(Version::Tls13.code().to_be_bytes());
            });
            extension(45, &|data| data.extend([1, 1]));
            // No share at all: the server names the group it wants in a HelloRetryRequest (RFC 8446 §4.2.8), and nothing is computed.
            extension(51, &|data| data.extend([0, 0]));
        }
    }
}

/// A ClientHello of SSL 2.
#[must_use]
pub fn ssl2(ciphers: impl IntoIterator<Item = Ssl2Cipher>, challenge: [u8; 16]) -> Vec<u8> {
    let specs: Vec<u8> = ciphers.into_iter().flat_map(|cipher| cipher.0.to_be_bytes()[1..].to_vec()).collect();
    let mut body = vec![1, 0, 2];
    body.extend(u16::try_from(specs.len()).unwrap_or(0).to_be_bytes());
    body.extend([0, 0, 0, 16]);
    body.extend(specs);
    body.extend(challenge);
    let mut record = (u16::try_from(body.len()).unwrap_or(0) | 0x8000).to_be_bytes().to_vec();
    record.extend(body);
    record
}

/// What `write` appends, after its length in one octet.
fn vector8(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.push(0);
    write(out);
    out[at] = u8::try_from(out.len() - at - 1).unwrap_or(u8::MAX);
}

/// What `write` appends, after its length in two octets.
fn vector16(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend([0, 0]);
    write(out);
    let length = u16::try_from(out.len() - at - 2).unwrap_or(u16::MAX).to_be_bytes();
    out[at..at + 2].copy_from_slice(&length);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_agree() {
        for version in [Version::Ssl3, Version::Tls10, Version::Tls11, Version::Tls12, Version::Tls13] {
            let octets = Hello::new(version, Some("lps.alpha.test")).encode();
            assert_eq!(octets[0], 22);
            assert_eq!(usize::from(u16::from_be_bytes([octets[3], octets[4]])), octets.len() - 5, "{version}");
            assert_eq!(u32::from_be_bytes([0, octets[6], octets[7], octets[8]]) as usize, octets.len() - 9);
        }
    }

    #[test]
    fn ssl2_has_its_own_shape() {
        let octets = ssl2(Ssl2Cipher::known(), [7; 16]);
        assert_eq!(usize::from(u16::from_be_bytes([octets[0], octets[1]]) & 0x7FFF), octets.len() - 2);
        assert_eq!(&octets[2..7], &[1, 0, 2, 0, 21]);
    }
}
