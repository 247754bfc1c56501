"""The same commands to this server and to Debian's Dovecot, over the same messages: the answers are the same, or a reason stands here.

What is compared: whether a command is answered OK, NO or BAD, its response code, and every untagged response as values (answers.py).
What is not: free text, the order of flags, the numbers of modification sequences, and what only one of the two announces.
"""

import re
import ssl
import unittest

import dovecot
from answers import flags, pairs, parse
from nasty import messages
from space import Space, b64, main, xoauth2
from wire import Wire, imap_wire

DATE = '"15-Jun-2026 10:{:02}:00 +0200"'
ONE_BY_ONE = "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY)"
TEXTS = "(RFC822.HEADER BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[TEXT])"
FIELDS = ("(BODY.PEEK[HEADER.FIELDS (SUBJECT from Message-ID)] BODY.PEEK[HEADER.FIELDS.NOT (Subject From)] BODY.PEEK[HEADER.FIELDS (X-None)]"
          " BODY.PEEK[]<0.10> BODY.PEEK[]<5.7> BODY.PEEK[]<100000.5> BODY.PEEK[TEXT]<2.3>)")
SECTIONS = ("1", "2", "3", "1.MIME", "2.MIME", "1.1", "1.2", "2.1", "2.2", "1.1.MIME", "2.1.MIME", "2.HEADER", "2.TEXT", "1.HEADER", "1.TEXT", "1.1.1", "1.2.1",
            "2.HEADER.FIELDS (Subject)", "2.HEADER.FIELDS.NOT (Subject)", "1.1.HEADER", "1.1.TEXT", "2.1.HEADER")
SEARCHES = """ALL|ANSWERED|DELETED|DRAFT|FLAGGED|NEW|OLD|RECENT|SEEN|UNANSWERED|UNDELETED|UNDRAFT|UNFLAGGED|UNSEEN|KEYWORD $Traite|KEYWORD $absent
UNKEYWORD $traite|BEFORE 16-Jun-2026|ON 15-Jun-2026|SINCE 15-Jun-2026|SINCE 16-Jun-2026|SENTBEFORE 5-Jun-2026|SENTON 5-Jun-2026|SENTSINCE 20-Jun-2026
LARGER 1000|SMALLER 200|LARGER 0|SMALLER 0|FROM labo|FROM "LABO"|FROM exemple.test|FROM autre|TO marie|TO "B <b@"|CC c@exemple|BCC b@exemple|CC ""
SUBJECT essai|SUBJECT dedans|SUBJECT ""|SUBJECT "un deux"|HEADER Subject ""|HEADER X-None ""|HEADER X-None x|HEADER Message-ID 29.nasty|HEADER references nasty
HEADER Content-Type multipart|BODY bonjour|BODY "BONJOUR"|BODY gras|BODY "<b>"|BODY JVBER|BODY "exemple.test"|BODY limite|TEXT "du texte"|TEXT Reporting-MTA
TEXT essai|TEXT absent-de-partout|1:5|5:1|*|1:*|44:*|2,4,6:8|UID 3:5|UID *|UID 1000:*|UID 1000|NOT 1:40|NOT NOT SEEN|OR SEEN FLAGGED|OR (SEEN FLAGGED) DRAFT
(SEEN)|((SEEN) (FLAGGED))|SEEN NOT FLAGGED|OR OR 1 2 OR 3 4|NOT (1 2)|(1:10) NOT 3 UNSEEN|YOUNGER 1|OLDER 1|OLDER 100000|YOUNGER 2000000000""".replace("\n", "|").split("|")
ACCENTED = [("SUBJECT", "Résultat"), ("SUBJECT", "RÉSULTAT"), ("SUBJECT", "résultat d'analyse été"), ("FROM", "José"), ("BODY", "à tous, été"), ("BODY", "ÉTÉ"),
            ("TEXT", "été"), ("BODY", "Été gras"), ("TO", "Équipe"), ("BODY", "Bonjour à tous.")]
SORTS = ["ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO", "REVERSE DATE", "REVERSE ARRIVAL", "SUBJECT DATE", "REVERSE SUBJECT REVERSE DATE", "DISPLAYFROM", "DISPLAYTO",
         "SIZE REVERSE FROM"]
# What a client must not send: each answer's kind.
WRONG = """FETCH|FETCH 1|FETCH 0 UID|FETCH 1 NONSENSE|FETCH 1:a UID|FETCH 1 (UID|FETCH 1 BODY[|FETCH 1 BODY[0]|FETCH 1 BODY[MIME]|FETCH 1 BODY[1.0]
FETCH 1 BODY[HEADER.FIELDS]|FETCH 1 BODY[HEADER.FIELDS ()]|FETCH 1 BODY[]<0>|FETCH 1 BODY[]<0.0>|FETCH 9999 UID|FETCH * UID EXTRA|STORE 1 FLAGS|STORE 1 FLAGS \\Seen (
STORE 1 FLAGS (\\Nonsense)|STORE 1 FLAGS (\\Recent)|STORE 1 WHAT (\\Seen)|SEARCH|SEARCH NONSENSE|SEARCH OR SEEN|SEARCH BEFORE yesterday|SEARCH LARGER x|SEARCH CHARSET X-NONE ALL
SEARCH 0|SEARCH ()|UID|UID NOOP|UID FETCH 1|UID FETCH 1000 FLAGS|COPY 1|COPY 1 absent|COPY 9999 INBOX|MOVE 1 absent|SORT (NONSENSE) UTF-8 ALL|SORT () UTF-8 ALL|SORT (DATE) ALL
THREAD NONSENSE UTF-8 ALL|SELECT|SELECT absent|EXAMINE ""|STATUS INBOX|STATUS INBOX ()|STATUS INBOX (NONSENSE)|STATUS absent (MESSAGES)|CREATE|CREATE INBOX|CREATE ""|DELETE INBOX|DELETE absent
RENAME absent b|RENAME INBOX|SUBSCRIBE|LIST|LIST ""|APPEND|APPEND INBOX|APPEND absent {3+}|NONSENSE|LOGIN a b|AUTHENTICATE PLAIN|NOOP x|ENABLE|EXPUNGE x|UID EXPUNGE|UNSELECT x|CLOSE x
CHECK x""".replace("\n", "|").split("|")


# Where the two may differ: which command, of which message (or any), and why ours is as it is.
ALLOWED = [
    (r"CREATE ", "", "we tell the MAILBOXID (RFC 8474)"),
    # Reading messages.
    (r"FETCH 2 \(BODY.PEEK\[HEADER.FIELDS.NOT", "no blank line", "a header asked for by fields ends with the blank line (RFC 3501 §6.4.5)"),
    (r"FETCH 42 \(BODY.PEEK\[HEADER.FIELDS.NOT", "without a colon", "a line that is no field has no name to be asked by"),
    (r"FETCH \d+ \(BODY(STRUCTURE)?\)", "empty parts|delivery report", "no charset parameter is made up where Content-Type stands"),
    (r"FETCH \d+ \(B", "multipart without|boundary never", "a multipart without its boundary is text (Dovecot: an empty part)"),
    (r"FETCH \d+ \(BODY(STRUCTURE)?\)", "content type", "a Content-Type that cannot be read counts as absent (RFC 2045 §5.2)"),
    (r"FETCH \d+ \(ENVELOPE\)", "latin-1", "octets that are not UTF-8 in a header are read as Latin-1, so that the client gets UTF-8"),
    (r"FETCH \d+ \(ENVELOPE\)", "folded", "unfolding takes the CRLF away and keeps the tab (RFC 5322 §2.2.3)"),
    (r"FETCH \d+ \(ENVELOPE\)", "bad addresses", "no MISSING_MAILBOX is made up"),
    (r"FETCH \d+ \(ENVELOPE\)", "fields twice", "the first From and the first Subject count, as headers are read elsewhere here"),
    (r"FETCH 17 \(BODY.PEEK\[1.MIME", "empty parts", "a part of nothing has the blank line of its header"),
    (r"FETCH \d+ \(BINARY", "base64 that is not|with errors", "what can be decoded is, as mail programs do; Dovecot refuses it"),
    (r"FETCH \d+ \(BINARY", "unknown encoding", "UNKNOWN-CTE for both; Dovecot sends a FETCH with the UID alone besides"),
    (r"FETCH \d+ \(BINARY[.A-Z]*\[\d\]", "nested|message in|whole|boundary that begins", "BINARY of a part with parts: its octets as they are (Dovecot: the parts inside decoded)"),
    (r"FETCH 41 \(B", "thirty deep", "the CRLF before a delimiter belongs to it (RFC 2046 §5.1.1), after a closing delimiter too"),
    # Searching.
    (r"(UID )?SEARCH (NEW|OLD|RECENT)", "", "no message is recent: \\Recent is gone with IMAP4rev2 (RFC 9051)"),
    (r"SEARCH KEYWORD \$absent", "", "a search makes no keyword known"),
    (r"(UID )?SEARCH SENT", "", "a message without a date was not sent on any"),
    (r'(UID )?SEARCH BODY "<b>"', "", "HTML is searched as the text that is read"),
    (r'(UID )?SEARCH BODY ("exemple.test"|limite)', "", "header fields of parts are in the body"),
    (r"SEARCH CHARSET UTF-8 BODY", "Été gras", "HTML is searched as the text that is read"),
    (r"SEARCH CHARSET UTF-8 BODY", "Bonjour à tous.", "what can be decoded is, as mail programs do"),
    (r"SEARCH CHARSET UTF-8 SUBJECT", "(?i)résultat", "octets that are not UTF-8 in a header are read as Latin-1"),
    (r"SEARCH CHARSET ISO-8859-1", "", "US-ASCII and UTF-8 are known; BADCHARSET names them"),
    (r"(UID )?SORT .*SUBJECT", "", "octets that are not UTF-8 in a header are read as Latin-1"),
    (r"SORT \(FROM\)", "", "no MISSING_MAILBOX is made up"),
    # Changes.
    (r"STORE 1:3 -FLAGS|STORE 2 FLAGS \(\)", "", "STORE without .SILENT answers each message (RFC 3501 §6.4.6), changed or not"),
    (r"STORE 1 \+FLAGS \(.Seen\)|EXPUNGE", "", "a change in a folder opened by EXAMINE is refused, not passed over"),
    (r"SELECT absent", "", "we tell NONEXISTENT (RFC 5530)"),
    # Folders.
    (r'LIST "a/" ""', "", "the root of a name that is not rooted may be empty (RFC 3501 §6.3.8)"),
    (r'LIST "" "iNbO%"', "", "a pattern is matched against INBOX in capitals (RFC 3501 §6.3.8)"),
    (r"SUBSCRIBE absent|RENAME a/d a/d/e|SELECT a$", "", "we tell the code of RFC 5530"),
    (r"LSUB", "", "a subscription follows the folder renamed"),
    (r"(STATUS|DELETE|RENAME INBOX) vieux", "", "RENAME INBOX moves its messages (RFC 3501 §6.3.5); Dovecot refuses it"),
    # What a client must not send.
    (r"FETCH 1 BODY\[(0|1.0)\]|FETCH 1 BODY\[\]<|STORE 1 FLAGS$|(NOOP|UNSELECT|CLOSE|CHECK) x|ENABLE$", "wrong", "the grammar does not have it: BAD"),
    (r'EXAMINE ""|STATUS absent|DELETE INBOX', "wrong", "we tell the code of RFC 5530, or another"),
    (r"LOGIN a b", "wrong", "LOGIN is known and disabled here: NO, authenticated or not"),
]


USED = set()


def allowed(command, case, ours, theirs):
    """The reason why the two may differ there, or None."""
    for pattern, name, reason in ALLOWED:
        if re.match(pattern, command) and re.search(name, case):
            USED.add((pattern, name))
            return reason
    if found := re.match(r"FETCH \d+ \((BODY|BINARY)[.A-Z]*\[([0-9.]+)", command):
        values = [answer[2][0][2][0][1] for answer in (ours, theirs) if answer[2]]
        if values[:1] in ([None], ["0"]) and ours[0] == theirs[0] == "OK":
            if values[1] in (b"", "0"):
                return "a part that is not there is NIL (Dovecot: an empty string)"
            if re.search(r"\.1\.?$", found[2]):
                return "a part without parts has no part 1 (Dovecot: itself)"
    return None


@unittest.skipUnless(dovecot.present(), "Dovecot is there, and root to start it")
class BesideDovecot(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        uses = "".join(f'  mailbox {name} {{\n    auto = subscribe\n    special_use = \\{name}\n  }}\n' for name in ("Archive", "Drafts", "Junk", "Sent", "Trash"))
        cls.space = Space()
        cls.dovecot = dovecot.Dovecot(":LAYOUT=fs", f"  separator = /\n{uses}")
        person = cls.space.person("alpha")
        cls.ours = imap_wire(cls.space, "alpha")
        assert b" OK " in cls.ours.imap(f"AUTHENTICATE XOAUTH2 {b64(xoauth2(person['mailbox'], cls.space.token(person['id'])))}")[-1]
        cls.theirs = Wire({"host": "localhost", "port": cls.dovecot.port}).tls(ssl.create_default_context(cafile=str(cls.dovecot.ca)))
        cls.theirs.line()
        assert b" OK " in cls.theirs.imap("LOGIN marie secret")[-1]
        cls.differences, cls.compared, cls.reasons, cls.ran = [], 0, {}, 0

    @classmethod
    def tearDownClass(cls):
        cls.ours.close()
        cls.theirs.close()
        cls.dovecot.close()
        cls.space.close()
        print(f"{cls.compared} answers compared; {sum(cls.reasons.values())} differ, for {len(cls.reasons)} reasons")
        unused = [(pattern, name) for pattern, name, _ in ALLOWED if (pattern, name) not in USED]
        assert not unused or cls.ran < 8, f"differences that are no more: {unused}"

    def setUp(self):
        self.folder = self.id().split("_")[-1]
        self.differences.clear()
        type(self).ran += 1
        for wire in (self.ours, self.theirs):
            wire.imap("UNSELECT")
            wire.imap("SUBSCRIBE INBOX")

    def settle(self):
        """Fails with all the differences found."""
        if self.differences:
            self.fail(f"{len(self.differences)} differences\n" + "\n".join(self.differences))

    def fill(self, folder=None, some=None):
        """The messages in a folder of both, with the same flags and dates."""
        folder = folder or self.folder
        self.both(f"CREATE {folder}")
        for at, (name, octets) in enumerate(messages()[:some]):
            kinds = [flag for flag, every in (("\\Seen", 2), ("\\Flagged", 3), ("\\Answered", 5), ("\\Draft", 7), ("$Traite", 4)) if at % every == 0]
            self.both(f"APPEND {folder} ({' '.join(kinds)}) {DATE.format(at)} {{{len(octets)}+}}\r\n".encode() + octets, case=name)

    def normal(self, lines):
        """The answer to a command: [tagged, untagged…]."""
        tagged = re.match(rb"\w+ (OK|NO|BAD)(?: \[([A-Z0-9-]+))?", lines[-1])
        assert tagged, lines[-1]
        untagged = []
        expunged = 0
        for line in lines[:-1]:
            if line.startswith(b"+"):
                continue
            values = parse(line)
            kind = values[1] if len(values) > 1 and str(values[0]).isdigit() else values[0]
            kind = str(kind).upper()
            if kind in ("EXPUNGE", "VANISHED"):
                expunged += 1
                continue
            if kind == "RECENT" or kind in ("CAPABILITY",):
                continue
            if kind == "OK":
                if not values[1]:
                    continue
                code = str(values[1][0]).upper()
                if code in ("UNSEEN", "MAILBOXID", "CLOSED", "HIGHESTMODSEQ", "UIDVALIDITY"):
                    continue
                if code == "COPYUID":
                    values[1][1] = "some"
                values = ["OK", code, *(flags(v) if isinstance(v, list) else v for v in values[1][1:])]
            elif kind == "FLAGS":
                values = ["FLAGS", flags(values[1])]
            elif kind == "FETCH":
                items = pairs(values[2])
                if "FLAGS" in items:
                    items["FLAGS"] = flags(items["FLAGS"])
                if "MODSEQ" in items:
                    items["MODSEQ"] = "some"
                values = ["FETCH", values[0], sorted(items.items(), key=str)]
            elif kind == "STATUS":
                items = pairs(values[2])
                for name in ("HIGHESTMODSEQ", "UIDVALIDITY"):
                    if name in items:
                        items[name] = "some"
                items.pop("RECENT", None)
                values = ["STATUS", text(values[1]), sorted(items.items())]
            elif kind in ("LIST", "LSUB"):
                values = [kind, text(values[3]), sorted(str(v).lower() for v in values[1]), text(values[2]), texts(values[4:])]
            elif kind in ("SEARCH", "SORT"):
                found = [v for v in values[1:] if not isinstance(v, list)]
                values = [kind, *(sorted(found, key=int) if kind == "SEARCH" else found), *(["MODSEQ"] if found != values[1:] else [])]
            elif kind == "ESEARCH":
                rest, at = values[1:], 0
                values = ["ESEARCH"]
                tagless = [v for v in rest if not (isinstance(v, list) and v and str(v[0]).upper() == "TAG")]
                uid = bool(tagless) and str(tagless[0]).upper() == "UID"
                values += [uid, sorted(pairs(tagless[uid:]).items())]
            untagged.append(values)
        if expunged:
            untagged.append(["EXPUNGE", expunged])
        untagged.sort(key=lambda v: str(v[0]) if v[0] not in ("LIST", "LSUB", "STATUS") else f"{v[0]}{v[1]}")
        return [tagged[1].decode(), (tagged[2] or b"").decode(), untagged]

    @staticmethod
    def plain(command, answer):
        """Without attributes of folders that the command did not ask for: both may tell them (RFC 5258, RFC 6154)."""
        lsub, extended = str(command).startswith("LSUB"), bool(re.match(r'LIST \(|LIST "" \(|.*RETURN', str(command)))
        if lsub or extended:
            for values in answer[2]:
                if values[0] in ("LIST", "LSUB"):
                    unasked = set() if "CHILDREN" in command else {"\\haschildren", "\\hasnochildren"}
                    unasked |= set() if "SPECIAL-USE" in command else {"\\archive", "\\drafts", "\\junk", "\\sent", "\\trash"}
                    values[2] = [one for one in values[2] if one not in unasked]
        return answer

    def both(self, command, case="", theirs=None):
        """Sends a command to both and notes where the answers differ. Answers both."""
        named = f"{case}: {command[:70]!r}" if case else f"{command[:160]!r}"
        answers = [self.plain(command, self.normal(wire.imap(one))) for wire, one in ((self.ours, command), (self.theirs, theirs or command))]
        type(self).compared += 1
        if answers[0] != answers[1]:
            reason = allowed(command if isinstance(command, str) else command.split(b"{")[0].decode(), case, *answers)
            if reason:
                self.reasons[reason] = self.reasons.get(reason, 0) + 1
            else:
                self.differences.append(f"{named}\n" + different(*answers))
        return answers

    def test_fetch(self):
        self.fill()
        self.both(f"SELECT {self.folder}")
        for at, (name, _) in enumerate(messages(), 1):
            for items in (ONE_BY_ONE, TEXTS, FIELDS):
                for item in split(items):
                    self.both(f"FETCH {at} ({item})", case=name)
        self.settle()

    def test_sections(self):
        self.fill()
        self.both(f"SELECT {self.folder}")
        for at, (name, _) in enumerate(messages(), 1):
            for section in SECTIONS:
                self.both(f"FETCH {at} (BODY.PEEK[{section}])", case=name)
        self.settle()

    def test_binary(self):
        self.fill()
        self.both(f"SELECT {self.folder}")
        for at, (name, _) in enumerate(messages(), 1):
            for section in ("1", "2", "1.1"):
                self.both(f"FETCH {at} (BINARY.PEEK[{section}])", case=name)
                self.both(f"FETCH {at} (BINARY.SIZE[{section}])", case=name)
            self.both(f"FETCH {at} (BINARY.PEEK[1]<2.5>)", case=name)
        self.settle()

    def test_search(self):
        self.fill()
        self.both(f"SELECT {self.folder}")
        for key in SEARCHES:
            self.both(f"SEARCH {key}")
            self.both(f"UID SEARCH {key}")
        for options in ("()", "(ALL)", "(MIN)", "(MAX)", "(COUNT)", "(MIN MAX COUNT ALL)"):
            for key in ("ALL", "SEEN", "DELETED", "TEXT absent-de-partout"):
                self.both(f"SEARCH RETURN {options} {key}")
                self.both(f"UID SEARCH RETURN {options} {key}")
        for key, sought in ACCENTED:
            octets = sought.encode()
            self.both(f"SEARCH CHARSET UTF-8 {key} {{{len(octets)}+}}\r\n".encode() + octets, case=sought)
            try:
                octets = sought.encode("latin-1")
            except UnicodeEncodeError:
                continue
            self.both(f"SEARCH CHARSET ISO-8859-1 {key} {{{len(octets)}+}}\r\n".encode() + octets, case=f"latin-1 {sought}")
        self.both("SEARCH RETURN (SAVE) FLAGGED")
        self.both("FETCH $ UID")
        self.both("SEARCH $ SEEN")
        self.both("SEARCH NOT $")
        self.settle()

    def test_sort(self):
        self.fill()
        self.both(f"SELECT {self.folder}")
        for keys in SORTS:
            self.both(f"SORT ({keys}) UTF-8 ALL")
            self.both(f"UID SORT ({keys}) US-ASCII SEEN")
        self.both("SORT RETURN (COUNT MIN MAX ALL) (REVERSE ARRIVAL) UTF-8 SEEN")
        for algorithm in ("REFERENCES", "ORDEREDSUBJECT"):
            for key in ("ALL", "SEEN", "SUBJECT essai", "DELETED"):
                self.both(f"THREAD {algorithm} UTF-8 {key}")
                self.both(f"UID THREAD {algorithm} UTF-8 {key}")
        self.settle()

    def test_changes(self):
        self.fill(some=12)
        self.both(f"CREATE {self.folder}-b")
        self.both(f"SELECT {self.folder}")
        for command in ("STORE 1 +FLAGS (\\Deleted)", "STORE 1:3 -FLAGS (\\Seen \\Deleted)", "STORE 2 FLAGS ()", "STORE 2 FLAGS (\\Seen $Nouveau)", "STORE 3 FLAGS \\Seen",
                        "STORE 3 FLAGS \\Seen \\Flagged", "STORE 1,4 FLAGS.SILENT (\\Flagged)", "STORE 1:* +FLAGS.SILENT ($Tous)", "UID STORE 5 +FLAGS (\\Deleted)",
                        "UID STORE 500 +FLAGS (\\Deleted)", "FETCH 1:* (UID FLAGS)", "COPY 1:3 {b}", "UID COPY 5,4 {b}", "UID COPY 500 {b}", "STATUS {b} (MESSAGES UIDNEXT UNSEEN)",
                        "UID EXPUNGE 1:4", "UID EXPUNGE 5", "MOVE 1 {b}", "UID MOVE 7 {b}", "FETCH 1:* (UID FLAGS)", "FETCH 1 BODY[1]", "FETCH 1 FLAGS", "FETCH 2 RFC822.TEXT", "FETCH 2 FLAGS",
                        "FETCH 3 BODY.PEEK[]<0.5>", "FETCH 3 FLAGS", "FETCH 1:2 FAST", "FETCH 1:2 ALL", "FETCH 1:2 FULL", "STORE 2:3 +FLAGS (\\Deleted)", "EXPUNGE", "EXPUNGE", "NOOP", "CHECK",
                        "STORE 1 +FLAGS (\\Deleted)", "CLOSE", "STATUS {a} (MESSAGES UNSEEN UIDNEXT)", "EXAMINE {a}", "STORE 1 +FLAGS (\\Seen)", "EXPUNGE", "UNSELECT",
                        "EXAMINE {b}", "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)", "FETCH 1 BODY[]<0.3>", "FETCH 1 FLAGS", "SELECT {b} (CONDSTORE)", "FETCH 1 (MODSEQ)",
                        "FETCH 1:* (FLAGS) (CHANGEDSINCE 1000000)", "STORE 1 (UNCHANGEDSINCE 1) +FLAGS (\\Deleted)", "STORE 1 (UNCHANGEDSINCE 0) +FLAGS (\\Deleted)",
                        "STORE 1 (UNCHANGEDSINCE 1000000) +FLAGS (\\Deleted)", "SEARCH MODSEQ 1000000", "SEARCH MODSEQ 1", "SEARCH MODSEQ 1 SEEN", "STATUS {a} (HIGHESTMODSEQ)", "UNSELECT",
                        "SELECT INBOX", "SELECT absent", "FETCH 1 UID"):
            self.both(command.format(a=self.folder, b=self.folder + "-b") if "{" in command else command)
        self.settle()

    def test_folders(self):
        for command in ('LIST "" ""', 'LIST "" *', 'LIST "" %', 'LSUB "" *', 'NAMESPACE', 'CREATE a', 'CREATE a/b', 'CREATE a/b/c', 'CREATE a/', 'CREATE x', 'CREATE x/y', 'CREATE a', 'LIST "" *', 'LIST "" %', 'LIST "" a/%',
                        'LIST "" a*', 'LIST "" %/%', 'LIST "" "*/c"', 'LIST a/ %', 'LIST "a/" ""', 'LIST "" INBOX', 'LIST "" inbox', 'LIST "" "iNbO%"', 'SUBSCRIBE a/b', 'SUBSCRIBE absent', 'LSUB "" *', 'LSUB "" %', 'LSUB "" a/%',
                        'LIST (SUBSCRIBED) "" *', 'LIST (SUBSCRIBED) "" %', 'LIST "" * RETURN (SUBSCRIBED CHILDREN)', 'LIST (SUBSCRIBED RECURSIVEMATCH) "" %', 'LIST (SPECIAL-USE) "" *',
                        'LIST "" * RETURN (SPECIAL-USE)', 'LIST "" (a a/b INBOX)', 'LIST () "" * RETURN ()', 'LIST "" % RETURN (STATUS (MESSAGES UNSEEN))', 'LIST (REMOTE) "" a', 'LIST (NONSENSE) "" a',
                        'STATUS a (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN SIZE)', 'STATUS a/b (MESSAGES)', 'RENAME a/b a/d', 'LIST "" a*', 'LSUB "" *', 'RENAME a/d a/d/e', 'RENAME a Sent', 'DELETE a', 'LIST "" a*',
                        'SELECT a', 'DELETE a/d', 'LIST "" a*', 'CREATE a', 'DELETE a/d/c', 'LIST "" a*', 'CREATE "&AOk-t&AOk-"', 'LIST "" "&AOk-*"', 'CREATE "&bad"', 'CREATE "avec espace"', 'LIST "" "avec*"',
                        'CREATE "a//b"', 'CREATE "/a"', 'CREATE "*"', 'CREATE "p%q"', 'UNSUBSCRIBE a/b', 'UNSUBSCRIBE never', 'LSUB "" *', 'RENAME INBOX vieux', 'STATUS INBOX (MESSAGES)', 'STATUS vieux (MESSAGES)', 'DELETE vieux',
                        'EXAMINE a', 'CLOSE', 'CLOSE', 'EXPUNGE'):
            self.both(command)
        self.settle()

    def test_wrong(self):
        self.fill(some=3)
        for command in WRONG:
            self.both(f"SELECT {self.folder}")
            self.both(command.replace("{3+}", "{3+}\r\nabc"), case="wrong")
        self.settle()


def split(items):
    """FETCH's items one by one."""
    return re.findall(r"[A-Z0-9.]+(?:\[[^\]]*\](?:<[0-9.]+>)?)?", items[1:-1])


def texts(values):
    return [texts(value) if isinstance(value, list) else text(value) for value in values]


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def different(ours, theirs):
    """Where two answers differ, shortly."""
    lines = []
    if ours[:2] != theirs[:2]:
        lines.append(f"    ours {ours[:2]}, theirs {theirs[:2]}")
    for who, one, other in (("ours  ", ours, theirs), ("theirs", theirs, ours)):
        lines += [f"    {who} {str(values)[:600]}" for values in one[2] if values not in other[2]]
    return "\n".join(lines) if lines else "    the order differs: " + f"{ours[2]} / {theirs[2]}"[:400]


if __name__ == "__main__":
    main()
