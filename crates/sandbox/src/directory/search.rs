//! Searches: the parameters of client.md §6.1, with the meaning FHIR R4 §3.1.1 gives them. Linear: some hundreds of resources.

use serde_json::Value;

use super::register::{KINDS, Register};

/// Matches in a page when nothing is said.
const DEFAULT_COUNT: usize = 50;
/// Most matches in a page.
const MAX_COUNT: usize = 10_000;

/// How a parameter is compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compared {
    Text,
    Token,
    Reference,
    Date,
}

/// Parameters by kind of resource. `mailbox-mss-type` is in the guide and not served.
fn parameters(kind: &str) -> &'static [(&'static str, Compared)] {
    use Compared::{Date, Reference, Text, Token};
    match kind {
        "Practitioner" => &[
            ("_id", Token),
            ("_lastUpdated", Date),
            ("active", Token),
            ("family", Text),
            ("given", Text),
            ("identifier", Token),
            ("mailbox-mss", Text),
            ("name", Text),
            ("qualification-code", Token),
        ],
        "PractitionerRole" => &[
            ("_id", Token),
            ("_lastUpdated", Date),
            ("active", Token),
            ("identifier", Token),
            ("mailbox-mss", Text),
            ("organization", Reference),
            ("practitioner", Reference),
            ("role", Token),
        ],
        "Organization" => &[
            ("_id", Token),
            ("_lastUpdated", Date),
            ("active", Token),
            ("address", Text),
            ("address-city", Text),
            ("address-postalcode", Text),
            ("identifier", Token),
            ("mailbox-mss", Text),
            ("name", Text),
            ("type", Token),
        ],
        _ => &[("_id", Token), ("_lastUpdated", Date), ("active", Token), ("identifier", Token)],
    }
}

/// A search that was understood.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct Search {
    pub kind: String,
    /// As they were given, without those that only shape the answer.
    pub criteria: Vec<(String, String)>,
    pub include: Vec<String>,
    pub revinclude: Vec<String>,
    pub elements: Vec<String>,
    pub count: usize,
    pub offset: usize,
}

impl Search {
    /// Reads the parameters; an error is what HAPI says of one it does not know.
    pub fn read(kind: &str, given: Vec<(String, String)>) -> Result<Search, String> {
        let mut search = Search {
            kind: kind.to_owned(),
            criteria: Vec::new(),
            include: Vec::new(),
            revinclude: Vec::new(),
            elements: Vec::new(),
            count: DEFAULT_COUNT,
            offset: 0,
        };
        for (name, value) in given {
            match name.as_str() {
                "_include" | "_include:iterate" => search.include.push(value),
                "_revinclude" => search.revinclude.push(value),
                "_elements" => search.elements.extend(value.split(',').map(str::to_owned)),
                "_total" | "_format" | "_pretty" | "_sort" => {}
                "_count" => {
                    let count: usize = value.parse().map_err(|_| format!("Invalid _count value: {value}"))?;
                    search.count = count.min(MAX_COUNT);
                }
                _ => {
                    let (base, modifier) = name.split_once(':').unwrap_or((&name, ""));
                    let known = parameters(kind).iter().find(|(known, _)| *known == base);
                    let fits = match known {
                        None => {
                            let names: Vec<&str> = parameters(kind).iter().map(|(name, _)| *name).collect();
                            return Err(format!(
                                "HAPI-0524: Unknown search parameter \"{base}\" for resource type \"{kind}\". Valid search parameters for this search are: {names:?}"
                            ));
                        }
                        Some((_, Compared::Text)) => matches!(modifier, "" | "contains" | "exact"),
                        Some(_) => modifier.is_empty(),
                    };
                    if !fits {
                        return Err(format!("HAPI-1269: Unknown modifier :{modifier} for parameter {base}"));
                    }
                    search.criteria.push((name, value));
                }
            }
        }
        Ok(search)
    }

    /// Whether a resource is a match.
    fn matches(&self, resource: &Value) -> bool {
        resource["resourceType"] == self.kind
            && self.criteria.iter().all(|(name, value)| {
                let (base, modifier) = name.split_once(':').unwrap_or((name, ""));
                let how = parameters(&self.kind).iter().find(|(known, _)| *known == base).map(|(_, how)| *how);
                let had = values(resource, base);
                // A comma is "or"; a parameter given twice is "and".
                value.split(',').any(|one| match how {
                    Some(Compared::Text) => had.iter().any(|(_, text)| text_is(text, one, modifier)),
                    Some(Compared::Token) => had.iter().any(|(system, code)| token_is(system, code, one)),
                    Some(Compared::Reference) => {
                        had.iter().any(|(_, text)| text.rsplit('/').next() == one.rsplit('/').next())
                    }
                    Some(Compared::Date) => had.iter().any(|(_, date)| date_is(date, one)),
                    None => false,
                })
            })
    }

    /// The matches, then (for those of this page) what is included. Gives how many there are in all.
    pub fn run<'a>(&self, register: &'a Register) -> (usize, Vec<(&'static str, &'a Value)>) {
        let matches: Vec<&Value> = register.all.iter().filter(|resource| self.matches(resource)).collect();
        let page: Vec<&Value> = matches.iter().skip(self.offset).take(self.count).copied().collect();
        let mut entries: Vec<(&'static str, &Value)> = page.iter().map(|resource| ("match", *resource)).collect();
        let add = |resource: &'a Value, entries: &mut Vec<(&'static str, &'a Value)>| {
            if !entries.iter().any(|(_, known)| std::ptr::eq(*known, resource)) {
                entries.push(("include", resource));
            }
        };
        for resource in &page {
            for reference in ["practitioner", "organization"] {
                let wanted = |include: &String| include == "*" || *include == format!("{}:{reference}", self.kind);
                let target = resource[reference]["reference"].as_str().and_then(|text| text.split_once('/'));
                if let Some((kind, id)) = target
                    && self.include.iter().any(wanted)
                    && let Some(found) = register.read(kind, id)
                {
                    add(found, &mut entries);
                }
            }
            for include in &self.revinclude {
                let Some((kind, reference)) = include.split_once(':') else { continue };
                let own = format!("{}/{}", self.kind, resource["id"].as_str().unwrap_or_default());
                for found in register.all.iter().filter(|other| {
                    other["resourceType"] == kind && other[reference]["reference"].as_str() == Some(own.as_str())
                }) {
                    add(found, &mut entries);
                }
            }
        }
        (matches.len(), entries)
    }

    /// Only the elements asked for, and those that make it a resource.
    pub fn shaped(&self, resource: &Value) -> Value {
        let mut shaped = resource.clone();
        if let (Some(fields), false) = (shaped.as_object_mut(), self.elements.is_empty()) {
            fields.retain(|name, _| {
                matches!(name.as_str(), "resourceType" | "id" | "meta")
                    || self.elements.iter().any(|element| element == name)
            });
        }
        shaped
    }
}

/// System and value of everything a parameter looks at.
fn values(resource: &Value, name: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let plain = |value: &Value| vec![(String::new(), text(value))];
    let each = |list: &Value, of: &dyn Fn(&Value) -> Vec<(String, String)>| -> Vec<(String, String)> {
        list.as_array().into_iter().flatten().flat_map(of).collect()
    };
    let coding =
        |concept: &Value| each(&concept["coding"], &|coding| vec![(text(&coding["system"]), text(&coding["code"]))]);
    match name {
        "_id" => plain(&resource["id"]),
        "_lastUpdated" => plain(&resource["meta"]["lastUpdated"]),
        "active" => vec![(String::new(), resource["active"].to_string())],
        "family" => each(&resource["name"], &|name| plain(&name["family"])),
        "given" => each(&resource["name"], &|name| each(&name["given"], &plain)),
        "name" if resource["name"].is_string() => plain(&resource["name"]),
        "name" => each(&resource["name"], &|name| {
            let mut all = plain(&name["family"]);
            for part in ["given", "prefix", "suffix"] {
                all.extend(each(&name[part], &plain));
            }
            all
        }),
        "identifier" => each(&resource["identifier"], &|id| vec![(text(&id["system"]), text(&id["value"]))]),
        "mailbox-mss" => each(&resource["telecom"], &|point| {
            let mss = point["extension"].is_array();
            if mss { plain(&point["value"]) } else { Vec::new() }
        }),
        "qualification-code" => each(&resource["qualification"], &|qualification| coding(&qualification["code"])),
        "role" => each(&resource["code"], &coding),
        "type" => each(&resource["type"], &coding),
        "organization" | "practitioner" => plain(&resource[name]["reference"]),
        "address-city" => each(&resource["address"], &|address| plain(&address["city"])),
        "address-postalcode" => each(&resource["address"], &|address| plain(&address["postalCode"])),
        "address" => each(&resource["address"], &|address| {
            let mut all = each(&address["line"], &plain);
            all.extend(["city", "postalCode", "country"].into_iter().flat_map(|part| plain(&address[part])));
            all
        }),
        _ => Vec::new(),
    }
}

/// Without case and accents, as HAPI compares.
pub(super) fn normal(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    for c in text.chars().flat_map(char::to_uppercase) {
        match c {
            'À'..='Å' => normal.push('A'),
            'Ç' => normal.push('C'),
            'È'..='Ë' => normal.push('E'),
            'Ì'..='Ï' => normal.push('I'),
            'Ò'..='Ö' => normal.push('O'),
            'Ù'..='Ü' => normal.push('U'),
            'Œ' => normal.push_str("OE"),
            c => normal.push(c),
        }
    }
    normal
}

fn text_is(had: &str, sought: &str, modifier: &str) -> bool {
    match modifier {
        "exact" => had == sought,
        "contains" => normal(had).contains(&normal(sought)),
        _ => normal(had).starts_with(&normal(sought)),
    }
}

fn token_is(system: &str, code: &str, sought: &str) -> bool {
    match sought.split_once('|') {
        None => code == sought,
        Some((wanted, "")) => system == wanted,
        Some((wanted, value)) => system == wanted && code == value,
    }
}

/// Dates of one shape compare as texts, to the precision asked for.
fn date_is(had: &str, sought: &str) -> bool {
    let (how, date) = match sought.split_at_checked(2) {
        Some((how, date)) if how.bytes().all(|b| b.is_ascii_alphabetic()) => (how, date),
        _ => ("eq", sought),
    };
    let had = had.get(..date.len()).unwrap_or(had);
    match how {
        "eq" => had == date,
        "ne" => had != date,
        "gt" | "sa" => had > date,
        "ge" => had >= date,
        "lt" | "eb" => had < date,
        "le" => had <= date,
        _ => false,
    }
}

/// Whether the interface has this kind of resource.
pub(super) fn is_kind(kind: &str) -> bool {
    KINDS.contains(&kind)
}
