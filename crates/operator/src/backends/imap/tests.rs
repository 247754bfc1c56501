//! Persons of different capacities in one mailbox: what each may do in each folder (BAL-ROLES, RFC 4314 §4).

use std::sync::Arc;

use imap::administration::{EntryName, Mark, Modification};
use imap::backend::{Account, Failure, FlagChange, FlagOperation, NewMessage, OpenFolder, Peer, Result};
use mail::{Flags, FolderName, Rights, Uid};
use mssante::{MailboxKind, NationalId, StructureId};
use psc::{Verifier, VerifierConfig};
use store::memory::Memory;
use store::{Grantee, Holder, MailboxId, NewMailbox, Quota, Right, Role, Store};
use trust::clock::{Clock, ManualClock};
use trust::tls::{Suite, TlsInfo, TlsVersion};

use super::{ImapBackend, Opened};
use crate::access::{Access, seconds};
use crate::monitoring::Meter;
use crate::rates::Rates;
use crate::rights::Capacity;
use crate::search::Searcher;
use crate::traces::{Tracer, Who};

const HOLDER: &str = "899700000017";
const DELEGATE: &str = "899700000025";
const MEMBER: &str = "899700000033";

struct House {
    backend: ImapBackend,
    store: Arc<dyn Store>,
    clock: ManualClock,
    id: MailboxId,
    rates: Arc<Rates>,
    _folder: tempfile::TempDir,
}

fn id(text: &str) -> NationalId {
    text.parse().expect("a national id")
}

fn name(text: &str) -> FolderName {
    FolderName::new(text).expect("a name")
}

fn rights(text: &str) -> Rights {
    text.parse().expect("rights")
}

fn entry(text: &str) -> EntryName {
    EntryName::parse(text.as_bytes()).expect("an entry")
}

impl House {
    /// A mailbox of this kind with a delegate and a member.
    async fn new(kind: MailboxKind) -> House {
        let clock = ManualClock::at(std::time::SystemTime::now());
        let store: Arc<dyn Store> = Arc::new(Memory::new());
        let holder = match kind {
            MailboxKind::Per | MailboxKind::Cab => Holder::Person(id(HOLDER)),
            _ => Holder::Structure(StructureId::lenient("1750000001").expect("a structure")),
        };
        let new = NewMailbox {
            address: "bal@alpha.formation.mssante.fr".parse().expect("an address"),
            kind,
            holder,
            label: String::new(),
            quota: Quota { octets: Some(10_000), messages: Some(100) },
            created_at: 0,
        };
        let mailbox = store.create_mailbox(new).await.expect("made");
        for (person, role) in [(DELEGATE, Role::Delegate), (MEMBER, Role::Member)] {
            let right = Right { person: id(person), role, from: 0, until: None };
            store.grant(mailbox, right).await.expect("granted");
        }
        let tracer = Tracer::silent(clock.shared());
        let psc = VerifierConfig::new("https://127.0.0.1:1/psc", "https://127.0.0.1:1/jwks".parse().expect("a URL"));
        let verifier =
            Verifier::new(psc, trust::http::client(&[]).expect("a client"), clock.shared()).expect("a verifier");
        let meter = Meter::new();
        let rates = Rates::new(crate::config::Rates::default(), clock.shared(), meter.clone());
        let access =
            Arc::new(Access::new(store.clone(), verifier, clock.shared(), tracer.clone(), meter, rates.clone()));
        let folder = tempfile::tempdir().expect("a folder");
        let backend = ImapBackend {
            access,
            store: store.clone(),
            searcher: Searcher::new(store.clone(), folder.path()).expect("made"),
            mechanisms: Vec::new(),
            preauth: false,
            append_limit: 1000,
            clock: clock.shared(),
            tracer,
        };
        House { backend, store, clock, id: mailbox, rates, _folder: folder }
    }

    fn now(&self) -> i64 {
        seconds(&self.clock as &dyn Clock)
    }

    /// A session of a person who may open the mailbox.
    async fn session(&self, person: &str) -> Arc<dyn Account> {
        let mailbox = self.store.mailboxes().await.expect("read").remove(0);
        let given = self.store.rights(self.id).await.expect("read");
        let capacity = crate::rights::of_person(&mailbox, &given, &id(person), self.now()).expect("a right");
        let allowance = self.rates.enter(self.id).expect("few sessions");
        self.backend.account(&peer(), Opened { mailbox, who: Who::Person(person.to_owned()), capacity, allowance })
    }
}

fn peer() -> Peer {
    let suite = Suite { code: 0xC030, name: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384" };
    let tls = TlsInfo { version: TlsVersion::Tls12, suite, server_name: None, peer: None };
    Peer { connection: 1, address: ([127, 0, 0, 1], 1).into(), tls: Arc::new(tls) }
}

async fn set(who: &Arc<dyn Account>, folder: &str, person: &str, given: &str) {
    who.set_acl(&name(folder), person, Modification::Replace, rights(given)).await.expect("set");
}

async fn append(who: &Arc<dyn Account>, folder: &str, flags: Flags, keywords: &[&str]) -> Result<Uid> {
    let message = b"Subject: x\r\n\r\nbody\r\n";
    let mut append = who.append(&name(folder)).await?;
    let keywords = keywords.iter().map(|k| (*k).to_owned()).collect();
    append.begin(NewMessage { flags, keywords, internal_date: None }).await?;
    append.write(message).await?;
    append.commit().await.map(|(_, uids)| uids[0])
}

async fn open(who: &Arc<dyn Account>, folder: &str) -> Arc<dyn OpenFolder> {
    who.open(&name(folder)).await.expect("opened")
}

/// The names of a message's flags.
fn flags(folder: &Arc<dyn OpenFolder>, uid: u32) -> Vec<String> {
    let view = folder.view().borrow().clone();
    let entry = view.find(Uid(uid)).expect("there");
    entry.flags.names(&view.keywords).map(str::to_owned).collect()
}

async fn store(folder: &Arc<dyn OpenFolder>, how: FlagOperation, flags: Flags, keywords: &[&str]) -> Result<Vec<Uid>> {
    let keywords = keywords.iter().map(|k| (*k).to_owned()).collect();
    folder.set_flags(FlagChange { uids: vec![Uid(1)], how, flags, keywords, unchanged_since: None }).await
}

/// Refused for want of a right.
fn refused<T>(outcome: Result<T>) -> bool {
    matches!(outcome, Err(Failure::NoPermission))
}

/// As if it did not exist.
fn unseen<T>(outcome: Result<T>) -> bool {
    matches!(outcome, Err(Failure::NonExistent))
}

#[tokio::test]
async fn capacities_without_lists() {
    // BAL-ROLES
    let house = House::new(MailboxKind::Per).await;
    let (holder, delegate) = (house.session(HOLDER).await, house.session(DELEGATE).await);
    assert_eq!(holder.my_rights(&name("INBOX")).await.expect("known"), Rights::ALL);
    assert_eq!(delegate.my_rights(&name("INBOX")).await.expect("known"), rights("lrswipkxte"));
    assert!(refused(delegate.acl(&name("INBOX")).await));
    assert!(refused(delegate.set_acl(&name("INBOX"), DELEGATE, Modification::Add, rights("a")).await));
    assert!(refused(delegate.delete_acl(&name("INBOX"), HOLDER).await));
    assert!(refused(delegate.list_rights(&name("INBOX"), HOLDER).await));
    let listed = holder.acl(&name("INBOX")).await.expect("read");
    let wanted = [(HOLDER, "lrswipkxtea"), (DELEGATE, "lrswipkxte"), (MEMBER, "lrswipkxtea")];
    assert_eq!(listed, wanted.map(|(who, letters)| (who.to_owned(), rights(letters))));
    let grantable = holder.list_rights(&name("INBOX"), HOLDER).await.expect("known");
    assert_eq!((grantable.required, grantable.optional), (rights("la"), rights("rswipkxte")));
    let grantable = holder.list_rights(&name("INBOX"), DELEGATE).await.expect("known");
    assert_eq!((grantable.required, grantable.optional), (Rights::NONE, rights("lrswipkxte")));
}

#[tokio::test]
async fn entries_narrow_and_never_widen() {
    let house = House::new(MailboxKind::Per).await;
    let (holder, delegate) = (house.session(HOLDER).await, house.session(DELEGATE).await);
    let sent = name("Sent");
    let widening = holder.set_acl(&sent, DELEGATE, Modification::Replace, rights("lra")).await;
    assert!(matches!(widening, Err(Failure::Cannot(_))));
    set(&holder, "Sent", DELEGATE, "lr").await;
    assert_eq!(delegate.my_rights(&sent).await.expect("known"), rights("lr"));
    holder.set_acl(&sent, DELEGATE, Modification::Add, rights("s")).await.expect("set");
    holder.set_acl(&sent, DELEGATE, Modification::Remove, rights("r")).await.expect("set");
    assert_eq!(delegate.my_rights(&sent).await.expect("known"), rights("ls"));
    holder.delete_acl(&sent, DELEGATE).await.expect("deleted");
    assert_eq!(delegate.my_rights(&sent).await.expect("known"), rights("lrswipkxte"));
    set(&holder, "Sent", "anyone", "l").await;
    assert_eq!(delegate.my_rights(&sent).await.expect("known"), rights("l"));
    assert_eq!(holder.my_rights(&sent).await.expect("known"), Rights::ALL, "anyone else");
    // Of the titulaire, whatever is written.
    set(&holder, "Sent", HOLDER, "").await;
    assert_eq!(holder.my_rights(&sent).await.expect("known"), rights("la"));
    assert!(refused(holder.status(&sent).await));
    // Somebody with no right on the mailbox may have an entry; it opens nothing.
    set(&holder, "INBOX", "899700000041", "lr").await;
    assert!(holder.acl(&name("INBOX")).await.expect("read").contains(&("899700000041".to_owned(), rights("lr"))));
    for nobody in ["owner", "", "marie@alpha.fr"] {
        assert!(matches!(holder.delete_acl(&sent, nobody).await, Err(Failure::Cannot(_))));
    }
}

#[tokio::test]
async fn nobody_saws_off_their_own_branch() {
    let house = House::new(MailboxKind::Org).await;
    let member = house.session(MEMBER).await;
    let sent = name("Sent");
    for (who, letters) in [(MEMBER, "lr"), (MEMBER, "ra"), ("anyone", "lr")] {
        let outcome = member.set_acl(&sent, who, Modification::Replace, rights(letters)).await;
        assert!(matches!(outcome, Err(Failure::Cannot(_))), "{who} {letters}");
    }
    set(&member, "Sent", MEMBER, "lra").await;
    set(&member, "Sent", "anyone", "").await;
    assert!(matches!(member.delete_acl(&sent, MEMBER).await, Err(Failure::Cannot(_))), "anyone's would be left");
    assert_eq!(member.my_rights(&sent).await.expect("known"), rights("lra"));
    assert!(unseen(house.session(DELEGATE).await.my_rights(&sent).await));
}

#[tokio::test]
async fn a_folder_without_l_does_not_exist() {
    let house = House::new(MailboxKind::Per).await;
    let (holder, delegate) = (house.session(HOLDER).await, house.session(DELEGATE).await);
    holder.create(&name("Secret/deep"), None).await.expect("made");
    for folder in ["Secret", "Secret/deep"] {
        set(&holder, folder, DELEGATE, "rswipkxte").await;
    }
    let secret = name("Secret");
    let listed = delegate.folders().await.expect("listed");
    assert!(listed.iter().all(|f| !f.name.as_str().starts_with("Secret")), "{listed:?}");
    assert!(holder.folders().await.expect("listed").iter().any(|f| f.name == secret));
    assert!(unseen(delegate.open(&secret).await) && unseen(delegate.status(&secret).await));
    assert!(unseen(append(&delegate, "Secret", Flags::NONE, &[]).await));
    assert!(unseen(delegate.delete(&secret).await) && unseen(delegate.rename(&secret, &name("Mine")).await));
    assert!(unseen(delegate.subscribe(&secret, true).await) && unseen(delegate.acl(&secret).await));
    assert!(unseen(delegate.annotations(Some(&secret)).await));
    assert!(refused(delegate.create(&secret, None).await) && refused(delegate.create(&name("Secret/x"), None).await));
    assert!(refused(delegate.rename(&name("Sent"), &secret).await));
    append(&delegate, "INBOX", Flags::NONE, &[]).await.expect("appended");
    let inbox = open(&delegate, "INBOX").await;
    assert!(unseen(inbox.copy(vec![Uid(1)], &secret).await) && unseen(inbox.move_to(vec![Uid(1)], &secret).await));
}

#[tokio::test]
async fn each_right_for_what_it_is() {
    let house = House::new(MailboxKind::Per).await;
    let (holder, delegate) = (house.session(HOLDER).await, house.session(DELEGATE).await);
    append(&holder, "INBOX", Flags::DELETED, &[]).await.expect("appended");
    let inbox = open(&delegate, "INBOX").await;
    let add = FlagOperation::Add;
    let checks = async || {
        [
            ('r', !refused(delegate.open(&name("INBOX")).await) && !refused(delegate.status(&name("INBOX")).await)),
            ('s', !refused(store(&inbox, add, Flags::SEEN, &[]).await)),
            ('w', !refused(store(&inbox, add, Flags::FLAGGED, &["$Work"]).await)),
            ('t', !refused(store(&inbox, FlagOperation::Remove, Flags::DELETED, &[]).await)),
            ('i', !refused(append(&delegate, "INBOX", Flags::NONE, &[]).await)),
            ('e', !refused(inbox.expunge(Some(vec![Uid(9)])).await)),
            ('k', !refused(delegate.create(&name("INBOX/x"), None).await)),
        ]
    };
    // What `s`, `w` and `t` are good for needs reading.
    for given in ["lrswipkxte", "lrs", "lrw", "lrt", "lri", "lre", "lrk", "lr", "l"] {
        set(&holder, "INBOX", DELEGATE, given).await;
        let _ = holder.delete(&name("INBOX/x")).await;
        for (right, could) in checks().await {
            assert_eq!(could, given.contains(right), "{right} with {given}");
        }
    }
    holder.create(&name("Mine"), None).await.expect("made");
    set(&holder, "Mine", DELEGATE, "lrswipkte").await;
    assert!(refused(delegate.delete(&name("Mine")).await) && refused(delegate.rename(&name("Mine"), &name("M")).await));
    set(&holder, "Mine", DELEGATE, "lrx").await;
    assert!(refused(delegate.rename(&name("Mine"), &name("INBOX/y")).await), "no k where it would go");
    delegate.rename(&name("Mine"), &name("Yours")).await.expect("renamed");
    assert_eq!(delegate.my_rights(&name("Yours")).await.expect("known"), rights("lrx"), "kept");
    delegate.delete(&name("Yours")).await.expect("deleted");
    // What may not be read may not be carried to where it may be.
    set(&holder, "INBOX", DELEGATE, "ltek").await;
    assert!(refused(delegate.rename(&name("INBOX"), &name("Taken")).await));
    // Moving takes away, and puts.
    set(&holder, "INBOX", DELEGATE, "lrt").await;
    assert!(refused(inbox.move_to(vec![Uid(1)], &name("Sent")).await));
    set(&holder, "INBOX", DELEGATE, "lrte").await;
    set(&holder, "Sent", DELEGATE, "lr").await;
    assert!(refused(inbox.move_to(vec![Uid(1)], &name("Sent")).await));
    assert!(refused(inbox.copy(vec![Uid(1)], &name("Sent")).await));
    set(&holder, "Sent", DELEGATE, "lri").await;
    assert!(!refused(inbox.replace(Uid(1), &name("Sent")).await));
    inbox.move_to(vec![Uid(1)], &name("Sent")).await.expect("moved");
    for (here, there) in [("lrt", "lri"), ("lre", "lri"), ("lrte", "lr")] {
        set(&holder, "INBOX", DELEGATE, here).await;
        set(&holder, "Sent", DELEGATE, there).await;
        assert!(refused(inbox.replace(Uid(1), &name("Sent")).await), "{here} {there}");
    }
}

#[tokio::test]
async fn flags_that_may_not_be_changed_stay() {
    // RFC 4314 §4
    let house = House::new(MailboxKind::Per).await;
    let (holder, delegate) = (house.session(HOLDER).await, house.session(DELEGATE).await);
    append(&holder, "INBOX", Flags::FLAGGED, &["$Urgent"]).await.expect("appended");
    set(&holder, "INBOX", DELEGATE, "lrs").await;
    let inbox = open(&delegate, "INBOX").await;
    let seen = Flags::SEEN;
    store(&inbox, FlagOperation::Replace, seen.with(Flags::DELETED), &["$Mine"]).await.expect("some of it");
    assert_eq!(flags(&inbox, 1), ["\\Flagged", "\\Seen", "$Urgent"]);
    store(&inbox, FlagOperation::Replace, Flags::NONE, &[]).await.expect("some of it");
    assert_eq!(flags(&inbox, 1), ["\\Flagged", "$Urgent"]);
    store(&inbox, FlagOperation::Add, seen.with(Flags::DELETED), &["$Mine"]).await.expect("some of it");
    assert_eq!(flags(&inbox, 1), ["\\Flagged", "\\Seen", "$Urgent"]);
    assert!(refused(store(&inbox, FlagOperation::Remove, Flags::FLAGGED, &["$Urgent"]).await));
    assert_eq!(inbox.rights(), rights("lrs"));
    // Nor do they come with what is put into a folder.
    for (given, wanted) in [("lri", &[][..]), ("lris", &["\\Seen"]), ("lriw", &["\\Flagged", "$Urgent"])] {
        set(&holder, "Sent", DELEGATE, given).await;
        let copied = inbox.copy(vec![Uid(1)], &name("Sent")).await.expect("copied");
        let sent = open(&holder, "Sent").await;
        assert_eq!(flags(&sent, copied.uids[0].1.0), wanted, "copied with {given}");
        let uid = append(&delegate, "Sent", seen.with(Flags::FLAGGED), &["$Urgent"]).await.expect("appended");
        assert_eq!(flags(&sent, uid.0), wanted, "appended with {given}");
    }
}

#[tokio::test]
async fn rights_end_and_change_while_open() {
    // BAL-ROLES
    let house = House::new(MailboxKind::Per).await;
    let (holder, delegate) = (house.session(HOLDER).await, house.session(DELEGATE).await);
    append(&holder, "INBOX", Flags::NONE, &[]).await.expect("appended");
    let inbox = open(&delegate, "INBOX").await;
    assert!(delegate.still_open().await);
    set(&holder, "INBOX", DELEGATE, "l").await;
    // Changes at once, reading when looked at.
    assert!(refused(store(&inbox, FlagOperation::Add, Flags::SEEN, &[]).await));
    assert!(delegate.still_open().await && inbox.rights() == rights("l"));
    house.store.revoke(house.id, &id(DELEGATE), house.now() + 60).await.expect("revoked");
    assert!(delegate.still_open().await, "not yet");
    house.clock.advance(std::time::Duration::from_secs(61));
    assert!(!delegate.still_open().await && holder.still_open().await);
    // A member who becomes a delegate has what a delegate has.
    let member = house.session(MEMBER).await;
    house.store.revoke(house.id, &id(MEMBER), house.now()).await.expect("revoked");
    let right = Right { person: id(MEMBER), role: Role::Delegate, from: 0, until: None };
    house.store.grant(house.id, right).await.expect("granted");
    assert!(member.still_open().await);
    assert_eq!(member.my_rights(&name("Sent")).await.expect("known"), rights("lrswipkxte"));
    house.store.delete_mailbox(house.id).await.expect("deleted");
    assert!(!holder.still_open().await && !member.still_open().await);
}

#[tokio::test]
async fn new_folders_are_as_closed_as_the_one_above() {
    let house = House::new(MailboxKind::Per).await;
    let (holder, delegate) = (house.session(HOLDER).await, house.session(DELEGATE).await);
    holder.create(&name("a"), None).await.expect("made");
    set(&holder, "a", DELEGATE, "lrk").await;
    delegate.create(&name("a/b/c"), None).await.expect("made");
    assert_eq!(delegate.my_rights(&name("a/b/c")).await.expect("known"), rights("lrk"));
    assert!(refused(append(&delegate, "a/b/c", Flags::NONE, &[]).await));
    holder.delete(&name("a/b/c")).await.expect("deleted");
    holder.rename(&name("a"), &name("z")).await.expect("renamed");
    assert_eq!(delegate.my_rights(&name("z")).await.expect("known"), rights("lrk"));
}

#[tokio::test]
async fn annotations_by_person_and_right() {
    let house = House::new(MailboxKind::Per).await;
    let (holder, delegate) = (house.session(HOLDER).await, house.session(DELEGATE).await);
    let inbox = name("INBOX");
    let note = |text: &str, value: &str| vec![(entry(text), Some(value.as_bytes().to_vec()))];
    holder.annotate(Some(&inbox), note("/private/comment", "mine")).await.expect("set");
    delegate.annotate(Some(&inbox), note("/shared/comment", "ours")).await.expect("set");
    let theirs = delegate.annotations(Some(&inbox)).await.expect("read");
    assert_eq!(theirs, [(entry("/shared/comment"), b"ours".to_vec())]);
    assert_eq!(holder.annotations(Some(&inbox)).await.expect("read").len(), 2);
    // What NOTIFY compares: of what the session may see, and moved by what it may not see too.
    let of_inbox = |marks: Vec<((Option<u64>, EntryName), Mark)>| {
        marks.into_iter().map(|((of, entry), mark)| (of.is_some(), entry.to_string(), mark)).collect::<Vec<_>>()
    };
    let moved = delegate.annotation_changes().await.expect("watched");
    holder.annotate(Some(&inbox), note("/private/comment", "again")).await.expect("set");
    assert!(moved.has_changed().expect("alive"));
    let ours = [(true, "/shared/comment".to_owned(), Mark::of(b"ours"))];
    assert_eq!(of_inbox(delegate.marks().await.expect("read")), ours);
    assert_eq!(of_inbox(holder.marks().await.expect("read")).len(), 2);
    set(&holder, "INBOX", DELEGATE, "l").await;
    assert_eq!(of_inbox(delegate.marks().await.expect("read")), []);
    set(&holder, "INBOX", DELEGATE, "lr").await;
    assert!(refused(delegate.annotate(Some(&inbox), note("/shared/comment", "no")).await));
    delegate.annotate(Some(&inbox), note("/private/comment", "yes")).await.expect("set");
    set(&holder, "INBOX", DELEGATE, "lw").await;
    assert!(refused(delegate.annotate(Some(&inbox), note("/private/comment", "no")).await));
    assert!(refused(delegate.annotations(Some(&inbox)).await));
    // Of the mailbox itself.
    assert!(refused(delegate.annotate(None, note("/shared/comment", "no")).await));
    delegate.annotate(None, note("/private/comment", "yes")).await.expect("set");
    holder.annotate(None, note("/shared/comment", "yes")).await.expect("set");
    assert!(refused(holder.annotate(None, note("/shared/admin", "http://elsewhere")).await));
    let many = (0..51).map(|n| (entry(&format!("/private/x/{n}")), Some(b"v".to_vec()))).collect();
    assert!(matches!(holder.annotate(None, many).await, Err(Failure::Limit(_))));
}

#[tokio::test]
async fn quota_is_what_the_mailbox_holds() {
    let house = House::new(MailboxKind::Per).await;
    let delegate = house.session(DELEGATE).await;
    append(&delegate, "INBOX", Flags::DELETED, &[]).await.expect("appended");
    append(&delegate, "INBOX", Flags::NONE, &[]).await.expect("appended");
    let quota = delegate.quota().await.expect("known");
    assert_eq!((quota.octets, quota.octets_limit), (40, Some(10_000)));
    assert_eq!((quota.messages, quota.messages_limit), (2, Some(100)));
    assert_eq!(delegate.status(&name("INBOX")).await.expect("known").deleted_size, 20);
}

/// An application is not spoken of by lists.
#[tokio::test]
async fn applications_have_everything() {
    let house = House::new(MailboxKind::App).await;
    let mailbox = house.store.mailboxes().await.expect("read").remove(0);
    let who = Who::Application("1750000001".to_owned());
    let allowance = house.rates.enter(house.id).expect("few sessions");
    let opened = Opened { mailbox, who, capacity: Capacity::Application, allowance };
    let application = house.backend.account(&peer(), opened);
    let inbox =
        house.store.folders(house.id).await.expect("read").iter().find(|f| f.name.is_inbox()).expect("there").id;
    house.store.set_access(house.id, inbox, &Grantee::Anyone, Some(Rights::NONE)).await.expect("set");
    assert_eq!(application.my_rights(&name("INBOX")).await.expect("known"), Rights::ALL);
    append(&application, "INBOX", Flags::SEEN, &["$x"]).await.expect("appended");
    assert!(application.still_open().await);
    house.store.delete_mailbox(house.id).await.expect("deleted");
    assert!(!application.still_open().await);
}
