//! The text of a message on its way: strict reading of `DATA` and `BDAT`, and dot-stuffing for the client.
//!
//! The only end of `DATA` is `<CRLF>.<CRLF>`, and the only line end is `<CRLF>`: a CR or LF alone makes the message refused,
//! and nothing changes about where it ends. Whatever a relay before us took for an end (`<LF>.<LF>`, `<LF>.<CRLF>`,
//! `<CR>.<CR>`…), what follows is never read as commands. RFC 5321 §2.3.8 and §4.1.1.4, OPE-09, CVE-2023-51764.
//!
//! Nothing here keeps more of the message than the piece at hand.

/// Longest line of a message without its CRLF (RFC 5321 §4.5.3.1.6, RFC 5322 §2.1.1). The default of
/// [`Config::max_text_line`](crate::server::Config::max_text_line).
pub const MAX_TEXT_LINE: usize = 998;

/// Why a message is refused whatever its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A CR or an LF alone.
    BareLineEnd,
    /// A NUL, which neither RFC 5322 nor IMAP literals may hold.
    Nul,
    /// A line over the limit.
    LongLine,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    LineStart,
    /// Within a line.
    Text,
    /// After a CR.
    Cr,
    /// After a dot that opens a line: it is dropped.
    Dot,
    /// After such a dot and a CR: an LF ends the message.
    DotCr,
}

/// Reads a message piece by piece.
#[derive(Debug)]
pub struct Decoder {
    at: At,
    /// Dots are stuffed and `.` ends (DATA); otherwise the length does (BDAT).
    dots: bool,
    line: usize,
    max_line: usize,
    fault: Option<Fault>,
    eight_bit: bool,
}

impl Decoder {
    /// For `DATA`.
    #[must_use]
    pub fn data(max_line: usize) -> Self {
        Self { at: At::LineStart, dots: true, line: 0, max_line, fault: None, eight_bit: false }
    }

    /// For the chunks of `BDAT`, one after the other.
    #[must_use]
    pub fn chunks(max_line: usize) -> Self {
        Self { dots: false, ..Self::data(max_line) }
    }

    /// Reads a piece: appends the text to `out` (at most two octets more than were read) and says how many octets were read
    /// and whether the message ended there. Once there is a fault, nothing more is appended.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> (usize, bool) {
        out.reserve(input.len());
        let mut i = 0;
        while i < input.len() {
            let byte = input[i];
            match self.at {
                At::LineStart if self.dots && byte == b'.' => self.at = At::Dot,
                At::Dot if byte == b'\r' => self.at = At::DotCr,
                At::DotCr if byte == b'\n' => return (i + 1, true),
                At::DotCr => {
                    self.fail(Fault::BareLineEnd);
                    // This octet is read again as text: another CR may begin a line end.
                    self.at = At::Text;
                    continue;
                }
                At::Cr if byte == b'\n' => {
                    self.emit(b"\r\n", out);
                    self.line = 0;
                    self.at = At::LineStart;
                }
                At::Cr => {
                    self.fail(Fault::BareLineEnd);
                    self.at = At::Text;
                    continue;
                }
                At::LineStart | At::Text | At::Dot => match byte {
                    b'\r' => self.at = At::Cr,
                    b'\n' => {
                        self.fail(Fault::BareLineEnd);
                        self.at = At::Text;
                    }
                    _ => {
                        let run = self.whole_lines(&input[i..]);
                        if run > 0 {
                            self.text(&input[i..i + run], out);
                            self.line = 0;
                            self.at = At::LineStart;
                            i += run;
                            continue;
                        }
                        let run = memchr::memchr2(b'\r', b'\n', &input[i..]).unwrap_or(input.len() - i);
                        self.line = self.line.saturating_add(run);
                        if self.line > self.max_line {
                            self.fail(Fault::LongLine);
                        }
                        self.text(&input[i..i + run], out);
                        i += run;
                        continue;
                    }
                },
            }
            i += 1;
        }
        (i, false)
    }

    /// The end of the last chunk: a last line without line end gets one.
    pub fn finish_chunks(&mut self, out: &mut Vec<u8>) {
        match self.at {
            At::LineStart => {}
            At::Cr => self.fail(Fault::BareLineEnd),
            At::Text | At::Dot | At::DotCr => self.emit(b"\r\n", out),
        }
        self.at = At::LineStart;
    }

    /// Octets of sound lines at the head that are text as they stand, the rest of the present line first: what is taken at once.
    fn whole_lines(&self, input: &[u8]) -> usize {
        let (mut end, mut before) = (0, self.line);
        while let Some(length) = memchr::memchr2(b'\r', b'\n', &input[end..]) {
            let line = &input[end..];
            if line[length] != b'\r'
                || line.get(length + 1) != Some(&b'\n')
                || before.saturating_add(length) > self.max_line
            {
                break;
            }
            end += length + 2;
            before = 0;
            if self.dots && input.get(end) == Some(&b'.') {
                break;
            }
        }
        end
    }

    fn text(&mut self, run: &[u8], out: &mut Vec<u8>) {
        self.at = At::Text;
        if memchr::memchr(0, run).is_some() {
            self.fail(Fault::Nul);
        }
        self.eight_bit |= !run.is_ascii();
        self.emit(run, out);
    }

    fn emit(&self, text: &[u8], out: &mut Vec<u8>) {
        if self.fault.is_none() {
            out.extend_from_slice(text);
        }
    }

    fn fail(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    /// What is wrong with the message, if anything so far.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Whether an octet above 127 was seen.
    #[must_use]
    pub fn eight_bit(&self) -> bool {
        self.eight_bit
    }
}

/// Writes a message for `DATA` or `BDAT`: line ends become CRLF, and dots are stuffed for `DATA`.
#[derive(Debug)]
pub struct Encoder {
    dots: bool,
    line_start: bool,
    cr: bool,
}

impl Encoder {
    /// For `DATA`: dots are stuffed and the end is marked.
    #[must_use]
    pub fn data() -> Self {
        Self { dots: true, line_start: true, cr: false }
    }

    /// For `BDAT`.
    #[must_use]
    pub fn chunks() -> Self {
        Self { dots: false, ..Self::data() }
    }

    /// Encodes a piece. At most doubles it.
    pub fn encode(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        while let Some(&byte) = input.first() {
            if std::mem::take(&mut self.cr) {
                // CRLF, or a CR alone made one.
                out.extend_from_slice(b"\r\n");
                self.line_start = true;
                if byte == b'\n' {
                    input = &input[1..];
                }
                continue;
            }
            match byte {
                b'\r' => self.cr = true,
                b'\n' => {
                    out.extend_from_slice(b"\r\n");
                    self.line_start = true;
                }
                _ => {
                    if self.dots && self.line_start && byte == b'.' {
                        out.push(b'.');
                    }
                    self.line_start = false;
                    let run = input.iter().position(|b| matches!(b, b'\r' | b'\n')).unwrap_or(input.len());
                    out.extend_from_slice(&input[..run]);
                    input = &input[run..];
                    continue;
                }
            }
            input = &input[1..];
        }
    }

    /// The end: the last line gets its line end, and `DATA` its dot.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.cr) || !self.line_start {
            out.extend_from_slice(b"\r\n");
        }
        self.line_start = true;
        if self.dots {
            out.extend_from_slice(b".\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(octets: &[u8]) -> (Vec<u8>, Option<Fault>, Option<usize>) {
        let mut decoder = Decoder::data(MAX_TEXT_LINE);
        let mut out = Vec::new();
        let (read, done) = decoder.decode(octets, &mut out);
        (out, decoder.fault(), done.then_some(read))
    }

    #[test]
    fn a_message_ends_at_its_dot_and_is_unstuffed() {
        assert_eq!(read(b".\r\n"), (vec![], None, Some(3)));
        assert_eq!(read(b"a\r\n..b\r\n.\r\nMAIL"), (b"a\r\n.b\r\n".to_vec(), None, Some(11)));
        assert_eq!(read(b".a\r\n...\r\n.\r\n"), (b"a\r\n..\r\n".to_vec(), None, Some(12)));
        assert_eq!(read(b"a\r\n.\r").2, None);
    }

    // OPE-09: every sequence of up to five of CR, LF and dot, but the true one, neither ends the message nor passes.
    #[test]
    fn nothing_but_crlf_dot_crlf_ends_a_message() {
        let alphabet = [b'\r', b'\n', b'.'];
        for length in 1..=6u32 {
            for index in 0..3usize.pow(length) {
                let middle: Vec<u8> = (0..length).map(|digit| alphabet[index / 3usize.pow(digit) % 3]).collect();
                let mut message = b"a".to_vec();
                message.extend_from_slice(&middle);
                message.extend_from_slice(b"MAIL FROM:<x@y.fr>\r\n.\r\n");
                let (_, fault, end) = read(&message);
                let true_end = middle.windows(5).any(|w| w == b"\r\n.\r\n");
                let bare = {
                    let text = String::from_utf8(middle.clone()).expect("ASCII").replace("\r\n", "");
                    text.contains(['\r', '\n'])
                };
                if !true_end {
                    assert_eq!(end, Some(message.len()), "{middle:?}");
                    assert_eq!(fault.is_some(), bare, "{middle:?}");
                }
            }
        }
    }

    #[test]
    fn long_lines_and_nul_are_faults() {
        let line = |n: usize| [vec![b'x'; n], b"\r\n.\r\n".to_vec()].concat();
        assert_eq!(read(&line(998)).1, None);
        assert_eq!(read(&line(999)).1, Some(Fault::LongLine));
        assert_eq!(read(b"a\0b\r\n.\r\n").1, Some(Fault::Nul));
    }

    #[test]
    fn chunks_are_checked_too_and_the_last_line_is_ended() {
        let mut decoder = Decoder::chunks(MAX_TEXT_LINE);
        let mut out = Vec::new();
        decoder.decode(b"a\r", &mut out);
        decoder.decode(b"\n.\r\nb", &mut out);
        decoder.finish_chunks(&mut out);
        assert_eq!((&out[..], decoder.fault()), (&b"a\r\n.\r\nb\r\n"[..], None));
        let mut bare = Decoder::chunks(MAX_TEXT_LINE);
        bare.decode(b"a\r", &mut out);
        bare.finish_chunks(&mut out);
        assert_eq!(bare.fault(), Some(Fault::BareLineEnd));
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(
            prop_oneof![3 => Just(b"\r\n".to_vec()), 2 => Just(b".".to_vec()), 4 => proptest::collection::vec(1u8..=255, 1..6)],
            0..60,
        )
        .prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_under_any_chunking(text in text(), cuts in proptest::collection::vec(1usize..9, 1..50)) {
            // Expected: line ends made CRLF, the last line ended.
            let mut expected = Vec::new();
            Encoder::chunks().encode(&text, &mut expected);
            let mut tail = Encoder::chunks();
            let mut scratch = Vec::new();
            tail.encode(&text, &mut scratch);
            tail.finish(&mut expected);

            let mut encoder = Encoder::data();
            let mut sent = Vec::new();
            let mut rest = &text[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (head, after) = rest.split_at((*cut).min(rest.len()));
                encoder.encode(head, &mut sent);
                rest = after;
            }
            encoder.finish(&mut sent);
            let length = sent.len();
            sent.extend_from_slice(b"QUIT\r\n");

            let mut decoder = Decoder::data(usize::MAX);
            let mut got = Vec::new();
            let mut at = 0;
            let mut ended = None;
            for cut in cuts.iter().cycle() {
                let piece = &sent[at..(at + cut).min(sent.len())];
                let (read, done) = decoder.decode(piece, &mut got);
                at += read;
                if done { ended = Some(at); break; }
                prop_assert!(at < sent.len());
            }
            prop_assert_eq!(ended, Some(length));
            prop_assert_eq!(decoder.fault(), None);
            prop_assert_eq!(got, expected);
        }

        #[test]
        fn chunking_changes_nothing(octets in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), any::<u8>()], 0..120)) {
            let mut whole = Vec::new();
            let mut decoder = Decoder::data(20);
            let (read, done) = decoder.decode(&octets, &mut whole);
            let mut bytewise = Vec::new();
            let mut other = Decoder::data(20);
            let mut end = (octets.len(), false);
            for (at, byte) in octets.iter().enumerate() {
                if other.decode(&[*byte], &mut bytewise).1 { end = (at + 1, true); break; }
            }
            prop_assert_eq!((read, done), end);
            prop_assert_eq!(decoder.fault().is_some(), other.fault().is_some());
            if decoder.fault().is_none() { prop_assert_eq!(whole, bytewise); }
        }
    }
}
