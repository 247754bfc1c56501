//! What the index costs and how fast it answers: `cargo run --release -p search --example search_speed -- [messages [letters]]`.
//!
//! `letters`: messages of 3 KB like those of `bench/imap`, forty words twice over, in place of the long ones:
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

/// Text and HTML of the same prose.
fn letter(i: u64, vocabulary: &[String]) -> Vec<u8> {
    let mut random = Random(i.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut prose = String::new();
    while prose.len() < 1100 {
        for _ in 0..9 {
            prose.push_str(&vocabulary[random.below(40) as usize]);
            prose.push(' ');
        }
        prose.push_str("\r\n");
    }
    if i % 5_000 == 77 {
        prose.push_str("aiguille rarissime\r\n");
    }
    if i.is_multiple_of(2) {
        prose.push_str("une moitié des messages\r\n");
    }
    prose.push_str("Bonjour Monsieur\r\n");
    format!(
        "From: Dr Martin <martin{}@hopital.example>\r\nTo: service{}@chu.example\r\nSubject: Compte rendu {i} {}\r\n\
         Message-ID: <{i}@hopital.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"=_a\"\r\n\r\n\
         --=_a\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{prose}\r\n\
         --=_a\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body><p>{prose}</p></body></html>\r\n--=_a--\r\n",
        i % 97,
        i % 31,
        vocabulary[(i % 40) as usize],
    )
    .into_bytes()
}

/// The processor's time that all threads took.
fn processor() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a system call that writes into a value of ours.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn main() {
    let count: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(50_000);
    let message = if std::env::args().nth(2).is_some_and(|kind| kind == "letters") { letter } else { message };
    let vocabulary: Vec<String> = (0..WORDS).map(|n| word(n * 7 + 3)).collect();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let key = || zeroize::Zeroizing::new([7; 32]);
    let index = Index::open(folder.path(), key()).expect("opened");
    let (mut octets, mut text) = (0usize, 0usize);
    let (mut reading, mut adding, mut merging) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for from in (0..count).step_by(BATCH) {
        let messages: Vec<(u64, Vec<u8>)> =
            (from..count.min(from + BATCH as u64)).map(|i| (i, message(i, &vocabulary))).collect();
        octets += messages.iter().map(|(_, m)| m.len()).sum::<usize>();
        let start = processor();
        let documents: Vec<(u64, Document)> = messages.iter().map(|(i, m)| (*i, Document::of(m))).collect();
        reading += processor() - start;
        text += documents.iter().map(|(_, d)| d.size()).sum::<usize>();
        let start = processor();
        index.add(documents).expect("added");
        adding += processor() - start;
        let start = processor();
        while index.merge_some(&|_| true, false).expect("merged") {}
        merging += processor() - start;
    }
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
        "processor per message: {:.0} µs reading + {:.0} µs adding + {:.0} µs merging",
        per(reading),
        per(adding),
        per(merging)
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
        ("BODY phrase of common words", Place::Body, "papa mapa"),
        ("BODY phrase of pieces", Place::Body, "e d"),
        ("BODY phrase, ends of words", Place::Body, "e "),
        ("BODY phrase, four words", Place::Body, "ma pa tipa mapa"),
        ("BODY phrase, absent", Place::Body, "Monsieur Bonjour"),
        ("TEXT all phrase", Place::Text, "du patient"),
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
        let (mut times, mut spent) = (Vec::new(), Vec::new());
        let mut found = 0;
        for _ in 0..7 {
            let (start, before) = (Instant::now(), processor());
            let answer = index.seek(&sought, &bodies);
            times.push(start.elapsed());
            spent.push(processor().saturating_sub(before));
            assert!(answer.unknown.is_empty());
            found = answer.matching[0].count();
        }
        times.sort();
        spent.sort();
        let ms = |d: Duration| d.as_secs_f64() * 1000.0;
        println!(
            "{what:28} {found:6} found  median {:8.1} ms, best {:8.1} ms; processor {:8.1} ms",
            ms(times[3]),
            ms(times[0]),
            ms(spent[3])
        );
    }
    // The index against the scan, on a sample.
    for text in ["consul", "aiguille", "moitié des", "4242"] {
        let sought = [Sought { place: Place::Text, text: text.to_owned() }];
        let found = index.seek(&sought, &bodies);
        for i in (0..count).step_by(97) {
            assert_eq!(Scan::all(&message(i, &vocabulary), &sought)[0], found.matching[0].has(i as u32));
        }
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|l| l.starts_with("VmHWM") || l.starts_with("VmRSS")) {
        println!("{line}");
    }
}
