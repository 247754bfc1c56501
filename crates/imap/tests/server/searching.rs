//! The extensions of SEARCH: what is kept (RFC 5182), pages (RFC 9394), mod-sequences (RFC 7162), ages (RFC 5032), dates of
//! saving (RFC 8514), object ids (RFC 8474), progress (RFC 9585).

use std::time::Duration;

use mail::Flags;
use patience::BRIEF;

use crate::support::{Client, Options, Server, one};

async fn start() -> (Server, Client) {
    let server = Server::start().await;
    for i in 1..=6 {
        let flags = if i % 2 == 0 { Flags::SEEN } else { Flags::NONE };
        server.mailbox.deliver_at("INBOX", &format!("Subject: s{i}\n\nbody {i}\n"), flags, i * 86_400);
    }
    let imap = server.inbox().await;
    (server, imap)
}

async fn searched(imap: &mut Client, keys: &str) -> String {
    let lines = imap.transact("OK", &format!("SEARCH {keys}")).await;
    one(&lines, "* SEARCH").strip_prefix("* SEARCH").expect("just found").trim().to_owned()
}

#[tokio::test]
async fn what_is_saved() {
    let (server, mut imap) = start().await;
    assert_eq!(searched(&mut imap, "$").await, "", "nothing is saved at first");
    let lines = imap.transact("OK", "SEARCH RETURN (SAVE) SEEN").await;
    assert_eq!(lines.len(), 1, "SAVE alone tells nothing: {lines:?}");
    assert_eq!(searched(&mut imap, "$").await, "2 4 6");
    assert_eq!(searched(&mut imap, "UID $ NOT 4").await, "2 6");
    assert_eq!(searched(&mut imap, "OR $ 1").await, "1 2 4 6", "a search without SAVE changes nothing");
    let lines = imap.transact("OK", "FETCH $ UID").await;
    assert_eq!(lines.len(), 4, "{lines:?}");
    let lines = imap.transact("OK", "UID FETCH $ (UID)").await;
    assert_eq!(lines.len(), 4, "{lines:?}");
    imap.transact("OK", "STORE $ +FLAGS.SILENT ($Kept)").await;
    imap.transact("OK [COPYUID", "COPY $ Sent").await;
    // MIN and MAX alone keep those; with COUNT or ALL everything is kept.
    imap.transact("OK", "SEARCH RETURN (MIN SAVE) ALL").await;
    assert_eq!(searched(&mut imap, "$").await, "1");
    imap.transact("OK", "SEARCH RETURN (SAVE MIN MAX) ALL").await;
    assert_eq!(searched(&mut imap, "$").await, "1 6");
    imap.transact("OK", "SEARCH RETURN (SAVE MIN COUNT) UNSEEN").await;
    assert_eq!(searched(&mut imap, "$").await, "1 3 5");
    imap.transact("OK", "UID SEARCH RETURN (SAVE PARTIAL -1:-2) ALL").await;
    assert_eq!(searched(&mut imap, "$").await, "5 6");
    // BAD leaves it, NO empties it.
    imap.transact("BAD", "SEARCH RETURN (SAVE) NONSENSE").await;
    assert_eq!(searched(&mut imap, "$").await, "5 6");
    imap.transact("NO [BADCHARSET", "SEARCH CHARSET KOI8-R ALL").await;
    assert_eq!(searched(&mut imap, "$").await, "5 6");
    imap.transact("NO [BADCHARSET", "SEARCH RETURN (SAVE) CHARSET KOI8-R ALL").await;
    assert_eq!(searched(&mut imap, "$").await, "");
    // What is expunged leaves it, and the others keep their place whatever their number.
    imap.transact("OK", "SEARCH RETURN (SAVE) 2,4,6").await;
    server.mailbox.remove("INBOX", &[1, 4]);
    imap.transact("OK", "NOOP").await;
    assert_eq!(searched(&mut imap, "$").await, "1 4");
    let lines = imap.transact("OK", "UID SEARCH $").await;
    assert_eq!(lines[0], "* SEARCH 2 6");
    imap.transact("OK", "STORE $ +FLAGS.SILENT (\\Deleted)").await;
    imap.transact("OK", "UID EXPUNGE $").await;
    assert_eq!(searched(&mut imap, "$").await, "");
    imap.transact("OK", "SEARCH RETURN (SAVE) ALL").await;
    imap.transact("OK", "SELECT INBOX").await;
    assert_eq!(searched(&mut imap, "$").await, "", "SELECT begins anew");
    imap.transact("OK", "SEARCH RETURN (SAVE) ALL").await;
    imap.transact("OK [COPYUID", "UID COPY $ Sent").await;
    imap.transact("OK", "MOVE $ Sent").await;
    assert_eq!(searched(&mut imap, "ALL").await, "");
}

#[tokio::test]
async fn pages() {
    let (_server, mut imap) = start().await;
    for (options, wanted) in [
        ("PARTIAL 1:2", "PARTIAL (1:2 1:2)"),
        ("PARTIAL 4:2", "PARTIAL (2:4 2:4)"),
        ("PARTIAL -1:-2", "PARTIAL (-1:-2 5:6)"),
        ("PARTIAL -2:-4 COUNT", "COUNT 6 PARTIAL (-2:-4 3:5)"),
        ("PARTIAL 5:500", "PARTIAL (5:500 5:6)"),
        ("PARTIAL 7:9 MIN MAX", "MIN 1 MAX 6 PARTIAL (7:9 NIL)"),
    ] {
        let tag = imap.send(&format!("UID SEARCH RETURN ({options}) ALL")).await;
        let lines = imap.answer(&tag, "OK").await;
        assert_eq!(lines[0], format!("* ESEARCH (TAG \"{tag}\") UID {wanted}"), "{options}");
    }
    for bad in ["PARTIAL 1:2 ALL", "PARTIAL 1:2 PARTIAL 3:4", "PARTIAL 0:2", "PARTIAL 1:-2", "PARTIAL 1", "PARTIAL 1:*"]
    {
        imap.transact("BAD", &format!("SEARCH RETURN ({bad}) ALL")).await;
    }
    let lines = imap.transact("OK", "UID FETCH 2:* (FLAGS) (PARTIAL -1:-2)").await;
    assert_eq!(lines[..2], ["* 5 FETCH (UID 5 FLAGS ())", "* 6 FETCH (UID 6 FLAGS (\\Seen))"]);
    let lines = imap.transact("OK", "UID FETCH 2:* (ENVELOPE) (PARTIAL 1:1)").await;
    assert!(lines[0].starts_with("* 2 FETCH (UID 2 ENVELOPE"), "{lines:?}");
    assert_eq!(lines.len(), 2);
    imap.transact("OK", "UID FETCH 1:* (FLAGS) (PARTIAL 7:9)").await;
    imap.transact("BAD", "UID FETCH 1:* (FLAGS) (PARTIAL 0:9)").await;
}

#[tokio::test]
async fn mod_sequences() {
    let (_server, mut imap) = start().await;
    imap.transact("OK", "STORE 3 +FLAGS.SILENT (\\Flagged)").await;
    imap.transact("OK", "STORE 2 +FLAGS.SILENT (\\Flagged)").await;
    let modseq = |lines: &[String]| -> u64 {
        let text = one(lines, "(MODSEQ ");
        let digits = text.rsplit(' ').next().expect("a last word").trim_end_matches(')');
        digits.parse().expect("a number")
    };
    let two = modseq(&imap.transact("OK", "SEARCH MODSEQ 1 2").await);
    let three = modseq(&imap.transact("OK", "SEARCH MODSEQ \"/flags/\\\\draft\" all 1 3").await);
    assert!(two > three);
    let lines = imap.transact("OK", &format!("SEARCH MODSEQ {three}")).await;
    assert_eq!(one(&lines, "* SEARCH"), format!("* SEARCH 2 3 (MODSEQ {two})"));
    let lines = imap.transact("OK", &format!("SORT (REVERSE ARRIVAL) UTF-8 MODSEQ {three}")).await;
    assert_eq!(one(&lines, "* SORT"), format!("* SORT 3 2 (MODSEQ {two})"));
    let lines = imap.transact("OK", &format!("SEARCH MODSEQ {}", two + 1)).await;
    assert_eq!(one(&lines, "* SEARCH"), "* SEARCH", "nothing found, no MODSEQ");
    // RFC 7162 §3.1.10: of what is told.
    for (options, wanted) in [("MAX", three), ("MIN", two), ("MIN MAX", two), ("ALL", two), ("MAX COUNT", two)] {
        let lines = imap.transact("OK", &format!("SEARCH RETURN ({options}) MODSEQ {three}")).await;
        assert!(one(&lines, "ESEARCH").contains(&format!(" MODSEQ {wanted}")), "{options}: {lines:?}");
    }
}

#[tokio::test]
async fn ages_dates_and_names() {
    let (server, mut imap) = start().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs() as i64;
    server.mailbox.deliver_at("INBOX", "Subject: new\n\nnew\n", Flags::NONE, now - 100);
    imap.transact("OK", "NOOP").await;
    for (keys, wanted) in [
        ("YOUNGER 1000", "7"),
        ("OLDER 1000", "1 2 3 4 5 6"),
        ("YOUNGER 50", ""),
        ("OLDER 50 YOUNGER 1000", "7"),
        ("SAVEDATESUPPORTED SEEN", "2 4 6"),
        ("THREADID nonsense", ""),
        ("EMAILID nonsense", ""),
    ] {
        assert_eq!(searched(&mut imap, keys).await, wanted, "{keys}");
    }
    let view = server.mailbox.view("INBOX");
    let third = view.get(2).expect("there");
    assert_eq!(searched(&mut imap, &format!("EMAILID {}", imap::objectid::email_id(third.body))).await, "3");
    for bad in ["YOUNGER 0", "OLDER x", "EMAILID", "EMAILID a/b", "SAVEDON x", "FUZZY ALL", "FUZZY (SUBJECT x)"] {
        imap.transact("BAD", &format!("SEARCH {bad}")).await;
    }
}

/// A long search says how far it is, and ends when its client leaves.
#[tokio::test]
async fn progress() {
    let configure = |config: &mut imap::Config| {
        config.progress_after = Duration::from_millis(1);
        config.progress_every = Duration::from_millis(1);
    };
    let server = Server::with(Options { configure, ..Options::default() }).await;
    for i in 0..12 {
        server.mailbox.deliver("INBOX", &format!("Subject: s\n\nbody {i}\n"));
    }
    *server.mailbox.seek_takes.lock().expect("nobody panics") = Duration::from_millis(5);
    let mut imap = server.inbox().await;
    let tag = imap.send("SEARCH TEXT \"body 1\"").await;
    let lines = imap.answer(&tag, "OK").await;
    assert_eq!(lines[lines.len() - 2], "* SEARCH 2 11 12");
    let told: Vec<u32> = lines[..lines.len() - 2]
        .iter()
        .map(|line| {
            let rest = line.strip_prefix(&format!("* OK [INPROGRESS (\"{tag}\" ")).expect("progress");
            let (done, rest) = rest.split_once(' ').expect("two numbers");
            assert!(rest.starts_with("12)] "), "{line}");
            done.parse().expect("a number")
        })
        .collect();
    assert!(told.len() >= 3 && told.is_sorted(), "{lines:?}");
    // Whoever leaves is not searched for any longer.
    *server.mailbox.seek_takes.lock().expect("nobody panics") = BRIEF / 2;
    let before = server.mailbox.bodies_sought.load(std::sync::atomic::Ordering::SeqCst);
    imap.send("SEARCH TEXT nothing").await;
    drop(imap);
    server.ended(1).await;
    let sought = server.mailbox.bodies_sought.load(std::sync::atomic::Ordering::SeqCst) - before;
    assert!(sought < 12, "the search went on to its end for nobody");
}
