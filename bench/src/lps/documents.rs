//! Health documents: archives built and opened per second with a CDA of 100 KB, PDF copies and pages of HTML drawn per second, whole sets
//! prepared for a mail.

use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

use lps::documents::{Audience, DocumentSet, Given, Preparation};
use mssante::xdm;

const LETTER: &str = include_str!("../../../tests/fixtures/cda-n3-lettre-liaison.xml");
const SMALL: &str = include_str!("../../../tests/fixtures/cda-n3-consultation.xml");
/// Octets of the large document: issue 4.
const SIZE: usize = 100_000;
/// How long each measure lasts.
const LASTS: Duration = Duration::from_secs(2);

/// A letter whose narrative has tables of results until it has 100 KB.
fn large() -> Vec<u8> {
    let start = LETTER.find("<text>").expect("a section") + "<text>".len();
    let end = LETTER.find("</text>").expect("a section");
    let mut narrative = String::from(
        "<table><thead><tr><th>Examen</th><th>Résultat</th><th>Valeurs de référence</th></tr></thead><tbody>",
    );
    let mut line = 0;
    while LETTER.len() + narrative.len() < SIZE {
        line += 1;
        let _ = write!(
            narrative,
            "<tr><td>Examen n° {line} (sérum)</td><td>{},{} mmol/L</td><td>3,5 – 5,1 selon l'âge et le sexe du patient</td></tr>",
            line % 9,
            line % 7
        );
    }
    format!("{}{narrative}</tbody></table>{}", &LETTER[..start], &LETTER[end..]).into_bytes()
}

/// How many times per second something is done, over [`LASTS`].
fn rate(mut act: impl FnMut()) -> f64 {
    act();
    let (begun, mut times) = (Instant::now(), 0u32);
    while begun.elapsed() < LASTS {
        act();
        times += 1;
    }
    f64::from(times) / begun.elapsed().as_secs_f64()
}

/// Measures and prints.
pub fn run() -> Result<(), String> {
    let document = large();
    let how = Preparation {
        sender: xdm::Sender {
            name: "Dr Marie MARTIN".to_owned(),
            organization: "Hôpital Alpha".to_owned(),
            postal_address: None,
            phone: None,
        },
        software: xdm::Software { name: "bench".to_owned(), version: "1".to_owned(), vendor: "bench".to_owned() },
        source_id: "1.2.250.1.999.1.1".to_owned(),
        content_type: None,
        created: time::OffsetDateTime::UNIX_EPOCH,
        audience: Audience::Professionals,
        allow_unqualified: false,
    };
    let documents: [&[u8]; 1] = [&document];
    let package = xdm::Package {
        documents: &documents,
        sender: how.sender.clone(),
        software: how.software.clone(),
        source_id: &how.source_id,
        content_type: None,
        created: how.created,
    };
    let archive = xdm::build(&package).map_err(|e| e.to_string())?.archive;
    xdm::open(&archive).map_err(|e| e.to_string())?;
    let large_pdf = render::pdf(&document).map_err(|e| e.to_string())?;
    eprintln!(
        "a document of {} octets: an archive of {}, a copy of {}",
        document.len(),
        archive.len(),
        large_pdf.len()
    );
    let given = [Given::bytes(document.clone())];
    DocumentSet::prepare(&given, &how).map_err(|e| e.to_string())?;
    let print = |what: &str, value: f64| println!("{what:<45} {value:>8.0} per second");
    println!(
        "a document of {} octets: an archive of {}, a copy of {}; one thread",
        document.len(),
        archive.len(),
        large_pdf.len()
    );
    print("XDM built, CDA of 100 KB", rate(|| drop(black_box(xdm::build(&package)))));
    print("XDM opened and checked, CDA of 100 KB", rate(|| drop(black_box(xdm::open(&archive)))));
    print("PDF/A of one page", rate(|| drop(black_box(render::pdf(SMALL.as_bytes())))));
    print("PDF/A of a CDA of 100 KB", rate(|| drop(black_box(render::pdf(&document)))));
    print("HTML of a CDA of 100 KB", rate(|| drop(black_box(render::html(&document)))));
    print("text of a CDA of 100 KB", rate(|| drop(black_box(render::text(&document)))));
    print("set prepared for a mail, CDA of 100 KB", rate(|| drop(black_box(DocumentSet::prepare(&given, &how)))));
    Ok(())
}
