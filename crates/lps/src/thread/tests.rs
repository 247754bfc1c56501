//! Conversations, honest and not.

use proptest::prelude::*;

use super::*;

fn summary(uid: u32, header: &str) -> Summary {
    Summary::new(uid, Vec::new(), None, 100, header.replace('\n', "\r\n").as_bytes())
}

fn mail(uid: u32, from: &str, to: &str, subject: &str, rest: &str) -> Summary {
    let fields = format!(
        "From: {from}@a.mssante.fr\nTo: {to}@a.mssante.fr\nSubject: {subject}\nDate: Sun, 22 Nov 2026 08:{:02}:00 +0000\nMessage-ID: <{uid}@a>\n{rest}",
        uid % 60
    );
    summary(uid, &fields)
}

/// Subjects with the UIDs and depths of their messages.
fn told(summaries: &[Summary]) -> Vec<(String, Vec<(u32, usize)>)> {
    let entries: Vec<Entry<'_, u32>> = summaries.iter().map(|s| Entry::new(s.uid, s)).collect();
    let uid = |node: &Node<u32>| (node.keys[0], node.depth);
    threads(&entries).iter().map(|thread| (thread.subject.clone(), thread.nodes.iter().map(uid).collect())).collect()
}

#[test]
fn an_exchange_with_its_receipts() {
    // ECO-THREAD
    let report = "Content-Type: multipart/report; report-type=disposition-notification; boundary=x\n";
    let summaries = [
        mail(1, "a", "b", "XDM/1.0/DDM+CR VIAL", ""),
        mail(2, "b", "a", "Re: XDM/1.0/DDM+CR VIAL", "In-Reply-To: <1@a>\nReferences: <1@a>\n"),
        mail(3, "a", "b", "Re: CR VIAL", "In-Reply-To: <2@a>\nReferences: <1@a> <2@a>\n"),
        mail(
            4,
            "b",
            "a",
            "[KO Intégration système !][902] XDM/1.0/DDM+CR VIAL",
            &format!("In-Reply-To: <1@a>\n{report}"),
        ),
        mail(5, "b", "a", "XDM/1.0/DDM+CR VIAL", report),
        mail(6, "c", "a", "CR VIAL", ""),
        mail(7, "c", "a", "Re: CR VIAL", ""),
        mail(8, "a", "c", "Autre", "References: <unknown@x>\n"),
        mail(9, "c", "a", "RE: Autre", "References: <unknown@x>\n"),
    ];
    // The report that names nothing is about the last message of that subject between the two.
    let expected = [
        ("Autre", vec![(8, 0), (9, 0)]),
        ("CR VIAL", vec![(6, 0), (7, 1)]),
        ("CR VIAL", vec![(1, 0), (2, 1), (3, 2), (5, 3), (4, 1)]),
    ];
    assert_eq!(told(&summaries), expected.map(|(subject, nodes)| (subject.to_owned(), nodes)));
}

#[test]
fn one_message_in_two_places_and_two_of_one_identifier() {
    let sent = mail(1, "a", "b", "x", "");
    let received = mail(1, "a", "b", "x", "X-Other: y\n");
    let forged = mail(1, "z", "b", "x", "");
    let entries = [Entry::new("sent", &sent), Entry::new("inbox of b", &received), Entry::new("forged", &forged)];
    let threads = threads(&entries);
    let keys: Vec<_> = threads.iter().flat_map(|t| &t.nodes).map(|n| n.keys.clone()).collect();
    assert_eq!(keys, [vec!["sent", "inbox of b"], vec!["forged"]]);
    assert_eq!(threads.len(), 1);
}

#[test]
fn what_was_read_links_too() {
    let (sent, bounce) = (mail(1, "a", "b", "x", ""), mail(2, "mailer-daemon", "a", "Undelivered", ""));
    let about = ["<1@a>".to_owned()];
    let entries = [Entry::new(1, &sent), Entry { key: 2, summary: &bounce, about: &about }];
    let threads = threads(&entries);
    assert_eq!(threads.len(), 1);
    assert_eq!(threads[0].nodes[1].parent, Some(0));
}

#[test]
fn cycles_and_long_chains() {
    let cycle = [
        mail(1, "a", "b", "x", "References: <2@a>\n"),
        mail(2, "a", "b", "x", "References: <1@a>\n"),
        mail(3, "a", "b", "x", "References: <3@a>\n"),
    ];
    assert_eq!(told(&cycle).iter().map(|(_, nodes)| nodes.len()).sum::<usize>(), 3);
    let chain: Vec<Summary> =
        (1..=20_000).map(|n| mail(n, "a", "b", "x", &format!("References: <{}@a>\n", n - 1))).collect();
    let work = patience::Work::begin();
    let told = told(&chain);
    assert_eq!((told.len(), told[0].1.last().map(|(_, depth)| *depth)), (1, Some(19_999)));
    let star: Vec<Summary> = (1..=20_000).map(|n| mail(n, "a", "b", &format!("Re: {}", n % 7), "")).collect();
    assert!(self::told(&star).len() <= 20_000);
    assert!(work.spent().as_secs() < 20, "in a debug build");
}

proptest! {
    #[test]
    fn every_message_once(links in proptest::collection::vec((0u32..12, proptest::collection::vec(0u32..15, 0..4), any::<bool>(), 0u8..3), 0..12)) {
        let summaries: Vec<Summary> = links
            .iter()
            .enumerate()
            .map(|(place, (id, references, re, subject))| {
                let references: Vec<String> = references.iter().map(|r| format!("<{r}@a>")).collect();
                let subject = format!("{}{subject}", if *re { "Re: " } else { "" });
                let mut made = mail(*id, "a", "b", &subject, &format!("References: {}\n", references.join(" ")));
                made.uid = place as u32;
                made
            })
            .collect();
        let entries: Vec<Entry<'_, u32>> = summaries.iter().map(|s| Entry::new(s.uid, s)).collect();
        let built = threads(&entries);
        let mut keys: Vec<u32> = built.iter().flat_map(|t| &t.nodes).flat_map(|n| n.keys.clone()).collect();
        keys.sort_unstable();
        prop_assert_eq!(keys, (0..summaries.len() as u32).collect::<Vec<_>>());
        for thread in built {
            for (place, node) in thread.nodes.iter().enumerate() {
                prop_assert!(node.parent.is_none_or(|parent| parent < place));
                prop_assert_eq!(node.depth, node.parent.map_or(0, |parent| thread.nodes[parent].depth + 1));
            }
        }
    }
}
