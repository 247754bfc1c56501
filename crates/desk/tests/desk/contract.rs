//! What the database promises, on each engine.

use control::engine::Preflight;
use desk::account::role::Role;
use desk::db::{
    AccountId, CampaignId, Checkup, Db, Decision, DecisionKind, Drift, Filter, NewAccount, NewCampaign, NewJob, Reach,
    Scope, State, Submission, Watch,
};
use desk::error::Broken;

use crate::postgres::{PASSWORD, Server};

/// Everything, on an empty database; what is left is looked at again by [`kept`].
async fn promises(db: &Db) {
    assert!(!db.has_accounts().await.expect("read"));
    let reach = |domain: &str| Reach {
        domains: vec![domain.to_owned()],
        ranges: vec!["10.0.0.0/8".parse().expect("a range")],
        ports: vec![10143],
    };
    let alpha = db.put_organisation("Alpha", reach("old.test"), 1).await.expect("made");
    let beta = db.put_organisation("Beta", reach("beta.test"), 1).await.expect("made");
    assert_eq!(db.put_organisation("Alpha", reach("alpha.test"), 2).await.expect("changed"), alpha);
    assert_eq!(db.organisation(alpha).await.expect("read").expect("there").reach, reach("alpha.test"));
    let ids = ["1750000001".parse().expect("a FINESS"), "318751275100020".parse().expect("a SIRET")];
    db.identify(alpha, &ids).await.expect("declared");
    assert_eq!(db.organisation(alpha).await.expect("read").expect("there").identifiers, ids);
    assert_eq!(db.organisations().await.expect("read").len(), 2);
    accounts(db, alpha).await;
    campaigns(db, alpha, beta).await;
    crate::contract_identities::promises(db, alpha, beta).await;
    watches(db, alpha, beta).await;
    db.note(5, Some(alpha), "alice", "premier".to_owned()).await.expect("noted");
    db.note(6, None, "admin", "second\0".to_owned()).await.expect("noted, whatever is in it");
    let acts = db.acts(Scope::All, 10).await.expect("read");
    assert_eq!(acts[0], (6, "admin".to_owned(), "second\u{fffd}".to_owned()));
    assert_eq!(db.acts(Scope::Of(alpha), 10).await.expect("read").len(), 1);
}

async fn accounts(db: &Db, alpha: desk::db::OrganisationId) {
    let first = db.add_first_account("admin", "x".to_owned(), 1).await.expect("made").expect("the first");
    assert_eq!(db.add_first_account("other", "x".to_owned(), 1).await.expect("read"), None);
    let new = |login: &str| NewAccount {
        organisation: Some(alpha),
        login: login.to_owned(),
        role: Role::Testeur,
        password: "hash".to_owned(),
    };
    let alice = db.add_account(new("Alice"), 2).await.expect("made").expect("free");
    assert_ne!(alice, first);
    assert_eq!(db.add_account(new("aLICE"), 3).await.expect("read"), None, "the same, whatever its case");
    let found = db.account_named("ALICE").await.expect("read").expect("there");
    assert_eq!((found.id, found.login.as_str(), found.role, found.is_open), (alice, "Alice", Role::Testeur, true));
    assert_eq!((found.organisation, found.totp_step), (Some(alpha), 0));
    assert_eq!(db.accounts(Scope::Of(alpha)).await.expect("read").len(), 1);
    assert_eq!(db.accounts(Scope::All).await.expect("read").len(), 2);
    assert!(db.take_totp_step(alice, 7).await.expect("taken") && !db.take_totp_step(alice, 7).await.expect("read"));

    let word = db.begin_session(alice, true, 100).await.expect("begun");
    let other = db.begin_session(alice, true, 100).await.expect("begun");
    let session = db.session(&word, 200).await.expect("read").expect("stands");
    assert_eq!(session.account.id, alice);
    db.set_password(alice, "new".to_owned(), Some(session.hash)).await.expect("set");
    assert!(
        db.session(&other, 201).await.expect("read").is_none() && db.session(&word, 201).await.expect("read").is_some()
    );
    assert!(db.session("nothing", 201).await.expect("read").is_none());
    assert!(db.session(&word, 200 + desk_idle()).await.expect("read").is_none(), "too long silent");

    factor(db, alpha, alice).await;

    let token = db.add_token(Some(alpha), alice, "ci", 300).await.expect("made");
    let bearer = db.bearer(&token, 400).await.expect("read").expect("known");
    assert_eq!((bearer.organisation, bearer.role, bearer.name.as_str()), (Some(alpha), Role::Testeur, "Alice (ci)"));
    let tokens = db.tokens(Scope::Of(alpha), None).await.expect("read");
    assert_eq!(db.tokens(Scope::Of(alpha), Some(first)).await.expect("read"), []);
    // One of nobody's operator: it is its account's, and nobody else ends it.
    let above = db.add_token(None, first, "régulateur", 300).await.expect("made");
    assert_eq!(db.bearer(&above, 301).await.expect("read").expect("known").organisation, None);
    let of_first = db.tokens(Scope::All, Some(first)).await.expect("read");
    assert_eq!((of_first.len(), of_first[0].label.as_str()), (1, "régulateur"));
    assert!(!db.revoke_token(Scope::Of(alpha), None, of_first[0].id, 302).await.expect("read"), "not alpha's");
    assert!(!db.revoke_token(Scope::All, Some(alice), of_first[0].id, 302).await.expect("read"), "another's");
    assert!(db.revoke_token(Scope::All, Some(first), of_first[0].id, 302).await.expect("revoked"));
    assert_eq!(db.bearer(&above, 303).await.expect("read"), None);
    assert_eq!((tokens.len(), tokens[0].used), (2, Some(400)));
    let word = db.begin_session(alice, true, 500).await.expect("begun");
    assert!(db.set_account_open(Scope::All, alice, false, 600).await.expect("closed"));
    assert!(
        db.session(&word, 601).await.expect("read").is_none() && db.bearer(&token, 601).await.expect("read").is_none()
    );
    assert!(db.set_account_open(Scope::All, alice, true, 700).await.expect("opened"));
    assert_eq!(db.bearer(&token, 701).await.expect("read"), None, "revoked for good");
    assert!(!db.set_account_open(Scope::Of(alpha), AccountId(9999), true, 700).await.expect("read"));
}

/// A second factor that somebody else takes away.
async fn factor(db: &Db, alpha: desk::db::OrganisationId, alice: AccountId) {
    let of = async || db.account_of(Scope::All, alice).await.expect("read").expect("there");
    assert!(!db.reset_totp(Scope::Of(alpha), alice, "chef", 210).await.expect("read"), "there is none");
    db.set_totp(alice, Some(vec![7; 49]), vec!["code".to_owned()]).await.expect("set");
    let session = db.begin_session(alice, true, 210).await.expect("begun");
    let token = db.add_token(Some(alpha), alice, "avant", 210).await.expect("made");
    let elsewhere = desk::db::OrganisationId(alpha.0 + 1);
    assert!(!db.reset_totp(Scope::Of(elsewhere), alice, "chef", 211).await.expect("read"), "another's");
    assert_eq!(db.account_of(Scope::Of(elsewhere), alice).await.expect("read"), None);
    assert!(!of().await.must_enrol());
    assert!(db.reset_totp(Scope::Of(alpha), alice, "chef", 212).await.expect("reset"));
    let now = of().await;
    assert_eq!(
        (now.totp.clone(), now.recovery.len(), now.factor_reset.clone()),
        (None, 0, Some((212, "chef".to_owned())))
    );
    assert!(now.must_enrol() && db.session(&session, 213).await.expect("read").is_none());
    assert_eq!(db.bearer(&token, 213).await.expect("read"), None);
    db.set_totp(alice, Some(vec![8; 49]), Vec::new()).await.expect("anew");
    assert!(!of().await.must_enrol() && of().await.factor_reset.is_some(), "still told");
    db.set_totp(alice, None, Vec::new()).await.expect("as before");
    let ids: Vec<_> = db.tokens(Scope::Of(alpha), None).await.expect("read").into_iter().map(|one| one.id).collect();
    assert_eq!(ids.len(), 1);
}

/// Two hours and some.
fn desk_idle() -> i64 {
    3 * 3600
}

async fn campaigns(db: &Db, alpha: desk::db::OrganisationId, beta: desk::db::OrganisationId) {
    let new = NewJob {
        organisation: alpha,
        name: "été".to_owned(),
        plan: "annuaire".to_owned(),
        template: "t".to_owned(),
        text: "plan = \"annuaire\"".to_owned(),
        author: "Alice".to_owned(),
    };
    let id = db.add_job(new, 1_000_000).await.expect("kept").expect("not too many");
    let job = db.job(Scope::Of(alpha), &id).await.expect("read").expect("there");
    assert_eq!((job.name.as_str(), job.created), ("été", 1000));
    assert_eq!(db.job(Scope::Of(beta), &id).await.expect("read"), None, "another's");
    let launch = |only: &[&str]| NewCampaign {
        job: job.clone(),
        only: only.iter().map(|one| (*one).to_owned()).collect(),
        depth: control::engine::Depth::Eclair,
        parent: None,
        author: "Alice".to_owned(),
        overridden: "le pare-feu ouvre demain".to_owned(),
        checkup: vec![Preflight { quoi: "IMAP".to_owned(), bon: false, detail: "fermé".to_owned() }],
        is_watch: false,
    };
    let first = db.add_campaign(launch(&["TLS"]), 2_000_000).await.expect("kept").expect("not too many");
    let second = db.add_campaign(launch(&[]), 3_000_000).await.expect("kept").expect("not too many");
    let waiting: Vec<_> = db.waiting().await.expect("read").into_iter().map(|one| one.id).collect();
    assert_eq!(waiting, [first.clone(), second.clone()]);
    assert!(db.begin_campaign(&first, 10).await.expect("begun") && !db.begin_campaign(&first, 11).await.expect("read"));
    assert_eq!(db.running().await.expect("read"), std::slice::from_ref(&first));
    db.set_planned(&first, 2).await.expect("set");
    let result = |case: &str| {
        format!(
            r#"{{"id":"{case}","titre":"é","exigences":"","gravite":"majeure","etat":"conforme","variantes":[],"duree_ms":7}}"#
        )
    };
    for (case, proof) in [("TLS-02", "h1"), ("TLS-01", "h2"), ("TLS-02", "h1")] {
        let proofs = vec![(proof.to_owned(), "{\"a\":\"\\u0000\"}".to_owned())];
        db.add_result(&first, case.to_owned(), result(case), proofs).await.expect("kept");
    }
    let found = db.results(Scope::Of(alpha), &first, 0).await.expect("read");
    let found: Vec<(i64, &str)> = found.iter().map(|(at, result)| (*at, result.id.as_str())).collect();
    assert_eq!(found, [(1, "TLS-02"), (2, "TLS-01")], "in the order in which they came, once each");
    assert_eq!(db.results(Scope::Of(alpha), &first, 1).await.expect("read").len(), 1);
    assert!(db.results(Scope::Of(beta), &first, 0).await.expect("read").is_empty(), "another's");
    let only = |hashes: &[&str]| Some(hashes.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
    assert_eq!(db.proofs(Scope::All, &first, None).await.expect("read").len(), 2);
    assert_eq!(db.proofs(Scope::All, &first, only(&["h2", "h9"])).await.expect("read").len(), 1);
    assert!(db.proofs(Scope::All, &first, only(&[])).await.expect("read").is_empty());
    assert!(db.proofs(Scope::Of(beta), &first, None).await.expect("read").is_empty(), "another's");
    let seen = db.campaign(Scope::Of(alpha), &first).await.expect("read").expect("there");
    assert_eq!((seen.done, seen.planned, seen.starts, seen.begun), (2, 2, 1, Some(10)));
    assert_eq!(
        (seen.state, seen.only.as_slice(), seen.operator.as_str()),
        (State::EnCours, &["TLS".to_owned()][..], "Alpha")
    );
    assert_eq!(seen.overridden, "le pare-feu ouvre demain");
    assert_eq!(db.checkup(&id).await.expect("read"), None, "nobody looked");
    for is_good in [false, true, false] {
        let findings = vec![Preflight { quoi: "IMAP".to_owned(), bon: is_good, detail: "é".to_owned() }];
        let made = Checkup { at: 5, is_good, findings };
        db.put_checkup(&id, &made).await.expect("kept");
        assert_eq!(db.checkup(&id).await.expect("read"), Some(made));
    }
    // The process ends, cleanly and not.
    db.requeue(&first).await.expect("waits");
    assert_eq!(db.waiting().await.expect("read").len(), 2);
    assert!(db.begin_campaign(&first, 20).await.expect("begun"));
    db.recover(30).await.expect("recovered");
    assert_eq!(db.waiting().await.expect("read").len(), 2);
    db.end_campaign(&first, State::Terminee, "", Some("conforme"), Some("{}".to_owned()), 40).await.expect("ended");
    db.end_campaign(&first, State::Interrompue, "x", None, None, 50).await.expect("nothing: it is over");
    let seen = db.campaign(Scope::All, &first).await.expect("read").expect("there");
    assert_eq!((seen.state, seen.verdict.as_deref(), seen.ended), (State::Terminee, Some("conforme"), Some(40)));
    assert_eq!(db.head(Scope::Of(alpha), &first).await.expect("read").as_deref(), Some("{}"));
    assert_eq!(db.head(Scope::Of(beta), &first).await.expect("read"), None, "another's");
    assert!(!db.cancel_waiting(Scope::Of(beta), &second, 60).await.expect("read"), "another's");
    assert!(db.cancel_waiting(Scope::Of(alpha), &second, 60).await.expect("cancelled"));
    submissions(db, alpha, beta, &first).await;
    let newest = Filter { most: 1, job: Some(id.clone()), ..Filter::default() };
    assert_eq!(db.campaigns(Scope::Of(alpha), newest).await.expect("read")[0].id, second);
    let before = Filter { most: 9, before: Some(second), ..Filter::default() };
    assert_eq!(db.campaigns(Scope::All, before).await.expect("read").len(), 1);
    assert!(
        !db.hide_job(Scope::Of(beta), &id).await.expect("read")
            && db.hide_job(Scope::Of(alpha), &id).await.expect("hidden")
    );
    assert!(db.jobs(Scope::All).await.expect("read").is_empty());
}

async fn submissions(db: &Db, alpha: desk::db::OrganisationId, beta: desk::db::OrganisationId, id: &CampaignId) {
    let submission = Submission {
        campaign: id.clone(),
        organisation: alpha,
        operator: "Alpha".to_owned(),
        name: "été".to_owned(),
        verdict: Some("conforme".to_owned()),
        at: 70,
        author: "Alice".to_owned(),
        note: String::new(),
        sha256: "0f".repeat(32),
    };
    assert!(db.submit(&submission, "{\"a\": 1}\n".to_owned()).await.expect("kept"));
    assert!(!db.submit(&Submission { at: 80, ..submission.clone() }, String::new()).await.expect("read"), "once");
    assert_eq!(db.submission(Scope::Of(alpha), id).await.expect("read"), Some(submission.clone()));
    assert_eq!(db.submissions(Scope::All, 9).await.expect("read"), [submission]);
    let report = db.submitted_report(Scope::Of(alpha), id).await.expect("read");
    assert_eq!(report.as_deref(), Some("{\"a\": 1}\n"), "octet for octet");
    let decision = Decision {
        campaign: id.clone(),
        at: 90,
        author: "regulateur".to_owned(),
        kind: DecisionKind::Complement,
        text: "Joindre la preuve.".to_owned(),
        due: Some("2027-01-31".to_owned()),
    };
    assert!(db.decide(Scope::All, &decision).await.expect("kept"));
    assert!(!db.decide(Scope::Of(beta), &decision).await.expect("read"), "another's");
    assert_eq!(db.decisions(Scope::Of(alpha), Some(id)).await.expect("read"), std::slice::from_ref(&decision));
    assert_eq!(db.decisions(Scope::All, None).await.expect("read"), [decision]);
    assert!(db.decisions(Scope::Of(beta), None).await.expect("read").is_empty(), "another's");
    assert_eq!(db.submission(Scope::Of(beta), id).await.expect("read"), None, "another's");
    assert_eq!(db.submitted_report(Scope::Of(beta), id).await.expect("read"), None, "another's");
    assert!(db.submissions(Scope::Of(beta), 9).await.expect("read").is_empty(), "another's");
}

async fn watches(db: &Db, alpha: desk::db::OrganisationId, beta: desk::db::OrganisationId) {
    let new = NewJob {
        organisation: alpha,
        name: "suivi".to_owned(),
        plan: "surveillance".to_owned(),
        template: "t".to_owned(),
        text: String::new(),
        author: "Alice".to_owned(),
    };
    let id = db.add_job(new, 5_000_000).await.expect("kept").expect("not too many");
    let job = db.job(Scope::Of(alpha), &id).await.expect("read").expect("there");
    let watch = Watch {
        job: id.clone(),
        organisation: alpha,
        name: "suivi".to_owned(),
        every_hours: 6,
        at_minute: Some(210),
        depth: control::engine::Depth::Eclair,
        author: "Alice".to_owned(),
        next: 1000,
        reference: None,
    };
    db.put_watch(watch.clone()).await.expect("kept");
    db.put_watch(watch.clone()).await.expect("changed");
    assert_eq!(db.watches(Scope::Of(alpha)).await.expect("read"), std::slice::from_ref(&watch));
    assert!(db.watches(Scope::Of(beta)).await.expect("read").is_empty(), "another's");
    assert!(db.due(999).await.expect("read").is_empty() && db.due(1000).await.expect("read").len() == 1);
    let run = db.launch_due(&watch, job.clone(), 2000, 6_000_000).await.expect("launched").expect("due");
    assert_eq!(db.launch_due(&watch, job.clone(), 2000, 6_000_001).await.expect("read"), None, "once");
    let later = Watch { next: 2000, ..watch.clone() };
    assert_eq!(db.launch_due(&later, job.clone(), 3000, 6_000_002).await.expect("read"), None, "the one before waits");
    assert_eq!(db.watch_of(Scope::All, &id).await.expect("read").expect("there").next, 3000, "left out, not put off");
    let seen = db.campaign(Scope::All, &run).await.expect("read").expect("there");
    assert!(seen.is_watch && seen.author == "surveillance (Alice)");
    db.end_campaign(&run, State::Annulee, "", None, None, 40).await.expect("ended");
    let drift = Drift {
        campaign: run.clone(),
        organisation: alpha,
        job: id.clone(),
        name: "suivi".to_owned(),
        previous: run.clone(),
        at: 50,
        worse: 2,
        json: "[]".to_owned(),
    };
    db.add_drift(&drift).await.expect("kept");
    db.add_drift(&Drift { worse: 9, ..drift.clone() }).await.expect("nothing: it is there");
    assert_eq!(db.drifts(Scope::Of(alpha), 9).await.expect("read"), std::slice::from_ref(&drift));
    assert!(db.drifts(Scope::Of(beta), 9).await.expect("read").is_empty(), "another's");
    assert!(!db.set_reference(Scope::Of(beta), &id, &run).await.expect("read"), "another's");
    assert!(db.set_reference(Scope::Of(alpha), &id, &run).await.expect("set"));
    assert!(
        !db.drop_watch(Scope::Of(beta), &id).await.expect("read")
            && db.drop_watch(Scope::Of(alpha), &id).await.expect("ended")
    );

    assert!(db.ask_domain(alpha, "a.test", "t1", 1).await.expect("kept"));
    assert!(
        db.ask_domain(alpha, "a.test", "t2", 2).await.expect("kept")
            && db.ask_domain(beta, "a.test", "t3", 2).await.expect("kept")
    );
    let ours = db.domain(alpha, "a.test").await.expect("read").expect("there");
    assert_eq!((ours.token.as_str(), ours.proven), ("t1", None), "it keeps its token");
    db.checked_domain(&ours, true, "prouve", 10).await.expect("kept");
    db.checked_domain(&ours, false, "absent", 20).await.expect("kept");
    let ours = db.domain(alpha, "a.test").await.expect("read").expect("there");
    assert_eq!((ours.proven, ours.checked, ours.finding.as_str()), (Some(10), Some(20), "absent"));
    assert_eq!(db.domain(beta, "a.test").await.expect("read").expect("there").proven, None, "another's");
    assert_eq!(
        (db.domains(Scope::All).await.expect("read").len(), db.domains(Scope::Of(beta)).await.expect("read").len()),
        (2, 1)
    );
    for number in 0..60 {
        let is_there = db.ask_domain(beta, &format!("d{number}.test"), "t", 3).await.expect("read");
        assert_eq!(is_there, number < 49, "fifty at most");
    }
    assert!(
        db.drop_domain(beta, "a.test").await.expect("dropped") && !db.drop_domain(beta, "a.test").await.expect("read")
    );
}

/// What [`promises`] left, after the database was opened again.
async fn kept(db: &Db) {
    assert!(db.has_accounts().await.expect("read"));
    assert_eq!(db.organisations().await.expect("read").len(), 2);
    assert_eq!(db.campaigns(Scope::All, Filter { most: 9, ..Filter::default() }).await.expect("read").len(), 3);
}

#[tokio::test]
async fn in_memory() {
    promises(&Db::in_memory().expect("memory")).await;
}

#[tokio::test]
async fn in_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("controle.db");
    promises(&Db::open(&path).expect("a file")).await;
    kept(&Db::open(&path).expect("the same")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgresql() {
    let mut server = Server::start().await;
    let db = server.connect().await;
    promises(&db).await;
    // One application at a time.
    let other = Db::connect(server.settings(PASSWORD, Some(&server.anchors()))).await;
    assert!(matches!(other.map(drop), Err(Broken::Taken)));
    drop(db);
    kept(&server.connect().await).await;
    let wrong = Db::connect(server.settings("autre", Some(&server.anchors()))).await.map(drop).expect_err("refused");
    assert!(matches!(wrong, Broken::Postgres(_)) && wrong.to_string().contains("28P01"), "{wrong}");
    let unknown =
        Db::connect(server.settings(PASSWORD, None)).await.map(drop).expect_err("its certificate is not known");
    assert!(unknown.to_string().contains("certificate verify failed"), "{unknown}");
    assert!(![wrong, unknown].iter().any(|error| error.to_string().contains(PASSWORD)));
    // Gone, and back: by itself.
    let db = server.connect().await;
    server.kill();
    let gone = tokio::time::timeout(patience::PATIENCE, async {
        // What it was asked at the moment of the kill it may still answer.
        while db.organisations().await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    gone.await.expect("it is gone");
    assert!(matches!(db.organisations().await, Err(Broken::Away(_))));
    server.run();
    let back = tokio::time::timeout(patience::PATIENCE, async {
        while let Err(error) = db.organisations().await {
            assert!(matches!(error, Broken::Away(_)), "{error}");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    });
    back.await.expect("it comes back");
    kept(&db).await;
}

/// The figures of ADR 24: `cargo nextest run -p desk --run-ignored only --no-capture measure`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measure, not a test"]
async fn measure() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Server::start().await;
    let engines = [
        ("SQLite", Db::open(&folder.path().join("controle.db")).expect("a file")),
        ("PostgreSQL", server.connect().await),
    ];
    for (name, db) in engines {
        promises(&db).await;
        let found = db.campaigns(Scope::All, Filter { most: 1, ..Filter::default() }).await.expect("read");
        let id = found[0].id.clone();
        let proof = "x".repeat(4000);
        let began = std::time::Instant::now();
        for number in 0..500 {
            let result = format!(
                r#"{{"id":"C{number}","titre":"","exigences":"","gravite":"majeure","etat":"conforme","variantes":[],"duree_ms":7}}"#
            );
            let proofs = vec![(format!("p{number}"), format!("\"{proof}\""))];
            db.add_result(&id, format!("C{number}"), result, proofs).await.expect("kept");
        }
        let written = began.elapsed() / 500;
        let began = std::time::Instant::now();
        for _ in 0..500 {
            db.campaign(Scope::All, &id).await.expect("read").expect("there");
        }
        println!(
            "{name}: {written:?} to keep a result and its proof of 4 KB, {:?} to read a campaign",
            began.elapsed() / 500
        );
    }
}
