//! What a server announces in its answer to EHLO.

/// The keyword by which a submission server of ours says that a message is never accepted twice, with the number of seconds it
/// remembers: the same octets from the same mailbox to the same recipient are answered 250 and go nowhere a second time. A client
/// that lost the answer to its final dot may then send again (RFC 1047).
pub const ONCE: &str = "XONCE";

/// The extensions we use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// `STARTTLS`.
    pub starttls: bool,
    /// `PIPELINING`.
    pub pipelining: bool,
    /// `SIZE`; the limit when there is one.
    pub size: Option<Option<u64>>,
    /// `8BITMIME`.
    pub eight_bit_mime: bool,
    /// `SMTPUTF8`.
    pub smtputf8: bool,
    /// `CHUNKING`.
    pub chunking: bool,
    /// `DSN`.
    pub dsn: bool,
    /// `ENHANCEDSTATUSCODES`.
    pub enhanced_status_codes: bool,
    /// [`ONCE`]: for how many seconds the same message handed over again is recognised. Ours alone (ADR 3).
    pub once: Option<u64>,
    /// Mechanisms of `AUTH`, in capitals.
    pub auth: Vec<String>,
}

impl Extensions {
    /// From the lines of a 250 reply to EHLO, codes taken off; the first line is the server's name.
    pub(super) fn parse(lines: &[String]) -> Self {
        let mut out = Self::default();
        for line in lines.iter().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let Some(keyword) = words.next() else { continue };
            match keyword.to_ascii_uppercase().as_str() {
                "STARTTLS" => out.starttls = true,
                "PIPELINING" => out.pipelining = true,
                // RFC 1870 §4: 0 or nothing is no limit.
                "SIZE" => out.size = Some(words.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0)),
                "8BITMIME" => out.eight_bit_mime = true,
                "SMTPUTF8" => out.smtputf8 = true,
                "CHUNKING" => out.chunking = true,
                "DSN" => out.dsn = true,
                "ENHANCEDSTATUSCODES" => out.enhanced_status_codes = true,
                ONCE => out.once = words.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0),
                "AUTH" => out.auth.extend(words.map(str::to_ascii_uppercase)),
                _ => {}
            }
        }
        out
    }
}
