"""kill -9 at random moments under load: what was acknowledged is there, once, and nothing else (OPE-QUEUE; issue 2, "A crash test").

Two operators run beside a sandbox on the same data folders all along (see beside.py: they start in a moment, so many rounds fit in a
test; the sandbox's PSC, name server and lists stay up). Threads load them and keep a ledger of what was acknowledged:

* submission at alpha for alpha (local) and for two mailboxes of beta (relayed);
* the operator interface of beta, with alpha's certificate, as a relay that sends again until it has its 250;
* APPEND, STORE, EXPUNGE, MOVE and COPY on a mailbox of each.

Each round kills alpha, beta or both while that goes on, and starts them again. Every few rounds the threads pause, the queue drains,
and everything in every mailbox is compared with the ledgers. A command without an answer may have been done or not, never in part.

CRASH_ROUNDS: how many rounds (20). CRASH_SEED: the moments and the choices again (the interleaving is the machine's).
"""

import imaplib
import os
import random
import re
import smtplib
import ssl
import threading
import time
import unittest
from collections import Counter
from email.utils import formatdate

from beside import Beside
from space import PATIENCE, SpaceTest, main, wait_for

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "20"))
SEED = int(os.environ.get("CRASH_SEED", random.randrange(1 << 32)))
# Rounds between two comparisons.
TOGETHER = 5
# What a broken connection looks like, in Python's various words.
BROKEN = (OSError, EOFError, ssl.SSLError, imaplib.IMAP4.abort, smtplib.SMTPServerDisconnected, smtplib.SMTPConnectError)
# Between two commands of a thread, so that the ledgers stay comparable in seconds.
BREATH = 0.01
# What each of the IMAP threads does.
WORK = ("append", "store", "expunge", "move", "copy")
# How often the relay in Python loses an answer.
LOST = 0.05


class Load(threading.Thread):
    """A thread that works until told to stop, through crashes; `step` is one piece of work over `self.connection`."""

    def __init__(self, test, seed):
        super().__init__(daemon=True)
        self.test, self.two = test, test.two
        self.random = random.Random(seed)
        self.connection = None
        self.gate, self.idle, self.end = threading.Event(), threading.Event(), False
        self.failure = None
        self.number = 0
        self.gate.set()

    def identity(self):
        self.number += 1
        return f"{type(self).__name__.lower()}-{id(self):x}-{self.number}"

    def run(self):
        try:
            while not self.end:
                if not self.gate.is_set():
                    self.idle.set()
                    self.gate.wait(0.05)
                    continue
                try:
                    self.connection = self.connection or self.open()
                    self.step()
                except BROKEN:
                    self.drop()
                    time.sleep(0.02)
                time.sleep(BREATH)
        except BaseException as error:
            self.failure = error
            raise
        finally:
            self.drop()
            self.idle.set()

    def drop(self):
        try:
            if self.connection:
                self.connection.shutdown() if isinstance(self.connection, imaplib.IMAP4) else self.connection.close()
        except BROKEN:
            pass
        self.connection = None

    def pause(self):
        self.idle.clear()
        self.gate.clear()

    def wait_paused(self):
        if not self.idle.wait(PATIENCE):
            raise AssertionError(f"{self} does not pause")

    def resume(self):
        self.gate.set()

    def text(self, sender, recipient, identity, padding):
        # Some are larger than what the store keeps in its tables: files of their own.
        body = "".join(f"{self.random.randrange(1 << 60):060d}\r\n" for _ in range(padding))
        return (f"From: {sender}\r\nTo: {recipient}\r\nSubject: {identity}\r\nDate: {formatdate()}\r\n"
                f"Message-ID: <{identity}@crash.test>\r\n\r\n{body}.\r\n")

    def padding(self):
        return self.random.choice((1, 1, 1, 1, 200, 3000))


class Ledger:
    """What was sent to mailboxes: attempted, and acknowledged."""

    def __init__(self):
        self.attempted, self.acknowledged = {}, {}
        self.lock = threading.Lock()

    def note(self, into, mailbox, identity):
        with self.lock:
            into.setdefault(mailbox, set()).add(identity)


class Submit(Load):
    """Submission by a person of alpha, for these mailboxes."""

    def __init__(self, test, seed, person, mailboxes):
        super().__init__(test, seed)
        self.person, self.mailboxes = person, mailboxes

    def open(self):
        return self.two.smtp(self.person)

    def step(self):
        identity = self.identity()
        for mailbox in self.mailboxes:
            self.test.ledger.note(self.test.ledger.attempted, mailbox, identity)
        text = self.text(self.person["mailbox"], self.mailboxes[0], identity, self.padding())
        refused = self.connection.sendmail(self.person["mailbox"], self.mailboxes, text)
        assert refused == {}, refused
        for mailbox in self.mailboxes:
            self.test.ledger.note(self.test.ledger.acknowledged, mailbox, identity)


class Inject(Load):
    """A relay at beta's door, with alpha's certificate: without an answer, the very same octets again."""

    def __init__(self, test, seed, mailbox):
        super().__init__(test, seed)
        self.mailbox, self.waiting = mailbox, None

    def open(self):
        alpha = self.two.operator("alpha")
        return self.two.smtp_tls("beta", "mx", certificate=alpha["certificate"], key=alpha["key"])

    def step(self):
        if not self.waiting:
            identity = self.identity()
            received = f"Received: from lps by mx.alpha with ESMTPSA id {self.number};\r\n\t{formatdate()}\r\n"
            self.waiting = identity, received + self.text("relais@alpha.formation.mssante.fr", self.mailbox, identity, self.padding())
        identity, text = self.waiting
        self.test.ledger.note(self.test.ledger.attempted, self.mailbox, identity)
        if self.random.random() < LOST:
            self.lose(text)
        self.connection.sendmail("relais@alpha.formation.mssante.fr", [self.mailbox], text)
        self.test.ledger.note(self.test.ledger.acknowledged, self.mailbox, identity)
        self.waiting = None


    def lose(self, text):
        """All is sent, and the connection breaks before the answer: the moment between the commit and its 250."""
        smtp = self.connection
        assert smtp.mail("relais@alpha.formation.mssante.fr")[0] == 250
        assert smtp.rcpt(self.mailbox)[0] == 250
        assert smtp.docmd("DATA")[0] == 354
        smtp.send(smtplib.quotedata(text) + ".\r\n")
        raise smtplib.SMTPServerDisconnected("lost on purpose")


class Message:
    """A message of the IMAP thread and all the states it may be in."""

    def __init__(self, identity, flags):
        self.identity, self.uid = identity, None
        # (copies in Work, copies in Kept)
        self.places = {(1, 0)}
        self.flags, self.kept = [frozenset(flags)], []

    def certain(self):
        return len(self.places) == 1 and len(self.flags) == 1


class Imap(Load):
    """APPEND, STORE, EXPUNGE, MOVE and COPY in the folders Work and Kept of a mailbox of software."""

    FLAGS = ("\\Seen", "\\Answered", "\\Flagged", "$Traite", "$Integre")

    def __init__(self, test, seed, application):
        super().__init__(test, seed)
        self.application = application
        self.messages = {}
        self.uids = {"Work": {}, "Kept": {}}
        self.done = Counter()
        # Folders whose CREATE was answered.
        self.made = set()

    def open(self):
        connection = self.two.imap_application(self.application)
        connection.socket().settimeout(PATIENCE)
        for folder in ("Work", "Kept"):
            if not any(folder.encode() in line for line in connection.list('""', folder)[1] if line):
                self.ok(connection.create(folder))
            self.made.add(folder)
        connection.select("Work")
        return connection

    def choose(self, most=5):
        """Messages surely in Work, in no doubt."""
        sure = [m for m in self.messages.values() if m.uid and m.certain() and next(iter(m.places))[0] == 1]
        return sorted(self.random.sample(sure, min(len(sure), self.random.randint(1, most))), key=lambda m: m.uid)

    def step(self):
        self.random.choice((self.append, self.append, self.append, self.store, self.store, self.expunge, self.move, self.copy))()

    def ok(self, answer):
        """The server answered, and the answer is OK: nothing here is to be refused."""
        kind, data = answer
        assert kind == "OK", (kind, data)
        return data

    def append(self):
        identity = self.identity()
        flags = self.random.sample(self.FLAGS, self.random.randint(0, 3))
        message = self.messages[identity] = Message(identity, flags)
        message.places.add((0, 0))
        text = self.text("qui@lps.test", self.application["mailbox"], identity, self.padding()).encode()
        data = self.ok(self.connection.append("Work", f"({' '.join(flags)})", None, text))
        message.places = {(1, 0)}
        message.uid = int(re.search(rb"APPENDUID \d+ (\d+)", data[0])[1])
        self.known("Work", message.uid, identity)
        self.done["append"] += 1

    def known(self, folder, uid, identity):
        before = self.uids[folder].setdefault(uid, identity)
        assert before == identity, f"UID {uid} of {folder} was {before} and is {identity}"

    def uid_set(self, messages):
        return ",".join(str(message.uid) for message in messages)

    def store(self):
        if not (messages := self.choose()):
            return
        how = self.random.choice(("FLAGS", "+FLAGS", "-FLAGS", "+FLAGS.SILENT"))
        flags = frozenset(self.random.sample(self.FLAGS, self.random.randint(1, 3)))
        after = {}
        for message in messages:
            now, = message.flags
            after[message.identity] = flags if how == "FLAGS" else now - flags if how[0] == "-" else now | flags
            message.flags = [now, after[message.identity]]
        self.ok(self.connection.uid("STORE", self.uid_set(messages), how, f"({' '.join(flags)})"))
        for message in messages:
            message.flags = [after[message.identity]]
        self.done["store"] += 1

    def expunge(self):
        if not (messages := self.choose(3)):
            return
        for message in messages:
            message.flags = message.flags + [message.flags[0] | {"\\Deleted"}]
        self.ok(self.connection.uid("STORE", self.uid_set(messages), "+FLAGS", "(\\Deleted)"))
        for message in messages:
            message.flags = message.flags[1:]
            message.places = {(1, 0), (0, 0)} if message.places == {(1, 0)} else {(w - n, k) for w, k in message.places for n in (0, 1)}
        self.ok(self.connection.uid("EXPUNGE", self.uid_set(messages)))
        for message in messages:
            message.places = {min(message.places)}
        self.done["expunge"] += 1

    def copied(self, messages):
        """The COPYUID of a COPY (in its OK) or of a MOVE (untagged)."""
        _, source, target = self.connection.untagged_responses.pop("COPYUID")[-1].split()
        assert self.numbers(source) == [message.uid for message in messages], source
        for uid, message in zip(self.numbers(target), messages, strict=True):
            self.known("Kept", uid, message.identity)

    @staticmethod
    def numbers(text):
        out = []
        for part in text.decode().split(","):
            first, _, last = part.partition(":")
            out.extend(range(int(first), int(last or first) + 1))
        return out

    def transfer(self, command, leaves):
        if not (messages := self.choose(3)):
            return
        after = {}
        for message in messages:
            (work, kept), = message.places
            after[message.identity] = work - leaves, kept + 1
            message.places = {(work, kept), after[message.identity]}
            message.kept = message.kept + [message.flags[0]]
        self.ok(self.connection.uid(command, self.uid_set(messages), "Kept"))
        self.copied(messages)
        for message in messages:
            message.places = {after[message.identity]}
        self.done[command.lower()] += 1

    def move(self):
        self.transfer("MOVE", 1)

    def copy(self):
        self.transfer("COPY", 0)


class Folder:
    """All of a folder, as FETCH and STATUS tell it."""

    def __init__(self, connection, name):
        kind, data = connection.status(name, "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN SIZE)")
        assert kind == "OK", data
        self.status = {key.decode(): int(value) for key, value in re.findall(rb"([A-Z]+) (\d+)", data[0].rsplit(b"(", 1)[1])}
        kind, data = connection.select(name, readonly=True)
        assert kind == "OK", data
        self.exists = int(data[0])
        self.rows = []
        if self.exists:
            kind, data = connection.fetch("1:*", "(UID FLAGS RFC822.SIZE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")
            assert kind == "OK", data
            for part in data:
                if isinstance(part, tuple):
                    head, header = part
                    uid = int(re.search(rb"UID (\d+)", head)[1])
                    size = int(re.search(rb"RFC822.SIZE (\d+)", head)[1])
                    flags = frozenset(re.search(rb"FLAGS \(([^)]*)\)", head)[1].decode().split()) - {"\\Recent"}
                    found = re.search(rb"<(.*)@crash\.test>", header)
                    self.rows.append((uid, found[1].decode() if found else header.decode(), flags, size))

    def bodies(self, connection, rows):
        """Whole messages are as long as they say."""
        for uid, identity, _, size in rows:
            kind, data = connection.uid("FETCH", str(uid), "(BODY.PEEK[])")
            assert kind == "OK" and len(data[0][1]) == size and f"<{identity}@crash.test>".encode() in data[0][1], (uid, identity)
            assert data[0][1].endswith(b".\r\n"), identity


class Crash(SpaceTest):
    def setUp(self):
        self.random = random.Random(SEED)
        self.two = Beside(self.space)
        self.addCleanup(self.two.close)
        self.ledger = Ledger()
        # By mailbox and folder: the message of each UID ever seen, and UIDNEXT.
        self.seen, self.next = {}, {}

    def run(self, result=None):
        before = len(result.failures) + len(result.errors) if result else 0
        super().run(result)
        if result and len(result.failures) + len(result.errors) > before and hasattr(self, "two"):
            print(f"CRASH_SEED={SEED}\n{self.two.output()}")

    def test_what_was_acknowledged_is_there_once(self):
        marie, paul = self.space.person("alpha"), self.space.person("alpha", index=1)
        sophie, julien = self.space.person("beta"), self.space.person("beta", index=1)
        self.mailboxes = {
            "alpha": [(marie, None), (paul, None), (None, self.two.application("alpha"))],
            "beta": [(sophie, None), (julien, None), (None, self.two.application("beta"))],
        }
        far = [sophie["mailbox"], self.two.application("beta")["mailbox"]]
        seeds = iter(range(SEED, SEED + 10))
        self.threads = [
            Submit(self, next(seeds), paul, [marie["mailbox"]]),
            Submit(self, next(seeds), marie, far),
            Submit(self, next(seeds), paul, far[:1] + [paul["mailbox"]]),
            Inject(self, next(seeds), julien["mailbox"]),
        ]
        self.imap_threads = {name: Imap(self, next(seeds), self.two.application(name)) for name in ("alpha", "beta")}
        self.threads += self.imap_threads.values()
        for thread in self.threads:
            thread.start()
        try:
            for round_number in range(1, ROUNDS + 1):
                # Some moment, and on a slow machine not before there was something to lose.
                enough = self.acknowledged() + 12
                time.sleep(self.random.uniform(0.1, 1.2))
                wait_for("some load", lambda: self.alive() or self.acknowledged() >= enough)
                victims = self.random.choice((["alpha"], ["beta"], ["alpha", "beta"], ["alpha", "beta"]))
                self.two.kill(*victims)
                for name in victims:
                    self.two.start(name)
                self.alive()
                if round_number % TOGETHER == 0 or round_number == ROUNDS:
                    self.compare()
            wait_for("each kind of work", lambda: self.alive() or all(self.done()[command] for command in WORK) and self.again() > 0)
        finally:
            for thread in self.threads:
                thread.end = True
                thread.resume()
            for thread in self.threads:
                thread.join(PATIENCE)
        acknowledged, again, done = self.acknowledged(), self.again(), self.done()
        print(f"\n{ROUNDS} rounds, {acknowledged} deliveries and {dict(done)} acknowledged, "
              f"{again} recognised when they came again, seed {SEED}")
        self.assertGreater(again, 0, "nothing came again")
        self.assertGreater(acknowledged, 10 * ROUNDS, "hardly any load")
        for command in WORK:
            self.assertGreater(done[command], 0, command)

    def acknowledged(self):
        """Deliveries that were acknowledged so far."""
        return sum(len(ids) for ids in list(self.ledger.acknowledged.values()))

    def again(self):
        """Messages of which the answer was lost, and that were recognised when they came again."""
        return self.two.traced("beta", "already received")

    def done(self):
        return sum((Counter(thread.done) for thread in self.imap_threads.values()), Counter())

    def alive(self):
        for thread in self.threads:
            if thread.failure:
                raise AssertionError(f"{type(thread).__name__}: {thread.failure!r}") from thread.failure

    def compare(self):
        """Everything in every mailbox against the ledgers."""
        for thread in self.threads:
            thread.pause()
        for thread in self.threads:
            thread.wait_paused()
        self.alive()
        self.drain()
        for operator, mailboxes in self.mailboxes.items():
            for person, application in mailboxes:
                self.compare_mailbox(operator, person, application)
        for thread in self.threads:
            thread.resume()

    def drain(self):
        """Until all that was acknowledged for beta is there, and alpha's queue has nothing more to say."""
        missing = lambda: [
            (mailbox, identity)
            for person, application in self.mailboxes["beta"]
            for mailbox in [(person or application)["mailbox"]]
            for identity in self.ledger.acknowledged.get(mailbox, set()) - self.identities(person, application)]
        try:
            wait_for("the relayed messages", lambda: not missing(), PATIENCE)
        except AssertionError:
            raise AssertionError(f"lost or late: {missing()[:20]}") from None
        # A message of which no 250 came back may still be on its way: nothing moves any more.
        size = lambda: [self.two.usage("beta", (person or application)["mailbox"]) for person, application in self.mailboxes["beta"]]
        before = size()
        while time.sleep(2) or (now := size()) != before:
            before = now

    def login(self, person, application):
        return self.two.imap(person) if person else self.two.imap_application(application)

    def identities(self, person, application):
        connection = self.login(person, application)
        found = {identity for _, identity, _, _ in Folder(connection, "INBOX").rows}
        connection.logout()
        return found

    def compare_mailbox(self, operator, person, application):
        address = (person or application)["mailbox"]
        connection = self.login(person, application)
        names = [line.split(b' "/" ')[1].strip(b'"').decode() for line in connection.list()[1]]
        folders = {name: Folder(connection, name) for name in names}
        for name, folder in folders.items():
            self.consistent(f"{address} {name}", folder)
        rows = folders["INBOX"].rows
        counts = Counter(identity for _, identity, _, _ in rows)
        twice = [identity for identity, count in counts.items() if count > 1]
        self.assertEqual(twice, [], f"twice in {address}")
        lost = self.ledger.acknowledged.get(address, set()) - set(counts)
        self.assertEqual(lost, set(), f"lost in {address}")
        strange = set(counts) - self.ledger.attempted.get(address, set())
        self.assertEqual(strange, set(), f"never sent to {address}")
        if application:
            thread = self.imap_threads[operator]
            # On a slow machine the first crashes may come before its first login.
            self.assertLessEqual(thread.made, set(folders), f"folders lost in {address}")
            self.compare_imap(thread, *(folders[name].rows if name in folders else [] for name in ("Work", "Kept")))
        for name, folder in folders.items():
            if folder.rows:
                connection.select(name, readonly=True)
                # The newest were written nearest to the crashes.
                folder.bodies(connection, folder.rows[-10:] + self.random.sample(folder.rows, min(10, len(folder.rows))))
        connection.logout()
        messages, octets = self.two.usage(operator, address)
        all_rows = [row for folder in folders.values() for row in folder.rows]
        self.assertEqual((messages, octets), (len(all_rows), sum(size for *_, size in all_rows)), f"quota of {address}")

    def consistent(self, place, folder):
        uids = [uid for uid, *_ in folder.rows]
        self.assertEqual(uids, sorted(set(uids)), f"{place}: UIDs do not increase")
        status = folder.status
        self.assertEqual((status["MESSAGES"], folder.exists), (len(uids), len(uids)), place)
        self.assertEqual(status["UNSEEN"], sum("\\Seen" not in flags for _, _, flags, _ in folder.rows), place)
        self.assertEqual(status["SIZE"], sum(size for *_, size in folder.rows), place)
        self.assertTrue(all(uid < status["UIDNEXT"] for uid in uids), place)
        # No folder is made anew here: the same UIDVALIDITY all along, and a UID is of one message for ever.
        validity, uid_next = self.next.get(place, (status["UIDVALIDITY"], 1))
        self.assertEqual(validity, status["UIDVALIDITY"], place)
        self.assertGreaterEqual(status["UIDNEXT"], uid_next, place)
        seen = self.seen.setdefault(place, {})
        for uid, identity, _, _ in folder.rows:
            if uid in seen:
                self.assertEqual(seen[uid], identity, f"{place}: UID {uid} reused")
            else:
                self.assertGreaterEqual(uid, uid_next, f"{place}: UID {uid} given late")
                seen[uid] = identity
        self.next[place] = status["UIDVALIDITY"], status["UIDNEXT"]

    def compare_imap(self, thread, work, kept):
        for folder, rows in (("Work", work), ("Kept", kept)):
            for uid, identity, _, _ in rows:
                self.assertIn(identity, thread.messages, f"{folder}: never appended")
                thread.known(folder, uid, identity)
        in_work, in_kept = ({}, {})
        for where, rows in ((in_work, work), (in_kept, kept)):
            for uid, identity, flags, _ in rows:
                where.setdefault(identity, []).append((uid, flags))
        for identity, message in thread.messages.items():
            here, there = in_work.get(identity, []), in_kept.get(identity, [])
            found = len(here), len(there)
            self.assertIn(found, message.places, f"{identity}: in Work and Kept {found}")
            for uid, flags in here:
                self.assertIn(flags, message.flags, f"{identity}: flags")
                if message.uid:
                    self.assertEqual(uid, message.uid, identity)
            for _, flags in there:
                self.assertIn(flags, message.kept, f"{identity}: flags in Kept")
            # From here on it is what it was found to be.
            message.places = {found}
            if here:
                message.uid, message.flags = here[0][0], [here[0][1]]
            message.kept = [flags for _, flags in there]
        # Gone for good, and seen to be: they would only make the ledger long.
        thread.messages = {i: m for i, m in thread.messages.items() if m.places != {(0, 0)}}


class WholeSandbox(SpaceTest):
    def test_the_sandbox_itself_is_killed(self):
        marie, sophie = self.space.person("alpha"), self.space.person("beta")
        sent = []
        for number in range(3):
            with self.space.smtp(marie) as smtp:
                for index in range(5):
                    identity = f"whole-{number}-{index}"
                    smtp.sendmail(marie["mailbox"], [sophie["mailbox"], marie["mailbox"]],
                                  f"From: {marie['mailbox']}\r\nMessage-ID: <{identity}@crash.test>\r\n\r\n.\r\n")
                    sent.append(identity)
                self.space.kill()
            self.space.start()
        for person in (marie, sophie):
            def ids():
                connection = self.space.imap(person)
                rows = Folder(connection, "INBOX").rows
                connection.logout()
                return [identity for _, identity, _, _ in rows]
            wait_for("all messages", lambda: len(ids()) >= len(sent))
            time.sleep(3)
            self.assertEqual(sorted(ids()), sorted(sent), person["mailbox"])


if __name__ == "__main__":
    main()
