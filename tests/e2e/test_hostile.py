"""Many hostile clients at once (issue 3, "Hard to break"): what they cost the server stays bounded, whatever they do or do not do, and
others are served meanwhile. test_bad_input.py has the same inputs one at a time.

Memory is the highest the process had (VmHWM), of a server of its own. The bounds are per connection: what one may hold, times how many."""

import contextlib
import os
import resource
import select
import socket
import ssl
import threading
import time
import zlib
from pathlib import Path

import serve
from space import PATIENCE, SpaceTest, b64, main, wait_for, xoauth2
from wire import Closed, Wire

KB, MB = 1024, 1024 * 1024
# What a connection before its login may cost, TLS included: OpenSSL's buffers and a line of input.
BEFORE_LOGIN = 128 * KB
# What a session may hold of what its client does not take: two groups of messages made ready (256 KB each), what is written and not sent
# (64 KB), encrypted and not sent (80 KB), a compressor (300 KB).
NOT_TAKEN = MB
# What the process may grow by besides: the allocator's arenas, the store's cache.
BESIDES = 24 * MB


def status(pid, field):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * KB
    raise AssertionError(f"no {field}")


def at_once(count, work):
    """work(n) for each n, on sixteen threads; the results in order."""
    results, failures, lock, left = [None] * count, [], threading.Lock(), iter(range(count))

    def worker():
        while True:
            with lock:
                n = next(left, None)
            if n is None or failures:
                return
            try:
                results[n] = work(n)
            except BaseException as error:
                failures.append(error)
    threads = [threading.Thread(target=worker) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return results


class From(Wire):
    """A connection from another loopback address."""

    def __init__(self, where, source, timeout=PATIENCE):
        self.host = where["host"]
        self.socket = socket.create_connection((where["host"], where["port"]), timeout, (source, 0))
        self.buffer, self.seen, self.tags = b"", b"", 0


class Hostile(SpaceTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
        config = serve.configuration(cls.space, "alpha", "hostile")
        cls.server = serve.Server(config)
        cls.person = cls.space.person("alpha")
        cls.server.mailbox("create", cls.person["mailbox"], "--kind", "PER", "--holder", cls.person["id"])
        cls.token = cls.space.token(cls.person["id"], "--ttl", "3600s")
        # Silent from the first moment: test_zz looks at them when the others are over.
        cls.began = time.monotonic()
        cls.silent = [cls.half_open(n) for n in range(150)]

    @classmethod
    def tearDownClass(cls):
        try:
            for wire in cls.silent:
                wire.close()
            cls.server.close()
            log = cls.server.log.read_text(errors="replace")
            assert "panicked" not in log, log[-8000:]
        finally:
            super().tearDownClass()

    # --- ways in -------------------------------------------------------------------------------------------------

    @classmethod
    def half_open(cls, n):
        """A connection of which one side says nothing more, at one of five moments."""
        moment, source = n % 5, f"127.0.1.{1 + n % 50}"
        entrance = "submission" if moment == 4 else "imap"
        wire = From(cls.server.entrances[entrance], source)
        if moment == 0:
            return wire
        if moment == 4:
            wire.reply()
            wire.smtp("EHLO lps.test")
            wire.smtp("STARTTLS")
            return wire
        wire.line()
        if moment == 1:
            wire.send(b"a LOG")
            return wire
        wire.imap("STARTTLS")
        if moment == 2:
            wire.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            return wire
        return wire.tls(cls.space.context())

    def tls(self, source=None):
        where = self.server.entrances["imap"]
        wire = From(where, source) if source else Wire(where)
        wire.line()
        self.assertIn(b" OK ", wire.imap("STARTTLS")[-1])
        return wire.tls(self.space.context())

    def session(self, source=None, compress=False):
        wire = self.tls(source)
        response = b64(xoauth2(self.person["mailbox"], self.token))
        self.assertIn(b" OK ", wire.imap(f"AUTHENTICATE XOAUTH2 {response}")[-1])
        self.assertIn(b" OK ", wire.imap("SELECT INBOX")[-1])
        if compress:
            self.assertIn(b" OK ", wire.imap("COMPRESS DEFLATE")[-1])
        return wire

    @contextlib.contextmanager
    def bounded(self, most):
        """The server's memory grows by less than `most`, it stays up, and a session that begins afterwards works."""
        pid = self.server.process.pid
        before = status(pid, "VmRSS")
        Path(f"/proc/{pid}/clear_refs").write_text("5")
        yield
        self.assertIsNone(self.server.process.poll(), self.server.log.read_text(errors="replace")[-4000:])
        grown = status(pid, "VmHWM") - before
        print(f"{self._testMethodName}: grew by {grown // KB} KB, allowed {most // KB} KB")
        self.assertLess(grown, most)
        self.others_are_served()

    def others_are_served(self):
        with self.session("127.0.3.1") as wire:
            self.assertRegex(wire.imap("NOOP")[-1], rb"^w\d+ OK ")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.server.process.pid}/fd"))

    # --- before the login ----------------------------------------------------------------------------------------

    def test_thousands_from_one_address(self):
        where = self.server.entrances["imap"]
        before, held, refused = self.descriptors(), [], 0
        with self.bounded(200 * BEFORE_LOGIN + BESIDES):
            for _ in range(3000):
                wire = From(where, "127.0.2.1")
                line = wire.line()
                if line.startswith(b"* BYE "):
                    refused += 1
                    wire.close()
                else:
                    self.assertTrue(line.startswith(b"* OK "), line)
                    held.append(wire)
            self.assertEqual(len(held), 200, "limits.connections_per_address")
            self.assertEqual(refused, 2800)
            # Somebody else gets in, and is served.
            self.others_are_served()
            for wire in held:
                wire.close()
        wait_for("the descriptors are given back", lambda: self.descriptors() <= before + 20)
        with From(where, "127.0.2.1") as wire:
            self.assertTrue(wire.line().startswith(b"* OK "), "and the places too")

    def test_literal_floods(self):
        """Half of them in clear, half under TLS, none logged in: what is announced is never kept."""
        count = 120
        openings = [b"a LOGIN {%d+}\r\n", b"a AUTHENTICATE XOAUTH2 {%d+}\r\n", b"a SELECT {%d+}\r\n", b"a ID (\"x\" {%d+}\r\n",
                    b"a APPEND INBOX {%d+}\r\n", b"{%d+}\r\n"]

        def flood(n):
            source = f"127.0.2.{10 + n % 100}"
            wire = self.tls(source) if n % 2 else From(self.server.entrances["imap"], source)
            with wire:
                opening = openings[n % len(openings)] % (400 * MB)
                lines, closed = wire.pour(opening + b"x" * MB, pieces=4, until=lambda said: len(said) >= 2)
                return closed or any(line.split(b" ")[1:2] in ([b"BAD"], [b"NO"], [b"BYE"]) for line in lines)
        with self.bounded(16 * BEFORE_LOGIN + BESIDES):
            self.assertTrue(all(at_once(count, flood)))

    def test_literals_that_wait(self):
        """As many as an address may hold, each in the middle of the largest thing that it may say before its login."""
        count = 180
        with self.bounded(count * BEFORE_LOGIN + BESIDES):
            def begin(n):
                wire = self.tls("127.0.2.200")
                # Taken or refused, the rest of it never comes.
                with contextlib.suppress(Closed):
                    wire.send(b"a AUTHENTICATE XOAUTH2 " + b"x" * 8000)
                return wire
            held = at_once(count, begin)
            self.others_are_served()
        for wire in held:
            wire.close()

    def test_parentheses(self):
        """Deep nesting on many connections at once, before and after the login; everybody else is served."""
        deep = [b"a SEARCH " + b"(" * 60_000, b"a SEARCH " + b"NOT " * 15_000, b"a SEARCH " + b"OR ALL " * 9_000, b"a FETCH 1 " + b"(" * 60_000,
                b"a LIST (" + b"(" * 60_000, b"a STORE 1 FLAGS " + b"(" * 60_000, b"a THREAD REFERENCES UTF-8 " + b"(" * 60_000,
                b"a NOTIFY SET " + b"(" * 60_000, b"a GETMETADATA " + b"(" * 60_000, b"a ID " + b"(" * 60_000]

        def nest(n):
            with (self.session if n % 2 else self.tls)(f"127.0.2.{10 + n % 100}") as wire:
                for octets in deep[n % 5::5]:
                    lines, closed = wire.pour(octets + b"\r\nzz NOOP\r\n", until=lambda said: said and said[-1].startswith(b"zz "))
                    answers = [line for line in lines if line.startswith((b"a ", b"* BYE"))]
                    self.assertTrue(answers or closed, lines)
                    self.assertFalse(any(line.startswith(b"a OK") for line in lines), octets[:30])
                    if closed:
                        break
        with self.bounded(16 * NOT_TAKEN + BESIDES):
            at_once(60, nest)

    # --- after the login -----------------------------------------------------------------------------------------

    def test_a_bomb_under_compress(self):
        """A thousand octets for one: what comes out goes through the same limits as what comes in clear."""
        def deflated(head, octet, size):
            packer = zlib.compressobj(9, zlib.DEFLATED, -15)
            parts = [packer.compress(head)]
            parts += [packer.compress(octet * MB) for _ in range(size // MB)]
            return b"".join([*parts, packer.flush(zlib.Z_SYNC_FLUSH)])
        # 256 MB each: a line without end, a literal nobody may announce, one that is larger than a message may be, commands
        bombs = [deflated(b"a SEARCH SUBJECT ", b"x", 256 * MB), deflated(b"a SEARCH SUBJECT {268435456+}\r\n", b"x", 256 * MB),
                 deflated(b"a APPEND INBOX {268435456+}\r\n", b"x", 256 * MB), deflated(b"", b"x NOOP\r\n", 32 * MB)]
        self.assertLess(max(map(len, bombs)), 2 * MB)

        def throw(n):
            with self.session(compress=True) as wire:
                lines, closed = wire.pour(bombs[n % len(bombs)], until=lambda said: True)
                return True
        with self.bounded(24 * NOT_TAKEN + BESIDES):
            at_once(24, throw)

    def test_slow_readers(self):
        """A hundred ask for all of a mailbox of 60 MB and take nothing, or a few octets now and then."""
        text = b"Subject: lent\r\n\r\n" + (b"x" * 76 + b"\r\n") * 2500
        with self.session() as wire:
            for _ in range(300):
                wire.send(b"p APPEND INBOX {%d+}\r\n" % len(text) + text + b"\r\n")
                while not wire.line().startswith(b"p OK"):
                    pass
        count = 100
        with self.bounded(count * NOT_TAKEN + BESIDES):
            def ask(n):
                wire = self.session(compress=n % 4 == 3)
                # A small window: the kernel must not be what holds it.
                wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
                command = (b"a FETCH 1:* (BODY.PEEK[])\r\n", b"a FETCH 1:* (ENVELOPE BODYSTRUCTURE BODY.PEEK[TEXT])\r\n",
                           b"a UID FETCH 1:* (BINARY.PEEK[1])\r\n" * 20)[n % 3]
                if n % 4 == 3:
                    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
                    command = packer.compress(command) + packer.flush(zlib.Z_SYNC_FLUSH)
                wire.send(command)
                return wire
            readers = at_once(count, ask)
            for _ in range(20):
                for wire in readers[::2]:
                    with contextlib.suppress(ssl.SSLWantReadError):
                        wire.socket.settimeout(0.001)
                        with contextlib.suppress(TimeoutError):
                            wire.socket.recv(10)
                self.others_are_served()
            # Those that ask on and on without reading an answer are held back too.
            pushing = self.session()
            pushing.socket.setblocking(False)
            pushed, end = 0, time.monotonic() + 3
            with contextlib.suppress(ssl.SSLError, OSError):
                while time.monotonic() < end:
                    try:
                        pushed += pushing.socket.send(b"n UID FETCH 1:* (BODY.PEEK[])\r\n" * 500)
                    except (ssl.SSLWantWriteError, BlockingIOError):
                        select.select([], [pushing.socket], [], 0.2)
            pushing.close()
            self.assertLess(pushed, 64 * MB)
            for wire in readers:
                wire.close()
        wait_for("the sessions are over", lambda: self.descriptors() < 400)

    def test_zz_half_open_peers_are_given_up(self):
        """They said nothing since the beginning: within a minute and a bit of it the server has closed them all."""
        left = [wire for wire in self.silent]
        end = time.monotonic() + PATIENCE
        while left and time.monotonic() < end:
            readable, _, _ = select.select([wire.socket for wire in left], [], [], 1)
            for wire in [wire for wire in left if wire.socket in readable]:
                wire.socket.settimeout(1)
                with contextlib.suppress(TimeoutError, ssl.SSLWantReadError):
                    try:
                        if not wire.socket.recv(4096):
                            left.remove(wire)
                    except (ConnectionResetError, ssl.SSLError, OSError) as error:
                        if not isinstance(error, (TimeoutError, ssl.SSLWantReadError)):
                            left.remove(wire)
        self.assertEqual(len(left), 0)
        self.others_are_served()


if __name__ == "__main__":
    main()
