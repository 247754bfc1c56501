//! What is answered: records put together into handshake messages, up to the end of the server's flight in clear.
//!
//! Limits: [`MAX_FLIGHT`] octets in all, whatever the server says of lengths. Nothing is trusted: an octet too few is
//! [`Broken`], never a panic.

use serde::Serialize;

use super::words::{Exchange, Group, Suite, Version};

/// Most octets of one flight. The longest real ones hold a chain of four certificates and the names of a hundred authorities.
pub const MAX_FLIGHT: usize = 256 * 1024;
/// Most certificates of a chain.
const MAX_CHAIN: usize = 20;
/// Most names of authorities kept.
const MAX_AUTHORITIES: usize = 200;
/// Random of a ServerHello that is a HelloRetryRequest (RFC 8446 §4.1.3).
const RETRY: [u8; 32] = [
    0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91, 0xC2, 0xA2, 0x11,
    0x16, 0x7A, 0xBB, 0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C,
];

/// The octets are not what the protocol says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Broken {
    /// Not TLS at all.
    #[error("the answer is not TLS")]
    NotTls,
    /// A length that does not fit.
    #[error("a length in the answer does not fit")]
    Length,
    /// A message where another was due.
    #[error("a message out of order")]
    Order,
    /// More than [`MAX_FLIGHT`] octets.
    #[error("the answer does not end")]
    Endless,
}

/// An alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// 1 warning, 2 fatal.
    pub level: u8,
    /// What it says; see [`super::words::alert_name`].
    pub description: u8,
}

/// The parameters of a key exchange, as ServerKeyExchange tells them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyExchange {
    /// A finite field.
    Finite {
        /// Size of the prime, in bits.
        bits: u32,
        /// The prime, so that well-known and shared ones are recognised.
        prime: Vec<u8>,
        /// The generator.
        generator: Vec<u8>,
    },
    /// A named curve.
    Curve(Group),
    /// A curve given by its parameters, which nobody should accept (RFC 8422 §5.4).
    Explicit,
    /// Something this prober does not read (PSK, SRP…).
    Other,
}

/// What a server asks of a client's certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CertificateRequest {
    /// `certificate_types`: 1 RSA, 64 ECDSA…
    pub types: Vec<u8>,
    /// Names of the authorities accepted, DER; at most 200 are kept.
    #[serde(skip)]
    pub authorities: Vec<Vec<u8>>,
}

/// A server's flight.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flight {
    /// Version chosen, TLS 1.3 read from its extension.
    pub version: Option<Version>,
    /// Its code on the wire, when it is none we know.
    pub version_code: u16,
    /// Suite chosen.
    pub suite: Option<Suite>,
    /// Compression method chosen: 0 none, 1 DEFLATE.
    pub compression: u8,
    /// Codes of the extensions of ServerHello.
    pub extensions: Vec<u16>,
    /// TLS 1.3: the group asked for by a HelloRetryRequest, or the one of the share.
    pub group: Option<Group>,
    /// Certificates, DER, as sent.
    pub chain: Vec<Vec<u8>>,
    /// Stapled OCSP answer, DER.
    pub stapled: Option<Vec<u8>>,
    /// Key exchange.
    pub key_exchange: Option<KeyExchange>,
    /// Signature scheme of ServerKeyExchange (TLS 1.2).
    pub scheme: Option<u16>,
    /// Client certificate asked for.
    pub certificate_request: Option<CertificateRequest>,
    /// Whether the flight ended as it should: ServerHelloDone, or the ServerHello of TLS 1.3.
    pub is_whole: bool,
}

/// What the octets so far say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// More octets are needed.
    More,
    /// The flight is whole.
    Whole(Box<Flight>),
    /// An alert came; what was said before it, when a ServerHello was.
    Alert(Alert, Option<Box<Flight>>),
    /// The answer of an SSL 2 server: its ciphers and its certificate.
    Ssl2 {
        /// Kinds of cipher accepted among those offered.
        ciphers: Vec<u32>,
        /// Certificate, DER.
        certificate: Vec<u8>,
    },
}

/// Reads what was received so far, from its first octet.
///
/// # Errors
/// [`Broken`].
pub fn read(received: &[u8]) -> Result<Progress, Broken> {
    if received.len() > MAX_FLIGHT {
        return Err(Broken::Endless);
    }
    let Some(first) = received.first() else { return Ok(Progress::More) };
    if first & 0x80 != 0 {
        return ssl2(received);
    }
    let mut handshake = Vec::new();
    let mut rest = received;
    let mut alert = None;
    while rest.len() >= 5 {
        let (kind, major) = (rest[0], rest[1]);
        if major != 3 || !(20..=23).contains(&kind) {
            return Err(Broken::NotTls);
        }
        let length = usize::from(u16::from_be_bytes([rest[3], rest[4]]));
        // RFC 8446 §5.2: 2^14 octets, and 256 more when encrypted; older servers 2048 more.
        if length > 16_384 + 2048 {
            return Err(Broken::Length);
        }
        let Some(fragment) = rest.get(5..5 + length) else { break };
        rest = &rest[5 + length..];
        match kind {
            21 => {
                let &[level, description] = fragment else { return Err(Broken::Length) };
                alert = Some(Alert { level, description });
                break;
            }
            22 => handshake.extend_from_slice(fragment),
            // After a ServerHello of TLS 1.3 all is encrypted; before, neither may come.
            _ if handshake.is_empty() => return Err(Broken::Order),
            _ => break,
        }
    }
    if rest.first().is_some_and(|kind| !(20..=23).contains(kind)) || rest.get(1).is_some_and(|major| *major != 3) {
        return Err(Broken::NotTls);
    }
    let flight = messages(&handshake)?;
    Ok(match (alert, flight) {
        (Some(alert), flight) => Progress::Alert(alert, flight.map(Box::new)),
        (None, Some(flight)) if flight.is_whole => Progress::Whole(Box::new(flight)),
        (None, _) => Progress::More,
    })
}

/// The handshake messages; none when not even a ServerHello is whole.
fn messages(handshake: &[u8]) -> Result<Option<Flight>, Broken> {
    let mut flight: Option<Flight> = None;
    let mut cursor = Cursor(handshake);
    while let (Some(kind), Some(length)) = (cursor.0.first().copied(), cursor.0.get(1..4)) {
        let length = u32::from_be_bytes([0, length[0], length[1], length[2]]) as usize;
        if length > MAX_FLIGHT {
            return Err(Broken::Length);
        }
        let Some(body) = cursor.0.get(4..4 + length) else { break };
        cursor.0 = &cursor.0[4 + length..];
        match (kind, &mut flight) {
            // HelloRequest may come at any time and means nothing here.
            (0, _) => {}
            (2, None) => {
                let hello = server_hello(body)?;
                let ended = hello.version == Some(Version::Tls13);
                flight = Some(hello);
                if ended {
                    break;
                }
            }
            (11, Some(flight)) => flight.chain = chain(body)?,
            (22, Some(flight)) => flight.stapled = stapled(body),
            (12, Some(flight)) => key_exchange(body, flight)?,
            (13, Some(flight)) => flight.certificate_request = Some(certificate_request(body, flight.version)?),
            (14, Some(flight)) => {
                flight.is_whole = true;
                break;
            }
            // NewSessionTicket, SupplementalData and the like.
            (_, Some(_)) => {}
            (_, None) => return Err(Broken::Order),
        }
    }
    Ok(flight)
}

fn server_hello(body: &[u8]) -> Result<Flight, Broken> {
    let mut cursor = Cursor(body);
    let mut version_code = cursor.u16()?;
    let random = cursor.take(32)?;
    cursor.vector8()?;
    let suite = Suite(cursor.u16()?);
    let compression = cursor.u8()?;
    let mut flight = Flight { suite: Some(suite), compression, ..Flight::default() };
    if !cursor.0.is_empty() {
        let mut extensions = Cursor(cursor.vector16()?);
        while !extensions.0.is_empty() {
            let code = extensions.u16()?;
            let mut data = Cursor(extensions.vector16()?);
            flight.extensions.push(code);
            match code {
                43 => version_code = data.u16()?,
                51 => flight.group = Some(Group(data.u16()?)),
                _ => {}
            }
        }
    }
    flight.version_code = version_code;
    flight.version = Version::from_code(version_code);
    // A retry is only a retry when it says TLS 1.3.
    flight.is_whole = flight.version == Some(Version::Tls13) || random == RETRY;
    Ok(flight)
}

fn chain(body: &[u8]) -> Result<Vec<Vec<u8>>, Broken> {
    let mut list = Cursor(Cursor(body).vector24()?);
    let mut chain = Vec::new();
    while !list.0.is_empty() {
        let certificate = list.vector24()?;
        if chain.len() < MAX_CHAIN {
            chain.push(certificate.to_vec());
        }
    }
    Ok(chain)
}

fn stapled(body: &[u8]) -> Option<Vec<u8>> {
    let mut cursor = Cursor(body);
    (cursor.u8().ok()? == 1).then(|| cursor.vector24().ok().map(<[u8]>::to_vec)).flatten()
}

fn key_exchange(body: &[u8], flight: &mut Flight) -> Result<(), Broken> {
    let mut cursor = Cursor(body);
    let exchange = flight.suite.map_or(Exchange::Other, Suite::exchange);
    let is_psk = flight.suite.is_some_and(|suite| suite.name().contains("_PSK_"));
    if is_psk {
        cursor.vector16()?;
    }
    flight.key_exchange = Some(match exchange {
        Exchange::Ecdhe | Exchange::EcdhAnon => match cursor.u8()? {
            3 => {
                let group = Group(cursor.u16()?);
                cursor.vector8()?;
                KeyExchange::Curve(group)
            }
            _ => KeyExchange::Explicit,
        },
        Exchange::Dhe | Exchange::DhAnon => {
            let prime = cursor.vector16()?.to_vec();
            let generator = cursor.vector16()?.to_vec();
            cursor.vector16()?;
            KeyExchange::Finite { bits: bits(&prime), prime, generator }
        }
        Exchange::Share | Exchange::Other => KeyExchange::Other,
    });
    let is_signed = matches!(exchange, Exchange::Dhe | Exchange::Ecdhe) && !is_psk;
    let is_read = !matches!(flight.key_exchange, Some(KeyExchange::Explicit));
    if is_signed && is_read && flight.version == Some(Version::Tls12) {
        flight.scheme = Some(cursor.u16()?);
    }
    Ok(())
}

fn certificate_request(body: &[u8], version: Option<Version>) -> Result<CertificateRequest, Broken> {
    let mut cursor = Cursor(body);
    let types = cursor.vector8()?.to_vec();
    if version == Some(Version::Tls12) {
        cursor.vector16()?;
    }
    let mut names = Cursor(cursor.vector16()?);
    let mut authorities = Vec::new();
    while !names.0.is_empty() {
        let name = names.vector16()?;
        if authorities.len() < MAX_AUTHORITIES {
            authorities.push(name.to_vec());
        }
    }
    Ok(CertificateRequest { types, authorities })
}

/// SSL 2: a header of two octets, then `SERVER-HELLO`.
fn ssl2(received: &[u8]) -> Result<Progress, Broken> {
    let mut cursor = Cursor(received);
    let Ok(length) = cursor.u16() else { return Ok(Progress::More) };
    let Some(body) = cursor.0.get(..usize::from(length & 0x7FFF)) else { return Ok(Progress::More) };
    let mut cursor = Cursor(body);
    if cursor.u8()? != 4 {
        return Err(Broken::NotTls);
    }
    cursor.take(2)?;
    if cursor.u16()? != Version::Ssl2.code() {
        return Err(Broken::NotTls);
    }
    let (certificate, ciphers, id) = (cursor.u16()?, cursor.u16()?, cursor.u16()?);
    let certificate = cursor.take(usize::from(certificate))?.to_vec();
    let specs = cursor.take(usize::from(ciphers))?;
    cursor.take(usize::from(id))?;
    let ciphers = specs.chunks_exact(3).map(|spec| u32::from_be_bytes([0, spec[0], spec[1], spec[2]])).collect();
    Ok(Progress::Ssl2 { ciphers, certificate })
}

/// Size of a number in bits.
fn bits(number: &[u8]) -> u32 {
    let digits = number.iter().position(|octet| *octet != 0).map_or(&[][..], |at| &number[at..]);
    match digits.first() {
        Some(first) => digits.len() as u32 * 8 - first.leading_zeros(),
        None => 0,
    }
}

/// What is left to read.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Broken::Length)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, Broken> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, Broken> {
        let octets = self.take(2)?;
        Ok(u16::from_be_bytes([octets[0], octets[1]]))
    }

    fn vector8(&mut self) -> Result<&'a [u8], Broken> {
        let length = self.u8()?;
        self.take(length.into())
    }

    fn vector16(&mut self) -> Result<&'a [u8], Broken> {
        let length = self.u16()?;
        self.take(length.into())
    }

    fn vector24(&mut self) -> Result<&'a [u8], Broken> {
        let length = self.take(3)?;
        self.take(u32::from_be_bytes([0, length[0], length[1], length[2]]) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(kind: u8, fragment: &[u8]) -> Vec<u8> {
        let mut record = vec![kind, 3, 3];
        record.extend((fragment.len() as u16).to_be_bytes());
        record.extend(fragment);
        record
    }

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut message = vec![kind];
        message.extend(&(body.len() as u32).to_be_bytes()[1..]);
        message.extend(body);
        message
    }

    fn hello(suite: u16) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([9; 32]);
        body.push(0);
        body.extend(suite.to_be_bytes());
        body.push(0);
        message(2, &body)
    }

    #[test]
    fn a_flight_in_pieces() {
        let mut all = hello(0xC02F);
        let mut certificate = vec![0, 0, 5, 0, 0, 2];
        certificate.extend(b"AB");
        all.extend(message(11, &certificate));
        all.extend(message(12, &[3, 0, 29, 1, 0xAA, 8, 4, 0, 0]));
        all.extend(message(13, &[1, 1, 0, 2, 4, 1, 0, 4, 0, 2, 0x30, 0]));
        all.extend(message(14, &[]));
        // Cut anywhere, into records of seven octets.
        let records: Vec<u8> = all.chunks(7).flat_map(|piece| record(22, piece)).collect();
        for end in 0..records.len() {
            assert_eq!(read(&records[..end]), Ok(Progress::More), "{end}");
        }
        let Ok(Progress::Whole(flight)) = read(&records) else { panic!("whole") };
        assert_eq!(flight.version, Some(Version::Tls12));
        assert_eq!(flight.chain, vec![b"AB".to_vec()]);
        assert_eq!(flight.key_exchange, Some(KeyExchange::Curve(Group::X25519)));
        assert_eq!(flight.scheme, Some(0x0804));
        assert_eq!(flight.certificate_request.map(|request| request.authorities.len()), Some(1));
    }

    #[test]
    fn primes_are_measured() {
        let mut body = vec![0, 3, 0x00, 0x7F, 0xFF];
        body.extend([0, 1, 2, 0, 1, 5, 2, 1, 0, 0]);
        let mut all = hello(0x009E);
        all.extend(message(12, &body));
        all.extend(message(14, &[]));
        let Ok(Progress::Whole(flight)) = read(&record(22, &all)) else { panic!("whole") };
        assert!(matches!(flight.key_exchange, Some(KeyExchange::Finite { bits: 15, .. })));
        assert_eq!(flight.scheme, Some(0x0201));
    }

    #[test]
    fn alerts_and_strangers() {
        assert_eq!(read(&record(21, &[2, 70])), Ok(Progress::Alert(Alert { level: 2, description: 70 }, None)));
        assert_eq!(read(b"* BYE too many"), Err(Broken::NotTls));
        assert_eq!(read(b"220 hello\r\n"), Err(Broken::NotTls));
        assert_eq!(read(&record(23, b"x")), Err(Broken::Order));
        assert_eq!(read(&[22, 3, 1, 0xFF, 0xFF]), Err(Broken::Length));
        assert_eq!(read(&record(22, &message(11, &[0, 0, 0]))), Err(Broken::Order));
        let mut body = vec![4, 0, 1, 0, 2, 0, 2, 0, 3, 0, 0];
        body.extend(b"AB");
        body.extend([7, 0, 0xC0]);
        let mut answer = vec![0x80, body.len() as u8];
        answer.extend(body);
        assert_eq!(read(&answer), Ok(Progress::Ssl2 { ciphers: vec![0x0700C0], certificate: b"AB".to_vec() }));
    }

    proptest! {
        #[test]
        fn nothing_panics(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&octets);
            let _ = read(&record(22, &octets));
            let mut after = hello(0xC02F);
            after.extend(octets);
            let _ = read(&record(22, &after));
        }
    }
}
