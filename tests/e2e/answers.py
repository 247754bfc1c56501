"""IMAP answers as Python values, so that two servers' can be compared: quoted strings and literals are the same, order of flags is none.

Atoms become str, strings bytes (NIL is None), lists are lists.
"""

import re

_SPECIAL = b" ()\r\n"


class _Reader:
    def __init__(self, octets):
        self.octets, self.at = octets, 0

    def end(self):
        return self.octets[self.at:] in (b"\r\n", b"")

    def values(self, close=None):
        found = []
        while not self.end():
            byte = self.octets[self.at:self.at + 1]
            if byte == b" ":
                self.at += 1
            elif byte == b")":
                assert close, self.octets
                self.at += 1
                return found
            else:
                found.append(self.value())
        assert not close, f"an open list: {self.octets[-200:]!r}"
        return found

    def value(self):
        byte = self.octets[self.at:self.at + 1]
        if byte == b"(":
            self.at += 1
            return self.values(close=True)
        if byte == b'"':
            return self.quoted()
        if found := re.compile(rb"~?\{(\d+)\}\r\n").match(self.octets, self.at):
            begin = found.end()
            self.at = begin + int(found[1])
            assert self.at <= len(self.octets), self.octets
            return self.octets[begin:self.at]
        return self.atom()

    def quoted(self):
        text, at = b"", self.at + 1
        while (byte := self.octets[at:at + 1]) != b'"':
            assert byte not in (b"", b"\r", b"\n"), f"not a quoted string: {self.octets[self.at:self.at + 80]!r}"
            if byte == b"\\":
                at += 1
                byte = self.octets[at:at + 1]
                assert byte in (b'"', b"\\"), self.octets
            text, at = text + byte, at + 1
        self.at = at + 1
        return text

    def atom(self):
        begin, depth = self.at, 0
        while self.at < len(self.octets):
            byte = self.octets[self.at:self.at + 1]
            depth += (byte == b"[") - (byte == b"]")
            if (byte in b" ()" and depth == 0) or byte in b"\r\n":
                break
            self.at += 1
        assert self.at > begin, f"nothing where a value should be: {self.octets[begin:begin + 80]!r}"
        atom = self.octets[begin:self.at].decode("utf-8", "replace")
        return None if atom.upper() == "NIL" else atom


def parse(line):
    """An untagged line's values after `* `; a response code is one list."""
    if found := re.match(rb"\* (OK|NO|BAD|BYE|PREAUTH)( \[(.*?)\](?: |\r\n))?", line, re.I | re.S):
        return [found[1].decode().upper(), _Reader(found[3] or b"").values()]
    return _Reader(line[2:]).values()


def pairs(values):
    """FETCH's or STATUS's list as a dictionary."""
    return {str(name).upper() if isinstance(name, str) else name: value for name, value in zip(values[::2], values[1::2], strict=True)}


def flags(values):
    """Flags without order; \\Recent is a matter of sessions."""
    return sorted({flag.lower() for flag in values} - {"\\recent"})
