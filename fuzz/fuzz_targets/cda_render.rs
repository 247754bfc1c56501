//! The narrative of a CDA, or a whole document, shown as HTML, as text and as PDF.
#![no_main]

use libfuzzer_sys::fuzz_target;

const LETTER: &str = include_str!("../../tests/fixtures/cda-n3-lettre-liaison.xml");

// The first octet tells what the rest is: the narrative of a section, what follows it (entries, other sections), or all.
fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else { return };
    let document = match kind % 3 {
        0 => between("<text>", "</text>", rest),
        1 => between("<structuredBody>", "</structuredBody>", rest),
        _ => rest.to_vec(),
    };
    let (html, text, pdf) = (render::html(&document), render::text(&document), render::pdf(&document));
    assert_eq!(html.is_ok(), text.is_ok());
    if let Ok(html) = html {
        let body = &html[html.find("<main>").expect("a page")..];
        for forbidden in ["<script", "<style", " style=", " on", "javascript:\"", "href=\"h", "src=\"h"] {
            // Inside tags only: letters are letters.
            for tag in body.split('<').skip(1).filter_map(|tag| tag.split('>').next()) {
                let tag = format!("<{}", tag.split("alt=\"").next().unwrap_or(tag));
                assert!(!tag.contains(forbidden), "{tag}");
            }
        }
    }
    if let Ok(text) = text {
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
    }
    if let Ok(pdf) = pdf {
        assert!(pdf.starts_with(b"%PDF-"));
    }
});

fn between(open: &str, close: &str, content: &[u8]) -> Vec<u8> {
    let start = LETTER.find(open).expect("there") + open.len();
    let end = LETTER.find(close).expect("there");
    [&LETTER.as_bytes()[..start], content, &LETTER.as_bytes()[end..]].concat()
}
