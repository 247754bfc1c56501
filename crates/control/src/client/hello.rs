//! What a client offers: its ClientHello, read from the octets before OpenSSL sees them (RFC 5246 §7.4.1.2, RFC 8446 §4.1.2, RFC 6066 §3).
//!
//! Every length is checked against what is there; what cannot be read gives none, never a panic.

use serde::Serialize;

use crate::tls::words::Suite;

/// Signalling values that name no suite: renegotiation information, fallback.
const SIGNALS: [u16; 2] = [0x00FF, 0x5600];
/// Most suites kept: the registry has some 350.
const MAX_SUITES: usize = 400;

/// What a client offers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Hello {
    /// The versions, highest first: `supported_versions`, else the one of the hello.
    pub versions: Vec<u16>,
    /// The suites, in order, without signalling and grease values.
    pub suites: Vec<u16>,
    /// The server's name.
    pub server_name: Option<String>,
}

impl Hello {
    /// Reads a record that begins a handshake.
    #[must_use]
    pub fn read(octets: &[u8]) -> Option<Hello> {
        let mut record = Reader(octets);
        if record.u8()? != 0x16 {
            return None;
        }
        record.u16()?;
        let mut message = Reader(record.long()?);
        if message.u8()? != 1 {
            return None;
        }
        let length = usize::from(message.u8()?) << 16 | usize::from(message.u16()?);
        let mut body = Reader(message.take(length)?);
        let version = body.u16()?;
        body.take(32)?; // random
        body.short()?; // session
        let suites = pairs(body.long()?).filter(|suite| !is_grease(*suite) && !SIGNALS.contains(suite));
        let mut hello = Hello { versions: vec![version], suites: suites.take(MAX_SUITES).collect(), server_name: None };
        body.short()?; // compression
        let mut extensions = Reader(body.long().unwrap_or_default());
        while let Some(kind) = extensions.u16() {
            let mut value = Reader(extensions.long()?);
            match kind {
                0 => hello.server_name = server_name(value),
                43 => hello.versions = pairs(value.short()?).filter(|version| !is_grease(*version)).take(16).collect(),
                _ => {}
            }
        }
        Some(hello)
    }

    /// Suites that nobody should offer: no encryption, no authentication, export, RC4, DES, triple DES. IANA names.
    #[must_use]
    pub fn weak(&self) -> Vec<String> {
        let is_weak = |suite: &Suite| {
            suite.is_null()
                || suite.is_anonymous()
                || suite.is_export()
                || suite.is_rc4()
                || suite.is_3des()
                || suite.is_old()
        };
        self.suites.iter().map(|code| Suite(*code)).filter(is_weak).map(Suite::name).collect()
    }

    /// Suites of TLS 1.2 outside the six of ECO.1.1.3. IANA names.
    #[must_use]
    pub fn outside(&self) -> Vec<String> {
        let suites = self.suites.iter().map(|code| Suite(*code));
        suites.filter(|suite| !suite.is_one_of_the_six() && !suite.is_tls13()).map(Suite::name).collect()
    }
}

fn server_name(mut value: Reader<'_>) -> Option<String> {
    let mut list = Reader(value.long()?);
    (list.u8()? == 0).then_some(())?;
    let name = list.long()?;
    Some(String::from_utf8_lossy(&name[..name.len().min(255)]).into_owned())
}

fn pairs(octets: &[u8]) -> impl Iterator<Item = u16> + '_ {
    octets.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
}

/// RFC 8701.
fn is_grease(value: u16) -> bool {
    value & 0x0F0F == 0x0A0A && value >> 8 == value & 0xFF
}

/// Cuts octets with lengths checked.
struct Reader<'o>(&'o [u8]);

impl<'o> Reader<'o> {
    fn take(&mut self, count: usize) -> Option<&'o [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|octets| octets[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|octets| u16::from_be_bytes([octets[0], octets[1]]))
    }

    /// A vector with one octet of length.
    fn short(&mut self) -> Option<&'o [u8]> {
        let count = self.u8()?;
        self.take(count.into())
    }

    /// A vector with two octets of length.
    fn long(&mut self) -> Option<&'o [u8]> {
        let count = self.u16()?;
        self.take(count.into())
    }
}

#[cfg(test)]
mod tests {
    use openssl::ssl::{Ssl, SslContext, SslMethod, SslVersion};
    use proptest::prelude::*;

    use super::*;

    /// Keeps what OpenSSL writes, answers nothing.
    #[derive(Debug, Default)]
    struct Wall(Vec<u8>);

    impl std::io::Read for Wall {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Ok(0)
        }
    }

    impl std::io::Write for Wall {
        fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
            self.0.extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn of_openssl(suites: &str) -> Vec<u8> {
        let mut context = SslContext::builder(SslMethod::tls_client()).expect("context");
        context.set_cipher_list(suites).expect("suites");
        context.set_max_proto_version(Some(SslVersion::TLS1_3)).expect("version");
        let mut ssl = Ssl::new(&context.build()).expect("ssl");
        ssl.set_hostname("lps.exemple.test").expect("name");
        match ssl.connect(Wall::default()) {
            Err(openssl::ssl::HandshakeError::Failure(stream)) => stream.get_ref().0.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_openssl_offers() {
        let hello = Hello::read(&of_openssl("ECDHE-RSA-AES256-GCM-SHA384:AES128-SHA")).expect("a hello");
        assert_eq!(hello.server_name.as_deref(), Some("lps.exemple.test"));
        assert!(hello.suites.contains(&0xC030) && hello.suites.contains(&0x002F));
        assert!(hello.versions.starts_with(&[0x0304, 0x0303]), "{:x?}", hello.versions);
        assert_eq!(hello.outside(), ["TLS_RSA_WITH_AES_128_CBC_SHA"]);
        assert!(hello.weak().is_empty());
        let weak = Hello { suites: vec![0x0005, 0x000A, 0xC030], ..Hello::default() };
        assert_eq!(weak.weak(), ["TLS_RSA_WITH_RC4_128_SHA", "TLS_RSA_WITH_3DES_EDE_CBC_SHA"]);
        assert!(is_grease(0x1A1A) && !is_grease(0xC030) && !is_grease(0x0A1A));
    }

    proptest! {
        #[test]
        fn a_spoiled_hello_never_panics(at in 0usize..400, with in any::<u8>(), cut in 0usize..600) {
            let mut octets = of_openssl("ECDHE-RSA-AES256-GCM-SHA384");
            let at = at % octets.len();
            octets[at] = with;
            octets.truncate(cut);
            let _ = Hello::read(&octets);
        }

        #[test]
        fn nothing_panics(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Hello::read(&octets);
        }
    }
}
