//! Response codes (RFC 3501 §7.1, RFC 5530, RFC 4315, RFC 7162): what a program may decide by.

use std::ops::RangeInclusive;

use super::Capabilities;
use super::cursor::{Cursor, Result, Syntax};

/// A response code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// To be shown to the user.
    Alert,
    /// The credentials are not accepted.
    AuthenticationFailed,
    /// They are, but not for what was asked.
    AuthorizationFailed,
    /// They are too old.
    Expired,
    /// Not before TLS.
    PrivacyRequired,
    /// Something the server needs is down: later.
    Unavailable,
    /// Locked by another session: later.
    InUse,
    /// No right to do this.
    NoPerm,
    /// No room in the mailbox.
    OverQuota,
    /// A limit of the server.
    Limit,
    /// Larger than the server takes.
    TooBig,
    /// No such folder.
    NonExistent,
    /// There is such a folder already.
    AlreadyExists,
    /// The folder could be created.
    TryCreate,
    /// It can never be done.
    Cannot,
    /// What the server has of the mailbox is spoilt.
    Corruption,
    /// The server knows it is wrong.
    ServerBug,
    /// The server finds us wrong.
    ClientBug,
    /// Only an administrator can help.
    ContactAdmin,
    /// Some messages asked for are gone.
    ExpungeIssued,
    /// The folder is open for reading only.
    ReadOnly,
    /// The folder is open for reading and writing.
    ReadWrite,
    /// The folder that was open is not any more.
    Closed,
    /// UIDVALIDITY.
    UidValidity(u32),
    /// UIDNEXT.
    UidNext(u32),
    /// HIGHESTMODSEQ.
    HighestModSeq(u64),
    /// The folder does not count changes.
    NoModSeq,
    /// Flags that can be set for good.
    PermanentFlags(Vec<String>),
    /// CAPABILITY.
    Capability(Capabilities),
    /// Where a message was put.
    AppendUid {
        /// UIDVALIDITY of the folder.
        validity: u32,
        /// Its UID there.
        uids: Vec<RangeInclusive<u32>>,
    },
    /// Where messages were copied or moved.
    CopyUid {
        /// UIDVALIDITY of the other folder.
        validity: u32,
        /// What they were.
        from: Vec<RangeInclusive<u32>>,
        /// What they are.
        to: Vec<RangeInclusive<u32>>,
    },
    /// UNCHANGEDSINCE held for these.
    Modified(Vec<RangeInclusive<u32>>),
    /// Another one, its first word in upper case.
    Other(String),
}

/// Codes without arguments.
const PLAIN: [(&str, Code); 24] = [
    ("ALERT", Code::Alert),
    ("AUTHENTICATIONFAILED", Code::AuthenticationFailed),
    ("AUTHORIZATIONFAILED", Code::AuthorizationFailed),
    ("EXPIRED", Code::Expired),
    ("PRIVACYREQUIRED", Code::PrivacyRequired),
    ("UNAVAILABLE", Code::Unavailable),
    ("INUSE", Code::InUse),
    ("NOPERM", Code::NoPerm),
    ("OVERQUOTA", Code::OverQuota),
    ("LIMIT", Code::Limit),
    ("TOOBIG", Code::TooBig),
    ("NONEXISTENT", Code::NonExistent),
    ("ALREADYEXISTS", Code::AlreadyExists),
    ("TRYCREATE", Code::TryCreate),
    ("CANNOT", Code::Cannot),
    ("CORRUPTION", Code::Corruption),
    ("SERVERBUG", Code::ServerBug),
    ("CLIENTBUG", Code::ClientBug),
    ("CONTACTADMIN", Code::ContactAdmin),
    ("EXPUNGEISSUED", Code::ExpungeIssued),
    ("READ-ONLY", Code::ReadOnly),
    ("READ-WRITE", Code::ReadWrite),
    ("CLOSED", Code::Closed),
    ("NOMODSEQ", Code::NoModSeq),
];

impl Code {
    /// After `[`, up to and with `]`. What is not understood of a code makes it another one: codes are hints.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Code> {
        let word = cursor.word(b"]")?.to_ascii_uppercase();
        let start = cursor.clone();
        let code = Code::argument(&word, cursor).and_then(|code| cursor.expect(b']').map(|()| code));
        code.or_else(|Syntax| {
            *cursor = start;
            while !cursor.eat(b']') {
                if cursor.is_end() {
                    return Err(Syntax);
                }
                match cursor.peek() {
                    Some(b'"') => drop(cursor.string()?),
                    Some(b' ' | b'(' | b')') => drop(cursor.eat(b' ') || cursor.eat(b'(') || cursor.eat(b')')),
                    Some(b'{' | b'\r' | b'\n') | None => return Err(Syntax),
                    _ => drop(cursor.word(b"]")?),
                }
            }
            Ok(Code::Other(word))
        })
    }

    fn argument(word: &str, cursor: &mut Cursor<'_>) -> Result<Code> {
        if let Some((_, code)) = PLAIN.iter().find(|(name, _)| *name == word) {
            return Ok(code.clone());
        }
        cursor.spaces();
        Ok(match word {
            "UIDVALIDITY" => Code::UidValidity(cursor.number32()?),
            "UIDNEXT" => Code::UidNext(cursor.number32()?),
            "HIGHESTMODSEQ" => Code::HighestModSeq(cursor.number()?),
            "PERMANENTFLAGS" => Code::PermanentFlags(cursor.flags()?),
            "CAPABILITY" => {
                let mut words = Vec::new();
                while cursor.peek() != Some(b']') {
                    words
                        .push(cursor.word(b"]").and_then(|word| if word.is_empty() { Err(Syntax) } else { Ok(word) })?);
                    cursor.spaces();
                }
                Code::Capability(Capabilities::new(words))
            }
            "APPENDUID" => {
                let validity = cursor.number32()?;
                cursor.expect(b' ')?;
                Code::AppendUid { validity, uids: cursor.ranges()? }
            }
            "COPYUID" => {
                let validity = cursor.number32()?;
                cursor.expect(b' ')?;
                let from = cursor.ranges()?;
                cursor.expect(b' ')?;
                Code::CopyUid { validity, from, to: cursor.ranges()? }
            }
            "MODIFIED" => Code::Modified(cursor.ranges()?),
            _ => return Err(Syntax),
        })
    }
}
