//! What the database promises of identities at an OpenID provider, of the sessions it opens, and of signatures.

use control::report::seal::Seal;
use desk::account::role::Role;
use desk::db::{Db, Federation, Filter, NewAccount, NewSignature, OrganisationId, Scope, State};

const ISSUER: &str = "https://fournisseur.test";

/// After [`crate::contract`]'s campaigns: one of alpha's is over.
pub async fn promises(db: &Db, alpha: OrganisationId, beta: OrganisationId) {
    let new = |login: &str| NewAccount {
        organisation: Some(alpha),
        login: login.to_owned(),
        role: Role::Lecteur,
        password: String::new(),
    };
    let zoe = db.add_granted_account(new("zoe"), ISSUER, "s-zoe", 10).await.expect("made").expect("free");
    assert_eq!(
        db.add_granted_account(new("zoe2"), ISSUER, "s-zoe", 10).await.expect("read"),
        None,
        "the same identity"
    );
    assert_eq!(db.add_granted_account(new("ZOE"), ISSUER, "s-other", 10).await.expect("read"), None, "the same login");
    let known = db.account_of_identity(ISSUER, "s-zoe").await.expect("read").expect("there");
    assert!(known.account.id == zoe && known.is_granted);
    for (issuer, subject) in [(ISSUER, "s-other"), ("https://autre.test", "s-zoe"), (ISSUER, "S-ZOE")] {
        assert_eq!(db.account_of_identity(issuer, subject).await.expect("read"), None, "{issuer} {subject}");
    }
    let yves = db
        .add_account(NewAccount { password: "hash".to_owned(), ..new("yves") }, 10)
        .await
        .expect("made")
        .expect("free");
    assert!(!db.tie(yves, ISSUER, "s-zoe", 11).await.expect("read"), "somebody's");
    assert!(db.tie(yves, ISSUER, "s-yves", 11).await.expect("tied"));
    assert!(!db.tie(yves, ISSUER, "s-again", 12).await.expect("read"), "tied already");
    let tie = db.tie_of(yves).await.expect("read").expect("tied");
    assert_eq!((tie.issuer.as_str(), tie.since, tie.is_granted), (ISSUER, 11, false));

    // Sessions.
    let begin = async |account, session: Option<&str>| {
        let federation = Federation { is_strong: true, session: session.map(ToOwned::to_owned) };
        db.begin_federated_session(account, true, federation, 20).await.expect("begun")
    };
    let stands = async |word: &str| db.session(word, 21).await.expect("read");
    let (one, two, unnamed) = (begin(zoe, Some("a")).await, begin(zoe, Some("b")).await, begin(yves, None).await);
    let ours = db.begin_session(yves, true, 20).await.expect("begun");
    let session = stands(&one).await.expect("stands");
    assert_eq!(session.federation, Some(Federation { is_strong: true, session: Some("a".to_owned()) }));
    assert_eq!(db.session_of(session.hash, 21).await.expect("read").map(|found| found.account.id), Some(zoe));
    assert_eq!(stands(&ours).await.expect("stands").federation, None);
    assert_eq!(db.leave("https://autre.test", Some("s-zoe"), None).await.expect("none"), 0);
    assert_eq!(db.leave(ISSUER, Some("s-zoe"), Some("a")).await.expect("left"), 1);
    assert!(stands(&one).await.is_none() && stands(&two).await.is_some());
    assert_eq!(db.leave(ISSUER, None, Some("b")).await.expect("left"), 2, "and the one whose name was not told");
    assert!(stands(&two).await.is_none() && stands(&unnamed).await.is_none() && stands(&ours).await.is_some());

    // Grants.
    let session = begin(zoe, None).await;
    let token = db.add_token(Some(alpha), zoe, "ci", 30).await.expect("made");
    assert!(!db.follow_grant(zoe, Role::Lecteur, Some(alpha), 31).await.expect("the same"));
    assert!(stands(&session).await.is_some() && db.bearer(&token, 31).await.expect("read").is_some());
    assert!(db.follow_grant(zoe, Role::Testeur, Some(beta), 32).await.expect("another"));
    assert!(stands(&session).await.is_none() && db.bearer(&token, 33).await.expect("read").is_none());
    let moved = db.account_of_identity(ISSUER, "s-zoe").await.expect("read").expect("there").account;
    assert_eq!((moved.role, moved.organisation), (Role::Testeur, Some(beta)));
    let session = begin(zoe, None).await;
    db.end_access(zoe, 34).await.expect("ended");
    assert!(stands(&session).await.is_none());

    // Untied: not one that has no other way in.
    assert!(!db.untie(zoe).await.expect("read"));
    let session = begin(yves, None).await;
    assert!(db.untie(yves).await.expect("untied") && !db.untie(yves).await.expect("read"));
    assert!(stands(&session).await.is_none() && stands(&ours).await.is_some());
    assert!(db.tie(yves, ISSUER, "s-yves", 40).await.expect("tied again"));

    // A secret in another form, when it is still the one that was read.
    db.set_totp(yves, Some(vec![1; 20]), Vec::new()).await.expect("set");
    db.take_totp_step(yves, 9).await.expect("taken");
    db.replace_totp(yves, vec![2; 20], vec![3; 49]).await.expect("nothing");
    db.replace_totp(yves, vec![1; 20], vec![4; 49]).await.expect("replaced");
    let found = db.account_named("yves").await.expect("read").expect("there");
    assert_eq!((found.totp, found.totp_step), (Some(vec![4; 49]), 9));

    signatures(db, alpha, beta).await;
}

async fn signatures(db: &Db, alpha: OrganisationId, beta: OrganisationId) {
    let all = db.campaigns(Scope::Of(alpha), Filter { most: 9, ..Filter::default() }).await.expect("read");
    let over = all.iter().find(|one| one.state == State::Terminee).expect("one that is over");
    let cancelled = all.iter().find(|one| one.state == State::Annulee).expect("one that was cancelled");
    let seal = Seal {
        signataire: "ORGANISME".to_owned(),
        organisation: Some("ORGANISME DE CONTROLE".to_owned()),
        identifiants: vec!["1750000001".to_owned()],
        autorite: "AC".to_owned(),
        serie: "0A".to_owned(),
        date: None,
        sha256: "ff".to_owned(),
    };
    let new = || NewSignature {
        seal: seal.clone(),
        report: vec![0, 1, 255],
        cms: vec![0x30, 0],
        author: "signataire".to_owned(),
        is_bound: true,
    };
    assert!(!db.add_signature(Scope::Of(beta), &over.id, new(), 50).await.expect("read"), "another's");
    assert!(!db.add_signature(Scope::Of(alpha), &cancelled.id, new(), 50).await.expect("read"), "not over");
    assert!(db.add_signature(Scope::Of(alpha), &over.id, new(), 50).await.expect("kept"));
    assert!(!db.add_signature(Scope::Of(alpha), &over.id, new(), 51).await.expect("read"), "the first one stays");
    let kept = db.signature(Scope::All, &over.id).await.expect("read").expect("there");
    assert_eq!((kept.seal, kept.report, kept.cms, kept.at), (seal, vec![0, 1, 255], vec![0x30, 0], 50));
    assert!(kept.is_bound);
    assert_eq!(db.signature(Scope::Of(beta), &over.id).await.expect("read"), None, "another's");
}
