"""IMAP and SMTP line by line, for what imaplib and smtplib would not send, or would hide from the test."""

import contextlib
import re
import select
import socket
import ssl
import time

from space import PATIENCE

# Words with which OpenSSL, through Python, tells that the other side sent a TLS alert.
ALERT = re.compile(r"alert|ALERT")


class Closed(Exception):
    """The other side closed or reset the connection."""


class Wire:
    """A connection of which every octet is ours."""

    def __init__(self, where, timeout=PATIENCE):
        self.host = where["host"]
        self.socket = socket.create_connection((where["host"], where["port"]), timeout)
        self.buffer = b""
        self.seen = b""
        self.tags = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, octets):
        try:
            self.socket.sendall(octets if isinstance(octets, bytes) else octets.encode())
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError) as error:
            raise Closed(str(error)) from None

    def _more(self):
        try:
            octets = self.socket.recv(65536)
        except (ConnectionResetError, ssl.SSLEOFError) as error:
            raise Closed(str(error)) from None
        if not octets:
            raise Closed("end of file")
        self.buffer += octets
        self.seen += octets

    def line(self):
        """The next line, with its CRLF."""
        while b"\n" not in self.buffer:
            self._more()
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line + b"\n"

    def octets(self, count):
        while len(self.buffer) < count:
            self._more()
        octets, self.buffer = self.buffer[:count], self.buffer[count:]
        return octets

    def rest(self):
        """Everything until the other side closes."""
        try:
            while True:
                self._more()
        except Closed:
            octets, self.buffer = self.buffer, b""
            return octets

    def pour(self, octets, pieces=1, until=None, seconds=PATIENCE):
        """Sends octets that may never be read to their end, reading what is said meanwhile; then reads on until the other side closes
        or `until` holds of the lines. Answers the lines and whether it closed; no silence longer than `seconds` is allowed."""
        self.socket.setblocking(False)
        left, lines = memoryview(octets * pieces), []
        silent = time.monotonic() + seconds
        try:
            while True:
                moved = False
                if left:
                    with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                        left = left[self.socket.send(left[:65536]):]
                        moved = True
                with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    self._more()
                    moved = True
                    while b"\n" in self.buffer:
                        lines.append(self.line())
                if not left and until and until(lines):
                    return lines, False
                if moved:
                    silent = time.monotonic() + seconds
                elif time.monotonic() > silent:
                    raise AssertionError(f"silence after {octets[:60]!r}; {len(left)} octets not taken; said so far: {lines[-3:]}")
                else:
                    select.select([self.socket], [self.socket] if left else [], [], 1)
        except (Closed, BrokenPipeError, ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            with contextlib.suppress(Closed, OSError):
                # what was said before it closed may still be there
                while True:
                    self._more()
            while b"\n" in self.buffer:
                lines.append(self.line())
            return lines, True
        finally:
            with contextlib.suppress(OSError):
                self.socket.settimeout(PATIENCE)

    def tls(self, context):
        """The handshake. ssl.SSLError tells a refusal."""
        assert not self.buffer, self.buffer
        self.socket = context.wrap_socket(self.socket, server_hostname=self.host)
        return self

    # --- IMAP ----------------------------------------------------------------------------------------------------

    def imap(self, command):
        """Sends a command and answers the lines up to the tagged one, literals included in them. The last is the tagged one."""
        self.tags += 1
        tag = b"w%d" % self.tags
        self.send(tag + b" " + (command if isinstance(command, bytes) else command.encode()) + b"\r\n")
        return self.tagged(tag)

    def tagged(self, tag=None):
        tag = tag or b"w%d" % self.tags
        lines = []
        while True:
            line = self.line()
            while found := re.search(rb"\{(\d+)\}\r\n$", line):
                line += self.octets(int(found[1])) + self.line()
            lines.append(line)
            if line.startswith(tag + b" ") or line.startswith(b"+") or line.startswith(b"* BYE"):
                return lines

    # --- SMTP ----------------------------------------------------------------------------------------------------

    def reply(self):
        """The next reply: its code, and its lines without codes as one text."""
        text = []
        while True:
            line = self.line()
            text.append(line[4:].strip().decode("utf-8", "replace"))
            if line[3:4] != b"-":
                return int(line[:3]), "\n".join(text)

    def smtp(self, command):
        self.send((command if isinstance(command, bytes) else command.encode()) + b"\r\n")
        return self.reply()


@contextlib.contextmanager
def kept_if_well(wire):
    """Closes the connection when what is done with it fails."""
    try:
        yield
    except BaseException:
        wire.close()
        raise


def imap_wire(space, operator, entrance="imap", tls=True, **certificate):
    """An IMAP connection after its greeting, under TLS unless told otherwise."""
    wire = Wire(space.operator(operator)[entrance])
    with kept_if_well(wire):
        wire.line()
        if tls:
            answer = wire.imap("STARTTLS")
            assert b" OK " in answer[-1], answer
            wire.tls(space.context(**certificate))
    return wire


def smtp_wire(space, operator, entrance="submission", tls=True, **certificate):
    """An SMTP connection after EHLO, under TLS unless told otherwise."""
    wire = Wire(space.operator(operator)[entrance])
    with kept_if_well(wire):
        assert wire.reply()[0] == 220
        if tls:
            assert wire.smtp("EHLO lps.test")[0] == 250
            assert wire.smtp("STARTTLS")[0] == 220
            wire.tls(space.context(**certificate))
        assert wire.smtp("EHLO lps.test")[0] == 250
    return wire


def alert_of(attempt):
    """What the TLS alert was that ended `attempt`; fails when there was none."""
    try:
        attempt()
    except ssl.SSLError as error:
        assert ALERT.search(str(error)), f"no alert from the server: {error}"
        return str(error).lower()
    except Closed as error:
        raise AssertionError(f"closed without an alert: {error}") from None
    raise AssertionError("the connection was accepted")
