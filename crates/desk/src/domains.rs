//! Proving that a domain is one's own: a token of this operator and this domain, published in its DNS. control.md §5.8.
//!
//! Invariants, where [`Settings::proof`](crate::Settings::proof) is set:
//! * a campaign names only domains that the administrator declared for its operator, or whose proof stands;
//! * it connects to ranges the administrator declared, or to public addresses that the DNS gives, now, to a server under such a domain: a name of
//!   one's own that points to somebody else's server is the only thing left, and every domain's name service is asked, not the user;
//! * a proof stands for [`LIFE`] after it was last seen; it is looked for again every [`AGAIN`]. A name service that does not answer proves nothing
//!   and ends nothing; an alias (CNAME) is not followed: it would let whoever is at its end prove the domain.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use control::names::{NameError, Names};
use tokio::time::timeout;
use toml::{Table, Value};

use crate::Desk;
use crate::account::role::Role;
use crate::account::secret;
use crate::acts::Who;
use crate::db::{self, Domain, Organisation, OrganisationId, Reach, Scope};
use crate::error::{Broken, Mistake, Refusal};

/// What stands before the domain.
pub const LABEL: &str = "_vaguemestre-controle";
/// How long a proof stands after it was last seen, in seconds: thirty days.
pub const LIFE: i64 = 30 * 86_400;
/// How often it is looked for again, in seconds: a day.
const AGAIN: i64 = 86_400;
/// How often it is seen whether one is due.
const TURN: Duration = Duration::from_secs(3600);
/// Longest wait for the name service.
const LOOKUP: Duration = Duration::from_secs(10);
/// Servers of a job whose names are asked for.
const MOST_SERVERS: usize = 20;

/// How domains are proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// Who is asked for names; the machine's own name service when none.
    pub resolver: Option<SocketAddr>,
}

impl Proof {
    pub(crate) fn names(&self) -> Result<Names, NameError> {
        Names::new(self.resolver)
    }
}

/// A domain name as it is kept; none for any other text.
#[must_use]
pub fn read(text: &str) -> Option<String> {
    let text = text.trim_end_matches('.');
    let is_label =
        |label: &str| (1..=63).contains(&label.len()) && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let is_name = text.len() <= 253 && text.contains('.') && text.split('.').all(is_label);
    is_name.then(|| text.to_ascii_lowercase())
}

/// What the name service says of a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The token is published.
    Proven,
    /// Nothing is.
    Absent,
    /// Something is, and not the token.
    Other,
    /// It stands for another name.
    Alias,
    /// It does not answer.
    Unknown,
}

impl Finding {
    const ALL: [Finding; 5] = [Finding::Proven, Finding::Absent, Finding::Other, Finding::Alias, Finding::Unknown];

    /// Stable.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Finding::Proven => "prouve",
            Finding::Absent => "absent",
            Finding::Other => "autre_valeur",
            Finding::Alias => "alias",
            Finding::Unknown => "sans_reponse",
        }
    }

    /// From its code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Finding> {
        Finding::ALL.into_iter().find(|one| one.code() == code)
    }

    /// What it means, and what to do.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Finding::Proven => "enregistrement trouvé",
            Finding::Absent => {
                "aucun enregistrement TXT à ce nom : publiez-le, puis vérifiez (le DNS peut mettre une heure à le montrer)"
            }
            Finding::Other => {
                "un enregistrement TXT s'y trouve, avec une autre valeur : chaque opérateur a la sienne pour chaque domaine"
            }
            Finding::Alias => {
                "ce nom renvoie à un autre (CNAME), qui n'est pas suivi : publiez un enregistrement TXT au nom même"
            }
            Finding::Unknown => "le DNS de ce domaine ne répond pas : réessayez plus tard",
        }
    }
}

impl Domain {
    /// Until when its proof stands.
    #[must_use]
    pub fn until(&self) -> Option<i64> {
        self.proven.map(|at| at + LIFE)
    }

    /// Whether it stands.
    #[must_use]
    pub fn stands(&self, now: i64) -> bool {
        self.until().is_some_and(|until| now < until)
    }

    /// The name of the record.
    #[must_use]
    pub fn record(&self) -> String {
        format!("{LABEL}.{}", self.name)
    }
}

/// Looks for the proof of a domain.
async fn look(names: &Names, domain: &Domain) -> Finding {
    match timeout(LOOKUP, names.texts(&domain.record())).await {
        Ok(Ok(texts)) => {
            let is_ours = |text: &String| secret::same(text.trim().as_bytes(), domain.token.as_bytes());
            if texts.iter().any(is_ours) { Finding::Proven } else { Finding::Other }
        }
        Ok(Err(NameError::Absent(_))) => Finding::Absent,
        Ok(Err(NameError::Alias(_))) => Finding::Alias,
        Ok(Err(_)) | Err(_) => Finding::Unknown,
    }
}

/// Where one job may go.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// What was declared, with the domains that are proven.
    pub reach: Reach,
    /// What the DNS gives to the servers under these domains; none: public addresses are open.
    named: Option<Vec<IpAddr>>,
}

impl Bounds {
    /// Public addresses are open.
    #[must_use]
    pub fn open(reach: Reach) -> Bounds {
        Bounds { reach, named: None }
    }

    /// Whether an address may be connected to.
    #[must_use]
    pub fn has_address(&self, ip: IpAddr) -> bool {
        match &self.named {
            None => self.reach.has_address(ip),
            // A name that leads to a private address opens nothing: somebody's own name service says what it likes.
            Some(named) => self.reach.is_declared(ip) || (control::reach::is_public(ip) && named.contains(&ip)),
        }
    }

    /// Whether domains and addresses must be proven.
    #[must_use]
    pub fn is_proof_asked(&self) -> bool {
        self.named.is_some()
    }
}

/// Whether a host is a domain of these, or below one.
fn is_under(host: &str, domains: &[String]) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    domains
        .iter()
        .any(|domain| host == *domain || host.strip_suffix(domain.as_str()).is_some_and(|left| left.ends_with('.')))
}

/// The names of the servers of a job.
fn servers(table: &Table) -> Vec<String> {
    fn walk(value: &Value, out: &mut Vec<String>) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| walk(value, out)),
            Value::Table(table) => {
                if let (Some(name), true) = (table.get("name").and_then(Value::as_str), table.contains_key("address")) {
                    out.push(name.to_owned());
                }
                table.values().for_each(|value| walk(value, out));
            }
            _ => {}
        }
    }
    let mut out = Vec::new();
    table.values().for_each(|value| walk(value, &mut out));
    let has_autoconfig = table.get("api_lps").and_then(|section| section.get("autoconfig")).is_some();
    let domains = table.get("operator").and_then(|section| section.get("domains")).and_then(Value::as_array);
    if let (true, Some(domains)) = (has_autoconfig, domains) {
        out.extend(domains.iter().filter_map(Value::as_str).map(|domain| format!("autoconfig.{domain}")));
    }
    out.sort();
    out.dedup();
    out.truncate(MOST_SERVERS);
    out
}

impl Desk {
    /// An operator with the domains it proved among its declared ones.
    pub(crate) async fn with_proven(&self, mut operator: Organisation) -> Result<Organisation, Broken> {
        if self.settings().proof.is_some() {
            let now = self.now();
            let asked = self.db().domains(Scope::Of(operator.id)).await?;
            operator.reach.domains.extend(asked.into_iter().filter(|one| one.stands(now)).map(|one| one.name));
        }
        Ok(operator)
    }

    /// Where a job of an operator may go, by what it names.
    pub(crate) async fn bounds(&self, operator: &Organisation, written: &Table) -> Result<Bounds, Broken> {
        let reach = self.with_proven(operator.clone()).await?.reach;
        let Some(names) = &self.0.names else { return Ok(Bounds::open(reach)) };
        let mut named = Vec::new();
        for host in servers(written).iter().filter(|host| is_under(host, &reach.domains)) {
            // Who does not answer gives no address.
            if let Ok(Ok(found)) = timeout(LOOKUP, names.addresses(host)).await {
                named.extend(found);
            }
        }
        Ok(Bounds { reach, named: Some(named) })
    }

    /// Their operator, when it proves its domains here and they may do that for it.
    fn prover(&self, who: &Who) -> Result<OrganisationId, Refusal> {
        who.must(Role::may_write)?;
        if self.settings().proof.is_none() {
            return Err(Refusal::Conflict(
                "Ici les domaines sont déclarés par l'administrateur : rien n'est à prouver.",
            ));
        }
        who.organisation.ok_or(Refusal::Forbidden)
    }

    /// Notes that an operator says a domain is its own.
    pub(crate) async fn ask_domain(&self, who: &Who, text: &str) -> Result<Domain, Refusal> {
        let whose = self.prover(who)?;
        let name = read(text.trim())
            .ok_or_else(|| Refusal::Invalid(vec![Mistake::of("domaine", "Un nom de domaine : exemple.mssante.fr")]))?;
        if !self.db().ask_domain(whose, &name, &secret::word()?, self.now()).await? {
            return Err(Refusal::Conflict("Trop de domaines : retirez-en."));
        }
        self.db().note(self.now(), Some(whose), &who.name, format!("domaine à prouver : {name}")).await?;
        self.db().domain(whose, &name).await?.ok_or(Refusal::NotFound)
    }

    /// Looks for the proof of a domain now.
    pub(crate) async fn check_domain(&self, who: &Who, name: &str) -> Result<(Domain, Finding), Refusal> {
        let whose = self.prover(who)?;
        let domain = self.db().domain(whose, name).await?.ok_or(Refusal::NotFound)?;
        let Ok(_place) = self.0.checking.try_acquire() else {
            return Err(Refusal::Conflict("Trop de vérifications en même temps : réessayez dans une minute."));
        };
        let finding = self.look_for(&domain).await?;
        let what = format!("domaine vérifié : {name}, {}", finding.code());
        self.db().note(self.now(), Some(whose), &who.name, what).await?;
        Ok((self.db().domain(whose, name).await?.ok_or(Refusal::NotFound)?, finding))
    }

    async fn look_for(&self, domain: &Domain) -> Result<Finding, Broken> {
        let finding = match &self.0.names {
            Some(names) => look(names, domain).await,
            None => Finding::Unknown,
        };
        self.db().checked_domain(domain, finding == Finding::Proven, finding.code(), self.now()).await?;
        Ok(finding)
    }

    /// Forgets a domain.
    pub(crate) async fn drop_domain(&self, who: &Who, name: &str) -> Result<(), Refusal> {
        let whose = self.prover(who)?;
        if !self.db().drop_domain(whose, name).await? {
            return Err(Refusal::NotFound);
        }
        self.db().note(self.now(), Some(whose), &who.name, format!("domaine retiré : {name}")).await?;
        Ok(())
    }

    /// Looks for the proofs again as they are due, until the shutdown.
    pub(crate) async fn watch_domains(self) {
        while self.0.names.is_some() {
            if let Err(error) = self.look_again().await {
                tracing::warn!("proofs of domains cannot be looked for: {error}");
            }
            tokio::select! {
                () = tokio::time::sleep(TURN) => {}
                () = self.0.shutdown.cancelled() => break,
            }
        }
    }

    /// Looks for those that are due. One that was never seen is its operator's to ask for.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn look_again(&self) -> Result<(), Broken> {
        let now = self.now();
        let due = |one: &Domain| one.stands(now) && one.checked.is_none_or(|at| now - at >= AGAIN);
        for domain in self.db().domains(Scope::All).await?.iter().filter(|one| due(one)) {
            self.look_for(domain).await?;
        }
        Ok(())
    }
}

/// Most domains of one operator.
pub const MOST: i64 = db::MOST_DOMAINS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_what_is_under_them() {
        assert_eq!(read("Alpha.MSSante.fr.").as_deref(), Some("alpha.mssante.fr"));
        for wrong in ["", "fr", "a..fr", "a b.fr", "*.fr", "é.fr", &format!("{}.fr", "a".repeat(64))] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        let domains = ["alpha.test".to_owned()];
        assert!(is_under("LPS.Alpha.test.", &domains) && is_under("alpha.test", &domains));
        assert!(
            !is_under("xalpha.test", &domains)
                && !is_under("alpha.test.evil.fr", &domains)
                && !is_under("test", &domains)
        );
    }

    #[test]
    fn the_servers_of_a_job() {
        let table: Table = "[operator]\ndomains = [\"a.test\"]\n[api_lps]\nautoconfig = \"1.2.3.4:443\"\nimap = { address = \"1.2.3.4:143\", name = \"i.a.test\" }\n\
            [operator_interface]\nmx = [{ address = \"1.2.3.5:25\", name = \"mx.a.test\" }]\n"
            .parse()
            .expect("TOML");
        assert_eq!(servers(&table), ["autoconfig.a.test", "i.a.test", "mx.a.test"]);
    }

    #[test]
    fn a_proof_ends() {
        let domain = Domain {
            organisation: OrganisationId(1),
            name: "a.test".to_owned(),
            token: "t".to_owned(),
            asked: 0,
            checked: None,
            proven: Some(1000),
            finding: String::new(),
        };
        assert!(domain.stands(1000 + LIFE - 1) && !domain.stands(1000 + LIFE));
        assert!(!Domain { proven: None, ..domain }.stands(0));
    }
}
