//! Everything about the TLS of one port, in order: versions, suites, groups, certificates, hardening; and what to think of it.

use std::collections::BTreeSet;
use std::time::SystemTime;

use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode, SslVersion};
use serde::Serialize;
use tokio::time::timeout;
use trust::tls::Anchors;

use crate::tls::certificate::{self, Chain};
use crate::tls::enumerate::{self, Accepted, Prime};
use crate::tls::flight::Flight;
use crate::tls::prober::{Doubt, Outcome, Prober, Refusal, Settings, Target};
use crate::tls::words::{Group, Suite, Version, alert_name, is_weak_scheme};

mod findings;

pub use findings::{Finding, Level};

/// The shape of the JSON; changes when a key is renamed or removed.
pub const SCHEMA: &str = "vaguemestre/control/tls/1";

/// What is known of one version.
#[derive(Debug, Clone, Serialize)]
pub struct VersionSheet {
    /// The version.
    pub version: Version,
    /// Accepted, refused, or not known.
    pub state: State,
    /// How it was refused, or why it is not known.
    pub detail: Option<String>,
    /// Suites accepted; by the server's preference when it has one.
    pub suites: Vec<Suite>,
    /// Ciphers of SSL 2.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssl2_ciphers: Vec<String>,
    /// Whether the server's preference decides, not the client's; none when there is no choice.
    pub server_prefers: Option<bool>,
}

/// Whether something is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is.
    Accepted,
    /// It is refused: an alert, or a close seen twice.
    Refused,
    /// Not known: silence, 421, no connection.
    Inconclusive,
}

/// What the API LPS asks (LPS-TLS), and whether it is so; none when it could not be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApiLps {
    /// TLS 1.2 with each of the six suites.
    pub six_suites: Vec<(Suite, bool)>,
    /// Nothing below TLS 1.2.
    pub nothing_older: Option<bool>,
    /// At TLS 1.2 no other suite.
    pub nothing_else: Option<bool>,
    /// Groups of 2048 bits, curves of 256 at least.
    pub groups: Option<bool>,
}

impl ApiLps {
    /// Whether all of it was seen to be so.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.six_suites.iter().all(|(_, is)| *is)
            && [self.nothing_older, self.nothing_else, self.groups].into_iter().all(|answer| answer == Some(true))
    }
}

impl Survey {
    /// Whether a version answered in which it shows that a client certificate is asked for: before TLS 1.3 alone.
    #[must_use]
    pub fn shows_requests(&self) -> bool {
        self.versions.iter().any(|sheet| sheet.state == State::Accepted && sheet.version < Version::Tls13)
    }
}

/// The whole survey.
#[derive(Debug, Clone, Serialize)]
pub struct Survey {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Where.
    pub address: String,
    /// Name asked for.
    pub server_name: Option<String>,
    /// Versions, newest first.
    pub versions: Vec<VersionSheet>,
    /// Elliptic curves of TLS 1.2 or the newest version before.
    pub curves: Vec<Group>,
    /// Finite fields: without RFC 7919 groups in the offer, then with.
    pub primes: Vec<Prime>,
    /// Groups of TLS 1.3.
    pub shares: Vec<Group>,
    /// Chains seen, one for each kind of key.
    pub chains: Vec<Chain>,
    /// The chains as sent, DER.
    #[serde(skip)]
    pub ders: Vec<Vec<Vec<u8>>>,
    /// Names of the authorities whose client certificates are asked for; none when none is asked for.
    pub client_certificate: Option<Vec<String>>,
    /// DEFLATE accepted.
    pub compression: Option<bool>,
    /// Secure renegotiation (RFC 5746).
    pub secure_renegotiation: Option<bool>,
    /// Extended master secret (RFC 7627).
    pub extended_master_secret: Option<bool>,
    /// A second try with an older version is refused (RFC 7507); none when there is no older version.
    pub fallback_refused: Option<bool>,
    /// A key exchange signed with SHA-1 is accepted.
    pub sha1_signature: Option<bool>,
    /// An OCSP answer is stapled when asked for.
    pub stapling: Option<bool>,
    /// Session tickets are given.
    pub tickets: Option<bool>,
    /// What to think of it, worst first.
    pub findings: Vec<Finding>,
    /// The API LPS's requirements.
    pub api_lps: ApiLps,
    /// The dialogue before TLS.
    pub dialogue: Vec<String>,
    /// Connections made.
    pub connections: u32,
    /// Milliseconds it took.
    pub milliseconds: u64,
    /// Whether anything could not be seen.
    pub is_complete: bool,
}

/// Surveys one port.
///
/// `anchors`: authorities the certificate is judged by, if any; `told` hears how many connections were made.
pub async fn survey(
    target: Target,
    settings: Settings,
    anchors: Option<&Anchors>,
    told: &(dyn Fn(u32) + Sync),
) -> Survey {
    let started = tokio::time::Instant::now();
    let mut prober = Prober::new(target.clone(), settings, told);
    let mut work = Work::default();
    for version in [Version::Tls13, Version::Tls12, Version::Tls11, Version::Tls10, Version::Ssl3] {
        work.version(&mut prober, version).await;
        if work.is_hopeless() {
            break;
        }
    }
    if !work.is_hopeless() {
        work.ssl2(&mut prober).await;
        work.groups(&mut prober).await;
        work.hardening(&mut prober).await;
    }
    let host = target.server_name.clone().unwrap_or_else(|| target.address.ip().to_string());
    let mut ders: Vec<Vec<Vec<u8>>> = work.chains();
    if ders.is_empty() && work.accepted(Version::Tls13).is_some() {
        ders.extend(chain_of_tls13(&mut prober, settings).await);
    }
    let now = SystemTime::now();
    let chains: Vec<Chain> = ders.iter().map(|chain| certificate::read(chain, Some(&host), anchors, now)).collect();
    let client_certificate = work.client_certificate();
    let api_lps = work.api_lps();
    let findings = findings::findings(&work, &chains, &api_lps);
    Survey {
        schema: SCHEMA,
        address: target.address.to_string(),
        server_name: target.server_name,
        is_complete: work.versions.iter().all(|(_, accepted, _)| accepted.doubt.is_none()) && work.doubts == 0,
        versions: work.sheets(),
        curves: work.curves,
        primes: work.primes,
        shares: work.shares,
        chains,
        ders,
        client_certificate,
        compression: work.compression,
        secure_renegotiation: work.secure_renegotiation,
        extended_master_secret: work.extended_master_secret,
        fallback_refused: work.fallback_refused,
        sha1_signature: work.sha1_signature,
        stapling: work.stapling,
        tickets: work.tickets,
        findings,
        api_lps,
        dialogue: prober.dialogue().to_vec(),
        connections: prober.connections(),
        milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

/// What was found so far.
#[derive(Default)]
struct Work {
    versions: Vec<(Version, Accepted, Option<Suite>)>,
    ssl2: Vec<String>,
    ssl2_state: Option<(State, Option<String>)>,
    curves: Vec<Group>,
    primes: Vec<Prime>,
    shares: Vec<Group>,
    is_explicit: bool,
    compression: Option<bool>,
    secure_renegotiation: Option<bool>,
    extended_master_secret: Option<bool>,
    fallback_refused: Option<bool>,
    sha1_signature: Option<bool>,
    stapling: Option<bool>,
    tickets: Option<bool>,
    doubts: u32,
}

impl Work {
    async fn version(&mut self, prober: &mut Prober<'_>, version: Version) {
        let accepted = enumerate::suites(prober, version).await;
        let preferred = enumerate::preferred(prober, version, &accepted.suites).await;
        self.versions.push((version, accepted, preferred));
    }

    /// Whether the server cannot be asked at all.
    fn is_hopeless(&self) -> bool {
        self.versions.last().is_some_and(|(_, accepted, _)| {
            matches!(
                accepted.doubt,
                Some(Doubt::Unreachable(_) | Doubt::ConnectSilent | Doubt::Starttls(_) | Doubt::Stopped(_))
            )
        })
    }

    fn accepted(&self, version: Version) -> Option<&Accepted> {
        self.versions.iter().find(|(v, ..)| *v == version).map(|(_, a, _)| a).filter(|a| a.is_spoken())
    }

    /// The newest version before TLS 1.3 that is spoken.
    fn classic(&self) -> Option<(Version, Vec<Suite>)> {
        let spoken = self.versions.iter().filter(|(v, a, _)| *v < Version::Tls13 && a.is_spoken());
        spoken.max_by_key(|(v, ..)| *v).map(|(v, a, _)| (*v, a.suites.clone()))
    }

    fn flights(&self) -> impl Iterator<Item = &Flight> {
        self.versions.iter().flat_map(|(_, accepted, _)| &accepted.flights)
    }

    async fn ssl2(&mut self, prober: &mut Prober<'_>) {
        self.ssl2_state = Some(match prober.ask_ssl2().await {
            Outcome::Ssl2 { ciphers, .. } => {
                self.ssl2 = ciphers.into_iter().map(|cipher| cipher.name()).collect();
                (State::Accepted, None)
            }
            // It answered in a newer version: SSL 2's hello only opened the door.
            Outcome::Flight(_) => (State::Refused, Some("answered in a newer version".to_owned())),
            Outcome::Refused(refusal) => (State::Refused, Some(refusal_text(refusal))),
            Outcome::Inconclusive(doubt) => (State::Inconclusive, Some(doubt.to_string())),
        });
    }

    async fn groups(&mut self, prober: &mut Prober<'_>) {
        if let Some((version, suites)) = self.classic() {
            let curves = enumerate::curves(prober, version, &suites).await;
            let (primes, doubt) = enumerate::primes(prober, version, &suites).await;
            self.doubts += u32::from(curves.doubt.is_some()) + u32::from(doubt.is_some());
            self.is_explicit = curves.is_explicit;
            self.curves = curves.accepted;
            self.primes = primes;
        }
        if let Some(suites) = self.accepted(Version::Tls13).map(|accepted| accepted.suites.clone()) {
            let shares = enumerate::shares(prober, &suites).await;
            self.doubts += u32::from(shares.doubt.is_some());
            self.shares = shares.accepted;
        }
    }

    async fn hardening(&mut self, prober: &mut Prober<'_>) {
        let Some((version, suites)) = self.classic() else { return };
        let mut hello = prober.hello(version).with_suites(suites.iter().copied());
        (hello.compression, hello.stapling) = (true, true);
        match prober.ask(&hello).await {
            Outcome::Flight(flight) => {
                self.compression = Some(flight.compression != 0);
                self.stapling = Some(flight.stapled.is_some() || flight.extensions.contains(&5));
                self.secure_renegotiation = Some(flight.extensions.contains(&0xFF01));
                self.extended_master_secret = Some(flight.extensions.contains(&23));
                self.tickets = Some(flight.extensions.contains(&35));
            }
            Outcome::Inconclusive(_) => self.doubts += 1,
            _ => {}
        }
        if version == Version::Tls12 {
            let mut hello = prober.hello(version).with_suites(suites.iter().copied());
            hello.schemes.retain(|scheme| is_weak_scheme(*scheme));
            let is_signed = |flight: &Flight| flight.scheme.is_some_and(is_weak_scheme);
            match prober.ask(&hello).await {
                Outcome::Flight(flight) => self.sha1_signature = Some(is_signed(&flight)),
                Outcome::Refused(_) => self.sha1_signature = Some(false),
                _ => self.doubts += 1,
            }
        }
        let older = self
            .versions
            .iter()
            .filter(|(v, a, _)| a.is_spoken() && *v < version)
            .map(|(v, a, _)| (*v, a.suites.clone()));
        let newest = if self.accepted(Version::Tls13).is_some() {
            Some((version, suites))
        } else {
            older.max_by_key(|(v, _)| *v)
        };
        if let Some((version, suites)) = newest {
            let mut hello = prober.hello(version).with_suites(suites);
            hello.fallback = true;
            self.fallback_refused = match prober.ask(&hello).await {
                Outcome::Refused(_) => Some(true),
                Outcome::Flight(_) | Outcome::Ssl2 { .. } => Some(false),
                Outcome::Inconclusive(_) => None,
            };
        }
    }

    /// Chains that differ by their first certificate.
    fn chains(&self) -> Vec<Vec<Vec<u8>>> {
        let mut seen = BTreeSet::new();
        let whole = self.flights().filter(|flight| !flight.chain.is_empty());
        whole.filter(|flight| seen.insert(flight.chain[0].clone())).map(|flight| flight.chain.clone()).collect()
    }

    fn client_certificate(&self) -> Option<Vec<String>> {
        let request = self.flights().find_map(|flight| flight.certificate_request.as_ref())?;
        Some(request.authorities.iter().map(|der| authority(der)).collect())
    }

    fn sheets(&self) -> Vec<VersionSheet> {
        let mut sheets: Vec<VersionSheet> = self
            .versions
            .iter()
            .map(|(version, accepted, preferred)| {
                let (state, detail) = match accepted {
                    a if a.is_spoken() => (State::Accepted, a.doubt.as_ref().map(ToString::to_string)),
                    Accepted { doubt: Some(doubt), .. } => (State::Inconclusive, Some(doubt.to_string())),
                    Accepted { instead: Some(instead), .. } => (State::Refused, Some(format!("answered in {instead}"))),
                    Accepted { refusal: Some(refusal), .. } => (State::Refused, Some(refusal_text(*refusal))),
                    Accepted { violation: Some(suite), .. } => {
                        (State::Accepted, Some(format!("{suite}, which was not offered")))
                    }
                    _ => (State::Inconclusive, None),
                };
                let mut suites = accepted.suites.clone();
                if let Some(first) = preferred {
                    // Found in another chunk, perhaps.
                    suites.sort_by_key(|suite| suite != first);
                }
                let server_prefers = (suites.len() > 1).then_some(preferred.is_some());
                VersionSheet { version: *version, state, detail, suites, ssl2_ciphers: Vec::new(), server_prefers }
            })
            .collect();
        if let Some((state, detail)) = self.ssl2_state.clone() {
            sheets.push(VersionSheet {
                version: Version::Ssl2,
                state,
                detail,
                suites: Vec::new(),
                ssl2_ciphers: self.ssl2.clone(),
                server_prefers: None,
            });
        }
        sheets
    }

    fn api_lps(&self) -> ApiLps {
        let tls12 =
            self.versions.iter().find(|(version, ..)| *version == Version::Tls12).map(|(_, accepted, _)| accepted);
        let suites = tls12.map(|accepted| accepted.suites.clone()).unwrap_or_default();
        let is_known = tls12.is_some_and(|accepted| accepted.doubt.is_none());
        let old = self.versions.iter().filter(|(version, ..)| *version < Version::Tls12);
        let is_old = old.clone().any(|(_, accepted, _)| accepted.is_spoken()) || !self.ssl2.is_empty();
        let is_old_known = old.clone().count() == 3
            && old.clone().all(|(_, accepted, _)| accepted.doubt.is_none())
            && matches!(self.ssl2_state, Some((State::Refused, _)));
        let is_else = suites.iter().any(|suite| !suite.is_one_of_the_six());
        let is_weak =
            self.curves.iter().any(|group| !group.is_enough()) || self.primes.iter().any(|prime| prime.bits < 2048);
        ApiLps {
            six_suites: Suite::SIX.into_iter().map(|suite| (suite, suites.contains(&suite))).collect(),
            nothing_older: (is_old || is_old_known).then_some(!is_old),
            nothing_else: (is_else || is_known).then_some(!is_else),
            groups: (is_weak || (is_known && self.doubts == 0)).then_some(!is_weak),
        }
    }
}

fn refusal_text(refusal: Refusal) -> String {
    match refusal {
        Refusal::Alert(alert) => format!("alert {} {}", alert.description, alert_name(alert.description)),
        Refusal::Closed => "closed without a word, twice".to_owned(),
    }
}

/// The name of an authority of a CertificateRequest; the crate has no reader of bare names, so the common name alone is looked for.
fn authority(der: &[u8]) -> String {
    // OID 2.5.4.3, then a string: tag, length, text.
    let oid = [0x06, 0x03, 0x55, 0x04, 0x03];
    let text = der.windows(oid.len()).position(|window| window == oid).and_then(|at| {
        let value = der.get(at + oid.len()..)?;
        value.get(2..2 + usize::from(*value.get(1)?))
    });
    text.map_or_else(
        || "unnamed authority".to_owned(),
        |text| crate::tls::starttls::shown(&String::from_utf8_lossy(text)),
    )
}

/// With TLS 1.3 the certificate is encrypted: a real handshake is made for it, with OpenSSL, believing anybody.
async fn chain_of_tls13(prober: &mut Prober<'_>, settings: Settings) -> Option<Vec<Vec<u8>>> {
    let stream = prober.open().await.ok()?;
    let host = prober.target().server_name.clone();
    let mut connector = SslConnector::builder(SslMethod::tls_client()).ok()?;
    connector.set_verify(SslVerifyMode::NONE);
    connector.set_min_proto_version(Some(SslVersion::TLS1_3)).ok()?;
    let mut configuration = connector.build().configure().ok()?.verify_hostname(false);
    configuration.set_use_server_name_indication(host.is_some());
    let ssl = configuration.into_ssl(host.as_deref().unwrap_or("localhost")).ok()?;
    let mut tls = tokio_openssl::SslStream::new(ssl, stream).ok()?;
    timeout(settings.patience, std::pin::Pin::new(&mut tls).connect()).await.ok()?.ok()?;
    tls.ssl().peer_cert_chain()?.iter().map(|certificate| certificate.to_der().ok()).collect()
}
