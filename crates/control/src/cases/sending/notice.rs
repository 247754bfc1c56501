//! The notices of non-delivery that came to the BAL of the tests about one of our messages. They are taken away once read.

use mail::report::{Action, ReadReport};
use serde::Serialize;

use super::post::Letter;
use crate::reader::Reader;
use crate::tls::starttls::shown;
use crate::trap::reading;
use crate::wire::WireError;

/// Characters kept of what a notice cites.
const MAX_CITED: usize = 500;

/// What a notice says of one letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Notice {
    /// Its letter.
    pub run: String,
    /// `failed`, `delayed`…; none when it cannot be read as RFC 3464 has it.
    pub action: Option<String>,
    /// `5.1.1`.
    pub status: Option<String>,
    /// What the other server answered.
    pub diagnostic: Option<String>,
    /// Its sender and subject.
    pub from: String,
    /// Its subject.
    pub subject: String,
}

impl Notice {
    /// Whether it says that all is over: a notice nobody can read as anything else counts as one.
    pub(super) fn is_final(&self) -> bool {
        !matches!(self.action.as_deref(), Some("delayed" | "delivered" | "relayed" | "expanded"))
    }
}

/// Reads the notices about the letters of a batch, and takes them away.
pub(super) async fn collect(reader: &mut Reader, batch: &str, letters: &[Letter]) -> Result<Vec<Notice>, WireError> {
    let found = reader.find_text(batch).await?;
    let mut notices = Vec::new();
    for uid in &found {
        let message = reader.fetch(*uid).await?;
        let text = String::from_utf8_lossy(&message).to_ascii_lowercase();
        // The longest first: one run may begin as another does.
        let mut runs: Vec<&str> = letters.iter().map(|letter| letter.run.as_str()).collect();
        runs.sort_by_key(|run| std::cmp::Reverse(run.len()));
        let reported: Vec<&str> = runs.iter().copied().filter(|run| read(&message, run).action.is_some()).collect();
        match (reported.is_empty(), runs.iter().find(|run| text.contains(**run))) {
            (false, _) => notices.extend(reported.iter().map(|run| read(&message, run))),
            (true, Some(run)) => notices.push(read(&message, run)),
            (true, None) => {}
        }
    }
    reader.remove(&found).await?;
    Ok(notices)
}

fn read(message: &[u8], run: &str) -> Notice {
    let fields = reading::fields(message);
    let field = |name: &str| {
        let found = fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| shown(&mail::header::decode_words(value))).unwrap_or_default()
    };
    let report = ReadReport::parse(message);
    let is_ours = |address: &str| address.to_ascii_lowercase().contains(&format!("+{run}@"));
    let recipient = report.as_ref().and_then(|report| {
        let of = |r: &&mail::report::Recipient| {
            is_ours(&r.address) || r.original.as_ref().is_some_and(|original| is_ours(&original.address))
        };
        report.recipients.iter().find(of)
    });
    Notice {
        run: run.to_owned(),
        action: recipient.map(|recipient| recipient.action.name().to_owned()),
        status: recipient.map(|recipient| recipient.status.to_string()),
        diagnostic: recipient
            .and_then(|recipient| recipient.diagnostic.as_ref())
            .map(|said| shown(&said.chars().take(MAX_CITED).collect::<String>())),
        from: field("From"),
        subject: field("Subject"),
    }
}

/// The word of a final notice.
pub(super) fn is_failure(notice: &Notice) -> bool {
    notice.action.as_deref() == Some(Action::Failed.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTICE: &str = "From: postmaster@a.test\r\nSubject: =?utf-8?Q?Non_remis_=C3=A0?=\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\n\
        Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.a.test\r\n\r\n\
        Final-Recipient: rfc822; refus+r1@p.test\r\nAction: ACTION\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 no\r\n--b--\r\n";

    #[test]
    fn a_notice_tells_action_and_status_of_its_run() {
        let notice = read(NOTICE.replace("ACTION", "failed").as_bytes(), "r1");
        assert!(is_failure(&notice) && notice.is_final());
        assert_eq!((notice.status.as_deref(), notice.subject.as_str()), (Some("5.1.1"), "Non remis à"));
        let delayed = read(NOTICE.replace("ACTION", "delayed").as_bytes(), "r1");
        assert!(!delayed.is_final());
        let other = read(b"From: MAILER-DAEMON@a.test\r\nSubject: failure\r\n\r\nrefus+r1@p.test: no\r\n", "r1");
        assert!(other.is_final() && !is_failure(&other));
    }
}
