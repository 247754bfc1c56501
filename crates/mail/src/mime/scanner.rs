//! The scanner: lines in, a tree of parts out.
//!
//! It holds at any time one header block, the start of one line, and the parts found so far. A body is never kept. Boundary
//! lines are compared whole, trailing blanks aside, from the innermost `multipart` outward: a boundary that begins like
//! another one is not mistaken for it (RFC 2046 §5.1.1 and §5.1.2).

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::budget::Budget;
use super::facts::{self, DefaultType};
use super::{Content, Envelope, Part, Structure, params};
use crate::date::Moment;
use crate::header::Transfer;

/// What bounds the memory of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets read of each header block; fields beyond are not seen (they stay in the part's header range).
    pub header: usize,
    /// Octets kept for all texts together; what does not fit is left out.
    pub budget: usize,
    /// Parts within parts, the message included; deeper parts are opaque leaves. At most [`Limits::MAX_DEPTH`].
    pub depth: usize,
    /// Parts in all; from the last one on, the rest of the message is one opaque leaf.
    pub parts: usize,
}

impl Limits {
    /// What no setting of `depth` exceeds: trees are walked by recursion.
    pub const MAX_DEPTH: usize = 100;
}

impl Default for Limits {
    /// 64 KiB per header, 1 MiB of texts, 50 levels, 2000 parts: far beyond real mail.
    fn default() -> Self {
        Limits { header: 64 * 1024, budget: 1024 * 1024, depth: 50, parts: 2000 }
    }
}

/// Longest boundary looked for: RFC 2046 allows 70, some programs write more.
const MAX_BOUNDARY: usize = 250;
/// Octets kept of a line: a longer one, its line end included, is no boundary line.
const MAX_LINE: usize = 512;

/// Reads a message and finds its structure.
#[derive(Debug)]
pub struct Scanner {
    limits: Limits,
    budget: Budget,
    /// The parts being read, the message first.
    stack: Vec<Frame>,
    state: State,
    /// Parts met so far.
    parts: usize,
    /// The header block being read, and how much of it was there before the line being read.
    block: Vec<u8>,
    block_mark: usize,
    /// The first octets of the line being read, and its length so far.
    line: Vec<u8>,
    line_length: u64,
    /// Whether the last octet read is a CR.
    after_cr: bool,
    line_start: u64,
    /// Line ends before the line being read, and the length of the last one.
    lines: u64,
    last_eol: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the header of the innermost part.
    Header,
    /// In its body, preamble or epilogue.
    Body,
    /// In the last part there can be: nothing is looked for any more.
    Opaque,
}

#[derive(Debug)]
struct Frame {
    part: Part,
    role: Role,
    default: DefaultType,
    /// Set for the root of a message.
    message: Option<(Envelope, Option<Moment>)>,
    /// Line ends before the body.
    lines_before: u64,
}

#[derive(Debug)]
enum Role {
    Leaf,
    Multipart { boundary: Vec<u8>, digest: bool, closed: bool, children: Vec<Part> },
    Message(Option<Box<Structure>>),
}

/// Where parts end when a boundary line or the end of the message closes them.
#[derive(Clone, Copy)]
struct Cut {
    end: u64,
    lines: u64,
}

impl Frame {
    fn new(start: u64, default: DefaultType, message: bool) -> Self {
        let part = Part::leaf(start..start, start..start, "", "");
        let message = message.then(Default::default);
        Frame { part, role: Role::Leaf, default, message, lines_before: 0 }
    }
}

impl Scanner {
    /// A scanner at the start of a message.
    pub fn new(limits: Limits) -> Self {
        let limits = Limits { depth: limits.depth.clamp(1, Limits::MAX_DEPTH), ..limits };
        Scanner {
            limits,
            budget: Budget::new(limits.budget),
            stack: vec![Frame::new(0, DefaultType::Text, true)],
            state: State::Header,
            parts: 1,
            block: Vec::new(),
            block_mark: 0,
            line: Vec::new(),
            line_length: 0,
            after_cr: false,
            line_start: 0,
            lines: 0,
            last_eol: 0,
        }
    }

    /// Reads the next octets, in chunks of any size.
    pub fn push(&mut self, mut chunk: &[u8]) {
        while !chunk.is_empty() {
            if self.line_length == 0 && self.state != State::Header {
                // Most of a body: only counted.
                let (plain, rest) = chunk.split_at(plain_lines(chunk));
                chunk = rest;
                if !plain.is_empty() {
                    self.line_start += plain.len() as u64;
                    self.last_eol = if plain.ends_with(b"\r\n") { 2 } else { 1 };
                    self.lines += memchr::memchr_iter(b'\n', plain).count() as u64;
                    self.after_cr = false;
                    continue;
                }
            }
            let eol = memchr::memchr(b'\n', chunk);
            let (piece, rest) = chunk.split_at(eol.map_or(chunk.len(), |i| i + 1));
            chunk = rest;
            if self.state == State::Header {
                let room = self.limits.header.saturating_sub(self.block.len());
                self.block.extend_from_slice(&piece[..piece.len().min(room)]);
            }
            let room = MAX_LINE - self.line.len();
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            self.line_length += piece.len() as u64;
            if eol.is_some() {
                let crlf = piece.ends_with(b"\r\n") || (piece.len() == 1 && self.after_cr);
                self.end_line(if crlf { 2 } else { 1 });
            }
            self.after_cr = piece.ends_with(b"\r");
        }
    }

    /// Ends the message.
    pub fn finish(mut self) -> Structure {
        if self.line_length > 0 {
            self.end_line(0);
        }
        let cut = Cut { end: self.line_start, lines: self.lines };
        loop {
            if let Some(structure) = self.close(cut) {
                return structure;
            }
        }
    }

    /// A whole line is there (or the rest of the message, `eol` being 0).
    fn end_line(&mut self, eol: u64) {
        let next = self.line_start + self.line_length;
        let boundary = match self.state {
            State::Opaque => None,
            State::Header | State::Body => self.boundary(eol),
        };
        if let Some((frame, closing)) = boundary {
            self.block.truncate(self.block_mark);
            self.end_part(frame);
            if closing {
                self.state = State::Body;
                if let Role::Multipart { closed, .. } = &mut self.stack[frame].role {
                    *closed = true;
                }
            } else {
                self.start_part(frame, next);
            }
        } else if self.state == State::Header && eol > 0 && self.line_length == eol {
            self.end_header(next, self.lines + 1);
        }
        self.block_mark = self.block.len();
        self.line.clear();
        self.line_length = 0;
        self.line_start = next;
        self.last_eol = eol;
        self.lines += u64::from(eol > 0);
    }

    /// Whether the line is a boundary: the `multipart` it belongs to, and whether it is its last one.
    fn boundary(&self, eol: u64) -> Option<(usize, bool)> {
        if self.line_length > MAX_LINE as u64 || !self.line.starts_with(b"--") {
            return None;
        }
        // At most MAX_LINE octets, hence in memory whole; `eol` is at most 2 and part of them.
        let line = &self.line[2..self.line.len().saturating_sub(eol as usize).max(2)];
        let line = line.trim_ascii_end();
        self.stack.iter().enumerate().rev().find_map(|(i, frame)| match &frame.role {
            Role::Multipart { boundary, closed: false, .. } if line == boundary => Some((i, false)),
            Role::Multipart { boundary, closed: false, .. }
                if line.strip_suffix(b"--") == Some(boundary.as_slice()) =>
            {
                Some((i, true))
            }
            _ => None,
        })
    }

    /// Closes the parts inside frame `keep`, at the line being read, which is a boundary of it.
    fn end_part(&mut self, keep: usize) {
        let Some(outer) = self.stack.get(keep + 1) else {
            return;
        };
        // The line end before a boundary belongs to it, unless it ends the part's header.
        let in_header = self.state == State::Header && self.stack.len() == keep + 2;
        let first = if in_header { outer.part.header.start } else { outer.part.body.start };
        let before = self.line_start - self.last_eol;
        let cut = if before >= first {
            Cut { end: before, lines: self.lines - u64::from(self.last_eol > 0) }
        } else {
            Cut { end: first, lines: self.lines }
        };
        while self.stack.len() > keep + 1 {
            self.close(cut);
        }
    }

    /// A new part of the `multipart` of that frame.
    fn start_part(&mut self, frame: usize, start: u64) {
        let digest = matches!(self.stack[frame].role, Role::Multipart { digest: true, .. });
        let default = if digest { DefaultType::Message } else { DefaultType::Text };
        self.parts += 1;
        let mut child = Frame::new(start, default, false);
        self.block.clear();
        if self.parts >= self.limits.parts {
            facts::opaque(&mut child.part);
            child.lines_before = self.lines + 1;
            self.state = State::Opaque;
        } else {
            self.state = State::Header;
        }
        self.stack.push(child);
    }

    /// The header of the innermost part is complete: `body` is where its body starts, after that many line ends.
    fn end_header(&mut self, body: u64, lines: u64) {
        let room = self.stack.len() < self.limits.depth && self.parts < self.limits.parts;
        let Some(frame) = self.stack.last_mut() else {
            return;
        };
        frame.part.header.end = body;
        frame.part.body = body..body;
        frame.lines_before = lines;
        frame.read(&self.block, &mut self.budget);
        self.block.clear();
        frame.role = frame.role(room);
        self.state = State::Body;
        if matches!(frame.role, Role::Message(_)) {
            self.parts += 1;
            self.stack.push(Frame::new(body, DefaultType::Text, true));
            self.state = State::Header;
        }
    }

    /// Ends the innermost part and gives it to the one around it; the structure when it was the outermost.
    fn close(&mut self, cut: Cut) -> Option<Structure> {
        let mut frame = self.stack.pop()?;
        let end = cut.end;
        frame.part.header.start = frame.part.header.start.min(end);
        if self.state == State::Header {
            // The header was never ended by an empty line: there is no body.
            frame.part.header.end = end;
            frame.part.body = end..end;
            frame.read(&self.block, &mut self.budget);
            self.block.clear();
            frame.role = frame.role(false);
        }
        self.state = State::Body;
        let part = frame.end(cut);
        match (frame.message, self.stack.last_mut().map(|parent| &mut parent.role)) {
            (Some((envelope, sent)), None) => Some(Structure { envelope, sent, root: part }),
            (Some((envelope, sent)), Some(Role::Message(inner))) => {
                *inner = Some(Box::new(Structure { envelope, sent, root: part }));
                None
            }
            (_, Some(Role::Multipart { children, .. })) => {
                children.push(part);
                None
            }
            _ => None,
        }
    }
}

/// Octets of the whole lines that `chunk` begins with and that can be no boundary; `chunk` begins a line.
fn plain_lines(chunk: &[u8]) -> usize {
    static DASHES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\n--"));
    if chunk.starts_with(b"--") {
        return 0;
    }
    let lines = DASHES.find(chunk).map_or(chunk, |at| &chunk[..=at]);
    memchr::memrchr(b'\n', lines).map_or(0, |at| at + 1)
}

impl Frame {
    /// Takes in what the header says.
    fn read(&mut self, block: &[u8], budget: &mut Budget) {
        let envelope = self.message.as_mut().map(|(envelope, _)| envelope);
        facts::read(block, &mut self.part, self.default, envelope, budget);
        if let Some((envelope, sent)) = &mut self.message {
            *sent = envelope.sent();
        }
    }

    /// What the type makes of the part; without `room`, what would hold parts is a leaf.
    fn role(&mut self, room: bool) -> Role {
        let part = &mut self.part;
        let identity = Transfer::from_name(&part.encoding) == Some(Transfer::Identity);
        if part.media_type == "multipart" {
            let boundary = params::raw(&part.params, "boundary").map(|b| b.trim_end().as_bytes().to_vec());
            let usable = boundary.filter(|b| (1..=MAX_BOUNDARY).contains(&b.len()));
            match usable {
                Some(boundary) if room => {
                    let digest = part.subtype == "digest";
                    return Role::Multipart { boundary, digest, closed: false, children: Vec::new() };
                }
                Some(_) => facts::opaque(part),
                None => facts::plain_text(part),
            }
        } else if part.is("message", "rfc822") {
            if room && identity {
                return Role::Message(None);
            }
            facts::opaque(part);
        }
        Role::Leaf
    }

    /// The finished part; its role is used up.
    fn end(&mut self, cut: Cut) -> Part {
        let mut part = std::mem::replace(&mut self.part, Part::leaf(0..0, 0..0, "", ""));
        part.header.end = part.header.end.min(cut.end);
        part.body = part.header.end..cut.end;
        if !part.body.is_empty() {
            part.lines = cut.lines.saturating_sub(self.lines_before);
        }
        part.content = match std::mem::replace(&mut self.role, Role::Leaf) {
            Role::Leaf => Content::Leaf,
            Role::Multipart { children, .. } if children.is_empty() => {
                facts::plain_text(&mut part);
                Content::Leaf
            }
            Role::Multipart { children, .. } => Content::Multipart(children),
            // A message part always has its message: both are opened together, and the inner one is closed first.
            Role::Message(inner) => inner.map_or(Content::Leaf, Content::Message),
        };
        part
    }
}

#[cfg(test)]
mod tests {
    use super::plain_lines;

    #[test]
    fn lines_that_are_no_boundary_are_told_at_once() {
        for (chunk, wanted) in [
            (&b""[..], 0),
            (b"a", 0),
            (b"\n", 1),
            (b"a\r\nb", 3),
            (b"a\nb\n--c\nd\n", 4),
            (b"--a\nb\n", 0),
            (b"-a\n-", 3),
            (b"-", 0),
            (b"\n--", 1),
            (b"a --\n\n", 6),
        ] {
            assert_eq!(plain_lines(chunk), wanted, "{chunk:?}");
        }
    }
}
