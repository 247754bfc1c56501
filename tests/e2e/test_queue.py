"""The outgoing queue against servers that are down, that refuse, that cannot be trusted (OPE-QUEUE, OPE-MTLS, OPE-LIST).

Operator beta runs beside the sandbox (see beside.py) and writes to people of operator alpha, whose MX leads to nothing, to a trap in
Python, or to the sandbox's own alpha.
"""

import email
import email.policy
import time
import unittest
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from beside import Beside, Forward, Trap
from space import SpaceTest, main, wait_for

# Long enough for an attempt and its pause of one second, and a quarter.
QUIET = 3


class QueueTest(SpaceTest):
    relay = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.beta = Beside(cls.space, ("beta",), cls.relay)
        cls.sender = cls.beta.application("beta")
        cls.there = cls.beta.destination("alpha")
        mx = cls.space.operator("alpha")["mx"]
        cls.host, cls.true = mx["name"], (mx["host"], mx["port"])

    @classmethod
    def tearDownClass(cls):
        try:
            cls.beta.close()
        finally:
            super().tearDownClass()

    def run(self, result=None):
        before = len(result.failures) + len(result.errors) if result else 0
        super().run(result)
        if result and len(result.failures) + len(result.errors) > before:
            print(self.beta.output())

    def mail(self, *recipients, text="Le corps du message.\n"):
        mail = EmailMessage(policy=email.policy.SMTP)
        mail["From"], mail["To"], mail["Subject"] = self.sender["mailbox"], ", ".join(recipients), "essai de la file"
        mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain="file.test")
        mail.set_content(text)
        return mail

    def send(self, mail, recipients=None, options=(), rcpt_options=()):
        with self.beta.smtp_application(self.sender) as smtp:
            refused = smtp.send_message(mail, to_addrs=recipients, mail_options=options, rcpt_options=rcpt_options)
            self.assertEqual(refused, {})
        return mail["Message-ID"]

    def notices(self, message_id):
        """The notices about a message, in the sender's mailbox."""
        reader = self.beta.imap_application(self.sender)
        reader.select()
        _, found = reader.search(None, "HEADER", "Auto-Submitted", "auto-replied", "TEXT", f'"{message_id}"')
        notices = []
        for number in found[0].split():
            _, data = reader.fetch(number.decode(), "(BODY.PEEK[])")
            notices.append(email.message_from_bytes(data[0][1], policy=email.policy.default))
        reader.logout()
        return notices

    def notice(self, message_id, count=1):
        """The last of so many notices; its fields by recipient."""
        found = wait_for("the notice", lambda: (n := self.notices(message_id)) and len(n) >= count and n)
        self.assertEqual(len(found), count)
        notice = found[-1]
        self.assertEqual(notice.get_content_type(), "multipart/report")
        blocks = notice.get_payload()[1].get_payload()
        return notice, {block["Final-Recipient"].split(";")[1].strip(): block for block in blocks[1:]}

    def arrived(self, person, message_id):
        """How many copies a person of the sandbox's alpha has."""
        reader = self.space.imap(person)
        try:
            reader.select(readonly=True)
            _, found = reader.search(None, "HEADER", "Message-ID", f'"{message_id}"')
            return len(found[0].split())
        finally:
            reader.logout()

    def expect_once(self, person, *message_ids):
        for message_id in message_ids:
            wait_for(message_id, lambda: self.arrived(person, message_id))
        time.sleep(QUIET)
        for message_id in message_ids:
            self.assertEqual(self.arrived(person, message_id), 1)

    def queued(self):
        """What the queue says of attempts, by the log of failures: how many connections failed so far."""
        return self.beta.output().count("no connection")


class Queue(QueueTest):
    def test_down_killed_and_back(self):
        marie = self.space.person("alpha")
        sent = [self.send(self.mail(marie["mailbox"])) for _ in range(3)]
        before = self.queued()
        wait_for("attempts that failed", lambda: self.queued() > before)
        self.beta.kill("beta")
        self.beta.start("beta")
        sent.append(self.send(self.mail(marie["mailbox"])))
        self.assertEqual([self.arrived(marie, message_id) for message_id in sent], [0] * 4)
        with Forward(self.there, self.true):
            self.expect_once(marie, *sent)
        for message_id in sent:
            self.assertEqual(self.notices(message_id), [])

    def test_good_and_bad_recipients_of_one_domain(self):
        marie = self.space.person("alpha")
        nobody = "personne.inconnue@alpha.formation.mssante.fr"
        outside = "quelquun@exemple.fr"
        with Forward(self.there, self.true):
            with self.beta.smtp_application(self.sender) as smtp:
                code, text = smtp.docmd(f"MAIL FROM:<{self.sender['mailbox']}>")
                self.assertEqual(code, 250, text)
                code, text = smtp.docmd(f"RCPT TO:<{outside}>")
                self.assertEqual(code, 550, text)
                self.assertIn(b"5.7.1", text)
            message_id = self.send(self.mail(marie["mailbox"], nobody))
            self.expect_once(marie, message_id)
            _, fields = self.notice(message_id)
        self.assertEqual(set(fields), {nobody})
        self.assertEqual((fields[nobody]["Action"], fields[nobody]["Status"]), ("failed", "5.1.1"))
        self.assertIn(self.host, fields[nobody]["Remote-MTA"])

    def test_what_is_asked_of_notices(self):
        nobody = "personne.inconnue@alpha.formation.mssante.fr"
        marie = self.space.person("alpha")
        with Forward(self.there, self.true):
            silent = self.send(self.mail(nobody), rcpt_options=["NOTIFY=NEVER"])
            header = self.send(self.mail(nobody), options=["RET=HDRS", "ENVID=dossier+2B12"])
            full = self.send(self.mail(nobody), options=["RET=FULL"], rcpt_options=["NOTIFY=FAILURE,DELAY"])
            success = self.send(self.mail(marie["mailbox"]), rcpt_options=["NOTIFY=SUCCESS"])
            notice, _ = self.notice(header)
            self.assertEqual(notice.get_payload()[1].get_payload()[0]["Original-Envelope-Id"], "dossier+12")
            self.assertEqual(notice.get_payload()[2].get_content_type(), "text/rfc822-headers")
            self.assertNotIn("Le corps du message", notice.as_string())
            notice, _ = self.notice(full)
            self.assertEqual(notice.get_payload()[2].get_content_type(), "message/rfc822")
            self.assertIn("Le corps du message", notice.as_string())
            self.assertEqual(notice["Return-Path"], "<>")
            self.expect_once(marie, success)
            self.assertEqual(self.notices(silent), [])

    def test_nothing_is_said_to_a_server_that_cannot_be_trusted(self):
        marie = self.space.person("alpha")
        folder = self.space.folder
        negative = self.space.json["negative"]
        other = self.space.operator("beta")
        traps = {
            "no STARTTLS": {},
            "another name": {"certificate": folder / other["certificate"], "key": folder / other["key"]},
        }
        for name in ("expired", "not-yet-valid", "revoked", "other-authority", "unlisted"):
            traps[name] = {"certificate": folder / negative[name]["certificate"], "key": folder / negative[name]["key"]}
        sent = []
        for name, shown in traps.items():
            with self.subTest(name):
                with Trap(self.there, self.host, **shown) as trap:
                    sent.append(self.send(self.mail(marie["mailbox"])))
                    wait_for("two attempts", lambda: trap.connections >= 2)
                self.assertEqual((trap.inside, trap.messages), ([], []))
                said = {line.split()[0] for line in trap.plain if line.strip()}
                self.assertLessEqual(said, {b"EHLO", b"STARTTLS", b"QUIT"})
                self.assertEqual(self.notices(sent[-1]), [])
        # All of them wait for the true server.
        with Forward(self.there, self.true):
            self.expect_once(marie, *sent)

    def test_an_answer_lost_and_the_same_octets_again(self):
        alpha = self.space.operator("alpha")
        shown = {name: self.space.folder / alpha[name] for name in ("certificate", "key")}
        with Trap(self.there, self.host, lose=1, **shown) as trap:
            message_id = self.send(self.mail("marie.martin@alpha.formation.mssante.fr"))
            wait_for("the message twice", lambda: len(trap.messages) >= 2)
            time.sleep(QUIET)
            self.assertEqual(len(trap.messages), 2)
        (_, first), (_, second) = trap.messages
        self.assertEqual(first, second)
        self.assertIn(message_id.encode(), first)
        self.assertEqual(self.notices(message_id), [])

    def test_what_came_back_is_sent_again(self):
        """ADR 3: what was told to have failed goes out when its sender sends the same octets again; what is under way, or arrived, does not."""
        alpha = self.space.operator("alpha")
        shown = {name: self.space.folder / alpha[name] for name in ("certificate", "key")}
        domain = alpha["domain"]
        good, closed, silent = (f"{local}@{domain}" for local in ("bon", "ferme", "muet"))
        loud, quiet = self.mail(good, closed), self.mail(silent)
        with Trap(self.there, self.host, answers={"ferme": "550 5.2.1 disabled", "muet": "550 5.2.1 disabled"}, **shown) as trap:
            message_id = self.send(loud)
            self.send(quiet, rcpt_options=["NOTIFY=NEVER"])
            _, fields = self.notice(message_id)
            self.assertEqual(set(fields), {closed})
            wait_for("the end of what nobody is told of", lambda: self.beta.traced("beta", "550 5.2.1 disabled") >= 2)
            self.beta.kill("beta")
            self.beta.start("beta")
            self.send(loud)
            notice, fields = self.notice(message_id, count=2)
            self.assertEqual(set(fields), {closed})
            # And once more, while the mailboxes are open again.
            trap.answers.clear()
            self.beta.kill("beta")
            self.beta.start("beta")
            self.send(loud)
            self.send(quiet, rcpt_options=["NOTIFY=NEVER"])
            wait_for("both again", lambda: len(trap.messages) >= 3)
            self.send(loud)
            self.send(quiet, rcpt_options=["NOTIFY=NEVER"])
            time.sleep(QUIET)
        self.assertEqual(sorted(recipients for recipients, _ in trap.messages), [["bon"], ["ferme"], ["muet"]])
        self.assertEqual(len(self.notices(message_id)), 2)

    def test_results_by_recipient_of_a_server_without_dsn(self):
        alpha = self.space.operator("alpha")
        shown = {name: self.space.folder / alpha[name] for name in ("certificate", "key")}
        answers = {"plein": "452 4.2.2 full", "ferme": "550 5.2.1 disabled"}
        domain = alpha["domain"]
        with Trap(self.there, self.host, answers=answers, **shown) as trap:
            people = [f"{local}@{domain}" for local in ("bon", "plein", "ferme")]
            message_id = self.send(self.mail(*people), rcpt_options=["NOTIFY=SUCCESS,FAILURE"])
            _, fields = self.notice(message_id)
            # RFC 3461 section 5.2.2: relayed to a server that will not tell.
            self.assertEqual({who: fields[who]["Action"] for who in fields}, {people[0]: "relayed", people[2]: "failed"})
            self.assertEqual(fields[people[2]]["Status"], "5.2.1")
            trap.answers.pop("plein")
            _, fields = self.notice(message_id, count=2)
            self.assertEqual({who: fields[who]["Action"] for who in fields}, {people[1]: "relayed"})
            self.assertEqual([recipients for recipients, _ in trap.messages], [["bon"], ["plein"]])
            self.assertFalse([line for line in trap.inside if b"NOTIFY" in line or b"RET=" in line])


class Impatient(QueueTest):
    """Told of delays at once: after no hour at all."""

    relay = {"delay_notice_hours": 0}

    def test_delayed_once_when_down(self):
        marie = self.space.person("alpha")
        message_id = self.send(self.mail(marie["mailbox"]), options=["RET=FULL"])
        notice, fields = self.notice(message_id)
        self.assertEqual((fields[marie["mailbox"]]["Action"], fields[marie["mailbox"]]["Status"]), ("delayed", "4.4.1"))
        self.assertIsNotNone(fields[marie["mailbox"]]["Will-Retry-Until"])
        self.assertNotIn("Le corps du message", notice.as_string())
        before = self.queued()
        wait_for("more attempts", lambda: self.queued() >= before + 2)
        self.assertEqual(len(self.notices(message_id)), 1)
        with Forward(self.there, self.true):
            self.expect_once(marie, message_id)
        self.assertEqual(len(self.notices(message_id)), 1)

    def test_failed_when_not_to_be_trusted(self):
        marie = self.space.person("alpha")
        expired = self.space.json["negative"]["expired"]
        shown = {name: self.space.folder / expired[name] for name in ("certificate", "key")}
        for options in ({}, shown):
            with Trap(self.there, self.host, **options) as trap:
                message_id = self.send(self.mail(marie["mailbox"]))
                _, fields = self.notice(message_id)
            self.assertEqual((fields[marie["mailbox"]]["Action"], fields[marie["mailbox"]]["Status"]), ("failed", "5.7.5"))
            self.assertEqual((trap.inside, trap.messages), ([], []))
        with Forward(self.there, self.true):
            time.sleep(QUIET)
            self.assertEqual(self.arrived(marie, message_id), 0)


if __name__ == "__main__":
    main()
