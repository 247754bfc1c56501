"""What nobody should send: the server answers shortly, stays up, and its memory stays bounded (LPS-IMAP, OPE-MTLS, OPE-QUEUE).

Memory is the highest the process had (VmHWM), so that what is only held for a moment counts too."""

import contextlib
import hashlib
import os
import random
import shutil
import socket
import struct
import subprocess
import tempfile
import unittest
import uuid
from pathlib import Path

from space import Space, SpaceTest, b64, main, wait_for, xoauth2
from wire import Wire, imap_wire, smtp_wire

MB = 1024 * 1024
# What the whole process may grow by during one flood: more than any one connection may cost, far less than what is sent.
MOST_GROWTH = 32 * MB


def status(pid, field):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no {field}")


class Sturdy(SpaceTest):
    @contextlib.contextmanager
    def bounded(self, most=MOST_GROWTH):
        """The server is as well afterwards as before, and its memory did not grow by more than `most` meanwhile."""
        pid = self.space.process.pid
        before = status(pid, "VmRSS")
        # 5: the highest starts again from what is there now
        Path(f"/proc/{pid}/clear_refs").write_text("5")
        yield
        self.assertIsNone(self.space.process.poll(), self.space.output()[-4000:])
        grown = status(pid, "VmHWM") - before
        self.assertLess(grown, most, f"grew by {grown // 1024} kB")
        person = self.space.person("alpha")
        with self.imap("in") as wire:
            self.assertRegex(wire.imap("NOOP")[-1], rb"^w\d+ OK ")
        with self.smtp("in") as wire:
            self.assertEqual(wire.smtp(f"MAIL FROM:<{person['mailbox']}>")[0], 250)

    def response(self, person=None):
        person = person or self.space.person("alpha")
        return b64(xoauth2(person["mailbox"], self.space.token(person["id"])))

    def imap(self, phase, person=None):
        """IMAP in clear, under TLS, or authenticated with a folder open."""
        wire = imap_wire(self.space, (person or self.space.person("alpha"))["operator"], tls=phase != "clear")
        if phase == "in":
            assert b" OK " in wire.imap(f"AUTHENTICATE XOAUTH2 {self.response(person)}")[-1]
            assert b" OK " in wire.imap("SELECT INBOX")[-1]
        return wire

    def smtp(self, phase, person=None):
        """SMTP in clear, under TLS, authenticated, or as another operator."""
        if phase == "mx":
            alpha = self.space.operator("alpha")
            return smtp_wire(self.space, "beta", "mx", certificate=alpha["certificate"], key=alpha["key"])
        wire = smtp_wire(self.space, (person or self.space.person("alpha"))["operator"], tls=phase != "clear")
        if phase == "in":
            assert wire.smtp(f"AUTH XOAUTH2 {self.response(person)}")[0] == 235
        return wire


class Imap(Sturdy):
    PHASES = ("clear", "tls", "in")

    def said_no(self, phase, octets, then=b"zz NOOP\r\n", pieces=1):
        """The input gets BAD, NO or BYE and nothing else, and either the connection goes on or it is closed."""
        with self.imap(phase) as wire:
            told, closed = wire.pour(octets * pieces + then, until=lambda lines: lines and lines[-1].startswith(b"zz "))
            answers = [line for line in told if not line.startswith((b"+", b"zz ", b"* SEARCH", b"* ESEARCH", b"* LIST", b"* OK [CLOSED]"))]
            self.assertTrue(answers or closed, told)
            for line in answers:
                self.assertRegex(line, rb"^(\S+ (BAD|NO) |\* (BYE|BAD|\d+ (EXISTS|RECENT)))", (phase, octets[:60]))

    def test_long_lines_and_garbage(self):
        noise = random.Random(7).randbytes(MB)
        with self.bounded():
            for phase in self.PHASES:
                for octets in (b"a NOOP " + b"x" * MB + b"\r\n", b"x" * MB + b"\r\n", b"a " + b"x" * MB + b"\r\n", noise + b"\r\n",
                               b"a NO\0OP\r\n", b"\0" * 1000 + b"\r\n", b"a NOOP\n", b"a LOGIN \"x\ry\" z\r\n", b"a \xc3\xa9\r\n",
                               b"\r\n" * 10_000, b"+ NOOP\r\n", b"* NOOP\r\n", b"a\r\n", b" NOOP\r\n"):
                    with self.subTest(phase=phase, octets=octets[:20]):
                        self.said_no(phase, octets)

    def test_a_line_without_end(self):
        with self.bounded():
            for phase in self.PHASES:
                self.said_no(phase, b"a SEARCH " + b"x" * MB, pieces=20)

    def test_literals(self):
        with self.bounded():
            for phase in self.PHASES:
                for size in ("999999999", "99999999999999999999", "4294967296", "18446744073709551615", "18446744073709551616", "-1",
                             "1e9", "+", "", "0x10", "999999999+", "99999999999999999999+"):
                    for command in ("a LOGIN {%s}", "a SELECT {%s}", "a APPEND INBOX {%s}", "a SEARCH SUBJECT {%s}"):
                        with self.subTest(phase=phase, size=size, command=command):
                            self.said_no(phase, (command % size).encode() + b"\r\n", then=b"x" * 2000 + b"\r\nzz NOOP\r\n")

    def test_literals_that_come_in_full(self):
        with self.bounded():
            for phase in self.PHASES:
                # 200 MB announced, and begun
                self.said_no(phase, b"a SEARCH SUBJECT {209715200+}\r\n" + b"x" * MB, pieces=1)
                self.said_no(phase, b"a APPEND INBOX {209715200+}\r\n" + b"x" * (4 * MB), pieces=20)
                # many small ones
                self.said_no(phase, b"a SEARCH " + b"SUBJECT {1+}\r\nx " * 10_000 + b"\r\n")
                self.said_no(phase, b"a SEARCH " + b"SUBJECT {1}\r\nx " * 10_000 + b"\r\n")

    def test_nesting(self):
        with self.bounded():
            for phase in self.PHASES:
                for octets in (b"a SEARCH " + b"(" * 1_000_000 + b"\r\n", b"a SEARCH " + b"(" * 30_000 + b"ALL" + b")" * 30_000 + b"\r\n",
                               b"a SEARCH " + b"NOT " * 15_000 + b"ALL\r\n", b"a SEARCH " + b"OR ALL " * 9_000 + b"ALL\r\n",
                               b"a FETCH 1 " + b"(" * 60_000 + b"\r\n", b"a LIST (" + b"(" * 60_000 + b"\r\n",
                               b"a FETCH 1 BODY[" + b"1." * 30_000 + b"1]\r\n"):
                    with self.subTest(phase=phase, octets=octets[:20]):
                        self.said_no(phase, octets)

    def test_commands_that_ask_for_too_much(self):
        with self.bounded():
            for octets in (b"a FETCH " + b"1," * 30_000 + b"99999999999 FLAGS\r\n", b"a FETCH 0 FLAGS\r\n", b"a FETCH 4294967296 FLAGS\r\n",
                           b"a FETCH 1 BODY[]<0.99999999999999999999>\r\n", b"a CREATE " + b"a/" * 20_000 + b"b\r\n",
                           b"a CREATE " + b"x" * 50_000 + b"\r\n", b"a CREATE &AAA\r\n", b"a CREATE \"a\x01b\"\r\n", b"a CREATE \xff\xfe\r\n",
                           b"a SELECT ../../etc/passwd\r\n", b"a SELECT /etc/passwd\r\n",
                           b"a APPEND INBOX \"32-Foo-2026 99:99:99 +9999\" {1+}\r\nx\r\n", b"a STORE 1 FLAGS (" + b"\\x " * 10_000 + b")\r\n",
                           b"a ENABLE " + b"X " * 20_000 + b"\r\n", b"a SEARCH CHARSET X-INCONNU ALL\r\n", b"a SEARCH 1:*:*\r\n"):
                with self.subTest(octets=octets[:30]):
                    self.said_no("in", octets)

    def test_a_flood_of_unknown_commands_has_an_end(self):
        with self.bounded():
            for phase in self.PHASES:
                with self.imap(phase) as wire:
                    told, closed = wire.pour(b"a XYZZY\r\n" * 1000)
                    self.assertTrue(closed)
                    self.assertTrue(told[-1].startswith(b"* BYE "), told[-1])
                    self.assertLess(len(told), 30)

    def test_too_many_folders(self):
        with self.bounded():
            with self.imap("in") as wire:
                answers = []
                for start in range(0, 1200, 100):
                    wire.send(b"".join(b"f%d CREATE dossier-%d\r\n" % (n, n) for n in range(start, start + 100)))
                    answers += [wire.line().split(b" ", 1)[1] for _ in range(100)]
                self.assertTrue(answers[0].startswith(b"OK"), answers[0])
                self.assertRegex(answers[-1], rb"^NO ")
                wire.send(b"".join(b"d%d DELETE dossier-%d\r\n" % (n, n) for n in range(1200)))
                for _ in range(1200):
                    wire.line()

    def test_a_slow_reader_of_a_large_message_costs_little(self):
        person = self.space.person("alpha", "ORG")
        text = b"Subject: gros\r\n\r\n" + (b"x" * 76 + b"\r\n") * (20 * MB // 78)
        connection = self.space.imap(person)
        with self.bounded():
            self.assertEqual(connection.append("INBOX", None, None, text)[0], "OK")
        connection.logout()
        with self.bounded(16 * MB):
            readers = [self.imap("in", person) for _ in range(8)]
            for wire in readers:
                wire.send(b"a FETCH 1 (BODY.PEEK[])\r\n")
            for wire in readers:
                self.assertIn(b"{%d}" % len(text), wire.line())
            # the server gave what fits into the network's buffers and waits; others are served meanwhile
            with self.imap("in", person) as other:
                self.assertRegex(other.imap("NOOP")[-1], rb"^w\d+ OK ")
            digest, left = hashlib.sha256(), len(text)
            while left:
                piece = readers[0].octets(min(left, 64 * 1024))
                digest.update(piece)
                left -= len(piece)
            self.assertEqual(digest.digest(), hashlib.sha256(text).digest())
            self.assertEqual(readers[0].line(), b")\r\n")
            for wire in readers:
                wire.close()

    def test_many_messages_searched_at_once(self):
        with self.bounded():
            with self.imap("in") as wire:
                wire.send(b"".join(b"s%d SEARCH TEXT introuvable\r\n" % n for n in range(500)))
                for n in range(500):
                    while not wire.line().startswith(b"s%d OK" % n):
                        pass


class Smtp(Sturdy):
    PHASES = ("clear", "tls", "in", "mx")

    def said_no(self, phase, octets, pieces=1, more=b"QUIT\r\n"):
        """Nothing but 4yz and 5yz answers, up to the end."""
        with self.smtp(phase) as wire:
            told, _ = wire.pour(octets * pieces + more)
            self.assertTrue(told, (phase, octets[:40]))
            for line in told:
                self.assertRegex(line, rb"^([45]\d\d[ -]|221 )", (phase, octets[:40]))
            return told

    def test_long_lines_and_garbage(self):
        noise = random.Random(8).randbytes(MB)
        with self.bounded():
            for phase in self.PHASES:
                for octets in (b"NOOP " + b"x" * MB + b"\r\n", b"x" * MB + b"\r\n", b"EHLO " + b"x" * MB + b"\r\n", noise + b"\r\n",
                               b"MAIL FROM:<" + b"x" * 5000 + b"@alpha.formation.mssante.fr>\r\n",
                               b"MAIL FROM:<a@b.fr>" + b" X=1" * 1000 + b"\r\n", b"NO\0OP\r\n", b"NOOP\n", b"\rNOOP\r\n",
                               b"EHLO \xc3\xa9\xff\r\n", b"\0" * 1000 + b"\r\n", b"AUTH XOAUTH2 " + b"A" * 100_000 + b"\r\n",
                               b"BDAT -1\r\n", b"BDAT 99999999999999999999 LAST\r\n", b"MAIL FROM:<>\0\r\n"):
                    with self.subTest(phase=phase, octets=octets[:20]):
                        self.said_no(phase, octets)

    def test_a_line_without_end(self):
        with self.bounded():
            for phase in self.PHASES:
                self.said_no(phase, b"x" * MB, pieces=20)

    def test_floods_have_an_end(self):
        with self.bounded():
            for phase in self.PHASES:
                told = self.said_no(phase, b"XYZZY\r\n" * 1000)
                self.assertTrue(told[-1].startswith(b"421 4.7.0"), told[-1])
                self.assertLess(len(told), 30)
                # good commands that lead nowhere have an end as well
                with self.smtp(phase) as wire:
                    told, closed = wire.pour(b"NOOP\r\n" * 2000)
                    self.assertTrue(closed)
                    self.assertTrue(told[-1].startswith(b"421 "), told[-1])

    def begin(self, wire, phase):
        sender, recipient = self.space.person("alpha")["mailbox"], self.space.person("alpha" if phase == "in" else "beta", index=1)
        self.assertEqual(wire.smtp(f"MAIL FROM:<{sender}>")[0], 250)
        self.assertEqual(wire.smtp(f"RCPT TO:<{recipient['mailbox']}>")[0], 250)
        return sender, recipient

    def holding(self, person, word):
        reader = self.space.imap(person)
        try:
            reader.select(readonly=True)
            return len(reader.search(None, "SUBJECT", word)[1][0].split())
        finally:
            reader.logout()

    def test_messages_nobody_should_send(self):
        word = uuid.uuid4().hex
        begin = f"From: {self.space.person('alpha')['mailbox']}\r\nSubject: {word}\r\n".encode()
        cases = {
            "header without end": (begin + b"X-Long: " + b"x" * 900 + b"\r\n", b"X-Long: " + b"x" * 900 + b"\r\n", 6000, "554 5.6.0"),
            "field folded without end": (begin + b"X-Long: x\r\n", b" " + b"x" * 900 + b"\r\n", 6000, "554 5.6.0"),
            "line of 1 MB in the body": (begin + b"\r\n", b"x" * MB, 1, "554 5.6.0"),
            "line of 1 MB in the header": (begin + b"X: ", b"x" * MB, 1, "554 5.6.0"),
            "NUL": (begin + b"\r\n", b"a\0b", 1, "554 5.6.0"),
            "lone LF": (begin + b"\r\n", b"a\nb", 1, "554 5.6.0"),
            "lone CR": (begin + b"\r\n", b"a\rb", 1, "554 5.6.0"),
        }
        with self.bounded():
            for phase in ("in", "mx"):
                for name, (head, piece, count, refusal) in cases.items():
                    with self.subTest(phase=phase, case=name), self.smtp(phase) as wire:
                        _, recipient = self.begin(wire, phase)
                        self.assertEqual(wire.smtp("DATA")[0], 354)
                        wire.send(head)
                        for _ in range(count):
                            wire.send(piece)
                        code, text = wire.smtp(b"\r\n.")
                        self.assertEqual(f"{code} {text}"[:9], refusal)
                        # and the connection goes on
                        self.assertEqual(wire.smtp("NOOP")[0], 250)
                        self.assertEqual(self.holding(recipient, word), 0)

    def test_structures_nobody_should_make(self):
        # accepted or refused, but the server reads them, and a client can have them
        sender = self.space.person("alpha")["mailbox"]
        nested = b"".join(b"Content-Type: multipart/mixed; boundary=\"b%d\"\r\n\r\n--b%d\r\n" % (n, n) for n in range(10_000))
        shapes = {
            "nested multiparts": nested,
            "100,000 parts": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n\r\n" * 100_000 + b"--b--\r\n",
            "nested messages": b"Content-Type: message/rfc822\r\n\r\n" * 10_000,
            "10,000 parameters": b"Content-Type: text/plain" + b";\r\n a=b" * 7_000 + b"\r\n\r\n",
            "many addresses": b"To: " + b"a@b.fr,\r\n " * 6_000 + b"a@b.fr\r\n\r\n",
            "nested comments": b"To: " + b"(" * 900 + b"\r\n " + b"(" * 900 + b"\r\n\r\n",
            "encoded words": b"X: " + b"=?utf-8?q?=C3=A9?=\r\n " * 2_000 + b"\r\n\r\n",
            "broken base64": b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b"=A=\r\n" * 100_000,
            "an unknown charset": b"Content-Type: text/plain; charset=x-\xff\r\n\r\n\xff\xfe\r\n",
        }
        with self.bounded():
            for name, shape in shapes.items():
                with self.subTest(shape=name):
                    word = uuid.uuid4().hex
                    with self.smtp("in") as wire:
                        _, recipient = self.begin(wire, "in")
                        self.assertEqual(wire.smtp("DATA")[0], 354)
                        wire.send(f"From: {sender}\r\nSubject: {word}\r\n".encode() + shape)
                        code, text = wire.smtp(b"\r\n.")
                        self.assertIn(code, (250, 554), text)
                    if code == 250:
                        with self.imap("in", recipient) as wire:
                            number = wire.imap(f"SEARCH SUBJECT {word}")[0].split()[-1].decode()
                            for item in ("BODYSTRUCTURE", "ENVELOPE", "BODY[1]", "BODY[1.1.1.1]", "BODY[TEXT]<0.100>",
                                         "(FLAGS BODY[HEADER.FIELDS (SUBJECT)])"):
                                self.assertRegex(wire.imap(f"FETCH {number} {item}")[-1], rb"^w\d+ OK ", item)
                            self.assertRegex(wire.imap(f"SEARCH {number} TEXT introuvable BODY introuvable")[-1], rb"^w\d+ OK ")

    def test_a_message_over_the_size(self):
        for phase in ("in", "mx"):
            with self.subTest(phase=phase), self.bounded():
                with self.smtp(phase) as wire:
                    told = wire.smtp("EHLO lps.test")[1]
                    limit = int(next(line for line in told.split("\n") if line.startswith("SIZE ")).split()[1])
                    self.assertGreaterEqual(limit, 25 * 1000 * 1000)
                    code, text = wire.smtp(f"MAIL FROM:<{self.space.person('alpha')['mailbox']}> SIZE={limit + 1}")
                    self.assertEqual((code, text[:5]), (552, "5.3.4"))
                    code, text = wire.smtp(f"MAIL FROM:<{self.space.person('alpha')['mailbox']}> SIZE=99999999999999999999999")
                    self.assertIn(code, (501, 552))
                    sender, recipient = self.begin(wire, phase)
                    self.assertEqual(wire.smtp("DATA")[0], 354)
                    word = uuid.uuid4().hex
                    wire.send(f"From: {sender}\r\nSubject: {word}\r\n\r\n")
                    piece = (b"x" * 76 + b"\r\n") * 8192
                    for _ in range(limit // len(piece) + 1):
                        wire.send(piece)
                    code, text = wire.smtp(".")
                    self.assertEqual((code, text[:5]), (552, "5.3.4"))
                    self.assertEqual(wire.smtp("NOOP")[0], 250)
                    self.assertEqual(self.holding(recipient, word), 0)
                    # one that never ends is cut off
                    self.begin(wire, phase)
                    self.assertEqual(wire.smtp("DATA")[0], 354)
                    said, closed = wire.pour(piece, pieces=(limit + 100 * MB) // len(piece))
                    self.assertTrue(closed)
                    self.assertTrue(said and said[0].startswith(b"552 5.3.4"), said)

    def test_too_many_recipients(self):
        with self.bounded():
            with self.smtp("in") as wire:
                sender = self.space.person("alpha")["mailbox"]
                self.assertEqual(wire.smtp(f"MAIL FROM:<{sender}>")[0], 250)
                codes = []
                for start in range(0, 1000, 100):
                    wire.send("".join(f"RCPT TO:<nom{n}@beta.formation.mssante.fr>\r\n" for n in range(start, start + 100)))
                    codes += [wire.reply() for _ in range(100)]
                self.assertEqual(codes[0][0], 250)
                self.assertEqual((codes[-1][0], codes[-1][1][:5]), (452, "4.5.3"))
                self.assertEqual(sum(code == 250 for code, _ in codes), 100)


class Connections(Sturdy):
    def test_half_open_connections(self):
        begun = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
        entrances = [("imap", b""), ("imap", b"a CAPAB"), ("imap", b"a STARTTLS\r\n"), ("imap", b"a STARTTLS\r\n" + b""),
                     ("submission", b""), ("submission", b"EHL"), ("submission", b"EHLO x\r\nSTARTTLS\r\n"), ("mx", b"")]
        with self.bounded():
            held = []
            for _ in range(15):
                for entrance, octets in entrances:
                    wire = Wire(self.space.operator("alpha")[entrance])
                    wire.send(octets)
                    held.append(wire)
            # and those that began a handshake they never end
            for _ in range(15):
                wire = Wire(self.space.operator("alpha")["imap"])
                wire.line()
                wire.send(b"a STARTTLS\r\n")
                wire.line()
                wire.send(begun)
                held.append(wire)
            with self.imap("in") as wire:
                self.assertRegex(wire.imap("NOOP")[-1], rb"^w\d+ OK ")
            for wire in held:
                wire.close()

    def test_resets_at_every_moment(self):
        with self.bounded():
            for octets in (b"", b"a STARTTLS\r\n", b"a NOOP", b"EHLO x\r\n", b"EHLO x\r\nSTARTTLS\r\n", b"\x16\x03\x01"):
                for entrance in ("imap", "submission", "mx", "autoconfig"):
                    where = self.space.operator("alpha")[entrance]
                    if entrance == "autoconfig":
                        port = int(where.split(":")[2].split("/")[0])
                        where = {"host": "127.0.0.1", "port": port}
                    for _ in range(10):
                        connection = socket.create_connection((where["host"], where["port"]), 10)
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        connection.sendall(octets)
                        connection.close()

    def spools(self):
        return [path for operator in ("alpha", "beta") for path in (self.space.folder / operator / "data/store/spool").iterdir()]

    def test_a_client_that_vanishes_leaves_nothing(self):
        alpha, beta = self.space.person("alpha"), self.space.person("beta", index=1)
        word = uuid.uuid4().hex
        text = f"From: {alpha['mailbox']}\r\nSubject: {word}\r\n\r\n".encode() + b"Bonjour.\r\n" * 200_000

        def abandon(wire):
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wire.close()
        for phase in ("in", "mx"):
            for begin, octets in (("DATA", text), ("DATA", text + b"\r\n."), (f"BDAT {len(text) + 1} LAST", text)):
                wire = self.smtp(phase)
                self.assertEqual(wire.smtp(f"MAIL FROM:<{alpha['mailbox']}>")[0], 250)
                self.assertEqual(wire.smtp(f"RCPT TO:<{beta['mailbox']}>")[0], 250)
                if begin == "DATA":
                    self.assertEqual(wire.smtp("DATA")[0], 354)
                else:
                    wire.send(begin + "\r\n")
                wire.send(octets)
                abandon(wire)
        wire = self.imap("in", beta)
        wire.send(b"a APPEND INBOX {%d+}\r\n" % (len(text) + 1) + text)
        abandon(wire)
        wait_for("an empty spool", lambda: not self.spools())
        reader = self.space.imap(beta)
        reader.select(readonly=True)
        self.assertEqual(reader.search(None, "SUBJECT", word)[1], [b""])
        reader.logout()


@unittest.skipUnless(os.geteuid() == 0, "a small file system can only be mounted by root")
class DiskFull(unittest.TestCase):
    """Temporary failure, nothing acknowledged that is not stored, recovery without restart."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="vaguemestre-full-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(self.folder)], capture_output=True, text=True)
        if mounted.returncode:
            self.skipTest(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", str(self.folder)])
        self.space = Space(folder=self.folder)
        self.addCleanup(self.space.close)

    def fill(self):
        """Until not an octet more fits."""
        with open(self.folder / "filler", "ab", buffering=0) as filler:
            for size in (MB, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        filler.write(b"x" * size)

    def submit(self, sender, recipient, word, size):
        """Submits a message; the reply to it, whichever command it came to."""
        wire = smtp_wire(self.space, sender["operator"])
        with wire:
            self.assertEqual(wire.smtp("AUTH XOAUTH2 " + b64(xoauth2(sender["mailbox"], self.token(sender))))[0], 235)
            for command in (f"MAIL FROM:<{sender['mailbox']}>", f"RCPT TO:<{recipient['mailbox']}>", "DATA"):
                code, text = wire.smtp(command)
                if code >= 400:
                    return code, text
            wire.send(f"From: {sender['mailbox']}\r\nSubject: {word}\r\n\r\n".encode() + (b"x" * 76 + b"\r\n") * (size // 78 + 1))
            reply = wire.smtp(".")
            # it says so and goes on
            self.assertEqual(wire.smtp("NOOP")[0], 250)
            return reply

    def token(self, person):
        return self.space.token(person["id"], "--ttl", "3600s")

    def found(self, person, words):
        reader = self.space.imap(person, token=self.token(person))
        try:
            reader.select(readonly=True)
            return [word for word in words for _ in reader.search(None, "SUBJECT", word)[1][0].split()]
        finally:
            reader.logout()

    def append(self, person, word, size):
        connection = self.space.imap(person, token=self.token(person))
        try:
            return connection.append("INBOX", None, None, f"Subject: {word}\r\n\r\n".encode() + b"x" * size + b"\r\n")
        finally:
            connection.logout()

    def test_full_and_free_again(self):
        marie, paul, sophie = self.space.person("alpha"), self.space.person("alpha", index=1), self.space.person("beta")
        kept, refused = [], []
        words = iter(lambda: uuid.uuid4().hex, None)
        for size in (100, 300_000):
            kept.append(next(words))
            self.assertEqual(self.submit(marie, paul, kept[-1], size)[0], 250)
        away = next(words)
        self.assertEqual(self.submit(marie, sophie, away, 100)[0], 250)
        wait_for("the mail at the other operator", lambda: self.found(sophie, [away]))

        self.fill()
        codes = []
        for size in (100, 2000, 20_000, 300_000, 3_000_000) * 4:
            word = next(words)
            code, text = self.submit(marie, paul, word, size)
            codes.append((code, text[:5]))
            if code == 250:
                kept.append(word)
            else:
                refused.append(word)
                self.assertIn((code, text[:5]), ((452, "4.3.1"), (451, "4.3.0")), text)
            # room that the log still had is taken again
            self.fill()
        self.assertIn((452, "4.3.1"), codes)
        for size in (100, 300_000) * 4:
            word = next(words)
            status, said = self.append(paul, word, size)
            (kept if status == "OK" else refused).append(word)
            self.assertIn(status, ("OK", "NO"), said)
            self.fill()
        self.assertTrue(refused)
        # from another operator
        alpha = self.space.operator("alpha")
        word = next(words)
        with smtp_wire(self.space, "beta", "mx", certificate=alpha["certificate"], key=alpha["key"]) as wire:
            self.assertEqual(wire.smtp(f"MAIL FROM:<{marie['mailbox']}>")[0], 250)
            wire.smtp(f"RCPT TO:<{sophie['mailbox']}>")
            if wire.smtp("DATA")[0] == 354:
                code, text = wire.smtp(f"From: {marie['mailbox']}\r\nSubject: {word}\r\n\r\n".encode() + b"x\r\n" * 100_000 + b".")
                self.assertIn((code, text[:5]), ((452, "4.3.1"), (451, "4.3.0")), text)
            self.assertEqual(wire.smtp("NOOP")[0], 250)

        # everything acknowledged is there and can be read; what was refused is not
        self.assertEqual(sorted(self.found(paul, kept)), sorted(kept))
        self.assertEqual(self.found(paul, refused), [])
        self.assertIsNone(self.space.process.poll())

        (self.folder / "filler").unlink()
        for size in (100, 300_000):
            def taken():
                word = next(words)
                code, _ = self.submit(marie, paul, word, size)
                (kept if code == 250 else refused).append(word)
                return code == 250
            wait_for("mail again, without restart", taken)
            word = next(words)
            self.assertEqual(self.append(paul, word, size)[0], "OK")
            kept.append(word)
        again = next(words)
        self.assertEqual(self.submit(marie, sophie, again, 100)[0], 250)
        wait_for("mail to the other operator again", lambda: self.found(sophie, [again]))
        self.assertEqual(sorted(self.found(paul, kept)), sorted(kept))
        self.assertEqual(self.found(paul, refused), [])
        self.assertEqual(self.found(sophie, [word]), [])

        self.assertNotIn("panicked", self.space.output())
        self.assertEqual(self.space.stop(), 0)
        self.space.start()
        self.assertEqual(sorted(self.found(paul, kept)), sorted(kept))
        self.assertEqual(self.found(paul, refused), [])


if __name__ == "__main__":
    main()
