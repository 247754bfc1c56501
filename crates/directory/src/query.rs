//! Who is looked for. Every criterion is optional, those given are combined by *and*; case and accents do not matter, a word is
//! found by its beginning.

use std::str::FromStr;

use mssante::{Address, MailboxKind};
use serde::{Deserialize, Serialize};

use crate::entry::{Coded, Entry, Site};
use crate::fold::{all_begin, city_words, words};

/// Most entries a search gives: nobody reads more, and an answer stays small.
pub const MAX_LIMIT: usize = 1_000;
/// What a search gives when nothing is said.
pub const DEFAULT_LIMIT: usize = 50;
/// Longest criterion, in octets: the longest *raison sociale* is far below.
const MAX_TEXT: usize = 200;

/// Why a query cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// No criterion at all.
    #[error("nothing is looked for: give a name, a place, a structure, a profession, an RPPS number or an address")]
    Empty,
    /// A criterion without a letter or digit.
    #[error("the {0} holds no letter and no digit")]
    Wordless(&'static str),
    /// A criterion longer than any value.
    #[error("the {0} is too long (200 characters at most)")]
    Long(&'static str),
    /// Not an RPPS number.
    #[error("an RPPS number has 11 digits (12 with the 8 before it)")]
    Rpps,
}

/// Where.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Place {
    /// Five digits.
    PostalCode(String),
    /// `42`, `2A`, `974`.
    Department(String),
    /// A commune, or its beginning.
    City(String),
}

impl FromStr for Place {
    type Err = std::convert::Infallible;

    /// `42000` is a postal code; `42`, `2a`, `974` a *département*; anything else a commune.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let corsica = text.eq_ignore_ascii_case("2a") || text.eq_ignore_ascii_case("2b");
        Ok(match text.len() {
            5 if digits => Place::PostalCode(text.to_owned()),
            3 if digits && (text.starts_with("97") || text.starts_with("98")) => Place::Department(text.to_owned()),
            2 if digits || corsica => Place::Department(text.to_ascii_uppercase()),
            1 if digits => Place::Department(format!("0{text}")),
            _ => Place::City(text.to_owned()),
        })
    }
}

/// Which structure.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StructureSought {
    /// Words of its name, its sign or a service.
    Name(String),
    /// FINESS (9 characters) or SIRET (14 digits), with or without the type digit before it.
    Id(String),
}

impl FromStr for StructureSought {
    type Err = std::convert::Infallible;

    /// What has the form of a FINESS or SIRET is one, anything else a name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_uppercase();
        let numeric = compact
            .bytes()
            .enumerate()
            .all(|(at, b)| b.is_ascii_digit() || (matches!(b, b'A' | b'B') && matches!(at, 1 | 2)));
        Ok(match compact.len() {
            9 | 10 | 14 | 15 if numeric => StructureSought::Id(compact),
            _ => StructureSought::Name(text.to_owned()),
        })
    }
}

/// Who is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Query {
    /// Name under which somebody practises.
    pub name: Option<String>,
    /// First name.
    pub given: Option<String>,
    /// Profession: code of TRE_G15 (`10`) or words of its label.
    pub profession: Option<String>,
    /// Speciality: code of TRE_R38 (`SM04`) or words of its label.
    pub speciality: Option<String>,
    /// Place.
    pub place: Option<Place>,
    /// Structure.
    pub structure: Option<StructureSought>,
    /// RPPS number, 11 digits, or the national identifier.
    pub rpps: Option<String>,
    /// An address, or its beginning. A mailbox on the *liste rouge* is found by its whole address only.
    pub address: Option<String>,
    /// Kinds of mailboxes; every kind when empty.
    pub kinds: Vec<MailboxKind>,
    /// Most entries wanted, at most [`MAX_LIMIT`].
    pub limit: usize,
}

impl Default for Query {
    fn default() -> Self {
        Query {
            name: None,
            given: None,
            profession: None,
            speciality: None,
            place: None,
            structure: None,
            rpps: None,
            address: None,
            kinds: Vec::new(),
            limit: DEFAULT_LIMIT,
        }
    }
}

impl Query {
    /// Somebody by name.
    #[must_use]
    pub fn by_name(name: impl Into<String>) -> Query {
        Query { name: Some(name.into()), ..Query::default() }
    }

    /// A mailbox by its address.
    #[must_use]
    pub fn by_address(address: &Address) -> Query {
        Query { address: Some(address.to_string()), ..Query::default() }
    }

    /// How many entries are given.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.clamp(1, MAX_LIMIT)
    }

    /// Which criteria are given, by name: what a trace may say of a query, since it names nobody.
    #[must_use]
    pub fn criteria(&self) -> Vec<&'static str> {
        [
            ("name", self.name.is_some()),
            ("given", self.given.is_some()),
            ("profession", self.profession.is_some()),
            ("speciality", self.speciality.is_some()),
            ("place", self.place.is_some()),
            ("structure", self.structure.is_some()),
            ("rpps", self.rpps.is_some()),
            ("address", self.address.is_some()),
            ("kind", !self.kinds.is_empty()),
        ]
        .into_iter()
        .filter_map(|(name, given)| given.then_some(name))
        .collect()
    }

    /// Whether it can be asked.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn check(&self) -> Result<(), QueryError> {
        self.sought().map(|_| ())
    }

    /// Whether an entry is what is looked for. A mailbox on the *liste rouge* is for whoever gives its exact address only.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        self.sought().is_ok_and(|sought| sought.matches(entry))
    }

    /// The query as it is compared: folded once.
    pub(crate) fn sought(&self) -> Result<Sought, QueryError> {
        let texts = |what: &'static str, text: &Option<String>| -> Result<Vec<String>, QueryError> {
            let Some(text) = text else { return Ok(Vec::new()) };
            bounded(what, text)?;
            some(what, words(text))
        };
        let place = match &self.place {
            None => None,
            Some(Place::PostalCode(code)) => Some(SoughtPlace::PostalCode(compact("postal code", code)?)),
            Some(Place::Department(code)) => Some(SoughtPlace::Department(compact("département", code)?)),
            Some(Place::City(name)) => {
                bounded("city", name)?;
                Some(SoughtPlace::City(some("city", city_words(name))?))
            }
        };
        let structure = match &self.structure {
            None => None,
            Some(StructureSought::Id(id)) => Some(SoughtStructure::Id(compact("structure", id)?)),
            Some(StructureSought::Name(name)) => {
                bounded("structure", name)?;
                Some(SoughtStructure::Name(some("structure", words(name))?))
            }
        };
        let address = match &self.address {
            None => None,
            Some(text) => {
                bounded("address", text)?;
                Some(some("address", vec![text.trim().to_lowercase()])?.remove(0)).filter(|a| !a.is_empty())
            }
        };
        if self.address.is_some() && address.is_none() {
            return Err(QueryError::Wordless("address"));
        }
        let sought = Sought {
            name: texts("name", &self.name)?,
            given: texts("first name", &self.given)?,
            profession: texts("profession", &self.profession)?,
            speciality: texts("speciality", &self.speciality)?,
            place,
            structure,
            rpps: self.rpps.as_deref().map(rpps_number).transpose()?,
            address,
            kinds: self.kinds.clone(),
        };
        if self.criteria().iter().all(|name| *name == "kind") { Err(QueryError::Empty) } else { Ok(sought) }
    }
}

fn bounded(what: &'static str, text: &str) -> Result<(), QueryError> {
    if text.len() > MAX_TEXT { Err(QueryError::Long(what)) } else { Ok(()) }
}

fn some(what: &'static str, words: Vec<String>) -> Result<Vec<String>, QueryError> {
    if words.is_empty() { Err(QueryError::Wordless(what)) } else { Ok(words) }
}

/// A code: without blanks, upper case.
fn compact(what: &'static str, text: &str) -> Result<String, QueryError> {
    bounded(what, text)?;
    let code: String = text.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    if code.is_empty() { Err(QueryError::Wordless(what)) } else { Ok(code.to_ascii_uppercase()) }
}

/// The eleven digits of an RPPS number given alone or as national identifier.
fn rpps_number(text: &str) -> Result<String, QueryError> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let number = match digits.len() {
        11 => digits.as_str(),
        12 => digits.strip_prefix('8').ok_or(QueryError::Rpps)?,
        _ => return Err(QueryError::Rpps),
    };
    if number.bytes().all(|b| b.is_ascii_digit()) { Ok(number.to_owned()) } else { Err(QueryError::Rpps) }
}

/// Where, folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SoughtPlace {
    PostalCode(String),
    Department(String),
    City(Vec<String>),
}

/// Which structure, folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SoughtStructure {
    Name(Vec<String>),
    Id(String),
}

/// A query, folded once to be compared with many entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sought {
    pub name: Vec<String>,
    pub given: Vec<String>,
    pub profession: Vec<String>,
    pub speciality: Vec<String>,
    pub place: Option<SoughtPlace>,
    pub structure: Option<SoughtStructure>,
    /// Eleven digits.
    pub rpps: Option<String>,
    /// Lower case.
    pub address: Option<String>,
    pub kinds: Vec<MailboxKind>,
}

impl Sought {
    pub fn matches(&self, entry: &Entry) -> bool {
        let exact = self.address.as_ref().is_some_and(|address| entry.address.lookup_key() == *address);
        if entry.red_list && !exact {
            return false;
        }
        if self.address.as_ref().is_some_and(|address| !entry.address.lookup_key().starts_with(address.as_str())) {
            return false;
        }
        if !self.kinds.is_empty() && !self.kinds.contains(&entry.kind) {
            return false;
        }
        self.person_matches(entry) && self.site_matches(entry)
    }

    /// Whether anything is asked of a person, which mailboxes of structures have not.
    pub fn wants_person(&self) -> bool {
        !(self.name.is_empty() && self.given.is_empty() && self.profession.is_empty() && self.speciality.is_empty())
            || self.rpps.is_some()
    }

    fn person_matches(&self, entry: &Entry) -> bool {
        let Some(person) = &entry.person else { return !self.wants_person() };
        let is = |coded: &Coded, sought: &[String]| {
            all_begin(sought, &words(&coded.label)) || matches!(sought, [one] if coded.code.eq_ignore_ascii_case(one))
        };
        all_begin(&self.name, &words(&person.family))
            && all_begin(&self.given, &words(&person.given))
            && (self.profession.is_empty() || person.profession.iter().any(|p| is(p, &self.profession)))
            && (self.speciality.is_empty() || person.specialities.iter().any(|s| is(s, &self.speciality)))
            && self.rpps.as_ref().is_none_or(|rpps| {
                person.id.as_ref().and_then(|id| id.rpps_number()).is_some_and(|number| number == rpps)
            })
    }

    fn site_matches(&self, entry: &Entry) -> bool {
        if self.place.is_none() && self.structure.is_none() {
            return true;
        }
        entry.sites.iter().any(|site| self.place_is(site) && self.structure_is(site, &entry.description))
    }

    fn place_is(&self, site: &Site) -> bool {
        match &self.place {
            None => true,
            Some(SoughtPlace::PostalCode(code)) => site.postal_code == *code,
            Some(SoughtPlace::Department(code)) => site.department == *code,
            Some(SoughtPlace::City(sought)) => all_begin(sought, &city_words(&site.city)),
        }
    }

    fn structure_is(&self, site: &Site, description: &str) -> bool {
        match &self.structure {
            None => true,
            Some(SoughtStructure::Id(id)) => same_structure(id, &site.structure_id),
            Some(SoughtStructure::Name(sought)) => {
                let mut had = words(&site.structure);
                for more in [&site.sign, &site.service, description] {
                    had.extend(words(more));
                }
                all_begin(sought, &had)
            }
        }
    }
}

/// The number of a structure without the type digit that may stand before it.
pub(crate) fn structure_number(id: &str) -> &str {
    match id.len() {
        // FINESS or SIREN, SIRET or cabinet: one character more is the type.
        10 | 15 if id.is_ascii() => &id[1..],
        _ => id,
    }
}

fn same_structure(sought: &str, had: &str) -> bool {
    !had.is_empty() && structure_number(sought).eq_ignore_ascii_case(structure_number(had))
}

/// The *département* of a postal code: two digits, three overseas, `2A` or `2B` in Corsica.
pub(crate) fn department_of(postal_code: &str) -> Option<String> {
    if postal_code.len() != 5 || !postal_code.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(match &postal_code[..2] {
        "97" | "98" => postal_code[..3].to_owned(),
        // 200xx and 201xx are Corse-du-Sud.
        "20" if matches!(&postal_code[..3], "200" | "201") => "2A".to_owned(),
        "20" => "2B".to_owned(),
        two => two.to_owned(),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::entry::{Person, Source};

    /// Dr Émilie DE LA TOUR-NOIRE, cardiologist of the hospital of Saint-Étienne.
    pub(crate) fn emilie() -> Entry {
        Entry {
            address: "emilie.delatournoire@chu.mssante.fr".parse().expect("an address"),
            kind: MailboxKind::Per,
            person: Some(Person {
                id: Some("899700000088".parse().expect("an id")),
                title: "DR".to_owned(),
                given: "Émilie".to_owned(),
                family: "DE LA TOUR-NOIRE".to_owned(),
                profession: Some(Coded { code: "10".to_owned(), label: "Médecin".to_owned() }),
                specialities: vec![Coded {
                    code: "SM04".to_owned(),
                    label: "Cardiologie et Maladies vasculaires (SM)".to_owned(),
                }],
            }),
            sites: vec![Site {
                structure_id: "1420000001".to_owned(),
                structure: "HÔPITAL DE L'ÉTANG".to_owned(),
                service: "Soins intensifs".to_owned(),
                postal_code: "42055".to_owned(),
                city: "ST ETIENNE CEDEX 2".to_owned(),
                department: "42".to_owned(),
                ..Site::default()
            }],
            description: String::new(),
            red_list: false,
            paperless: None,
            source: Source::Extraction,
            seen: SystemTime::UNIX_EPOCH,
        }
    }

    fn with(change: impl FnOnce(&mut Query)) -> Query {
        let mut query = Query::default();
        change(&mut query);
        query
    }

    #[test]
    fn criteria_are_folded_and_combined() {
        let entry = emilie();
        let some = |text: &str| Some(text.to_owned());
        for query in [
            with(|q| q.name = some("tour noire")),
            with(|q| q.name = some("Tour-N")),
            with(|q| (q.name, q.given) = (some("de la"), some("émi"))),
            with(|q| (q.profession, q.speciality) = (some("medecin"), some("sm04"))),
            with(|q| (q.profession, q.speciality) = (some("10"), some("cardio vascu"))),
            with(|q| q.place = "Saint-Étienne".parse().ok()),
            with(|q| q.place = "42".parse().ok()),
            with(|q| q.place = "42055".parse().ok()),
            with(|q| q.structure = "420000001".parse().ok()),
            with(|q| q.structure = "1420000001".parse().ok()),
            with(|q| q.structure = "hopital etang soins".parse().ok()),
            with(|q| q.rpps = some("99700000088")),
            with(|q| q.rpps = some("8 99700000088")),
            with(|q| q.address = some("Emilie.Dela")),
            with(|q| (q.name, q.kinds) = (some("tour"), vec![MailboxKind::Cab, MailboxKind::Per])),
        ] {
            assert!(query.matches(&entry), "{query:?}");
        }
        for query in [
            with(|q| (q.name, q.given) = (some("tour"), some("emilien"))),
            with(|q| q.name = some("our")),
            with(|q| (q.name, q.place) = (some("tour"), "Lyon".parse().ok())),
            with(|q| q.profession = some("1")),
            with(|q| q.structure = "420000002".parse().ok()),
            with(|q| q.place = "69".parse().ok()),
            with(|q| q.rpps = some("99700000089")),
            with(|q| (q.name, q.kinds) = (some("tour"), vec![MailboxKind::Org])),
        ] {
            assert!(!query.matches(&entry), "{query:?}");
        }
    }

    #[test]
    fn the_red_list_is_for_those_who_know_the_address() {
        let entry = Entry { red_list: true, ..emilie() };
        assert!(Query::by_address(&entry.address).matches(&entry));
        assert!(!Query::by_name("tour").matches(&entry));
        assert!(!with(|q| q.address = Some("emilie.delatournoire@chu.mssante.f".to_owned())).matches(&entry));
        // With its address and something that is wrong, still not.
        assert!(!Query { name: Some("martin".to_owned()), ..Query::by_address(&entry.address) }.matches(&entry));
    }

    #[test]
    fn what_cannot_be_asked() {
        assert_eq!(Query::default().check(), Err(QueryError::Empty));
        assert_eq!(with(|q| q.kinds = vec![MailboxKind::App]).check(), Err(QueryError::Empty));
        assert_eq!(Query::by_name(" - ").check(), Err(QueryError::Wordless("name")));
        assert_eq!(Query::by_name("x".repeat(201)).check(), Err(QueryError::Long("name")));
        assert_eq!(with(|q| q.rpps = Some("123".to_owned())).check(), Err(QueryError::Rpps));
        assert_eq!(with(|q| q.rpps = Some("999700000088".to_owned())).check(), Err(QueryError::Rpps));
        assert_eq!(with(|q| q.address = Some(" ".to_owned())).check(), Err(QueryError::Wordless("address")));
        assert_eq!(with(|q| q.place = "CEDEX".parse().ok()).check(), Err(QueryError::Wordless("city")));
    }

    #[test]
    fn places_and_structures_are_told_apart() {
        for (text, place) in [
            ("42000", Place::PostalCode("42000".to_owned())),
            ("1", Place::Department("01".to_owned())),
            ("2a", Place::Department("2A".to_owned())),
            ("974", Place::Department("974".to_owned())),
            ("420", Place::City("420".to_owned())),
            ("Lyon 3", Place::City("Lyon 3".to_owned())),
        ] {
            assert_eq!(text.parse(), Ok(place), "{text}");
        }
        for (text, id) in [("2A0000014", true), ("318751275100020", true), ("187 512 751 00020", true), ("CHU", false)]
        {
            assert_eq!(matches!(text.parse(), Ok(StructureSought::Id(_))), id, "{text}");
        }
        for (code, department) in [("20090", "2A"), ("20190", "2A"), ("20200", "2B"), ("97410", "974"), ("42000", "42")]
        {
            assert_eq!(department_of(code).as_deref(), Some(department));
        }
        assert_eq!(department_of("4200é"), None);
    }

    #[test]
    fn place_and_structure_must_be_of_one_site() {
        let mut entry = emilie();
        entry.sites.push(Site { city: "LYON".to_owned(), structure: "CABINET".to_owned(), ..Site::default() });
        let query = |structure: &str, place: &str| {
            with(|q| (q.structure, q.place) = (structure.parse().ok(), place.parse().ok()))
        };
        assert!(query("cabinet", "lyon").matches(&entry) && !query("cabinet", "saint etienne").matches(&entry));
    }
}
