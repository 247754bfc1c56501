//! ENVELOPE and BODYSTRUCTURE (RFC 3501 §7.4.2). Depth and size are those of the structure, bounded by [`mail::mime`].

use mail::header::Address;
use mail::mime::{Content, Disposition, Envelope, Param, Part, Structure};

use super::text::{nstring, put, string};

/// `envelope`.
pub fn envelope(out: &mut Vec<u8>, envelope: &Envelope) {
    out.push(b'(');
    nstring(out, envelope.date.as_deref());
    out.push(b' ');
    nstring(out, envelope.subject.as_deref());
    for list in [&envelope.from, &envelope.sender, &envelope.reply_to, &envelope.to, &envelope.cc, &envelope.bcc] {
        out.push(b' ');
        addresses(out, list);
    }
    out.push(b' ');
    nstring(out, envelope.in_reply_to.as_deref());
    out.push(b' ');
    nstring(out, envelope.message_id.as_deref());
    out.push(b')');
}

fn addresses(out: &mut Vec<u8>, list: &[Address]) {
    if list.is_empty() {
        return nil(out);
    }
    out.push(b'(');
    for one in list {
        out.push(b'(');
        match one {
            Address::Mailbox { name, route, local, domain } => {
                nstring(out, name.as_deref());
                out.push(b' ');
                nstring(out, route.as_deref());
                out.push(b' ');
                string(out, local.as_bytes());
                out.push(b' ');
                // Never NIL, which would make it a group.
                string(out, domain.as_bytes());
            }
            Address::GroupStart(name) => {
                out.extend_from_slice(b"NIL NIL ");
                string(out, name.as_bytes());
                out.extend_from_slice(b" NIL");
            }
            Address::GroupEnd => out.extend_from_slice(b"NIL NIL NIL NIL"),
        }
        out.push(b')');
    }
    out.push(b')');
}

/// `body`: BODYSTRUCTURE, or BODY when not `extended`.
pub fn body_structure(out: &mut Vec<u8>, structure: &Structure, extended: bool) {
    part(out, &structure.root, extended);
}

fn part(out: &mut Vec<u8>, part: &Part, extended: bool) {
    out.push(b'(');
    match &part.content {
        Content::Multipart(children) => {
            for child in children {
                self::part(out, child, extended);
            }
            out.push(b' ');
            string(out, part.subtype.as_bytes());
            if extended {
                out.push(b' ');
                params(out, &part.params);
            }
        }
        Content::Leaf => {
            basic(out, part);
            if part.is_text() {
                put(out, format_args!(" {}", part.lines));
            }
            if extended {
                out.push(b' ');
                nstring(out, part.md5.as_deref());
            }
        }
        Content::Message(inner) => {
            basic(out, part);
            out.push(b' ');
            envelope(out, &inner.envelope);
            out.push(b' ');
            self::part(out, &inner.root, extended);
            put(out, format_args!(" {}", part.lines));
            if extended {
                out.push(b' ');
                nstring(out, part.md5.as_deref());
            }
        }
    }
    if extended {
        out.push(b' ');
        disposition(out, part.disposition.as_ref());
        out.push(b' ');
        languages(out, &part.languages);
        out.push(b' ');
        nstring(out, part.location.as_deref());
    }
    out.push(b')');
}

/// Type, subtype and `body-fields`.
fn basic(out: &mut Vec<u8>, part: &Part) {
    string(out, part.media_type.as_bytes());
    out.push(b' ');
    string(out, part.subtype.as_bytes());
    out.push(b' ');
    params(out, &part.params);
    out.push(b' ');
    nstring(out, part.id.as_deref());
    out.push(b' ');
    nstring(out, part.description.as_deref());
    out.push(b' ');
    string(out, part.encoding.as_bytes());
    put(out, format_args!(" {}", part.size()));
}

fn params(out: &mut Vec<u8>, params: &[Param]) {
    if params.is_empty() {
        return nil(out);
    }
    out.push(b'(');
    for (i, param) in params.iter().enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        string(out, param.name.as_bytes());
        out.push(b' ');
        string(out, param.value.as_bytes());
    }
    out.push(b')');
}

fn disposition(out: &mut Vec<u8>, disposition: Option<&Disposition>) {
    let Some(disposition) = disposition else {
        return nil(out);
    };
    out.push(b'(');
    string(out, disposition.kind.as_bytes());
    out.push(b' ');
    params(out, &disposition.params);
    out.push(b')');
}

fn languages(out: &mut Vec<u8>, languages: &[String]) {
    match languages {
        [] => nil(out),
        [one] => string(out, one.as_bytes()),
        several => {
            out.push(b'(');
            for (i, language) in several.iter().enumerate() {
                if i > 0 {
                    out.push(b' ');
                }
                string(out, language.as_bytes());
            }
            out.push(b')');
        }
    }
}

fn nil(out: &mut Vec<u8>) {
    out.extend_from_slice(b"NIL");
}
