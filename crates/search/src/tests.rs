//! Documents and scans of whole messages.

use proptest::prelude::*;

use super::*;

fn sought(place: Place, text: &str) -> Sought {
    Sought { place, text: text.to_owned() }
}

fn field(name: &str, text: &str) -> Sought {
    sought(Place::Field(name.to_owned()), text)
}

fn body(text: &str) -> Sought {
    sought(Place::Body, text)
}

fn text(text: &str) -> Sought {
    sought(Place::Text, text)
}

/// Scan and document must say the same.
fn has(message: &[u8], sought: &Sought) -> bool {
    let document = matches(&Document::of(message), sought);
    let scanned = Scan::all(message, std::slice::from_ref(sought));
    assert_eq!(document, Some(scanned[0]), "{sought:?}");
    scanned[0]
}

const MESSAGE: &str = "From: =?utf-8?q?Zo=C3=A9?= <zoe@hopital.example>\r\nTo: a@b.example, Chef de Service <chef@b.example>\r\n\
    Subject: =?utf-8?b?UsOpc3VsdGF0cw==?= du labo\r\nSubject: second\r\nX-Empty:\r\nX-MSS-INS: 1234\r\nX-MSS-INS: 5678\r\n\
    MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\
    Content-Transfer-Encoding: quoted-printable\r\nContent-Description: premier\r\n\r\nL=92=E9t=E9 est =\r\nchaud\r\net sec.\r\n\
    --b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<style>p{color:red}</style><p>C&oelig;ur <b>insuf</b>fisant</p>\r\n\
    --b\r\nContent-Type: application/octet-stream\r\n\r\noctets\r\n\
    --b\r\nContent-Type: message/rfc822\r\n\r\nSubject: dedans\r\n\r\ntexte du dedans\r\n\
    --b\r\nContent-Type: message/delivery-status\r\n\r\nAction: failed\r\n--b--\r\n";

#[test]
fn a_message() {
    for (sought, wanted) in [
        (field("subject", "resultats DU"), true),
        (field("subject", "second"), false),
        (field("Subject", ""), true),
        (field("cc", ""), false),
        (field("x-empty", ""), true),
        (field("x-empty", "a"), false),
        (field("x-nothing", ""), false),
        (field("x-mss-ins", "567"), true),
        (field("x-mss-ins", "1234 5"), false),
        (field("from", "zoe <ZOE@"), true),
        (field("to", "a@b.example, chef de"), true),
        (field("content-description", "premier"), false),
        (body("été est chaud et sec"), true),
        (body("l'ete"), true),
        (body("coeur insuffisant"), true),
        (body("color"), false),
        (body("octets"), false),
        (body("preamble"), false),
        (body("Content-Description: PREMIER"), true),
        (body("subject: dedans"), true),
        (body("du dedans"), true),
        (body("failed"), true),
        (body("resultats"), false),
        (body("sec. content"), false),
        (text("resultats"), true),
        (text("x-mss-ins: 1234"), true),
        (text("1234 x-mss"), false),
        (text("chaud"), true),
        (text("absent"), false),
        (body(""), true),
        (text("\u{301}"), true),
        (body(" "), true),
    ] {
        assert_eq!(has(MESSAGE.as_bytes(), &sought), wanted, "{sought:?}");
    }
}

#[test]
fn an_archive_is_read_and_a_bomb_is_not() {
    let cda = "<?xml version='1.0'?><ClinicalDocument xmlns='urn:hl7-org:v3'><title>Compte rendu op\u{e9}ratoire</title>\
        <text mediaType='application/pdf' representation='B64'>SkVSQlM=</text></ClinicalDocument>";
    let metadata = "<x xmlns='urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0'><r:RegistryObjectList xmlns:r='urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0'>\
        <r:ExtrinsicObject id='d' mimeType='text/xml'><r:Slot name='URI'><r:ValueList><r:Value>DOC0001.XML</r:Value></r:ValueList></r:Slot>\
        </r:ExtrinsicObject></r:RegistryObjectList></x>";
    let message = |document: &[u8]| {
        use std::io::Write;
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        for (name, octets) in
            [("IHE_XDM/SUBSET01/METADATA.XML", metadata.as_bytes()), ("IHE_XDM/SUBSET01/DOC0001.XML", document)]
        {
            archive.start_file(name, options).expect("begun");
            archive.write_all(octets).expect("written");
        }
        let octets = archive.finish().expect("finished").into_inner();
        let mut message =
            b"Content-Type: application/zip; name=\"IHE_XDM.zip\"\r\nContent-Transfer-Encoding: base64\r\n\r\n"
                .to_vec();
        message.extend(openssl::base64::encode_block(&octets).into_bytes());
        message
    };
    let found = message(cda.as_bytes());
    assert!(has(&found, &body("compte rendu operatoire")));
    assert!(!has(&found, &body("SkVSQlM")), "an embedded file is no text");
    let mut bomb = cda.as_bytes().to_vec();
    bomb.resize(31 * 1024 * 1024, b' ');
    assert!(!has(&message(&bomb), &body("compte rendu")), "nothing of an archive beyond the limits is read");
}

#[test]
fn more_text_than_a_document_holds() {
    let mut message = b"Subject: long\r\n\r\nstart ".to_vec();
    message.resize(MAX + 100, b'x');
    const MAX: usize = crate::MAX_TEXT;
    message.extend_from_slice(b" the end");
    let document = Document::of(&message);
    assert!(!document.whole && document.body.len() == MAX);
    assert_eq!(matches(&document, &body("start")), Some(true));
    assert_eq!(matches(&document, &body("the end")), None);
    assert_eq!(matches(&document, &field("subject", "short")), Some(false));
    assert_eq!(Scan::all(&message, &[body("the end"), body("no end")]), [true, false]);
}

proptest! {
    /// Whatever the message, scan and document agree.
    #[test]
    fn scan_is_document(
        subject in "[aéB =?]{0,8}",
        octets in proptest::collection::vec(prop_oneof![Just(b"ab".to_vec()), Just("é".as_bytes().to_vec()), Just(b" \r\n".to_vec()), Just(b"<p>".to_vec()), Just(b"&eacute;".to_vec()), Just(vec![0xe9])], 0..20),
        html in any::<bool>(), needle in "[abé ]{1,3}",
    ) {
        let kind = if html { "html" } else { "plain" };
        let mut message = format!("Subject: {subject}\r\nContent-Type: text/{kind}; charset=utf-8\r\n\r\n").into_bytes();
        message.extend(octets.concat());
        for place in [Place::Body, Place::Text, Place::Field("subject".into()), Place::Field("content-type".into())] {
            has(&message, &sought(place, &needle));
        }
    }
}
