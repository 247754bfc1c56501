//! Checks that the types of the configuration cannot make: files that exist, keys that match, sane numbers.

use std::path::Path;

use openssl::pkey::PKey;
use openssl::x509::X509;
use toml::Spanned;

use super::{Config, Problem};

/// The smallest message size an operator can decently announce: a CDA with its PDF.
const LEAST_MESSAGE: u64 = 1024 * 1024;
/// The largest: the structure scanner and the queue are tested up to it.
const MOST_MESSAGE: u64 = 256 * 1024 * 1024;
/// LPS-TOKEN.
const MOST_SKEW: u64 = 60;
/// RFC 3501 §5.4, LPS-SESSION.
const LEAST_IMAP_IDLE: u64 = 30;

/// Collects problems with the place they are at.
struct Checker<'a> {
    file: &'a Path,
    text: &'a str,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn say<T>(&mut self, at: &Spanned<T>, what: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Problem::at(self.file, self.text, at.span(), what, remedy));
    }

    fn within(&mut self, at: &Spanned<u64>, name: &str, range: std::ops::RangeInclusive<u64>) {
        if !range.contains(at.get_ref()) {
            let (least, most) = (range.start(), range.end());
            self.say(at, format!("{name} is {}", at.get_ref()), format!("give a number from {least} to {most}"));
        }
    }

    fn pem_certificates(&mut self, at: &Spanned<std::path::PathBuf>) -> Vec<X509> {
        let path = at.get_ref();
        let read = std::fs::read(path).map_err(|e| e.to_string());
        match read.and_then(|pem| X509::stack_from_pem(&pem).map_err(|_| "it holds no PEM certificate".to_owned())) {
            Ok(certificates) if !certificates.is_empty() => certificates,
            Ok(_) => {
                self.say(
                    at,
                    format!("{} holds no PEM certificate", path.display()),
                    "give a file with -----BEGIN CERTIFICATE-----",
                );
                Vec::new()
            }
            Err(e) => {
                self.say(
                    at,
                    format!("{}: {e}", path.display()),
                    "give the path of a PEM certificate file that this user may read",
                );
                Vec::new()
            }
        }
    }

    fn secret_file(&mut self, at: &Spanned<std::path::PathBuf>) -> Option<Vec<u8>> {
        use std::os::unix::fs::PermissionsExt;
        let path = at.get_ref();
        match std::fs::metadata(path).and_then(|m| std::fs::read(path).map(|data| (m, data))) {
            Ok((metadata, data)) => {
                if metadata.permissions().mode() & 0o007 != 0 {
                    self.say(
                        at,
                        format!("{} is readable by everyone", path.display()),
                        format!("chmod 600 {}", path.display()),
                    );
                }
                Some(data)
            }
            Err(e) => {
                self.say(at, format!("{}: {e}", path.display()), "give the path of a file that this user may read");
                None
            }
        }
    }
}

/// Every problem found.
pub(super) fn check(config: &Config, file: &Path, text: &str) -> Vec<Problem> {
    let mut c = Checker { file, text, problems: Vec::new() };

    if config.domains().is_empty() {
        c.say(&config.operator.domains, "no domain", "list at least one mail domain of the operator");
    }
    if let Some(postmaster) = &config.operator.postmaster
        && !config.domains().contains(postmaster.get_ref().domain())
    {
        c.say(
            postmaster,
            "not an address of this operator",
            "give the address of a mailbox in one of the domains above",
        );
    }
    let chain = c.pem_certificates(&config.tls.certificate);
    let key = c.secret_file(&config.tls.key).and_then(|pem| match PKey::private_key_from_pem(&pem) {
        Ok(key) => Some(key),
        Err(_) => {
            c.say(&config.tls.key, "not a PEM private key", "give the key without a pass phrase, in PEM");
            None
        }
    });
    if let (Some(leaf), Some(key)) = (chain.first(), key)
        && !leaf.public_key().is_ok_and(|public| public.public_eq(&key))
    {
        c.say(
            &config.tls.key,
            "the key is not the certificate's",
            "give the key the first certificate of the file was made for",
        );
    }
    if let Some(at) = &config.store.key_file
        && let Err(error) = store::keys::MasterKey::from_file(at.get_ref())
    {
        c.say(at, error.to_string(), "make one: (umask 077; openssl rand -hex 32 > FILE), and keep a copy apart");
    }
    if let (Some(_), Some(at)) = (&config.store.key_file, &config.store.key_env) {
        c.say(at, "two master keys", "give key_file or key_env");
    }
    c.pem_certificates(&config.trust.anchors);
    c.pem_certificates(&config.psc.anchors);
    if config.trust.crl.is_empty() && config.trust.revocation == super::Revocation::Required {
        c.say(
            &config.trust.anchors,
            "no revocation list is named, and revocation = \"required\": every peer would be refused",
            "list the CRL of each authority in [trust] crl, e.g. http://igc-sante.esante.gouv.fr/CRL/ACI-EL-ORG.crl",
        );
    }
    for source in &config.trust.crl {
        let value = source.get_ref();
        let is_url = value.contains("://");
        if is_url && !value.starts_with("http://") && !value.starts_with("https://") {
            c.say(source, format!("{value}: not an http address"), "give http://… or the path of a file");
        } else if !is_url && !Path::new(value).exists() {
            c.say(source, format!("{value}: no such file"), "give http://… or the path of a file");
        }
    }
    if let Err(e) = config.white_list.signer.get_ref().parse::<trust::dn::Dn>() {
        c.say(
            &config.white_list.signer,
            format!("not a distinguished name: {e}"),
            "write it as CN=…,OU=…,O=…,ST=…,C=FR",
        );
    }
    for (name, url) in [("white_list.url", &config.white_list.url), ("psc.jwks_uri", &config.psc.jwks_uri)] {
        if url.get_ref().scheme() != "https" {
            c.say(url, format!("{name} is not https"), "give an https:// address");
        }
    }
    c.within(&config.white_list.refresh_minutes, "white_list.refresh_minutes", 1..=1440);
    c.within(&config.psc.skew_seconds, "psc.skew_seconds", 0..=MOST_SKEW);
    c.within(&config.psc.keys_retry_seconds, "psc.keys_retry_seconds", 1..=psc::RETRY_AFTER.as_secs());
    if let Some(introspection) = &config.psc.introspection {
        c.secret_file(&introspection.client_secret_file);
        if introspection.url.get_ref().scheme() != "https" {
            c.say(&introspection.url, "psc.introspection.url is not https", "give an https:// address");
        }
    }
    if let Some(until) = &config.tls.tls10_tolerated_until
        && parse_day(until.get_ref()).is_none()
    {
        c.say(until, format!("{}: not a day", until.get_ref()), "write it as 2026-12-31");
    }
    c.within(&config.relay.first_retry_seconds, "relay.first_retry_seconds", 1..=3600);
    c.within(&config.relay.expire_hours, "relay.expire_hours", 1..=240);
    if *config.relay.connections_per_domain.get_ref() == 0 {
        c.say(&config.relay.connections_per_domain, "relay.connections_per_domain is 0", "give at least 1");
    }
    c.within(&config.limits.message_octets, "limits.message_octets", LEAST_MESSAGE..=MOST_MESSAGE);
    c.within(&config.sessions.imap_recheck_seconds, "sessions.imap_recheck_seconds", 1..=3600);
    c.within(&config.sessions.imap_idle_minutes, "sessions.imap_idle_minutes", LEAST_IMAP_IDLE..=1440);
    c.within(&config.stop.shutdown_grace_seconds, "stop.shutdown_grace_seconds", 0..=600);
    c.problems
}

/// A day `YYYY-MM-DD` as the moment it ends.
pub(crate) fn parse_day(text: &str) -> Option<time::OffsetDateTime> {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    let day = time::Date::parse(text, &format).ok()?;
    Some(day.next_day()?.midnight().assume_utc())
}
