//! What of a message is searched: HTML and XML made text, archives, charsets; and the one meaning of "contains".
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::sought::{Place, Sought};
use search::{Document, Scan, fold, matches};

// The first octet tells what the rest is: a whole message, or a body of a type that is read as text.
fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else { return };
    let header: &[u8] = match kind % 5 {
        0 => b"",
        1 => b"Content-Type: text/html; charset=utf-8\r\n\r\n",
        2 => b"Content-Type: text/xml\r\n\r\n",
        3 => b"Content-Type: text/html; charset=iso-8859-15\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
        _ => b"Content-Type: application/zip; name=IHE_XDM.zip\r\n\r\n",
    };
    let message = [header, rest].concat();
    let document = Document::of(&message);
    // Some text of the message itself is looked for, so that there is something to be found.
    let from = rest.len() / 3;
    let needle = String::from_utf8_lossy(&rest[from..rest.len().min(from + 1 + usize::from(kind / 5))]).into_owned();
    assert_eq!(fold(&fold(&needle)), fold(&needle));
    for place in [Place::Body, Place::Text, Place::Field("subject".into()), Place::Field("content-type".into())] {
        let sought = Sought { place, text: needle.clone() };
        let scanned = Scan::all(&message, std::slice::from_ref(&sought));
        if let Some(known) = matches(&document, &sought) {
            assert_eq!(known, scanned[0], "the document and the scan say the same");
        }
    }
});
