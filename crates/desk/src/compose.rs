//! What a user writes and what the administrator provides, made one job.
//!
//! A *template* is a job file of the administrator, whole or in part: authorities, issuer and keys of the test space, the stand. A user's text
//! says who is controlled, where and with which BAL; it is laid over the template.
//!
//! Invariants (« Safety of the tool »):
//! * a user's text names no file and no service of this machine: only the keys of [`ALLOWED`] are taken from it;
//! * its addresses are public or in the ranges its operator declared, its ports usual or declared, its domains its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use control::job::{Job, JobError, Stand};
use control::stand;
use toml::{Table, Value};

use crate::domains::Bounds;
use crate::error::{Broken, Mistake};
use crate::software;

/// Longest text of a job: ten times what the longest needs.
pub const LONGEST: usize = 64 * 1024;
/// Sections and keys a user may set; a section stands for all in it.
const ALLOWED: &[&str] = &[
    "plan",
    "name",
    "operator",
    "api_lps.imap",
    "api_lps.smtp",
    "api_lps.autoconfig",
    "mailbox",
    "limits",
    "operator_interface.mx",
    "operator_interface.sender_must_match",
    "operator_interface.tls10_until",
    "certificates.imap",
    "certificates.smtp",
    "certificates.mailbox",
    "certificates.login",
    "certificates.revocation",
];
/// Ports of the trust space (control.md §5.8).
const PORTS: [u16; 6] = [25, 143, 443, 465, 587, 993];
/// The same of any other limit, in its unit: an hour, or some seconds.
const CEILING: i64 = 3600;
/// What a user may ask of the limits: above, one campaign would hold its place for days.
const CEILINGS: [(&str, i64); 4] =
    [("patience_seconds", 60), ("pause_milliseconds", 10_000), ("budget", 400), ("parallel", 16)];

/// A job file of the administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Stable, in addresses of pages.
    pub name: String,
    /// For people.
    pub title: String,
    /// Where it is; files it names are beside it.
    pub path: PathBuf,
    /// Only for the operator of this name.
    pub organisation: Option<String>,
}

impl Template {
    /// The stand that its campaigns drive, when it has one: by its table, made whole.
    ///
    /// # Errors
    /// [`Broken`]: the section `[stand]`.
    pub fn stand(&self, mut table: Table) -> Result<Option<stand::Client>, Broken> {
        let Some(section) = table.remove("stand") else { return Ok(None) };
        let wrong = |text: String| Broken::File(self.path.clone(), std::io::Error::other(text));
        let mut section: Stand =
            section.try_into().map_err(|error: toml::de::Error| wrong(error.message().to_owned()))?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        section.key_file = folder.join(&section.key_file);
        section.anchors = section.anchors.map(|anchors| folder.join(anchors));
        stand::Client::open(&section).map(Some).map_err(|error| wrong(error.to_string()))
    }

    /// Its text, parsed.
    ///
    /// # Errors
    /// [`Broken::File`]: it cannot be read, or is no TOML.
    pub fn table(&self) -> Result<Table, Broken> {
        let file = |error| Broken::File(self.path.clone(), error);
        let text = std::fs::read_to_string(&self.path).map_err(file)?;
        text.parse().map_err(|error: toml::de::Error| {
            file(std::io::Error::new(std::io::ErrorKind::InvalidData, error.message().to_owned()))
        })
    }
}

/// A user's text, and the keys that were in it and are the administrator's.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// What is kept of it.
    pub table: Table,
    /// The keys left out.
    pub left_out: Vec<String>,
}

/// Reads a user's text.
///
/// # Errors
/// What is wrong with it, with its line.
pub fn read(text: &str) -> Result<Written, Vec<Mistake>> {
    if text.len() > LONGEST {
        return Err(vec![Mistake::of("fichier", format!("Plus de {} ko : ce n'est pas un job.", LONGEST / 1024))]);
    }
    let whole: Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        vec![Mistake::of("fichier", format!("ligne {line} : {}", error.message()))]
    })?;
    let mut left_out = Vec::new();
    let allowed = if software::is_one(&whole) { software::ALLOWED } else { ALLOWED };
    let table = kept("", whole, allowed, &mut left_out);
    Ok(Written { table, left_out })
}

fn kept(prefix: &str, table: Table, allowed: &[&str], left_out: &mut Vec<String>) -> Table {
    let mut out = Table::new();
    for (key, value) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        if allowed.contains(&path.as_str()) {
            out.insert(key, value);
            continue;
        }
        let leads =
            allowed.iter().any(|allowed| allowed.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('.')));
        match value {
            Value::Table(inner) if leads => {
                let inner = kept(&path, inner, allowed, left_out);
                if !inner.is_empty() {
                    out.insert(key, Value::Table(inner));
                }
            }
            _ => left_out.push(path),
        }
    }
    out
}

/// Lays `over` on `base`.
fn laid(base: Table, over: Table) -> Table {
    let mut out = base;
    for (key, value) in over {
        let value = match (out.remove(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => Value::Table(laid(below, above)),
            (_, above) => above,
        };
        out.insert(key, value);
    }
    out
}

/// The job of a user's text on a template; `base` is the template's table.
///
/// # Errors
/// What is wrong, by key.
pub fn job(base: Table, template: &Path, written: &Table, bounds: &Bounds) -> Result<Job, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    check_limits(written, &mut mistakes);
    check_places(written, bounds, &mut mistakes);
    check_domains(written, bounds, &mut mistakes);
    let whole = laid(base, written.clone());
    let text = match toml::to_string(&whole) {
        Ok(text) => text,
        Err(error) => return Err(vec![Mistake::of("fichier", error.to_string())]),
    };
    match Job::parse(&text, template) {
        Ok(job) if mistakes.is_empty() => Ok(job),
        Ok(_) => Err(mistakes),
        Err(error) => {
            // Lines are those of the whole, which nobody wrote: the reason alone is told.
            let reason = match error {
                JobError::Syntax { error, .. } => error.message().to_owned(),
                other => other.to_string(),
            };
            mistakes.push(Mistake::of("fichier", reason));
            Err(mistakes)
        }
    }
}

fn check_limits(written: &Table, mistakes: &mut Vec<Mistake>) {
    let Some(Value::Table(limits)) = written.get("limits") else { return };
    for (key, value) in limits {
        let most = CEILINGS.iter().find(|(known, _)| known == key).map_or(CEILING, |(_, most)| *most);
        if value.as_integer().is_some_and(|asked| asked > most || asked < 0) {
            mistakes.push(Mistake::of(format!("limits.{key}"), format!("De 0 à {most}.")));
        }
    }
}

/// Every text that is an address and a port is one that may be connected to.
fn check_places(written: &Table, bounds: &Bounds, mistakes: &mut Vec<Mistake>) {
    fn walk(path: &str, value: &Value, bounds: &Bounds, mistakes: &mut Vec<Mistake>) {
        match value {
            Value::String(text) => {
                if let Ok(place) = text.parse::<SocketAddr>() {
                    mistakes.extend(check_place(path, place, bounds));
                }
            }
            Value::Array(values) => values.iter().for_each(|value| walk(path, value, bounds, mistakes)),
            Value::Table(table) => {
                for (key, value) in table {
                    walk(&format!("{path}.{key}"), value, bounds, mistakes);
                }
            }
            _ => {}
        }
    }
    for (key, value) in written {
        walk(key, value, bounds, mistakes);
    }
}

/// Why a place may not be connected to.
#[must_use]
pub fn check_place(field: &str, place: SocketAddr, bounds: &Bounds) -> Option<Mistake> {
    if !bounds.has_address(place.ip()) {
        let why = match bounds.is_proof_asked() {
            false => {
                "n'est ni une adresse publique ni dans les plages déclarées de votre organisation : demandez à l'administrateur de la déclarer."
            }
            true => {
                "n'est pas l'adresse que le DNS donne à ce serveur, sous un domaine de votre organisation : prouvez le domaine (page « Domaines »), \
                 publiez l'adresse, ou demandez à l'administrateur de déclarer la plage."
            }
        };
        return Some(Mistake::of(field, format!("{} {why}", place.ip())));
    }
    if !PORTS.contains(&place.port()) && !bounds.reach.ports.contains(&place.port()) {
        let text = format!(
            "Le port {} n'est ni usuel (25, 143, 443, 465, 587, 993) ni déclaré par votre organisation.",
            place.port()
        );
        return Some(Mistake::of(field, text));
    }
    None
}

fn check_domains(written: &Table, bounds: &Bounds, mistakes: &mut Vec<Mistake>) {
    let text = |section: &str, key: &str| {
        written.get(section).and_then(|section| section.get(key)).and_then(Value::as_str).map(str::to_owned)
    };
    let mut check = |field: &str, domain: &str| {
        let domain = domain.trim_end_matches('.').to_ascii_lowercase();
        if !bounds.reach.domains.contains(&domain) {
            let what = match bounds.is_proof_asked() {
                false => "",
                true => " ni prouvé : publiez son enregistrement DNS (page « Domaines »)",
            };
            let text = format!("Le domaine « {domain} » n'est pas déclaré pour votre organisation{what}.");
            mistakes.push(Mistake::of(field, text));
        }
    };
    let domains = written.get("operator").and_then(|operator| operator.get("domains")).and_then(Value::as_array);
    for domain in domains.into_iter().flatten().filter_map(Value::as_str) {
        check("operator.domains", domain);
    }
    for (section, key) in [("mailbox", "address"), ("mailbox", "other_address"), ("certificates", "mailbox")] {
        if let Some(address) = text(section, key) {
            check(&format!("{section}.{key}"), address.rsplit_once('@').map_or("", |(_, domain)| domain));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Reach;

    const BASE: &str = r#"
        [trust]
        anchors = "ca.pem"
        [psc]
        issuer = "https://psc.test"
        key = "psc.key"
        kid = "k"
    "#;
    const WRITTEN: &str = r#"
        plan = "api-lps"
        [operator]
        name = "O"
        domains = ["a.test"]
        [api_lps]
        imap = { address = "10.0.0.1:143", name = "lps.a.test" }
        smtp = { address = "10.0.0.1:587", name = "lps.a.test" }
    "#;

    fn reach() -> Bounds {
        Bounds::open(Reach {
            domains: vec!["a.test".into()],
            ranges: vec!["10.0.0.0/24".parse().expect("a range")],
            ports: vec![],
        })
    }

    fn composed(text: &str) -> Result<Job, Vec<String>> {
        let written = read(text).map_err(|wrong| wrong.into_iter().map(|w| w.field).collect::<Vec<_>>())?;
        job(BASE.parse().expect("TOML"), Path::new("/t/base.toml"), &written.table, &reach())
            .map_err(|wrong| wrong.into_iter().map(|w| w.field).collect())
    }

    #[test]
    fn a_users_text_on_a_template() {
        let job = composed(WRITTEN).expect("a job");
        assert_eq!(job.trust.anchors.as_deref(), Some(Path::new("/t/ca.pem")));
        assert_eq!(job.operator.domains, ["a.test"]);
    }

    #[test]
    fn files_and_services_are_the_administrators() {
        let text = format!(
            "{WRITTEN}\nprivate_addresses = true\n[trust]\nanchors = \"/etc/passwd\"\ncrl = [\"http://169.254.169.254/\"]\n\
             [psc]\nissuer = \"x\"\nkey = \"/etc/shadow\"\nkid = \"y\"\n[stand]\nurl = \"https://x\"\n"
        );
        let written = read(&text).expect("TOML");
        assert_eq!(written.left_out, ["api_lps.private_addresses", "psc", "stand", "trust"]);
        let job = composed(&text).expect("a job");
        assert_eq!(job.trust.anchors.as_deref(), Some(Path::new("/t/ca.pem")));
        assert!(!job.api_lps.private_addresses && job.trust.crl.is_empty());
    }

    #[test]
    fn places_and_domains_are_the_operators() {
        let changed = |from: &str, to: &str| composed(&WRITTEN.replace(from, to)).map(drop);
        let wrong = |field: &str| Err(vec![field.to_owned()]);
        assert_eq!(changed("10.0.0.1:143", "10.0.1.1:143"), wrong("api_lps.imap.address"));
        assert_eq!(changed("10.0.0.1:143", "127.0.0.1:143"), wrong("api_lps.imap.address"));
        assert_eq!(changed("10.0.0.1:143", "[::ffff:127.0.0.1]:143"), wrong("api_lps.imap.address"));
        assert_eq!(changed("10.0.0.1:143", "10.0.0.1:22"), wrong("api_lps.imap.address"));
        assert_eq!(changed("10.0.0.1:143", "91.198.174.192:143"), Ok(()));
        assert_eq!(changed("[\"a.test\"]", "[\"A.TEST.\"]"), Ok(()));
        assert_eq!(changed("[\"a.test\"]", "[\"b.test\"]"), wrong("operator.domains"));
        assert_eq!(changed("[\"a.test\"]", "[\"x.a.test\"]"), wrong("operator.domains"));
        assert_eq!(
            composed(&format!("{WRITTEN}\n[mailbox]\naddress = \"x@b.test\"\nidnat = \"1\"\nother_address = \"y@a.test\"\nother_idnat = \"2\""))
                .map(drop),
            wrong("mailbox.address")
        );
        assert_eq!(composed(&format!("{WRITTEN}\n[limits]\nbudget = 100000")).map(drop), wrong("limits.budget"));
        assert_eq!(changed("plan = \"api-lps\"", "plan = \"x\""), wrong("fichier"));
        assert_eq!(changed("plan", "=plan"), wrong("fichier"));
    }
}
