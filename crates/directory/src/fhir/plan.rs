//! What is asked of the interface for a query: the narrowest beginning it can search by. Whatever comes is checked again by
//! [`Sought::matches`].

use crate::query::{Sought, SoughtPlace, SoughtStructure, structure_number};
use crate::terms;

/// Parameters of a search.
pub(super) type Params = Vec<(&'static str, String)>;

/// Shortest word looked for in the middle of a name: shorter ones would be in every name.
const MIN_INNER: usize = 3;

/// Where a search begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Mailboxes whose address begins so.
    Address(String),
    /// People, then where they practise.
    People(Params),
    /// Structures, then (unless only theirs are wanted) who practises there.
    Structures {
        /// Of the first search.
        params: Params,
        /// Whether people are wanted too.
        people: bool,
    },
    /// Nobody can match: a profession or a speciality that no nomenclature has, and nothing else.
    Nowhere,
}

pub(super) fn route(sought: &Sought) -> Route {
    use mssante::MailboxKind::{App, Org};
    if let Some(address) = &sought.address {
        return Route::Address(address.clone());
    }
    let by_person = !sought.name.is_empty() || !sought.given.is_empty() || sought.rpps.is_some();
    if by_person || (sought.place.is_none() && sought.structure.is_none()) {
        return people(sought);
    }
    let only_structures = !sought.kinds.is_empty() && sought.kinds.iter().all(|kind| matches!(kind, Org | App));
    if only_structures && sought.wants_person() {
        return Route::Nowhere;
    }
    let mut params = vec![("active", "true".to_owned())];
    structure(sought, &mut params);
    place(sought, &mut params);
    if only_structures {
        params.push(("mailbox-mss:contains", "@".to_owned()));
    }
    Route::Structures { params, people: !only_structures }
}

fn people(sought: &Sought) -> Route {
    let mut params = vec![("active", "true".to_owned())];
    if let Some(number) = &sought.rpps {
        params.push(("identifier", format!("{number},8{number}")));
    }
    for word in &sought.name {
        params.push((if word.len() < MIN_INNER { "family" } else { "family:contains" }, word.clone()));
    }
    for word in &sought.given {
        params.push((if word.len() < MIN_INNER { "given" } else { "given:contains" }, word.clone()));
    }
    let tables = [
        (terms::PROFESSION_SYSTEM, terms::PROFESSIONS.as_slice(), &sought.profession),
        (terms::SPECIALITY_SYSTEM, terms::SPECIALITIES.as_slice(), &sought.speciality),
    ];
    for (system, table, words) in tables {
        if !words.is_empty() {
            let mut codes: Vec<String> =
                terms::codes(table, words).into_iter().map(|code| format!("{system}|{code}")).collect();
            if let [one] = words.as_slice()
                && codes.is_empty()
                && one.bytes().any(|b| b.is_ascii_digit())
            {
                // A code that the table has not, of any system.
                codes.push(one.to_ascii_uppercase());
            }
            if !codes.is_empty() {
                params.push(("qualification-code", codes.join(",")));
            }
        }
    }
    // Short words begin a name, they are not looked for inside; the first of several would not begin it.
    if params.len() == 1 { Route::Nowhere } else { Route::People(params) }
}

fn structure(sought: &Sought, params: &mut Params) {
    match &sought.structure {
        None => {}
        Some(SoughtStructure::Id(id)) => {
            let number = structure_number(id);
            let types: &[&str] = if number.len() == 14 { &["3", "4"] } else { &["1", "5", "2"] };
            let mut forms = vec![number.to_owned()];
            forms.extend(types.iter().map(|kind| format!("{kind}{number}")));
            params.push(("identifier", forms.join(",")));
        }
        Some(SoughtStructure::Name(words)) => {
            for word in words {
                // Too short to narrow anything; the check afterwards looks at them.
                if word.len() >= MIN_INNER || words.len() == 1 {
                    params.push(("name:contains", word.clone()));
                }
            }
        }
    }
}

fn place(sought: &Sought, params: &mut Params) {
    match &sought.place {
        None => {}
        Some(SoughtPlace::PostalCode(code)) => params.push(("address-postalcode", code.clone())),
        Some(SoughtPlace::Department(code)) => {
            let corsica = matches!(code.as_str(), "2A" | "2B");
            params.push(("address-postalcode", if corsica { "20".to_owned() } else { code.clone() }));
        }
        Some(SoughtPlace::City(words)) => {
            // `ST ETIENNE` is written in one way or the other: the saint's name is looked for.
            let telling = words.iter().filter(|word| !matches!(word.as_str(), "saint" | "sainte") && word.len() > 1);
            let before = params.len();
            params.extend(telling.map(|word| ("address-city:contains", word.clone())));
            if params.len() == before {
                params.push(("address-city", words[0].get(..1).unwrap_or_default().to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Place, Query, StructureSought};

    fn of(query: Query) -> Route {
        route(&query.sought().expect("a query"))
    }

    #[test]
    fn beginnings() {
        let some = |text: &str| Some(text.to_owned());
        let active = ("active", "true".to_owned());
        assert_eq!(
            of(Query {
                given: some("Al"),
                rpps: some("99700000017"),
                place: "Lyon".parse().ok(),
                ..Query::by_name("Le Roy")
            }),
            Route::People(vec![
                active.clone(),
                ("identifier", "99700000017,899700000017".to_owned()),
                ("family", "le".to_owned()),
                ("family:contains", "roy".to_owned()),
                ("given", "al".to_owned()),
            ])
        );
        let speciality = Query { profession: some("sage"), speciality: some("sm04"), ..Query::default() };
        assert_eq!(
            of(speciality.clone()),
            Route::People(vec![
                active.clone(),
                ("qualification-code", format!("{}|50", terms::PROFESSION_SYSTEM)),
                ("qualification-code", format!("{}|SM04", terms::SPECIALITY_SYSTEM)),
            ])
        );
        assert_eq!(
            of(Query { place: Some(Place::City("St Étienne".to_owned())), ..speciality }),
            Route::Structures {
                params: vec![active.clone(), ("address-city:contains", "etienne".to_owned())],
                people: true
            }
        );
        let finess = Query {
            structure: Some(StructureSought::Id("1420000001".to_owned())),
            place: "2B".parse().ok(),
            kinds: vec![mssante::MailboxKind::App],
            ..Query::default()
        };
        assert_eq!(
            of(finess),
            Route::Structures {
                params: vec![
                    active,
                    ("identifier", "420000001,1420000001,5420000001,2420000001".to_owned()),
                    ("address-postalcode", "20".to_owned()),
                    ("mailbox-mss:contains", "@".to_owned()),
                ],
                people: false
            }
        );
        assert_eq!(of(Query { profession: some("astronaute"), ..Query::default() }), Route::Nowhere);
        assert_eq!(of(Query { address: some("A@b.fr"), ..Query::by_name("x") }), Route::Address("a@b.fr".to_owned()));
    }
}
