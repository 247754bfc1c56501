//! The index answers what its documents do, whatever happens to it.

use std::collections::BTreeMap;

use mail::bits::Bits;
use mail::sought::{Place, Sought};
use proptest::prelude::*;

use super::*;
use crate::matching::matches;

const KEY: [u8; 32] = [7; 32];

fn open(folder: &Path) -> Index {
    Index::open(folder, Zeroizing::new(KEY)).expect("opened")
}

fn sought(place: Place, text: &str) -> Sought {
    Sought { place, text: text.to_owned() }
}

fn body(text: &str) -> Sought {
    sought(Place::Body, text)
}

fn message(subject: &str, text: &str) -> Document {
    Document::of(format!("Subject: {subject}\r\nX-A: {subject} a\r\n\r\n{text}").as_bytes())
}

/// Which of the bodies are in a set of positions.
fn chosen(bits: &Bits, bodies: &[u64]) -> Vec<u64> {
    assert_eq!(bits.length(), bodies.len());
    bits.iter().map(|at| bodies[at as usize]).collect()
}

/// The answers an index must give, from the documents themselves.
fn check(index: &Index, documents: &BTreeMap<u64, Document>, asked: &[Sought]) {
    let bodies: Vec<u64> = documents.keys().copied().chain([1_000_000]).collect();
    let answer = index.seek(asked, &bodies);
    assert_eq!(chosen(&answer.unknown, &bodies), [1_000_000]);
    for (sought, found) in asked.iter().zip(&answer.matching) {
        let wanted: Vec<u64> =
            documents.iter().filter(|(_, d)| matches(d, sought) == Some(true)).map(|(b, _)| *b).collect();
        assert_eq!(chosen(found, &bodies), wanted, "{sought:?}");
    }
}

fn queries(needles: &[String]) -> Vec<Sought> {
    let places = ["subject", "x-a", "from", "x-none"].map(|name| Place::Field(name.to_owned()));
    let places: Vec<Place> = places.into_iter().chain([Place::Body, Place::Text]).collect();
    needles.iter().flat_map(|n| places.iter().map(move |p| sought(p.clone(), n))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn index_is_scan(
        texts in proptest::collection::vec(("[abé ]{0,6}", "[abcéÈœ \n]{0,40}"), 1..60),
        needles in proptest::collection::vec("[abcéœ \u{301}]{0,5}", 1..8),
        batch in 1usize..20, gone in 0u64..8,
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let index = open(folder.path());
        let mut documents: BTreeMap<u64, Document> =
            (1..).zip(texts).map(|(n, (subject, text))| (n * 3, message(&subject, &text))).collect();
        let mut left: Vec<(u64, Document)> = documents.clone().into_iter().collect();
        while !left.is_empty() {
            let rest = left.split_off(left.len().min(batch));
            index.add(left).expect("added");
            left = rest;
        }
        let asked = queries(&needles);
        check(&index, &documents, &asked);
        documents.retain(|body, _| body % 8 != gone);
        let alive = |body: u64| body % 8 != gone;
        while index.merge_some(&alive, true).expect("merged") {}
        check(&index, &documents, &asked);
        drop(index);
        check(&open(folder.path()), &documents, &asked);
    }
}

/// A document of these very texts, whatever a message could have.
fn of_texts(lines: &str, body: &str) -> Document {
    let mut document = Document { body: format!("{body}\n"), whole: true, ..Document::default() };
    document.head.lines = format!("\n{lines}\n");
    document
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Phrases over boundaries, spaces at the ends of texts and side by side, words that are each other's ends and beginnings.
    #[test]
    fn phrases_are_substrings(
        texts in proptest::collection::vec(("[ab \n]{0,12}", "[ab \n]{0,24}"), 1..24),
        needles in proptest::collection::vec("[ab]{0,2}( [ab]{1,2}){0,3} ?", 1..12),
        batch in 1usize..9, gone in 0u64..4,
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let index = open(folder.path());
        let mut documents: BTreeMap<u64, Document> =
            (1..).zip(texts).map(|(n, (lines, body))| (n, of_texts(&lines, &body))).collect();
        let all: Vec<(u64, Document)> = documents.clone().into_iter().collect();
        for some in all.chunks(batch) {
            index.add(some.to_vec()).expect("added");
        }
        let asked: Vec<Sought> =
            needles.iter().flat_map(|n| [body(n), sought(Place::Text, n)]).chain([body(" "), body(" a")]).collect();
        check(&index, &documents, &asked);
        documents.retain(|body, _| body % 4 != gone);
        while index.merge_some(&|body| body % 4 != gone, true).expect("merged") {}
        check(&index, &documents, &asked);
    }
}

/// Words of several blocks, their beginnings longer than what is kept of the first of each, and positions of several blocks.
#[test]
fn a_large_dictionary() {
    let folder = tempfile::tempdir().expect("a folder");
    let index = open(folder.path());
    let word =
        |n: usize| format!("{}{n:05}", if n.is_multiple_of(2) { "hypercholesterolemies-familiales-" } else { "h" });
    let text = |from: usize| (from..from + 6_000).map(|n| word(n) + " le ").collect::<String>();
    let documents: BTreeMap<u64, Document> =
        (0..10).map(|i| (i + 1, message("s", &text(i as usize * 1_000)))).collect();
    let all: Vec<(u64, Document)> = documents.clone().into_iter().collect();
    for some in all.chunks(2) {
        index.add(some.to_vec()).expect("added");
    }
    let segments = index.list();
    assert!(segments.segments.iter().all(|s| s.columns.body_words.blocks.len() > 2));
    let mut needles: Vec<String> = (0..16_000).step_by(1_451).map(|n| format!("le {}", word(n))).collect();
    needles.extend((0..16_000).step_by(1_789).map(|n| format!("le {} le {}", word(n), &word(n + 1)[..4])));
    needles.extend((0..16_000).step_by(2_003).map(|n| format!("{} le", word(n))));
    needles.extend(
        ["le h0", "le hypercholesterolemies-familiales-0", "le z", "le a", "le hyper", "6 le", "00 le h"]
            .map(String::from),
    );
    let asked: Vec<Sought> = needles.iter().map(|n| body(n)).collect();
    check(&index, &documents, &asked);
    let alive = |body: u64| body != 3 && body != 8;
    while index.merge_some(&alive, true).expect("merged") {}
    let documents = documents.into_iter().filter(|(body, _)| alive(*body)).collect();
    let bodies: Vec<u64> = index.bodies().into_iter().filter(|body| alive(*body)).collect();
    assert_eq!(bodies.len(), 8);
    // What is gone is in the index only as long as it is not worth the work.
    check(&index, &documents, &asked);
}

/// A segment made before words had positions, as any file of another version: made anew.
#[test]
fn a_file_of_another_version_is_made_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    open(folder.path()).add(vec![(1, message("s", "deux mots"))]).expect("added");
    let path = fs::read_dir(folder.path()).expect("listed").next().expect("a file").expect("listed").path();
    let mut octets = fs::read(&path).expect("read");
    assert_eq!(&octets[..8], b"VMSRCH02");
    octets[7] = b'1';
    fs::write(&path, octets).expect("written");
    let index = open(folder.path());
    assert_eq!(index.seek(&[body("deux mots")], &[1]).unknown, Bits::all(1));
    assert!(!path.exists());
    index.add(vec![(1, message("s", "deux mots"))]).expect("added");
    assert_eq!(index.seek(&[body("deux mots")], &[1]).matching, [Bits::all(1)]);
}

fn many(n: u64) -> BTreeMap<u64, Document> {
    let words = ["compte", "rendu", "Insuffisance", "cardiaque", "été", "l’hôpital", "INS-1234", "x", "le"];
    (1..=n)
        .map(|i| {
            let text: Vec<String> = (0..60 + i % 50)
                .map(|j| match (i * 7 + j * 13) % 11 {
                    10 => format!("mot{}", i * 31 + j),
                    w => words.get(w as usize).copied().unwrap_or("fin").to_owned(),
                })
                .collect();
            (i, message(&format!("message {i}"), &text.join(if i % 3 == 0 { "\r\n" } else { " " })))
        })
        .collect()
}

fn asked() -> Vec<Sought> {
    let needles = [
        "e",
        "insuffisance",
        "rendu compte",
        "mot31",
        "hopital",
        "te rendu",
        " ",
        "absent",
        "x le",
        "x-a: message 2",
        "message 1",
    ];
    queries(&needles.map(str::to_owned))
}

#[test]
fn merging_keeps_answers_and_bounds_segments() {
    let folder = tempfile::tempdir().expect("a folder");
    let index = open(folder.path());
    let documents = many(300);
    for (body, document) in &documents {
        index.add(vec![(*body, document.clone()), (*body, Document::default())]).expect("added");
        while index.merge_some(&|_| true, false).expect("merged") {}
    }
    let (count, segments) = index.len();
    assert_eq!(count, 300);
    assert!(segments <= 3 * FAN, "{segments}");
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), segments);
    check(&index, &documents, &asked());
    check(&open(folder.path()), &documents, &asked());
    // Everything is gone.
    while index.merge_some(&|_| false, true).expect("merged") {}
    assert!(index.is_empty());
}

#[test]
fn what_is_added_twice_counts_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let index = open(folder.path());
    index.add(vec![(5, message("first", "a"))]).expect("added");
    index.add(vec![(5, message("second", "b")), (6, message("third", "c"))]).expect("added");
    assert_eq!(index.bodies(), [5, 6]);
    assert_eq!(index.seek(&[body("b")], &[5, 6]).matching, [Bits::none(2)]);
}

#[test]
fn a_document_that_is_not_whole_answers_what_it_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let index = open(folder.path());
    let mut cut = message("long", "debut");
    cut.whole = false;
    index.add(vec![(1, cut), (2, message("short", "debut"))]).expect("added");
    let answer = index.seek(&[body("debut")], &[1, 2]);
    assert_eq!(answer, Answer { matching: vec![Bits::all(2)], unknown: Bits::none(2) });
    let answer = index.seek(&[body("debut"), body("fin")], &[1, 2]);
    assert_eq!(answer, Answer { matching: vec![Bits::of(2, [1]), Bits::none(2)], unknown: Bits::of(2, [0]) });
    let answer = index.seek(&[sought(Place::Field("subject".into()), "none")], &[1, 2]);
    assert_eq!(answer, Answer { matching: vec![Bits::none(2)], unknown: Bits::none(2) });
}

#[test]
fn another_key_gives_nothing_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    open(folder.path()).add(vec![(1, message("s", "secret words"))]).expect("added");
    for file in fs::read_dir(folder.path()).expect("listed") {
        let octets = fs::read(file.expect("listed").path()).expect("read");
        assert!(memchr::memmem::find(&octets, b"secret").is_none(), "nothing is in clear");
    }
    let other = Index::open(folder.path(), Zeroizing::new([8; 32])).expect("opened");
    assert_eq!(other.seek(&[body("secret")], &[1]).unknown, Bits::all(1));
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 0);
}

#[test]
fn files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let own = folder.path().join("a/b");
    open(&own).add(vec![(1, message("s", "t"))]).expect("added");
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&own), 0o700);
    for file in fs::read_dir(&own).expect("listed") {
        assert_eq!(mode(&file.expect("listed").path()), 0o600);
    }
    Index::forget(&own).expect("removed");
    Index::forget(&own).expect("nothing to remove");
    assert!(!own.exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Damage anywhere, before or after opening, makes documents unknown; it never makes an answer wrong.
    #[test]
    fn damage_is_never_a_wrong_answer(at in 0.0f64..1.0, flip in 1u8..=255, cut in any::<bool>(), opened in any::<bool>(), merge in any::<bool>()) {
        let folder = tempfile::tempdir().expect("a folder");
        let documents = many(40);
        let first = open(folder.path());
        let all: Vec<(u64, Document)> = documents.clone().into_iter().collect();
        for some in all.chunks(if merge { 5 } else { 20 }) {
            first.add(some.to_vec()).expect("added");
        }
        let path = fs::read_dir(folder.path()).expect("listed").next().expect("a file").expect("listed").path();
        let mut octets = fs::read(&path).expect("read");
        let place = ((octets.len() - 1) as f64 * at) as usize;
        if cut { octets.truncate(place) } else { octets[place] ^= flip };
        fs::write(&path, &octets).expect("written");
        let index = if opened { first } else { open(folder.path()) };
        let bodies: Vec<u64> = documents.keys().copied().collect();
        if merge {
            while index.merge_some(&|_| true, false).expect("merged") {}
        }
        for sought in asked() {
            let answer = index.seek(std::slice::from_ref(&sought), &bodies);
            for (at, (_, document)) in (0..).zip(&documents) {
                if !answer.unknown.has(at) {
                    prop_assert_eq!(answer.matching[0].has(at), matches(document, &sought) == Some(true));
                }
            }
        }
        // What was lost can be given again.
        let known = index.bodies();
        index.add(all.into_iter().filter(|(b, _)| !known.contains(b)).collect()).expect("added");
        if index.bodies().len() == bodies.len() && !cut && !opened {
            check(&index, &documents, &asked());
        }
    }
}

#[test]
fn searching_while_writing() {
    let folder = tempfile::tempdir().expect("a folder");
    let index = open(folder.path());
    let documents = many(200);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for (body, document) in &documents {
                index.add(vec![(*body, document.clone())]).expect("added");
                index.merge_some(&|_| true, true).expect("merged");
            }
            done.store(true, Ordering::Release);
        });
        let bodies: Vec<u64> = documents.keys().copied().collect();
        let asked = [body("hopital"), body("rendu compte"), sought(Place::Text, "message 1")];
        while !done.load(Ordering::Acquire) {
            let answer = index.seek(&asked, &bodies);
            for (sought, found) in asked.iter().zip(&answer.matching) {
                for (at, (_, document)) in (0..).zip(&documents).filter(|(at, _)| !answer.unknown.has(*at)) {
                    assert_eq!(found.has(at), matches(document, sought) == Some(true));
                }
            }
        }
    });
    check(&index, &documents, &asked());
}

#[test]
fn what_a_crash_left_is_cleared() {
    let folder = tempfile::tempdir().expect("a folder");
    let index = open(folder.path());
    let documents = many(FAN as u64);
    let mut copies = Vec::new();
    for (body, document) in &documents {
        index.add(vec![(*body, document.clone())]).expect("added");
    }
    for file in fs::read_dir(folder.path()).expect("listed") {
        let path = file.expect("listed").path();
        copies.push((path.clone(), fs::read(path).expect("read")));
    }
    assert!(index.merge_some(&|_| true, false).expect("merged"));
    // The sources were not removed, and a writing was interrupted.
    copies.push((folder.path().join("00.tmp"), vec![1, 2, 3]));
    for (path, octets) in copies {
        fs::write(path, octets).expect("written");
    }
    let index = open(folder.path());
    assert_eq!(index.len(), (documents.len(), 1));
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
    check(&index, &documents, &asked());
}
