"""Two operators exchange a real health document, with ordinary mail programs (SBX, LPS-IMAP, MSS-7.2, MSS-7.4, OPE-MTLS, OPE-LIST)."""

import email
import email.policy
import io
import time
import unittest
import zipfile
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from space import FIXTURES, PATIENCE, SpaceTest, main, run, wait_for


def archive(document):
    """An IHE_XDM.zip as another program would make it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr("INDEX.HTM", "<html><body>test</body></html>")
        pack.writestr("README.TXT", "test\r\n")
        pack.writestr("IHE_XDM/SUBSET01/DOC0001.XML", document)
    return packed.getvalue()


def health_mail(sender, recipient, document):
    mail = EmailMessage(policy=email.policy.SMTP)
    mail["From"] = f"Dr_A <{sender}>"
    mail["To"] = recipient
    mail["Subject"] = "XDM/1.0/DDM+Lettre de liaison COURRIER-ESSAI JEANNE 01/06/1955"
    mail["Date"] = formatdate()
    mail["Message-ID"] = make_msgid(domain="lps.test")
    mail["X-MSS-NIL"] = "3734"
    mail["X-MSS-CODECDA"] = "34112-3"
    mail["X-MSS-INS"] = "O"
    mail.set_content("Bonjour,\nune lettre de liaison à intégrer.\n")
    mail.add_attachment(archive(document), maintype="application", subtype="zip", filename="IHE_XDM.zip")
    return mail


class Exchange(SpaceTest):
    def test_document_from_alpha_to_beta_and_back(self):
        document = (FIXTURES / "cda-n3-lettre-liaison.xml").read_bytes()
        for there, here in (("alpha", "beta"), ("beta", "alpha")):
            a, b = self.space.person(there), self.space.person(here)
            mail = health_mail(a["mailbox"], b["mailbox"], document)
            with self.space.smtp(a) as smtp:
                self.assertEqual(smtp.send_message(mail), {})
            uids, octets = self.space.wait_for_message(b, mail["Message-ID"])
            self.assertEqual(len(uids), 1)
            read = email.message_from_bytes(octets, policy=email.policy.default)
            for header in ("X-MSS-NIL", "X-MSS-CODECDA", "X-MSS-INS", "Subject"):
                self.assertEqual(read[header], mail[header])
            attached = next(read.iter_attachments())
            self.assertEqual(attached.get_filename(), "IHE_XDM.zip")
            with zipfile.ZipFile(io.BytesIO(attached.get_content())) as pack:
                self.assertEqual(pack.read("IHE_XDM/SUBSET01/DOC0001.XML"), document)
            received = read.get_all("Received")
            self.assertEqual(len(received), 2, received)
            self.assertIn("with ESMTPS id", received[0])
            self.assertIn("with ESMTPSA id", received[1])
            self.assertEqual(read["Return-Path"], f"<{a['mailbox']}>")

    def test_curl_sends_and_reads(self):
        a, b = self.space.person("beta"), self.space.person("alpha")
        message_id = make_msgid(domain="curl.test")
        text = (f"From: <{a['mailbox']}>\r\nTo: <{b['mailbox']}>\r\nSubject: par curl\r\nDate: {formatdate()}\r\n"
                f"Message-ID: {message_id}\r\n\r\nBonjour.\r\n")
        submission = self.space.operator("beta")["submission"]
        run("curl", "-sS", "--ssl-reqd", "--cacert", self.space.ca, f"smtp://{submission['host']}:{submission['port']}",
            "--user", f"{a['mailbox']}:", "--oauth2-bearer", self.space.token(a["id"]),
            "--mail-from", a["mailbox"], "--mail-rcpt", b["mailbox"], "-T", "-", input=text)
        self.space.wait_for_message(b, message_id)
        imap = self.space.operator("alpha")["imap"]
        curl = ["curl", "-sS", "--ssl-reqd", "--cacert", self.space.ca, "--user", f"{b['mailbox']}:",
                "--oauth2-bearer", self.space.token(b["id"])]
        base = f"imap://{imap['host']}:{imap['port']}"
        listed = run(*curl, f"{base}/").stdout
        for folder in ("INBOX", "Sent", "Drafts", "Trash", "Junk", "Archive"):
            self.assertIn(folder, listed)
        read = run(*curl, f"{base}/INBOX?SUBJECT%20%22par%20curl%22").stdout
        self.assertRegex(read, r"\* SEARCH \d+")
        uid = read.split()[-1]
        self.assertIn(message_id, run(*curl, f"{base}/INBOX;UID={uid}").stdout)

    def test_mbsync_copies_a_mailbox(self):
        application = self.space.application("alpha")
        for number in range(3):
            with self.space.smtp_application(application) as smtp:
                mail = EmailMessage(policy=email.policy.SMTP)
                mail["From"], mail["To"], mail["Subject"] = application["mailbox"], application["mailbox"], f"mbsync {number}"
                mail.set_content("à synchroniser\n")
                smtp.send_message(mail)
        where = self.space.operator("alpha")["imap_app"]
        local = self.space.folder / "maildir"
        local.mkdir()
        # mbsync knows no IP addresses in certificates: it is given the server's own one.
        pinned = self.space.folder / self.space.operator("alpha")["certificate"]
        configuration = self.space.folder / "mbsyncrc"
        configuration.write_text(f"""
IMAPAccount labo
Host {where['host']}
Port {where['port']}
User {application['mailbox']}
SSLType STARTTLS
CertificateFile {pinned}
SystemCertificates no
ClientCertificate {self.space.folder / application['certificate']}
ClientKey {self.space.folder / application['key']}
AuthMechs EXTERNAL

IMAPStore labo-remote
Account labo

MaildirStore labo-local
Path {local}/
Inbox {local}/INBOX
SubFolders Verbatim

Channel labo
Far :labo-remote:
Near :labo-local:
Patterns *
Create Near
Sync Pull
SyncState *
""")
        run("mbsync", "-c", configuration, "labo")
        new = list((local / "INBOX/new").iterdir()) + list((local / "INBOX/cur").iterdir())
        self.assertEqual(len(new), 3)
        run("mbsync", "-c", configuration, "labo")
        again = list((local / "INBOX/new").iterdir()) + list((local / "INBOX/cur").iterdir())
        self.assertEqual(len(again), 3)

    def test_idle_tells_of_new_mail(self):
        a, b = self.space.person("alpha"), self.space.person("beta", index=1)
        reader = self.space.imap(b)
        reader.select()
        reader.send(b"x IDLE\r\n")
        self.assertTrue(reader.readline().startswith(b"+"))
        mail = health_mail(a["mailbox"], b["mailbox"], b"<a/>")
        start = time.monotonic()
        with self.space.smtp(a) as smtp:
            smtp.send_message(mail)
        while b"EXISTS" not in reader.readline():
            self.assertLess(time.monotonic() - start, PATIENCE)
        reader.send(b"DONE\r\n")
        while not reader.readline().startswith(b"x OK"):
            self.assertLess(time.monotonic() - start, PATIENCE)
        reader.logout()

    def test_patient_gets_it_and_a_wrong_ins_is_refused_at_once(self):
        # OPE-PATIENT
        a = self.space.person("alpha")
        patient = "255069999999934@patient.mssante.fr"
        mail = health_mail(a["mailbox"], patient, b"<a/>")
        mail["X-MSS-MES"] = "FIN"
        with self.space.smtp(a) as smtp:
            smtp.send_message(mail)
            code, text = smtp.docmd(f"MAIL FROM:<{a['mailbox']}>")
            self.assertEqual(code, 250, text)
            code, text = smtp.docmd("RCPT TO:<255069999999935@patient.mssante.fr>")
            self.assertEqual(code, 550, text)
            self.assertIn(b"5.1.3", text)
        stored = self.space.folder / "mes" / "255069999999934"
        wait_for("the mail at Mon espace santé", lambda: stored.is_dir() and list(stored.glob("*.eml")))
        self.assertIn(mail["Message-ID"].encode(), next(stored.glob("*.eml")).read_bytes())

    def test_notice_when_the_recipient_is_unknown_there(self):
        # OPE-QUEUE: the other operator's permanent refusal comes back as a report
        a = self.space.person("alpha")
        domain = self.space.operator("beta")["domain"]
        mail = health_mail(a["mailbox"], f"personne.inconnue@{domain}", b"<a/>")
        with self.space.smtp(a) as smtp:
            smtp.send_message(mail)
        reader = self.space.imap(a)

        def report():
            reader.select()
            _, found = reader.search(None, "HEADER", "Auto-Submitted", "auto-replied", "TEXT", f'"{mail["Message-ID"]}"')
            return found[0].split()
        number = wait_for("the notice", report)[0].decode()
        _, data = reader.fetch(number, "(BODY.PEEK[])")
        # The report itself is text to a search.
        self.assertIn(number.encode(), reader.search(None, "BODY", '"Final-Recipient: rfc822"')[1][0].split())
        reader.logout()
        notice = email.message_from_bytes(data[0][1], policy=email.policy.default)
        self.assertEqual(notice.get_content_type(), "multipart/report")
        self.assertEqual(notice.get_param("report-type"), "delivery-status")
        status = notice.get_payload()[1].as_string()
        self.assertIn("Action: failed", status)
        self.assertIn("Status: 5.1.1", status)
        self.assertIn(f"personne.inconnue@{domain}", status)


if __name__ == "__main__":
    main()
