//! The commands of IMAP as values: what [`parse`](crate::parse) gives and [`server`](crate::server) carries out.
//!
//! Literals of every command but APPEND and REPLACE are gathered by [`wire`](crate::wire) before parsing; theirs stay on the
//! wire and only their sizes are here.

use mail::FolderName;
use mail::sequence::SequenceSet;

mod administer;

pub use administer::{Administer, Depth};

use crate::modifiers::{FetchModifiers, SelectModifiers, StoreModifiers};

/// A command with its tag.
#[derive(Clone, Debug, PartialEq)]
pub struct Tagged {
    /// The tag, 1 to 32 octets.
    pub tag: String,
    /// The command.
    pub command: Command,
}

/// Whether numbers are UIDs or sequence numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Numbers {
    /// Sequence numbers.
    Sequence,
    /// UIDs (`UID …`).
    Uid,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// CAPABILITY.
    Capability,
    /// NOOP.
    Noop,
    /// LOGOUT.
    Logout,
    /// STARTTLS.
    StartTls,
    /// AUTHENTICATE with its initial response (SASL-IR), still base64; `=` is an empty one.
    Authenticate {
        /// Mechanism, in capitals.
        mechanism: String,
        /// Initial response.
        initial: Option<zeroize::Zeroizing<String>>,
    },
    /// LOGIN: always refused (LPS-NOPLAIN); what it carried is dropped unread.
    Login,
    /// ENABLE.
    Enable(Vec<String>),
    /// ID; the client's fields are dropped but `name` and `version`, for the log, cut short.
    Id(Vec<(String, Option<String>)>),
    /// NAMESPACE.
    Namespace,
    /// SELECT or EXAMINE.
    Select {
        /// Which folder; `Err` holds a name that cannot be a folder's.
        folder: Name,
        /// EXAMINE.
        read_only: bool,
        /// `(CONDSTORE)`, `(QRESYNC (…))`.
        modifiers: SelectModifiers,
    },
    /// UNSELECT.
    Unselect,
    /// CLOSE.
    Close,
    /// CHECK.
    Check,
    /// CREATE, with `USE` (RFC 6154).
    Create {
        /// Name.
        folder: Name,
        /// `USE` attributes.
        special_use: Vec<String>,
    },
    /// DELETE.
    Delete(Name),
    /// RENAME.
    Rename {
        /// From.
        from: Name,
        /// To.
        to: Name,
    },
    /// SUBSCRIBE.
    Subscribe(Name),
    /// UNSUBSCRIBE.
    Unsubscribe(Name),
    /// LIST, plain or extended (RFC 5258, 5819, 6154).
    List(List),
    /// LSUB.
    Lsub {
        /// Reference, decoded.
        reference: String,
        /// Pattern, decoded.
        pattern: String,
    },
    /// STATUS.
    Status {
        /// Folder.
        folder: Name,
        /// What.
        items: Vec<StatusItem>,
    },
    /// APPEND. Its literals follow on the wire.
    Append(Append),
    /// COMPRESS DEFLATE (RFC 4978).
    Compress,
    /// REPLACE (RFC 8508). Its literals follow on the wire.
    Replace {
        /// UID REPLACE or not.
        numbers: Numbers,
        /// Which message; `None` is `*`.
        which: Option<std::num::NonZeroU32>,
        /// By what: one message.
        by: Append,
    },
    /// IDLE.
    Idle,
    /// NOTIFY (RFC 5465).
    Notify(crate::notify::Notify),
    /// SEARCH.
    Search {
        /// UID SEARCH or not.
        numbers: Numbers,
        /// `RETURN (…)`; `None` is the old SEARCH response.
        options: Option<Vec<SearchReturn>>,
        /// CHARSET, in capitals.
        charset: Option<String>,
        /// What is searched.
        key: SearchKey,
    },
    /// SORT (RFC 5256).
    Sort {
        /// UID SORT or not.
        numbers: Numbers,
        /// `RETURN (…)` (RFC 5267); `None` is the SORT response.
        options: Option<Vec<SearchReturn>>,
        /// By what, the first first.
        criteria: Vec<SortCriterion>,
        /// Charset, in capitals.
        charset: String,
        /// What is searched.
        key: SearchKey,
    },
    /// THREAD (RFC 5256).
    Thread {
        /// UID THREAD or not.
        numbers: Numbers,
        /// How.
        algorithm: ThreadAlgorithm,
        /// Charset, in capitals.
        charset: String,
        /// What is searched.
        key: SearchKey,
    },
    /// FETCH.
    Fetch {
        /// UID FETCH or not.
        numbers: Numbers,
        /// Which.
        set: SequenceSet,
        /// What. Macros are expanded.
        items: Vec<FetchItem>,
        /// `(CHANGEDSINCE …)`.
        modifiers: FetchModifiers,
    },
    /// STORE.
    Store {
        /// UID STORE or not.
        numbers: Numbers,
        /// Which.
        set: SequenceSet,
        /// How.
        how: crate::backend::FlagOperation,
        /// `.SILENT`.
        silent: bool,
        /// Flags and keywords by name.
        flags: Vec<String>,
        /// `(UNCHANGEDSINCE …)`.
        modifiers: StoreModifiers,
    },
    /// COPY.
    Copy {
        /// UID COPY or not.
        numbers: Numbers,
        /// Which.
        set: SequenceSet,
        /// Where.
        to: Name,
    },
    /// MOVE.
    Move {
        /// UID MOVE or not.
        numbers: Numbers,
        /// Which.
        set: SequenceSet,
        /// Where.
        to: Name,
    },
    /// Rights, quota, annotations.
    Administer(Administer),
    /// UNAUTHENTICATE (RFC 8437).
    Unauthenticate,
    /// EXPUNGE, or UID EXPUNGE with a set.
    Expunge(Option<SequenceSet>),
}

/// A folder name as given: decoded from modified UTF-7 (or UTF-8), or refused.
pub type Name = Result<FolderName, mail::folder::FolderNameError>;

/// LIST.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct List {
    /// `(SUBSCRIBED)`.
    pub select_subscribed: bool,
    /// `(REMOTE)`: there are none.
    pub select_remote: bool,
    /// `(RECURSIVEMATCH)`.
    pub select_recursive: bool,
    /// `(SPECIAL-USE)`.
    pub select_special_use: bool,
    /// Reference, decoded.
    pub reference: String,
    /// Patterns, decoded.
    pub patterns: Vec<String>,
    /// `RETURN (SUBSCRIBED)`.
    pub return_subscribed: bool,
    /// `RETURN (CHILDREN)`.
    pub return_children: bool,
    /// `RETURN (SPECIAL-USE)`.
    pub return_special_use: bool,
    /// `RETURN (MYRIGHTS)` (RFC 8440).
    pub return_my_rights: bool,
    /// `RETURN (STATUS (…))`.
    pub return_status: Vec<StatusItem>,
    /// Whether any extended syntax was used.
    pub extended: bool,
}

/// What STATUS can tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StatusItem {
    /// MESSAGES.
    Messages,
    /// RECENT: always 0.
    Recent,
    /// UIDNEXT.
    UidNext,
    /// UIDVALIDITY.
    UidValidity,
    /// UNSEEN.
    Unseen,
    /// DELETED.
    Deleted,
    /// DELETED-STORAGE, in octets (RFC 9208 §4.1.4).
    DeletedStorage,
    /// SIZE (RFC 8438).
    Size,
    /// HIGHESTMODSEQ.
    HighestModSeq,
    /// APPENDLIMIT (RFC 7889).
    AppendLimit,
    /// MAILBOXID (RFC 8474).
    MailboxId,
}

/// APPEND as far as its first literal, or whole when it has none (RFC 3501, 3502, 4469).
#[derive(Clone, Debug, PartialEq)]
pub struct Append {
    /// Where.
    pub folder: Name,
    /// What was read of its messages.
    pub parts: Vec<AppendPart>,
    /// How to read on, with [`append_more`](crate::parse::append_more), what follows a literal.
    pub state: AppendState,
}

/// A piece of the messages of APPEND, in the order of the command.
#[derive(Clone, Debug, PartialEq)]
pub enum AppendPart {
    /// A message begins; the one before it is whole.
    Message {
        /// Flags and keywords by name.
        flags: Vec<String>,
        /// Date-time, seconds since 1970.
        date: Option<i64>,
        /// `CATENATE`: made of parts. Otherwise of one literal.
        catenate: bool,
    },
    /// A literal follows on the wire: the message, or a `TEXT` part of it. Always the last of what was read.
    Octets(Announced),
    /// A `URL` part.
    Url(Vec<u8>),
    /// A `URL` part whose text is a literal that follows on the wire. Always the last of what was read.
    UrlOctets(Announced),
}

impl AppendPart {
    /// The literal that follows on the wire.
    pub fn announced(&self) -> Option<Announced> {
        match self {
            AppendPart::Octets(announced) | AppendPart::UrlOctets(announced) => Some(*announced),
            AppendPart::Message { .. } | AppendPart::Url(_) => None,
        }
    }
}

/// A literal that follows on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Announced {
    /// Octets of the literal.
    pub size: u64,
    /// Whether the client waits for a continuation (`{n}`) or not (`{n+}`).
    pub synchronizing: bool,
    /// `~{n}` (RFC 3516).
    pub binary: bool,
}

/// Where in APPEND a literal was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AppendState {
    /// A message is whole: another may follow, or the end.
    Message,
    /// Among the parts of CATENATE.
    Catenate,
    /// After the octets of `UTF8 (…)`.
    Utf8,
}

/// `RETURN` options of SEARCH and SORT (RFC 4731, 5182, 5267, 9394).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SearchReturn {
    /// MIN.
    Min,
    /// MAX.
    Max,
    /// ALL.
    All,
    /// COUNT.
    Count,
    /// SAVE.
    Save,
    /// PARTIAL; never with ALL, and only once.
    Partial(Window),
}

/// Which of an ordered list: places from 1, the lower first (RFC 9394 `partial-range`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// Counted from the end (`-1:-100`).
    pub from_end: bool,
    /// The place nearest to where counting begins.
    pub first: u32,
    /// The place farthest from it.
    pub last: u32,
}

impl Window {
    /// The places (from 0) of a list of so many that are in the window.
    pub fn of(self, count: usize) -> std::ops::Range<usize> {
        let (near, far) = ((self.first as usize - 1).min(count), (self.last as usize).min(count));
        if self.from_end { count - far..count - near } else { near..far }
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.from_end { "-" } else { "" };
        write!(f, "{sign}{}:{sign}{}", self.first, self.last)
    }
}

/// One criterion of SORT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SortCriterion {
    /// By what.
    pub by: SortBy,
    /// REVERSE.
    pub reverse: bool,
}

/// By what messages are sorted (RFC 5256 §3, RFC 5957).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SortBy {
    /// ARRIVAL: internal date.
    Arrival,
    /// CC: local part of the first address.
    Cc,
    /// DATE: sent date.
    Date,
    /// FROM: local part of the first address.
    From,
    /// SIZE.
    Size,
    /// SUBJECT: base subject.
    Subject,
    /// TO: local part of the first address.
    To,
    /// DISPLAYFROM: display name of the first address, else its address.
    DisplayFrom,
    /// DISPLAYTO: likewise.
    DisplayTo,
}

/// How messages are put into threads (RFC 5256 §3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ThreadAlgorithm {
    /// ORDEREDSUBJECT.
    OrderedSubject,
    /// REFERENCES.
    References,
}

/// What is searched.
#[derive(Clone, Debug, PartialEq)]
pub enum SearchKey {
    /// All of these.
    And(Vec<SearchKey>),
    /// One of these two.
    Or(Box<SearchKey>, Box<SearchKey>),
    /// Not this.
    Not(Box<SearchKey>),
    /// ALL.
    All,
    /// Sequence numbers, or `$`.
    Sequence(SequenceSet),
    /// UIDs.
    Uid(SequenceSet),
    /// A system flag set (`ANSWERED`…) or, with `false`, not set (`UNANSWERED`…).
    Flag(mail::Flags, bool),
    /// KEYWORD, or with `false` UNKEYWORD.
    Keyword(String, bool),
    /// NEW, RECENT: none; OLD: all.
    Recent(bool),
    /// BCC, CC, FROM, SUBJECT, TO, HEADER: field name in lower case, text sought (empty: the field is there).
    Header(String, String),
    /// BODY.
    Body(String),
    /// TEXT.
    Text(String),
    /// LARGER.
    Larger(u64),
    /// SMALLER.
    Smaller(u64),
    /// BEFORE, ON, SINCE: internal date.
    Internal(DateTest, time::Date),
    /// SENTBEFORE, SENTON, SENTSINCE: Date header.
    Sent(DateTest, time::Date),
    /// MODSEQ (RFC 7162).
    ModSeq(u64),
    /// OLDER (RFC 5032): internal date at least so many seconds ago.
    Older(u32),
    /// YOUNGER (RFC 5032): internal date within so many seconds.
    Younger(u32),
    /// SAVEDBEFORE, SAVEDON, SAVEDSINCE (RFC 8514).
    Saved(DateTest, time::Date),
    /// SAVEDATESUPPORTED (RFC 8514).
    SaveDateSupported,
    /// EMAILID (RFC 8474).
    EmailId(String),
    /// THREADID (RFC 8474).
    ThreadId(String),
}

/// A test on a day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DateTest {
    /// Before that day.
    Before,
    /// That day.
    On,
    /// That day or later.
    Since,
}

/// What FETCH can tell.
#[derive(Clone, Debug, PartialEq)]
pub enum FetchItem {
    /// FLAGS.
    Flags,
    /// UID.
    Uid,
    /// INTERNALDATE.
    InternalDate,
    /// RFC822.SIZE.
    Size,
    /// ENVELOPE.
    Envelope,
    /// BODY (without extension data).
    BodyStructureShort,
    /// BODYSTRUCTURE.
    BodyStructure,
    /// MODSEQ.
    ModSeq,
    /// BODY[…], BODY.PEEK[…].
    Body {
        /// PEEK: `\Seen` is not set.
        peek: bool,
        /// Which section.
        section: Section,
        /// `<first.count>`.
        partial: Option<(u32, u32)>,
    },
    /// RFC822, RFC822.HEADER, RFC822.TEXT.
    Rfc822(Rfc822),
    /// BINARY[…], BINARY.PEEK[…] (RFC 3516): a part, its transfer encoding undone.
    Binary {
        /// PEEK: `\Seen` is not set.
        peek: bool,
        /// Part numbers; none is the whole message.
        part: Vec<u32>,
        /// `<first.count>`.
        partial: Option<(u32, u32)>,
    },
    /// BINARY.SIZE[…]: the octets BINARY would give.
    BinarySize(Vec<u32>),
    /// PREVIEW (RFC 8970).
    Preview {
        /// LAZY: only if it costs little.
        lazy: bool,
    },
    /// EMAILID (RFC 8474).
    EmailId,
    /// THREADID (RFC 8474).
    ThreadId,
    /// SAVEDATE (RFC 8514).
    SaveDate,
}

/// The old names of three sections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rfc822 {
    /// RFC822.
    All,
    /// RFC822.HEADER (does not set `\Seen`).
    Header,
    /// RFC822.TEXT.
    Text,
}

/// A section of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// Part numbers.
    pub part: Vec<u32>,
    /// What of it.
    pub text: SectionText,
}

/// What of a part.
#[derive(Clone, Debug, PartialEq)]
pub enum SectionText {
    /// The part itself.
    Whole,
    /// HEADER.
    Header,
    /// HEADER.FIELDS, names as given.
    HeaderFields(Vec<String>),
    /// HEADER.FIELDS.NOT.
    HeaderFieldsNot(Vec<String>),
    /// TEXT.
    Text,
    /// MIME.
    Mime,
}
