//! ENVELOPE and BODYSTRUCTURE (RFC 3501 §7.4.2). Depth and size are those of the structure, bounded by [`mail::mime`].

use mail::header::Address;
use mail::mime::{Content, Disposition, Envelope, Param, Part, Structure};

use super::text::{nstring, put, string};

/// `envelope`.
pub fn envelope<S: AsRef<str>>(out: &mut Vec<u8>, envelope: &Envelope<S>) {
    out.push(b'(');
    nstring(out, envelope.date.as_ref());
    out.push(b' ');
    nstring(out, envelope.subject.as_ref());
    for list in [&envelope.from, &envelope.sender, &envelope.reply_to, &envelope.to, &envelope.cc, &envelope.bcc] {
        out.push(b' ');
        addresses(out, list);
    }
    out.push(b' ');
    nstring(out, envelope.in_reply_to.as_ref());
    out.push(b' ');
    nstring(out, envelope.message_id.as_ref());
    out.push(b')');
}

fn addresses<S: AsRef<str>>(out: &mut Vec<u8>, list: &[Address<S>]) {
    if list.is_empty() {
        return nil(out);
    }
    out.push(b'(');
    for one in list {
        out.push(b'(');
        match one {
            Address::Mailbox { name, route, local, domain } => {
                nstring(out, name.as_ref());
                out.push(b' ');
                nstring(out, route.as_ref());
                out.push(b' ');
                string(out, local.as_ref().as_bytes());
                out.push(b' ');
                // Never NIL, which would make it a group.
                string(out, domain.as_ref().as_bytes());
            }
            Address::GroupStart(name) => {
                out.extend_from_slice(b"NIL NIL ");
                string(out, name.as_ref().as_bytes());
                out.extend_from_slice(b" NIL");
            }
            Address::GroupEnd => out.extend_from_slice(b"NIL NIL NIL NIL"),
        }
        out.push(b')');
    }
    out.push(b')');
}

/// `body`: BODYSTRUCTURE, or BODY when not `extended`.
pub fn body_structure<S: AsRef<str>>(out: &mut Vec<u8>, structure: &Structure<S>, extended: bool) {
    part(out, &structure.root, extended);
}

fn part<S: AsRef<str>>(out: &mut Vec<u8>, part: &Part<S>, extended: bool) {
    out.push(b'(');
    match &part.content {
        Content::Multipart(children) => {
            for child in children {
                self::part(out, child, extended);
            }
            out.push(b' ');
            string(out, part.subtype.as_ref().as_bytes());
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
                nstring(out, part.md5.as_ref());
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
                nstring(out, part.md5.as_ref());
            }
        }
    }
    if extended {
        out.push(b' ');
        disposition(out, part.disposition.as_ref());
        out.push(b' ');
        languages(out, &part.languages);
        out.push(b' ');
        nstring(out, part.location.as_ref());
    }
    out.push(b')');
}

/// Type, subtype and `body-fields`.
fn basic<S: AsRef<str>>(out: &mut Vec<u8>, part: &Part<S>) {
    string(out, part.media_type.as_ref().as_bytes());
    out.push(b' ');
    string(out, part.subtype.as_ref().as_bytes());
    out.push(b' ');
    params(out, &part.params);
    out.push(b' ');
    nstring(out, part.id.as_ref());
    out.push(b' ');
    nstring(out, part.description.as_ref());
    out.push(b' ');
    string(out, part.encoding.as_ref().as_bytes());
    put(out, format_args!(" {}", part.size()));
}

fn params<S: AsRef<str>>(out: &mut Vec<u8>, params: &[Param<S>]) {
    if params.is_empty() {
        return nil(out);
    }
    out.push(b'(');
    for (i, param) in params.iter().enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        string(out, param.name.as_ref().as_bytes());
        out.push(b' ');
        string(out, param.value.as_ref().as_bytes());
    }
    out.push(b')');
}

fn disposition<S: AsRef<str>>(out: &mut Vec<u8>, disposition: Option<&Disposition<S>>) {
    let Some(disposition) = disposition else {
        return nil(out);
    };
    out.push(b'(');
    string(out, disposition.kind.as_ref().as_bytes());
    out.push(b' ');
    params(out, &disposition.params);
    out.push(b')');
}

fn languages<S: AsRef<str>>(out: &mut Vec<u8>, languages: &[S]) {
    match languages {
        [] => nil(out),
        [one] => string(out, one.as_ref().as_bytes()),
        several => {
            out.push(b'(');
            for (i, language) in several.iter().enumerate() {
                if i > 0 {
                    out.push(b' ');
                }
                string(out, language.as_ref().as_bytes());
            }
            out.push(b')');
        }
    }
}

fn nil(out: &mut Vec<u8>) {
    out.extend_from_slice(b"NIL");
}
