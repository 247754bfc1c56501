//! Uploads of the control application: a form with files (RFC 7578), its content type in the first line of the input. The reader is taken by its file: its
//! crate would bring a web server and two databases along.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "its limit is its server's to keep")]
#[path = "../../crates/desk/src/web/upload.rs"]
mod upload;

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|octet| *octet == b'\n').unwrap_or(input.len());
    let (head, body) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let Some(boundary) = std::str::from_utf8(head).ok().and_then(upload::boundary) else { return };
    assert!((1..=70).contains(&boundary.len()) && boundary.bytes().all(|octet| octet.is_ascii_graphic()));
    let Some(parts) = upload::parts(body, &boundary) else { return };
    // What is read lies in what was sent, each part once, and none holds the line that ends it.
    assert!(parts.len() <= 20);
    assert!(parts.iter().map(|part| part.octets.len()).sum::<usize>() <= body.len());
    let line = format!("\r\n--{boundary}");
    assert!(parts.iter().all(|part| !part.octets.windows(line.len()).any(|window| window == line.as_bytes())));
    // Written again, it is read the same.
    let mut again = Vec::new();
    for part in &parts {
        again.extend(format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"\r\n\r\n", part.name).bytes());
        again.extend_from_slice(part.octets);
        again.extend(b"\r\n");
    }
    again.extend(format!("--{boundary}--\r\n").bytes());
    assert_eq!(
        upload::parts(&again, &boundary).as_deref(),
        (!parts.is_empty()).then_some(parts.as_slice()).or(Some(&[]))
    );
});
