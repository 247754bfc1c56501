//! The certificates of the space, made once and kept: `DIR/pki`, private keys readable by their owner only.
//!
//! Keys are what takes time: those that are missing are made in parallel. A certificate is made anew with the same key when
//! the distribution point moved (another port) or when it is about to end; its DN never changes, so the white list stays right.
//!
//! Differences from IGC-Santé TEST, for the convenience of ordinary programs: a server's certificate also names 127.0.0.1 and the
//! loopback address of its operator interface, so that `curl`, `imaplib` and `openssl` verify it without any name resolution.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use openssl::asn1::Asn1Time;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::X509;
use trust::SharedClock;
use trust::dn::Dn;
use trust::pki::{Channel, Kind, LeafRequest, SignedBy, TestAuthority, Validity};
use trust::tls::Identity;

pub(crate) mod control;
mod traps;

use crate::cast::{self, OPERATORS};
use crate::{Layout, Ports, SandboxError};

/// Size of every key, as in the real certificates.
const KEY_BITS: u32 = 2048;
/// A certificate this near its end is renewed at the start.
const RENEW_DAYS: u32 = 30;
/// The HTTPS services.
const SERVICES: &str = "services";
/// Mon espace santé.
const MES: &str = "mes";
/// The client known to PSC.
pub(crate) const EDITOR: &str = "editeur";
/// Authorities that are not those of organisations. Their key is that of the certificate: nobody gets that far.
const PERSONS: &str = "TEST AC IGC-SANTE ELEMENTAIRE PERSONNES";
const STRANGER: &str = "AC INCONNUE";
/// The signer of the white list.
const SIGNER: &str = "liste-blanche";

/// The certificates made for refusals: name in `sandbox.json` and file name, and what is wrong with each.
pub const NEGATIVE: [(&str, &str); 8] = [
    ("expired", "operator alpha's DN, ended yesterday"),
    ("not-yet-valid", "operator alpha's DN, begins tomorrow"),
    ("revoked", "operator alpha's DN, on the revocation list"),
    ("other-authority", "operator alpha's DN, signed by another authority of the same name"),
    ("wrong-usage", "operator alpha's DN, for servers only: not for a TLS client"),
    ("no-usage", "operator alpha's DN, without any extended key usage"),
    ("unlisted", "a valid operator certificate whose DN is not on the white list"),
    ("other-structure", "a valid ORG AUTH_CLI of a structure that has no mailbox"),
];

/// What one certificate file holds.
struct Leaf {
    /// File name without extension, under `pki`.
    file: String,
    request: LeafRequest,
    by: By,
    /// Where it is told to be revoked.
    revoked: Option<Channel>,
}

impl Leaf {
    fn good(file: &str, request: LeafRequest) -> Leaf {
        Leaf { file: file.to_owned(), request, by: By::Ours, revoked: None }
    }
}

/// Who signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// The space's authority of organisations.
    Ours,
    /// An authority of the same name.
    Impostor,
    /// An authority nobody knows.
    Stranger,
    /// The authority of persons: under the same root, and not for organisations.
    Persons,
    /// The certificate itself.
    Itself,
}

/// The certificates, ready for use.
pub struct Pki {
    /// The authority, which publishes its lists.
    pub authority: Arc<TestAuthority>,
    /// Of the HTTPS services.
    pub services: Identity,
    /// Of Mon espace santé.
    pub mes: Identity,
    /// Who signs the white list, with the key.
    pub signer: (X509, PKey<Private>),
    /// DNs of the operators, in the order of [`OPERATORS`].
    pub operators: Vec<Dn>,
    /// DN of the client known to PSC.
    pub editor: Dn,
    /// A good certificate for signing that is not the list's, with its key.
    pub other_signer: (X509, PKey<Private>),
    /// DN of the operator that the control application plays.
    pub peer: Dn,
    /// What each door of the traps shows, and its DN.
    pub traps: Vec<(::control::trap::Door, ::control::trap::Presented, Dn)>,
}

impl Pki {
    /// Reads what is there and makes what is missing. Blocking: about a second the first time.
    ///
    /// # Errors
    /// Files that cannot be read or written.
    pub fn open(layout: &Layout, ports: &Ports, clock: SharedClock) -> Result<Pki, SandboxError> {
        let base_url = format!("http://127.0.0.1:{}", ports.crl);
        let folder = layout.pki();
        let leaves = leaves(ports);
        // Making keys takes nearly all the time of a first start: on every core, from its beginning.
        let (authority, impostor, keys) = std::thread::scope(|scope| {
            let ours = scope.spawn(|| authority(&folder, &base_url, &clock));
            // The authority of the same name and another key (CER-06).
            let other = scope.spawn(|| authority(&layout.negative().join("other-authority-ca"), &base_url, &clock));
            let keys = keys(&folder, &leaves);
            let died = |_| SandboxError::setup("certificates")("a thread died");
            Ok::<_, SandboxError>((ours.join().map_err(died)??, other.join().map_err(died)??, keys?))
        })?;
        let moved = note_base(&folder.join("distribution-point"), &base_url)?;
        for (leaf, key) in leaves.iter().zip(keys) {
            let fresh = leaf.request.validity == Validity::NotYet;
            if moved || fresh || !is_good(&folder, leaf, &key) {
                let issued = match leaf.by {
                    By::Ours => authority.certify(&leaf.request, key)?,
                    By::Impostor => impostor.certify(&leaf.request, key)?,
                    By::Itself => authority.certify_badly(&leaf.request, key, SignedBy::Itself)?,
                    By::Stranger | By::Persons => {
                        let under_root = leaf.by == By::Persons;
                        let name = if under_root { PERSONS } else { STRANGER };
                        let above = authority.foreign_authority(name, &key, under_root)?;
                        authority.certify_badly(&leaf.request, key.clone(), SignedBy::Other(&above, &key))?
                    }
                };
                issued.save(&folder, &leaf.file)?;
                if let Some(told) = leaf.revoked {
                    authority.revoke_in(&issued.serial()?, told)?;
                }
            }
        }
        authority.save(&folder)?;
        Pki::load(&folder, authority)
    }

    fn load(folder: &Path, authority: TestAuthority) -> Result<Pki, SandboxError> {
        let identity = |name: &str| {
            let (certificate, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
            Identity::from_files(&certificate, &key).map_err(SandboxError::setup("certificates"))
        };
        let signer_key = read_key(&folder.join(format!("{SIGNER}.key")))?;
        let operators = OPERATORS
            .iter()
            .map(|operator| identity(operator.name)?.subject().map_err(SandboxError::setup("certificates")));
        Ok(Pki {
            services: identity(SERVICES)?,
            mes: identity(MES)?,
            signer: (identity(SIGNER)?.certificate().clone(), signer_key),
            operators: operators.collect::<Result<_, _>>()?,
            editor: identity(EDITOR)?.subject().map_err(SandboxError::setup("certificates"))?,
            other_signer: (
                identity(control::OTHER_SIGNER)?.certificate().clone(),
                read_key(&folder.join(format!("{}.key", control::OTHER_SIGNER)))?,
            ),
            peer: identity(control::PEER)?.subject().map_err(SandboxError::setup("certificates"))?,
            traps: traps::load(folder)?,
            authority: Arc::new(authority),
        })
    }

    /// DN of the white list's signer.
    ///
    /// # Errors
    /// None for what this module makes.
    pub fn signer_dn(&self) -> Result<Dn, SandboxError> {
        Dn::from_x509(self.signer.0.subject_name()).map_err(SandboxError::setup("certificates"))
    }

    /// DN of Mon espace santé.
    ///
    /// # Errors
    /// None for what this module makes.
    pub fn mes_dn(&self) -> Result<Dn, SandboxError> {
        self.mes.subject().map_err(SandboxError::setup("certificates"))
    }
}

/// File names under `pki` (without extension) of the `ORG AUTH_CLI` of a mailbox of software.
pub(crate) fn application_file(mailbox: &cast::Mailbox) -> String {
    // The contract has `pki/labo.pem` for the first operator's; others say whose they are.
    if mailbox.operator == OPERATORS[0].name {
        mailbox.local.to_owned()
    } else {
        format!("{}-{}", mailbox.local, mailbox.operator)
    }
}

fn leaves(ports: &Ports) -> Vec<Leaf> {
    let home = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let leaf = Leaf::good;
    let operator_request = |index: usize| {
        let operator = &OPERATORS[index];
        let names = ["lps", "app", "autoconfig"].map(|host| operator.host(host));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        // Operator interfaces are numbered from 1 in the order of the operators.
        let mx = ports.mx(index as u8 + 1);
        LeafRequest::server(&operator.host("mx"), &operator.structure.organization(), &names, &[home, mx])
    };
    let mut all: Vec<Leaf> =
        OPERATORS.iter().enumerate().map(|(index, operator)| leaf(operator.name, operator_request(index))).collect();
    let space = cast::SPACE.organization();
    all.push(leaf(SERVICES, LeafRequest::server("services.formation.mssante.fr", &space, &["localhost"], &[home])));
    all.push(leaf(SIGNER, LeafRequest::sign("Liste Blanche MSSante TEST", &space)));
    all.push(leaf(EDITOR, LeafRequest::auth_cli("Logiciel de messagerie", &cast::EDITOR.organization())));
    let mes = cast::MES.organization();
    all.push(leaf(MES, LeafRequest::server("mx.patient.mssante.fr", &mes, &[], &[ports.mx(3)])));
    for mailbox in cast::MAILBOXES.iter().filter(|m| matches!(m.holder, cast::Holder::Application)) {
        let organization = mailbox.operator().structure.organization();
        all.push(leaf(&application_file(mailbox), LeafRequest::auth_cli(mailbox.local, &organization)));
    }

    let alpha = || operator_request(0);
    let outsider = cast::OUTSIDER.organization();
    let outsider_host = format!("mx.{}", cast::OUTSIDER_DOMAIN);
    let with_kind = |kind| LeafRequest { kind, ..alpha() };
    for (name, _) in NEGATIVE {
        let request = match name {
            "expired" => alpha().valid(Validity::Expired),
            "not-yet-valid" => alpha().valid(Validity::NotYet),
            "wrong-usage" => with_kind(Kind::ServerOnly),
            "no-usage" => with_kind(Kind::NoUsage),
            "unlisted" => LeafRequest::server(&outsider_host, &outsider, &[], &[home, ports.mx(4)]),
            "other-structure" => LeafRequest::auth_cli("labo", &outsider),
            // revoked, other-authority
            _ => alpha(),
        };
        let by = if name == "other-authority" { By::Impostor } else { By::Ours };
        let revoked = (name == "revoked").then_some(Channel::Both);
        all.push(Leaf { file: format!("negative/{name}"), request, by, revoked });
    }
    all.extend(control::leaves(ports));
    all.extend(traps::leaves(ports));
    all
}

fn authority(folder: &Path, base_url: &str, clock: &SharedClock) -> Result<TestAuthority, SandboxError> {
    if folder.join("root.pem").exists() {
        return Ok(TestAuthority::load(folder, base_url, clock.clone())?);
    }
    let authority = TestAuthority::generate(base_url, clock.clone())?;
    authority.save(folder)?;
    Ok(authority)
}

/// Whether the distribution point is another than at the last start.
fn note_base(path: &Path, base_url: &str) -> Result<bool, SandboxError> {
    let same = std::fs::read_to_string(path).is_ok_and(|before| before == base_url);
    if !same {
        std::fs::write(path, base_url).map_err(SandboxError::file(path))?;
    }
    Ok(!same)
}

/// Which certificates share a key: those made for refusals (the key is not what is wrong with them), and those of the services
/// of the space, which nobody tells apart by their key.
fn key_group(file: &str) -> &str {
    match file {
        SERVICES | SIGNER | MES | EDITOR => SERVICES,
        _ if file.starts_with("negative/") || file.starts_with("control/") || file.starts_with("pieges/") => "negative",
        own => own,
    }
}

/// The keys of the leaves: those on disk, and new ones.
fn keys(folder: &Path, leaves: &[Leaf]) -> Result<Vec<PKey<Private>>, SandboxError> {
    let mut known: BTreeMap<&str, Option<PKey<Private>>> = BTreeMap::new();
    for leaf in leaves {
        let path = folder.join(format!("{}.key", leaf.file));
        let group = known.entry(key_group(&leaf.file)).or_default();
        if group.is_none() && path.exists() {
            *group = Some(read_key(&path)?);
        }
    }
    let mut new = generate(known.values().filter(|key| key.is_none()).count())?;
    for key in known.values_mut().filter(|key| key.is_none()) {
        *key = new.pop();
    }
    let found = leaves.iter().map(|leaf| known.get(key_group(&leaf.file)).cloned().flatten());
    found.collect::<Option<_>>().ok_or_else(|| SandboxError::setup("certificates")("a key is missing"))
}

/// New RSA keys, on as many threads as there are cores.
pub(crate) fn generate(count: usize) -> Result<Vec<PKey<Private>>, SandboxError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(count.max(1));
    let failed = SandboxError::setup("private keys");
    std::thread::scope(|scope| {
        let share = |thread: usize| count / threads + usize::from(thread < count % threads);
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    let keys = (0..share(thread)).map(|_| Rsa::generate(KEY_BITS).and_then(PKey::from_rsa));
                    keys.collect::<Result<Vec<_>, _>>()
                })
            })
            .collect();
        let mut keys = Vec::with_capacity(count);
        for worker in workers {
            let made = worker.join().map_err(|_| SandboxError::setup("private keys")("a thread died"))?;
            keys.extend(made.map_err(&failed)?);
        }
        Ok(keys)
    })
}

/// Whether the certificate on disk need not be made anew.
fn is_good(folder: &Path, leaf: &Leaf, key: &PKey<Private>) -> bool {
    let Ok(pem) = std::fs::read(folder.join(format!("{}.pem", leaf.file))) else { return false };
    let Ok(certificate) = X509::from_pem(&pem) else { return false };
    if !certificate.public_key().is_ok_and(|public| public.public_eq(key)) {
        return false;
    }
    if leaf.request.validity == Validity::Expired {
        return true;
    }
    let soon = Asn1Time::days_from_now(RENEW_DAYS);
    soon.is_ok_and(|soon| certificate.not_after() > soon)
}

pub(crate) fn read_key(path: &Path) -> Result<PKey<Private>, SandboxError> {
    let pem = std::fs::read(path).map_err(SandboxError::file(path))?;
    PKey::private_key_from_pem(&pem).map_err(|e| SandboxError::damaged(path, &e))
}

/// Seconds since 1970.
pub(crate) fn seconds(instant: SystemTime) -> i64 {
    let since = instant.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use trust::SystemClock;

    fn ports(crl: u16) -> Ports {
        let operator = crate::OperatorPorts {
            imap: 1,
            submission: 2,
            imap_app: 3,
            submission_app: 4,
            autoconfig: 5,
            monitoring: 6,
        };
        Ports {
            network: [80, 1],
            dns: 1,
            psc: 1,
            white_list: 1,
            crl,
            directory: 1,
            stand: 1,
            desk: 1,
            relay: 1,
            operators: [operator; 2],
        }
    }

    #[test]
    fn kept_over_restarts_and_renewed_when_the_distribution_point_moves() {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::new(folder.path());
        layout.make().expect("folders");
        let first = Pki::open(&layout, &ports(4000), SystemClock::shared()).expect("made");
        let read = |name: &str| std::fs::read(layout.pki().join(name)).expect("written");
        let (ca, alpha, key) = (read("ca.pem"), read("alpha.pem"), read("alpha.key"));
        assert_eq!(X509::stack_from_pem(&ca).expect("PEM").len(), 2);
        for entry in std::fs::read_dir(layout.pki()).expect("a folder").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".key") {
                assert_eq!(entry.metadata().expect("there").permissions().mode() & 0o777, 0o600, "{name}");
            }
        }
        assert_eq!(first.operators[0].structure_id(), Some("1750000001"));

        Pki::open(&layout, &ports(4000), SystemClock::shared()).expect("read");
        assert_eq!(read("alpha.pem"), alpha);
        let moved = Pki::open(&layout, &ports(4001), SystemClock::shared()).expect("read");
        assert_ne!(read("alpha.pem"), alpha);
        assert_eq!((read("alpha.key"), read("ca.pem")), (key, ca));
        assert_eq!(moved.operators, first.operators);
    }
}
