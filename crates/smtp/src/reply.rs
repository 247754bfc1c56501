//! Replies (RFC 5321 §4.2) with their enhanced status codes (RFC 3463), and the table of those we give.
//!
//! Invariant: the text of a [`Reply`] is one line of printable characters without CR, LF or NUL and no longer than
//! [`MAX_TEXT`]: whatever goes into it cannot inject a second reply.

use std::borrow::Cow;
use std::fmt;

pub use mail::Enhanced;

/// Longest text of a reply. RFC 5321 §4.5.3.1.5: a reply line has 512 octets with its code and CRLF; 14 go to the code and
/// the longest enhanced code.
pub const MAX_TEXT: usize = 480;

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Option<Enhanced>,
    text: Cow<'static, str>,
}

impl Reply {
    /// A reply from the table: the text must be clean, which is checked when it is a constant.
    #[must_use]
    pub const fn fixed(code: u16, enhanced: Option<Enhanced>, text: &'static str) -> Self {
        assert!(code >= 200 && code <= 599, "a reply code has three digits, from 2 to 5");
        assert!(text.len() <= MAX_TEXT, "a reply fits on a line");
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            assert!(bytes[at] >= b' ' && bytes[at] < 0x7f, "the text of a reply is printable ASCII");
            at += 1;
        }
        Self { code, enhanced, text: Cow::Borrowed(text) }
    }

    /// A reply with a text made on the spot: control characters become spaces, non-ASCII ones `?`, and what is over
    /// [`MAX_TEXT`] is cut. A code outside 200–599 becomes 451 (or 554 when the class of `enhanced` is 5).
    #[must_use]
    pub fn new(code: u16, enhanced: Enhanced, text: impl AsRef<str>) -> Self {
        let code = match (code, enhanced.0) {
            (200..=599, _) => code,
            (_, 5) => 554,
            _ => 451,
        };
        Self { code, enhanced: Some(enhanced), text: Cow::Owned(clean(text.as_ref(), false)) }
    }

    /// A reply received: the enhanced code, if any, is taken off the text. UTF-8 is kept.
    #[must_use]
    pub(crate) fn received(code: u16, text: &str) -> Self {
        let (head, tail) = text.split_once(' ').unwrap_or((text, ""));
        // RFC 2034 §4: the class must be that of the reply, or it is text that happens to look like a code.
        let enhanced = head.parse().ok().filter(|e: &Enhanced| u16::from(e.0) == code / 100);
        let text = if enhanced.is_some() { tail } else { text };
        Self { code, enhanced, text: Cow::Owned(clean(text, true)) }
    }

    /// The three digits.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced code; a reply received may have none.
    #[must_use]
    pub fn enhanced(&self) -> Option<Enhanced> {
        self.enhanced
    }

    /// The text, without codes: one line.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// 2yz.
    #[must_use]
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 4yz.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5yz.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// Whether the connection is closed after it: 421 and 521.
    #[must_use]
    pub fn closes(&self) -> bool {
        matches!(self.code, 421 | 521)
    }
}

/// `550 5.7.1 text`, without line end.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.enhanced {
            Some(enhanced) => write!(f, "{} {enhanced} {}", self.code, self.text),
            None => write!(f, "{} {}", self.code, self.text),
        }
    }
}

fn clean(text: &str, utf8: bool) -> String {
    let mut out = String::with_capacity(text.len().min(MAX_TEXT));
    for c in text.chars() {
        let c = match c {
            c if c.is_control() => ' ',
            // Line and paragraph separators, and what turns the direction of text: never in a log or a notice.
            '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => ' ',
            c if !c.is_ascii() && !utf8 => '?',
            c => c,
        };
        if out.len() + c.len_utf8() > MAX_TEXT {
            break;
        }
        out.push(c);
    }
    out
}

const fn e(class: u8, subject: u16, detail: u16) -> Option<Enhanced> {
    Some(Enhanced(class, subject, detail))
}

/// The replies given by the server, and those a backend most often needs. RFC 5321 §4.2.3, RFC 3463, RFC 5248.
#[allow(missing_docs)]
impl Reply {
    pub const OK: Self = Self::fixed(250, e(2, 0, 0), "Ok");
    pub const SENDER_OK: Self = Self::fixed(250, e(2, 1, 0), "Sender ok");
    pub const RECIPIENT_OK: Self = Self::fixed(250, e(2, 1, 5), "Recipient ok");
    pub const FLUSHED: Self = Self::fixed(250, e(2, 0, 0), "Flushed");
    pub const CANNOT_VERIFY: Self = Self::fixed(252, e(2, 5, 2), "Cannot verify, send some mail and see");
    pub const HELP: Self = Self::fixed(214, e(2, 0, 0), "See RFC 5321 and the documentation of your operator");
    pub const BYE: Self = Self::fixed(221, e(2, 0, 0), "Bye");
    pub const READY_FOR_TLS: Self = Self::fixed(220, e(2, 0, 0), "Ready to start TLS");
    pub const AUTHENTICATED: Self = Self::fixed(235, e(2, 7, 0), "Authentication successful");
    pub const START_INPUT: Self = Self::fixed(354, None, "Start mail input; end with <CRLF>.<CRLF>");

    pub const SHUTTING_DOWN: Self = Self::fixed(421, e(4, 3, 2), "Service shutting down, try again later");
    pub const TOO_SLOW: Self = Self::fixed(421, e(4, 4, 2), "Timed out");
    pub const TOO_MANY_ERRORS: Self = Self::fixed(421, e(4, 7, 0), "Too many errors");
    pub const TOO_MANY_MESSAGES: Self =
        Self::fixed(421, e(4, 7, 0), "Too many messages on this connection, open another");
    pub const TOO_BUSY: Self = Self::fixed(421, e(4, 3, 2), "Too many connections, try again later");
    pub const TRY_AGAIN: Self = Self::fixed(451, e(4, 3, 0), "Temporary trouble, try again later");
    pub const TOO_MANY_RECIPIENTS: Self =
        Self::fixed(452, e(4, 5, 3), "Too many recipients, send to the others separately");
    pub const STORAGE_FULL: Self = Self::fixed(452, e(4, 3, 1), "Not enough storage, try again later");
    pub const AUTH_UNAVAILABLE: Self = Self::fixed(454, e(4, 7, 0), "Temporary authentication failure");
    pub const TLS_UNAVAILABLE: Self = Self::fixed(454, e(4, 7, 0), "TLS not available now");

    pub const UNKNOWN_COMMAND: Self = Self::fixed(500, e(5, 5, 1), "Command not recognised");
    pub const LINE_TOO_LONG: Self = Self::fixed(500, e(5, 5, 2), "Line too long");
    pub const AUTH_TOO_LONG: Self = Self::fixed(500, e(5, 5, 6), "Authentication exchange line too long");
    pub const BAD_CHARACTERS: Self = Self::fixed(500, e(5, 5, 2), "Control or non-ASCII characters in a command");
    pub const BAD_SYNTAX: Self = Self::fixed(501, e(5, 5, 2), "Syntax error in the command's arguments");
    pub const BAD_PARAMETER: Self = Self::fixed(501, e(5, 5, 4), "Invalid or repeated parameter");
    pub const BAD_SENDER: Self = Self::fixed(501, e(5, 1, 7), "Bad sender's mailbox address syntax");
    pub const BAD_RECIPIENT: Self = Self::fixed(501, e(5, 1, 3), "Bad recipient's mailbox address syntax");
    pub const AUTH_CANCELLED: Self = Self::fixed(501, e(5, 7, 0), "Authentication cancelled");
    pub const BAD_BASE64: Self = Self::fixed(501, e(5, 5, 2), "Cannot decode the response: not base64");
    pub const NOT_IMPLEMENTED: Self = Self::fixed(502, e(5, 5, 1), "Command not implemented");
    pub const BAD_SEQUENCE: Self = Self::fixed(503, e(5, 5, 1), "Bad sequence of commands");
    pub const HELLO_FIRST: Self = Self::fixed(503, e(5, 5, 1), "Send EHLO first");
    pub const MAIL_FIRST: Self = Self::fixed(503, e(5, 5, 1), "Send MAIL first");
    pub const RCPT_FIRST: Self = Self::fixed(503, e(5, 5, 1), "No valid recipients");
    pub const ALREADY_TLS: Self = Self::fixed(503, e(5, 5, 1), "TLS already active");
    pub const ALREADY_AUTHENTICATED: Self = Self::fixed(503, e(5, 5, 1), "Already authenticated");
    pub const UNKNOWN_MECHANISM: Self = Self::fixed(504, e(5, 5, 4), "Authentication mechanism not supported");
    pub const STARTTLS_FIRST: Self = Self::fixed(530, e(5, 7, 0), "Must issue a STARTTLS command first");
    pub const AUTH_REQUIRED: Self = Self::fixed(530, e(5, 7, 0), "Authentication required");
    pub const AUTH_REFUSED: Self = Self::fixed(535, e(5, 7, 8), "Authentication credentials invalid");
    pub const NO_SUCH_MAILBOX: Self = Self::fixed(550, e(5, 1, 1), "No such mailbox here");
    pub const MAILBOX_FULL: Self = Self::fixed(552, e(5, 2, 2), "Mailbox full");
    pub const NOT_ALLOWED: Self = Self::fixed(550, e(5, 7, 1), "Not allowed");
    pub const MESSAGE_TOO_BIG: Self = Self::fixed(552, e(5, 3, 4), "Message size exceeds the limit");
    pub const BARE_LINE_ENDS: Self =
        Self::fixed(554, e(5, 6, 0), "Message refused: a bare CR or LF where only CRLF may end a line");
    pub const LONG_TEXT_LINE: Self = Self::fixed(554, e(5, 6, 0), "Message refused: a line is longer than 998 octets");
    pub const BARE_LINE_END_IN_COMMAND: Self = Self::fixed(521, e(5, 5, 2), "A bare CR or LF in a command; closing");
    pub const INJECTION: Self = Self::fixed(554, e(5, 5, 1), "Data sent before TLS; closing");
    pub const INJECTION_AFTER_DATA: Self = Self::fixed(554, e(5, 5, 1), "Data sent before the answer to DATA; closing");
    pub const NUL_IN_MESSAGE: Self = Self::fixed(554, e(5, 6, 0), "Message refused: it holds a NUL");
    pub const CHUNK_TOO_BIG: Self = Self::fixed(421, e(4, 3, 4), "Chunk too big to be read; closing");
    pub const CERTIFICATE_REQUIRED: Self =
        Self::fixed(550, e(5, 7, 1), "No client certificate: this is an operator interface with mutual TLS");
    pub const UNKNOWN_PARAMETER: Self = Self::fixed(555, e(5, 5, 4), "MAIL FROM or RCPT TO parameter not recognised");
    pub const EIGHT_BIT_UNSUPPORTED: Self = Self::fixed(554, e(5, 6, 3), "The next server takes no 8-bit content");
    pub const SMTPUTF8_UNSUPPORTED: Self = Self::fixed(553, e(5, 6, 7), "The next server takes no non-ASCII address");
    pub const SMTPUTF8_NEEDED: Self = Self::fixed(553, e(5, 6, 7), "A non-ASCII address needs SMTPUTF8");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_never_holds_a_line_end() {
        let reply = Reply::new(550, Enhanced(5, 1, 1), "no\r\n250 ok\0\u{2028}é");
        assert_eq!(reply.to_string(), "550 5.1.1 no  250 ok  ?");
        let long = Reply::new(550, Enhanced(5, 1, 1), "x".repeat(5000));
        assert_eq!(long.text().len(), MAX_TEXT);
        assert_eq!(Reply::new(12, Enhanced(5, 0, 0), "").code(), 554);
    }

    #[test]
    fn a_received_reply_gives_its_enhanced_code() {
        let reply = Reply::received(550, "5.1.1 unknown");
        assert_eq!((reply.enhanced(), reply.text()), (Some(Enhanced(5, 1, 1)), "unknown"));
        let other = Reply::received(550, "2.0.0 is not a 5xx class");
        assert_eq!((other.enhanced(), other.text()), (None, "2.0.0 is not a 5xx class"));
    }
}
