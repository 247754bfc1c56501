//! Messages made to make the indexer slow or large: HTML that closes nothing, archives that inflate to a thousand times their
//! size, headers and parts without end, parts that are inside themselves. Time grows with the size, memory is bounded.

#[path = "../../mail/tests/hostile/cyclic.rs"]
mod cyclic;

use std::io::Write;
use std::time::Duration;

use mail::sought::{Place, Sought};
use patience::Work;
use search::{Document, Scan, matches};

/// More work than this grows faster than the message; without optimisation: some megabytes a second.
const MUCH: Duration = Duration::from_secs(20);

/// The most memory this process ever had, in octets.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).expect("a figure");
    let kilo: usize = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number");
    kilo * 1024
}

fn looked_through(what: &str, message: &[u8]) {
    let work = Work::begin();
    let document = Document::of(message);
    assert!(matches(&document, &Sought { place: Place::Body, text: "introuvable".into() }) != Some(true), "{what}");
    let sought = Sought { place: Place::Body, text: "introuvable".into() };
    assert_eq!(Scan::all(message, &[sought]), [false], "{what}");
    let took = work.spent();
    eprintln!("{what}: {} octets, {took:?}", message.len());
    assert!(took < MUCH, "{what}: {took:?}");
}

#[test]
fn html_that_closes_nothing() {
    let header = "Content-Type: text/html; charset=utf-8\r\n\r\n";
    for unit in [
        "<",
        "<a ",
        "<!--",
        "<!-- -",
        "<![CDATA[",
        "&",
        "&#",
        "&#x",
        "&amp",
        "<script>",
        "<style>",
        "<div>",
        "</",
        "<a b=\"",
        "<a b='",
        "<a b=c ",
        "<?",
        "<!",
        "<p><b>",
        "<title>",
        "<textarea>",
        "<td>",
        "&#1114112;",
        "&#0;",
        "\u{0}",
        "<\u{0}",
        "<noscript>",
        "<a\n",
        "]]>",
        "-->",
        "<br/>",
        "<img alt='x",
        "=",
        "\"",
        "<script><!--",
        "<svg><",
        "</script",
        "<xmp>",
    ] {
        let text = unit.repeat(1024 * 1024 / unit.len());
        looked_through(unit, format!("{header}{text}").as_bytes());
    }
}

#[test]
fn messages_that_are_all_structure() {
    let mut all: Vec<(&str, String)> = vec![
        ("encoded words", format!("Subject: {}\r\n\r\n", "=?utf-8?q?=C3=A9?= ".repeat(50_000))),
        ("half words", format!("Subject: {}\r\n\r\n", "=?utf-8?b?".repeat(80_000))),
        ("fields", format!("{}\r\n", "X: y\r\n".repeat(150_000))),
        ("folds", format!("Subject: x{}\r\n\r\n", "\r\n y".repeat(200_000))),
        ("addresses", format!("To: {}\r\n\r\n", "a@b.fr, ".repeat(100_000))),
        ("comments", format!("To: {}\r\n\r\n", "(".repeat(500_000))),
        ("quotes", format!("To: {}\r\n\r\n", "\"\\".repeat(300_000))),
        ("groups", format!("To: {}\r\n\r\n", "g:;,".repeat(200_000))),
        ("utf-7", format!("Content-Type: text/plain; charset=utf-7\r\n\r\n{}", "+".repeat(1_000_000))),
        ("iso-2022", format!("Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n{}", "\u{1b}$B".repeat(300_000))),
        (
            "soft line ends",
            format!(
                "Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{}",
                "=\r\n".repeat(300_000)
            ),
        ),
        ("combining", format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{}", "\u{301}\u{323}".repeat(200_000))),
        ("ligatures", format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{}", "\u{fdfa}".repeat(300_000))),
    ];
    let parts = "--b\r\nContent-Type: text/html\r\n\r\n<p>x\r\n".repeat(20_000);
    all.push(("parts", format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{parts}--b--\r\n")));
    let deep: String = (0..3_000).map(|_| "Content-Type: message/rfc822\r\n\r\n").collect();
    all.push(("messages in messages", deep));
    for (what, message) in all {
        looked_through(what, message.as_bytes());
    }
}

#[test]
fn cyclic_messages_are_searched_once() {
    let before = peak();
    for (what, message) in cyclic::messages() {
        looked_through(what, message.as_bytes());
        let document = Document::of(message.as_bytes());
        // Each octet of the message is the text of one part at most, or of one header.
        assert!(document.size() <= message.len() + 1024, "{what}: {} octets", document.size());
        let subject = Sought { place: Place::Field("subject".into()), text: "cyclique".into() };
        assert_eq!(matches(&document, &subject), Some(true), "{what}");
        // What the index says is what reading says, and what is in reach is found.
        let word = Sought { place: Place::Body, text: "trouvable".into() };
        let read = Scan::all(message.as_bytes(), std::slice::from_ref(&word));
        assert_eq!(matches(&document, &word), Some(read[0]), "{what}");
        if ["parts that refer to one another", "references to itself"].contains(&what) {
            assert_eq!(read, [true], "{what}");
        }
    }
    let took = peak() - before;
    assert!(took < 50 * 1024 * 1024, "{took} octets");
}

/// An archive of `entries` documents of `size` octets each that deflate a thousandfold.
fn bomb(entries: usize, size: usize) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    let text = vec![b'a'; 64 * 1024];
    for entry in 0..entries {
        zip.start_file(format!("IHE_XDM/SUBSET01/DOC{entry:05}.XML"), options).expect("a file");
        for _ in 0..size / text.len() {
            zip.write_all(&text).expect("written");
        }
    }
    zip.finish().expect("finished").into_inner()
}

fn attached(archive: &[u8]) -> Vec<u8> {
    let mut message = b"Content-Type: application/zip; name=IHE_XDM.zip\r\nContent-Disposition: attachment; filename=IHE_XDM.zip\r\n\r\n".to_vec();
    message.extend_from_slice(archive);
    message
}

#[test]
fn archives_that_inflate_without_end() {
    let archives =
        [("one", bomb(1, 256 * 1024 * 1024)), ("some", bomb(40, 8 * 1024 * 1024)), ("many", bomb(20_000, 64 * 1024))];
    // A directory that says that every entry is the same octets.
    let before = peak();
    for (what, archive) in &archives {
        looked_through(what, &attached(archive));
        // And cut, or with its ends changed.
        for cut in [archive.len() / 2, archive.len() - 10] {
            looked_through(what, &attached(&archive[..cut]));
        }
    }
    let took = peak() - before;
    eprintln!("{took} octets of memory");
    assert!(took < 50 * 1024 * 1024, "{took} octets");
}

/// A search over an archive of the largest size that is opened.
#[test]
fn the_largest_archive() {
    let noise: Vec<u8> =
        (0..44 * 1024 * 1024u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("IHE_XDM/SUBSET01/DOC00001.PDF", options).expect("a file");
    zip.write_all(&noise).expect("written");
    let message = attached(&zip.finish().expect("finished").into_inner());
    drop(noise);
    let before = peak();
    looked_through("the largest", &message);
    eprintln!("{} octets of memory", peak() - before);
}
