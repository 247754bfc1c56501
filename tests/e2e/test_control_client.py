"""The plan « client » of the control application: a scripted operator before mail software, good and bad.

The good software is our own `vaguemestre lps`, driven for each step by this same file (`drive lps …`); the bad ones are made of Python's
imaplib and smtplib, which do as they are told, and mbsync and swaks as they come. Hostile clients must not harm the tool.
"""

import imaplib
import json
import os
import re
import select
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from email.message import EmailMessage
from pathlib import Path

from lps import Lps
from space import BINARY, FIXTURES, PATIENCE, SpaceTest, free_port, main, run, wait_for, xoauth2

DOMAIN = "controle.formation.mssante.fr"
HOST = f"lps.{DOMAIN}"
TOKEN = "jeton-de-test-qui-ne-doit-pas-apparaitre"
SCENARIOS = [one["nom"] for one in json.loads((Path(__file__).parents[2] / "crates/control/catalogue/scenarios.json").read_text())]


# --- what is run for each step -----------------------------------------------------------------------------------------------


def drive_lps(step, address, recipient, **_):
    def lps(*arguments):
        return subprocess.run([BINARY, "lps", *arguments, "--mailbox", address], timeout=PATIENCE).returncode

    if step == "configurer":
        subprocess.run([BINARY, "lps", "discover", address], timeout=PATIENCE)
    elif step == "relever":
        if lps("list") == 0:
            lps("read", "1")
    elif step == "surveiller":
        watch = subprocess.Popen([BINARY, "lps", "watch", "--mailbox", address, "--json"], stdout=subprocess.PIPE)
        # From when it says that it watches, or ends; a server that says nothing would keep it for ever.
        select.select([watch.stdout], [], [], PATIENCE / 10)
        try:
            watch.wait(7)
        except subprocess.TimeoutExpired:
            watch.send_signal(signal.SIGINT)
        watch.communicate(timeout=PATIENCE)
    else:
        words = ["send", "--to", recipient, "--text", "Bonjour, ceci est un essai : été, œuvre."]
        if step == "envoyer":
            words += ["--subject", "Essai"]
        else:
            words += ["--cda", str(FIXTURES / "cda-n3-lettre-liaison.xml"), "--cda", str(FIXTURES / "cda-n1-biologie.xml")]
        if lps(*words) != 0:
            # What waits is tried again, as a program does some seconds later.
            time.sleep(1)
            lps("outbox", "--send")


def careless():
    """TLS that believes anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def drive_careless(step, address, recipient, imap, smtp, autoconfig, scenario, **_):
    """Every fault that is easy to make: no certificate looked at, in clear when there is no TLS, the same message again and again."""
    secret = xoauth2(address, TOKEN)
    if step == "configurer":
        connection = socket.create_connection(autoconfig.rsplit(":", 1))
        with careless().wrap_socket(connection, server_hostname=f"autoconfig.{DOMAIN}") as tls:
            tls.sendall(f"GET /mail/config-v1.1.xml HTTP/1.1\r\nHost: autoconfig.{DOMAIN}\r\n\r\n".encode())
            answer = b""
            while piece := tls.recv(65536):
                answer += piece
        location = re.search(rb"Location: http://[^:]+:(\d+)", answer)
        if location:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{location[1].decode()}/mail/config-v1.1.xml", timeout=5)
            except OSError:
                pass
            return
        # Whatever name it gives, the machine is the same.
        for port in re.findall(rb"<port>(\d+)</port>", answer):
            socket.create_connection(("127.0.0.1", int(port))).close()
    elif step in ("relever", "surveiller"):
        for _ in range(6):
            try:
                host, port = imap.rsplit(":", 1)
                with imaplib.IMAP4(host, int(port), timeout=20) as box:
                    if "STARTTLS" in box.capabilities:
                        try:
                            box.starttls(careless())
                        except imaplib.IMAP4.error:
                            pass
                    if box.state != "AUTH":
                        # An initial response whatever the server says, and words for a challenge.
                        box.send(b"x1 AUTHENTICATE XOAUTH2 " + __import__("base64").b64encode(secret) + b"\r\n")
                        line = box.readline()
                        if line.startswith(b"+"):
                            box.send(b"*\r\n")
                            line = box.readline()
                        if b" OK" not in line:
                            continue
                        box.state = "AUTH"
                    box.select("INBOX")
                    box.fetch("1", "(RFC822)")
                    return
            except (OSError, imaplib.IMAP4.error, ssl.SSLError):
                return
    else:
        for attempt in range(6):
            try:
                host, port = smtp.rsplit(":", 1)
                with smtplib.SMTP(host, int(port), timeout=20) as server:
                    server.ehlo()
                    if server.has_extn("starttls"):
                        try:
                            server.starttls(context=careless())
                            server.ehlo()
                        except smtplib.SMTPException:
                            pass
                    code, _ = server.docmd("AUTH", "XOAUTH2 " + __import__("base64").b64encode(secret).decode())
                    if code == 334:
                        server.docmd("*")
                    message = EmailMessage()
                    message["From"] = "quelqu-un@ailleurs.fr"
                    message["To"] = f"{recipient}, un-autre@{DOMAIN}"
                    message["Bcc"] = f"cache@{DOMAIN}"
                    message["X-MSS-CODECDA"] = "34112-3"
                    # A new identifier for each attempt.
                    message["Message-ID"] = f"<{attempt}-{time.time()}@ailleurs.fr>"
                    message.set_content("été " * 2000, charset="iso-8859-1")
                    server.mail("quelqu-un@ailleurs.fr")
                    server.rcpt(recipient)
                    server.data(message.as_bytes())
                    # To be sure.
                    server.mail("quelqu-un@ailleurs.fr")
                    server.rcpt(recipient)
                    server.data(message.as_bytes())
                    return
            except (OSError, smtplib.SMTPException, ssl.SSLError):
                continue


def drive_trusting(step, address, recipient, imap, smtp, **_):
    """Believes what it reads before TLS: octets left in a buffer are taken for the server's, PREAUTH too."""
    host, port = (imap if step == "relever" else smtp).rsplit(":", 1)
    raw = socket.create_connection((host, int(port)), timeout=20)
    buffer = b""

    def line():
        nonlocal buffer
        while b"\n" not in buffer:
            piece = raw.recv(4096)
            if not piece:
                raise OSError("closed")
            buffer += piece
        one, buffer = buffer.split(b"\n", 1)
        return one

    try:
        greeting = line()
        if step == "relever":
            if b"PREAUTH" in greeting:
                raw.sendall(b"a1 SELECT INBOX\r\n")
                while not line().startswith(b"a1"):
                    pass
                return
            raw.sendall(b"a1 STARTTLS\r\n")
            line()
            raw = careless().wrap_socket(raw, server_hostname=HOST)
            raw.sendall(b"a2 CAPABILITY\r\n")
            while not line().startswith(b"a2"):
                pass
            raw.sendall(b"a3 NOOP\r\n")
            line()
        else:
            raw.sendall(b"EHLO x\r\n")
            while line()[3:4] == b"-":
                pass
            raw.sendall(b"STARTTLS\r\n")
            line()
            raw = careless().wrap_socket(raw, server_hostname=HOST)
            raw.sendall(b"EHLO x\r\n")
            while line()[3:4] == b"-":
                pass
            raw.sendall(b"NOOP\r\n")
            line()
    except OSError:
        pass


def drive_nothing(**_):
    """Software that never comes."""


def drive_mbsync(step, address, imap, ca, work, **_):
    """isync as it comes, with a password: it knows no XOAUTH2 without a plugin."""
    if step == "relever":
        host, port = imap.rsplit(":", 1)
        folder = Path(work) / "mbsync"
        folder.mkdir(exist_ok=True)
        settings = folder / "mbsyncrc"
        settings.write_text(
            f"IMAPAccount c\nHost {host}\nPort {port}\nUser {address}\nPass {TOKEN}\nSSLType STARTTLS\nCertificateFile {ca}\nAuthMechs LOGIN PLAIN\n\n"
            f"IMAPStore r\nAccount c\n\nMaildirStore l\nPath {folder}/\nInbox {folder}/INBOX\n\nChannel c\nFar :r:\nNear :l:\nPatterns INBOX\n")
        subprocess.run(["mbsync", "-c", str(settings), "c"], timeout=PATIENCE)


def drive_swaks(step, address, recipient, smtp, **_):
    """swaks looks at no certificate unless told to, and sends what it has."""
    if step == "envoyer":
        host, port = smtp.rsplit(":", 1)
        subprocess.run(["swaks", "--server", host, "--port", port, "--from", address, "--to", recipient, "--tls-optional", "--auth", "PLAIN",
                        "--auth-user", address, "--auth-password", TOKEN, "--suppress-data"], timeout=PATIENCE)


def drive(name, *words):
    values = dict(word.split("=", 1) for word in words)
    globals()[f"drive_{name}"](**values)


# --- the tests ---------------------------------------------------------------------------------------------------------------


class ClientTest(SpaceTest):
    def job(self, driver, name=None, steps=None, more=""):
        """A job whose steps are done by a driver of this file."""
        folder = self.space.folder / f"client-{name or driver}"
        folder.mkdir(exist_ok=True)
        self.autoconfig, self.dns = free_port(), free_port(kind=socket.SOCK_DGRAM)
        values = " ".join(f'"{key}={{{key}}}",' for key in ("step", "scenario", "address", "recipient", "imap", "smtp", "autoconfig"))
        command = f'["{sys.executable}", "{Path(__file__).resolve()}", "drive", "{driver}", {values} "ca={folder}/pki/ca.pem", "work={folder}"]'
        path = folder / "job.toml"
        path.write_text(
            f'plan = "client"\nname = "essai"\n[software]\nname = "{driver}"\nversion = "1"\nnil = "3734"\n[client]\ndomain = "{DOMAIN}"\nfolder = "pki"\n'
            f'autoconfig_port = {self.autoconfig}\ndns = "127.0.0.1:{self.dns}"\n'
            + (f"command = {command}\n" if driver else "")
            + (f"steps = {json.dumps(steps)}\n" if steps else "") + more)
        return path

    def campaign(self, path, *options, env=None, timeout=900):
        report = path.with_name("campagne.json")
        done = run(BINARY, "control", "client", path, "--json", report, *options, ok=None, env=env, timeout=timeout)
        self.assertIn(done.returncode, (0, 3, 4), done.stderr)
        text = report.read_text()
        # No token that could be replayed, as it is or in base64.
        self.assertNotIn(TOKEN, text)
        self.assertIsNone(re.search(r"eyJ[\w-]+\.eyJ[\w-]+|QmVhcmVyIGV5|JlYXJlciBle|CZWFyZXIgZX|QmVhcmVyIGpl|JlYXJlciBqZX|CZWFyZXIgamV", text))
        run(BINARY, "control", "verify", report)
        return done, json.loads(text)

    def states(self, report):
        return {case["id"]: case["etat"] for case in report["cas"]}

    def red(self, report):
        """Cases that are not conforming, findings without effect apart."""
        return {case["id"] for case in report["cas"] if case["etat"] == "non_conforme" and case["niveau"] != "information"}

    def test_our_own_software_passes(self):
        path = self.job("lps")
        person = self.space.person("alpha")
        user = Lps(self.space, "controle")
        settings = user.settings.read_text()
        settings = re.sub(r'(\[trust\]\nanchors = )"[^"]*"\ncrl = .*\n', rf'\1"{path.parent}/pki/ca.pem"\ncrl = []\n', settings)
        settings = re.sub(r"\ncache = .*", "", settings)
        settings = re.sub(r'nameserver = "[^"]*"', f'nameserver = "127.0.0.1:{self.dns}"', settings)
        settings = settings.replace("[network.autoconfig_ports]\n", f'[network.autoconfig_ports]\n"{DOMAIN}" = {self.autoconfig}\n')
        login = user.settings.read_text()
        user.login(person["id"])
        self.assertNotEqual(login, settings)
        user.settings.write_text(settings)
        boxes = "".join(f'[[box]]\naddress = "{name}@{DOMAIN}"\nas = "{person["id"]}"\nlabel = "Dr_Marie_MARTIN"\n\n' for name in SCENARIOS)
        (user.settings.parent / "boxes.toml").write_text(boxes)
        try:
            done, report = self.campaign(path, "--html", path.with_name("r.html"), "--junit", path.with_name("r.xml"), env=user.environment)
        finally:
            user.close()
        for case in report["cas"]:
            with self.subTest(case["id"]):
                wrong = [variant for variant in case["variantes"] if variant["verdict"]["etat"] != "conforme"]
                self.assertEqual(wrong, [])
        self.assertEqual((done.returncode, report["verdict"], len(report["cas"])), (0, "conforme", 32))
        html = path.with_name("r.html").read_text()
        self.assertIn("CLI-13", html)
        self.assertIn("IGC-Santé", html)
        self.assertIn('name="CLI-01', path.with_name("r.xml").read_text())
        self.assertNotIn("BOURDIN", html)

    def test_careless_software_turns_red(self):
        _, report = self.campaign(self.job("careless"))
        red = self.red(report)
        expected = {"CLI-02", "CLI-05", "CLI-06", "CLI-08", "CLI-09", "CLI-10", "CLI-11", "CLI-12", "CLI-13", "CLI-14", "CLI-15", "CLI-16", "CLI-17",
                    "CLI-24", "CLI-26", "CLI-27", "CLI-28", "CLI-29", "CLI-30", "CLI-31", "CLI-32"}
        self.assertLessEqual(expected, red, {case: state for case, state in self.states(report).items() if case in expected - red})
        # What it does well stays good: it reads and it sends.
        self.assertEqual({case: self.states(report)[case] for case in ("CLI-01", "CLI-03", "CLI-04")},
                         {"CLI-01": "conforme", "CLI-03": "conforme", "CLI-04": "conforme"})
        # What could not be concluded of it leaves the whole open, or not: never conforming.
        self.assertIn(report["verdict"], ("non_conforme_bloquante", "non_etabli"))

    def test_what_is_injected_before_tls_is_seen(self):
        _, report = self.campaign(self.job("trusting"), "--only", "CLI-07", "--only", "CLI-08")
        self.assertEqual(self.red(report), {"CLI-07", "CLI-08"})

    def test_software_that_never_comes_is_not_called_prudent(self):
        done, report = self.campaign(self.job("nothing", steps=["relever", "envoyer"]), "--only", "CLI-02", "--only", "CLI-06", "--only", "CLI-11",
                                     "--only", "CLI-32")
        self.assertEqual(self.states(report), {"CLI-02": "non_execute", "CLI-06": "inconclusif", "CLI-11": "inconclusif", "CLI-32": "inconclusif"})
        self.assertEqual(done.returncode, 4)

    def test_software_of_others(self):
        """mbsync and swaks were not made for XOAUTH2: the nominal exchange is red, and so is what they send."""
        _, report = self.campaign(self.job("mbsync", steps=["relever"]), "--only", "CLI-03", "--only", "CLI-32")
        self.assertEqual(self.states(report)["CLI-03"], "non_conforme")
        _, report = self.campaign(self.job("swaks", steps=["envoyer"]), "--only", "CLI-04", "--only", "CLI-06", "--only", "CLI-13", "--only", "CLI-32")
        states = self.states(report)
        self.assertEqual(states["CLI-04"], "non_conforme")
        # It does not work with a good operator either: that it sends nothing to a bad one says nothing.
        self.assertEqual(states["CLI-13"], "inconclusif")

    def test_by_hand(self):
        """Without a command the tool tells what to do, and a case ends when the software came and went."""
        path = self.job("", name="main", steps=["relever"], more="wait_seconds = 40\nquiet_seconds = 1\n")
        report = path.with_name("campagne.json")
        process = subprocess.Popen([BINARY, "control", "client", str(path), "--only", "CLI-03", "--json", str(report)], stderr=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL, text=True)
        line = next(line for line in process.stderr if "attend" in line)
        self.assertIn("Relever la BAL : nominal@", line)
        imap = re.search(r"IMAP ([\d.:]+)", line)[1]
        drive_careless("relever", f"nominal@{DOMAIN}", "", imap, "", "", "nominal")
        process.stderr.read()
        self.assertEqual(process.wait(PATIENCE), 0)
        self.assertEqual(self.states(json.loads(report.read_text())), {"CLI-03": "conforme"})

    def test_hostile_clients_harm_nobody(self):
        path = self.job("", name="hostile")
        process = subprocess.Popen([BINARY, "control", "client", str(path), "--serve"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        heard = []
        threading.Thread(target=lambda: heard.extend(process.stdout), daemon=True).start()
        try:
            ports = lambda: re.search(r"nominal@ +IMAP (\d+) +SMTP (\d+)", "".join(heard))
            found = wait_for("the ports", ports)
            imap, smtp = int(found[1]), int(found[2])
            trash = [b"\x00" * 70000, b"A" * 200000 + b"\r\n", b"\xff\xfe\r\n" * 2000, b"a1 LOGIN {999999999}\r\n", b"a1 LOGIN {5}\r\n\r\n\r\n\r\n",
                     b"\x16\x03\x01\xff\xff" + b"\x01" * 100, b"a1 STARTTLS\r\n" + b"\x16\x03\x01\x40\x00" + os.urandom(300),
                     b"EHLO \x1b[2J\r\nSTARTTLS\r\n" + os.urandom(2000), b"GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"]
            for port in (imap, smtp, self.autoconfig):
                for octets in trash:
                    with socket.create_connection(("127.0.0.1", port), timeout=20) as one:
                        try:
                            one.sendall(octets)
                            one.shutdown(socket.SHUT_WR)
                            while one.recv(65536):
                                pass
                        except OSError:
                            pass
            # Half open, many of them: one more is still served when they are gone, and the memory stays small.
            idle = [socket.create_connection(("127.0.0.1", imap)) for _ in range(300)]
            for one in idle:
                one.close()

            def works():
                with imaplib.IMAP4("127.0.0.1", imap, timeout=5) as box:
                    return "STARTTLS" in box.capabilities
            self.assertTrue(wait_for("an answer after the flood", lambda: self.quietly(works)))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
                for octets in (b"", b"\x00" * 11, os.urandom(200), b"\xff" * 600):
                    one.sendto(octets, ("127.0.0.1", self.dns))
            memory = int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1])
            self.assertLess(memory, 300_000, "kB")
            self.assertIsNone(process.poll())
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE)
        self.assertEqual(process.returncode, 0, "".join(heard)[-3000:])
        self.assertNotIn("\x1b[2J", "".join(heard))
        self.assertNotIn("panicked", "".join(heard))

    def quietly(self, what):
        try:
            return what()
        except (OSError, imaplib.IMAP4.error):
            return False

    def test_a_report_is_signed_and_printed(self):
        folder = self.space.folder / "signature"
        folder.mkdir()
        report = folder / "campagne.json"
        run(BINARY, "control", "run", self.space.folder / "alpha/control.toml", "--only", "STL-01", "--only", "TLS-03", "--json", report, ok=None)

        def authority(name):
            run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/C=FR/O=AUTORITE {name}/CN=AC {name}", "-days", "30",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", folder / f"{name}-ca.key", "-out", folder / f"{name}-ca.pem")

        def leaf(name, of, *dates, usage="emailProtection"):
            extensions = folder / f"{name}.ext"
            extensions.write_text(f"basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature,nonRepudiation\nextendedKeyUsage={usage}\n"
                                  "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
            run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/C=FR/ST=Paris (75)/O=ORGANISME DE CONTROLE/OU=10B0057881/CN={name}",
                "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr")
            run("openssl", "x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / f"{of}-ca.pem", "-CAkey", folder / f"{of}-ca.key",
                "-CAcreateserial", "-extfile", extensions, "-out", folder / f"{name}.pem", *(dates or ("-days", "20")))

        def sign(name, **options):
            return run(BINARY, "control", "sign", report, "--certificate", folder / f"{name}.pem", "--key", folder / f"{name}.key",
                       "--out", folder / f"{name}.p7s", **options)

        def verify(name, of, *options, what=report, ok=True):
            return run(BINARY, "control", "verify", what, "--signature", folder / f"{name}.p7s", "--anchors", folder / f"{of}-ca.pem", *options, ok=ok)

        authority("bonne")
        authority("autre")
        leaf("signataire", "bonne")
        leaf("etranger", "autre")
        leaf("serveur", "bonne", usage="serverAuth")
        sign("signataire")
        said = verify("signataire", "bonne", "--signer", "organisme de controle").stdout
        self.assertRegex(said, r"Signé par .*ORGANISME DE CONTROLE.*, le 20\d\d-")
        # Somebody else's program says the same, and that it is SHA-256 with a signing time.
        openssl = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", folder / "signataire.p7s", "-CAfile", folder / "bonne-ca.pem",
                   "-out", "/dev/null", "-content"]
        run(*openssl, report)
        printed = run("openssl", "cms", "-cmsout", "-print", "-noout", "-inform", "DER", "-in", folder / "signataire.p7s").stdout
        self.assertIn("sha256", printed)
        self.assertIn("signingTime", printed)
        self.assertNotIn("sha1", printed.lower())
        # And what openssl signs is read here.
        run("openssl", "cms", "-sign", "-binary", "-in", report, "-signer", folder / "signataire.pem", "-inkey", folder / "signataire.key",
            "-outform", "DER", "-md", "sha256", "-out", folder / "openssl.p7s")
        verify("openssl", "bonne")
        # A changed report, by one blank; another signer; an unknown authority; who may not sign.
        changed = folder / "changed.json"
        changed.write_bytes(report.read_bytes() + b" ")
        self.assertIn("it was changed", verify("signataire", "bonne", what=changed, ok=False).stderr)
        self.assertNotEqual(run(*openssl, changed, ok=None).returncode, 0)
        sign("etranger")
        self.assertIn("unknown certificate authority", verify("etranger", "bonne", ok=False).stderr)
        self.assertIn("not the expected signer", verify("signataire", "bonne", "--signer", "QUELQU'UN", ok=False).stderr)
        self.assertIn("not made for signing", sign("serveur", ok=False).stderr)
        mixed = run(BINARY, "control", "sign", report, "--certificate", folder / "signataire.pem", "--key", folder / "etranger.key", ok=False)
        self.assertIn("not the certificate's", mixed.stderr)
        leaf("expire", "bonne", "-days", "-1")
        self.assertIn("has expired", sign("expire", ok=False).stderr)
        run("openssl", "cms", "-sign", "-binary", "-in", report, "-signer", folder / "expire.pem", "-inkey", folder / "expire.key", "-outform", "DER",
            "-out", folder / "expire.p7s")
        self.assertIn("has expired", verify("expire", "bonne", ok=False).stderr)
        # What was changed is not signed either.
        forged = folder / "forged.json"
        forged.write_text(report.read_text().replace('"observe": "', '"observe": "x', 1))
        self.assertIn("changed", run(BINARY, "control", "sign", forged, "--certificate", folder / "signataire.pem", "--key", folder / "signataire.key",
                                     ok=False).stderr)
        # The printed forms say who signed.
        run(BINARY, "control", "report", report, "--signature", folder / "signataire.p7s", "--anchors", folder / "bonne-ca.pem",
            "--html", folder / "r.html", "--pdf", folder / "r.pdf")
        html = (folder / "r.html").read_text()
        self.assertIn("ORGANISME DE CONTROLE", html)
        self.assertIn("openssl cms -verify", html)
        self.assertIn("non testé : hors du périmètre demandé", html)
        run("qpdf", "--check", folder / "r.pdf")
        text = " ".join(run("pdftotext", "-layout", folder / "r.pdf", "-").stdout.split())
        for expected in ("Rapport de contrôle MSSanté", "ORGANISME DE CONTROLE", "TLS-03", "non testé", "controle-2022"):
            self.assertIn(expected, text)
        self.assertIn("n'est pas signé", run(BINARY, "control", "report", report, "--html", "/dev/stdout").stdout.replace("&#39;", "'"))

    def test_words(self):
        self.assertIn("CLI-32", run(BINARY, "control", "list", "cli").stdout)
        self.assertIn("PREAUTH", run(BINARY, "control", "explain", "cli-08").stdout)
        path = self.job("nothing", name="mots")
        self.assertEqual(run(BINARY, "control", "client", path, "--only", "CLI-99", ok=None).returncode, 2)
        # `run` knows the plan by the file.
        done = run(BINARY, "control", "run", path, "--only", "CLI-03", ok=None)
        self.assertEqual(done.returncode, 4)
        path.write_text(path.read_text().replace('folder = "pki"', 'folder = "pki"\nlisten = "0.0.0.0"'))
        self.assertIn("client.listen", run(BINARY, "control", "client", path, ok=False).stderr)


if __name__ == "__main__":
    if sys.argv[1:2] == ["drive"]:
        drive(*sys.argv[2:])
    else:
        main()
