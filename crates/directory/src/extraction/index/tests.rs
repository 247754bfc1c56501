//! The index against a plain look at every entry, and against damage.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::SystemTime;

use mssante::MailboxKind;
use proptest::prelude::*;

use super::{Builder, Facts, Index};
use crate::extraction::columns::Line;
use crate::extraction::error::ExtractionError;
use crate::query::department_of;
use crate::{Coded, Entry, Person, Place, Query, Site, Source, StructureSought};

const FAMILIES: [&str; 8] =
    ["MARTIN", "MARTINEZ", "DE LA TOUR", "LE ROY", "ÉLUARD", "D'ARTAGNAN", "MARTIN-DURAND", "X"];
const GIVEN: [&str; 5] = ["Marie", "Jean-Pierre", "Zoé", "marie-ève", "Ö"];
const CITIES: [(&str, &str); 4] =
    [("42055", "ST ETIENNE CEDEX 2"), ("69003", "LYON"), ("20090", "AJACCIO"), ("97410", "Saint-Pierre")];
const STRUCTURES: [(&str, &str); 4] =
    [("1420000001", "CHU DE L'ÉTANG"), ("318751275100020", "CABINET DU LAC"), ("", ""), ("690000002", "Clinique")];

prop_compose! {
    fn line()(numbers in (0usize..40, 0usize..8, 0usize..5, 0usize..4, 0usize..4, 0usize..4, 0usize..3, 0usize..30)) -> Line {
        let (address, family, given, city, structure, kind, skill, number) = numbers;
        let kind = [MailboxKind::Per, MailboxKind::Org, MailboxKind::App, MailboxKind::Cab][kind];
        let person = matches!(kind, MailboxKind::Per | MailboxKind::Cab).then(|| Person {
            id: format!("8997000000{:02}", number).parse().ok(),
            title: "DR".to_owned(),
            given: GIVEN[given].to_owned(),
            family: FAMILIES[family].to_owned(),
            profession: (number % 3 > 0).then(|| Coded { code: "10".to_owned(), label: "Médecin".to_owned() }),
            specialities: [("SM04", "Cardiologie et Maladies vasculaires (SM)"), ("Z9", "Astrologie")].into_iter().take(skill)
                .map(|(code, label)| Coded { code: code.to_owned(), label: label.to_owned() }).collect(),
        });
        Line {
            kind,
            address: format!("A{address}.b@chu{}.mssante.fr", address % 3).parse().expect("an address"),
            person,
            site: Site {
                structure_id: STRUCTURES[structure].0.to_owned(),
                structure: STRUCTURES[structure].1.to_owned(),
                service: if number == 7 { "Soins".to_owned() } else { String::new() },
                postal_code: CITIES[city].0.to_owned(),
                city: CITIES[city].1.to_owned(),
                department: department_of(CITIES[city].0).expect("a code"),
                ..Site::default()
            },
            paperless: [None, Some(true), Some(false)][number % 3],
        }
    }
}

fn queries() -> Vec<Query> {
    let some = |text: &str| Some(text.to_owned());
    let mut all = Vec::new();
    for name in ["m", "martin", "Martin-D", "tour de", "roy", "elu", "artagnan", "zzz"] {
        all.push(Query::by_name(name));
        all.push(Query { given: some("mar"), ..Query::by_name(name) });
        all.push(Query { place: "42".parse().ok(), ..Query::by_name(name) });
    }
    for place in ["42", "2A", "974", "69003", "Saint-Etienne", "st e", "lyo", "13"] {
        all.push(Query { place: place.parse().ok(), ..Query::default() });
        all.push(Query {
            place: place.parse().ok(),
            kinds: vec![MailboxKind::App, MailboxKind::Cab],
            ..Query::default()
        });
    }
    for structure in ["chu etang", "420000001", "18751275100020", "soins", "CLIN"] {
        all.push(Query { structure: structure.parse().ok(), ..Query::default() });
        all.push(Query { structure: structure.parse().ok(), place: "ajac".parse().ok(), ..Query::default() });
    }
    for (profession, speciality) in
        [(some("medecin"), None), (some("10"), some("sm04")), (None, some("astro")), (some("z"), None)]
    {
        all.push(Query { profession, speciality, ..Query::default() });
    }
    all.push(Query { rpps: some("99700000007"), ..Query::default() });
    all.push(Query { address: some("a1"), ..Query::default() });
    all.push(Query { address: some("A12.B@chu0.mssante.fr"), ..Query::default() });
    all
}

fn build(lines: &[Line], path: &Path) -> Index {
    let mut builder = Builder::new(SystemTime::UNIX_EPOCH);
    lines.iter().cloned().for_each(|line| builder.add(line));
    builder.finish(path, Facts::default()).expect("written");
    Index::open(path).expect("opened")
}

/// The same by `merge` and a look at each.
fn plainly(lines: &[Line], query: &Query) -> Vec<Entry> {
    let entries = lines.iter().cloned().map(|line| Entry {
        address: line.address,
        kind: line.kind,
        person: line.person,
        sites: Some(line.site).filter(|site| !site.is_empty()).into_iter().collect(),
        description: String::new(),
        red_list: false,
        paperless: line.paperless,
        source: Source::Extraction,
        seen: SystemTime::UNIX_EPOCH,
    });
    let mut all = crate::merge(entries, usize::MAX);
    all.retain(|entry| query.matches(entry));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn finds_what_a_look_at_everything_finds(lines in proptest::collection::vec(line(), 0..300)) {
        let folder = tempfile::tempdir().expect("a folder");
        let index = build(&lines, &folder.path().join("index"));
        for query in queries() {
            let whole = plainly(&lines, &query);
            let found = index.find(&Query { limit: 1000, ..query.clone() }).expect("searched");
            prop_assert!(found.complete);
            // Entries of one name, structure and address stand in the order of the file or of their holders: compared as sets.
            let set = |entries: &[Entry]| entries.iter().map(|e| format!("{e:?} {}", e.address)).collect::<BTreeSet<_>>();
            prop_assert_eq!(set(&found.entries), set(&whole), "{:?}", query);
            let order = |entries: &[Entry]| entries.iter().map(crate::order::key).collect::<Vec<_>>();
            prop_assert_eq!(order(&found.entries), order(&whole));
            let few = index.find(&Query { limit: 2, ..query }).expect("searched");
            prop_assert_eq!(&few.entries[..], &found.entries[..found.entries.len().min(2)]);
            prop_assert_eq!(few.complete, found.entries.len() <= 2);
        }
    }
}

fn some_lines() -> Vec<Line> {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let many = proptest::collection::vec(line(), 400..401);
    many.new_tree(&mut runner).expect("lines").current()
}

#[test]
fn no_damage_goes_unseen_or_panics() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("index");
    let lines = some_lines();
    let whole = build(&lines, &path);
    let answers: Vec<_> = queries().iter().map(|query| whole.find(query).expect("searched")).collect();
    let good = std::fs::read(&path).expect("there");
    let bad = folder.path().join("bad");
    let mut unseen = 0;
    for at in (0..good.len()).step_by(good.len() / 100 + 1) {
        let mut octets = good.clone();
        octets[at] ^= 0x41;
        std::fs::write(&bad, &octets).expect("written");
        let Ok(index) = Index::open(&bad) else { continue };
        for (query, answer) in queries().iter().zip(&answers) {
            if let Ok(found) = index.find(query) {
                // A part that this search does not read may be damaged.
                assert_eq!(found, *answer, "octet {at} changed what is found by {query:?}");
                unseen += 1;
            }
        }
    }
    assert!(unseen > 0, "damage of one part leaves the others usable");
    for size in [0, 10, good.len() / 2, good.len() - 1] {
        std::fs::write(&bad, &good[..size]).expect("written");
        assert!(matches!(Index::open(&bad), Err(ExtractionError::Damaged { .. })), "cut at {size}");
    }
    assert!(matches!(Index::open(&folder.path().join("none")), Err(ExtractionError::NoIndex(_))));
}

#[test]
fn an_index_that_is_replaced_is_searched_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("index");
    let lines = some_lines();
    let query = Query { limit: 1000, place: Some(Place::Department("42".to_owned())), ..Query::default() };
    let older = build(&lines, &path);
    let before = older.find(&query).expect("searched");
    assert!(!before.entries.is_empty());
    let newer = build(&lines[..1], &path);
    assert_eq!(older.find(&query).expect("searched"), before);
    assert!(newer.find(&query).expect("searched").entries.len() <= 1);
    let left = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 1, "nothing is left beside it");
}

#[test]
fn an_empty_index_is_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let index = build(&[], &folder.path().join("index"));
    let found = index.find(&Query { structure: Some(StructureSought::Name("x".into())), ..Query::default() });
    assert_eq!(found.expect("searched").entries, []);
    assert_eq!(index.facts().entries, 0);
}
