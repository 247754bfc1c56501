//! What the scripted operator can do (`catalogue/scenarios.json`) and what is looked at (`catalogue/clients.json`): data, so that a new
//! misbehaviour or a case made of known ones needs no code.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

use super::step::Step;
use crate::catalogue::{Advice, Case, Mode};
use crate::context::Protocol;
use crate::verdict::Severity;

pub(crate) const SCENARIOS: &str = include_str!("../../catalogue/scenarios.json");
pub(crate) const CASES: &str = include_str!("../../catalogue/clients.json");

/// The certificate shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certificate {
    /// A good one.
    #[default]
    Nominal,
    /// Ended yesterday.
    Expire,
    /// Begins tomorrow.
    PasEncore,
    /// On the list of revoked certificates.
    Revoque,
    /// Of nobody.
    Autosigne,
    /// Of an authority with the same names and another key.
    AutreAutorite,
    /// Of another server.
    AutreNom,
}

/// What TLS is negotiated with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manner {
    /// TLS 1.2 with the six suites, and TLS 1.3.
    #[default]
    Normale,
    /// TLS 1.0 and 1.1 only.
    VersionsAnciennes,
    /// TLS 1.2 with suites outside the six only: RSA key exchange, CBC with SHA-1, and RC4 and 3DES when OpenSSL has them.
    SuitesHorsListe,
    /// TLS 1.2, DHE with a prime of 1024 bits.
    Dh1024,
}

/// What becomes of STARTTLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Starttls {
    /// Done.
    #[default]
    Normal,
    /// Not announced, not known; authentication is offered in clear.
    Absent,
    /// Announced, then refused; authentication is offered in clear.
    Refuse,
    /// Done, with answers in clear stuck behind the one that begins TLS.
    Injection,
}

/// How a client is greeted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Greeting {
    /// As it must be.
    #[default]
    Normal,
    /// IMAP: already authenticated, in clear.
    Preauth,
    /// 421, or BYE.
    Occupe,
}

/// An answer to an authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthAnswer {
    /// Yes.
    Accepte,
    /// A challenge that tells the error, then no.
    DefiPuisRefus,
    /// A challenge that tells the error, then the connection is closed.
    DefiPuisCoupure,
    /// No.
    Refus,
    /// Not now.
    Indisponible,
}

/// Where a session is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cut {
    /// After the greeting.
    ApresAccueil,
    /// After the handshake.
    ApresTls,
    /// After authentication.
    ApresAuth,
    /// In the middle of the answer to FETCH.
    PendantFetch,
    /// At DATA, before a message comes in.
    AvantData,
    /// While a message comes in; the software may have sent it all by then.
    PendantData,
    /// After the end of a message, before its answer.
    AvantReponse,
}

/// What the autoconfiguration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Autoconfig {
    /// A good document.
    #[default]
    Normale,
    /// Not well-formed, with names of servers in it.
    XmlInvalide,
    /// A redirection to another domain.
    Redirection,
    /// A server of a private network.
    Intranet,
    /// Servers by their IP address.
    LitteralIp,
    /// Servers without TLS.
    EnClair,
}

/// One way to behave, chosen by the local part of the BAL.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Local part: `expire` for `expire@…`.
    pub nom: String,
    /// For people.
    pub titre: String,
    /// The certificate.
    #[serde(default)]
    pub certificat: Certificate,
    /// Versions and suites.
    #[serde(default)]
    pub tls: Manner,
    /// STARTTLS.
    #[serde(default)]
    pub starttls: Starttls,
    /// The greeting.
    #[serde(default)]
    pub accueil: Greeting,
    /// Whether IMAP announces SASL-IR and takes an initial response.
    #[serde(default = "yes")]
    pub sasl_ir: bool,
    /// Answers to authentications, one after the other; the last one again and again.
    #[serde(default = "accepted")]
    pub auth: Vec<AuthAnswer>,
    /// Where sessions are cut.
    #[serde(default)]
    pub coupure: Option<Cut>,
    /// How many are.
    #[serde(default = "once")]
    pub coupures: u32,
    /// Seconds a session lasts.
    #[serde(default)]
    pub duree_session: Option<u64>,
    /// Milliseconds before each answer.
    #[serde(default)]
    pub lenteur_ms: u64,
    /// Largest message announced and taken, octets.
    #[serde(default)]
    pub taille_max: Option<u64>,
    /// Autoconfiguration.
    #[serde(default)]
    pub autoconfig: Autoconfig,
}

fn yes() -> bool {
    true
}

fn once() -> u32 {
    1
}

fn accepted() -> Vec<AuthAnswer> {
    vec![AuthAnswer::Accepte]
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The autoconfiguration was fetched and the servers it names were used.
    Autoconfiguration,
    /// No connection to the servers of a document that must not be believed.
    AucuneConnexion,
    /// What the ClientHello offers.
    Hello,
    /// Nothing secret was sent, and no command after it.
    AucunSecret,
    /// What was injected before TLS was not used.
    Injection,
    /// STARTTLS, XOAUTH2 of that BAL, commands: in that order, to the end.
    Sequence,
    /// The challenge that tells an error is answered by an empty line.
    LigneVide,
    /// An initial response only when it is announced, and to the end.
    ReponseInitiale,
    /// No more attempts than are decent.
    Retenue,
    /// What was asked for is done in spite of the trouble, without the user.
    Reprise,
    /// A message sent again is the same one, and never one that was taken.
    PasDeDouble,
    /// X-MSS-NIL.
    Nil,
    /// Message-ID, Date, From, MIME, UTF-8.
    EnTetes,
    /// X-MSS-CODECDA, X-MSS-INS, the subject, the archive, one patient.
    Documents,
    /// No X-MSS-CODECDA, no X-MSS-INS without a document.
    SansDocument,
    /// The limit that the server announces.
    Taille,
    /// The envelope and the header agree; no Bcc.
    Enveloppe,
    /// Over the whole campaign: no secret in clear, none to a server that is not to be trusted.
    SecretsDeLaCampagne,
}

/// A case about mail software, as the catalogue has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    titre: String,
    exigences: String,
    gravite: Severity,
    base: String,
    controle: Check,
    etape: Option<Step>,
    #[serde(default)]
    scenarios: Vec<String>,
    #[serde(default)]
    protocoles: Vec<Protocol>,
    #[serde(default)]
    tentatives_max: Option<u32>,
    attendu: String,
    preuve: String,
    pourquoi: String,
    que_faire: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: String,
    groupe: String,
    cas: Vec<Entry>,
}

/// A case about mail software.
#[derive(Debug, Clone)]
pub struct ClientCase {
    /// What every case has.
    pub case: Case,
    /// Why, and what to do.
    pub advice: Advice,
    /// What is looked at.
    pub check: Check,
    /// What the user of the software does; by protocol (IMAP: read, SMTP: send) when not said.
    pub step: Option<Step>,
    /// With which scenarios, each a variant.
    pub scenarios: Vec<String>,
    /// On which protocols, each a variant.
    pub protocols: Vec<Protocol>,
    /// For [`Check::Retenue`]: most attempts of one step.
    pub most_attempts: u32,
}

/// The cases about mail software.
#[derive(Debug)]
pub struct ClientCatalogue {
    /// Its version.
    pub version: String,
    /// What the group is about.
    pub group: String,
    /// The cases.
    pub cases: Vec<ClientCase>,
}

/// Attempts that are decent when a case does not say.
const DECENT: u32 = 8;

impl ClientCatalogue {
    /// The one of this program.
    #[must_use]
    pub fn embedded() -> &'static ClientCatalogue {
        static EMBEDDED: OnceLock<ClientCatalogue> = OnceLock::new();
        EMBEDDED.get_or_init(|| {
            // A test reads it: it cannot be damaged in a program that was built.
            let file: File = serde_json::from_str(CASES).expect("the catalogue of clients is tested");
            ClientCatalogue {
                version: file.version,
                group: file.groupe,
                cases: file.cas.into_iter().map(case).collect(),
            }
        })
    }

    /// A case by its id, upper or lower case.
    #[must_use]
    pub fn case(&self, id: &str) -> Option<&ClientCase> {
        self.cases.iter().find(|case| case.case.id.eq_ignore_ascii_case(id))
    }
}

fn case(entry: Entry) -> ClientCase {
    let steps = match (entry.etape, entry.scenarios.as_slice()) {
        (_, []) => "Observation de toute la campagne".to_owned(),
        (Some(step), names) => format!("{} avec {}", step.label(), names.join("@, ") + "@"),
        (None, names) => format!("Relever, envoyer avec {}", names.join("@, ") + "@"),
    };
    ClientCase {
        case: Case {
            id: entry.id,
            title: entry.titre,
            requirements: entry.exigences,
            steps,
            expected: entry.attendu,
            severity: entry.gravite,
            evidence: entry.preuve,
            mode: Mode::Assisted,
            prod: false,
            base: entry.base,
        },
        advice: Advice { pourquoi: entry.pourquoi, que_faire: entry.que_faire },
        check: entry.controle,
        step: entry.etape,
        scenarios: entry.scenarios,
        protocols: if entry.protocoles.is_empty() { Protocol::BOTH.to_vec() } else { entry.protocoles },
        most_attempts: entry.tentatives_max.unwrap_or(DECENT),
    }
}

/// The scenarios, in the order of the file.
#[must_use]
pub fn scenarios() -> &'static [Scenario] {
    static EMBEDDED: OnceLock<Vec<Scenario>> = OnceLock::new();
    // Tested, as the catalogue.
    EMBEDDED.get_or_init(|| serde_json::from_str(SCENARIOS).expect("the scenarios are tested"))
}

/// Their places by name.
pub(super) fn places() -> BTreeMap<&'static str, usize> {
    scenarios().iter().enumerate().map(|(at, scenario)| (scenario.nom.as_str(), at)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn scenarios_and_cases_hold_together() {
        let names = places();
        assert_eq!(names.len(), scenarios().len());
        assert_eq!(scenarios()[0].nom, "nominal");
        let catalogue = ClientCatalogue::embedded();
        let ids: BTreeSet<&str> = catalogue.cases.iter().map(|case| case.case.id.as_str()).collect();
        assert_eq!(ids.len(), catalogue.cases.len());
        let mut used = BTreeSet::from(["nominal"]);
        for case in &catalogue.cases {
            assert!(case.case.id.starts_with("CLI-"), "{}", case.case.id);
            assert_eq!(case.scenarios.is_empty(), case.check == Check::SecretsDeLaCampagne, "{}", case.case.id);
            for name in &case.scenarios {
                assert!(names.contains_key(name.as_str()), "{}: {name}", case.case.id);
                used.insert(name);
            }
            // A good practice alone blocks nobody until the regulator says so (control.md §5.6).
            assert!(!(case.case.base.contains("BP") && case.case.severity == Severity::Blocking), "{}", case.case.id);
        }
        assert_eq!(
            used.len(),
            names.len(),
            "a scenario that no case uses: {:?}",
            names.keys().filter(|name| !used.contains(*name))
        );
        for scenario in scenarios() {
            assert!(
                scenario.nom.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{}",
                scenario.nom
            );
            assert!(!scenario.auth.is_empty());
        }
    }
}
