//! OBJECTID (RFC 8474): the words in which messages and conversations are named.
//!
//! A message is named by its store's number for the body, which copies share, as RFC 8474 §4.1 wants; a conversation by its
//! number in the mailbox. Both mean something within one account only.

/// EMAILID of a message, from [`mail::Entry::body`].
pub fn email_id(body: u64) -> String {
    format!("M{body}")
}

/// THREADID of a message, from [`mail::Entry::thread`]; `None` when its conversation is not known.
pub fn thread_id(thread: u32) -> Option<String> {
    (thread != 0).then(|| format!("T{thread}"))
}

/// The body an EMAILID names; `None`: no message of ours has that name.
pub fn email(id: &str) -> Option<u64> {
    id.strip_prefix('M').and_then(number)
}

/// The conversation a THREADID names.
pub fn thread(id: &str) -> Option<u32> {
    id.strip_prefix('T').and_then(number).and_then(|n| u32::try_from(n).ok()).filter(|n| *n != 0)
}

/// As [`email_id`] writes it and in no other way: object ids are compared octet by octet.
fn number(digits: &str) -> Option<u64> {
    let n: u64 = digits.parse().ok()?;
    (n.to_string() == digits).then_some(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        assert_eq!(email(&email_id(u64::MAX)), Some(u64::MAX));
        assert_eq!(thread_id(7).as_deref().and_then(thread), Some(7));
        assert_eq!(thread_id(0), None);
        for bad in ["", "M", "7", "M07", "M+7", "m7", "T7", "M18446744073709551616"] {
            assert_eq!(email(bad), None, "{bad}");
        }
        assert_eq!((thread("T0"), thread("T4294967296")), (None, None));
    }
}
