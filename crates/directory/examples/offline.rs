//! What the offline index costs: time and memory to make it of an extraction of 535,000 generated lines, time of a search.
//! `cargo run --release -p directory --example offline [LINES] [FOLDER]`; docs/adr/0020 has what was measured.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use directory::{Index, Query};
use mssante::MailboxKind;

const HEADER: &str = "Type de BAL|Adresse BAL|Type Identifiant PP|Identifiant PP|Identification nationale PP|\
    Type identifiant structure|Identification Structure|Service de rattachement|Civilité d'exercice|Nom d'exercice|\
    Prénom d'exercice|Catégorie profession|Libellé de catégorie profession|Code Profession|Libellé Profession|Code savoir-faire|\
    Libellé savoir-faire|Dématérialisation|Raison Sociale structure BAL|Enseigne commerciale structure BAL|\
    L2COMPLEMENTLOCALISATION|L3COMPLEMENTDISTRIBUTION|L4NUMEROVOIE|L4COMPLEMENTNUMEROVOIE|NL4TYPEVOIE|L4LIBELLEVOIE|\
    L5LIEUDITMENTION|L6LIGNEACHEMINEMENT|Code postal|Département|Pays";

/// Numbers that look like chance and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    /// Small numbers far more often, as names are distributed.
    fn uneven(&mut self, end: u64) -> u64 {
        let first = self.below(end) + 1;
        self.below(first)
    }

    fn word(&mut self, number: u64) -> String {
        const PARTS: [&str; 16] =
            ["mar", "ber", "du", "lau", "ron", "set", "vil", "go", "pe", "tin", "é", "ri", "son", "cha", "mé", "val"];
        let mut word = String::new();
        let mut left = number + 16;
        while left > 0 {
            word.push_str(PARTS[(left % 16) as usize]);
            left /= 16;
        }
        word.to_uppercase()
    }
}

fn generate(path: &Path, lines: u64) -> std::io::Result<()> {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path)?);
    let mut dice = Dice(7);
    writeln!(out, "{HEADER}")?;
    for at in 0..lines {
        let (family, given) = (dice.uneven(120_000), dice.uneven(4_000));
        let (family, given) = (dice.word(family), dice.word(given));
        let structure = dice.uneven(60_000);
        let (name, city) = (dice.word(structure * 7), dice.word(structure % 20_000 + 500));
        let postal = 1_000 + structure * 31 % 94_000;
        let local = format!("{family}.{given}.{at}").replace('É', "e").to_lowercase();
        let skill = dice.uneven(70) + 1;
        if dice.below(100) < 85 {
            let rpps = 10_000_000_000 + at * 7;
            writeln!(
                out,
                "PER|{local}@structure{structure}.mssante.fr|8|{rpps}|8{rpps}|1|{:09}||DR|{family}|{given}|C|Civil|\
                 {}|Profession|SM{skill:02}|Spécialité {skill}|O|CENTRE HOSPITALIER {name}|CH {name}|||{}||RUE|DE {city}||\
                 {postal:05} {city}|{postal:05}||France",
                structure + 100_000_000,
                [10, 60, 70, 21, 40][dice.uneven(5) as usize],
                at % 90,
            )?;
        } else {
            writeln!(
                out,
                "ORG|service{at}@structure{structure}.mssante.fr||||1|{:09}|Service {}||||||||||N|CENTRE HOSPITALIER {name}|\
                 ||||||||{postal:05} {city}|{postal:05}||France",
                structure + 100_000_000,
                dice.word(at % 200),
            )?;
        }
    }
    out.flush()
}

/// Processor time of this process, which a busy machine does not stretch.
fn processor() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let ns = text.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or_default();
    Duration::from_nanos(ns)
}

/// A line of `/proc/self/status`, in KB.
fn memory(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    line.and_then(|line| line.split_whitespace().next()).and_then(|kb| kb.parse().ok()).unwrap_or_default()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let lines = arguments.next().map_or(Ok(535_000), |text| text.parse())?;
    let folder = arguments.next().unwrap_or_else(|| "/tmp/directory-offline".to_owned());
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    let (text, path) = (folder.join("extraction.txt"), folder.join("index"));
    generate(&text, lines)?;
    println!("{lines} lines, {} MB", std::fs::metadata(&text)?.len() / 1_000_000);
    let (start, used, before) = (Instant::now(), processor(), memory("VmRSS:"));
    let facts = directory::extraction::take_in(&text, &path, SystemTime::now())?;
    println!(
        "made in {:.2} s ({:.2} s of processor), {} MB at most; {} entries, {} refused, {} MB on disk",
        start.elapsed().as_secs_f64(),
        (processor() - used).as_secs_f64(),
        (memory("VmHWM:") - before) / 1_000,
        facts.entries,
        facts.refused,
        std::fs::metadata(&path)?.len() / 1_000_000
    );
    let start = Instant::now();
    for _ in 0..20 {
        Index::open(&path)?;
    }
    let before = memory("VmRSS:");
    let opened = start.elapsed() / 20;
    let index = Index::open(&path)?;
    println!("opened in {:.2} ms, {} KB kept", opened.as_secs_f64() * 1e3, memory("VmRSS:").saturating_sub(before));

    let entry = index.find(&Query { place: "69".parse().ok(), kinds: vec![MailboxKind::Per], ..Query::default() })?;
    let entry = entry.entries.get(20).ok_or("nobody in 69")?;
    let person = entry.person.as_ref().ok_or("a person")?;
    let some = |text: &str| Some(text.to_owned());
    let start_of = |text: &str, count: usize| Some(text.chars().take(count).collect::<String>());
    let place = |text: &str| text.parse().ok();
    let site = &entry.sites[0];
    let queries: Vec<(&str, Query)> = vec![
        ("name", Query::by_name(person.family.as_str())),
        ("name, first name", Query { given: some(&person.given), ..Query::by_name(person.family.as_str()) }),
        ("three letters of a name", Query { name: start_of(&person.family, 3), ..Query::default() }),
        ("one letter of a name", Query { name: start_of(&person.family, 1), ..Query::default() }),
        (
            "one letter of a name, département",
            Query { name: start_of(&person.family, 1), place: place("69"), ..Query::default() },
        ),
        ("speciality, département", Query { speciality: some("cardio"), place: place("69"), ..Query::default() }),
        ("profession", Query { profession: some("medecin"), ..Query::default() }),
        ("profession, city", Query { profession: some("medecin"), place: place(&site.city), ..Query::default() }),
        ("structure", Query { structure: site.structure.parse().ok(), ..Query::default() }),
        ("FINESS", Query { structure: site.structure_id.parse().ok(), ..Query::default() }),
        ("RPPS", Query { rpps: entry.rpps().map(str::to_owned), ..Query::default() }),
        ("address", Query::by_address(&entry.address)),
        ("nobody", Query { given: some("zzzz"), ..Query::by_name(person.family.as_str()) }),
    ];
    println!("{:<36} {:>8} {:>10} {:>14}", "search, first 50", "found", "median µs", "processor µs");
    for (what, query) in queries {
        let (mut times, used) = (Vec::new(), processor());
        let mut found = 0;
        let until = Instant::now() + Duration::from_millis(500);
        while times.len() < 20 || (Instant::now() < until && times.len() < 2_000) {
            let start = Instant::now();
            found = index.find(&query)?.entries.len();
            times.push(start.elapsed());
        }
        times.sort();
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        let each = (processor() - used) / times.len() as u32;
        println!("{what:<36} {found:>8} {:>10.0} {:>14.0}", us(times[times.len() / 2]), us(each));
    }
    Ok(())
}
