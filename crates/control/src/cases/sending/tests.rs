//! What is said of what was seen: each fault turns red, silence does not.

use std::path::Path;

use super::judge::Terms;
use super::notice::Notice;
use super::post::{Handed, Letter};
use super::watch::Seen;
use super::{CASES, Must, traps};
use crate::catalogue::Catalogue;
use crate::context::Context;
use crate::job::Job;
use crate::trap::Trap;
use crate::trap::record::{Certificate, End, Message, Session, Sheet, Transaction, recipient};

const JOB: &str = r#"
plan = "complet"
[operator]
name = "a"
domains = ["a.test"]
[api_lps]
imap = { address = "127.0.0.1:1", name = "lps.a.test" }
smtp = { address = "127.0.0.1:1", name = "lps.a.test" }
[mailbox]
address = "marie@a.test"
idnat = "899700000017"
other_address = "b@a.test"
other_idnat = "899700000021"
"#;

fn session(letter: Option<&Letter>, door: &str, is_taken: bool) -> Session {
    let transaction = letter.map(|letter| Transaction {
        ms: 1,
        from: "marie@a.test".into(),
        to: vec![recipient(&letter.to)],
        message: is_taken.then(|| Message {
            ms: 2,
            octets: 10,
            sha256: "00".into(),
            is_whole: true,
            is_taken: true,
            answer: "250".into(),
            is_ours: true,
            kept: 10,
            has_bare_lf: false,
            fields: Vec::new(),
        }),
    });
    Session {
        seq: 1,
        at: "2026-11-22T00:00:00Z".into(),
        at_ms: 0,
        door: door.into(),
        peer: "127.0.0.1".into(),
        hello: None,
        tls: Some(Sheet {
            version: Some("TLS 1.2".into()),
            suite: Some("x".into()),
            suite_code: Some(0xC030),
            certificate: Some(Certificate {
                subject: "CN=mx.a.test".into(),
                issuer: String::new(),
                serial: String::new(),
                sha256: String::new(),
                not_before: String::new(),
                not_after: String::new(),
                chain: Vec::new(),
                fault: None,
                is_unclear: false,
                domains: Some(vec!["a.test".into()]),
            }),
            ..Sheet::default()
        }),
        taken_in: None,
        transactions: transaction.into_iter().collect(),
        end: Some(End::Quit),
        ms: 3,
        dialogue: Vec::new(),
    }
}

fn notice(letter: &Letter, action: &str, status: &str) -> Notice {
    Notice {
        run: letter.run.clone(),
        action: Some(action.into()),
        status: Some(status.into()),
        diagnostic: None,
        from: String::new(),
        subject: String::new(),
    }
}

/// The codes of what is said, and their levels.
struct Bench(Context);

impl Bench {
    fn letter(&self, trap: &str) -> Letter {
        let mut letter = Letter::new(Trap::named(trap).expect("a trap"), "p.test", "batch", trap);
        letter.handed = Handed::Taken("250".into());
        letter
    }

    fn says(&self, case: &str, letter: &Letter, seen: &Seen) -> Vec<String> {
        let must = traps(case).iter().find(|(name, _)| *name == letter.trap).expect("a trap of the case").1;
        let case = Catalogue::embedded().case(case).expect("a case");
        let trap = Trap::named(letter.trap).expect("a trap");
        let terms = Terms { case, context: &self.0, trap, letter, witness: None, seen };
        terms.judge(must).iter().map(|judged| judged.verdict.label()).collect()
    }

    fn one(&self, case: &str, letter: &Letter, sessions: Vec<Session>, notices: Vec<Notice>) -> String {
        self.says(case, letter, &Seen { sessions, notices }).remove(0)
    }
}

fn bench() -> Bench {
    let job = Job::parse(JOB, Path::new("job.toml")).expect("a job");
    Bench(Context::new(job).expect("a context"))
}

#[test]
fn every_case_has_traps_that_exist() {
    for case in CASES {
        assert!(!traps(case).is_empty(), "{case}");
        for (name, _) in traps(case) {
            assert!(Trap::named(name).is_some_and(|trap| trap.cases.contains(case)), "{case} {name}");
        }
    }
}

#[test]
fn what_must_stay_is_red_when_it_comes() {
    let bench = bench();
    for (case, trap, level) in [
        ("OPE-11", "sans-starttls", "non conforme (bloquante)"),
        ("OPE-12", "revoque", "non conforme (bloquante)"),
        ("OPE-12", "dn-non-liste", "constat"),
        ("OPE-13", "dh1024", "non conforme (majeure)"),
    ] {
        let letter = bench.letter(trap);
        assert_eq!(bench.one(case, &letter, vec![session(Some(&letter), trap, true)], vec![]), level, "{trap}");
        // Told, not told, nothing seen, not handed over.
        let broken = || vec![session(None, trap, false)];
        assert_eq!(bench.one(case, &letter, broken(), vec![notice(&letter, "failed", "5.7.5")]), "conforme");
        assert_eq!(bench.one(case, &letter, broken(), vec![notice(&letter, "delayed", "4.7.5")]), "à examiner");
        assert_eq!(bench.one(case, &letter, broken(), vec![]), "à examiner");
        assert_eq!(bench.one(case, &letter, vec![], vec![]), "inconclusif");
        let refused = Letter { handed: Handed::Refused("RCPT", "550".into()), ..letter.clone() };
        assert_eq!(bench.one(case, &refused, vec![], vec![]), "inconclusif");
    }
}

#[test]
fn what_must_come_comes_once_from_whom_it_says() {
    let bench = bench();
    let letter = bench.letter("nominal");
    let good = session(Some(&letter), "nominal", true);
    let says = |one: &Session| {
        let mut said = bench.says("OPE-10", &letter, &Seen { sessions: vec![one.clone()], notices: vec![] });
        said.retain(|word| word != "conforme");
        said
    };
    assert!(says(&good).is_empty());
    let with = |change: &dyn Fn(&mut Sheet)| {
        let mut one = good.clone();
        change(one.tls.as_mut().expect("TLS"));
        says(&one)
    };
    let fault = vec!["non conforme (bloquante)".to_owned()];
    assert_eq!(with(&|tls| tls.suite_code = Some(0x009C)), fault);
    assert_eq!(with(&|tls| tls.certificate.as_mut().expect("shown").fault = Some("périmé".into())), fault);
    assert_eq!(with(&|tls| tls.certificate.as_mut().expect("shown").domains = Some(vec!["b.test".into()])), fault);
    assert_eq!(with(&|tls| tls.certificate = None).len(), 2);
    assert_eq!(with(&|tls| tls.certificate.as_mut().expect("shown").domains = None), ["inconclusif"]);
    assert_eq!(with(&|tls| tls.offered = vec![0xC030, 0x1301, 0x00FF, 0x0A0A, 0x009C]), ["constat"]);
    let mut other = good.clone();
    other.transactions[0].from = "autre@a.test".into();
    assert_eq!(says(&other), fault);
    assert_eq!(bench.one("SMA-02", &letter, vec![], vec![]), "inconclusif");
    let lost = vec![notice(&letter, "failed", "5.1.1")];
    assert_eq!(bench.one("SMA-02", &letter, vec![], lost), "non conforme (bloquante)");
    let refused = Letter { handed: Handed::Refused("fin du message", "554".into()), ..letter.clone() };
    assert_eq!(bench.one("SMA-02", &refused, vec![], vec![]), "non conforme (bloquante)");

    let letter = bench.letter("liste-grise");
    let came = |count: usize| vec![session(Some(&letter), "nominal", true); count];
    let said = |count, notices| bench.one("OPE-15", &letter, came(count), notices);
    assert_eq!(
        [said(0, vec![]), said(1, vec![]), said(2, vec![])],
        ["inconclusif", "conforme", "non conforme (majeure)"]
    );
    assert_eq!(said(0, vec![notice(&letter, "failed", "4.7.1")]), "non conforme (majeure)");
    assert_eq!(said(1, vec![notice(&letter, "delayed", "4.7.1")]), "conforme");
}

#[test]
fn a_letter_is_lost_when_only_the_other_one_comes() {
    let bench = bench();
    let letter = bench.letter("nominal");
    let mut witness = bench.letter("nominal");
    witness.run.push_str("-temoin");
    witness.to = Trap::named("nominal").expect("a trap").address(&witness.run, "p.test");
    let came = |letter: &Letter| session(Some(letter), "nominal", true);
    let says = |case: &str, sessions: Vec<Session>, notices: Vec<Notice>| -> Vec<String> {
        let case = Catalogue::embedded().case(case).expect("a case");
        let trap = Trap::named("nominal").expect("a trap");
        let seen = Seen { sessions, notices };
        let terms = Terms { case, context: &bench.0, trap, letter: &letter, witness: Some(&witness), seen: &seen };
        terms.judge(Must::Arrive).iter().map(|judged| judged.verdict.label()).collect()
    };
    for case in ["SMA-02", "OPE-10"] {
        let both = says(case, vec![came(&letter), came(&witness)], vec![]);
        assert!(both.iter().all(|said| said == "conforme"), "{case} {both:?}");
        assert_eq!(says(case, vec![came(&witness)], vec![]), ["non conforme (bloquante)"], "{case}");
        assert_eq!(says(case, vec![came(&letter)], vec![])[1], "non conforme (bloquante)", "{case}");
        // Neither, or tried: nothing is known.
        assert_eq!(says(case, vec![], vec![]), ["inconclusif"], "{case}");
        let tried = vec![session(Some(&letter), "nominal", false), came(&witness)];
        assert_eq!(says(case, tried, vec![]), ["inconclusif"], "{case}");
    }
}

#[test]
fn refusals_are_told_with_their_status_and_nobody_outside_is_met() {
    let bench = bench();
    let letter = bench.letter("plein");
    let seen = || vec![session(Some(&letter), "nominal", false)];
    let said = |notices| bench.one("OPE-16", &letter, seen(), notices);
    assert_eq!(said(vec![notice(&letter, "failed", "5.2.2")]), "conforme");
    assert_eq!(said(vec![notice(&letter, "failed", "5.0.0")]), "non conforme (mineure)");
    let twice = vec![notice(&letter, "failed", "5.2.2"); 2];
    assert_eq!(said(twice), "non conforme (mineure)");
    assert_eq!(said(vec![Notice { action: None, status: None, ..notice(&letter, "", "") }]), "non conforme (majeure)");
    assert_eq!(said(vec![]), "à examiner");

    let letter = bench.letter("hors-liste");
    let refused = Letter { handed: Handed::Refused("RCPT", "550 5.7.1".into()), ..letter.clone() };
    assert_eq!(bench.one("OPE-14", &refused, vec![], vec![]), "conforme");
    assert_eq!(bench.one("OPE-14", &refused, vec![session(None, "hors-liste", false)], vec![]), "inconclusif");
    let met = vec![session(Some(&letter), "hors-liste", false)];
    assert_eq!(bench.one("OPE-14", &letter, met, vec![notice(&letter, "failed", "5.7.1")]), "non conforme (bloquante)");
    assert_eq!(bench.one("OPE-14", &letter, vec![], vec![]), "inconclusif");
    let busy = Letter { handed: Handed::Unclear("451".into()), ..letter.clone() };
    assert_eq!(bench.one("OPE-14", &busy, vec![], vec![]), "inconclusif");
}

#[test]
fn whoever_takes_the_injected_answer_is_red() {
    let bench = bench();
    let letter = bench.letter("injection");
    let with = |own: bool, taken_in: Option<bool>| {
        let one = Session { taken_in, ..session(own.then_some(&letter), "injection", false) };
        bench.one("OPE-18", &letter, vec![one], vec![])
    };
    assert_eq!(with(true, Some(true)), "non conforme (majeure)");
    assert_eq!(with(true, Some(false)), "conforme");
    // Breaks off at the injection: whoever asks for nothing more believes nothing.
    assert_eq!(with(false, None), "conforme");
    assert_eq!(with(false, Some(true)), "inconclusif");
    assert_eq!(bench.one("OPE-18", &letter, vec![], vec![]), "inconclusif");
    assert!(matches!(traps("OPE-18")[0].1, Must::Doubt));
}
