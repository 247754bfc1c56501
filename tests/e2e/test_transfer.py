"""Import and export: a Dovecot's Maildir, the same over IMAP, mbox; into a running server and beside a stopped one (issue 3 §4)."""

import datetime
import fcntl
import mailbox as maildirs
import os
import re
import shutil
import signal
import struct
import subprocess
import termios
import time
import unittest

import dovecot
import serve
from serve import Server, configuration
from space import BINARY, Space, main, run, wait_for

MESSAGES = 120
DATE = datetime.datetime(2024, 2, 29, 12, 0, tzinfo=datetime.timezone.utc)


def message(number):
    return (f"From: <a@exemple.fr>\r\nTo: <b@exemple.fr>\r\nSubject: ancien {number}\r\nMessage-ID: <{number}@exemple.fr>\r\n\r\n"
            f"Bonjour {number}\r\nFrom here on\r\n.\r\n").encode()


def on_terminal(*command):
    """What a program says, and what it draws on the terminal that its standard error is."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    environment = {**os.environ, "TERM": "xterm"}
    process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, env=environment)
    os.close(theirs)
    drawn = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # Nobody has the other end any more.
            break
        if not piece:
            break
        drawn += piece
    os.close(ours)
    told, _ = process.communicate(timeout=60)
    if process.returncode:
        raise AssertionError(f"{command} ended with {process.returncode}:\n{told.decode()}\n{drawn.decode()}")
    return told.decode(), drawn.decode()


class Transfer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.space = Space()
        cls.config = configuration(cls.space, "alpha")
        cls.domain = cls.space.operator("alpha")["domain"]
        cls.person = cls.space.person("alpha")["id"]
        cls.boxes = 0
        cls.dovecot = dovecot.Dovecot() if dovecot.present() else None
        if cls.dovecot:
            cls.fill(cls.dovecot.connect("marie"))

    @classmethod
    def tearDownClass(cls):
        if cls.dovecot:
            cls.dovecot.close()
        cls.space.close()

    @classmethod
    def fill(cls, client):
        for number in range(MESSAGES):
            flags = r"(\Seen $Traite)" if number % 3 == 0 else r"(\Flagged \Answered)" if number % 3 == 1 else ""
            client.append("INBOX", flags, DATE + datetime.timedelta(minutes=number), message(number))
        client.create('"Archive.&AMk-t&AOk-"')
        client.append('"Archive.&AMk-t&AOk-"', r"(\Draft)", DATE, message(1000))
        client.create("Sent")
        client.append("Sent", "", DATE, message(1001))
        client.logout()

    def box(self):
        type(self).boxes += 1
        address = f"ancien{self.boxes}@{self.domain}"
        serve.mailbox(self.config, "create", address, "--kind", "ORG", "--holder", "1750000001")
        serve.mailbox(self.config, "grant", address, "--person", self.person, "--role", "member")
        return address

    def importing(self, *arguments, into, **options):
        return run(BINARY, "import", *arguments, "--into", into, "--config", self.config, **options)

    def check(self, address):
        """By export, read by Python's own mailbox module."""
        folder = self.config.parent / f"out-{address}"
        told = run(BINARY, "export", "maildir", folder, "--from", address, "--config", self.config).stdout
        self.assertIn(f"{MESSAGES + 2} messages", told)
        inbox = maildirs.Maildir(folder, create=False)
        self.assertEqual(len(inbox), MESSAGES)
        self.assertEqual(sorted(inbox.list_folders()), ["Archive.&AMk-t&AOk-", "Sent"])
        keywords = (folder / "dovecot-keywords").read_text()
        self.assertEqual(keywords, "0 $Traite\n")
        for one in inbox:
            number = int(one["Subject"].split()[1])
            self.assertEqual(one.get_date(), (DATE + datetime.timedelta(minutes=number)).timestamp())
            self.assertEqual(one.get_flags(), {0: "Sa", 1: "FR", 2: ""}[number % 3])
            self.assertEqual(one.as_bytes().replace(b"\n", b"\r\n"), message(number))
        self.assertEqual(inbox.get_folder("Archive.&AMk-t&AOk-").values()[0].get_flags(), "D")
        self.assertEqual(oct(os.stat(folder / "cur").st_mode & 0o777), "0o700")
        again = run(BINARY, "export", "maildir", folder, "--from", address, "--config", self.config).stdout
        self.assertTrue(again.startswith("0 messages"), again)

    @unittest.skipUnless(dovecot.present(), "dovecot-imapd and root are needed: ./test installs it")
    def test_a_maildir_of_dovecot(self):
        address = self.box()
        maildir = self.dovecot.maildir("marie")
        dry = self.importing("maildir", maildir, "--dry-run", into=address).stdout
        self.assertIn(f"{MESSAGES + 2} would be imported", dry)
        self.assertIn(f"{MESSAGES + 2} imported", self.importing("maildir", maildir, into=address).stdout)
        self.assertIn(f"0 imported into {address}; {MESSAGES + 2} there already",
                      self.importing("maildir", maildir, into=address).stdout)
        self.check(address)

    @unittest.skipUnless(dovecot.present(), "dovecot-imapd and root are needed: ./test installs it")
    def test_another_server_by_imap(self):
        address = self.box()
        password = self.config.parent / "password"
        password.write_text("secret\n")
        account = ("imap", "--host", "localhost", "--port", self.dovecot.port, "--user", "marie", "--password-file", password)
        refused = self.importing(*account, into=address, ok=False)
        self.assertIn("certificate", refused.stderr)
        self.assertIn(f"{MESSAGES + 2} imported", self.importing(*account, "--ca", self.dovecot.ca, into=address).stdout)
        self.assertIn("0 imported", self.importing(*account, "--ca", self.dovecot.ca, into=address).stdout)
        self.check(address)
        password.write_text("wrong\n")
        refused = self.importing(*account, "--ca", self.dovecot.ca, into=address, ok=False)
        self.assertIn("AUTHENTICATE", refused.stderr)
        self.assertNotIn("wrong", refused.stderr)

    def test_progress(self):
        """A bar on a terminal, which leaves nothing behind; elsewhere no control characters."""
        address = self.box()
        source = self.config.parent / "some"
        for place in ("cur", "new", "tmp"):
            (source / place).mkdir(parents=True)
        for number in range(300):
            (source / "cur" / f"{number}.x:2,S").write_bytes(b"Subject: x\n\nbody\n")
        config = ("--config", self.config)
        told, bar = on_terminal(BINARY, "import", "maildir", source, "--into", address, *config)
        self.assertIn("300 imported", told)
        counted = [int(n) for n in re.findall(r"(\d+)/300 messages  \d+/s", bar)]
        self.assertTrue(counted and counted == sorted(counted) and max(counted) <= 300, bar)
        self.assertTrue(bar.endswith("\r\x1b[2K"), "the bar is taken away")
        backup = self.config.parent / "backup"
        told, bar = on_terminal(BINARY, "backup", backup, *config)
        self.assertIn("were copied now", told)
        self.assertRegex(bar, r"[\d.]+ k?B/[\d.]+ [kM]B ", bar)
        for command in (("fsck", *config), ("backup", backup, *config)):
            self.assertNotRegex(run(BINARY, *command).stderr, r"\x1b|\r")

    def test_killed_and_begun_again(self):
        """kill -9 in the middle, the journal lost as well: everything is there, once."""
        address = self.box()
        source = self.config.parent / "many"
        for place in ("cur", "new", "tmp"):
            (source / place).mkdir(parents=True)
        for number in range(4000):
            path = source / "cur" / f"{number:06}.x:2,S"
            path.write_bytes(message(number).replace(b"\r\n", b"\n") + b"x" * 8000 + b"\n")
            os.utime(path, (1_700_000_000 + number,) * 2)
        killed = 0
        for delay in (0.05, 0.1, 0.2, 0.3):
            process = subprocess.Popen([BINARY, "import", "maildir", source, "--into", address, "--config", self.config],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(delay)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                killed += 1
            process.wait()
            for journal in (self.config.parent / "data/imports").glob("*"):
                journal.unlink()
        self.assertGreater(killed, 0)
        self.importing("maildir", source, into=address)
        self.assertIn("holds                4000 messages (", serve.mailbox(self.config, "show", address).stdout)

    @unittest.skipUnless(dovecot.present(), "dovecot-imapd and root are needed: ./test installs it")
    def test_another_server_killed_and_begun_again(self):
        address = self.box()
        password = self.config.parent / "password-jean"
        password.write_text("secret\n")
        client = self.dovecot.connect("jean")
        client.append("INBOX", "", DATE, message(0))
        client.logout()
        box = self.dovecot.maildir("jean")
        for number in range(1, 3000):
            path = box / "cur" / f"{1_700_000_000 + number}.{number:06}.x:2,S"
            path.write_bytes(message(number).replace(b"\r\n", b"\n") + b"x" * 8000 + b"\n")
            shutil.chown(path, box.owner(), box.group())
        account = ("imap", "--host", "localhost", "--port", str(self.dovecot.port), "--user", "jean", "--password-file", password,
                   "--ca", self.dovecot.ca)
        there = lambda: int(re.search(r"holds +(\d+)", serve.mailbox(self.config, "show", address).stdout)[1])
        came = [0]
        for _ in range(2):
            process = subprocess.Popen([BINARY, "import", *account, "--into", address, "--config", self.config],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_for("messages, or the end", lambda: there() > came[-1] or process.poll() is not None)
            process.kill()
            process.wait()
            came.append(there())
        # What came is kept, and is not fetched again.
        self.assertTrue(0 < came[1] < 3000 and came == sorted(came), came)
        told = self.importing(*account, into=address).stdout
        imported, already = (int(re.search(rf"(\d+) {what}", told)[1]) for what in ("imported", "there already"))
        # Those of the last batch may be in the log and not counted yet: whoever opens the store next applies them.
        self.assertTrue(came[-1] <= already < 3000 and imported + already == 3000, (came, told))
        self.assertIn("holds                3000 messages (", serve.mailbox(self.config, "show", address).stdout)

    def test_mbox_there_and_back_with_the_server_running(self):
        address = self.box()
        source = self.config.parent / f"{address}.mbox"
        box = maildirs.mbox(source)
        for number in range(30):
            one = maildirs.mboxMessage(message(number).replace(b"\r\n", b"\n"))
            one.set_flags("RO" if number % 2 else "F")
            one.set_from("a@exemple.fr", time.gmtime(DATE.timestamp() + number))
            box.add(one)
        box.close()
        server = Server(self.config)
        try:
            told = self.importing("mbox", source, "--folder", "Archive/2019", into=address).stdout
            self.assertIn("30 imported", told)
            out = self.config.parent / "back"
            run(BINARY, "export", "mbox", out, "--from", address, "--config", self.config)
        finally:
            server.stop()
        back = maildirs.mbox(out / "Archive__2019.mbox", create=False)
        self.assertEqual(len(back), 30)
        for number, one in enumerate(back):
            self.assertEqual(one["Subject"], f"ancien {number}")
            self.assertIn("R" if number % 2 else "F", one.get_flags())

    def test_refusals_say_what_to_do(self):
        address = self.box()
        for arguments, expected in [
            (("maildir", "/nonexistent"), "/nonexistent"),
            (("maildir", self.space.folder / "pki"), "is no Maildir"),
            (("mbox", self.config), "is no mbox"),
        ]:
            self.assertIn(expected, self.importing(*arguments, into=address, ok=False).stderr)
        source = self.config.parent / "small"
        for place in ("cur", "new", "tmp"):
            (source / place).mkdir(parents=True)
        (source / "cur" / "1:2,").write_bytes(b"Subject: a\n\nb\n")
        nobody = self.importing("maildir", source, into=f"personne@{self.domain}", ok=False).stderr
        self.assertIn("vaguemestre mailbox create", nobody)
        (source / "cur" / "2:2,").write_bytes(b"")
        left = self.importing("maildir", source, into=address, ok=False)
        self.assertIn("1 imported", left.stdout)
        self.assertIn("an empty file", left.stderr)


if __name__ == "__main__":
    main()
