"""IMAP as ordinary clients use it, over the real store (LPS-IMAP): folders, flags, copies, moves, searches, several sessions."""

import imaplib
import re
import unittest
from email.message import EmailMessage
import email.policy

from space import SpaceTest, main, run


def message(number, subject="essai", text="Bonjour, ceci est un essai.\n"):
    mail = EmailMessage(policy=email.policy.SMTP)
    mail["From"] = "Labo <labo@alpha.formation.mssante.fr>"
    mail["To"] = "marie.martin@alpha.formation.mssante.fr"
    mail["Subject"] = f"{subject} {number}"
    mail["Date"] = f"Mon, {1 + number % 28:02} Jun 2026 10:00:00 +0200"
    mail["Message-ID"] = f"<{number}.imap@test>"
    mail.set_content(text)
    mail.add_attachment(b"%PDF-1.4\n" + b"x" * 500, maintype="application", subtype="pdf", filename="compte rendu.pdf")
    mail.set_boundary("limite")
    return mail.as_bytes()


def code(connection, name):
    """The last response code of that name, as text."""
    _, data = connection.response(name)
    return data[-1].decode() if data and data[-1] else None


class Imap(SpaceTest):
    def setUp(self):
        self.person = self.space.person("alpha")
        self.folder = self.id().split(".")[-1]
        self.imap = self.space.imap(self.person)
        self.ok(self.imap.create(self.folder))

    def tearDown(self):
        self.imap.logout()

    def ok(self, answer):
        self.assertEqual(answer[0], "OK", answer)
        return answer[1]

    def fill(self, count, flags=""):
        for number in range(1, count + 1):
            self.ok(self.imap.append(self.folder, flags, None, message(number)))
        return self.ok(self.imap.select(self.folder))

    def remaining(self, messages, expunged):
        """What is left when the sequence numbers told are taken away one after the other."""
        for number in expunged:
            del messages[int(number) - 1]
        return messages

    def test_append_tells_the_uid_and_copy_and_move_tell_both(self):
        # UIDPLUS, MOVE
        self.fill(4)
        validity = code(self.imap, "UIDVALIDITY")
        self.assertIn("APPENDUID", str(self.imap.append(self.folder, "", None, message(5))))
        other = self.folder + "-autre"
        self.ok(self.imap.create(other))
        self.ok(self.imap.append(other, "", None, message(99)))
        self.ok(self.imap.uid("COPY", "2:3", other))
        copied = code(self.imap, "COPYUID")
        target = copied.split()[0]
        self.assertRegex(copied, rf"^\d+ 2:3 2:3$")
        self.assertNotEqual(target, validity)
        self.ok(self.imap.uid("MOVE", "1,4", other))
        self.assertRegex(code(self.imap, "COPYUID"), rf"^{target} 1,4 4:5$")
        self.assertEqual(self.ok(self.imap.uid("SEARCH", None, "ALL")), [b"2 3 5"])
        self.assertEqual(self.ok(self.imap.select(other)), [b"5"])
        subjects = [re.search(rb"essai (\d+)", part[1]).group(1) for part in
                    self.ok(self.imap.uid("FETCH", "1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")) if isinstance(part, tuple)]
        self.assertEqual(subjects, [b"99", b"2", b"3", b"1", b"4"])

    def test_fetch_tells_what_the_message_is(self):
        self.fill(1)
        raw = message(1)
        data = self.ok(self.imap.fetch("1", "(UID RFC822.SIZE ENVELOPE BODYSTRUCTURE INTERNALDATE FLAGS)"))
        text = b" ".join(p if isinstance(p, bytes) else b"".join(p) for p in data).decode()
        self.assertIn(f"RFC822.SIZE {len(raw)}", text)
        self.assertIn('"essai 1"', text)
        self.assertIn('("Labo" NIL "labo" "alpha.formation.mssante.fr")', text)
        self.assertIn('"application" "pdf"', text.lower())
        self.assertEqual(self.ok(self.imap.fetch("1", "(BODY.PEEK[])"))[0][1], raw)
        self.assertNotIn(b"\\Seen", b"".join(p for p in self.ok(self.imap.fetch("1", "(FLAGS)"))))
        self.assertEqual(self.ok(self.imap.fetch("1", "(BODY[]<10.20>)"))[0][1], raw[10:30])
        self.assertIn(b"\\Seen", b"".join(p for p in self.ok(self.imap.fetch("1", "(FLAGS)"))))
        self.assertIn(b"Bonjour", self.ok(self.imap.fetch("1", "(BODY.PEEK[1])"))[0][1])
        self.assertIn(b"compte rendu", self.ok(self.imap.fetch("1", "(BODY.PEEK[2.MIME])"))[0][1])

    def test_search(self):
        self.fill(5)
        self.ok(self.imap.store("2", "+FLAGS", "(\\Flagged $Traite)"))
        for key, found in (("FLAGGED", b"2"), ("KEYWORD $Traite", b"2"), ("UNKEYWORD $traite", b"1 3 4 5"),
                           ('SUBJECT "ESSAI 3"', b"3"), ('BODY "un ESSAI"', b"1 2 3 4 5"), ('OR SUBJECT "i 1" SUBJECT "i 5"', b"1 5"),
                           ("SENTBEFORE 3-Jun-2026", b"1"), ("SENTSINCE 5-Jun-2026", b"4 5"), ("NOT 2:4", b"1 5"),
                           ("LARGER 100000", b""), ('HEADER Message-ID "<4.imap@test>"', b"4"), ('TEXT "personne"', b"")):
            self.assertEqual(self.ok(self.imap.search(None, key)), [found], key)
        self.imap.literal = "Résultat".encode()
        self.assertEqual(self.ok(self.imap.search("UTF-8", "TEXT")), [b""])
        self.imap.literal = None
        self.ok(self.imap.uid("SEARCH", None, "RETURN (MIN MAX COUNT) ALL"))
        esearch = code(self.imap, "ESEARCH")
        self.assertRegex(esearch, r"UID MIN 1 MAX 5 COUNT 5")

    def test_folders(self):
        # «été & co» in modified UTF-7
        encoded = '"' + self.folder + "/&AOk-t&AOk- &- co" + '"'
        self.ok(self.imap.create(encoded))
        self.assertIn(b"/&AOk-t&AOk- &- co", b"\n".join(self.ok(self.imap.list('""', f'"{self.folder}/*"'))))
        self.assertEqual(self.imap.create(encoded)[0], "NO")
        self.ok(self.imap.rename(encoded, f'"{self.folder}/b"'))
        self.ok(self.imap.subscribe(f'"{self.folder}/b"'))
        self.assertIn(b"/b", self.ok(self.imap.lsub('""', f'"{self.folder}/*"'))[0])
        self.ok(self.imap.delete(f'"{self.folder}/b"'))
        self.assertEqual(self.imap.select(f'"{self.folder}/b"')[0], "NO")
        listed = b"\n".join(self.ok(self.imap.list()))
        for use in (b"\\Sent", b"\\Drafts", b"\\Trash", b"\\Junk", b"\\Archive"):
            self.assertIn(use, listed)
        self.assertEqual(self.imap.delete("INBOX")[0], "NO")
        self.assertIn(b"MESSAGES 0", self.ok(self.imap.status(self.folder, "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN SIZE)"))[0])

    def test_two_sessions_see_each_other(self):
        # RFC 3501 §7.4.1: no EXPUNGE while sequence numbers are in use
        self.fill(5)
        other = self.space.imap(self.person)
        try:
            other.select(self.folder)
            self.ok(self.imap.store("1,3", "+FLAGS.SILENT", "(\\Deleted)"))
            self.assertEqual(self.remaining([1, 2, 3, 4, 5], self.ok(self.imap.expunge())), [2, 4, 5])
            other.response("EXPUNGE")
            self.ok(other.store("5", "+FLAGS", "(\\Flagged)"))
            self.assertEqual(other.response("EXPUNGE")[1], [None])
            self.ok(other.noop())
            self.assertEqual(self.remaining([1, 2, 3, 4, 5], other.response("EXPUNGE")[1]), [2, 4, 5])
            self.assertEqual(self.ok(other.search(None, "FLAGGED")), [b"3"])
            self.ok(self.imap.noop())
            self.assertEqual(self.ok(self.imap.search(None, "FLAGGED")), [b"3"])
            self.ok(other.append(self.folder, "", None, message(6)))
            self.ok(self.imap.noop())
            self.assertEqual(self.imap.response("EXISTS")[1][-1], b"4")
        finally:
            other.logout()

    def test_what_others_do_is_told_unasked(self):
        # NOTIFY (RFC 5465): messages, names and annotations; and nothing of what the session does itself
        self.fill(1)
        other = self.space.imap(self.person)
        self.addCleanup(other.logout)
        self.ok(other.select(self.folder))
        self.ok(self.imap.xatom("NOTIFY", "SET (selected (MessageNew (UID) MessageExpunge FlagChange)) "
                                          "(subtree %s (MailboxName MailboxMetadataChange ServerMetadataChange))" % self.folder))
        self.imap.sock.settimeout(20)

        def told(line):
            self.assertEqual(self.imap.readline().rstrip(b"\r\n").decode(), line)

        self.ok(other.append(self.folder, "", None, message(2)))
        told("* 2 EXISTS")
        told("* 2 FETCH (UID 2)")
        self.ok(other.store("1", "+FLAGS", r"\Flagged"))
        told(r"* 1 FETCH (UID 1 FLAGS (\Flagged))")
        self.ok(other.xatom("SETMETADATA", f'{self.folder} (/shared/comment "un mot" /private/comment "à moi")'.encode()))
        told(f'* METADATA "{self.folder}" /private/comment /shared/comment')
        self.ok(other.xatom("SETMETADATA", f"{self.folder} (/shared/comment NIL)"))
        told(f'* METADATA "{self.folder}" /shared/comment')
        self.ok(other.xatom("SETMETADATA", '"" (/private/vendor/test/x "1")'))
        told('* METADATA "" /private/vendor/test/x')
        self.ok(other.create(self.folder + "/a"))
        told(f'* LIST (\\HasNoChildren) "/" "{self.folder}/a"')
        told(f'* LIST (\\HasChildren) "/" "{self.folder}"')
        self.ok(self.imap.create(self.folder + "/b"))
        self.ok(self.imap.xatom("SETMETADATA", f'{self.folder} (/shared/comment "de soi")'))
        self.ok(other.create(self.folder + "/c"))
        told(f'* LIST (\\HasNoChildren) "/" "{self.folder}/c"')
        told(f'* LIST (\\HasChildren) "/" "{self.folder}"')

    def test_curl_fetches_and_deletes(self):
        self.fill(2)
        where = self.space.operator("alpha")["imap"]
        curl = ["curl", "-sS", "--ssl-reqd", "--cacert", self.space.ca, "--user", f"{self.person['mailbox']}:",
                "--oauth2-bearer", self.space.token(self.person["id"])]
        base = f"imap://{where['host']}:{where['port']}/{self.folder}"
        self.assertIn("essai 2", run(*curl, f"{base};MAILINDEX=2").stdout)
        run(*curl, base, "-X", "STORE 1 +FLAGS (\\Deleted)")
        run(*curl, base, "-X", "EXPUNGE")
        self.ok(self.imap.noop())
        self.assertEqual(self.ok(self.imap.search(None, "ALL")), [b"1"])

    def test_a_large_message_comes_back_whole(self):
        body = ("é" * 37 + "\r\n") * 200_000
        raw = message(1, text=body)
        self.assertGreater(len(raw), 15_000_000)
        self.ok(self.imap.append(self.folder, "", None, raw))
        self.ok(self.imap.select(self.folder))
        self.assertEqual(self.ok(self.imap.fetch("1", "(BODY.PEEK[])"))[0][1], raw)


if __name__ == "__main__":
    main()
