"""The traps of the control application: each misbehaves as it says, seen by programs nobody here wrote; campaigns find ours conforming in what it
sends. CTL-TRAP, OPE-10 to OPE-18, SMA-02"""

import contextlib
import email
import json
import os
import re
import shutil
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time
import tomllib
import unittest
import urllib.error
import urllib.request
from pathlib import Path

from space import BINARY, PATIENCE, SpaceTest, main, run, wait_for

CASES = ["SMA-02", *(f"OPE-{number}" for number in range(10, 19))]
DOMAIN = "pieges.formation.mssante.fr"
# The last byte of each door's address (docs/sandbox.md).
DOORS = {name: 5 + index for index, name in enumerate(
    ["nominal", "sans-starttls", "expire", "revoque", "autosigne", "mauvais-nom", "autre-ac", "dn-non-liste", "tls10",
     "suites-hors-liste", "dh1024", "hors-liste", "mx2", "injection"])}


class Traps(SpaceTest):
    def setUp(self):
        self.job = tomllib.loads((self.space.folder / "alpha/control.toml").read_text())
        self.stand = self.job["stand"]["url"]
        self.key = (self.space.folder / "control/stand.key").read_text().strip()
        self.alpha = self.space.operator("alpha")

    def ask(self, path, key=None, raw=False):
        request = urllib.request.Request(f"{self.stand}/traps{path}", headers={"Authorization": f"Bearer {key or self.key}"})
        with urllib.request.urlopen(request, context=self.space.context(), timeout=PATIENCE) as answer:
            return answer.read() if raw else json.load(answer)

    def sessions(self, query):
        return self.ask(f"/sessions?{query}")["sessions"]

    def door(self, name):
        """The address of a door: the operators' own with another last byte."""
        host = self.alpha["mx"]["host"].rsplit(".", 1)[0]
        return f"{host}.{DOORS[name]}", self.alpha["mx"]["port"]

    def campaign(self, job, *only, ok=None):
        out = self.space.folder / "campagne.json"
        out.unlink(missing_ok=True)
        arguments = [word for case in only for word in ("--only", case)]
        done = run(BINARY, "control", "run", job, "--json", out, *arguments, ok=ok, timeout=600)
        return done, json.loads(out.read_text())

    def inbox(self):
        connection = self.space.imap(next(p for p in self.space.json["people"] if p["mailbox"] == self.job["mailbox"]["address"]))
        try:
            return int(connection.select("INBOX")[1][0])
        finally:
            connection.logout()

    # --- what our operator sends -----------------------------------------------------------------------------------

    def test_ours_is_conforming_in_all_it_sends(self):
        whole = self.space.folder / "alpha/complet.toml"
        whole.write_text((self.space.folder / "alpha/control.toml").read_text().replace('plan = "api-lps"', 'plan = "complet"'))
        before = self.inbox()
        began = time.monotonic()
        done, report = self.campaign(whole, *CASES)
        print(f"ten cases of sending: {time.monotonic() - began:.0f} s", flush=True)
        self.assertEqual([case["id"] for case in report["cas"]], sorted(CASES, key=lambda c: (c[:3] != "SMA", c)))
        for case in report["cas"]:
            with self.subTest(case["id"]):
                wrong = [v for v in case["variantes"] if v["verdict"]["etat"] != "conforme"]
                self.assertEqual(wrong, [])
                # What must not be delivered is a sandwich.
                if case["id"] in {"OPE-11", "OPE-12", "OPE-13", "OPE-14", "OPE-16", "OPE-18"}:
                    self.assertTrue(all(v["controle_avant"] and v["controle_apres"] for v in case["variantes"]))
        self.assertEqual(done.returncode, 0)
        # The notices were read and taken away: the BAL is as it was.
        self.assertEqual(self.inbox(), before)

        proof = {case["id"]: report["preuves"][case["variantes"][0]["preuves"][0]] for case in report["cas"]}
        nominal = proof["OPE-10"]["sessions"][0]
        self.assertEqual(nominal["tls"]["certificate"]["domains"], [self.alpha["domain"]])
        self.assertEqual(nominal["tls"]["certificate"]["subject"], self.alpha["dn"])
        # Each door was met by the fault it has, and said so by whoever met it.
        errors = {session["door"]: session["tls"]["error"] for session in proof["OPE-12"]["sessions"] if session["tls"]}
        for door, alert in {"expire": "expired", "revoque": "revoked", "autosigne": "unknown ca", "mauvais-nom": "bad certificate",
                            "autre-ac": "unknown ca"}.items():
            self.assertIn(alert, errors[door])
        self.assertIsNone(errors["dn-non-liste"])
        # 451 twice, then taken; cut once, then taken; the first server of mx2 closed.
        answers = [to["answer"][:3] for session in proof["OPE-15"]["sessions"] for transaction in session["transactions"]
                   for to in transaction["to"] if to["trap"] == "liste-grise"]
        self.assertEqual(sorted(answers), ["250", "451", "451"])
        whole = [t["message"]["is_whole"] for session in proof["OPE-17"]["sessions"] for t in session["transactions"]
                 if t["to"][0]["trap"] == "coupure-data"]
        self.assertEqual(sorted(whole), [False, True])
        self.assertEqual([notice["status"] for notice in sorted(proof["OPE-16"]["avis"], key=lambda n: n["status"])],
                         ["5.1.1", "5.2.2", "5.6.0"])

    def test_without_a_stand_nothing_is_run_and_that_is_said(self):
        text = (self.space.folder / "alpha/control.toml").read_text()
        job = self.space.folder / "alpha/sans-banc.toml"
        job.write_text(re.sub(r"\[stand\]\n(?:.+\n)+", "", text).replace('plan = "api-lps"', 'plan = "operateurs"'))
        _, report = self.campaign(job, "OPE-11", "OPE-15")
        self.assertEqual({case["etat"] for case in report["cas"]}, {"non_execute"})
        self.assertIn("[stand]", report["cas"][0]["cause"])

    def test_a_failing_control_concludes_nothing(self):
        # Tokens the operator does not believe: nothing can be handed over.
        text = (self.space.folder / "alpha/control.toml").read_text()
        job = self.space.folder / "alpha/etranger.toml"
        job.write_text(text.replace('key = "../psc/signing.key"', 'key = "../psc/foreign.key"').replace('"api-lps"', '"complet"'))
        _, report = self.campaign(job, "OPE-11", "OPE-16", "SMA-02")
        self.assertEqual({case["etat"] for case in report["cas"]}, {"inconclusif"})

    # --- the traps, by other programs -------------------------------------------------------------------------------

    def test_swaks_and_the_nominal_trap(self):
        host, port = self.door("nominal")
        done = run("swaks", "--server", host, "--port", port, "--tls", "--tls-cert", self.space.folder / self.alpha["certificate"],
                   "--tls-key", self.space.folder / self.alpha["key"], "--ehlo", self.alpha["mx"]["name"],
                   "--from", f"marie.martin@{self.alpha['domain']}", "--to", f"nominal+swaks-1@{DOMAIN}",
                   "--header", "Subject: [controle swaks-1] par swaks", "--body", "bonjour\n.point\n")
        self.assertIn("TLS started with cipher TLSv1.2", done.stdout)
        session = wait_for("the session", lambda: [s for s in self.sessions("run=swaks-1") if s["end"]])[0]
        self.assertEqual((session["end"], session["hello"]), ("quit", self.alpha["mx"]["name"]))
        shown = session["tls"]["certificate"]
        self.assertEqual((shown["subject"], shown["fault"], shown["domains"]), (self.alpha["dn"], None, [self.alpha["domain"]]))
        message = session["transactions"][0]["message"]
        self.assertTrue(message["is_ours"] and message["is_taken"])
        octets = self.ask(f"/sessions/{session['seq']}/messages/0", raw=True)
        self.assertEqual(len(octets), message["octets"])
        self.assertIn(b"\r\n.point\r\n", octets)
        # Found as a person looks for it.
        for words in ("from:marie.martin", "to:nominal", "run:swaks-1", "entete:%22Subject:%20par%20swaks%22"):
            self.assertIn(session["seq"], [s["seq"] for s in self.sessions(f"q={words}%20run:swaks-1")], words)
        self.assertEqual(self.sessions("q=run:swaks-1%20from:personne"), [])

        # Certificates to be refused are told as such; messages without our mark are not kept.
        for name, words in (("expired", "périmé"), ("revoked", "révoqué"), ("other-authority", "autorité inconnue")):
            bad = self.space.json["negative"][name]
            run("swaks", "--server", host, "--port", port, "--tls", "--tls-cert", self.space.folder / bad["certificate"],
                "--tls-key", self.space.folder / bad["key"], "--from", f"marie.martin@{self.alpha['domain']}",
                "--to", f"nominal+{name}@{DOMAIN}", "--body", "un texte qui n'est pas de nous")
            session = wait_for(name, lambda: self.sessions(f"run={name}"))[0]
            self.assertIn(words, session["tls"]["certificate"]["fault"])
            message = session["transactions"][0]["message"]
            self.assertEqual((message["is_ours"], message["kept"]), (False, 0))
            self.assertEqual({value for _, value in message["fields"]}, {""})
        folder = self.space.folder / "control/pieges"
        self.assertFalse([f for f in folder.iterdir() if b"pas de nous" in f.read_bytes()])

        with self.assertRaises(urllib.error.HTTPError) as refused:
            self.ask("", key="0" * 64)
        self.assertEqual(refused.exception.code, 401)
        self.assertEqual(self.ask("")["domain"], DOMAIN)

    def s_client(self, name, *options):
        host, port = self.door(name)
        done = subprocess.run(["openssl", "s_client", "-connect", f"{host}:{port}", "-starttls", "smtp", "-CAfile", str(self.space.ca),
                               *options], input="QUIT\n", capture_output=True, text=True, timeout=PATIENCE, errors="replace")
        return done.stdout + done.stderr

    def test_openssl_sees_the_fault_of_each_door(self):
        good = self.s_client("nominal", "-verify_hostname", f"mx.{DOMAIN}")
        self.assertIn("Verify return code: 0 (ok)", good)
        self.assertRegex(good, r"TLSv1\.2, Cipher is ECDHE-RSA-AES256-GCM-SHA384")
        self.assertIn("TEST AC IGC-SANTE ELEMENTAIRE ORGANISATIONS", good)
        for door, options, words in (
                ("expire", (), "certificate has expired"),
                ("autosigne", (), "self-signed certificate"),
                ("autre-ac", (), "certificate signature failure|unable to get local issuer"),
                ("mauvais-nom", ("-verify_hostname", f"mx.mauvais-nom.{DOMAIN}"), "[Hh]ostname mismatch"),
                ("revoque", ("-crl_check", "-CRL", str(self.crl())), "certificate revoked"),
                ("nominal", ("-crl_check", "-CRL", str(self.crl())), r"Verify return code: 0"),
                ("dn-non-liste", ("-verify_hostname", f"mx.dn-non-liste.{DOMAIN}"), r"Verify return code: 0"),
                ("tls10", ("-tls1", "-cipher", "ALL:@SECLEVEL=0"), "Protocol  : TLSv1\n"),
                ("tls10", ("-tls1_2",), "alert protocol version|unsupported protocol"),
                ("dh1024", ("-cipher", "ALL:@SECLEVEL=0", "-tls1_2"), "Server Temp Key: DH, 1024 bits"),
                ("dh1024", ("-tls1_2",), "dh key too small|handshake failure"),
                ("suites-hors-liste", ("-tls1_2",), "Cipher is (?!ECDHE-RSA-AES(256|128)-GCM|DHE-RSA-AES(256|128)-GCM).*\\w"),
                ("suites-hors-liste", ("-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-GCM-SHA256"), "handshake failure")):
            with self.subTest(door=door, options=options):
                self.assertRegex(self.s_client(door, *options), words)

    def crl(self):
        path = self.space.folder / "organisations.crl.pem"
        if not path.exists():
            der = urllib.request.urlopen(self.space.json["pki"]["crl_url"], timeout=PATIENCE).read()
            done = subprocess.run(["openssl", "crl", "-inform", "DER", "-out", str(path)], input=der, capture_output=True, timeout=PATIENCE)
            self.assertEqual(done.returncode, 0, done.stderr)
        return path

    def test_smtplib_and_the_traps_that_answer_ill(self):
        def session(door="nominal", tls=True):
            connection = smtplib.SMTP(*self.door(door), local_hostname="mx.essai.test", timeout=PATIENCE)
            if tls:
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                connection.starttls(context=context)
            return connection

        def send(connection, trap, run_, domain=DOMAIN):
            connection.ehlo_or_helo_if_needed()
            return connection.sendmail("a@essai.test", [f"{trap}+{run_}@{domain}"], f"Subject: [controle {run_}]\r\n\r\nx\r\n")

        for trap, code in (("refus", 550), ("plein", 552), ("inconnu", 550), ("expire", 550)):
            with self.assertRaises(smtplib.SMTPRecipientsRefused) as refused, session() as connection:
                send(connection, trap, "smtplib")
            self.assertEqual([answer[0] for answer in refused.exception.recipients.values()], [code], trap)
        with self.assertRaises(smtplib.SMTPDataError) as refused, session() as connection:
            send(connection, "contenu", "smtplib")
        self.assertEqual(refused.exception.smtp_code, 554)
        # The same run again is the second time; another run begins anew.
        for run_, codes in (("g1", [451, 451, 250]), ("g2", [451, 451, 250])):
            for code in codes:
                with session() as connection, contextlib.ExitStack() as stack:
                    if code != 250:
                        stack.enter_context(self.assertRaises(smtplib.SMTPRecipientsRefused))
                    send(connection, "liste-grise", run_)
        with self.assertRaises((smtplib.SMTPServerDisconnected, ConnectionError)), session() as connection:
            send(connection, "coupure-data", "c1")
        with session() as connection:
            send(connection, "coupure-data", "c1")
        taken = [t["message"]["is_taken"] for s in self.sessions("run=c1") for t in s["transactions"]]
        self.assertEqual(sorted(taken), [False, True])

        with session("sans-starttls", tls=False) as connection:
            connection.ehlo()
            self.assertFalse(connection.has_extn("starttls"))
            # It takes what is sent in clear: that is what it is there to see.
            send(connection, "sans-starttls", "clair", f"sans-starttls.{DOMAIN}")
        self.assertTrue(wait_for("in clear", lambda: self.sessions("run=clair&door=sans-starttls"))[0]["transactions"][0]["message"]["is_taken"])
        with session(tls=False) as connection:
            connection.ehlo()
            self.assertEqual(connection.mail("a@essai.test")[0], 530)

        # The injected answer is in clear, before the handshake.
        with socket.create_connection(self.door("injection"), 60) as plain:
            stream = plain.makefile("rwb")
            stream.readline()
            stream.write(b"EHLO x\r\n")
            stream.flush()
            while not stream.readline().startswith(b"250 "):
                pass
            stream.write(b"STARTTLS\r\n")
            stream.flush()
            self.assertEqual([stream.readline()[:4] for _ in range(4)], [b"220 ", b"250-", b"250-", b"250 "])

    def test_traps_that_answer_do_so_once_through_the_operators_own_interface(self):
        person = next(p for p in self.space.json["people"] if p["mailbox"] == self.job["mailbox"]["address"])
        kinds = {"mdn": "multipart/report", "dsn": "multipart/report", "repondeur": "text/plain"}
        with self.space.smtp(person) as smtp:
            for trap in kinds:
                smtp.sendmail(person["mailbox"], [f"{trap}+rep-{trap}@{DOMAIN}"],
                              f"From: {person['mailbox']}\r\nTo: {trap}+rep-{trap}@{DOMAIN}\r\nDate: Sun, 22 Nov 2026 10:00:00 +0100\r\n"
                              f"Message-ID: <rep-{trap}@essai.test>\r\nSubject: [controle rep-{trap}]\r\n\r\nx\r\n")
        for trap, kind in kinds.items():
            with self.subTest(trap):
                answered = wait_for("the answer", lambda: [s for s in self.sessions(f"run=rep-{trap}") if s["end"] == "answered"])
                message = answered[0]["transactions"][0]["message"]
                self.assertTrue(message["is_taken"], message["answer"])
                connection = self.space.imap(person)
                connection.select("INBOX")
                _, found = connection.search(None, "HEADER", "X-Vaguemestre-Controle", f"rep-{trap}")
                numbers = found[0].split()
                self.assertEqual(len(numbers), 1)
                _, data = connection.fetch(numbers[0].decode(), "(BODY.PEEK[HEADER])")
                header = email.message_from_bytes(data[0][1])
                self.assertEqual((header.get_content_type(), header["Auto-Submitted"], header["Return-Path"]), (kind, "auto-replied", "<>"))
                connection.store(numbers[0].decode(), "+FLAGS", "\\Deleted")
                connection.expunge()
                connection.logout()
                # The message, the answer, and nothing that answers it.
                self.assertEqual(len(self.sessions(f"run=rep-{trap}")), 2)

    # --- an operator nobody here wrote ------------------------------------------------------------------------------

    @unittest.skipUnless(os.geteuid() == 0 and Path("/usr/sbin/postfix").exists(), "Postfix runs as root only")
    def test_postfix_as_the_operator_that_sends(self):
        """Postfix, which encrypts and verifies nobody (`encrypt`): good where it is, caught where it is not."""
        address = f"marie.martin@{self.alpha['domain']}"
        with tempfile.TemporaryDirectory(prefix="vaguemestre-postfix-") as place:
            place = Path(place)
            place.chmod(0o755)
            etc = place / "etc"
            for folder in (etc, place / "queue", place / "data"):
                folder.mkdir(mode=0o755)
            shutil.chown(place / "data", "postfix")
            for name, source in (("own.pem", self.alpha["certificate"]), ("own.key", self.alpha["key"]), ("ca.pem", self.ca_name())):
                shutil.copy(self.space.folder / source, etc / name)
            hosts = {name: (DOMAIN if name == "nominal" else f"{name}.{DOMAIN}", self.door(name)) for name in DOORS}
            (etc / "transport").write_text("".join(f"{domain} smtp:[{host}]:{port}\n" for domain, (host, port) in hosts.values()))
            settings = {
                "compatibility_level": "3.6", "queue_directory": place / "queue", "data_directory": place / "data",
                "command_directory": "/usr/sbin", "daemon_directory": "/usr/lib/postfix/sbin", "mail_owner": "postfix",
                "setgid_group": "postdrop", "myhostname": self.alpha["mx"]["name"], "mydestination": "", "inet_interfaces": "loopback-only",
                "inet_protocols": "ipv4", "transport_maps": f"texthash:{etc}/transport", "smtp_tls_security_level": "encrypt",
                "smtp_tls_CAfile": etc / "ca.pem", "smtp_tls_cert_file": etc / "own.pem", "smtp_tls_key_file": etc / "own.key",
                "smtp_host_lookup": "native", "minimal_backoff_time": "2s", "maximal_backoff_time": "4s", "queue_run_delay": "2s",
                "maillog_file": place / "maillog", "maillog_file_prefixes": place, "multi_instance_name": "postfix-pieges",
                "alternate_config_directories": ""}
            (etc / "main.cf").write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
            services = ["pickup unix n - n 2 1 pickup", "cleanup unix n - n - 0 cleanup", "qmgr unix n - n 2 1 qmgr",
                        "tlsmgr unix - - n 1000? 1 tlsmgr", "rewrite unix - - n - - trivial-rewrite", "bounce unix - - n - 0 bounce",
                        "defer unix - - n - 0 bounce", "trace unix - - n - 0 bounce", "smtp unix - - n - - smtp", "error unix - - n - - error",
                        "retry unix - - n - - error", "scache unix - - n - 1 scache", "postlog unix-dgram n - n - 1 postlogd",
                        "proxymap unix - - n - - proxymap"]
            (etc / "master.cf").write_text("\n".join(services) + "\n")
            run("postfix", "-c", etc, "start")
            try:
                usual = ("nominal", "liste-grise", "421", "lent", "refus", "plein", "contenu", "coupure-data")
                for trap in (*usual, "sans-starttls", "expire", "autosigne", "tls10", "suites-hors-liste", "dh1024", "injection", "mx2"):
                    domain = DOMAIN if trap in usual else f"{trap}.{DOMAIN}"
                    run("sendmail", "-C", etc, "-f", address, f"{trap}+pf-{trap}@{domain}",
                        input=f"From: {address}\nTo: {trap}@{domain}\nSubject: [controle pf-{trap}]\n\nx\n")

                def seen(trap):
                    """The answers to RCPT, and whether each message was taken, in order."""
                    sessions = sorted(self.sessions(f"run=pf-{trap}"), key=lambda s: s["seq"])
                    ours = [t for s in sessions for t in s["transactions"] if t["to"] and t["to"][0]["run"] == f"pf-{trap}"]
                    return [t["to"][0]["answer"][:3] for t in ours], [t["message"]["is_taken"] for t in ours if t["message"]]

                for trap, answers, taken in (
                        ("nominal", ["250"], [True]), ("liste-grise", ["250", "451", "451"], [True]), ("421", ["250", "421"], [True]),
                        ("lent", ["250"], [True]), ("refus", ["550"], []), ("plein", ["552"], []), ("contenu", ["250"], [False]),
                        ("coupure-data", ["250", "250"], [False, True]), ("mx2", ["250"], [True]), ("injection", ["250"], [True]),
                        # It verifies nobody and knows no list of suites: that is what these are there to see.
                        ("expire", ["250"], [True]), ("autosigne", ["250"], [True]), ("tls10", ["250"], [True]),
                        ("suites-hors-liste", ["250"], [True]), ("dh1024", ["250"], [True])):
                    with self.subTest(trap):
                        wait_for(trap, lambda: tuple(map(sorted, seen(trap))) == (sorted(answers), sorted(taken)))
                injected = self.sessions("run=pf-injection")[0]
                self.assertIs(injected["taken_in"], False)
                self.assertEqual(injected["tls"]["certificate"]["subject"], self.alpha["dn"])
                self.assertEqual(seen("sans-starttls"), ([], []))
                log = (place / "maillog").read_text()
                self.assertIn("TLS is required, but was not offered", log)
                for status in ("dsn=5.1.1", "dsn=5.2.2", "dsn=5.6.0"):
                    self.assertIn(status, log)
            finally:
                run("postfix", "-c", etc, "stop", ok=None)

    def ca_name(self):
        return self.space.json["pki"]["ca"]

    def test_zz_what_was_acknowledged_outlives_a_crash(self):
        host, port = self.door("nominal")
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = smtplib.SMTP(host, port, local_hostname="mx.essai.test", timeout=PATIENCE)
        connection.starttls(context=context)
        connection.sendmail("a@essai.test", [f"nominal+crash@{DOMAIN}"], "Subject: [controle crash]\r\n\r\nx\r\n")
        # The session goes on while the process is killed.
        self.space.kill()
        self.space.start()
        self.setUp()
        session = self.sessions("run=crash")[0]
        self.assertEqual(session["end"], "stopped")
        self.assertIn(b"[controle crash]", self.ask(f"/sessions/{session['seq']}/messages/0", raw=True))
        last = self.ask("")["last"]
        self.assertGreaterEqual(last, session["seq"])
        connection.close()


if __name__ == "__main__":
    main()
