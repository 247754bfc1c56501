//! The tagged answer to a command, and the one table from [`Failure`] to response codes.

use std::borrow::Cow;

use crate::backend::Failure;

/// OK, NO or BAD.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    Ok,
    No,
    Bad,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Status::Ok => "OK",
            Status::No => "NO",
            Status::Bad => "BAD",
        }
    }
}

/// A tagged answer without its tag.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Reply {
    pub(super) status: Status,
    /// Response code without brackets.
    pub(super) code: Option<Cow<'static, str>>,
    pub(super) text: Cow<'static, str>,
    /// Whether the folder's MODSEQ is told to a client of QRESYNC (RFC 7162 §3.2.7), once it knows what happened.
    pub(super) modseq: bool,
}

impl Reply {
    pub(super) fn ok(text: &'static str) -> Self {
        Reply { status: Status::Ok, code: None, text: text.into(), modseq: false }
    }

    pub(super) fn no(text: &'static str) -> Self {
        Reply { status: Status::No, code: None, text: text.into(), modseq: false }
    }

    pub(super) fn bad(text: &'static str) -> Self {
        Reply { status: Status::Bad, code: None, text: text.into(), modseq: false }
    }

    /// BAD with a reason made up of our own words.
    pub(super) fn bad_because(text: String) -> Self {
        Reply { text: text.into(), ..Reply::bad("") }
    }

    /// With a response code (RFC 3501 §7.1, RFC 5530).
    pub(super) fn code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// With `HIGHESTMODSEQ` once the client was told what happened, if it knows QRESYNC.
    pub(super) fn with_modseq(mut self) -> Self {
        self.modseq = true;
        self
    }

    /// Somebody else removed messages this command named (RFC 5530 `EXPUNGEISSUED`).
    pub(super) fn expunge_issued() -> Self {
        Reply::no("Some of the messages are gone, NOOP tells which").code("EXPUNGEISSUED")
    }

    /// The folder was selected by EXAMINE.
    pub(super) fn read_only() -> Self {
        Reply::no("The folder is open read-only").code("CANNOT")
    }

    /// A failure where a message was to go: a folder that is missing can be created (RFC 3501 §6.3.11, §6.4.7).
    pub(super) fn to_folder(failure: Failure) -> Self {
        match failure {
            Failure::NonExistent => Reply::no("No such folder").code("TRYCREATE"),
            other => other.into(),
        }
    }
}

impl From<Failure> for Reply {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NonExistent => Reply::no("No such folder").code("NONEXISTENT"),
            Failure::AlreadyExists => Reply::no("The folder exists already").code("ALREADYEXISTS"),
            Failure::Cannot(why) => Reply::no(why).code("CANNOT"),
            Failure::NoPermission => Reply::no("Not allowed").code("NOPERM"),
            Failure::OverQuota => Reply::no("The mailbox is over its quota").code("OVERQUOTA"),
            Failure::Expunged => Reply::expunge_issued(),
            Failure::TooBig => Reply::no("The message is larger than APPENDLIMIT").code("TOOBIG"),
            Failure::Limit(which) => Reply::no(which).code("LIMIT"),
            Failure::Unavailable => Reply::no("Temporarily unavailable, try again later").code("UNAVAILABLE"),
        }
    }
}

/// Why a command ended before its end: a NO or BAD to tell, or the session is over.
pub(super) enum Stop {
    /// Tell this.
    Reply(Reply),
    /// Nothing more can be told.
    Ended(super::Ended),
}

impl From<Reply> for Stop {
    fn from(reply: Reply) -> Self {
        Stop::Reply(reply)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Reply(failure.into())
    }
}

impl From<super::Ended> for Stop {
    fn from(ended: super::Ended) -> Self {
        Stop::Ended(ended)
    }
}

/// What carrying out a command gives.
pub(super) type Outcome = Result<Reply, Stop>;
