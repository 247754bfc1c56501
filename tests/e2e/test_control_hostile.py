"""Servers that do not play the game, as targets of a campaign: busy, silent, closing, babbling, dripping, half-spoken, with markup and escape sequences in all
they say. No crash, no hang, no verdict that was not earned, nothing of theirs acts on a terminal or in a report. CTL-JOB, control.md §6"""

import csv
import io
import json
import os
import re
import resource
import socket
import ssl
import threading
import time
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

from space import BINARY, PATIENCE, SpaceTest, main, run

EVIL = '\x1b[2J\x1b]0;pwned\x07\x9b31m<script>alert(1)</script><img src=x onerror=alert(1)>"\'--><b>'
# What one campaign may take, in seconds: each case gives up by itself.
LONGEST = 4 * PATIENCE


class Hostile:
    """A server on a free port; `talk(connection, number)` is called for each connection in a thread of its own."""

    def __init__(self, talk):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.socket.getsockname()[1]
        self.talk = talk
        self.count = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.count += 1
            threading.Thread(target=self.one, args=(connection, self.count), daemon=True).start()

    def one(self, connection, number):
        connection.settimeout(PATIENCE)
        try:
            self.talk(connection, number)
        except OSError:
            pass
        finally:
            connection.close()

    def close(self):
        self.socket.close()


def lines(connection):
    for line in connection.makefile("rb"):
        yield line.decode(errors="replace").strip()


def scripted(protocol, said):
    """A plain dialogue up to STARTTLS, then said(connection). Every word that may be free is EVIL."""

    def imap(connection, _):
        connection.sendall(f"* OK {EVIL}\r\n".encode())
        for line in lines(connection):
            tag, _, command = line.partition(" ")
            if command.upper().startswith("STARTTLS"):
                return said(connection, f"{tag} ")
            if command.upper() == "CAPABILITY":
                connection.sendall(f"* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED X{EVIL}\r\n{tag} OK {EVIL}\r\n".encode())
            else:
                connection.sendall(f"{tag} NO [PRIVACYREQUIRED] {EVIL}\r\n".encode())

    def smtp(connection, _):
        connection.sendall(f"220 {EVIL}\r\n".encode())
        for line in lines(connection):
            command = line.upper()
            if command.startswith("STARTTLS"):
                return said(connection, "")
            if command.startswith("EHLO"):
                connection.sendall(f"250-{EVIL}\r\n250-STARTTLS\r\n250 SIZE 1000\r\n".encode())
            else:
                connection.sendall(f"530 5.7.0 {EVIL}\r\n".encode())

    return imap if protocol == "imap" else smtp


def begun(protocol, tag):
    return f"{tag}OK begin\r\n".encode() if protocol == "imap" else b"220 begin\r\n"


def silent(protocol):
    return lambda connection, _: time.sleep(30)


def dropping(protocol):
    return lambda connection, _: None


def endless(protocol):
    start = b"* OK " if protocol == "imap" else b"220 "

    def talk(connection, _):
        connection.sendall(start)
        for _ in range(200):
            connection.sendall(b"A" * 65536)
    return talk


def many_lines(protocol):
    def talk(connection, _):
        connection.sendall(b"* OK x\r\n" if protocol == "imap" else b"")
        while True:
            connection.sendall((b"* OK x\r\n" if protocol == "imap" else b"220-x\r\n") * 2000)
    return talk


def half(protocol):
    def talk(connection, number):
        if number % 2:
            connection.sendall(b"* O" if protocol == "imap" else b"22")
            time.sleep(3)
        else:
            connection.sendall(b"* OK x\r\n* CAPABILITY IMAP4re" if protocol == "imap" else b"220 x\r\n250-x\r\n25")
            time.sleep(0.3)
    return talk


def dripping(protocol):
    def talk(connection, _):
        while True:
            connection.sendall(b"2" if protocol == "smtp" else b"*")
            time.sleep(0.4)
    return talk


def noise(protocol):
    def talk(connection, _):
        for _ in range(8):
            connection.sendall(os.urandom(4096))
    return talk


def closing_at_starttls(protocol):
    return scripted(protocol, lambda connection, tag: None)


def noise_for_tls(protocol):
    def said(connection, tag):
        connection.sendall(begun(protocol, tag))
        connection.recv(4096)
        connection.sendall(os.urandom(20000))
    return scripted(protocol, said)


def records_without_end(protocol):
    def said(connection, tag):
        connection.sendall(begun(protocol, tag))
        connection.recv(4096)
        # Records of a handshake message of 16 MB that never ends.
        connection.sendall(b"\x16\x03\x03\x00\x04\x0b\xff\xff\xff")
        while True:
            connection.sendall(b"\x16\x03\x03\x40\x00" + b"\0" * 16384)
    return scripted(protocol, said)


def silence_for_tls(protocol):
    def said(connection, tag):
        connection.sendall(begun(protocol, tag))
        time.sleep(30)
    return scripted(protocol, said)


def busy_at_starttls(protocol):
    def said(connection, tag):
        connection.sendall(b"* BYE too many\r\n" if protocol == "imap" else b"421 4.7.0 too many\r\n")
    return scripted(protocol, said)


def relayed(port, most, then):
    """The real server, for the first connections; what then(connection) does, for those that follow."""
    def talk(connection, number):
        if number > most:
            return then(connection)
        with socket.create_connection(("127.0.0.1", port)) as there:
            def copy(one, other):
                try:
                    while data := one.recv(65536):
                        other.sendall(data)
                    other.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
            back = threading.Thread(target=copy, args=(there, connection), daemon=True)
            back.start()
            copy(connection, there)
            back.join(30)
    return talk


# A spreadsheet would calculate it.
FORMULA = "=HYPERLINK(1+1)"


def evil_under_tls(protocol, context):
    """TLS with a certificate whose names hold mark-up; then a dialogue to its end, of which every free word is hostile."""
    def imap(stream):
        words = f"{FORMULA}{EVIL}"
        for line in lines(stream):
            tag, _, command = line.partition(" ")
            verb = command.split(" ")[0].upper()
            if verb == "CAPABILITY":
                stream.sendall(f"* CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 X{EVIL}\r\n{tag} OK {words}\r\n".encode())
            elif verb == "AUTHENTICATE" and not command.upper().startswith("AUTHENTICATE XOAUTH2 "):
                stream.sendall(f"+ {EVIL}\r\n".encode())
            elif verb == "AUTHENTICATE":
                stream.sendall(f"* {EVIL}\r\n{tag} NO [AUTHENTICATIONFAILED] {words}\r\n".encode())
            else:
                stream.sendall(f"{tag} BAD {words}\r\n".encode())

    def smtp(stream):
        for line in lines(stream):
            verb = line.split(" ")[0].upper()
            if verb == "EHLO":
                stream.sendall(f"250-{EVIL}\r\n250-AUTH XOAUTH2 {EVIL}\r\n250-{FORMULA}\r\n250 SIZE {EVIL}\r\n".encode())
            elif verb == "AUTH":
                stream.sendall(f"535-5.7.8 {FORMULA}\r\n535 5.7.8 {EVIL}\r\n".encode())
            else:
                stream.sendall(f"530 5.7.0 {FORMULA}{EVIL}\r\n".encode())

    def said(connection, tag):
        connection.sendall(begun(protocol, tag))
        with context.wrap_socket(connection, server_side=True) as stream:
            stream.settimeout(PATIENCE)
            (imap if protocol == "imap" else smtp)(stream)
    return scripted(protocol, said)


class Page(HTMLParser):
    """What a browser would make of a report."""

    def __init__(self):
        super().__init__()
        self.tags, self.handlers = set(), []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.handlers += [name for name, _ in attributes if name.startswith("on")]


class HostileTargets(SpaceTest):
    def campaign(self, imap, smtp, *only, autoconfig=None, patience=1, more=()):
        """A campaign of alpha's job on other servers: its results by case."""
        folder = self.space.folder
        text = (folder / "alpha/control.toml").read_text()
        alpha = self.space.operator("alpha")
        for name, port, other in (("imap", alpha["imap"]["port"], imap), ("smtp", alpha["submission"]["port"], smtp)):
            self.assertIn(f"127.0.0.1:{port}", text)
            text = text.replace(f"{name} = {{ address = \"127.0.0.1:{port}\"", f"{name} = {{ address = \"127.0.0.1:{other}\"", 1)
        if autoconfig:
            text = "\n".join(f'autoconfig = "127.0.0.1:{autoconfig}"' if line.startswith("autoconfig = ") else line for line in text.split("\n"))
        text = text.replace("[limits]\n", f"[limits]\npatience_seconds = {patience}\n")
        job = folder / "alpha" / "hostile.toml"
        job.write_text(text)
        out, page = folder / "hostile.json", folder / "hostile.html"
        out.unlink(missing_ok=True)
        arguments = [argument for case in only for argument in ("--only", case)]
        began = time.monotonic()
        done = run(BINARY, "control", "run", job, "--json", out, "--html", page, *more, *arguments, ok=None, timeout=LONGEST)
        self.took = time.monotonic() - began
        shown = run(BINARY, "control", "run", job, *arguments[:2], ok=None, timeout=LONGEST)
        for text in (done.stdout, done.stderr, shown.stdout, shown.stderr):
            self.assertNotIn("panicked", text)
            self.assertFalse([c for c in text if c in "\x1b\x07\x9b"], "an escape sequence reaches the terminal")
        html = Page()
        html.feed(page.read_text())
        self.assertFalse({"script", "img", "b"} & html.tags, html.tags)
        self.assertEqual(html.handlers, [])
        self.assertFalse([c for c in page.read_text() + out.read_text() if c in "\x1b\x07"])
        self.assertIn(done.returncode, (3, 4), done.stderr)
        run(BINARY, "control", "verify", out)
        return {case["id"]: case for case in json.loads(out.read_text())["cas"]}

    def assert_open(self, name, cases, but=()):
        """Nothing is concluded, but what is named."""
        concluded = {case: result["etat"] for case, result in cases.items()
                     if result["etat"] in ("non_conforme", "conforme", "a_examiner") and result.get("niveau") != "information"}
        told = {case: [(v["nom"], v.get("protocole"), v["observe"]) for v in cases[case]["variantes"]] for case in concluded if case not in but}
        self.assertEqual(told, {}, name)

    def run_on(self, make, *only, but=()):
        imap, smtp = Hostile(make("imap")), Hostile(make("smtp"))
        try:
            cases = self.campaign(imap.port, smtp.port, *only)
            self.assert_open(make.__name__, cases, but)
            print(f"{make.__name__}: {len(cases)} cases, {imap.count + smtp.count} connections, {self.took:.1f} s", flush=True)
        finally:
            imap.close()
            smtp.close()

    # Of each group something, and what goes by what a server says rather than by what it does.
    SOME = ("TLS", "STL", "IMA-01", "IMA-02", "IMA-03", "IMA-06", "IMA-07", "IMA-08", "SMA-01", "SMA-03", "SMA-04", "SMA-06", "SMA-07", "JWT-02", "JWT-10", "SES-01")

    def test_nothing_is_concluded_from_servers_that_say_nothing_of_use(self):
        for make in (silent, dropping, endless, many_lines, half, dripping, noise):
            with self.subTest(make.__name__):
                self.run_on(make, *self.SOME)

    def test_nothing_is_concluded_from_a_dialogue_that_ends_before_tls(self):
        # What is said in clear can be judged (STL-02), and what is refused there (STL-05); that TLS fails as announced is a fault (STL-01).
        for make in (closing_at_starttls, busy_at_starttls):
            with self.subTest(make.__name__):
                self.run_on(make, *self.SOME, but=("STL-02", "STL-04"))

    def test_nothing_is_concluded_from_tls_that_is_none(self):
        for make in (noise_for_tls, records_without_end, silence_for_tls):
            with self.subTest(make.__name__):
                self.run_on(make, *self.SOME, but=("STL-01", "STL-02", "STL-04", "STL-06"))

    def gone_after(self, most, then, patience):
        """Servers that are good at first: what that is enough for is concluded, nothing else, and nothing is red."""
        alpha = self.space.operator("alpha")
        ports = (("imap", alpha["imap"]["port"]), ("smtp", alpha["submission"]["port"]))
        imap, smtp = [Hostile(relayed(port, most, then(protocol))) for protocol, port in ports]
        cases = self.campaign(imap.port, smtp.port, *self.SOME, patience=patience)
        red = {case: [(v["nom"], v["observe"]) for v in result["variantes"]] for case, result in cases.items()
               if result["etat"] == "non_conforme" and result["niveau"] != "information"}
        self.assertEqual(red, {})
        # Enough was said: nobody goes on knocking for ever.
        self.assertLess(imap.count + smtp.count, 400)
        print(f"gone after {most}: {imap.count + smtp.count} connections, {self.took:.1f} s", flush=True)
        return sum(result["etat"] == "inconclusif" for result in cases.values())

    def test_busy_after_three_connections(self):
        busy = {"imap": b"* BYE Too many connections\r\n", "smtp": b"421 4.7.0 Too many connections\r\n"}
        self.assertGreater(self.gone_after(3, lambda protocol: lambda connection: connection.sendall(busy[protocol]), 5), 20)

    def test_silent_in_the_middle_of_a_campaign(self):
        self.assertGreater(self.gone_after(20, lambda _: lambda connection: time.sleep(20), 2), 5)

    def test_what_is_said_under_tls_acts_nowhere(self):
        """Names of a certificate, answers, refusals: told, and nothing of them acts in a page, on paper, in a table, in XML or on a terminal."""
        folder = self.space.folder
        certificate, key = folder / "evil.pem", folder / "evil.key"
        name = "<script>alert(1)<\\/script>\x1b[2J<img src=x onerror=alert(1)>"
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "30",
            "-utf8", "-subj", f"/O={name}/CN=lps.essai.test", "-addext", "subjectAltName=DNS:lps.essai.test,email:a@<b>.test")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        imap, smtp = (Hostile(evil_under_tls(protocol, context)) for protocol in ("imap", "smtp"))
        forms = {form: folder / f"hostile-forms.{form}" for form in ("pdf", "csv", "junit")}
        cases = self.campaign(imap.port, smtp.port, *self.SOME, more=[word for form, path in forms.items() for word in (f"--{form}", path)])
        told = json.dumps(cases, ensure_ascii=False)
        # It was heard, and is told as what it is.
        self.assertIn("alert(1)", told)
        self.assertIn("HYPERLINK", told)

        paper = folder / "hostile-forms.txt"
        run("pdftotext", "-layout", forms["pdf"], paper)
        text = paper.read_text()
        self.assertIn("alert(1)", text)
        self.assertFalse([c for c in text if c < " " and c not in "\n\f"])
        plain = folder / "hostile-forms.qdf"
        run("qpdf", "--qdf", "--object-streams=disable", forms["pdf"], plain)
        inside = plain.read_bytes()
        for word in (b"/JavaScript", b"/JS", b"/Launch", b"/URI", b"/OpenAction", b"/AA", b"/EmbeddedFile", b"/SubmitForm"):
            self.assertNotRegex(inside, re.escape(word) + rb"\b")

        rows = list(csv.reader(io.StringIO(forms["csv"].read_text(encoding="utf-8"), newline=""), delimiter=";"))
        self.assertEqual({len(row) for row in rows}, {10})
        acting = [cell for row in rows for cell in row if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
        self.assertEqual(acting, [])
        self.assertTrue(any("HYPERLINK" in cell for row in rows for cell in row))

        suites = ET.parse(forms["junit"]).getroot()
        self.assertLessEqual({element.tag for element in suites.iter()},
                             {"testsuites", "testsuite", "testcase", "failure", "error", "skipped", "system-out", "properties", "property"})
        self.assertFalse([c for c in forms["junit"].read_text() if c in "\x1b\x07\x9b"])

    def test_autoconfiguration_that_babbles(self):
        """Not even HTTPS; its port is another server's."""
        alpha = self.space.operator("alpha")
        for make in (silent, dropping, endless, noise):
            with self.subTest(make.__name__):
                server = Hostile(make("smtp"))
                cases = self.campaign(alpha["imap"]["port"], alpha["submission"]["port"], "ACF", autoconfig=server.port)
                self.assert_open(make.__name__, cases)

    def test_memory_stays_small(self):
        # Of all the campaigns above, in kilobytes.
        self.assertLess(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, 400_000)


if __name__ == "__main__":
    main()
