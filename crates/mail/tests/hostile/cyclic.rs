//! Messages that are a part of themselves, as far as a message can be: by boundaries that are those of the part around, by messages in
//! messages, by references to themselves. For the tests of everything that walks through a message.

/// How deep they go: further than a walk by recursion would come back from.
const DEEP: usize = 5_000;

/// A header that can be sought, and a text outside of what is cyclic.
fn message(fields: &str, rest: &str) -> String {
    format!(
        "From: a@alpha.test\r\nTo: b@beta.test\r\nSubject: cyclique\r\nMessage-ID: <self@alpha.test>\r\nMIME-Version: 1.0\r\n\
         {fields}\r\n{rest}"
    )
}

fn multipart(subtype: &str, boundary: &str) -> String {
    format!("Content-Type: multipart/{subtype}; boundary=\"{boundary}\"\r\n")
}

/// What they are, and they.
pub fn messages() -> Vec<(&'static str, String)> {
    let embedded = "Content-Type: message/rfc822\r\n";
    let same = format!("--b\r\n{}\r\n", multipart("mixed", "b"));
    let in_itself = format!("--b\r\n{embedded}\r\nSubject: inner\r\n{}\r\n", multipart("mixed", "b"));
    let digest = format!("--b\r\n\r\n{}\r\n", multipart("digest", "b"));
    let closed = format!("{}--b\r\n\r\ntrouvable\r\n{}", same.repeat(DEEP), "--b--\r\n".repeat(DEEP + 1));
    // From one to the longest that is looked for, each beginning as the one above, and the other way round.
    let longer: Vec<String> = (1..=240).map(|n| "b".repeat(n)).collect();
    let nested = |boundaries: &mut dyn Iterator<Item = &String>| -> String {
        boundaries.map(|b| format!("{}\r\n--{b}\r\n", multipart("mixed", b))).collect()
    };
    // The outermost goes on and ends first, with the others open.
    let ended = |boundaries: &mut dyn Iterator<Item = &String>| -> String {
        boundaries.map(|b| format!("--{b}\r\n\r\nx\r\n--{b}--\r\n")).collect()
    };
    let (up, down) = (|| longer.iter(), || longer.iter().rev());
    let growing = format!("{}\r\ntrouvable\r\n{}", nested(&mut up()), ended(&mut up()));
    let shrinking = format!("{}\r\ntrouvable\r\n{}", nested(&mut down()), ended(&mut down()));
    // The last boundary of each is a boundary of the next.
    let dashes: Vec<String> = (0..100).map(|n| format!("b{}", "--".repeat(n))).collect();
    let ending = format!("{}\r\ntrouvable\r\n{}", nested(&mut dashes.iter()), "--b--\r\n--b----\r\n".repeat(200));
    let external = "Content-Type: message/external-body; access-type=URL; URL=\"cid:self@alpha.test\"\r\n\
                    Content-ID: <self@alpha.test>\r\n\r\n";
    let partial = "Content-Type: message/partial; id=\"self@alpha.test\"; number=1; total=1\r\n\r\n";
    let related = "Content-Type: multipart/related; boundary=b; start=\"<root@alpha.test>\"; type=\"multipart/related\"\r\n\
                   Content-ID: <root@alpha.test>\r\nContent-Location: cid:root@alpha.test\r\n";
    let html = "Content-Type: text/html\r\nContent-ID: <root@alpha.test>\r\n\r\n<p>trouvable<img src=\"cid:root@alpha.test\">\
                <iframe src=\"cid:self@alpha.test\"></iframe></p>\r\n";
    let one_another = "--b\r\nContent-Type: text/html\r\nContent-ID: <1@alpha.test>\r\n\r\n<img src=\"cid:2@alpha.test\">trouvable\r\n\
                       --b\r\nContent-Type: text/html\r\nContent-ID: <2@alpha.test>\r\n\r\n<img src=\"cid:1@alpha.test\">\r\n";
    vec![
        ("a boundary inside itself", message(&multipart("mixed", "b"), &same.repeat(DEEP))),
        ("a boundary inside itself, each closed", message(&multipart("mixed", "b"), &closed)),
        ("a message in itself by equal boundaries", message(&multipart("mixed", "b"), &in_itself.repeat(DEEP))),
        ("messages in messages", message(embedded, &format!("{embedded}\r\n").repeat(100_000))),
        ("digests of themselves", message(&multipart("digest", "b"), &digest.repeat(DEEP))),
        ("boundaries that begin as the one above", message("", "").trim_end().to_owned() + "\r\n" + &growing),
        ("boundaries that the one above begins with", message("", "").trim_end().to_owned() + "\r\n" + &shrinking),
        ("ends that are boundaries of the next", message("", "").trim_end().to_owned() + "\r\n" + &ending),
        ("a body elsewhere that is this message", message(external, &external.repeat(DEEP))),
        ("a part of a message that is the whole", message(partial, &partial.repeat(DEEP))),
        (
            "a root that refers to itself",
            message(related, &format!("{}--b\r\n{html}--b--\r\n", format!("--b\r\n{related}\r\n").repeat(DEEP))),
        ),
        (
            "parts that refer to one another",
            message(&multipart("related", "b"), &format!("{}--b--\r\n", one_another.repeat(500))),
        ),
        (
            "references to itself",
            message(
                "In-Reply-To: <self@alpha.test>\r\nReferences: <self@alpha.test> <other@alpha.test>\r\n",
                "trouvable\r\n",
            ),
        ),
        (
            "a reference to what refers to it",
            message("References: <self@alpha.test>\r\n", "\r\n").replace("Message-ID: <self@", "Message-ID: <other@"),
        ),
    ]
}
