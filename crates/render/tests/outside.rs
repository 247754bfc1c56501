//! The PDF copies read by programs that nobody here wrote: qpdf, Poppler, and Apache Preflight, which knows the rules of PDF/A-1b.

use std::path::{Path, PathBuf};
use std::process::Command;

const N3: &str = include_str!("../../../tests/fixtures/cda-n3-consultation.xml");
const LETTER: &str = include_str!("../../../tests/fixtures/cda-n3-lettre-liaison.xml");
/// Official examples, on the machines of the project only.
const SAMPLES: &str = "/work/shared/samples/cda";
/// The libraries of Debian's libpdfbox2-java and of what it needs.
const JARS: &str = "/usr/share/java";

/// What a program prints; it must succeed. The packages come with ./test.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|e| panic!("{program}: {e} (./test installs it)"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The level 3 documents at hand, drawn into a folder.
fn copies(folder: &Path) -> Vec<PathBuf> {
    let mut documents = vec![("consultation".to_owned(), N3.as_bytes().to_vec()), ("letter".to_owned(), LETTER.into())];
    if Path::new(SAMPLES).is_dir() {
        for entry in std::fs::read_dir(SAMPLES).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            // The level 1 example wraps a PDF of its own, which is what it is.
            if !name.contains("Niveau-1") {
                documents.push((name, std::fs::read(&path).expect("a readable file")));
            }
        }
    }
    let write = |(name, bytes): (String, Vec<u8>)| {
        let path = folder.join(format!("{name}.pdf"));
        std::fs::write(&path, render::pdf(&bytes).expect("drawn")).expect("written");
        path
    };
    let mut copies: Vec<PathBuf> = documents.into_iter().map(write).collect();
    let path = folder.join("sheet.pdf");
    std::fs::write(&path, sheet().pdf().expect("drawn")).expect("written");
    copies.push(path);
    copies
}

/// What a program has to say: several pages of it.
fn sheet() -> render::sheet::Sheet {
    use render::sheet::{Piece, Sheet};
    let row =
        |at: usize| vec![format!("TLS-{at:02}"), "conforme ✓ ≥ 2048".to_owned(), "Observé\nsur deux lignes".to_owned()];
    Sheet {
        title: "Rapport de contrôle".to_owned(),
        subject: "Opérateur d'essai".to_owned(),
        foot: "Établi par un programme".to_owned(),
        author: "Vaguemestre".to_owned(),
        date: time::OffsetDateTime::UNIX_EPOCH,
        pieces: vec![
            Piece::Strong("Non conforme (majeure)".to_owned()),
            Piece::Heading(1, "Périmètre".to_owned()),
            Piece::Facts(vec![
                ("Plan".to_owned(), "api-lps".to_owned()),
                ("Cibles".to_owned(), "une\ndeux".to_owned()),
            ]),
            Piece::Paragraph("Des mots.".to_owned()),
            Piece::Table {
                caption: "Variantes".to_owned(),
                head: vec!["Cas".to_owned(), "Verdict".to_owned(), "Observé".to_owned()],
                rows: (0..120).map(row).collect(),
            },
        ],
    }
}

#[test]
fn others_read_the_copies() {
    let folder = tempfile::tempdir().expect("a folder");
    for path in copies(folder.path()) {
        let file = path.to_str().expect("UTF-8");
        run("qpdf", &["--check", file]);
        // Every font embedded, as a subset, with what text search needs.
        for font in run("pdffonts", &[file]).lines().skip(2) {
            let about: Vec<&str> = font.split_whitespace().rev().collect();
            assert_eq!(about[2..5], ["yes", "yes", "yes"], "{font}");
        }
    }
    let file = folder.path().join("sheet.pdf");
    let text = run("pdftotext", &["-layout", file.to_str().expect("UTF-8"), "-"]);
    for expected in [
        "Rapport de contrôle",
        "Non conforme (majeure)",
        "api-lps",
        "TLS-119",
        "sur deux lignes",
        "Opérateur d'essai",
        "Page 2 /",
    ] {
        assert!(text.contains(expected), "{expected} not in:\n{text}");
    }
    // The head of the table stands on each page.
    assert!(text.matches("Verdict").count() >= 3, "{text}");
    let file = folder.path().join("consultation.pdf");
    let text = run("pdftotext", &["-layout", file.to_str().expect("UTF-8"), "-"]);
    // ECO.2.1.5: title, type, date, author, organisation, and the narrative.
    for expected in [
        "Compte rendu de consultation",
        "CR ou fiche de consultation ou de visite",
        "04/03/2025 à 18:00",
        "Marie MARTIN",
        "Hôpital Alpha d'essai",
        "COURRIER-ESSAI JEANNE",
        "2 55 06 99 999 999 34",
        "α-fœtoprotéine 3 µg/L",
        "≥ 94 %",
        "→ stable",
        "tension chaque jour",
        "Mesurées au repos, au bras gauche.",
        "Page 1 / 1",
    ] {
        assert!(text.contains(expected), "{expected} not in:\n{text}");
    }
    let about = run("pdfinfo", &[file.to_str().expect("UTF-8")]);
    for expected in ["Compte rendu de consultation", "Marie MARTIN Hôpital Alpha d'essai", "A4", "PDF version:     1.4"]
    {
        assert!(about.contains(expected), "{about}");
    }
}

#[test]
fn the_copies_are_valid_pdf_a_1b() {
    let jars: Vec<String> =
        ["preflight", "pdfbox2", "xmpbox", "fontbox2", "commons-logging", "commons-io", "javax.activation", "jaxb-api"]
            .iter()
            .map(|jar| format!("{JARS}/{jar}.jar"))
            .collect();
    if !jars.iter().all(|jar| Path::new(jar).is_file()) {
        eprintln!("no Apache Preflight here: ./test installs it");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for path in copies(folder.path()) {
        let file = path.to_str().expect("UTF-8");
        let verdict = run("java", &["-cp", &jars.join(":"), "org.apache.pdfbox.preflight.Validator_A1b", file]);
        assert!(verdict.contains("is a valid PDF/A-1b file"), "{verdict}");
    }
    // The validator is not a yes-man: a PDF without an embedded font is none.
    let path = folder.path().join("plain.pdf");
    let plain = include_str!("../../../tests/fixtures/cda-n1-biologie.xml");
    std::fs::write(&path, render::pdf(plain.as_bytes()).expect("inside")).expect("written");
    let output = Command::new("java")
        .args(["-cp", &jars.join(":"), "org.apache.pdfbox.preflight.Validator_A1b", path.to_str().expect("UTF-8")])
        .output()
        .expect("runs");
    assert!(String::from_utf8_lossy(&output.stdout).contains("not a valid"), "{output:?}");
}
