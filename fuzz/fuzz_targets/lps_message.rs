//! A message as a mail program reads it: whatever it is, it is read; what answers it is sound and reads back.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lps::compose::Sender;
use lps::journal::Key;
use lps::read::{Integration, Kind, Limits, Message};
use lps::receipt::{self, Respondent, Stamp};
use mssante::label::Label;
use mssante::receipt::{Code, IntegrationError};
use time::OffsetDateTime;

static RESPONDENT: LazyLock<Respondent> = LazyLock::new(|| Respondent {
    sender: Sender {
        address: "service@beta.formation.mssante.fr".parse().expect("an address"),
        label: Label::entity("Service").expect("a name"),
    },
    nil: "3734".parse().expect("a NIL"),
    software: "fuzz".into(),
    limit: 1024 * 1024,
    folder: None,
});

fuzz_target!(|octets: &[u8]| {
    let limits = Limits { octets: 1024 * 1024, inflated: 4 * 1024 * 1024, ..Limits::default() };
    let Ok(message) = Message::open(octets.to_vec(), limits) else { return };
    let _ = (Key::of(octets), message.patient(), message.original());
    for attachment in &message.attachments {
        assert!(!attachment.name.contains(['/', '\\', '\0']) && !attachment.name.starts_with('.'));
        let _ = message.content(attachment);
    }
    if let Some(text) = &message.text {
        assert!(text.text.chars().all(|c| c == '\n' || !c.is_control()));
    }
    let _ = receipt::request(&message, &RESPONDENT.sender.address, &[]);
    // What the writer of the message could not know.
    let stamp = Stamp {
        id: "<5ca1ab1e0ddba11@beta.formation.mssante.fr>".parse().expect("an id"),
        date: OffsetDateTime::UNIX_EPOCH,
    };
    let failed = Integration::Failed(vec![IntegrationError::of(Code::OTHER)]);
    if let Ok(Some(notice)) = receipt::notice(&RESPONDENT, &message, &failed, true, &stamp) {
        let mut answer = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(notice.write_to(&mut answer)).expect("in memory");
        let read = Message::open(answer, limits).expect("under the limit of answers");
        assert!(matches!(read.kind, Kind::Notice(_)), "{:?}", read.kind);
        assert_eq!(receipt::notice(&RESPONDENT, &read, &failed, true, &stamp).err().map(|_| ()), Some(()));
    }
});
