//! What the index costs and how fast it answers: `cargo run --release -p search --example search_speed -- [messages]`.
//!
//! Messages of 5 to 20 KB: words of a French-like vocabulary by Zipf's law, numbers, names, dates, a third of them HTML. Prints what
//! is kept in docs/adr/0007-search-index.md. Nothing is written but in a temporary folder.

use std::time::{Duration, Instant};

use mail::sought::{Place, Sought};
use search::{Document, Index, Scan};

/// Documents given to the index at once.
const BATCH: usize = 500;
/// Words of the vocabulary.
const WORDS: u64 = 60_000;

/// A small generator of numbers, the same every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

fn word(n: u64) -> String {
    const SYLLABLES: [&str; 40] = [
        "ma", "pa", "ti", "ent", "con", "sul", "ta", "tion", "or", "don", "nan", "ce", "hos", "pi", "tal", "mé", "de",
        "cin", "car", "dio", "lo", "gie", "ré", "sul", "tat", "la", "bo", "bi", "le", "été", "trai", "te", "ment",
        "dou", "leur", "ra", "ni", "sé", "vo", "que",
    ];
    let mut word = String::new();
    let mut n = n;
    loop {
        word.push_str(SYLLABLES[(n % 40) as usize]);
        n /= 40;
        if n == 0 {
            return word;
        }
    }
}

fn message(i: u64, vocabulary: &[String]) -> Vec<u8> {
    let mut random = Random(i.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let html = i.is_multiple_of(3);
    let mut text = format!(
        "From: Dr {} <{}@hopital.example>\r\nTo: service{}@chu.example\r\nSubject: Compte rendu {} du patient {i}\r\n\
         Message-ID: <{:x}@hopital.example>\r\nReceived: from a by b with ESMTPS id {:x}; 1 Jan\r\nX-MSS-INS: {}\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/{}; charset=utf-8\r\n\r\nBonjour Monsieur,\r\n",
        word(random.below(9000)),
        word(random.below(9000)),
        i % 40,
        vocabulary[random.below(500) as usize],
        random.next(),
        random.next(),
        random.next() % 1_000_000_000_000,
        if html { "html" } else { "plain" }
    );
    let size = 5_000 + random.below(15_000) as usize;
    let mut words = 0;
    while text.len() < size {
        // Zipf: the rank is the exponential of an even number.
        let even = random.below(1 << 20) as f64 / f64::from(1 << 20);
        let rank = ((WORDS as f64).powf(even) - 1.0) as usize;
        text.push_str(&vocabulary[rank]);
        words += 1;
        match words % 40 {
            7 => text.push_str(&format!(" {}", random.below(100_000))),
            13 => text.push_str(", "),
            19 if html => text.push_str(".</p><p>"),
            19 => text.push_str(".\r\n"),
            _ => text.push(' '),
        }
    }
    if i.is_multiple_of(2) {
        text.push_str(" une moitié des messages");
    }
    if i % 10_000 == 77 {
        text.push_str(" aiguille rarissime");
    }
    text.into_bytes()
}

fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split(' ').collect();
    let ticks: u64 = [12, 13].iter().filter_map(|f| fields.get(*f)?.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn main() {
    let count: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(50_000);
    let vocabulary: Vec<String> = (0..WORDS).map(|n| word(n * 7 + 3)).collect();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let key = || zeroize::Zeroizing::new([7; 32]);
    let index = Index::open(folder.path(), key()).expect("opened");
    let (mut octets, mut text) = (0usize, 0usize);
    let (mut reading, mut adding, mut merging) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let before = cpu();
    let mut making = Duration::ZERO;
    for from in (0..count).step_by(BATCH) {
        let start = Instant::now();
        let messages: Vec<(u64, Vec<u8>)> =
            (from..count.min(from + BATCH as u64)).map(|i| (i, message(i, &vocabulary))).collect();
        making += start.elapsed();
        octets += messages.iter().map(|(_, m)| m.len()).sum::<usize>();
        let start = Instant::now();
        let documents: Vec<(u64, Document)> = messages.iter().map(|(i, m)| (*i, Document::of(m))).collect();
        reading += start.elapsed();
        text += documents.iter().map(|(_, d)| d.size()).sum::<usize>();
        let start = Instant::now();
        index.add(documents).expect("added");
        adding += start.elapsed();
        let start = Instant::now();
        while index.merge_some(&|_| true, false).expect("merged") {}
        merging += start.elapsed();
    }
    let spent = cpu().saturating_sub(before).saturating_sub(making);
    let size: u64 = std::fs::read_dir(folder.path())
        .expect("listed")
        .filter_map(|f| f.ok()?.metadata().ok())
        .map(|m| m.len())
        .sum();
    let per = |d: Duration| d.as_micros() as f64 / count as f64;
    println!(
        "{count} messages, {} MB, {} MB of text; {:?} (documents, segments)",
        octets / 1_000_000,
        text / 1_000_000,
        index.len()
    );
    println!(
        "per message: {:.0} µs reading + {:.0} µs adding + {:.0} µs merging; CPU {:.0} µs",
        per(reading),
        per(adding),
        per(merging),
        per(spent)
    );
    println!("index {} MB, {:.0} % of the text", size / 1_000_000, 100.0 * size as f64 / text as f64);
    drop(index);
    let start = Instant::now();
    let index = Index::open(folder.path(), key()).expect("opened");
    println!("opened in {:?}", start.elapsed());
    let bodies: Vec<u64> = (0..count).collect();
    let field = |name: &str| Place::Field(name.to_owned());
    for (what, place, text) in [
        ("BODY rare", Place::Body, "aiguille"),
        ("BODY rare phrase", Place::Body, "aiguille rarissime"),
        ("BODY half", Place::Body, "moitié"),
        ("BODY half phrase", Place::Body, "moitié des messages"),
        ("BODY all", Place::Body, "bonjour"),
        ("BODY all phrase", Place::Body, "Bonjour Monsieur"),
        ("BODY syllable, nearly all", Place::Body, "consul"),
        ("BODY 1 letter", Place::Body, "e"),
        ("BODY 2 letters, some", Place::Body, "zz"),
        ("BODY digits", Place::Body, "4242"),
        ("BODY space", Place::Body, " "),
        ("BODY absent", Place::Body, "introuvable"),
        ("TEXT rare", Place::Text, "aiguille"),
        ("TEXT all", Place::Text, "bonjour"),
        ("TEXT address", Place::Text, "service12@chu"),
        ("SUBJECT rare", field("subject"), "patient 4242"),
        ("SUBJECT all", field("subject"), "compte rendu"),
        ("FROM some", field("from"), "dr ma"),
        ("HEADER X-MSS-INS", field("x-mss-ins"), "123"),
        ("HEADER X-MSS-INS there", field("x-mss-ins"), ""),
    ] {
        let sought = [Sought { place, text: text.to_owned() }];
        let mut times = Vec::new();
        let mut found = 0;
        for _ in 0..7 {
            let start = Instant::now();
            let answer = index.seek(&sought, &bodies);
            times.push(start.elapsed());
            assert!(answer.unknown.is_empty());
            found = answer.matching[0].len();
        }
        times.sort();
        let ms = |d: Duration| d.as_secs_f64() * 1000.0;
        println!("{what:28} {found:6} found  median {:8.1} ms, best {:8.1} ms", ms(times[3]), ms(times[0]));
    }
    // The index against the scan, on a sample.
    for text in ["consul", "aiguille", "moitié des", "4242"] {
        let sought = [Sought { place: Place::Text, text: text.to_owned() }];
        let found = index.seek(&sought, &bodies);
        for i in (0..count).step_by(97) {
            assert_eq!(Scan::all(&message(i, &vocabulary), &sought)[0], found.matching[0].binary_search(&i).is_ok());
        }
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|l| l.starts_with("VmHWM") || l.starts_with("VmRSS")) {
        println!("{line}");
    }
}
