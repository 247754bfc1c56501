//! The order of entries, the same whatever the source, and entries of one mailbox made one.

use std::collections::HashMap;

use crate::entry::{Entry, Source};
use crate::fold::fold;

/// By this entries are ordered: name (of the person, else of the structure), first name, structure, address.
pub(crate) fn key(entry: &Entry) -> [String; 4] {
    let structure = entry.site().map(|site| fold(&site.structure)).unwrap_or_default();
    let (family, given) = match &entry.person {
        Some(person) => (fold(&person.family), fold(&person.given)),
        None => (structure.clone(), String::new()),
    };
    [family, given, structure, entry.address.lookup_key()]
}

/// Puts entries in order.
pub(crate) fn sort(entries: &mut [Entry]) {
    entries.sort_by_cached_key(key);
}

/// One entry for each mailbox of these answers, in order, at most `limit`. What the interface says counts before what the
/// extraction says; what one does not know is taken from the other.
#[must_use]
pub fn merge(entries: impl IntoIterator<Item = Entry>, limit: usize) -> Vec<Entry> {
    let mut all: Vec<Entry> = entries.into_iter().collect();
    // Stable: what a source said first stays first.
    all.sort_by_key(|entry| entry.source != Source::Api);
    let mut places: HashMap<(String, String), usize> = HashMap::new();
    let mut merged: Vec<Entry> = Vec::with_capacity(all.len());
    for entry in all {
        match places.entry(identity(&entry)) {
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(merged.len());
                merged.push(entry);
            }
            std::collections::hash_map::Entry::Occupied(place) => absorb(&mut merged[*place.get()], entry),
        }
    }
    sort(&mut merged);
    merged.truncate(limit);
    merged
}

/// A mailbox and its holder: a cabinet's has several.
pub(crate) fn identity(entry: &Entry) -> (String, String) {
    let holder = entry.person.as_ref().map(|person| match &person.id {
        Some(id) => id.as_str().to_owned(),
        None => fold(&format!("{} {}", person.family, person.given)),
    });
    (entry.address.lookup_key(), holder.unwrap_or_default())
}

/// Adds to an entry what another of the same mailbox and holder knows more.
pub(crate) fn absorb(entry: &mut Entry, other: Entry) {
    entry.red_list |= other.red_list;
    entry.paperless = entry.paperless.or(other.paperless);
    if entry.description.is_empty() {
        entry.description = other.description;
    }
    if let (Some(person), Some(more)) = (&mut entry.person, other.person) {
        if person.title.is_empty() {
            person.title = more.title;
        }
        if person.id.is_none() {
            person.id = more.id;
        }
        if person.profession.is_none() {
            person.profession = more.profession;
        }
        for speciality in more.specialities {
            let known = |had: &crate::Coded| {
                had.code == speciality.code && (!had.code.is_empty() || had.label == speciality.label)
            };
            if !person.specialities.iter().any(known) {
                person.specialities.push(speciality);
            }
        }
    }
    for site in other.sites {
        let known = |had: &crate::Site| {
            if had.structure_id.is_empty() || site.structure_id.is_empty() {
                *had == site
            } else {
                crate::query::structure_number(&had.structure_id) == crate::query::structure_number(&site.structure_id)
                    && (had.service == site.service || site.service.is_empty())
            }
        };
        if !entry.sites.iter().any(known) {
            entry.sites.push(site);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::tests::emilie;
    use crate::{Coded, Site};

    #[test]
    fn one_entry_for_each_mailbox_the_interface_first() {
        let offline = emilie();
        let mut online = Entry { source: Source::Api, ..emilie() };
        let person = online.person.as_mut().expect("a person");
        (person.given, person.specialities) =
            ("Emilie".to_owned(), vec![Coded { code: "SM73".into(), label: String::new() }]);
        online.sites =
            vec![Site { structure_id: "420000001".to_owned(), structure: "CHU".to_owned(), ..Site::default() }];
        let merged = merge([offline.clone(), online], 10);
        assert_eq!(merged.len(), 1);
        assert_eq!((merged[0].source, merged[0].structure()), (Source::Api, Some("CHU")));
        let person = merged[0].person.as_ref().expect("a person");
        assert_eq!((person.given.as_str(), person.specialities.len()), ("Emilie", 2));
        // The service only the extraction knows comes with its site.
        assert_eq!(merged[0].sites.len(), 2);

        // Another holder of the same address is another entry.
        let mut other = offline.clone();
        other.person.as_mut().expect("a person").id = "899700000096".parse().ok();
        assert_eq!(merge([offline.clone(), other.clone()], 10).len(), 2);
        assert_eq!(merge([offline, other], 1).len(), 1);
    }

    #[test]
    fn by_name_then_first_name() {
        let named = |family: &str, given: &str| {
            let mut entry = emilie();
            let person = entry.person.as_mut().expect("a person");
            (person.family, person.given, person.id) = (family.to_owned(), given.to_owned(), None);
            entry
        };
        let merged =
            merge([named("Éluard", "Paul"), named("ZOLA", "Émile"), named("ELUARD", "Cécile"), named("eco", "x")], 9);
        let names: Vec<String> = merged.iter().map(Entry::name).collect();
        assert_eq!(names, ["DR x eco", "DR Cécile ELUARD", "DR Paul Éluard", "DR Émile ZOLA"]);
    }
}
