"""A test trust space for the end-to-end tests, and short ways to reach it with Python's own mail modules.

Python's imaplib and smtplib, curl, swaks, openssl and mbsync are what drives the server here: nothing of it was written for it.
The binary under test is named by VAGUEMESTRE; everything listens on loopback, on free ports.
"""

import base64
import fcntl
import imaplib
import json
import os
import random
import resource
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("VAGUEMESTRE", str(ROOT / "target/debug/vaguemestre"))
FIXTURES = ROOT / "tests/fixtures"

# How long, in seconds, a test waits for what must happen: a start, an arrival, an answer. Only a test that fails ever waits so long; see
# CONTRIBUTING.md, "Tests that hold on a slow machine". The same in Rust: crates/patience.
PATIENCE = 300


class Work:
    """Processor time of the programs that this one waited for: what they cost, however busy the machine is."""

    def __init__(self):
        self.before = self._total()

    @staticmethod
    def _total():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    @property
    def spent(self):
        """Seconds since it was made."""
        return self._total() - self.before


def run(*command, ok=True, **options):
    """Runs a program to its end; its output as text. With ok=None the exit status is not looked at."""
    options.setdefault("timeout", 2 * PATIENCE)
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, errors="replace", **options)
    if ok is not None and (done.returncode == 0) != ok:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


# Ports for servers that a test tells where to listen: below those that Linux gives to outgoing connections, one of which is given away as
# soon as nobody listens on it; above are those of sandboxes. Locked while this process lives, so that no other test takes them
# (crates/patience holds the same locks).
PLACES = range(10_000, 16_000)
HELD = []


def free_port(*hosts, kind=socket.SOCK_STREAM):
    """A port free on all these addresses, 127.0.0.1 unless told otherwise; nobody else is given it."""
    folder = Path(tempfile.gettempdir()) / "vaguemestre-test-ports"
    folder.mkdir(exist_ok=True)
    for port in random.sample(PLACES, len(PLACES)):
        lock = open(folder / str(port), "a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for host in hosts or ("127.0.0.1",):
                with socket.socket(socket.AF_INET, kind) as one:
                    if kind == socket.SOCK_STREAM:
                        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    one.bind((host, port))
        except OSError:
            lock.close()
            continue
        HELD.append(lock)
        return port
    raise AssertionError("every port is taken")


def wait_for(what, condition, seconds=PATIENCE):
    """Waits until condition() is true and answers it."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.05)


class Space:
    """A sandbox running in a folder of its own."""

    def __init__(self, *arguments, folder=None, binary=BINARY, environment=None):
        self.folder = Path(folder or tempfile.mkdtemp(prefix="vaguemestre-"))
        self.keep = folder is not None
        self.binary = binary
        self.environment = {**os.environ, **(environment or {})}
        self.arguments = arguments
        self.process = None
        self.start()

    def start(self):
        (self.folder / "sandbox.json").unlink(missing_ok=True)
        self.log = open(self.folder / "output.log", "ab")
        self.process = subprocess.Popen(
            [self.binary, "sandbox", "--dir", str(self.folder), "--no-self-check", *self.arguments],
            env=self.environment, stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            wait_for("the sandbox", self._described)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output()}") from None
        self.json = json.loads((self.folder / "sandbox.json").read_text())
        self.ca = self.folder / self.json["pki"]["ca"]

    def _described(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the sandbox ended with {self.process.returncode}")
        return (self.folder / "sandbox.json").exists()

    def output(self):
        return (self.folder / "output.log").read_text(errors="replace")

    def kill(self):
        """kill -9, as a crash."""
        self.process.kill()
        self.process.wait()
        self.log.close()

    def stop(self):
        """A clean stop; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"the sandbox does not stop\n{self.output()}") from None
        self.log.close()
        return self.process.returncode

    def close(self):
        try:
            return self.stop()
        finally:
            if not self.keep:
                shutil.rmtree(self.folder, ignore_errors=True)

    def operator(self, name):
        return next(o for o in self.json["operators"] if o["name"] == name)

    def person(self, operator, kind="PER", index=0):
        """The index-th entry of people with a mailbox of that kind at that operator."""
        return [p for p in self.json["people"] if p.get("operator") == operator and p.get("kind") == kind][index]

    def application(self, operator):
        return next(a for a in self.json["applications"] if a["operator"] == operator)

    def token(self, identity, *options):
        return run(BINARY, "sandbox", "token", "--dir", self.folder, "--id", identity, *options).stdout.strip()

    def context(self, certificate=None, key=None):
        """Python's TLS with the space's authority and nothing else; the server's name is checked."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if certificate:
            context.load_cert_chain(self.folder / certificate, self.folder / key)
        return context

    # --- ways in -------------------------------------------------------------------------------------------------

    def imap_plain(self, operator, entrance="imap"):
        """An IMAP connection before STARTTLS."""
        where = self.operator(operator)[entrance]
        return imaplib.IMAP4(where["host"], where["port"], timeout=PATIENCE)

    def imap_tls(self, operator, entrance="imap", **certificate):
        connection = self.imap_plain(operator, entrance)
        connection.starttls(self.context(**certificate))
        return connection

    def imap(self, person, identity=None, token=None):
        """An IMAP session on a person's mailbox."""
        connection = self.imap_tls(person["operator"])
        token = token or self.token(identity or person["id"])
        connection.authenticate("XOAUTH2", lambda _: xoauth2(person["mailbox"], token))
        return connection

    def imap_application(self, application):
        connection = self.imap_tls(application["operator"], "imap_app",
                                   certificate=application["certificate"], key=application["key"])
        connection.authenticate("EXTERNAL", lambda _: application["mailbox"].encode())
        return connection

    def smtp_plain(self, operator, entrance="submission"):
        where = self.operator(operator)[entrance]
        return smtplib.SMTP(where["host"], where["port"], timeout=PATIENCE)

    def smtp_tls(self, operator, entrance="submission", **certificate):
        connection = self.smtp_plain(operator, entrance)
        connection.starttls(context=self.context(**certificate))
        connection.ehlo()
        return connection

    def smtp(self, person, identity=None, token=None):
        """A submission session for a person's mailbox."""
        connection = self.smtp_tls(person["operator"])
        token = token or self.token(identity or person["id"])
        connection.auth("XOAUTH2", lambda challenge=None: xoauth2(person["mailbox"], token).decode())
        return connection

    def smtp_application(self, application):
        connection = self.smtp_tls(application["operator"], "submission_app",
                                   certificate=application["certificate"], key=application["key"])
        connection.auth("EXTERNAL", lambda challenge=None: application["mailbox"])
        return connection

    def wait_for_message(self, person, message_id, folder="INBOX"):
        """The UID and the octets of the message with that Message-ID, once it is there."""
        connection = self.imap(person)
        try:
            def look():
                connection.select(folder)
                _, found = connection.uid("SEARCH", None, "HEADER", "Message-ID", f'"{message_id}"')
                return found[0].split()
            uids = wait_for(f"{message_id} in {person['mailbox']}", look)
            _, data = connection.uid("FETCH", uids[0].decode(), "(BODY.PEEK[])")
            return uids, data[0][1]
        finally:
            connection.logout()


def xoauth2(mailbox, token):
    return f"user={mailbox}\x01auth=Bearer {token}\x01\x01".encode()


def b64(data):
    return base64.b64encode(data).decode()


class SpaceTest(unittest.TestCase):
    """A test case with one space for all its tests."""

    arguments = ()

    @classmethod
    def setUpClass(cls):
        cls.space = Space(*cls.arguments)

    @classmethod
    def tearDownClass(cls):
        output = cls.space.output()
        status = cls.space.close()
        if status != 0:
            raise AssertionError(f"the sandbox ended with {status}")
        # A task that panics takes one connection with it and nothing else: no other test would see it.
        if "panicked" in output:
            raise AssertionError(output[-8000:])

    def run(self, result=None):
        before = len(result.failures) + len(result.errors) if result else 0
        super().run(result)
        if result and len(result.failures) + len(result.errors) > before:
            print(self.space.output()[-8000:], file=sys.stderr)


def main():
    unittest.main(module="__main__", verbosity=2)
