"""`vaguemestre lps`: every subcommand, for people and for programs, with bad input, interrupted, killed (issue 4 §7; ECO-*)."""

import datetime
import email
import email.policy
import io
import json
import os
import pty
import re
import signal
import subprocess
import time
import unittest
import urllib.parse
import urllib.request
import zipfile
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from xml.dom import minidom

from lps import Lps, interrupt
from space import BINARY, FIXTURES, PATIENCE, SpaceTest, Work, main, run, wait_for

LETTER, BIOLOGY = FIXTURES / "cda-n3-lettre-liaison.xml", FIXTURES / "cda-n1-biologie.xml"
SUBCOMMANDS = ["login", "logout", "status", "discover", "boxes", "folders", "list", "find", "read", "open", "thread", "send", "reply",
               "receipts", "outbox", "watch", "search", "traces", "clean", "intake"]
# Of the patient of both documents.
INS = "255069999999934"


class Command(SpaceTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        space = cls.space
        cls.a, cls.b = space.person("alpha"), space.person("beta")
        cls.marie = Lps(space, "marie", cls.a["mailbox"], cls.a["id"], "Dr_Marie_MARTIN_Cabinet des Lilas")
        cls.sophie = Lps(space, "sophie", cls.b["mailbox"], cls.b["id"], "Dr_Sophie_LEROY")
        cls.marie.login(cls.a["id"])
        cls.sophie.login(cls.b["id"])

    @classmethod
    def tearDownClass(cls):
        cls.marie.close()
        cls.sophie.close()
        super().tearDownClass()

    def send(self, *arguments, who=None):
        return (who or self.marie).json("send", "--to", self.b["mailbox"], *arguments)

    def received(self, message_id):
        """The message at Sophie's, once it is there."""
        return wait_for(message_id, lambda: self.sophie.arrived(lambda one: one["message_id"] == message_id))

    def phone(self, answer, person):
        """Tells the phone of somebody how to answer."""
        request = urllib.request.Request(self.space.json["psc"]["phone"], urllib.parse.urlencode({"person": person, "answer": answer}).encode())
        urllib.request.urlopen(request, context=self.space.context(), timeout=PATIENCE).read()

    # --- help and language ---------------------------------------------------------------------------------------

    def test_every_subcommand_explains_itself(self):
        environment = {name: value for name, value in os.environ.items() if name not in ("LC_ALL", "LC_MESSAGES", "LANG")}
        for language, words in (("fr_FR.UTF-8", ("Commandes:", "Exemple", "Codes de retour")), ("en_GB.UTF-8", ("Commands:", "Example", "Exit codes"))):
            told = lambda *command: run(BINARY, "lps", *command, env={**environment, "LANG": language}).stdout
            listed = told("--help")
            for command in SUBCOMMANDS:
                with self.subTest(command=command, language=language):
                    self.assertRegex(listed, rf"\n  {command} ")
                    self.assertIn(words[1], told(command, "--help"))
                    self.assertEqual(told("help", command), told(command, "--help"))
            self.assertIn(words[0], listed)
            self.assertIn(words[2], listed)
            # Whatever the environment says, --language decides.
            self.assertIn("Exit codes", told("--help", "--language", "en"))
        for shell in ("bash", "zsh", "fish"):
            self.assertIn("receipts", run(BINARY, "completions", shell).stdout)

    def test_errors_in_both_languages_with_their_codes(self):
        done = self.marie.done("read", "99999")
        self.assertEqual(done.returncode, 4)
        self.assertIn("il n'y a pas de message 99999 dans INBOX [command.no-message]", done.stderr)
        done = self.marie.done("read", "99999", "--language", "en")
        self.assertIn("there is no message 99999 in INBOX", done.stderr)
        error = self.marie.error("read", "99999", code=4)
        self.assertEqual((error["code"], error["fault"], error["temporary"]), ("command.no-message", "document", False))
        self.assertEqual(self.marie.done("read", "zero").returncode, 2)

    # --- login -----------------------------------------------------------------------------------------------------

    def test_login_by_telephone_shows_two_digits_and_no_token_is_on_disk(self):
        # ECO-TOKEN, ECO.1.2.5
        user = Lps(self.space, "telephone", self.a["mailbox"], self.a["id"])
        self.addCleanup(user.close)
        self.assertEqual(user.json("status", code=3)["sessions"], [])
        self.assertEqual(user.error("list", code=3)["fault"], "user")
        events = user.login(self.a["id"])
        self.assertEqual([event["event"] for event in events], ["ciba", "login"])
        self.assertRegex(events[0]["binding_message"], r"^\d\d$")
        self.assertEqual(events[1]["person"], self.a["id"])
        self.assertEqual(user.json("status")["sessions"][0]["person"], self.a["id"])
        user("folders")
        user("send", "--to", self.b["mailbox"], "--subject", "jetons", "--text", "rien")
        self.assertEqual(user.tokens_on_disk(), [])
        self.assertEqual(user.json("logout")["logged_out"], 1)
        self.assertEqual(user.error("list", code=3)["fault"], "user")

    def test_login_by_browser(self):
        # ECO-TOKEN
        user = Lps(self.space, "navigateur", self.a["mailbox"], self.a["id"])
        self.addCleanup(user.close)
        waiting = user.start("login", "--no-browser", "--json")
        url = json.loads(waiting.stdout.readline())["url"]
        page = urllib.request.build_opener(urllib.request.HTTPSHandler(context=self.space.context())).open(url, timeout=PATIENCE).read().decode()
        self.assertIn("connecté", page)
        event = json.loads(waiting.stdout.readline())
        self.assertEqual((waiting.wait(PATIENCE), event["event"], event["person"]), (0, "login", self.a["id"]))
        waiting.stdout.close(), waiting.stderr.close()
        self.assertEqual(user.json("boxes")["boxes"][0]["error"], None)
        self.assertEqual(user.tokens_on_disk(), [])

    # --- discover ----------------------------------------------------------------------------------------------------

    def test_discover(self):
        # ECO-AUTOCONF, ECO-CONN
        found = self.marie.json("discover", self.b["mailbox"])
        for protocol in ("imap", "smtp"):
            server = found["psc"][protocol]
            self.assertEqual(server["port"], self.space.operator("beta")[{"imap": "imap", "smtp": "submission"}[protocol]]["port"])
            self.assertIn(server["tls"]["version"], ("TLSv1.2", "TLSv1.3"))
            self.assertIn("STARTTLS", server["before_tls"])
        self.assertNotIn("tls", found["certificate"]["imap"], "not tried without a certificate")
        application = self.space.application("beta")
        certificate = ["--certificate", self.space.folder / application["certificate"], "--key", self.space.folder / application["key"]]
        self.assertIn("tls", self.marie.json("discover", application["mailbox"], *certificate)["certificate"]["imap"])
        # Bad input: outside the trust space, a look-alike, a patient.
        for address in ("a@gmail.com", "a@mssante.fr.exemple.com", f"{INS}@patient.mssante.fr"):
            with self.subTest(address=address):
                self.assertTrue(self.marie.error("discover", address, code=None)["code"].startswith("discover."))

    # --- several mailboxes ---------------------------------------------------------------------------------------------

    def test_several_mailboxes(self):
        # ECO-MULTI
        user = Lps(self.space, "plusieurs", self.a["mailbox"], self.a["id"])
        self.addCleanup(user.close)
        other = self.space.person("alpha", "ORG")["mailbox"]
        application = self.space.application("alpha")
        user("boxes", "add", other, "--as", self.a["id"])
        user("boxes", "add", application["mailbox"], "--certificate", self.space.folder / application["certificate"],
             "--key", self.space.folder / application["key"])
        before = user.json("boxes", code=3)["boxes"]
        self.assertEqual([one["error"] and one["error"]["fault"] for one in before], ["user", "user", None])
        user.login(self.a["id"])
        boxes = user.json("boxes")["boxes"]
        self.assertEqual([one["address"] for one in boxes], [self.a["mailbox"], other, application["mailbox"]])
        self.assertTrue(all(isinstance(one["messages"], int) for one in boxes))
        user("folders", "--mailbox", application["mailbox"])
        user("boxes", "remove", other)
        self.assertEqual(user.error("boxes", "remove", other, code=1)["code"], "command.not-remembered")
        self.assertEqual(len(user.json("boxes", "--no-counts")["boxes"]), 2)
        # Somebody else's mailbox.
        self.assertEqual(self.marie.error("list", "--mailbox", self.b["mailbox"], code=5)["fault"], "user")

    # --- writing ---------------------------------------------------------------------------------------------------------

    def check_documents(self, octets):
        """What Python's email and zipfile see of a mail with both documents. ECO-DOC, ECO-HDR, ECO-LABEL"""
        mail = email.message_from_bytes(octets, policy=email.policy.default)
        self.assertEqual(mail.defects, [])
        self.assertEqual(mail["X-MSS-NIL"], "3734")
        self.assertEqual(mail["X-MSS-CODECDA"].replace(" ", ""), "11490-0,11502-2")
        self.assertEqual(mail["X-MSS-INS"], "O")
        self.assertEqual(mail["From"].addresses[0].display_name, "Dr_Marie_MARTIN_Cabinet des Lilas")
        self.assertEqual(mail["Subject"], "XDM/1.0/DDM+2 documents COURRIER-ESSAI JEANNE 15/06/1955")
        self.assertIsNotNone(mail["Message-ID"])
        names = [part.get_filename() for part in mail.iter_attachments()]
        self.assertEqual(names[0], "IHE_XDM.zip")
        self.assertEqual(len(names), 3)
        for name in names[1:]:
            self.assertRegex(name, r"^\d{8}_.+_COURRIER-ESSAI_JEANNE\.pdf$")
        for part in list(mail.iter_attachments())[1:]:
            self.assertEqual(part.get_content()[:5], b"%PDF-")
        archive = zipfile.ZipFile(io.BytesIO(next(mail.iter_attachments()).get_content()))
        self.assertIsNone(archive.testzip())
        self.assertTrue({"INDEX.HTM", "README.TXT"} <= set(archive.namelist()))
        metadata = next(name for name in archive.namelist() if name.endswith("METADATA.XML"))
        minidom.parseString(archive.read(metadata))
        held = [archive.read(name) for name in archive.namelist() if name.startswith("IHE_XDM/") and name.endswith(".XML") and name != metadata]
        self.assertEqual(sorted(held), sorted([LETTER.read_bytes(), BIOLOGY.read_bytes()]))
        return mail

    def test_two_documents_from_one_to_the_other(self):
        dry = self.marie("send", "--to", self.b["mailbox"], "--cda", LETTER, "--cda", BIOLOGY, "--text", "Bonjour, été", "--dry-run")
        mail = self.check_documents(dry.encode())
        self.assertEqual(mail.get_body().get_content().strip(), "Bonjour, été")
        told = self.marie.json("send", "--to", self.b["mailbox"], "--cda", LETTER, "--text", "x", "--dry-run")
        self.assertEqual((told["documents"], told["recipients"]), (1, [self.b["mailbox"]]))
        self.assertEqual(len(told["message"]), told["size"])
        sent = self.send("--cda", LETTER, "--cda", BIOLOGY, "--text", "Bonjour", "--request-receipt", "--request-dsn")
        self.assertEqual([one["accepted"] for one in sent["recipients"]], [True])
        self.assertEqual((sent["documents"], sent["copy"] is not None), (2, True))
        there = self.received(sent["message_id"])
        self.assertEqual((there["documents"], there["receipt_asked"], there["codes"]), (True, True, ["11490-0", "11502-2"]))
        self.assertEqual(there["from"]["nature"], "professional")
        self.assertEqual(there["subject"], "2 documents COURRIER-ESSAI JEANNE 15/06/1955", "without the technical prefix (ECO.3.1.3)")
        self.check_documents(self.sophie("read", there["uid"], "--source", "--keep-unseen").encode())
        self.assertFalse(self.sophie.arrived(lambda one: one["uid"] == there["uid"])["seen"])
        read = self.sophie.json("read", there["uid"])
        self.assertEqual((read["kind"], read["text"].strip(), read["warnings"]), ("mail", "Bonjour", []))
        self.assertEqual([one["integrity"] for one in read["documents"]], ["verified", "verified"])
        self.assertEqual({one["patient"]["ins"] for one in read["documents"]}, {INS})
        self.assertTrue(all(one["pdf"] for one in read["documents"]))
        self.assertTrue(self.sophie.arrived(lambda one: one["uid"] == there["uid"])["seen"])
        # For people.
        shown = self.sophie("read", there["uid"])
        self.assertIn("Dr Marie MARTIN", shown)
        self.assertIn("COURRIER-ESSAI JEANNE", shown)
        self.assertIn("COURRIER", self.sophie("read", there["uid"], "--document", "1"))
        page = self.sophie.work / "document.html"
        self.sophie("read", there["uid"], "--html", page)
        self.assertIn("<html", page.read_text())
        self.assertEqual(page.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.sophie.error("read", there["uid"], "--html", page, code=1)["code"], "command.file", "nothing is overwritten")
        self.assertEqual(self.sophie.error("read", there["uid"], "--document", "3", code=4)["code"], "command.value")
        # Into a folder.
        folder = self.sophie.work / "documents"
        folder.mkdir()
        saved = self.sophie.json("open", there["uid"], "--into", folder)
        files = {file.name: file.read_bytes() for file in folder.iterdir()}
        self.assertEqual({str(folder / name) for name in files}, set(saved["files"]))
        self.assertTrue({LETTER.read_bytes(), BIOLOGY.read_bytes()} <= set(files.values()))
        self.assertTrue(all(file.stat().st_mode & 0o077 == 0 for file in folder.iterdir()))
        # The receipt: a person's decision, once.
        asked = self.sophie.json("receipts")["receipts"]
        self.assertIn(there["uid"], [one["uid"] for one in asked])
        done = self.sophie.json("receipts", "--send", there["uid"])["sent"]
        self.assertEqual([(one["uid"], one["error"]) for one in done], [(there["uid"], None)])
        self.assertNotIn(there["uid"], [one["uid"] for one in self.sophie.json("receipts")["receipts"]])
        self.assertEqual(self.sophie.json("receipts", "--send", there["uid"])["sent"], [])
        receipt = wait_for("the receipt", lambda: next((self.marie.json("read", one["uid"], "--keep-unseen") for one in self.marie.messages()
                           if one["report"] and sent["message_id"] in json.dumps(self.marie.json("read", one["uid"], "--keep-unseen")["report"])
                           and self.marie.json("read", one["uid"], "--keep-unseen")["kind"] == "receipt"), None))
        self.assertEqual(receipt["report"]["fate"], "displayed")
        # An answer, and the conversation.
        answered = self.sophie.json("reply", there["uid"], "--text", "Merci")
        answer = wait_for("the answer", lambda: self.marie.arrived(lambda one: one["message_id"] == answered["message_id"]))
        self.assertEqual(answer["in_reply_to"], [sent["message_id"]])
        self.assertTrue(self.sophie.arrived(lambda one: one["uid"] == there["uid"])["answered"])
        thread = self.marie.json("thread", answer["uid"])["threads"][0]
        roles = [(node["depth"], node["role"]) for node in thread["messages"]]
        self.assertEqual(roles[0], (0, "mail"))
        self.assertIn((1, "mail"), roles)
        self.assertIn((1, "receipt"), roles)
        self.assertIn("Dr Sophie LEROY", self.marie("thread", answer["uid"]))

    def test_a_patient(self):
        # ECO-PATIENT, ECO.2.2.8
        traits = ["--patient-name", "COURRIER-ESSAI", "--patient-first-name", "JEANNE", "--patient-birth", "1955-06-15", "--patient-sex", "F",
                  "--patient-authority", "test"]
        content = ["--subject", "Votre rendez-vous", "--text", "Bonjour"]
        sent = self.marie.json("send", "--patient-ins", INS, *traits, *content, "--fin", "--yes")
        self.assertEqual(sent["recipients"][0]["address"], f"{INS}@patient.mssante.fr")
        place = self.space.folder / self.space.json["mes"]["folder"] / INS
        note = wait_for("the patient's mail", lambda: next((json.loads(file.with_suffix(".json").read_text()) for file in place.glob("*.eml")
                        if sent["message_id"].encode() in file.read_bytes()), None))
        self.assertTrue(note["fin"])
        # Not agreed to, a wrong key, other traits, typed by hand.
        self.assertEqual(self.marie.error("send", "--patient-ins", INS, *traits, *content, code=4)["code"], "command.not-confirmed")
        wrong = INS[:-1] + "5"
        self.assertEqual(self.marie.error("send", "--patient-ins", wrong, *traits, *content, "--yes", code=4)["code"], "patient.key")
        other = [value.replace("1955-06", "1956-06") for value in traits]
        self.assertEqual(self.marie.error("send", "--patient-ins", INS, *other, *content, "--yes", code=4)["code"], "patient.birth")
        error = self.marie.error("send", "--to", f"{INS}@patient.mssante.fr", *content, code=4)
        self.assertEqual(error["code"], "compose.raw-patient-address")
        # The patient of the documents.
        dry = self.marie("send", "--to-patient", "--cda", LETTER, "--text", "Bonjour", "--dry-run")
        self.assertIn(f"{INS}@patient.mssante.fr", dry)
        for file in (self.marie.home / "lps/traces").glob("*"):
            self.assertNotIn(INS, file.read_text(), "no matricule in the traces")

    # --- bad input ---------------------------------------------------------------------------------------------------------

    def test_documents_that_are_refused(self):
        letter = LETTER.read_text()
        cases = {
            "without-ins": re.sub(r'<id root="1\.2\.250\.1\.213\.1\.4\.10"[^>]*>', "", letter),
            "wrong-key": letter.replace(INS, INS[:-1] + "5"),
            "truncated": letter[:len(letter) // 2],
            "entities": letter.replace("<ClinicalDocument", '<!DOCTYPE a [<!ENTITY x "y">]>\n<ClinicalDocument', 1),
            "external": letter.replace("<ClinicalDocument", '<!DOCTYPE a SYSTEM "http://exemple.test/x.dtd">\n<ClinicalDocument', 1),
            "not-cda": "<html/>",
            "empty": "",
        }
        before = len(self.marie.messages("--folder", "Sent"))
        for name, text in cases.items():
            with self.subTest(case=name):
                file = self.marie.work / f"{name}.xml"
                file.write_text(text)
                error = self.marie.error("send", "--to", self.b["mailbox"], "--cda", file, "--text", "x", code=4)
                self.assertTrue(error["code"].startswith("documents."), error)
                self.assertTrue(error["remedy"])
        with self.subTest(case="two patients"):
            other = self.marie.work / "other.xml"
            other.write_text(BIOLOGY.read_text().replace(INS, "279035121518989"))
            error = self.marie.error("send", "--to", self.b["mailbox"], "--cda", LETTER, "--cda", other, "--text", "x", code=4)
            self.assertTrue(error["code"].startswith("documents."), error)
        with self.subTest(case="300 MB"):
            large = self.marie.work / "large.xml"
            with open(large, "wb") as file:
                file.truncate(300_000_000)
            work = Work()
            error = self.marie.error("send", "--to", self.b["mailbox"], "--cda", large, "--text", "x", code=4)
            self.assertTrue(error["code"].startswith("documents."), error)
            self.assertLess(work.spent, 10, "told by its size")
            large.unlink()
        with self.subTest(case="without INS, allowed"):
            dry = self.marie("send", "--to", self.b["mailbox"], "--cda", self.marie.work / "without-ins.xml", "--allow-without-ins", "--text", "x", "--dry-run")
            self.assertIn("X-MSS-INS: N", dry)
        self.assertEqual(len(self.marie.messages("--folder", "Sent")), before, "nothing was sent")

    def test_recipients_that_are_refused(self):
        unlisted = self.marie.error("send", "--to", "quelquun@horsliste.formation.mssante.fr", "--subject", "x", "--text", "x", code=5)
        self.assertEqual((unlisted["code"], unlisted["fault"]), ("send.outside-white-list", "recipient"))
        outside = self.marie.error("send", "--to", "quelquun@gmail.com", "--subject", "x", "--text", "x", code=5)
        self.assertEqual((outside["code"], outside["fault"]), ("send.outside-white-list", "recipient"))
        self.assertEqual(self.marie.json("outbox")["outbox"], [], "told, and not kept")
        self.assertEqual(self.marie.done("send", "--to", "pas une adresse", "--subject", "x", "--text", "x").returncode, 2)
        inject = self.marie.error("send", "--to", self.b["mailbox"], "--subject", "x\r\nBcc: c@d.fr", "--text", "x", code=4)
        self.assertTrue(inject["code"].startswith("compose."))

    def test_an_operator_that_is_not_to_be_trusted(self):
        # ECO.1.1.10: another authority than the one the operator's certificate is from.
        other = self.marie.settings.with_name("autre.toml")
        text = self.marie.settings.read_text()
        impostor = self.space.folder / "pki/negative/other-authority-ca"
        anchors = next(path for path in impostor.rglob("*.pem") if b"CERTIFICATE" in path.read_bytes())
        other.write_text(re.sub(r'anchors = ".*"', f'anchors = "{anchors}"', text).replace("cache = ", "# cache = "))
        done = self.marie.done("discover", self.b["mailbox"], "--space", other, "--json")
        error = json.loads(done.stdout)["error"]
        self.assertIn(error["fault"], ("operator", "space"), error)
        self.assertIn(done.returncode, (5, 7))

    def test_hostile_mail(self):
        """A zip bomb, paths, metadata that lie: reported, nothing outside the folder."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as xdm:
            xdm.writestr("IHE_XDM/SUBSET01/../../../evil.xml", LETTER.read_bytes())
        bomb = io.BytesIO()
        with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as xdm:
            xdm.writestr("IHE_XDM/SUBSET01/METADATA.XML", b"0" * 300_000_000)
        dry = self.marie("send", "--to", self.b["mailbox"], "--cda", LETTER, "--text", "x", "--dry-run")
        good = zipfile.ZipFile(io.BytesIO(next(email.message_from_string(dry, policy=email.policy.default).iter_attachments()).get_content()))
        lie = io.BytesIO()
        with zipfile.ZipFile(lie, "w", zipfile.ZIP_DEFLATED) as xdm:
            for name in good.namelist():
                octets = good.read(name)
                xdm.writestr(name, octets.replace(b"JEANNE", b"JEANNA") if name.endswith(".XML") and b"ClinicalDocument" in octets[:500] else octets)
        expected = {"chemins": "archive", "bombe": "archive", "mensonge": "document"}
        for name, octets in (("chemins", archive), ("bombe", bomb), ("mensonge", lie)):
            with self.subTest(case=name):
                mail = EmailMessage(policy=email.policy.SMTP)
                mail["From"], mail["To"], mail["Subject"] = self.a["mailbox"], self.b["mailbox"], f"XDM/1.0/DDM+{name}"
                mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain="essai.test")
                mail["X-MSS-NIL"] = "3734"
                mail.set_content("x")
                mail.add_attachment(octets.getvalue(), maintype="application", subtype="zip", filename="IHE_XDM.zip")
                smtp = self.space.smtp(self.a)
                smtp.sendmail(self.a["mailbox"], [self.b["mailbox"]], mail.as_bytes())
                smtp.quit()
                there = self.received(mail["Message-ID"])
                read = self.sophie.json("read", there["uid"])
                self.assertTrue(any(warning["grave"] for warning in read["warnings"]), read["warnings"])
                folder = self.sophie.work / name / "dedans"
                folder.mkdir(parents=True)
                self.sophie.done("open", there["uid"], "--into", folder)
                self.assertEqual([path.name for path in (self.sophie.work / name).iterdir()], ["dedans"])
                self.assertFalse(any(path.suffix == ".xml" for path in folder.iterdir()), f"{expected[name]} that lies is not written")

    # --- terminals and pipes -------------------------------------------------------------------------------------------------

    def test_nothing_of_a_mail_acts_on_the_terminal(self):
        evil = "\x1b]0;pirate\x07\x1b[2J\u202ecod.exe\x9b31m"
        mail = EmailMessage(policy=email.policy.SMTP)
        mail["From"], mail["To"] = self.a["mailbox"], self.b["mailbox"]
        mail["Subject"] = "=?utf-8?b?" + __import__("base64").b64encode(("terminal " + evil).encode()).decode() + "?="
        mail["Date"], mail["Message-ID"], mail["X-MSS-NIL"] = formatdate(), make_msgid(domain="essai.test"), "3734"
        mail.set_content("avant " + evil + " après")
        smtp = self.space.smtp(self.a)
        smtp.sendmail(self.a["mailbox"], [self.b["mailbox"]], mail.as_bytes())
        smtp.quit()
        there = self.received(mail["Message-ID"])
        for command in (["list"], ["read", str(there["uid"])], ["thread"], ["read", str(there["uid"]), "--json"], ["list", "--json"]):
            with self.subTest(command=command):
                seen = []

                def reader(fd):
                    data = os.read(fd, 65536)
                    seen.append(data)
                    return data

                environment = {**os.environ, **self.sophie.environment, "TERM": "xterm"}
                saved, stdout = dict(os.environ), os.dup(1)
                null = os.open(os.devnull, os.O_WRONLY)
                try:
                    os.environ.clear(), os.environ.update(environment)
                    os.dup2(null, 1)
                    pty.spawn([BINARY, "lps", *command], reader)
                finally:
                    os.dup2(stdout, 1), os.close(stdout), os.close(null)
                    os.environ.clear(), os.environ.update(saved)
                text = b"".join(seen).decode()
                self.assertIn("terminal", text)
                left = re.sub(r"\x1b\[[0-9;]*m", "", text)
                # indicatif's own: hide, show, clear a line.
                left = re.sub(r"\x1b\[(\?25[lh]|\d*[ABK]|2K|1?G|0?J)", "", left)
                self.assertNotRegex(left, "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e]", repr(left))

    def test_a_reader_that_leaves(self):
        done = run("bash", "-c", f"{BINARY} lps list --limit 0 | head -c 1; echo ${{PIPESTATUS[0]}}", env=self.sophie.environment)
        self.assertEqual(done.stdout[-2:], "0\n", done.stderr)
        done = run("bash", "-c", f"{BINARY} completions bash | head -1 > /dev/null; echo ${{PIPESTATUS[0]}}")
        self.assertEqual(done.stdout, "0\n")

    def test_no_colour_in_a_pipe(self):
        self.assertNotIn("\x1b", self.sophie("list") + self.sophie("boxes") + self.sophie("folders"))

    # --- watching, finding, tracing ------------------------------------------------------------------------------------------------

    def test_watch_tells_of_arrivals_and_is_interrupted(self):
        watching = self.sophie.start("watch", "--json")
        self.assertEqual(json.loads(watching.stdout.readline())["event"], "watching")
        sent = self.send("--subject", "guet", "--text", "x")
        while (event := json.loads(watching.stdout.readline()))["event"] != "arrived" or event["message"]["message_id"] != sent["message_id"]:
            pass
        self.assertEqual(event["message"]["subject"], "guet")
        self.assertEqual(interrupt(watching), 130)
        watching.stdout.close(), watching.stderr.close()

    def test_find(self):
        sent = self.send("--subject", "Aiguille dans la botte", "--text", "introuvable")
        self.received(sent["message_id"])
        for options in (["aiguille"], ["--subject", "Aiguille"], ["introuvable", "--from", "martin"], ["aiguille", "--unseen", "--since", "2020-01-01"]):
            with self.subTest(options=options):
                self.assertIn(sent["message_id"], [one["message_id"] for one in self.sophie.json("find", *options)["messages"]])
        self.assertEqual(self.sophie.json("find", "aiguille", "--before", "2020-01-01")["messages"], [])

    def test_traces_say_who_did_what_and_nothing_of_what(self):
        # ECO.4.1.1, ECO.4.1.2, ECO-TRACE
        sent = self.send("--subject", "sujet-secret", "--text", "corps-secret")
        there = self.received(sent["message_id"])
        self.sophie("read", there["uid"])
        trace = [one for one in self.marie.lines("traces", "--action", "send") if one.get("message_id") == sent["message_id"]]
        self.assertEqual([(one["author"], one["mailbox"], one["done"]) for one in trace], [(self.a["id"], self.a["mailbox"], True)])
        self.assertTrue(trace[0]["request"] and trace[0]["answer"])
        self.assertTrue(any(one["action"] == "read" for one in self.sophie.lines("traces", "--action", "read")))
        self.assertTrue(any(one["action"] == "login" for one in self.sophie.lines("traces")))
        for user in (self.marie, self.sophie):
            files = list((user.home / "lps/traces").glob("*.jsonl"))
            self.assertTrue(files)
            for file in files:
                self.assertEqual(file.stat().st_mode & 0o777, 0o600)
                text = file.read_text()
                self.assertNotIn("secret", text)
                self.assertNotIn("eyJ", text)
        csv = self.marie("traces", "--csv").splitlines()
        self.assertEqual(csv[0], "at,author,mailbox,action,request,answer,done,message_id")
        self.assertGreater(len(csv), 1)
        today = datetime.date.today()
        self.assertEqual(self.marie.lines("traces", "--until", str(today - datetime.timedelta(days=2))), [])

    # --- kills -----------------------------------------------------------------------------------------------------------------------

    def test_killed_in_the_middle_of_sending_it_is_sent_once(self):
        # ECO-ERR: kill -9 at any moment, then `outbox --send`.
        heavy = self.marie.work / "lourd.bin"
        heavy.write_bytes(os.urandom(6_000_000))
        rounds = int(os.environ.get("CRASH_ROUNDS", "6"))
        for number in range(rounds):
            subject = f"tué-{number}"
            sending = self.marie.start("send", "--to", self.b["mailbox"], "--subject", subject, "--text", "x", "--attach", heavy)
            time.sleep(0.15 + 0.35 * number / rounds * 4)
            sending.kill()
            sending.wait()
            sending.stdout.close(), sending.stderr.close()
        waiting = self.marie.json("outbox")["outbox"]
        self.marie("outbox", "--send", code=None)
        left = self.marie.json("outbox")["outbox"]
        self.assertEqual([one for one in left if one["state"] == "waiting"], [])
        self.assertEqual(left, [], "our operator recognises what it has had: nothing is uncertain")
        sent = self.send("--subject", "après les morts", "--text", "x")
        self.received(sent["message_id"])
        subjects = [one["subject"] for one in self.sophie.messages() if one["subject"].startswith("tué-")]
        self.assertEqual(len(subjects), len(set(subjects)), f"sent twice: {subjects}")
        self.assertGreaterEqual(len(subjects), len(waiting))
        self.assertEqual(list((self.marie.home / "tmp").iterdir()), [], "no temporary file is left")
        print(f"{rounds} kills: {len(waiting)} messages waited, {len(subjects)} arrived, each once")


if __name__ == "__main__":
    main()
