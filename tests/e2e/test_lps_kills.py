"""kill -9 of `lps send`, `lps intake` and `lps clean` at random moments: no message is lost, filed twice, answered twice, or deleted unprocessed.

KILL_ROUNDS: how many times each side is killed (8). KILL_SEED: the same moments again. (ECO-ERR, ECO-RECEIPT, ECO-CLEAN; ADR 3 and 14)
"""

import email
import email.policy
import io
import json
import os
import random
import time
import unittest
import zipfile
from collections import Counter

from lps import Lps
from space import FIXTURES, SpaceTest, main, wait_for

ROUNDS = int(os.environ.get("KILL_ROUNDS", "8"))
SEED = int(os.environ.get("KILL_SEED", str(random.randrange(1 << 32))))
LETTER, BIOLOGY = FIXTURES / "cda-n3-lettre-liaison.xml", FIXTURES / "cda-n1-biologie.xml"
INS = "255069999999934"


class Kills(SpaceTest):
    def setUp(self):
        self.random = random.Random(SEED)
        space = self.space
        person, self.platform = space.person("alpha"), space.application("beta")
        self.person = person
        self.marie = Lps(space, "marie", person["mailbox"], person["id"], "Dr_Marie_MARTIN_Cabinet des Lilas")
        self.addCleanup(self.marie.close)
        self.marie.login(person["id"])
        self.labo = Lps(space, "labo", self.platform["mailbox"], label="Laboratoire Beta", application=self.platform)
        self.records = self.labo.work / "dossiers"
        self.records.mkdir()
        # How long each command takes when it is left alone, as far as is known.
        self.lasts = {}
        self.killed, self.whole = Counter(), Counter()

    def run(self, result=None):
        before = len(result.failures) + len(result.errors) if result else 0
        super().run(result)
        if result and len(result.failures) + len(result.errors) > before:
            print(f"KILL_SEED={SEED}")

    def alone(self, user, *arguments):
        """To its end, timed."""
        begun = time.monotonic()
        said = user(*arguments, "--json")
        self.lasts[arguments[0]] = time.monotonic() - begun
        return said

    def at_random(self, commands):
        """Begins each and kills it at a random moment; what those said that came to their end."""
        running = []
        for user, *arguments in commands:
            process = user.start(*arguments, "--json")
            name = arguments[0]
            state = {"send": user.home / "lps/outbox", "outbox": user.home / "lps/outbox", "intake": user.home / "lps/intake", "clean": user.home / "lps/intake"}[name]
            # Somewhere in what it takes; or soon after it has written something, where most is at stake.
            after = self.random.uniform(0, 1.2 * self.lasts[name])
            soon = self.random.choice((None, self.random.uniform(0, 0.05), self.random.uniform(0, 0.4)))
            running.append([process, name, after, soon, state, self.written(state)])
        begun, said = time.monotonic(), []
        while running:
            for one in list(running):
                process, name, after, soon, state, before = one
                now = time.monotonic() - begun
                if soon is not None and self.written(state) != before:
                    one[2], one[3] = now + soon, None
                elif soon is not None and now < 4 * self.lasts[name] and process.poll() is None:
                    continue
                if one[3] is not None or now >= one[2]:
                    ended = process.poll() is not None
                    process.kill()
                    out, wrong = process.communicate()
                    (self.whole if ended else self.killed)[name] += 1
                    running.remove(one)
                    if ended:
                        self.assertEqual(process.returncode, 0, (name, out, wrong))
                        said.append((name, out))
            time.sleep(0.002)
        return said

    @staticmethod
    def written(folder):
        """What is on disk, by name and size: changes with every entry and every line."""
        found = []
        for path in folder.rglob("*"):
            try:
                found.append((str(path), path.stat().st_size))
            except FileNotFoundError:
                pass
        return sorted(found)

    def damaged(self):
        """A mail whose archive does not hold what it announces: refused, and never deleted by itself."""
        dry = self.marie("send", "--to", self.platform["mailbox"], "--cda", LETTER, "--text", "x", "--request-receipt", "--dry-run")
        mail = email.message_from_string(dry, policy=email.policy.default)
        archive = zipfile.ZipFile(io.BytesIO(next(mail.iter_attachments()).get_content()))
        changed = io.BytesIO()
        with zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as out:
            for name in archive.namelist():
                octets = archive.read(name)
                out.writestr(name, octets.replace(b"JEANNE", b"JEANNA") if b"<ClinicalDocument" in octets[:2000] else octets)
        next(mail.iter_attachments()).set_content(changed.getvalue(), maintype="application", subtype="zip", filename="IHE_XDM.zip")
        smtp = self.space.smtp(self.person)
        smtp.sendmail(self.person["mailbox"], [self.platform["mailbox"]], mail.as_bytes(policy=email.policy.SMTP))
        smtp.quit()
        return mail["Message-ID"]

    def filed(self):
        return sorted(path for path in self.records.glob("*/*"))

    def test_killed_at_random(self):
        sends = 0

        def send():
            nonlocal sends
            sends += 1
            document = self.random.choice((LETTER, BIOLOGY))
            return ["send", "--to", self.platform["mailbox"], "--cda", document, "--text", f"envoi {sends}", "--request-receipt"]

        # What is to stay whatever happens: a word without documents, and what is refused.
        letter = json.loads(self.marie("send", "--to", self.platform["mailbox"], "--subject", "pour vous", "--text", "un mot", "--json"))["message_id"]
        stays = {letter, self.damaged()}
        accepted = {json.loads(self.alone(self.marie, *send()))["message_id"]}
        wait_for("the first", lambda: len(self.labo.messages()) == 3)
        self.alone(self.labo, "intake", "--into", self.records, "--once")
        self.alone(self.labo, "clean", "--yes")
        self.lasts["outbox"] = self.lasts["send"]
        for number in range(ROUNDS):
            intake = ["intake", "--into", self.records]
            platform = self.random.choice((intake, [*intake, "--once"], [*intake, "--once"], ["clean", "--yes"]))
            sender = send() if self.random.random() < 0.8 else ["outbox", "--send"]
            for name, said in self.at_random([(self.marie, *sender), (self.labo, *platform)]):
                if name == "send":
                    accepted.add(json.loads(said)["message_id"])
            # What is in the outbox will have to arrive.
            accepted |= {one["message_id"] for one in self.marie.json("outbox")["outbox"]}
        # Whatever the traces say the operator took.
        accepted |= {one["message_id"] for one in self.marie.lines("traces", "--action", "send") if one["done"] and one["message_id"] != letter}

        # Left alone now.
        self.marie("outbox", "--send", code=None)
        self.assertEqual(self.marie.json("outbox")["outbox"], [], "our operator recognises what it has had: nothing is uncertain")

        def settled():
            passes = [json.loads(line) for line in self.labo("intake", "--into", self.records, "--once", "--json").splitlines()]
            return len(self.filed()) >= len(accepted) and not any(one.get("filed") or one.get("refused") or one.get("sent") for one in passes
                                                                  if one["event"] == "pass")
        wait_for("everything filed and answered", settled)
        cleaned = self.labo.json("clean", "--yes")
        self.assertEqual(self.labo.json("clean", "--yes")["done"]["deleted"], 0, "one is enough")

        # Nothing unprocessed was deleted, and nothing processed is left.
        self.assertEqual({one["message_id"] for one in self.labo.messages()}, stays)
        self.assertEqual(len(self.labo.messages()), len(stays))
        # Each message is filed once, whole.
        folders = self.filed()
        self.assertTrue(all(folder.parent.name == INS and not folder.name.startswith(".") for folder in folders), folders)
        self.assertTrue(all(len(list(folder.iterdir())) == 2 for folder in folders), "the document and its copy")
        for folder in folders:
            self.assertIn(next(folder.glob("*.xml")).read_bytes(), (LETTER.read_bytes(), BIOLOGY.read_bytes()))
        # Each is answered once: what was filed by one notice, what was refused by another.
        def notices():
            about = Counter()
            for one in self.marie.messages():
                read = self.marie.json("read", one["uid"], "--keep-unseen") if one["report"] else {"kind": None}
                if read["kind"] == "notice":
                    self.assertEqual(len(read["report"]["about"]), 1, read["report"])
                    about[read["report"]["about"][0], read["report"]["integrated"]] += 1
            return about if len(about) > len(folders) else None
        about = wait_for("the notices", notices)
        self.assertEqual([key for key, count in about.items() if count > 1], [], "answered twice")
        self.assertEqual({id for id, integrated in about if not integrated}, stays - {letter})
        self.assertEqual(len([id for id, integrated in about if integrated]), len(folders), "filed once, answered once")
        self.assertLessEqual(accepted, {id for id, _ in about}, "lost")
        print(f"\n{ROUNDS} rounds, {dict(self.killed)} killed, {dict(self.whole)} came to their end; {sends} sendings begun, {len(accepted)} known to be taken, "
              f"{len(folders)} filed and answered, each once; {cleaned['done']['deleted']} deleted at the end, {len(stays)} stay; seed {SEED}")
        self.assertGreater(sum(self.killed.values()), ROUNDS // 2, "hardly anything was killed")


if __name__ == "__main__":
    main()
