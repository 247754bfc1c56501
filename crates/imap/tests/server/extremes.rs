//! Numbers at their ends, nesting in every command that nests, floods, slow clients: nothing panics, nothing costs more than its
//! size, every command has its answer. What a session may take of memory is measured, not believed.

use std::time::{Duration, Instant};

use patience::{BRIEF, PATIENCE, Work};

use crate::support::{Client, Options, Server, base64, one};

/// More work than this is work that grows faster than what was asked; without optimisation.
const MUCH: Duration = Duration::from_secs(15);

async fn patient() -> Server {
    let configure = |c: &mut imap::Config| c.max_bad_commands = u32::MAX;
    Server::with(Options { configure, ..Options::default() }).await
}

/// Octets of memory this process has, those of the client included.
fn memory() -> usize {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").expect("Linux");
    let line = rollup.lines().find(|l| l.starts_with("Private_Dirty:")).expect("a figure");
    let kilo: usize = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number");
    kilo * 1024
}

/// Sends a command, with literals that are not waited for inside or not, and reads to its answer, whichever it is.
async fn answered(imap: &mut Client, command: &str) {
    let tag = imap.send(command).await;
    imap.answer(&tag, "").await;
}

#[tokio::test]
async fn every_number_at_its_ends() {
    let server = patient().await;
    for _ in 0..3 {
        server.mailbox.deliver("INBOX", "Subject: a\n\nbody\n");
    }
    let mut imap = server.inbox().await;
    let commands = [
        "FETCH # FLAGS",
        "FETCH 1:# FLAGS",
        "FETCH #:* UID",
        "UID FETCH #:# FLAGS",
        "FETCH 1 BODY.PEEK[]<#.1>",
        "FETCH 1 BODY.PEEK[]<0.#>",
        "FETCH 1 BODY.PEEK[]<#.#>",
        "FETCH 1 BODY.PEEK[#]",
        "FETCH 1 BODY.PEEK[1.#.1]",
        "FETCH 1 BINARY.PEEK[#]",
        "FETCH 1 BINARY.PEEK[1]<#.#>",
        "FETCH 1:* (FLAGS) (CHANGEDSINCE #)",
        "UID FETCH 1:* (FLAGS) (CHANGEDSINCE # VANISHED)",
        "UID FETCH 1:* FLAGS (PARTIAL 1:#)",
        "UID FETCH 1:* FLAGS (PARTIAL -1:-#)",
        "STORE 1 (UNCHANGEDSINCE #) +FLAGS (\\Seen)",
        "SEARCH LARGER #",
        "SEARCH SMALLER #",
        "SEARCH #",
        "SEARCH UID #:*",
        "SEARCH MODSEQ #",
        "SEARCH OLDER #",
        "SEARCH YOUNGER #",
        "SEARCH NOT #:#",
        "SEARCH RETURN (PARTIAL 1:#) ALL",
        "SEARCH RETURN (PARTIAL -1:-#) ALL",
        "SEARCH RETURN (PARTIAL #:1) ALL",
        "COPY # Sent",
        "UID MOVE # Sent",
        "UID EXPUNGE #",
        "SELECT INBOX (QRESYNC (# #))",
        "SELECT INBOX (QRESYNC (100 # 1:#))",
        "SELECT INBOX (QRESYNC (100 1 1:# (1:# 1:#)))",
        "SELECT INBOX (QRESYNC (100 # 1:3 (1,# 1,#)))",
        "SETQUOTA \"\" (STORAGE #)",
        "GETMETADATA (MAXSIZE #) \"\" /private/comment",
        "APPEND INBOX CATENATE (URL \"/INBOX/;UID=#\")",
        "APPEND INBOX CATENATE (URL \"/INBOX;UIDVALIDITY=#/;UID=1\")",
        "APPEND INBOX CATENATE (URL \"/INBOX/;UID=1/;PARTIAL=#.#\")",
        "SORT (ARRIVAL) UTF-8 #:*",
        "THREAD REFERENCES UTF-8 #:*",
        "SEARCH SENTSINCE #-Feb-#",
        "ENABLE QRESYNC",
    ];
    let numbers = [
        "0",
        "1",
        "4294967294",
        "4294967295",
        "4294967296",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999999999999999999",
        "-1",
        "00000000000000000001",
    ];
    for round in 0..2 {
        for command in commands {
            for number in numbers {
                answered(&mut imap, &command.replace('#', number)).await;
            }
            if command.starts_with("SELECT") && round == 0 {
                answered(&mut imap, "SELECT INBOX").await;
            }
        }
    }
    for number in numbers {
        for command in ["APPEND INBOX {#}", "SEARCH SUBJECT {#}", "REPLACE 1 INBOX {#}"] {
            // Whoever is asked to go on has announced something that may be sent.
            let mut imap = server.inbox().await;
            imap.raw(format!("x {}\r\n", command.replace('#', number))).await;
            let line = imap.line().await;
            assert!(
                line.starts_with("x ") || line.starts_with("* BYE") || line.starts_with('+'),
                "{command} {number}: {line}"
            );
        }
    }
    imap.transact("OK", "NOOP").await;
}

#[tokio::test]
async fn every_command_that_nests() {
    let server = patient().await;
    server.mailbox.deliver("INBOX", "Subject: a\n\nbody\n");
    let mut imap = server.inbox().await;
    let work = Work::begin();
    for command in [
        "SEARCH #",
        "SEARCH RETURN # ALL",
        "SORT # UTF-8 ALL",
        "SORT (ARRIVAL) UTF-8 #",
        "THREAD REFERENCES UTF-8 #",
        "FETCH 1 #",
        "FETCH 1 (FLAGS) #",
        "FETCH 1 BODY[HEADER.FIELDS #]",
        "LIST # \"\" *",
        "LIST \"\" #",
        "LIST \"\" * RETURN #",
        "LIST \"\" * RETURN (STATUS #)",
        "STATUS INBOX #",
        "STORE 1 FLAGS #",
        "STORE 1 # FLAGS (a)",
        "SELECT INBOX #",
        "SELECT INBOX (QRESYNC #)",
        "ID #",
        "NOTIFY SET #",
        "NOTIFY SET (SELECTED #)",
        "NOTIFY SET (SUBTREE # (MessageNew))",
        "NOTIFY SET (SELECTED (MessageNew #))",
        "GETMETADATA # \"\" /private/a",
        "GETMETADATA \"\" #",
        "SETMETADATA \"\" #",
        "APPEND INBOX # {1+}\r\nx",
        "APPEND INBOX CATENATE # {1+}\r\nx",
        "CREATE x #",
        "SETQUOTA \"\" #",
        "ENABLE #",
    ] {
        for unit in ["(", "((", "(a ", "(()", "NOT (", "OR (", ")(", "(\"\" ", "FUZZY ("] {
            answered(&mut imap, &command.replace('#', &unit.repeat(20_000 / unit.len()))).await;
        }
    }
    assert!(work.spent() < MUCH, "{:?}", work.spent());
    // As deep as it may be, it works.
    imap.transact("OK", &format!("SEARCH {}ALL{}", "(".repeat(60), ")".repeat(60))).await;
}

#[tokio::test]
async fn octet_by_octet_does_not_keep_a_connection() {
    let configure = |c: &mut imap::Config| c.login_timeout = BRIEF;
    let server = Server::with(Options { configure, ..Options::default() }).await;
    for secure in [false, true] {
        let mut imap = if secure { server.tls().await } else { server.plain().await };
        // On and on, until it has had enough of it.
        let begun = Instant::now();
        while !imap.hears(Duration::from_millis(20)).await {
            assert!(begun.elapsed() < PATIENCE, "an octet is enough to stay");
            imap.raw("a").await;
        }
        one(&imap.closes().await, "* BYE");
    }
}

#[tokio::test]
async fn what_nobody_may_say_takes_no_memory() {
    let server = patient().await;
    let mut clients = Vec::new();
    for _ in 0..30 {
        clients.push([server.tls().await, server.tls().await, server.tls().await]);
    }
    let before = memory();
    for [tag, literal, base64] in &mut clients {
        // Each as long as it may be and never ended.
        tag.raw("t".repeat(8_000)).await;
        literal.raw(format!("a ID (\"x\" {{16000+}}\r\n{}", "x".repeat(15_900))).await;
        base64.raw(format!("a AUTHENTICATE XOAUTH2 {}", "A".repeat(16_000))).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let each = memory().saturating_sub(before) / 90;
    eprintln!("{each} octets for a connection, both ends");
    assert!(each < 100 * 1024, "{each} octets for a connection");
}

#[tokio::test]
async fn a_client_that_reads_slowly_costs_no_more_than_one_that_reads() {
    let server = Server::start().await;
    let (_, length) = server.mailbox.deliver_large(200 * 1024 * 1024);
    let mut imap = server.inbox().await;
    let before = memory();
    imap.raw("a FETCH 1 BODY.PEEK[]\r\n".repeat(20)).await;
    let mut most = 0;
    for _ in 0..20 {
        imap.octets(100_000).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        most = most.max(memory().saturating_sub(before));
    }
    let read = server.mailbox.octets_read.load(std::sync::atomic::Ordering::SeqCst);
    eprintln!("{most} octets of memory, {read} of {length} read");
    assert!(read < 40 * 1024 * 1024, "read {read} for a client that took 2 MB");
    assert!(most < 16 * 1024 * 1024, "{most} octets of memory");
}

#[tokio::test]
async fn floods_of_names_meet_limits() {
    let server = patient().await;
    server.mailbox.deliver("INBOX", "Subject: a\n\nbody\n");
    let mut imap = server.inbox().await;
    // Keywords: so many are refused, and those of one folder are bounded.
    imap.transact("BAD", &format!("STORE 1 +FLAGS ({})", "k ".repeat(1_000).trim_end())).await;
    for n in 0..100 {
        let keywords: Vec<String> = (0..20).map(|k| format!("k{n}x{k}")).collect();
        answered(&mut imap, &format!("STORE 1 +FLAGS ({})", keywords.join(" "))).await;
    }
    let lines = imap.transact("OK", "FETCH 1 FLAGS").await;
    assert!(lines[0].len() < 4096, "{}", lines[0].len());
    // Annotations.
    for n in 0..300 {
        answered(&mut imap, &format!("SETMETADATA INBOX (/private/vendor/x/{n} {{2000+}}\r\n{})", "v".repeat(2_000)))
            .await;
    }
    let lines = imap.transact("OK", "GETMETADATA (DEPTH infinity) INBOX /private").await;
    assert!(lines[0].len() < 8 * 1024 * 1024, "{}", lines[0].len());
    // Folders, and patterns made to be slow.
    for n in 0..300 {
        answered(&mut imap, &format!("CREATE {}{n}", "a".repeat(490))).await;
    }
    let work = Work::begin();
    let slow = format!("*{}b", "a*".repeat(200));
    let patterns = vec![slow.as_str(); 40].join(" ");
    imap.transact("OK", &format!("LIST \"\" ({patterns})")).await;
    imap.transact("OK", &format!("LIST \"\" (\"*{}b\")", "a".repeat(480))).await;
    imap.transact("OK", &format!("LSUB \"\" \"{slow}\"")).await;
    assert!(work.spent() < MUCH, "{:?}", work.spent());
}

#[tokio::test]
async fn conversations_made_to_be_slow() {
    let server = patient().await;
    const COUNT: usize = 1_500;
    for n in 0..COUNT {
        // Each answers the one that comes after it, all have one subject that strips slowly, and many references.
        let references: String = (0..40).map(|r| format!("<{}@a> ", n + 40 - r)).collect();
        let subject = "Re: [x] ".repeat(50);
        server
            .mailbox
            .deliver("INBOX", &format!("Message-ID: <{n}@a>\nReferences: {references}\nSubject: {subject}\n\n"));
    }
    let mut imap = server.inbox().await;
    let work = Work::begin();
    for command in [
        "THREAD REFERENCES UTF-8 ALL",
        "THREAD ORDEREDSUBJECT UTF-8 ALL",
        "SORT (REVERSE SUBJECT FROM TO CC DATE SIZE ARRIVAL DISPLAYFROM DISPLAYTO) UTF-8 ALL",
        "SEARCH RETURN (MIN MAX COUNT ALL) OR OR OR OR SUBJECT a SUBJECT b SUBJECT c SUBJECT d SUBJECT e",
    ] {
        let lines = imap.transact("OK", command).await;
        assert!(lines.len() >= 2, "{command}");
    }
    let wide: Vec<String> = (1..=COUNT as u32).step_by(2).map(|n| n.to_string()).collect();
    for command in ["SEARCH #", "FETCH # FLAGS", "SEARCH NOT #", "STORE # +FLAGS.SILENT (\\Seen)"] {
        imap.transact("OK", &command.replace('#', &wide.join(","))).await;
    }
    let keys = "UID 1:1500 ".repeat(900);
    imap.transact("OK", &format!("SEARCH {}", keys.trim_end())).await;
    assert!(work.spent() < MUCH, "{:?}", work.spent());
}

#[tokio::test]
async fn a_message_made_of_itself_meets_the_limit() {
    let server = patient().await;
    let body = "x".repeat(60).repeat(1_000);
    server.mailbox.deliver("INBOX", &format!("Subject: a\n\n{body}\n"));
    let mut imap = server.inbox().await;
    let work = Work::begin();
    for uid in 1..6 {
        let parts = vec![format!("URL \"/INBOX/;UID={uid}\""); 100].join(" ");
        answered(&mut imap, &format!("APPEND INBOX CATENATE ({parts})")).await;
    }
    let largest = server.mailbox.view("INBOX").iter().map(|e| e.size).max().expect("one");
    let limit = 64 * 1024 * 1024;
    assert!(largest <= limit, "{largest}");
    assert!(work.spent() < MUCH * 2, "{:?}", work.spent());
    imap.transact("BAD", &format!("APPEND INBOX CATENATE ({})", vec!["URL \"/INBOX/;UID=1\""; 5_000].join(" "))).await;
}

/// Many sessions are told of many changes: each is told what is there, not all that was.
#[tokio::test]
async fn a_storm_of_changes() {
    let server = patient().await;
    let mut imap = server.inbox().await;
    imap.transact("OK", "NOTIFY SET (SELECTED (MessageNew (UID) MessageExpunge FlagChange)) (PERSONAL (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange))").await;
    let before = memory();
    for _ in 0..3_000 {
        server.mailbox.deliver("Sent", "Subject: a\n\nbody\n");
    }
    let lines = imap.transact("OK", "NOOP").await;
    assert!(lines.len() < 50, "{} lines", lines.len());
    let mut told = lines.iter().any(|l| l.contains("MESSAGES 3000"));
    while !told {
        told = imap.line().await.contains("MESSAGES 3000");
    }
    assert!(memory().saturating_sub(before) < 50 * 1024 * 1024);
}

/// A thousand logins that are refused keep nothing.
#[tokio::test]
async fn refused_logins_keep_nothing() {
    let configure = |c: &mut imap::Config| {
        c.max_login_attempts = u32::MAX;
        c.max_bad_commands = u32::MAX;
    };
    let server = Server::with(Options { configure, ..Options::default() }).await;
    let mut imap = server.tls().await;
    let before = memory();
    let wrong = base64(&format!("user=marie@alpha\x01auth=Bearer {}\x01\x01", "x".repeat(9_000)));
    for _ in 0..100 {
        let tag = imap.send(&format!("AUTHENTICATE XOAUTH2 {wrong}")).await;
        if imap.line().await.starts_with('+') {
            // The error was told; the client says that it heard.
            imap.raw("\r\n").await;
            imap.answer(&tag, "NO").await;
        }
    }
    assert!(memory().saturating_sub(before) < 8 * 1024 * 1024);
}
