"""The story of issue 4, from end to end, at the command line: Dr A logs in by telephone, finds Dr B in the directory, sends two documents; the platform at
B's files them and answers; Dr A sees the receipts and the conversation; a patient is written to and cannot reply."""

import email
import email.policy
import io
import json
import unittest
import zipfile

from lps import Lps, interrupt
from space import FIXTURES, SpaceTest, main, wait_for

LETTER, BIOLOGY = FIXTURES / "cda-n3-lettre-liaison.xml", FIXTURES / "cda-n1-biologie.xml"
INS = "255069999999934"


class Story(SpaceTest):
    def test_the_story(self):
        space = self.space
        a, b, platform = space.person("alpha"), space.person("beta"), space.application("beta")
        marie = Lps(space, "marie", a["mailbox"], a["id"], "Dr_Marie_MARTIN_Cabinet des Lilas")
        self.addCleanup(marie.close)
        labo = Lps(space, "labo", platform["mailbox"], label="Laboratoire Beta", application=platform)

        # Dr A logs in by telephone: two digits, the same on the phone.
        events = marie.login(a["id"])
        self.assertRegex(events[0]["binding_message"], r"^\d\d$")

        # She looks for Dr B, and for the laboratory, in the Annuaire Santé; offline too.
        found = marie.json("search", b["name"].split()[-1])["entries"]
        self.assertIn(b["mailbox"], [one["address"] for one in found])
        marie("search", "--update-extraction")
        offline = marie.json("search", b["name"].split()[-1], "--offline")["entries"]
        self.assertIn(b["mailbox"], [one["address"] for one in offline])
        self.assertTrue(all(one["source"] == "Extraction" or one["source"] == "extraction" for one in offline), offline[:1])

        # The platform waits.
        records = labo.work / "dossiers"
        records.mkdir()
        intake = labo.start("intake", "--into", records, "--json")

        # Two documents to Dr B and to the platform, with receipts asked for.
        sent = marie.json("send", "--to", b["mailbox"], "--to", platform["mailbox"], "--cda", LETTER, "--cda", BIOLOGY, "--text", "Bonjour.", "--request-receipt")
        self.assertEqual([one["accepted"] for one in sent["recipients"]], [True, True])
        kept = marie("read", marie.arrived(lambda one: one["message_id"] == sent["message_id"], "--folder", "Sent")["uid"], "--folder", "Sent", "--source")
        mail = email.message_from_string(kept, policy=email.policy.default)
        archive = zipfile.ZipFile(io.BytesIO(next(mail.iter_attachments()).get_content()))
        self.assertIsNone(archive.testzip())

        # It files them, both and nothing else, under the patient's INS, and answers.
        lines = iter(intake.stdout.readline, "")
        filed = next(event for event in map(json.loads, lines) if event["event"] == "filed")
        octets = [file.read_bytes() for file in (records / INS).rglob("*.xml")]
        self.assertEqual(sorted(octets), sorted([LETTER.read_bytes(), BIOLOGY.read_bytes()]))
        self.assertTrue(all(str(records / INS) in filed["folder"] for _ in "1"))
        answered = next(event for event in map(json.loads, lines) if event["event"] == "pass" and event["sent"])
        self.assertEqual(answered["sent"], 1)

        # A damaged mail is refused with its code: the same archive with a document that was changed.
        changed = io.BytesIO()
        with zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as zip:
            for name in archive.namelist():
                inside = archive.read(name)
                zip.writestr(name, inside.replace(b"JEANNE", b"JEANNA") if b"<ClinicalDocument" in inside[:2000] else inside)
        del mail["Message-ID"], mail["To"]
        mail["Message-ID"], mail["To"] = "<abime@essai.test>", platform["mailbox"]
        next(mail.iter_attachments()).set_content(changed.getvalue(), maintype="application", subtype="zip", filename="IHE_XDM.zip")
        smtp = space.smtp(a)
        smtp.sendmail(a["mailbox"], [platform["mailbox"]], mail.as_bytes(policy=email.policy.SMTP))
        smtp.quit()
        refused = next(event for event in map(json.loads, lines) if event["event"] == "refused")
        self.assertEqual(refused["codes"], [906])

        # Dr A sees the notices of the platform, one of each kind.
        def notices():
            reports = [marie.json("read", one["uid"], "--keep-unseen") for one in marie.messages() if one["report"]]
            return {(one["report"]["integrated"], *(error["code"] for error in one["report"]["errors"])): one for one in reports if one["kind"] == "notice"}
        got = wait_for("both notices", lambda: (found := notices()) and len(found) == 2 and found)
        self.assertEqual(set(got), {(True,), (False, 906)})
        self.assertIn(sent["message_id"], got[(True,)]["report"]["about"])
        self.assertIn("906", marie("read", got[(False, 906)]["uid"]))

        # Dr B reads, answers, and sends the receipt.
        sophie = Lps(space, "sophie", b["mailbox"], b["id"], "Dr_Sophie_LEROY")
        self.addCleanup(sophie.close)
        sophie.login(b["id"])
        there = wait_for("the mail", lambda: sophie.arrived(lambda one: one["message_id"] == sent["message_id"]))
        sophie("read", there["uid"])
        sophie("receipts", "--send", there["uid"])
        reply = sophie.json("reply", there["uid"], "--text", "Merci, bien reçu.")
        answer = wait_for("the answer", lambda: marie.arrived(lambda one: one["message_id"] == reply["message_id"]))

        # The conversation: the mail, the platform's notice and Dr B's receipt and answer under it.
        def conversation():
            thread = marie.json("thread", answer["uid"])["threads"][0]["messages"]
            return thread if sorted(node["role"] for node in thread) == ["mail", "mail", "receipt", "receipt"] else None
        thread = wait_for("the whole conversation", conversation)
        self.assertEqual([node["depth"] for node in thread], [0, 1, 1, 1])
        self.assertEqual(thread[0]["message"]["message_id"], sent["message_id"])

        # The platform cleans up: what it filed and answered goes, what it refused stays.
        self.assertEqual(interrupt(intake), 130)
        intake.stdout.close(), intake.stderr.close()
        plan = labo.json("clean")
        self.assertEqual(sorted(one["delete"] for one in plan["messages"]), [False, True])
        self.assertIsNone(plan["done"])
        self.assertEqual(len(labo.messages()), 2, "a dry run deletes nothing")
        self.assertEqual(labo.json("clean", "--yes")["done"]["deleted"], 1)
        self.assertEqual([one["message_id"] for one in labo.messages()], ["<abime@essai.test>"])
        # Nothing is filed or answered again.
        again = [json.loads(line) for line in labo("intake", "--into", records, "--once", "--json").splitlines()]
        self.assertFalse(any(event["event"] in ("filed", "refused") or event.get("sent") for event in again), again)

        # A patient is written to with FIN, and cannot reply.
        mes = marie.json("send", "--to-patient", "--cda", LETTER, "--text", "Bonjour.", "--fin", "--yes")
        self.assertEqual(mes["recipients"][0]["address"], f"{INS}@patient.mssante.fr")
        place = space.folder / space.json["mes"]["folder"] / INS
        note = wait_for("Mon espace santé", lambda: next((json.loads(file.with_suffix(".json").read_text()) for file in place.glob("*.eml")
                        if mes["message_id"].encode() in file.read_bytes()), None))
        self.assertTrue(note["fin"], "Mon espace santé lets the patient answer no more")
        self.assertIn(["X-MSS-MES", "FIN"], note["x_mss"])

        # No token on disk, no matricule in the traces.
        for user in (marie, sophie, labo):
            self.assertEqual(user.tokens_on_disk(), [])
            for file in (user.home / "lps/traces").glob("*"):
                self.assertNotIn(INS, file.read_text())


if __name__ == "__main__":
    main()
