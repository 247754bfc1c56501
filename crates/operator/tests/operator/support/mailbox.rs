//! A mailbox of software (BAL APP) at an operator: sends by its certificate, and what it received is looked up in the store.

use mail::report::ReadReport;
use mail::{FolderName, View};
use mssante::{Address, MailboxKind, StructureId};
use operator::Operator;
use smtp::client::{Client, ClientCredentials, ClientError, Delivery, Envelope, RecipientResult, Settings, Timeouts};
use smtp::{ForwardPath, MailFrom, Notify, Rcpt, ReversePath};
use store::{Holder, MailboxId, NewMailbox, QueueEntry, Quota};
use trust::pki::{Issued, LeafRequest, Organization};
use trust::tls::Profile;

use super::{STRUCTURES, Space, domain, eventually, number};

/// The mailbox `labo` of an operator.
pub struct Labo {
    pub address: Address,
    pub id: MailboxId,
    pub certificate: Issued,
}

/// A message to be sent.
pub struct Letter {
    pub from: MailFrom,
    pub to: Vec<Rcpt>,
    pub id: String,
    pub text: Vec<u8>,
}

impl Letter {
    /// From a mailbox to these addresses.
    pub fn new(from: &Labo, id: &str, to: &[&str]) -> Letter {
        let id = format!("<{id}@lps.test>");
        let text = format!(
            "From: {}\r\nTo: undisclosed:;\r\nSubject: essai\r\nMessage-ID: {id}\r\n\r\nLe corps du message.\r\n",
            from.address
        );
        Letter {
            from: MailFrom {
                size: Some(text.len() as u64),
                ..MailFrom::new(ReversePath::Address(from.address.clone()))
            },
            to: to.iter().map(|to| Rcpt::new(ForwardPath::Address(to.parse().expect("an address")))).collect(),
            id,
            text: text.into_bytes(),
        }
    }

    /// With NOTIFY for all recipients.
    pub fn notify(mut self, notify: Notify) -> Letter {
        self.to.iter_mut().for_each(|to| to.notify = Some(notify));
        self
    }
}

impl Labo {
    /// Opens `labo` at an operator that runs, or finds it there.
    pub async fn open(space: &Space, operator: &Operator, name: &str) -> Labo {
        Labo::named(space, operator, name, "labo").await
    }

    pub async fn named(space: &Space, operator: &Operator, name: &str, local: &str) -> Labo {
        let address: Address = format!("{local}@{}", domain(name)).parse().expect("an address");
        let structure = STRUCTURES[number(name)];
        let id = match operator.store.mailbox(&address).await.expect("the store answers") {
            Some(found) => found.id,
            None => {
                let new = NewMailbox {
                    address: address.clone(),
                    kind: MailboxKind::App,
                    holder: Holder::Structure(StructureId::lenient(structure).expect("a structure")),
                    label: String::new(),
                    quota: Quota::default(),
                    created_at: space.now(),
                };
                operator.store.create_mailbox(new).await.expect("a mailbox")
            }
        };
        let certificate =
            space.issue(&LeafRequest::auth_cli("labo", &Organization::new(structure, "LABO", "Paris (75)")));
        Labo { address, id, certificate }
    }

    /// A submission session.
    pub async fn session(&self, space: &Space, operator: &Operator) -> Client {
        let settings = Settings {
            helo: "lps.test".to_owned(),
            connector: space.connector(&self.certificate, Profile::ApiLps),
            timeouts: Timeouts::default(),
        };
        let entrance = operator.addresses.submission_app.expect("an entry point");
        let mut client = Client::connect(entrance, "127.0.0.1", &settings, &|_| Ok(())).await.expect("connected");
        client.authenticate(&ClientCredentials::External(self.address.to_string())).await.expect("authenticated");
        client
    }

    /// Sends, and expects 250 for every recipient.
    pub async fn send(&self, space: &Space, operator: &Operator, letter: &Letter) {
        let mut client = self.session(space, operator).await;
        let delivery = send(&mut client, letter).await.expect("sent");
        let all = delivery.recipients.iter().all(|result| matches!(result, RecipientResult::Accepted(_)));
        assert!(all, "{:?}", delivery.recipients);
        client.quit().await;
    }

    /// The picture of INBOX.
    pub async fn inbox(&self, operator: &Operator) -> std::sync::Arc<View> {
        let folders = operator.store.folders(self.id).await.expect("the store answers");
        let inbox = folders.iter().find(|folder| folder.name == FolderName::inbox()).expect("INBOX");
        operator.store.watch(self.id, inbox.id).await.expect("the store answers").borrow().clone()
    }

    /// What is in INBOX, in order.
    pub async fn messages(&self, operator: &Operator) -> Vec<Vec<u8>> {
        let view = self.inbox(operator).await;
        let mut messages = Vec::new();
        for index in 0..view.len() {
            let entry = view.get(index).expect("in the view");
            let body = operator.store.body(self.id, entry.body).await.expect("the store answers").expect("a body");
            messages.push(body.read_all().await.expect("readable").to_vec());
        }
        messages
    }

    /// Waits for so many messages.
    pub async fn wait(&self, operator: &Operator, count: usize) -> Vec<Vec<u8>> {
        eventually("messages in the mailbox", || async {
            let messages = self.messages(operator).await;
            (messages.len() >= count).then_some(messages)
        })
        .await
    }

    /// Waits for so many messages that are notices, all of them.
    pub async fn notices(&self, operator: &Operator, count: usize) -> Vec<ReadReport> {
        let messages = self.wait(operator, count).await;
        messages.iter().map(|octets| ReadReport::parse(octets).expect("a notice")).collect()
    }
}

/// Sends one message by a session.
pub async fn send(client: &mut Client, letter: &Letter) -> Result<Delivery, ClientError> {
    let envelope = Envelope { from: letter.from.clone(), to: letter.to.clone() };
    client.send(&envelope, &mut letter.text.as_slice()).await
}

/// The only entry of the queue, once its first open recipient had so many attempts.
pub async fn attempted(operator: &Operator, attempts: u32) -> QueueEntry {
    eventually("an attempt", || async {
        let queue = operator.store.queue().await.expect("the store answers");
        queue.into_iter().find(|entry| entry.recipients.iter().all(|r| r.attempts >= attempts))
    })
    .await
}

/// Waits until nothing is in the queue.
pub async fn drained(operator: &Operator) {
    eventually("an empty queue", || async {
        operator.store.queue().await.expect("the store answers").is_empty().then_some(())
    })
    .await;
}
