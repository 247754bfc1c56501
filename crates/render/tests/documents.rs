//! Documents shown on the three: what must be there is, what must not is not, what is hostile ends quickly.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mssante::XmlError;
use mssante::cda::CdaError;
use proptest::prelude::*;
use render::RenderError;

const N1: &str = include_str!("../../../tests/fixtures/cda-n1-biologie.xml");
const N3: &str = include_str!("../../../tests/fixtures/cda-n3-consultation.xml");
const LETTER: &str = include_str!("../../../tests/fixtures/cda-n3-lettre-liaison.xml");
/// Official examples, on the machines of the project only.
const SAMPLES: &str = "/work/shared/samples/cda";
/// The work any hostile document of these tests may be, built without optimisation.
const MUCH: Duration = Duration::from_secs(20);

/// The letter with another narrative in its first section.
fn narrative(text: &str) -> String {
    let start = LETTER.find("<text>").expect("a section") + "<text>".len();
    let end = LETTER.find("</text>").expect("a section");
    format!("{}{text}{}", &LETTER[..start], &LETTER[end..])
}

/// The level 1 document with another file inside.
fn embedded(attributes: &str, content: &str) -> String {
    let start = N1.find("<text mediaType").expect("a file");
    let end = N1.find("</text>").expect("a file");
    format!("{}<text {attributes}>{content}{}", &N1[..start], &N1[end..])
}

fn main_of(html: &str) -> &str {
    &html[html.find("<main>").expect("a page")..]
}

#[test]
fn the_embedded_pdf_comes_out_octet_for_octet() {
    // ECO.2.1.5
    let pdf = render::pdf(N1.as_bytes()).expect("a PDF inside");
    let encoded: String = N1
        [N1.find("representation=\"B64\">").expect("there") + 21..N1.find("</text>").expect("there")]
        .split_whitespace()
        .collect();
    assert_eq!(pdf, STANDARD.decode(&encoded).expect("ours"));
    assert!(pdf.starts_with(b"%PDF-1.4"));
    // The three compressions that HL7 shares with everybody.
    let wrapped = |name: &str, bytes: Vec<u8>| {
        let text = embedded(
            &format!("mediaType=\"application/pdf\" representation=\"B64\" compression=\"{name}\""),
            &STANDARD.encode(bytes),
        );
        render::pdf(text.as_bytes())
    };
    let squeeze = |mut encoder: Box<dyn std::io::Read>| {
        let mut bytes = Vec::new();
        encoder.read_to_end(&mut bytes).expect("in memory");
        bytes
    };
    let level = flate2::Compression::best();
    let source = || std::io::Cursor::new(pdf.clone());
    for (name, bytes) in [
        ("DF", squeeze(Box::new(flate2::read::DeflateEncoder::new(source(), level)))),
        ("ZL", squeeze(Box::new(flate2::read::ZlibEncoder::new(source(), level)))),
        ("GZ", squeeze(Box::new(flate2::read::GzEncoder::new(source(), level)))),
    ] {
        assert_eq!(wrapped(name, bytes.clone()), Ok(pdf.clone()), "{name}");
        assert_eq!(wrapped("Z", bytes), Err(RenderError::Embedded));
    }
    assert_eq!(wrapped("DF", vec![0xff; 9]), Err(RenderError::Embedded));
}

#[test]
fn an_embedded_file_that_lies_or_is_of_another_kind() {
    let pdf = |attributes: &str, content: &str| render::pdf(embedded(attributes, content).as_bytes());
    let b64 = "representation=\"B64\"";
    assert_eq!(pdf(&format!("mediaType=\"application/pdf\" {b64}"), "AAAA"), Err(RenderError::NotAnnounced));
    assert_eq!(pdf(&format!("mediaType=\"application/pdf\" {b64}"), "%%%"), Err(RenderError::Embedded));
    assert_eq!(pdf("mediaType=\"application/pdf\"", ""), Err(RenderError::Embedded));
    assert_eq!(
        pdf("mediaType=\"application/pdf\"", "<reference value=\"file:///etc/passwd\"/>"),
        Err(RenderError::Embedded)
    );
    assert_eq!(pdf(&format!("mediaType=\"application/msword\" {b64}"), "AAAA"), Err(RenderError::MediaType));
    assert_eq!(pdf(&format!("mediaType=\"image/png\" {b64}"), "AAAA"), Err(RenderError::NotAnnounced));
    // A text is drawn, its lines kept.
    let drawn = embedded("mediaType=\"text/plain\"", "Bonjour\n  colonne   deux\n\nFin &lt;script&gt;");
    assert!(render::pdf(drawn.as_bytes()).expect("drawn").starts_with(b"%PDF-1.4"));
    let html = render::html(drawn.as_bytes()).expect("shown");
    assert!(main_of(&html).contains("Bonjour<br>") && html.contains("Fin &lt;script&gt;"), "{html}");
    // A bomb of a thousandfold stops at the limit.
    let mut bomb = Vec::new();
    let zeros = std::io::Read::take(std::io::repeat(b'%'), 64 * 1024 * 1024);
    std::io::Read::read_to_end(&mut flate2::read::ZlibEncoder::new(zeros, flate2::Compression::best()), &mut bomb)
        .expect("in memory");
    let bomb = STANDARD.encode(bomb);
    assert_eq!(pdf(&format!("mediaType=\"text/plain\" {b64} compression=\"ZL\""), &bomb), Err(RenderError::Limit));
}

#[test]
fn all_that_the_narrative_says_is_shown() {
    let html = render::html(N3.as_bytes()).expect("shown");
    for expected in [
        "<h1>Compte rendu de consultation</h1>",
        "<dt>INS</dt><dd>2 55 06 99 999 999 34 (NIR de test)</dd>",
        "<dt>Auteur</dt><dd>Marie MARTIN (Médecin - Qualifié en Médecine Générale (SM)), Hôpital Alpha d&#39;essai, le 04/03/2025 à 18:00</dd>",
        "<h2>Constantes</h2>",
        "<caption><b>Constantes à l&#39;entrée</b><sup><a href=\"#note-1\">[1]</a></sup></caption>",
        "<th rowspan=\"2\">Mesure</th><th colspan=\"2\" class=\"center\">Valeurs</th>",
        "SpO<sub>2</sub> ≥ 94 %",
        "mmol·L<sup>-1</sup>",
        "<span id=\"a-0\"></span>Pression",
        "<i><u>conservé</u></i>",
        "<a href=\"#a-0\">la pression</a>",
        "<s>souffle</s> <u>pas de souffle</u>",
        "<ol class=\"little-roman\">",
        "<li>Surveillance",
        "alt=\"Schéma (fictif)\"",
        "[image non affichable : voir le document d&#39;origine]",
        "<h3>Peau et phanères</h3>",
        "<li id=\"note-1\"><p>Mesurées au repos, au bras gauche.</p>",
    ] {
        assert!(html.contains(expected) || html.replace("<li><p>", "<li>").contains(expected), "{expected}\n{html}");
    }
    let text = render::text(N3.as_bytes()).expect("shown");
    for expected in
        ["COMPTE RENDU DE CONSULTATION", "132/78 mmHg", "mmol·L^-1", "[supprimé : souffle]", "  ii. Contrôle"]
    {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
    // Narrow terminals get the table cell by cell; nothing is lost.
    let narrow = render::text_in(N3.as_bytes(), 30).expect("shown");
    assert!(narrow.contains("Pression artérielle") && narrow.contains("132/78 mmHg"), "{narrow}");
}

#[test]
fn a_page_reaches_nobody_and_runs_nothing() {
    let hostile = narrative(
        "<paragraph onclick=\"alert(1)\" style=\"background:url(http://x.invalid/)\">&lt;script&gt;alert(1)&lt;/script&gt;\
         <linkHtml href=\"javascript:alert(1)\">a</linkHtml><linkHtml href=\"http://x.invalid/\">b</linkHtml>\
         <linkHtml href=\"#nowhere\">c</linkHtml><script xmlns=\"http://www.w3.org/1999/xhtml\">alert(2)</script>\
         <content styleCode=\"Bold&quot;onload=&quot;x\" ID=\"&quot;&gt;&lt;img\">d</content><linkHtml href='#\"&gt;&lt;img'>e</linkHtml>\
         <img src=\"http://x.invalid/i.png\"/><renderMultiMedia referencedObject=\"http://x.invalid\"/>\u{202E}\u{9B}31m</paragraph>",
    );
    let html = render::html(hostile.as_bytes()).expect("shown");
    let body = main_of(&html);
    for forbidden in
        ["<script", "onclick", "style=", "javascript:", "href=\"http", "<img", "src=", "\u{202E}", "\u{9B}"]
    {
        assert!(!body.contains(forbidden), "{forbidden}: {body}");
    }
    // Its letters are kept all the same.
    assert!(body.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && body.contains("alert(2)"), "{body}");
    assert!(body.contains("b (http://x.invalid/)") && body.contains("<a href=\"#a-1\">e</a>"), "{body}");
    let policy = html.find("Content-Security-Policy").expect("a policy");
    assert!(policy < html.find("<style>").expect("a sheet"));
    assert!(html.contains("default-src 'none'; img-src data:; style-src 'sha256-"));
    let text = render::text(hostile.as_bytes()).expect("shown");
    assert!(!text.contains(['\u{9B}', '\u{202E}', '\u{1B}']));
    assert!(render::pdf(hostile.as_bytes()).is_ok());
}

#[test]
fn the_policy_names_the_style_sheet_that_is_there() {
    let html = render::html(N3.as_bytes()).expect("shown");
    let sheet = &html[html.find("<style>").expect("a sheet") + 7..html.find("</style>").expect("a sheet")];
    let hash = STANDARD.encode(openssl::sha::sha256(sheet.as_bytes()));
    assert!(html.contains(&format!("'sha256-{hash}'")));
}

#[test]
fn a_table_longer_than_a_page_repeats_its_head() {
    let mut rows = String::from("<table><thead><tr><th>Heading</th><th>B</th></tr></thead><tbody>");
    for row in 0..200 {
        let _ = write!(rows, "<tr><td>Ligne {row}</td><td>{}</td></tr>", "mot ".repeat(20));
    }
    // One row higher than a page, and one that spans.
    let _ = write!(rows, "<tr><td rowspan=\"3\">haut</td><td>{}</td></tr>", "long ".repeat(6000));
    rows += "<tr><td>x</td></tr><tr><td>y</td></tr></tbody></table>";
    let pdf = render::pdf(narrative(&rows).as_bytes()).expect("drawn");
    assert!(pages(&pdf) >= 10, "{} pages", pages(&pdf));
    assert_eq!(render::pdf(narrative(&rows).as_bytes()).expect("again"), pdf, "the same octets");
}

/// Pages of a file that krilla wrote.
fn pages(pdf: &[u8]) -> usize {
    pdf.windows(b"/Type/Page/".len()).filter(|w| *w == b"/Type/Page/").count()
        + pdf.windows(b"/Type /Page\n".len()).filter(|w| w.starts_with(b"/Type /Page") && !w.ends_with(b"s")).count()
}

#[test]
fn hostile_narratives_end_quickly() {
    let nested = format!("{}x{}", "<table><tr><td>".repeat(30), "</td></tr></table>".repeat(30));
    let lists = format!("{}x{}", "<list><item>".repeat(40), "</item></list>".repeat(40));
    let contents = format!("{}x{}", "<content styleCode='Bold'>".repeat(180), "</content>".repeat(180));
    let wide = format!("<table><tr>{}</tr></table>", "<td colspan='999999999' rowspan='999999999'>x</td>".repeat(3000));
    let cells = format!("<table>{}</table>", "<tr><td/><td/></tr>".repeat(30_000));
    let word = "m".repeat(300_000);
    let breaks = "x<br/>".repeat(60_000);
    let large = "mot ".repeat(1_200_000);
    let letters = "\u{1F600}e\u{301}".repeat(20_000);
    let notes = "<footnote ID='n'>a</footnote><footnoteRef IDREF='n'/>".repeat(5_000);
    for (name, text, refused) in [
        ("nested tables", nested, false),
        ("nested lists", lists, false),
        ("nested contents", contents, true),
        ("wide cells", wide, false),
        ("cells", cells, true),
        ("a word", word, false),
        ("line ends", breaks, true),
        ("text", large, true),
        ("letters without a form", letters, false),
        ("notes", notes, false),
    ] {
        let document = narrative(&text);
        let work = patience::Work::begin();
        let (html, text, pdf) =
            (render::html(document.as_bytes()), render::text(document.as_bytes()), render::pdf(document.as_bytes()));
        let took = work.spent();
        assert!(took < MUCH, "{name}: {took:?}");
        assert_eq!(pdf.is_err(), refused, "{name}: {:?}", pdf.err());
        let bound = 20 * document.len() + 64 * 1024;
        assert!(html.is_ok_and(|h| h.len() < bound) || refused, "{name}");
        assert!(text.is_ok_and(|t| t.len() < 40 * document.len() + 64 * 1024) || refused, "{name}");
    }
}

#[test]
fn what_is_not_a_document_is_refused_by_its_reason() {
    let xml = |error| Err(RenderError::Cda(CdaError::Xml(error)));
    assert_eq!(render::pdf(b"<a"), xml(XmlError::Truncated));
    assert_eq!(render::pdf(&N3.as_bytes()[..N3.len() / 2]), xml(XmlError::Truncated));
    assert_eq!(render::pdf(b"<!DOCTYPE a><a/>"), xml(XmlError::Doctype));
    assert_eq!(render::pdf(b"<a/>"), Err(RenderError::Cda(CdaError::NotCda)));
    let start = LETTER.find("<structuredBody>").expect("there");
    let end = LETTER.find("</structuredBody>").expect("there");
    let empty = format!("{}{}", &LETTER[..start + 16], &LETTER[end..]);
    assert_eq!(render::pdf(empty.as_bytes()), Err(RenderError::Empty));
    assert_eq!(render::html(empty.as_bytes()), Err(RenderError::Empty));
}

#[test]
fn the_official_examples_are_shown() {
    if !Path::new(SAMPLES).is_dir() {
        return;
    }
    for entry in std::fs::read_dir(SAMPLES).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let document = std::fs::read(&path).expect("a readable file");
        let pdf = render::pdf(&document).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(pdf.starts_with(b"%PDF-1."), "{}", path.display());
        let text = render::text(&document).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(text.contains("INS") || path.to_string_lossy().contains("CSE-MDE"), "{text}");
        let html = render::html(&document).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        // The image of the prescription, a PNG that says it is a JPEG.
        assert_eq!(main_of(&html).contains("<img src=\"data:image/png"), path.to_string_lossy().contains("eP-MED"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_narrative_is_shown_or_refused(parts in proptest::collection::vec((0usize..14, "[a-zé<&\u{1}\u{2028}αµ ]{0,12}"), 0..24)) {
        const ELEMENTS: [&str; 14] = [
            "paragraph", "list", "item", "table", "thead", "tbody", "tr", "td", "th", "content", "sub", "caption", "footnote", "linkHtml",
        ];
        let mut text = String::new();
        let mut open = Vec::new();
        for (element, letters) in parts {
            let _ = write!(text, "<{} ID='i{element}' href='#i3' colspan='{element}' rowspan='2'>", ELEMENTS[element]);
            let letters: String = letters.chars().filter(|c| !matches!(c, '<' | '&' | '\u{1}')).collect();
            text.push_str(&letters);
            open.push(ELEMENTS[element]);
            if element % 3 == 0 {
                let _ = write!(text, "</{}>", open.pop().expect("one is open"));
            }
        }
        while let Some(element) = open.pop() {
            let _ = write!(text, "</{element}>");
        }
        let document = narrative(&text);
        for shown in [render::html(document.as_bytes()), render::text(document.as_bytes())] {
            prop_assert!(shown.is_ok(), "{:?}", shown);
        }
        prop_assert!(render::pdf(document.as_bytes()).is_ok());
        // Every link leads somewhere.
        let html = render::html(document.as_bytes()).expect("shown");
        for link in html.match_indices("href=\"#").map(|(at, found)| &html[at + found.len()..]) {
            let target = &link[..link.find('"').expect("closed")];
            let target = format!("id=\"{target}\"");
            prop_assert!(html.contains(&target), "{} in {}", target, html);
        }
    }
}
