"""The operator interface: who may write to us, for whom, and what happens to all the others (OPE-MTLS, OPE-LIST, OPE-QUEUE)."""

import json
import re
import time
import uuid
from email.utils import formatdate

from space import PATIENCE, SpaceTest, main, run, wait_for
from wire import Closed, Wire, smtp_wire

# What swaks ends with when MAIL, all RCPT, or the message was refused.
SWAKS_MAIL, SWAKS_RCPT, SWAKS_DATA = 23, 24, 26


class Peers(SpaceTest):
    """Alpha's certificate, or a bad one, writes to beta."""

    def setUp(self):
        self.alpha, self.beta = self.space.operator("alpha"), self.space.operator("beta")
        self.sender = self.space.person("alpha")["mailbox"]
        self.reader = self.space.person("beta")

    def material(self, name=None):
        entry = self.space.json["negative"][name] if name else self.alpha
        return {"certificate": entry["certificate"], "key": entry["key"]}

    def swaks(self, material, *options, sender=None, recipient=None, ok=True):
        mx = self.beta["mx"]
        certificate = []
        if material:
            certificate = ["--tls-cert", self.space.folder / material["certificate"], "--tls-key", self.space.folder / material["key"]]
        return run("swaks", "--server", mx["host"], "--port", mx["port"], "--tls", "--tls-ca-path", self.space.ca, "--tls-verify",
                   *certificate, "--helo", self.alpha["mx"]["name"], "--from", self.sender if sender is None else sender,
                   "--to", recipient or self.reader["mailbox"], "--timeout", "30", *options, ok=ok)

    def peer(self, material=None):
        """An SMTP session of a listed peer, or of the owner of that certificate."""
        return smtp_wire(self.space, "beta", "mx", **(material or self.material()))

    def holding(self, word, person=None):
        """How many messages hold a word, and how many there are."""
        reader = self.space.imap(person or self.reader)
        try:
            total = int(reader.select(readonly=True)[1][0])
            return len(reader.search(None, "TEXT", f'"{word}"')[1][0].split()), total
        finally:
            reader.logout()

    def traces(self, operator="beta"):
        lines = []
        for path in sorted((self.space.folder / operator / "data/traces").glob("*.jsonl")):
            lines += [json.loads(line) for line in path.read_text().splitlines()]
        return lines

    def message(self, word, *fields, message_id=None):
        head = [f"From: <{self.sender}>", f"To: <{self.reader['mailbox']}>", f"Subject: {word}", f"Date: {formatdate()}",
                f"Message-ID: {message_id or f'<{uuid.uuid4().hex}@lps.test>'}", *fields]
        return "\r\n".join(head) + f"\r\n\r\nBonjour {word}.\r\n"

    def send(self, wire, text, sender=None, recipients=None):
        code, said = wire.smtp(f"MAIL FROM:<{self.sender if sender is None else sender}>")
        self.assertEqual(code, 250, said)
        for recipient in recipients or [self.reader["mailbox"]]:
            code, said = wire.smtp(f"RCPT TO:<{recipient}>")
            self.assertEqual(code, 250, said)
        self.assertEqual(wire.smtp("DATA")[0], 354)
        return wire.smtp(text + ".")

    def test_a_listed_peer_is_taken(self):
        word = uuid.uuid4().hex
        self.swaks(self.material(), "--header", f"Subject: {word}")
        self.assertEqual(self.holding(word)[0], 1)
        trace = wait_for("the trace", lambda: [t for t in self.traces() if t["action"] == "receive" and t["done"]])[-1]
        self.assertEqual(trace["who"], {"operator": self.alpha["dn"]})
        self.assertEqual(trace["with"], [self.sender, self.reader["mailbox"]])

    def test_bad_certificates_are_refused_explained_and_traced(self):
        reasons = {
            None: "certificate",
            "expired": "expired",
            "not-yet-valid": "valid",
            "revoked": "revoked",
            "other-authority": "authority|signature",
            "wrong-usage": "usage|client",
            "no-usage": "usage|client",
            "unlisted": "white list",
            "other-structure": "white list",
        }
        before = self.holding("rien")[1]
        for name, reason in reasons.items():
            with self.subTest(certificate=name):
                seen = len(self.traces())
                word = uuid.uuid4().hex
                sender = "dr.x@horsliste.formation.mssante.fr" if name == "unlisted" else self.sender
                done = self.swaks(self.material(name) if name else None, "--header", f"Subject: {word}", sender=sender, ok=None)
                self.assertEqual(done.returncode, SWAKS_MAIL, done.stdout)
                refusal = re.search(r"^<~\*? *(\d{3}) (\d\.\d\.\d+) (.*)$", done.stdout, re.MULTILINE)
                self.assertEqual((refusal[1], refusal[2]), ("550", "5.7.1"), done.stdout)
                self.assertRegex(refusal[3], reason)

                def traced():
                    return [t for t in self.traces()[seen:] if t["action"] == "operator_presents"]
                trace = wait_for("the trace", traced)[0]
                self.assertFalse(trace["done"])
                self.assertIn("550 5.7.1", trace["answer"])
                self.assertIn("peer", trace)
                if name:
                    self.assertIn("OU=", trace["who"]["operator"])
                else:
                    self.assertEqual(trace["who"], "unknown")
        self.assertEqual(self.holding("rien")[1], before)

    def test_a_refused_peer_stays_refused_whatever_it_tries(self):
        for name in ("revoked", "unlisted"):
            with self.peer(self.material(name)) as wire:
                for sender in (self.sender, "", "dr.x@horsliste.formation.mssante.fr"):
                    code, text = wire.smtp(f"MAIL FROM:<{sender}>")
                    self.assertEqual((code, text[:5]), (550, "5.7.1"), sender)
                    self.assertEqual(wire.smtp(f"RCPT TO:<{self.reader['mailbox']}>")[0], 503)
                    self.assertEqual(wire.smtp("DATA")[0], 503)
                    self.assertEqual(wire.smtp("BDAT 5 LAST\r\nabc")[0], 503)
                    self.assertEqual(wire.smtp("RSET")[0], 250)

    def test_a_sender_domain_that_is_not_the_peers(self):
        # OPE-LIST: the union of the domains of this DN and no other
        before = self.holding("rien")[1]
        for sender in (self.reader["mailbox"], "dr.x@patient.mssante.fr", "dr.x@horsliste.formation.mssante.fr", "dr.x@gmail.com",
                       "dr.x@sous.alpha.formation.mssante.fr", "dr.x@formation.mssante.fr", "dr.x@[127.0.0.1]"):
            with self.subTest(sender=sender):
                done = self.swaks(self.material(), sender=sender, ok=None)
                self.assertEqual(done.returncode, SWAKS_MAIL, done.stdout)
                self.assertIn("550 5.7.1", done.stdout)
        self.assertEqual(self.holding("rien")[1], before)
        refused = wait_for("the traces", lambda: [t for t in self.traces() if t["action"] == "receive" and not t["done"]
                                                  and "dr.x@gmail.com" in t["with"]])
        self.assertEqual(refused[0]["who"], {"operator": self.alpha["dn"]})

    def test_notices_have_no_sender(self):
        word = uuid.uuid4().hex
        self.swaks(self.material(), "--header", f"Subject: {word}", sender="<>")
        self.assertEqual(self.holding(word)[0], 1)

    def test_nothing_is_relayed(self):
        for recipient in (self.sender, "dr.x@gmail.com", "255069999999934@patient.mssante.fr", "dr.x@horsliste.formation.mssante.fr",
                          f"dr.x%gmail.com@{self.alpha['domain']}"):
            with self.subTest(recipient=recipient):
                done = self.swaks(self.material(), recipient=recipient, ok=None)
                self.assertEqual(done.returncode, SWAKS_RCPT, done.stdout)
                self.assertIn("550 5.7.1", done.stdout)

    def test_an_unknown_mailbox_and_guessing(self):
        done = self.swaks(self.material(), recipient=f"personne@{self.beta['domain']}", ok=None)
        self.assertEqual(done.returncode, SWAKS_RCPT, done.stdout)
        self.assertIn("550 5.1.1", done.stdout)
        with self.peer() as wire:
            # VRFY and EXPN tell nothing
            self.assertEqual(wire.smtp(f"VRFY {self.reader['mailbox']}"), wire.smtp(f"VRFY personne@{self.beta['domain']}"))
            self.assertEqual(wire.smtp("EXPN accueil")[0], 502)
            # one that is unknown does not spoil the others
            wire.smtp(f"MAIL FROM:<{self.sender}>")
            self.assertEqual(wire.smtp(f"RCPT TO:<personne@{self.beta['domain']}>")[0], 550)
            self.assertEqual(wire.smtp(f"RCPT TO:<{self.reader['mailbox']}>")[0], 250)
            wire.smtp("RSET")
            # a dictionary is not tried to its end on one connection
            wire.smtp(f"MAIL FROM:<{self.sender}>")
            try:
                codes = [wire.smtp(f"RCPT TO:<nom{number}@{self.beta['domain']}>")[0] for number in range(300)]
            except Closed:
                codes = [421]
            self.assertIn(421, codes)

    def test_nothing_is_said_in_clear(self):
        # OPE-MTLS
        with smtp_wire(self.space, "beta", "mx", tls=False) as wire:
            for command in (f"MAIL FROM:<{self.sender}>", "MAIL FROM:<>", f"RCPT TO:<{self.reader['mailbox']}>", "DATA"):
                code, text = wire.smtp(command)
                self.assertEqual((code, text[:5]), (530, "5.7.0"), command)
        with self.peer() as wire:
            self.assertNotIn("AUTH", wire.smtp("EHLO lps.test")[1])
            self.assertEqual(wire.smtp("AUTH XOAUTH2")[0], 502)
            self.assertEqual(wire.smtp("AUTH EXTERNAL =")[0], 502)

    def test_the_same_message_again_is_stored_once(self):
        # OPE-QUEUE: its 250 was lost, so the peer sends it again
        word = uuid.uuid4().hex
        text = self.message(word, message_id=f"<{word}@lps.test>")
        relayed = f"Received: from lps.test by mx.alpha with ESMTPSA id {word}; {formatdate()}\r\n" + text
        for _ in range(2):
            with self.peer() as wire:
                code, said = self.send(wire, relayed)
                self.assertEqual(code, 250, said)
                code, said = self.send(wire, relayed)
                self.assertEqual(code, 250, said)
        self.assertEqual(self.holding(word)[0], 1)
        # for somebody else too it is new
        other = self.space.person("beta", index=1)
        with self.peer() as wire:
            self.assertEqual(self.send(wire, relayed, recipients=[self.reader["mailbox"], other["mailbox"]])[0], 250)
        self.assertEqual((self.holding(word)[0], self.holding(word, other)[0]), (1, 1))
        # another one that only looks like it is another one
        with self.peer() as wire:
            self.assertEqual(self.send(wire, relayed.replace("Bonjour", "Bonsoir"))[0], 250)
        self.assertEqual(self.holding(word)[0], 2)

    def test_several_recipients_and_one_named_twice(self):
        word = uuid.uuid4().hex
        org = self.space.person("beta", "ORG")
        with self.peer() as wire:
            code, said = self.send(wire, self.message(word), recipients=[
                self.reader["mailbox"], org["mailbox"], self.reader["mailbox"].upper(), org["mailbox"]])
            self.assertEqual(code, 250, said)
        self.assertEqual((self.holding(word)[0], self.holding(word, org)[0]), (1, 1))

    def test_smuggling(self):
        # two servers that read line ends differently: one message or a refusal, never two (CVE-2023-51764 and its kin)
        ends = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\n.\r", b"\r.\n", b"\r\n.\r\r\n", b"\r\n\0.\r\n",
                b"\r\n.\0\r\n", b"\r\n. \r\n", b"\n\n.\n\n", b"\r\n\x2e\x0d\x85", b"\xc2\x85.\xc2\x85"]
        for end in ends:
            with self.subTest(end=end):
                first, second = uuid.uuid4().hex, uuid.uuid4().hex
                hidden = (f"MAIL FROM:<{self.sender}>\r\nRCPT TO:<{self.reader['mailbox']}>\r\nDATA\r\n"
                          f"{self.message(second)}.\r\n").encode()
                with self.peer() as wire:
                    wire.smtp(f"MAIL FROM:<{self.sender}>")
                    wire.smtp(f"RCPT TO:<{self.reader['mailbox']}>")
                    self.assertEqual(wire.smtp("DATA")[0], 354)
                    text = self.message(first).encode().removesuffix(b"\r\n")
                    try:
                        wire.send(text + end + hidden)
                        code, said = wire.reply()
                        self.assertIn(code, (250, 554), said)
                        # and what follows is not taken for commands of ours
                        self.assertEqual(wire.smtp("NOOP")[0], 250)
                    except Closed:
                        code = None
                first_found, second_found = self.holding(first)[0], self.holding(second)[0]
                if code == 250:
                    self.assertEqual(first_found, 1)
                    # stored as one message, the hidden one being a part of its text
                    self.assertLessEqual(second_found, 1)
                else:
                    self.assertEqual((first_found, second_found), (0, 0))
                reader = self.space.imap(self.reader)
                reader.select(readonly=True)
                self.assertEqual(reader.search(None, "SUBJECT", second)[1][0].split(), [])
                reader.logout()

    def test_commands_ahead_of_the_answer_to_data_are_refused(self):
        # a client that does not wait for 354: if DATA were refused, its text would be read as commands
        word = uuid.uuid4().hex
        with self.peer() as wire:
            wire.send(f"MAIL FROM:<{self.sender}>\r\nRCPT TO:<{self.reader['mailbox']}>\r\nDATA\r\n{self.message(word)}.\r\nQUIT\r\n")
            told = wire.rest()
        self.assertIn(b"554 5.5.1", told)
        self.assertEqual(self.holding(word)[0], 0)

    def test_bdat(self):
        word = uuid.uuid4().hex
        octets = self.message(word).encode()
        with self.peer() as wire:
            wire.smtp(f"MAIL FROM:<{self.sender}>")
            wire.smtp(f"RCPT TO:<{self.reader['mailbox']}>")
            wire.send(b"BDAT 10\r\n" + octets[:10] + f"BDAT {len(octets) - 10} LAST\r\n".encode() + octets[10:])
            self.assertEqual([wire.reply()[0], wire.reply()[0]], [250, 250])
        self.assertEqual(self.holding(word)[0], 1)

    def test_a_message_that_goes_round_is_stopped(self):
        word = uuid.uuid4().hex
        received = "Received: from a by b; Sun, 22 Nov 2026 00:00:00 +0000\r\n" * 101
        with self.peer() as wire:
            code, said = self.send(wire, received + self.message(word))
            self.assertEqual((code, said[:5]), (554, "5.4.6"))
        self.assertEqual(self.holding(word)[0], 0)


class Flood(SpaceTest):
    def test_nobody_waits_behind_a_slow_peer(self):
        # connections that say nothing, and one that sends a message an octet at a time, while others are served
        beta = self.space.operator("beta")
        silent = [Wire(beta["mx"]) for _ in range(50)]
        begun = time.monotonic()
        with smtp_wire(self.space, "beta", "mx", certificate=self.space.operator("alpha")["certificate"],
                       key=self.space.operator("alpha")["key"]) as wire:
            self.assertEqual(wire.smtp("MAIL FROM:<>")[0], 250)
        self.assertLess(time.monotonic() - begun, PATIENCE)
        for wire in silent:
            wire.close()

    def test_too_many_connections_from_one_address_are_told_so(self):
        beta = self.space.operator("beta")
        held, farewell = [], b""
        for _ in range(260):
            wire = Wire(beta["mx"])
            held.append(wire)
        for wire in held[200:]:
            line = wire.line()
            if line.startswith(b"421"):
                farewell = line
        self.assertTrue(farewell.startswith(b"421 4.3.2 "), farewell)
        for wire in held:
            wire.close()

        def served():
            with Wire(beta["mx"]) as wire:
                return wire.line().startswith(b"220")
        wait_for("room again", served)


if __name__ == "__main__":
    main()
