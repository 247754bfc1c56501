//! SORT by random criteria against a model: a stable sort of what each message was made of (RFC 5256 §3, RFC 5957).

use mail::Flags;

use crate::support::Server;

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    fn of<'t, T: ?Sized>(&mut self, all: &[&'t T]) -> &'t T {
        all[self.below(all.len())]
    }
}

const DAY: i64 = 86_400;

/// Base subjects as written, and what they are compared as: lower case, accents behind their letters.
const SUBJECTS: [(&str, &str); 9] = [
    ("", ""),
    ("alpha", "alpha"),
    ("ALPHA", "alpha"),
    ("alpha beta", "alpha beta"),
    ("été", "e\u{301}te\u{301}"),
    ("=?utf-8?q?=C3=89T=C3=89?=", "e\u{301}te\u{301}"),
    ("ete", "ete"),
    ("eté", "ete\u{301}"),
    ("zoo", "zoo"),
];
/// Addresses as written, their mailbox and what is shown of them.
const PEOPLE: [(&str, &str, &str); 6] = [
    ("", "", ""),
    ("adam@a.test", "adam", "adam@a.test"),
    ("ADAM@b.test", "adam", "adam@b.test"),
    ("Zoé <bob@a.test>", "bob", "zoe\u{301}"),
    ("=?utf-8?q?=C3=89lise?= <zed@a.test>, other@a.test", "zed", "e\u{301}lise"),
    ("\"Bob B.\" <bob@c.test>", "bob", "bob b."),
];

/// What a message is sorted by.
struct Message {
    arrival: i64,
    sent: i64,
    size: usize,
    subject: &'static str,
    from: (&'static str, &'static str),
    to: (&'static str, &'static str),
    cc: &'static str,
}

/// The keys of a criterion: a number and a text, of which one is the same for all.
fn key(message: &Message, by: &str) -> (i64, String) {
    let text = |text: &str| (0, text.to_owned());
    match by {
        "ARRIVAL" => (message.arrival, String::new()),
        "DATE" => (message.sent, String::new()),
        "SIZE" => (message.size as i64, String::new()),
        "SUBJECT" => text(message.subject),
        "FROM" => text(message.from.0),
        "TO" => text(message.to.0),
        "CC" => text(message.cc),
        "DISPLAYFROM" => text(message.from.1),
        _ => text(message.to.1),
    }
}

/// A message and the text of it.
fn compose(random: &mut Random) -> (Message, String) {
    let (base, subject) = SUBJECTS[random.below(SUBJECTS.len())];
    let front = random.of(&["", "Re: ", "RE: fwd: ", "[liste] ", "[liste] re: "]);
    // RFC 5256 §2.1: with nothing behind it, what stands in brackets is the base itself.
    let front = if base.is_empty() && front.contains('[') { "Re: " } else { front };
    let back = random.of(&["", " (fwd)"]);
    let people: Vec<_> = (0..3).map(|_| PEOPLE[random.below(PEOPLE.len())]).collect();
    let arrival = random.below(5) as i64 * DAY;
    let mut text = format!("Subject: {front}{base}{back}\n");
    for (name, (written, ..)) in ["From", "To", "Cc"].iter().zip(&people) {
        if !written.is_empty() {
            text += &format!("{name}: {written}\n");
        }
    }
    let mut sent = arrival;
    if random.below(3) > 0 {
        let (day, zone) = (1 + random.below(4) as i64, random.below(5) as i64 - 2);
        // 12:00 of a day of January 2024, as people far away write it.
        sent = 1_704_067_200 + (day - 1) * DAY + 12 * 3600;
        let (sign, hours) = (if zone < 0 { '-' } else { '+' }, zone.abs());
        text += &format!("Date: {day} Jan 2024 {}:00:00 {sign}{hours:02}00\n", 12 + zone);
    }
    text += &format!("\n{}\n", "x".repeat(random.below(3)));
    let size = text.replace('\n', "\r\n").len();
    let pair = |at: usize| (people[at].1, people[at].2);
    (Message { arrival, sent, size, subject, from: pair(0), to: pair(1), cc: people[2].1 }, text)
}

async fn run(seed: u64) {
    let mut random = Random(seed);
    let server = Server::start().await;
    let mut messages = Vec::new();
    for _ in 0..50 {
        let (message, text) = compose(&mut random);
        server.mailbox.deliver_at("INBOX", &text, Flags::NONE, message.arrival);
        messages.push(message);
    }
    let mut imap = server.inbox().await;
    for _ in 0..40 {
        let mut names = vec!["ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO", "DISPLAYFROM", "DISPLAYTO"];
        let criteria: Vec<(bool, &str)> = (0..=random.below(4))
            .map(|_| (random.below(2) == 0, names.swap_remove(random.below(names.len()))))
            .collect();
        let (first, last) = (1 + random.below(10), 40 + random.below(11));
        let mut wanted: Vec<usize> = (first..=last).collect();
        wanted.sort_by(|a, b| {
            criteria.iter().fold(std::cmp::Ordering::Equal, |order, (reverse, by)| {
                let next = key(&messages[a - 1], by).cmp(&key(&messages[b - 1], by));
                order.then(if *reverse { next.reverse() } else { next })
            })
        });
        let written: Vec<String> =
            criteria.iter().map(|(reverse, by)| format!("{}{by}", if *reverse { "REVERSE " } else { "" })).collect();
        let numbers: String = wanted.iter().map(|n| format!(" {n}")).collect();
        let command = format!("SORT ({}) UTF-8 {first}:{last}", written.join(" "));
        let lines = imap.transact("OK", &command).await;
        assert_eq!(lines[0], format!("* SORT{numbers}"), "seed {seed}: {command}");
    }
}

#[tokio::test]
async fn random_criteria_sort_as_the_model_does() {
    for seed in 1..=4u64 {
        run(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).await;
    }
}
