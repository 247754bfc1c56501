//! Delivery reports: reading any message, and writing whatever a remote server said.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::Enhanced;
use mail::date::Moment;
use mail::mime::Structure;
use mail::report::{Action, ReadReport, Recipient, Report, Returned, TypedAddress};

fuzz_target!(|input: (&str, &str, &[u8])| {
    let (said, name, message) = input;
    let _ = ReadReport::parse(message);
    let report = Report {
        message_id: "<1@mx.example>".into(),
        date: Moment::utc(0),
        from: "postmaster@example".into(),
        to: "sender@example".into(),
        reporting_mta: "mx.example".into(),
        envelope_id: Some(name.into()),
        arrival: None,
        recipients: vec![Recipient {
            original: TypedAddress::from_orcpt(name),
            address: name.into(),
            action: Action::Failed,
            status: Enhanced(5, 0, 0),
            remote_mta: Some(name.into()),
            diagnostic: Some(said.into()),
            last_attempt: None,
            will_retry_until: None,
        }],
        returned: Returned::Message(message.to_vec()),
    };
    let raw = report.write().expect("foreign words never prevent a report");
    let structure = Structure::of(&raw);
    assert_eq!(structure.root.children().len(), 3);
    let _ = ReadReport::of(&raw, &structure);
});
