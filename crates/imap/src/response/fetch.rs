//! FETCH (RFC 3501 §7.4.2).

use mail::date::{Moment, format_imap_date_time};
use mail::mime::{Envelope, Structure};
use mail::{ModSeq, Uid};

use super::text::{astring, decimal, nstring, put};
use crate::command::{Rfc822, Section, SectionText};
use crate::objectid;

/// A FETCH response being written: puts the spaces between items. The buffer is given anew each time, so that it can be
/// written out between two items, or between a literal's announcement and its octets.
#[derive(Debug)]
#[must_use = "a FETCH response is closed by `end`"]
pub struct Fetch {
    empty: bool,
}

impl Fetch {
    /// Begins the response for a sequence number.
    pub fn begin(out: &mut Vec<u8>, sequence: u32) -> Fetch {
        out.extend_from_slice(b"* ");
        decimal(out, sequence.into());
        out.extend_from_slice(b" FETCH (");
        Fetch { empty: true }
    }

    /// Begins the response for a UID, to a client that uses nothing else (RFC 9586).
    pub fn begin_uid(out: &mut Vec<u8>, uid: Uid) -> Fetch {
        out.extend_from_slice(b"* ");
        decimal(out, uid.0.into());
        out.extend_from_slice(b" UIDFETCH (");
        Fetch { empty: true }
    }

    /// Ends the response.
    pub fn end(self, out: &mut Vec<u8>) {
        out.extend_from_slice(b")\r\n");
    }

    fn item(&mut self, out: &mut Vec<u8>, name: &str) {
        if !self.empty {
            out.push(b' ');
        }
        self.empty = false;
        out.extend_from_slice(name.as_bytes());
    }

    /// FLAGS, by name.
    pub fn flags<'n>(&mut self, out: &mut Vec<u8>, names: impl IntoIterator<Item = &'n str>) {
        self.item(out, "FLAGS (");
        flag_names(out, names);
        out.push(b')');
    }

    /// FLAGS, as [`flag_names`] wrote them.
    pub fn flags_text(&mut self, out: &mut Vec<u8>, names: &[u8]) {
        self.item(out, "FLAGS (");
        out.extend_from_slice(names);
        out.push(b')');
    }

    /// UID.
    pub fn uid(&mut self, out: &mut Vec<u8>, uid: Uid) {
        self.item(out, "UID ");
        decimal(out, uid.0.into());
    }

    /// INTERNALDATE from seconds since 1970, in UTC.
    pub fn internal_date(&mut self, out: &mut Vec<u8>, seconds: i64) {
        self.item(out, "INTERNALDATE ");
        put(out, format_args!("\"{}\"", format_imap_date_time(Moment::utc(seconds))));
    }

    /// RFC822.SIZE.
    pub fn size(&mut self, out: &mut Vec<u8>, octets: u32) {
        self.item(out, "RFC822.SIZE ");
        decimal(out, octets.into());
    }

    /// MODSEQ (RFC 7162).
    pub fn modseq(&mut self, out: &mut Vec<u8>, modseq: ModSeq) {
        self.item(out, "MODSEQ (");
        decimal(out, modseq.0);
        out.push(b')');
    }

    /// ENVELOPE.
    pub fn envelope<S: AsRef<str>>(&mut self, out: &mut Vec<u8>, envelope: &Envelope<S>) {
        self.item(out, "ENVELOPE ");
        super::envelope(out, envelope);
    }

    /// BODYSTRUCTURE, or BODY when not `extended`.
    pub fn body_structure<S: AsRef<str>>(&mut self, out: &mut Vec<u8>, structure: &Structure<S>, extended: bool) {
        self.item(out, if extended { "BODYSTRUCTURE " } else { "BODY " });
        super::body_structure(out, structure, extended);
    }

    /// `BODY[section]<origin> {octets}CRLF`: exactly that many octets must follow in the stream.
    pub fn body_literal(&mut self, out: &mut Vec<u8>, of: &Section, origin: Option<u32>, octets: u64) {
        self.item(out, "");
        section(out, of, origin);
        put(out, format_args!(" {{{octets}}}\r\n"));
    }

    /// `BODY[section]<origin> NIL`: there is no such section.
    pub fn body_nil(&mut self, out: &mut Vec<u8>, of: &Section, origin: Option<u32>) {
        self.item(out, "");
        section(out, of, origin);
        out.extend_from_slice(b" NIL");
    }

    /// `BINARY[part]<origin> {octets}CRLF`, or `~{octets}` for what may hold NUL (RFC 3516 §4.2): exactly that many octets must
    /// follow in the stream.
    pub fn binary_literal(
        &mut self,
        out: &mut Vec<u8>,
        part: &[u32],
        origin: Option<u32>,
        octets: u64,
        may_hold_nul: bool,
    ) {
        self.item(out, "BINARY");
        part_numbers(out, part, origin);
        let literal8 = if may_hold_nul { "~" } else { "" };
        put(out, format_args!(" {literal8}{{{octets}}}\r\n"));
    }

    /// `BINARY[part]<origin> NIL`: there is no such part.
    pub fn binary_nil(&mut self, out: &mut Vec<u8>, part: &[u32], origin: Option<u32>) {
        self.item(out, "BINARY");
        part_numbers(out, part, origin);
        out.extend_from_slice(b" NIL");
    }

    /// `BINARY.SIZE[part] octets`.
    pub fn binary_size(&mut self, out: &mut Vec<u8>, part: &[u32], octets: u64) {
        self.item(out, "BINARY.SIZE");
        part_numbers(out, part, None);
        put(out, format_args!(" {octets}"));
    }

    /// PREVIEW (RFC 8970); `None` when it was not made.
    pub fn preview(&mut self, out: &mut Vec<u8>, text: Option<&str>) {
        self.item(out, "PREVIEW ");
        nstring(out, text);
    }

    /// EMAILID (RFC 8474): the same for copies of a message.
    pub fn email_id(&mut self, out: &mut Vec<u8>, body: u64) {
        self.item(out, "EMAILID ");
        put(out, format_args!("({})", objectid::email_id(body)));
    }

    /// THREADID (RFC 8474); 0 is not known.
    pub fn thread_id(&mut self, out: &mut Vec<u8>, thread: u32) {
        self.item(out, "THREADID ");
        match objectid::thread_id(thread) {
            None => out.extend_from_slice(b"NIL"),
            Some(id) => put(out, format_args!("({id})")),
        }
    }

    /// SAVEDATE (RFC 8514) from seconds since 1970, in UTC; 0 is not known.
    pub fn save_date(&mut self, out: &mut Vec<u8>, seconds: u32) {
        self.item(out, "SAVEDATE ");
        match seconds {
            0 => out.extend_from_slice(b"NIL"),
            seconds => put(out, format_args!("\"{}\"", format_imap_date_time(Moment::utc(seconds.into())))),
        }
    }

    /// `RFC822… {octets}CRLF`: exactly that many octets must follow in the stream.
    pub fn rfc822_literal(&mut self, out: &mut Vec<u8>, of: Rfc822, octets: u64) {
        self.item(
            out,
            match of {
                Rfc822::All => "RFC822",
                Rfc822::Header => "RFC822.HEADER",
                Rfc822::Text => "RFC822.TEXT",
            },
        );
        put(out, format_args!(" {{{octets}}}\r\n"));
    }
}

/// Flags by name, spaces between them.
pub fn flag_names<'n>(out: &mut Vec<u8>, names: impl IntoIterator<Item = &'n str>) {
    for (i, name) in names.into_iter().enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        // The store takes atoms only, yet whatever else came in must not go out.
        let odd = |b: u8| !b.is_ascii_graphic() || matches!(b, b'(' | b')' | b'{' | b'"' | b'%' | b'*' | b']');
        out.extend(name.bytes().map(|b| if odd(b) { b'_' } else { b }));
    }
}

/// `BODY[section]`, and `<origin>` when a part of it was asked for.
pub fn section(out: &mut Vec<u8>, section: &Section, origin: Option<u32>) {
    out.extend_from_slice(b"BODY[");
    for (i, number) in section.part.iter().enumerate() {
        let dot = if i == 0 { "" } else { "." };
        put(out, format_args!("{dot}{number}"));
    }
    if !section.part.is_empty() && section.text != SectionText::Whole {
        out.push(b'.');
    }
    match &section.text {
        SectionText::Whole => {}
        SectionText::Header => out.extend_from_slice(b"HEADER"),
        SectionText::HeaderFields(names) => fields(out, "HEADER.FIELDS", names),
        SectionText::HeaderFieldsNot(names) => fields(out, "HEADER.FIELDS.NOT", names),
        SectionText::Text => out.extend_from_slice(b"TEXT"),
        SectionText::Mime => out.extend_from_slice(b"MIME"),
    }
    out.push(b']');
    if let Some(origin) = origin {
        put(out, format_args!("<{origin}>"));
    }
}

fn fields(out: &mut Vec<u8>, label: &str, names: &[String]) {
    put(out, format_args!("{label} ("));
    for (i, name) in names.iter().enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        astring(out, name.as_bytes());
    }
    out.push(b')');
}

/// `[1.2]`, and `<origin>` when a part of it was asked for.
fn part_numbers(out: &mut Vec<u8>, part: &[u32], origin: Option<u32>) {
    out.push(b'[');
    for (i, number) in part.iter().enumerate() {
        let dot = if i == 0 { "" } else { "." };
        put(out, format_args!("{dot}{number}"));
    }
    out.push(b']');
    if let Some(origin) = origin {
        put(out, format_args!("<{origin}>"));
    }
}
