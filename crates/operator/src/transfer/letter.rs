//! A message with what is known beside its octets.
//!
//! Between the command and the server letters travel as frames: one line of JSON ([`Letter`]), then the octets, as many as the line says.

use bytes::{Buf, Bytes, BytesMut};
use openssl::sha::sha256;
use serde::{Deserialize, Serialize};

use super::MAX_MESSAGE;

/// The longest line of a frame: names and keywords are short.
const MAX_LINE: usize = 64 * 1024;

/// What makes a letter recognisable when it comes again: a digest of where it was.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key(pub [u8; 16]);

impl Key {
    /// Of a source (a server, a folder of files) and the place of the message in it.
    pub fn of(source: &str, folder: &str, place: &str) -> Key {
        let digest = sha256([source, folder, place].join("\0").as_bytes());
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        Key(key)
    }

    fn hex(self) -> String {
        self.0.iter().map(|b| format!("{b:02x}")).collect()
    }

    fn from_hex(text: &str) -> Option<Key> {
        let mut key = [0; 16];
        if text.len() != 32 || !text.is_ascii() {
            return None;
        }
        for (i, octet) in key.iter_mut().enumerate() {
            *octet = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
        }
        Some(Key(key))
    }
}

impl Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.hex())
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        let text = String::deserialize(deserializer)?;
        Key::from_hex(&text).ok_or_else(|| serde::de::Error::custom("32 hexadecimal digits"))
    }
}

/// What is known of a message beside its octets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// The folder's name in Unicode, levels separated by `/`.
    pub folder: String,
    /// System flags by their IMAP names, and keywords.
    pub flags: Vec<String>,
    /// INTERNALDATE, seconds since 1970.
    pub date: i64,
    /// What it is recognised by.
    pub key: Key,
    /// Octets that follow.
    pub size: u64,
}

/// A letter and its octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// What is known of it.
    pub letter: Letter,
    /// The message, lines ended by CRLF.
    pub octets: Bytes,
}

/// What became of a letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is there, on disk.
    Stored,
    /// It was there already.
    Already,
    /// It is not there, and why.
    Refused(String),
}

/// What is wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The line is too long or no letter.
    #[error("not a letter")]
    Line,
    /// The message is larger than any mailbox takes.
    #[error("the message is too large")]
    Size,
    /// The octets end too early.
    #[error("cut short")]
    Short,
}

/// Writes a letter's line; its octets follow.
pub fn line(letter: &Letter) -> Vec<u8> {
    // Plain strings and numbers always have a JSON form.
    let mut line = serde_json::to_vec(letter).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Reads frames from pieces.
#[derive(Default)]
pub struct Frames {
    buffer: BytesMut,
    letter: Option<Letter>,
}

impl Frames {
    /// Adds what was received.
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole frame, if it is there.
    ///
    /// # Errors
    /// [`FrameError::Line`], [`FrameError::Size`].
    pub fn next_post(&mut self) -> Result<Option<Post>, FrameError> {
        if self.letter.is_none() {
            let Some(end) = self.buffer.iter().take(MAX_LINE).position(|b| *b == b'\n') else {
                return if self.buffer.len() >= MAX_LINE { Err(FrameError::Line) } else { Ok(None) };
            };
            let letter: Letter = serde_json::from_slice(&self.buffer[..end]).map_err(|_| FrameError::Line)?;
            if letter.size > MAX_MESSAGE {
                return Err(FrameError::Size);
            }
            self.buffer.advance(end + 1);
            self.letter = Some(letter);
        }
        match self.letter.take() {
            // Bounded by MAX_MESSAGE, which a usize holds.
            Some(letter) if self.buffer.len() as u64 >= letter.size => {
                let octets = self.buffer.split_to(letter.size as usize).freeze();
                Ok(Some(Post { letter, octets }))
            }
            waiting => {
                self.letter = waiting;
                Ok(None)
            }
        }
    }

    /// At the end: whether nothing was cut short.
    ///
    /// # Errors
    /// [`FrameError::Short`].
    pub fn end(&self) -> Result<(), FrameError> {
        if self.buffer.is_empty() && self.letter.is_none() { Ok(()) } else { Err(FrameError::Short) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(folder: &str, octets: &'static [u8]) -> Post {
        let letter = Letter {
            folder: folder.into(),
            flags: vec!["\\Seen".into(), "$Traité".into()],
            date: 1_700_000_000,
            key: Key::of("source", folder, "1"),
            size: octets.len() as u64,
        };
        Post { letter, octets: Bytes::from_static(octets) }
    }

    #[test]
    fn frames_come_back_however_they_are_cut() {
        let posts = [post("INBOX", b"Subject: a\r\n\r\nb\r\n"), post("Été/2026", b""), post("Sent", b"\n\n{}\n")];
        let mut wire = Vec::new();
        for post in &posts {
            wire.extend(line(&post.letter));
            wire.extend_from_slice(&post.octets);
        }
        for size in [1, 2, 7, 64, wire.len()] {
            let (mut frames, mut found) = (Frames::default(), Vec::new());
            for piece in wire.chunks(size) {
                frames.push(piece);
                while let Some(post) = frames.next_post().expect("well formed") {
                    found.push(post);
                }
            }
            assert_eq!(found, posts);
            assert_eq!(frames.end(), Ok(()));
        }
        let mut cut = Frames::default();
        cut.push(&wire[..wire.len() - 1]);
        while cut.next_post().expect("well formed").is_some() {}
        assert_eq!(cut.end(), Err(FrameError::Short));
    }

    #[test]
    fn what_is_no_letter_is_refused() {
        let mut frames = Frames::default();
        frames.push(b"{\"folder\":1}\n");
        assert_eq!(frames.next_post(), Err(FrameError::Line));
        let mut frames = Frames::default();
        frames.push(&vec![b'x'; MAX_LINE]);
        assert_eq!(frames.next_post(), Err(FrameError::Line));
        let mut frames = Frames::default();
        let mut huge = post("INBOX", b"").letter;
        huge.size = u64::MAX;
        frames.push(&line(&huge));
        assert_eq!(frames.next_post(), Err(FrameError::Size));
    }
}
