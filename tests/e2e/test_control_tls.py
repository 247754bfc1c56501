"""The TLS prober (`vaguemestre control tls`) against servers that nobody here wrote, against ours, and against hostile ones. CTL-TLS

What it finds on six fixture servers of OpenSSL and GnuTLS is compared with OpenSSL's own client, suite by suite, and with sslyze and testssl.sh
where they are installed: two servers by sslyze always, all six by both with FOREIGN=whole. docs/control.md tells what each looks at."""

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

import probers
from space import BINARY, Space, free_port, run, wait_for

SIX = "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES128-SHA256:" \
      "DHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-GCM-SHA256"
SIX_CODES = {"0xC030", "0xC02F", "0xC028", "0xC027", "0x009F", "0x009E"}
SIX_FIXTURES = ["six", "tls10", "dh1024", "rc4-3des", "client-certificate", "tls13"]
WHOLE = os.environ.get("FOREIGN") == "whole"
# GnuTLS has what Debian's OpenSSL has not: RC4 and 3DES.
OLD_CIPHERS = "NORMAL:-VERS-ALL:+VERS-TLS1.2:+VERS-TLS1.1:+VERS-TLS1.0:+3DES-CBC:+ARCFOUR-128:+SHA1:+MD5:%COMPAT"
OAKLEY = bytes.fromhex(
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437"
    "4fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7edee386bfb5a899fa5ae9f24117c4b1fe649286651ece65381ffffffffffffffff")
EVERYTHING = probers.EVERYTHING


def probe(where, *arguments, ok=True):
    done = run(BINARY, "control", "tls", where, "--json", *arguments, ok=ok)
    return json.loads(done.stdout)


def version(survey, name):
    return next(v for v in survey["versions"] if v["version"] == name)


def accepted(survey):
    return {v["version"]: {s["code"] for s in v["suites"]} for v in survey["versions"] if v["state"] == "accepted"}


def findings(survey):
    return {f["id"] for f in survey["findings"]}


class Fixtures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="vaguemestre-tls-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.certificate, cls.key = cls.folder / "c.pem", cls.folder / "k.pem"
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", cls.key, "-out", cls.certificate, "-days", "90",
            "-subj", "/CN=lps.essai.test", "-addext", "subjectAltName=DNS:lps.essai.test")
        # The prime of RFC 2409 §6.2: SEQUENCE { INTEGER p, INTEGER 2 }.
        cls.dh1024 = cls.folder / "dh1024.pem"
        integers = b"\x02\x81\x81\x00" + OAKLEY + b"\x02\x01\x02"
        der = b"\x30\x81" + bytes([len(integers)]) + integers
        cls.dh1024.write_text(f"-----BEGIN DH PARAMETERS-----\n{base64.encodebytes(der).decode()}-----END DH PARAMETERS-----\n")

    def server(self, *options):
        return self.running("openssl", "s_server", "-cert", self.certificate, "-key", self.key, "-quiet", *options, "-accept")

    def gnutls(self, priority):
        return self.running("gnutls-serv", "--echo", "--quiet", "--noticket", "--x509certfile", self.certificate, "--x509keyfile", self.key,
                            "--priority", priority, "--port")

    def fixture(self, name):
        """One of the six that others are asked about too."""
        return {
            "six": lambda: self.server("-tls1_2", "-cipher", SIX),
            "tls10": lambda: self.server("-cipher", "DEFAULT:@SECLEVEL=0", "-min_protocol", "TLSv1", "-no_tls1_3"),
            "dh1024": lambda: self.server("-tls1_2", "-dhparam", self.dh1024, "-cipher", "DHE:@SECLEVEL=0"),
            "rc4-3des": lambda: self.gnutls(OLD_CIPHERS),
            "client-certificate": lambda: self.server("-tls1_2", "-cipher", SIX, "-Verify", "1", "-CAfile", self.certificate),
            "tls13": lambda: self.server("-tls1_3"),
        }[name]()

    @contextlib.contextmanager
    def running(self, *command):
        port = free_port()
        # The address is OpenSSL's; GnuTLS takes a port alone.
        place = f"127.0.0.1:{port}" if command[0] == "openssl" else port
        process = subprocess.Popen([*map(str, command), str(place)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            def listening():
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), 5).close()
                    return True
            wait_for("openssl s_server", listening)
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()

    def check(self, where, *arguments):
        survey = probe(where, "--name", "lps.essai.test", *arguments)
        self.assertTrue(survey["is_complete"])
        self.assertEqual(accepted(survey), probers.of_openssl(where)["suites"])
        count = sum(len(v["suites"]) for v in survey["versions"])
        # Accepted ones and chunks (6 for each version), twice for the order, the groups, the hardening.
        self.assertLess(survey["connections"], count + 5 * 7 + 5 * 2 + len(survey["curves"]) + len(survey["shares"]) + 12)
        return survey

    def test_the_six_suites_only(self):
        with self.fixture("six") as where:
            survey = self.check(where)
            self.assertEqual(accepted(survey), {"TLS 1.2": SIX_CODES})
            self.assertTrue(survey["api_lps"]["nothing_else"] and survey["api_lps"]["nothing_older"] and survey["api_lps"]["groups"])
            self.assertEqual(findings(survey), {"cbc", "self-signed"})
            run(BINARY, "control", "tls", where, "--require")
            judged = probe(where, "--ca", self.certificate, "--name", "lps.essai.test")
            self.assertEqual(judged["chains"][0]["name_matches"], True)
            other = probe(where, "--name", "autre.essai.test")
            self.assertIn("name", findings(other))

    def test_tls_1_0(self):
        with self.fixture("tls10") as where:
            survey = self.check(where)
            self.assertLessEqual({"TLS 1.0", "TLS 1.1", "TLS 1.2"}, set(accepted(survey)))
            self.assertLessEqual({"tls10", "tls11", "no-forward-secrecy"}, findings(survey))
            self.assertEqual(survey["api_lps"]["nothing_older"], False)
            done = run(BINARY, "control", "tls", where, "--require", ok=None)
            self.assertEqual(done.returncode, 3)

    def test_dh_1024(self):
        with self.fixture("dh1024") as where:
            survey = self.check(where)
            self.assertEqual({p["bits"] for p in survey["primes"]}, {1024})
            self.assertIn("weak-dh", findings(survey))
            self.assertEqual(survey["api_lps"]["groups"], False)

    def test_null_and_anonymous(self):
        with self.server("-tls1_2", "-cipher", EVERYTHING) as where:
            survey = self.check(where)
            self.assertLessEqual({"null", "anonymous", "no-forward-secrecy"}, findings(survey))

    def test_client_certificate_required(self):
        with self.fixture("client-certificate") as where:
            survey = self.check(where)
            self.assertEqual(accepted(survey), {"TLS 1.2": SIX_CODES})
            self.assertEqual(survey["client_certificate"], ["lps.essai.test"])

    def test_tls_1_3_only(self):
        with self.fixture("tls13") as where:
            survey = self.check(where)
            self.assertEqual(set(accepted(survey)), {"TLS 1.3"})
            self.assertIn("x25519", survey["shares"])
            self.assertIn("CN=lps.essai.test", survey["chains"][0]["certificates"][0]["subject"])

    def test_a_small_curve(self):
        with self.server("-tls1_2", "-cipher", "ECDHE:@SECLEVEL=0", "-named_curve", "secp224r1") as where:
            survey = probe(where)
            self.assertEqual(survey["curves"], ["secp224r1"])
            self.assertIn("weak-curve", findings(survey))

    @unittest.skipUnless(shutil.which("gnutls-serv"), "gnutls-serv")
    def test_rc4_and_3des(self):
        with self.fixture("rc4-3des") as where:
            survey = probe(where, "--name", "lps.essai.test")
            self.assertTrue(survey["is_complete"])
            old = set(probers.OTHERS.values())
            for known in ("TLS 1.0", "TLS 1.1", "TLS 1.2"):
                self.assertEqual(accepted(survey)[known] & old, old)
            self.assertLessEqual({"rc4", "3des", "no-forward-secrecy"}, findings(survey))
            # What OpenSSL knows at all, it finds the same.
            theirs = probers.of_openssl(where)["suites"]
            self.assertEqual({v: codes - old for v, codes in accepted(survey).items()}, theirs)

    def compare(self, tool, names):
        for name in names:
            with self.subTest(tool, fixture=name), self.fixture(name) as where:
                ours = probers.of_ours(probe(where, "--name", "lps.essai.test"))
                theirs = probers.of_sslyze(where, "lps.essai.test") if tool == "sslyze" else probers.of_testssl(where)
                self.assertTrue(theirs["suites"])
                self.assertEqual(probers.differences(ours, theirs), {})

    @unittest.skipUnless(probers.has_sslyze(), "sslyze is not installed (pip install sslyze)")
    def test_as_sslyze_says(self):
        self.compare("sslyze", SIX_FIXTURES if WHOLE else ["six", "tls13"])

    @unittest.skipUnless(WHOLE and probers.has_testssl(), "FOREIGN=whole and testssl.sh")
    def test_as_testssl_says(self):
        self.compare("testssl.sh", SIX_FIXTURES)


class Ours(unittest.TestCase):
    """Both operators of a sandbox, each port."""

    def test_the_ports_of_an_operator(self):
        space = Space()
        self.addCleanup(space.close)
        for entrance, how in [("imap", "imap"), ("submission", "smtp"), ("imap_app", "imap"), ("submission_app", "smtp")]:
            place = space.operator("alpha")[entrance]
            survey = probe(f"{place['host']}:{place['port']}", "--starttls", how, "--name", place["name"], "--ca", space.ca, "--require")
            with self.subTest(entrance):
                self.assertEqual(accepted(survey)["TLS 1.2"], SIX_CODES)
                self.assertEqual(set(accepted(survey)), {"TLS 1.2", "TLS 1.3"})
                self.assertEqual(survey["chains"][0]["verdict"], {"is_good": True, "fault": None})
                self.assertEqual(survey["client_certificate"] is not None, entrance.endswith("_app"))
                self.assertLessEqual(findings(survey), {"cbc", "fallback"})


class Hostile(unittest.TestCase):
    """No crash, no hang, no false verdict, nothing that moves the terminal."""

    @contextlib.contextmanager
    def server(self, behave):
        listener = socket.create_server(("127.0.0.1", 0))
        held = []

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                held.append(connection)
                threading.Thread(target=self.safely, args=(behave, connection), daemon=True).start()
        threading.Thread(target=serve, daemon=True).start()
        try:
            yield "127.0.0.1:%d" % listener.getsockname()[1]
        finally:
            listener.close()
            for connection in held:
                connection.close()

    @staticmethod
    def safely(behave, connection):
        with contextlib.suppress(OSError):
            behave(connection)

    def look(self, behave, *arguments):
        with self.server(behave) as where:
            done = run(BINARY, "control", "tls", where, "--json", "--patience", "1s", *arguments, ok=None)
            survey = json.loads(done.stdout)
            text = run(BINARY, "control", "tls", where, "--patience", "1s", *arguments, ok=None)
            self.assertNotRegex(text.stdout + text.stderr, r"[\x00-\x08\x0b-\x1f\x7f]")
            return done, survey

    def assert_unseen(self, done, survey):
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("nothing could be seen", done.stderr)
        self.assertEqual({v["state"] for v in survey["versions"]}, {"inconclusive"})
        self.assertFalse(survey["is_complete"])
        self.assertEqual(survey["api_lps"]["nothing_older"], None)

    def test_always_busy(self):
        done, survey = self.look(lambda c: c.sendall(b"421 4.7.0 too many connections\r\n"), "--starttls", "smtp")
        self.assert_unseen(done, survey)
        self.assertIn("421", done.stderr)
        self.assertLessEqual(survey["connections"], 2)
        self.assert_unseen(*self.look(lambda c: c.sendall(b"* BYE later\r\n"), "--starttls", "imap"))

    def test_silence(self):
        self.assert_unseen(*self.look(lambda c: c.recv(10000) and threading.Event().wait(5)))
        self.assert_unseen(*self.look(lambda c: threading.Event().wait(5), "--starttls", "imap"))

    def test_escapes_and_endless_lines(self):
        done, survey = self.look(lambda c: c.sendall(b"220 \x1b]0;title\x07\x1b[2J\x9b31m <script>\r\n500 \x1b[31m\r\n"), "--starttls", "smtp")
        self.assert_unseen(done, survey)
        self.assert_unseen(*self.look(lambda c: c.sendall(b"220 " + b"a" * 2_000_000), "--starttls", "smtp"))

    def test_speaks_before_tls(self):
        def inject(c):
            c.sendall(b"220 x\r\n")
            c.recv(1000)
            c.sendall(b"250 STARTTLS\r\n")
            c.recv(1000)
            c.sendall(b"220 go\r\n250 injected\r\n")
        done, survey = self.look(inject, "--starttls", "smtp")
        self.assert_unseen(done, survey)
        self.assertIn("before TLS", done.stderr)

    def test_closes_at_every_hello(self):
        def close(c):
            c.recv(10000)
            c.close()
        done, survey = self.look(close)
        # A close seen twice is a refusal, of everything.
        self.assertEqual({v["state"] for v in survey["versions"]}, {"refused"})
        self.assertEqual(done.returncode, 0)

    def test_rubbish_for_an_answer(self):
        self.assert_unseen(*self.look(lambda c: c.recv(10000) and c.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")))
        self.assert_unseen(*self.look(lambda c: c.recv(10000) and c.sendall(b"\x16\x03\x03\xff\xff" + b"x" * 1000)))

    def test_a_suite_that_was_not_offered(self):
        def choose(c):
            c.recv(10000)
            body = b"\x03\x03" + b"r" * 32 + b"\x00" + b"\x0a\x0a" + b"\x00"
            hello = b"\x02" + len(body).to_bytes(3, "big") + body + b"\x0e\x00\x00\x00"
            c.sendall(b"\x16\x03\x03" + len(hello).to_bytes(2, "big") + hello)
        _, survey = self.look(choose)
        self.assertIn("not-offered", findings(survey))

    def test_three_connections_then_busy(self):
        count = [0]

        def few(c):
            count[0] += 1
            if count[0] > 3:
                c.sendall(b"421 later\r\n")
                return
            c.sendall(b"220 x\r\n")
            c.recv(1000)
            c.sendall(b"250 STARTTLS\r\n")
            c.recv(1000)
            c.sendall(b"220 go\r\n")
            c.recv(10000)
            c.sendall(b"\x15\x03\x03\x00\x02\x02\x28")
        with self.server(few) as where:
            survey = probe(where, "--starttls", "smtp", "--patience", "1s", ok=None)
            self.assertFalse(survey["is_complete"])
            self.assertEqual(survey["api_lps"]["nothing_older"], None)
            # What was seen before the 421 stays seen.
            self.assertEqual(version(survey, "TLS 1.3")["state"], "refused")
            self.assertEqual(version(survey, "TLS 1.2")["state"], "inconclusive")

    def test_nobody_there_and_wrong_words(self):
        done = run(BINARY, "control", "tls", f"127.0.0.1:{free_port()}", ok=False)
        self.assertIn("no connection", done.stderr)
        self.assertEqual(run(BINARY, "control", "tls", "sans-port", ok=None).returncode, 2)
        self.assertIn("is the name right", run(BINARY, "control", "tls", "nulle-part.invalid:143", ok=False).stderr)


if __name__ == "__main__":
    unittest.main()
