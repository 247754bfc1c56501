//! A connection as the client sees it: commands out, replies in.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use trust::tls::TlsInfo;

use super::{ClientError, Extensions, Stage, Timeouts};
use crate::reply::{Enhanced, Reply};
use crate::wire::{Cut, Wire};

/// Longest line of a reply. RFC 5321 §4.5.3.1.5 has 512; servers that explain themselves go beyond.
const MAX_REPLY_LINE: usize = 2048;
/// Lines of one reply: the longest real EHLO answers have about twenty.
const MAX_REPLY_LINES: usize = 100;
/// How long QUIT may take: nothing depends on it.
const QUIT_TIMEOUT: Duration = Duration::from_secs(5);

/// A reply with its lines, codes taken off.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lines {
    pub(super) code: u16,
    pub(super) lines: Vec<String>,
}

impl Lines {
    /// As one line. Enhanced codes repeated on each line are dropped from all.
    pub(super) fn into_reply(self) -> Reply {
        let mut text = String::new();
        for (at, line) in self.lines.iter().enumerate() {
            let mut line = line.as_str();
            if at > 0 {
                if let Some((head, tail)) = line.split_once(' ')
                    && head.parse::<Enhanced>().is_ok()
                {
                    line = tail;
                }
                text.push(' ');
            }
            text.push_str(line);
        }
        Reply::received(self.code, &text)
    }
}

/// The connection.
pub(crate) struct Session {
    pub(super) wire: Wire,
    pub(super) timeouts: Timeouts,
    pub(super) extensions: Extensions,
    /// What TLS said; `None` only before it.
    tls: Option<Arc<TlsInfo>>,
    /// A transaction may be open at the peer: RSET before the next.
    pub(super) dirty: bool,
}

impl Session {
    pub(super) fn new(wire: Wire, timeouts: Timeouts) -> Self {
        Self { wire, timeouts, extensions: Extensions::default(), tls: None, dirty: false }
    }

    pub(super) fn set_tls(&mut self, info: Arc<TlsInfo>) {
        self.tls = Some(info);
    }

    pub(super) fn tls(&self) -> &TlsInfo {
        // `connection::open` gives no session away before the handshake.
        self.tls.as_deref().expect("a client exists only once TLS is up")
    }

    pub(super) fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Writes what was queued.
    pub(super) async fn flush(&mut self, stage: Stage, within: Duration) -> Result<(), ClientError> {
        match tokio::time::timeout(within, self.wire.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(ClientError::Closed(stage)),
            Err(_) => Err(ClientError::Timeout(stage)),
        }
    }

    /// Reads one reply, of as many lines as it has.
    pub(super) async fn lines(&mut self, stage: Stage, within: Duration) -> Result<Lines, ClientError> {
        let deadline = Instant::now() + within;
        self.flush(stage, within).await?;
        let protocol = |what| ClientError::Protocol { stage, what };
        let mut out: Option<Lines> = None;
        loop {
            let line = match self.wire.lines.cut(MAX_REPLY_LINE) {
                Cut::Line(line) => line,
                Cut::More => {
                    match timeout_at(deadline, self.wire.fill()).await {
                        Err(_) => return Err(ClientError::Timeout(stage)),
                        Ok(Ok(0) | Err(_)) => return Err(ClientError::Closed(stage)),
                        Ok(Ok(_)) => {}
                    }
                    continue;
                }
                Cut::Bare => return Err(protocol("a line end that is not CRLF")),
                Cut::TooLong | Cut::Flood => return Err(protocol("a reply line too long")),
            };
            let (code, last, text) = split(&line).ok_or_else(|| protocol("not a reply"))?;
            let reply = out.get_or_insert(Lines { code, lines: Vec::new() });
            if reply.code != code {
                return Err(protocol("a reply with two codes"));
            }
            if reply.lines.len() == MAX_REPLY_LINES {
                return Err(protocol("a reply of too many lines"));
            }
            reply.lines.push(text);
            if last && let Some(reply) = out.take() {
                return Ok(reply);
            }
        }
    }

    /// Reads one reply; 421 ends the connection whatever was asked.
    pub(super) async fn reply(&mut self, stage: Stage, within: Duration) -> Result<Reply, ClientError> {
        let reply = self.lines(stage, within).await?.into_reply();
        if reply.closes() {
            return Err(ClientError::Refused { stage, reply });
        }
        Ok(reply)
    }

    /// Says a command, with its CRLF, and reads the reply.
    pub(super) async fn command(&mut self, line: &str, stage: Stage, within: Duration) -> Result<Reply, ClientError> {
        self.wire.queue(line.as_bytes());
        self.reply(stage, within).await
    }

    /// EHLO: what is announced.
    pub(super) async fn ehlo(&mut self, name: &str) -> Result<(), ClientError> {
        self.wire.queue(format!("EHLO {name}\r\n").as_bytes());
        let answer = self.lines(Stage::Ehlo, self.timeouts.command).await?;
        if answer.code != 250 {
            return Err(ClientError::Refused { stage: Stage::Ehlo, reply: answer.into_reply() });
        }
        self.extensions = Extensions::parse(&answer.lines);
        Ok(())
    }

    /// The reply a peer may have left before it closed.
    pub(super) async fn last_words(&mut self, stage: Stage) -> Option<Reply> {
        self.wire.drop_output();
        let lines = self.lines(stage, QUIT_TIMEOUT).await.ok()?;
        (400..=599).contains(&lines.code).then(|| lines.into_reply())
    }

    pub(super) async fn quit(mut self) {
        self.wire.queue(b"QUIT\r\n");
        let _ = self.lines(Stage::Finish, QUIT_TIMEOUT).await;
        self.wire.close(false).await;
    }
}

/// `250-text`, `250 text` or `250`: the code, whether it is the last line, the text.
fn split(line: &[u8]) -> Option<(u16, bool, String)> {
    let digits = line.get(..3)?;
    let [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9'] = digits else { return None };
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    let last = match line.get(3) {
        None | Some(b' ') => true,
        Some(b'-') => false,
        Some(_) => return None,
    };
    Some((code, last, String::from_utf8_lossy(line.get(4..).unwrap_or_default()).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_reply_line_has_a_code() {
        assert_eq!(split(b"250-a b"), Some((250, false, "a b".into())));
        assert_eq!(split(b"354"), Some((354, true, String::new())));
        for bad in [&b"25"[..], b"2500", b"150 a", b"650 a", b"2a0 b", b"", b"250_a"] {
            assert_eq!(split(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn lines_become_one_reply() {
        let lines = Lines { code: 550, lines: vec!["5.1.1 no such".into(), "5.1.1 mailbox".into()] };
        assert_eq!(lines.into_reply().to_string(), "550 5.1.1 no such mailbox");
    }

    proptest! {
        #[test]
        fn replies_never_panic_and_hold_no_line_end(line in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some((code, _, text)) = split(&line) {
                let reply = Lines { code, lines: vec![text.clone(), text] }.into_reply();
                prop_assert!(!reply.to_string().contains(['\r', '\n', '\0']));
            }
        }
    }
}
