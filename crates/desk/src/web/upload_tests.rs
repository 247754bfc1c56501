//! Tests of [`super::upload`].

use proptest::prelude::*;

use super::upload::*;

fn form(fields: &[(&str, &[u8])], boundary: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, octets) in fields {
        out.extend(format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"f.p7s\"\r\nContent-Type: application/x\r\n\r\n").bytes());
        out.extend_from_slice(octets);
        out.extend(b"\r\n");
    }
    out.extend(format!("--{boundary}--\r\n").bytes());
    out
}

#[test]
fn boundaries() {
    assert_eq!(boundary("multipart/form-data; boundary=----WebKit1").as_deref(), Some("----WebKit1"));
    assert_eq!(boundary("Multipart/Form-Data; charset=utf-8; boundary=\"a b\""), None);
    assert_eq!(boundary("multipart/form-data; boundary=\"ab\"").as_deref(), Some("ab"));
    for bad in [
        "",
        "multipart/form-data",
        "text/plain; boundary=a",
        "multipart/form-data; boundary=",
        &format!("multipart/form-data; boundary={}", "x".repeat(71)),
    ] {
        assert_eq!(boundary(bad), None, "{bad}");
    }
}

#[test]
fn what_is_no_form_is_refused() {
    let good = form(&[("cle", b"k"), ("fichier", b"\x30\x82\r\n--b")], "bb");
    let read = parts(&good, "bb").expect("a form");
    assert_eq!((read[0].name.as_str(), read[1].octets), ("cle", &b"\x30\x82\r\n--b"[..]));
    for cut in 0..good.len() - 4 {
        assert_eq!(parts(&good[..cut], "bb"), None, "cut at {cut}");
    }
    assert_eq!(parts(&good, "cc"), None);
    assert_eq!(parts(b"--bb\r\n\r\n\r\n--bb--", "bb"), None, "without a name");
    let many: Vec<(&str, &[u8])> = vec![("a", b""); MOST_PARTS + 1];
    assert_eq!(parts(&form(&many, "bb"), "bb"), None);
}

proptest! {
    #[test]
    fn what_is_written_is_read(values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..6)) {
        let fields: Vec<(&str, &[u8])> = values.iter().map(|octets| ("n", octets.as_slice())).collect();
        let octets = form(&fields, "une-limite-que-rien-ne-contient");
        let read = parts(&octets, "une-limite-que-rien-ne-contient").expect("a form");
        prop_assert_eq!(read.iter().map(|part| part.octets.to_vec()).collect::<Vec<_>>(), values);
    }

    #[test]
    fn nothing_panics(body in proptest::collection::vec(prop_oneof![Just(b'-'), Just(b'a'), Just(b'\r'), Just(b'\n'), any::<u8>()], 0..200)) {
        let _ = parts(&body, "a");
    }
}
