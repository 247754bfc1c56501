"""Backup, restore, fsck and keys: by the binary, under load, with kill -9 and a full disk (issue 3, "Operating it").

BACKUP_SEED: the moments and the damage again.
"""

import contextlib
import json
import mailbox as mailboxes
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import tarfile
import tempfile
import threading
import time
import unittest
from pathlib import Path

import serve
from beside import Beside
from serve import Server, configuration
from space import BINARY, PATIENCE, ROOT, Space, SpaceTest, b64, main, run, wait_for, xoauth2
from test_crash import BROKEN

SEED = int(os.environ.get("BACKUP_SEED", random.randrange(1 << 32)))
FIXTURE = ROOT / "crates/store/tests/fixtures/v1.tar.gz"
# What a small disk for a backup holds.
SMALL = 12 << 20


def command(*arguments, config, **options):
    return run(BINARY, *arguments, "--config", config, **options)


def message(number, size=200, sender="a@exemple.fr", subject="lettre"):
    line = "x" * 98 + "\r\n"
    return (f"From: <{sender}>\r\nTo: <b@exemple.fr>\r\nSubject: {subject} {number}\r\nMessage-ID: <{number}@sauvegarde.fr>\r\n\r\n"
            f"{line * (size // 100)}fin {number}\r\n").encode()


def octets_below(folder):
    return sum(file.stat().st_blocks * 512 for file in Path(folder).rglob("*") if file.is_file())


class Load(threading.Thread):
    """Delivers to two mailboxes until told to stop; notes what was acknowledged."""

    def __init__(self, two, sender, recipients):
        super().__init__(daemon=True)
        self.two, self.sender, self.recipients = two, sender, recipients
        self.acknowledged, self.end, self.number = [], False, 0

    def run(self):
        smtp = None
        while not self.end:
            try:
                smtp = smtp or self.two.smtp(self.sender)
                self.number += 1
                identity = f"{id(self):x}-{self.number}"
                # One in twenty is large: a file of its own.
                size = 400_000 if self.number % 20 == 0 else 3000
                smtp.sendmail(self.sender["mailbox"], self.recipients, message(identity, size, self.sender["mailbox"]))
                self.acknowledged.append(identity)
            except BROKEN:
                if smtp:
                    smtp.close()
                smtp = None
                time.sleep(0.02)


class UnderLoad(SpaceTest):
    def setUp(self):
        self.random = random.Random(SEED)
        self.two = Beside(self.space, names=("alpha",))
        self.addCleanup(self.two.close)
        self.config = self.two.configs["alpha"]
        self.data = self.two.data("alpha")
        self.target = self.config.parent / "backup"
        self.keys = self.config.parent / "keys"

    def run(self, result=None):
        before = len(result.failures) + len(result.errors) if result else 0
        super().run(result)
        if result and len(result.failures) + len(result.errors) > before and hasattr(self, "two"):
            print(f"BACKUP_SEED={SEED}\n{self.two.output()}")

    def folder(self, person):
        """Identities, UIDs, UIDVALIDITY and UIDNEXT of an INBOX; every message is read whole."""
        connection = self.two.imap(person)
        _, data = connection.status("INBOX", "(UIDNEXT UIDVALIDITY)")
        status = {key.decode(): int(value) for key, value in re.findall(rb"([A-Z]+) (\d+)", data[0])}
        connection.select("INBOX", readonly=True)
        found = {}
        kind, data = connection.uid("FETCH", "1:*", "(RFC822.SIZE BODY.PEEK[])")
        assert kind == "OK", data
        for part in data:
            if isinstance(part, tuple):
                uid = int(re.search(rb"UID (\d+)", part[0])[1])
                identity = re.search(rb"Message-ID: <(.*)@sauvegarde\.fr>", part[1])[1].decode()
                assert part[1].endswith(f"fin {identity}\r\n".encode()), identity
                found[identity] = uid
        connection.logout()
        return found, status

    def test_what_was_acknowledged_before_comes_back(self):
        marie, paul = self.space.person("alpha"), self.space.person("alpha", index=1)
        load = [Load(self.two, marie, [paul["mailbox"]]), Load(self.two, paul, [marie["mailbox"], paul["mailbox"]])]
        for thread in load:
            thread.start()
        killed = 0
        try:
            for number in range(40):
                if number > 5 and killed > 2:
                    break
                # Killed at some moment: the folder is a backup once one was finished, and stays one.
                process = subprocess.Popen([BINARY, "backup", self.target, "--config", self.config],
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(self.random.uniform(0.01, 0.2))
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    killed += 1
                process.wait()
                if number == 3:
                    # The server too, in the middle of deliveries.
                    self.two.kill("alpha")
                    self.two.start("alpha")
            wait_for("some load", lambda: all(thread.number > 40 for thread in load))
            before = [list(thread.acknowledged) for thread in load]
            told = command("backup", self.target, config=self.config).stdout
            self.assertIn("the keys are not in it", told)
        finally:
            for thread in load:
                thread.end = True
            for thread in load:
                thread.join(PATIENCE)
        self.assertGreater(killed, 0, f"no backup was killed (seed {SEED})")
        command("keys", "export", self.keys, config=self.config)
        self.assertEqual(os.stat(self.keys).st_mode & 0o777, 0o600)
        later = {person["id"]: self.folder(person) for person in (marie, paul)}
        master = self.config.parent / "master.key"
        shutil.copy(self.data / "store/keys/master.key", master)
        self.two.stop("alpha")
        self.assertEqual([path.name for path in self.target.rglob("*.key*")], [], "no keys in a backup")
        refused = command("restore", self.target, "--keys", self.keys, config=self.config, ok=False).stderr
        self.assertIn("is not empty", refused)

        # An empty machine.
        self.data.rename(self.config.parent / "lost")
        refused = command("restore", self.target, "--keys", self.keys, config=self.config, ok=False).stderr
        self.assertIn("master key", refused)
        told = command("restore", self.target, "--keys", self.keys, "--master-key", master, config=self.config).stdout
        self.assertIn("messages of", told)
        self.assertIn("clean", command("fsck", config=self.config).stdout)
        self.assertGreater(sum(1 for _ in (self.data / "traces").glob("*.jsonl")), 0)
        self.two.start("alpha")
        wanted = {marie["id"]: set(before[1]), paul["id"]: set(before[0]) | set(before[1])}
        for person in (marie, paul):
            found, status = self.folder(person)
            known, was = later[person["id"]]
            lost = wanted[person["id"]] - set(found)
            self.assertEqual(lost, set(), f"lost (seed {SEED})")
            self.assertEqual(status["UIDVALIDITY"], was["UIDVALIDITY"])
            self.assertGreaterEqual(status["UIDNEXT"], was["UIDNEXT"], "UIDs given since are not given again")
            for identity, uid in found.items():
                self.assertEqual(known[identity], uid, "a client would take it for another message")
        # It goes on, above all UIDs of before.
        with self.two.smtp(marie) as smtp:
            smtp.sendmail(marie["mailbox"], [paul["mailbox"]], message("after", sender=marie["mailbox"]))
        found, _ = self.folder(paul)
        self.assertGreaterEqual(found["after"], later[paul["id"]][1]["UIDNEXT"])
        print(f"\n{len(found)} messages back, {killed} backups killed, seed {SEED}")

    def test_a_full_disk_leaves_the_former_backup(self):
        mount = Path(tempfile.mkdtemp(prefix="vaguemestre-small-"))
        self.addCleanup(mount.rmdir)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(mount)], capture_output=True)
        if done.returncode != 0:
            self.skipTest("a file system cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", str(mount)], check=True)
        marie = self.space.person("alpha")
        with self.two.smtp(marie) as smtp:
            for number in range(5):
                smtp.sendmail(marie["mailbox"], [marie["mailbox"]], message(f"first-{number}", 100_000, marie["mailbox"]))
            target = mount / "backup"
            command("backup", target, config=self.config)
            for number in range(100):
                smtp.sendmail(marie["mailbox"], [marie["mailbox"]], message(f"then-{number}", 200_000, marie["mailbox"]))
            refused = command("backup", target, config=self.config, ok=False).stderr
            self.assertIn("no space left", refused)
            # The server is well.
            smtp.sendmail(marie["mailbox"], [marie["mailbox"]], message("after", sender=marie["mailbox"]))
        command("keys", "export", self.keys, config=self.config)
        master = self.config.parent / "master.key"
        shutil.copy(self.data / "store/keys/master.key", master)
        self.two.stop("alpha")
        self.data.rename(self.config.parent / "lost")
        told = command("restore", target, "--keys", self.keys, "--master-key", master, config=self.config).stdout
        self.assertIn(": 5 messages", told)
        self.assertIn("clean", command("fsck", config=self.config).stdout)


class Alone(unittest.TestCase):
    """One operator, most of the time without a server."""

    @classmethod
    def setUpClass(cls):
        cls.space = Space()
        cls.domain = cls.space.operator("alpha")["domain"]
        cls.person = cls.space.person("alpha")

    @classmethod
    def tearDownClass(cls):
        cls.space.close()

    def setUp(self):
        self.random = random.Random(SEED)
        self.config = configuration(self.space, "alpha", "backup")
        self.folder = self.config.parent
        self.data = self.folder / "data"
        self.keys = self.folder / "keys"
        self.boxes = 0

    def make(self, address, count=30, size=300, large=0):
        """A mailbox with messages, by an import."""
        serve.mailbox(self.config, "create", address, "--kind", "ORG", "--holder", "1750000001")
        serve.mailbox(self.config, "grant", address, "--person", self.person["id"], "--role", "member")
        self.boxes += 1
        source = self.folder / f"source-{self.boxes}"
        for place in ("cur", "new", "tmp"):
            (source / place).mkdir(parents=True)
        for number in range(count + large):
            text = message(number, size if number < count else 400_000)
            (source / "cur" / f"{number:06}.x:2,").write_bytes(text)
        command("import", "maildir", source, "--into", address, config=self.config)
        return address

    def mail(self, address):
        """The numbers of the messages that can be read, by an export."""
        out = Path(tempfile.mkdtemp(dir=self.folder)) / "out"
        command("export", "mbox", out, "--from", address, config=self.config)
        with contextlib.closing(mailboxes.mbox(out / "INBOX.mbox", create=False)) as box:
            return sorted(int(one["Subject"].split()[-1]) for one in box)

    def fsck(self, *arguments, code):
        done = run(BINARY, "fsck", *arguments, "--json", "--config", self.config, ok=None)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return json.loads(done.stdout) if done.stdout else None

    def master(self):
        path = self.folder / "master.key"
        shutil.copy(self.data / "store/keys/master.key", path)
        return path

    def restore(self, backup, *options, ok=True):
        self.data.rename(Path(tempfile.mkdtemp(dir=self.folder)) / "data")
        return command("restore", backup, "--keys", self.keys, "--master-key", self.folder / "master.key", *options,
                       config=self.config, ok=ok)

    def test_what_is_deleted_is_gone_everywhere(self):
        gone, kept = self.make(f"oubli@{self.domain}", 5), self.make(f"garde@{self.domain}", 5)
        backup = self.folder / "backup"
        server = Server(self.config)
        self.addCleanup(server.close)
        command("backup", backup, config=self.config)
        command("keys", "export", self.keys, config=self.config)
        master, old = self.master(), self.folder / "old"
        shutil.copy(self.keys, old)
        server.mailbox("delete", gone, "--yes")
        command("keys", "export", self.keys, config=self.config)
        server.stop()
        self.assertEqual(self.fsck(code=0)["without_key"], 0)
        # Nothing of it is in clear anywhere, and the key it was kept under, as wrapped, only in the old export.
        blob = old.read_bytes()
        wrapped = self.slots(blob)
        dead = next(value for number, value in wrapped.items() if not self.slots(self.keys.read_bytes())[number])
        for file in [*self.data.rglob("*"), *backup.rglob("*"), self.keys]:
            if file.is_file():
                octets = file.read_bytes()
                self.assertNotIn(dead, octets, file)
                self.assertNotIn(b"Subject: lettre", octets, file)
        self.assertIn("1 mailbox(es) were erased", self.restore(backup).stdout)
        self.assertEqual(self.mail(kept), [0, 1, 2, 3, 4])
        self.assertNotIn(gone, serve.mailbox(self.config, "list").stdout)
        self.fsck(code=0)
        # That it is the export that matters: with the old one it would be back.
        shutil.copy(old, self.keys)
        self.restore(backup)
        self.assertEqual(self.mail(gone), [0, 1, 2, 3, 4])

    @staticmethod
    def slots(export):
        found, at = {}, 16
        while (number := int.from_bytes(export[at:at + 8])) != (1 << 64) - 1:
            length = int.from_bytes(export[at + 8:at + 10])
            found[number] = export[at + 10:at + 10 + length]
            at += 10 + length
        return found

    def test_random_damage_is_found_named_and_repaired(self):
        address = self.make(f"fsck@{self.domain}", 60, 2000, large=2)
        backup = self.folder / "backup"
        command("backup", backup, config=self.config)
        store = self.data / "store"
        self.fsck(code=0)
        everything = list(range(62))
        self.assertEqual(self.mail(address), everything)
        saved = self.folder / "saved"
        shutil.copytree(store, saved)
        segment = store / "segments/00000001.seg"
        where = sqlite3.connect(store / "store.db").execute("SELECT place + 72, stored - 72 FROM body ORDER BY id").fetchall()

        def flip(path, place):
            octets = bytearray(path.read_bytes())
            octets[place] ^= 1 << self.random.randrange(8)
            path.write_bytes(octets)

        def sql(text):
            with sqlite3.connect(store / "store.db") as connection:
                connection.execute(text)
            connection.close()

        def flips():
            hurt = self.random.sample(range(60), 3)
            for number in hurt:
                place, length = where[number]
                flip(segment, place + self.random.randrange(length))
            return hurt

        def truncated():
            place, _ = where[40]
            os.truncate(segment, place + 10)
            # Files of large messages stay; their records, which say how they are encrypted, do not.
            return list(range(40, 62))

        def without_file():
            victim = self.random.choice([path for path in (store / "bodies").rglob("*") if path.is_file()])
            victim.unlink()
            return None

        def rows():
            sql("DELETE FROM body WHERE id IN (3, 5)")
            return [2, 4]

        def counts():
            sql("UPDATE mailbox SET octets = 1, messages = 2")
            return []

        def page():
            path = store / "store.db"
            octets = bytearray(path.read_bytes())
            for place in range(8192, len(octets), 4096):
                octets[place:place + 40] = self.random.randbytes(40)
            path.write_bytes(octets)
            return everything

        def no_database():
            (store / "store.db").unlink()
            return everything

        for damage in (flips, truncated, without_file, rows, counts, page, no_database):
            with self.subTest(damage=damage.__name__, seed=SEED):
                hurt = damage()
                if damage in (page, no_database):
                    found = self.fsck(code=1 if damage is page and (store / "store.db").exists() and self.opens(store) else 4)
                else:
                    found = self.fsck(code=1)
                    again = self.fsck(code=1)
                    self.assertEqual(found, again, "looking changes nothing")
                    named = found["damaged"] + found["dangling"]
                    self.assertTrue(all(one["mailbox"] == address and one["folder"] == "INBOX" for one in named), named)
                    if hurt is not None:
                        self.assertEqual(sorted(one["uid"] - 1 for one in named), sorted(hurt))
                    else:
                        self.assertEqual(len(named), 1)
                    # Without a backup, nothing that can be read is lost.
                    repaired = self.fsck("--repair", code=3 if damage in (rows, counts) else 1)
                    self.assertEqual(len(repaired["damaged"]), len(found["damaged"]))
                    if damage in (rows, counts):
                        self.fsck(code=0)
                        self.assertEqual(self.mail(address), [n for n in everything if n not in hurt])
                    else:
                        self.fsck(code=1)
                if damage not in (rows, counts):
                    self.fsck("--repair", "--from", backup, code=3)
                    self.fsck(code=0)
                    self.assertEqual(self.mail(address), everything)
                shutil.rmtree(store)
                shutil.copytree(saved, store)
        self.assertEqual(run(BINARY, "fsck", "--nonsense", ok=None).returncode, 2)

    @staticmethod
    def opens(store):
        """Whether SQLite can read what fsck reads first."""
        try:
            with sqlite3.connect(f"file:{store}/store.db?mode=ro", uri=True) as connection:
                connection.execute("SELECT * FROM mailbox").fetchall()
            return True
        except sqlite3.DatabaseError:
            return False

    def test_the_operators_key_is_changed(self):
        address = self.make(f"cle@{self.domain}", 3)
        new = self.folder / "new.key"
        new.write_text(os.urandom(32).hex())
        os.chmod(new, 0o644)
        self.assertIn("chmod 600", command("keys", "rewrap", "--new-key-file", new, config=self.config, ok=False).stderr)
        os.chmod(new, 0o600)
        server = Server(self.config)
        self.assertIn("another server", command("keys", "rewrap", "--new-key-file", new, config=self.config, ok=False).stderr)
        self.assertEqual(run(BINARY, "fsck", "--config", self.config, ok=None).returncode, 4)
        server.stop()
        self.assertIn("key_file", command("keys", "rewrap", "--new-key-file", new, config=self.config).stdout)
        self.assertIn("master key", command("keys", "export", self.keys, config=self.config, ok=False).stderr)
        self.config.write_text(self.config.read_text() + f'\n[store]\nkey_file = "{new}"\n')
        command("keys", "export", self.keys, config=self.config)
        self.fsck(code=0)
        self.assertEqual(self.mail(address), [0, 1, 2])
        # A folder copied without its keys gets them back.
        (self.data / "store/keys/data.keys").unlink()
        self.assertEqual(run(BINARY, "fsck", "--config", self.config, ok=None).returncode, 4)
        self.assertIn("2 keys were brought", command("keys", "import", self.keys, config=self.config).stdout)
        self.assertEqual(self.mail(address), [0, 1, 2])

    def test_mail_of_format_1_is_encrypted_and_wiped(self):
        store = self.data / "store"
        store.mkdir(parents=True)
        with tarfile.open(FIXTURE) as archive:
            archive.extractall(store, filter="data")
        clear = lambda: any(b"Subject: message" in (store / name).read_bytes()
                            for name in ("store.db", "store.db-wal") if (store / name).exists())
        self.assertTrue(clear())
        server = Server(self.config)
        self.addCleanup(server.close)
        wait_for("clear text to be wiped", lambda: not clear())
        out = self.folder / "out"
        address = "bal1@alpha.formation.mssante.fr"
        command("export", "mbox", out, "--from", address, config=self.config)
        with contextlib.closing(mailboxes.mbox(out / "INBOX.mbox", create=False)) as box:
            self.assertIn("message 13", [one["Subject"] for one in box])
            self.assertGreaterEqual(len(box), 9)
        server.stop()
        self.fsck(code=0)
        self.assertFalse(clear())
        for file in store.rglob("*"):
            if file.is_file():
                self.assertNotIn(b"Subject: message", file.read_bytes(), file)

    def test_deleting_mail_gives_the_disk_back(self):
        address = self.make(f"place@{self.domain}", 2000, 80_000)
        server = Server(self.config)
        self.addCleanup(server.close)
        store = self.data / "store"
        before = octets_below(store)
        self.assertGreater(before, 150 << 20)
        wire = serve.imap(self.space, server)
        answer = wire.imap(f"AUTHENTICATE XOAUTH2 {b64(xoauth2(address, self.space.token(self.person['id'])))}")
        self.assertIn(b" OK ", answer[-1])
        self.assertIn(b" OK ", wire.imap("SELECT INBOX")[-1])
        self.assertIn(b" OK ", wire.imap(r"UID STORE 101:* +FLAGS.SILENT (\Deleted)")[-1])
        self.assertIn(b" OK ", wire.imap("EXPUNGE")[-1])
        # What is still being written to is kept: at most two segments, and the database.
        wait_for("the disk to be given back", lambda: octets_below(store) < before // 3)
        self.assertEqual(len(self.mail(address)), 100)
        wire.close()
        server.stop()
        self.fsck(code=0)


if __name__ == "__main__":
    main()
