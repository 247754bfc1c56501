"""Operating a running server: monitoring, reload of configuration and certificates, drain, limits (issue 3, "Operating it")."""

import datetime
import email.policy
import io
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
import zipfile
from email.message import EmailMessage
from pathlib import Path

import serve
from space import BINARY, PATIENCE, SpaceTest, main, run, wait_for, xoauth2


def get(server, path):
    """Status and text of a page of the monitoring."""
    where = server.entrances["monitoring"]
    try:
        with urllib.request.urlopen(f"http://{where['host']}:{where['port']}{path}", timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


LINE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*\})? (-?[0-9.e+]+|NaN|\+Inf)$')


def metrics(server):
    """{series: value}; fails on a line that the text format does not know, or a series without its family's type."""
    status, text = get(server, "/metrics")
    assert status == 200, text
    types, series = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types, f"twice: {name}"
            types[name] = kind
        elif not line.startswith("# HELP "):
            found = LINE.match(line)
            assert found, line
            name = found[1]
            family = re.sub(r"_(bucket|sum|count)$", "", name) if name not in types else name
            assert family in types, f"no type: {line}"
            key = name + (found[2] or "")
            assert key not in series, f"twice: {key}"
            series[key] = float(found[3])
    return series


class Operations(SpaceTest):
    def alone(self, config=None):
        """A server of its own with the mailbox of the first person of alpha."""
        config = config or serve.configuration(self.space, "alpha", "operations")
        server = serve.Server(config)
        self.addCleanup(server.close)
        person = self.space.person("alpha")
        server.mailbox("create", person["mailbox"], "--kind", "PER", "--holder", person["id"])
        return server, person

    def imap(self, server, person):
        wire = serve.imap(self.space, server)
        self.addCleanup(wire.close)
        answer = self.login(wire, person, self.space.token(person["id"]))
        assert b" OK " in answer[-1], answer
        return wire

    def login(self, wire, person, token):
        import base64
        response = base64.b64encode(xoauth2(person["mailbox"], token)).decode()
        answer = wire.imap(f"AUTHENTICATE XOAUTH2 {response}")
        if answer[-1].startswith(b"+"):
            wire.send(b"\r\n")
            answer = wire.tagged()
        return answer

    def smtp(self, server, person):
        import base64
        wire = serve.smtp(self.space, server)
        self.addCleanup(wire.close)
        response = base64.b64encode(xoauth2(person["mailbox"], self.space.token(person["id"]))).decode()
        code, text = wire.smtp(f"AUTH XOAUTH2 {response}")
        assert code == 235, text
        return wire

    def send(self, wire, person, subject, end=True):
        assert wire.smtp(f"MAIL FROM:<{person['mailbox']}>")[0] == 250
        assert wire.smtp(f"RCPT TO:<{person['mailbox']}>")[0] == 250
        assert wire.smtp("DATA")[0] == 354
        wire.send(f"From: {person['mailbox']}\r\nSubject: {subject}\r\n\r\nfirst part\r\n")
        return self.finish(wire) if end else None

    def finish(self, wire):
        wire.send("second part\r\n.\r\n")
        return wire.reply()

    def edit(self, server, changes):
        """Changes the server's configuration; tables that are not there are added."""
        text = server.config.read_text()
        for key, value in changes.items():
            section, name = key.rsplit(".", 1)
            line = f"{name} = {value}"
            if re.search(rf"(?ms)^\[{section}\]$[^\[]*?^{name} = ", text):
                text = serve.edited(text, {key: value})
            elif f"[{section}]\n" in text:
                text = text.replace(f"[{section}]\n", f"[{section}]\n{line}\n", 1)
            else:
                text += f"\n[{section}]\n{line}\n"
        server.config.write_text(text)

    def certificate_of(self, server, entrance="imap"):
        wire = serve.imap(self.space, server, entrance)
        try:
            return wire.socket.getpeercert(binary_form=True)
        finally:
            wire.close()

    # --- monitoring ----------------------------------------------------------------------------------------------

    def test_monitoring(self):
        server, person = self.alone()
        self.assertEqual(get(server, "/health"), (200, "alive\n"))
        # The lists are fetched behind: ready once they are there.
        ready = wait_for("readiness", lambda: get(server, "/ready") if get(server, "/ready")[0] == 200 else None)
        checks = {check["name"]: check for check in json.loads(ready[1])["checks"]}
        self.assertEqual(set(checks), {"service", "listeners", "store", "disk", "white_list", "revocation", "certificate"})
        before = metrics(server)
        self.assertEqual(before['vaguemestre_listening{entrance="mx"}'], 1)
        imap = self.imap(server, person)
        self.assertIn(b" OK ", imap.imap("SELECT INBOX")[-1])
        smtp = self.smtp(server, person)
        self.assertEqual(self.send(smtp, person, "counted")[0], 250)
        stranger = serve.imap(self.space, server)
        self.addCleanup(stranger.close)
        self.assertIn(b" NO ", self.login(stranger, person, "not-a-token")[-1])
        after = metrics(server)
        expected = {
            'vaguemestre_connections{entrance="imap",state="authenticated"}': 1,
            'vaguemestre_connections{entrance="imap",state="tls"}': 1,
            'vaguemestre_connections{entrance="submission",state="authenticated"}': 1,
            'vaguemestre_logins_total{service="imap",outcome="granted"}': 1,
            'vaguemestre_logins_total{service="imap",outcome="token"}': 1,
            'vaguemestre_messages_total{flow="submitted",outcome="accepted",status=""}': 1,
            'vaguemestre_commands_total{entrance="imap",command="SELECT",status="OK"}': 1,
            'vaguemestre_commands_total{entrance="submission",command="DATA",status="2yz"}': 1,
        }
        for series, value in expected.items():
            self.assertEqual(after.get(series), value, series)
        self.assertGreater(after["vaguemestre_store_commit_seconds_count"], 0)
        self.assertGreater(after['vaguemestre_tls_bytes_total{entrance="imap",direction="out"}'], 100)
        for series in ("process_resident_memory_bytes", "process_open_fds", "vaguemestre_disk_free_bytes",
                       "vaguemestre_white_list_domains"):
            self.assertGreater(after[series], 0, series)
        ends = [value for series, value in after.items() if series.startswith("vaguemestre_certificate_expiry_timestamp_seconds{")]
        self.assertEqual(len(ends), 3, "our certificate and two authorities")
        # Nobody's address or identifier is anywhere.
        text = get(server, "/metrics")[1]
        for secret in (person["mailbox"], person["id"], person["mailbox"].split("@")[0]):
            self.assertNotIn(secret, text)
        imap.close()
        smtp.close()
        wait_for("the connections to be gone", lambda: metrics(server)[
            'vaguemestre_connections{entrance="imap",state="authenticated"}'] == 0)

    # --- reload --------------------------------------------------------------------------------------------------

    def test_reload_shows_another_certificate_and_keeps_sessions(self):
        server, person = self.alone()
        old = self.certificate_of(server)
        session = self.imap(server, person)
        self.assertIn(b" OK ", session.imap("SELECT INBOX")[-1])
        # The certificate of the other operator, with its key: another, and as good.
        other = self.space.operator("beta")
        self.edit(server, {"tls.certificate": f'"{self.space.folder / other["certificate"]}"',
                           "tls.key": f'"{self.space.folder / other["key"]}"', "listen.imap": '"127.0.0.1:1"',
                           "log.level": '"debug"'})
        said = run(BINARY, "reload", "--config", server.config).stdout
        self.assertIn("in force now: log.level, tls.certificate, tls.key", said)
        self.assertIn("only a restart applies them: listen.imap", said)
        wire = serve.Wire(server.entrances["imap"])
        self.addCleanup(wire.close)
        wire.line()
        wire.imap("STARTTLS")
        context = self.space.context()
        context.check_hostname = False
        new = wire.tls(context).socket.getpeercert(binary_form=True)
        self.assertNotEqual(new, old)
        pem = (self.space.folder / other["certificate"]).read_text()
        first = pem[:pem.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n"
        self.assertEqual(new, ssl.PEM_cert_to_DER_cert(first[first.index("-----BEGIN"):]))
        # The old session goes on, and the log says more now.
        self.assertIn(b" OK ", session.imap("NOOP")[-1])
        self.assertIn("imap: command", server.log.read_text())
        self.assertEqual(metrics(server)['vaguemestre_reloads_total{outcome="applied"}'], 1)

    def test_a_wrong_configuration_changes_nothing(self):
        server, person = self.alone()
        old, session = self.certificate_of(server), self.imap(server, person)
        good = server.config.read_text()
        self.edit(server, {"limits.recipients": "5", "tls.key": '"nowhere.key"', "psc.skew_seconds": "600"})
        for problem in ("nowhere.key", "psc.skew_seconds is 600"):
            self.assertIn(problem, run(BINARY, "reload", "--config", server.config, ok=False).stderr)
        # The signal reads the same file, and the log tells.
        server.process.send_signal(signal.SIGHUP)
        wait_for("the refusal", lambda: "psc.skew_seconds is 600" in server.log.read_text())
        self.assertEqual(metrics(server)['vaguemestre_reloads_total{outcome="refused"}'], 1)
        self.assertEqual(self.certificate_of(server), old)
        self.assertIn(b" OK ", session.imap("NOOP")[-1])
        # A signer that the list at hand does not have would leave the server without a list.
        server.config.write_text(good)
        self.edit(server, {"white_list.signer": '"CN=Somebody Else,O=Nobody,C=FR"'})
        self.assertIn("white_list", run(BINARY, "reload", "--config", server.config, ok=False).stderr)
        self.assertEqual(get(server, "/health")[0], 200)
        server.config.write_text(good)
        self.edit(server, {"rates.sessions_per_mailbox": "1"})
        server.process.send_signal(signal.SIGHUP)
        wait_for("the reload", lambda: metrics(server).get('vaguemestre_reloads_total{outcome="applied"}'))
        # One session is open already: limits count for those who come.
        another = serve.imap(self.space, server)
        self.addCleanup(another.close)
        answer = self.login(another, person, self.space.token(person["id"]))
        self.assertIn(b"NO [UNAVAILABLE]", answer[-1])
        self.assertEqual(metrics(server)['vaguemestre_limited_total{limit="sessions_per_mailbox"}'], 1)

    def test_the_socket_is_the_servers_own(self):
        server, _ = self.alone()
        path = server.config.parent / "data/admin.sock"
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(server.stop(), 0)
        self.assertFalse(path.exists())
        self.assertIn("no server answers", run(BINARY, "reload", "--config", server.config, ok=False).stderr)

    # --- drain ---------------------------------------------------------------------------------------------------

    def test_drain_lets_a_message_end(self):
        server, person = self.alone()
        idle, sending, waiting = self.imap(server, person), self.smtp(server, person), self.smtp(server, person)
        self.assertIn(b" OK ", idle.imap("SELECT INBOX")[-1])
        self.assertTrue(idle.imap("IDLE")[-1].startswith(b"+"))
        self.send(sending, person, "under way", end=False)
        run(BINARY, "drain", "--config", server.config)
        self.assertIn(b"* BYE", idle.rest())
        self.assertEqual(waiting.reply()[0], 421)
        status, text = get(server, "/ready")
        self.assertEqual(status, 503)
        self.assertIn("the server is stopping", text)
        with self.assertRaises(OSError):
            socket.create_connection((server.entrances["imap"]["host"], server.entrances["imap"]["port"]), 5).close()
        self.assertEqual(self.finish(sending)[0], 250)
        self.assertEqual(sending.reply()[0], 421)
        self.assertEqual(server.process.wait(PATIENCE), 0)
        server.start()
        again = self.imap(server, person)
        self.assertIn(b"* 1 EXISTS\r\n", again.imap("SELECT INBOX"))

    def test_the_grace_ends_and_a_second_signal_ends_at_once(self):
        server, person = self.alone()
        server.stop()
        self.edit(server, {"stop.shutdown_grace_seconds": "1"})
        server.start()
        sending = self.smtp(server, person)
        self.send(sending, person, "too slow", end=False)
        server.process.send_signal(signal.SIGTERM)
        # Cut off, and told so.
        self.assertEqual(sending.reply()[0], 421)
        self.assertEqual(server.process.wait(PATIENCE), 0)
        self.edit(server, {"stop.shutdown_grace_seconds": "600"})
        server.start()
        sending = self.smtp(server, person)
        self.send(sending, person, "for ever", end=False)
        server.process.send_signal(signal.SIGTERM)
        wait_for("the drain", lambda: get(server, "/ready")[0] == 503)
        self.assertIsNone(server.process.poll())
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.process.wait(PATIENCE), 130)
        server.start()

    # --- limits --------------------------------------------------------------------------------------------------

    def test_limits_of_a_mailbox(self):
        config = serve.configuration(self.space, "alpha", "limits")
        config.write_text(serve.edited(config.read_text(), {"rates.messages_per_hour": "2"}))
        server, person = self.alone(config)
        wire = self.smtp(server, person)
        for number in range(2):
            self.assertEqual(self.send(wire, person, f"message {number}")[0], 250)
        self.assertEqual(wire.smtp(f"MAIL FROM:<{person['mailbox']}>")[0], 250)
        self.assertEqual(wire.smtp(f"RCPT TO:<{person['mailbox']}>")[0], 250)
        code, text = wire.smtp("DATA")
        self.assertEqual((code, text[:5]), (452, "4.7.1"))
        self.assertEqual(metrics(server)['vaguemestre_limited_total{limit="messages_per_mailbox"}'], 1)

    def append(self, wire, text, status=b" OK "):
        octets = text.encode()
        answer = wire.imap(b"APPEND INBOX {%d+}\r\n%s" % (len(octets), octets))
        self.assertIn(status, answer[-1])
        return answer[-1]

    def test_quotas_are_set_beside_the_server(self):
        server, person = self.alone()
        address, wire = person["mailbox"], self.imap(server, person)
        told = server.mailbox("quota", address, "--messages", "2", "--storage", "1M").stdout
        self.assertIn("0 messages (of 2), 0 octets (of 1048576)", told)
        for number in range(2):
            self.append(wire, f"Subject: {number}\r\n\r\ntext\r\n")
        self.assertIn(b"[OVERQUOTA]", self.append(wire, "Subject: 2\r\n\r\ntext\r\n", b" NO "))
        quota = b"".join(wire.imap("GETQUOTAROOT INBOX"))
        self.assertIn(b"MESSAGE 2 2", quota)
        self.assertIn(b"STORAGE 1 1024", quota)
        self.assertEqual(self.send(self.smtp(server, person), person, "over")[0], 452)
        self.assertIn("2 messages (no limit)", server.mailbox("quota", address, "--messages", "none").stdout)
        self.append(wire, "Subject: 3\r\n\r\ntext\r\n")
        self.assertIn(b"[OVERQUOTA]", self.append(wire, "Subject: 4\r\n\r\n" + "x" * 1100000, b" NO "))
        quota = b"".join(wire.imap("GETQUOTAROOT INBOX"))
        self.assertNotIn(b"MESSAGE", quota)
        # What is there already stays.
        server.mailbox("quota", address, "--messages", "1")
        self.assertIn(b"* 3 EXISTS", b"".join(wire.imap("SELECT INBOX")))
        for wrong in (["--messages", "0"], ["--storage", "much"], []):
            run(BINARY, "mailbox", "quota", address, *wrong, "--config", server.config, ok=False)

    def test_the_master_key_may_be_in_the_environment(self):
        config = serve.configuration(self.space, "alpha", "environment")
        self.addCleanup(os.environ.pop, "VAGUEMESTRE_E2E_KEY", None)
        config.write_text(re.sub(r"(?m)^\[store\]\n|^key_file = .*\n", "", config.read_text()) +
                          '\n[store]\nkey_env = "VAGUEMESTRE_E2E_KEY"\n')
        os.environ["VAGUEMESTRE_E2E_KEY"] = "5c" * 32
        server, person = self.alone(config)
        self.append(self.imap(server, person), "Subject: kept\r\n\r\nthe text\r\n")
        self.assertEqual(server.stop(), 0)
        self.assertFalse((config.parent / "data" / "store" / "keys" / "master.key").exists())
        for wrong, said in ((None, "VAGUEMESTRE_E2E_KEY"), ("5d" * 32, "key"), ("short", "64")):
            os.environ.pop("VAGUEMESTRE_E2E_KEY", None)
            if wrong:
                os.environ["VAGUEMESTRE_E2E_KEY"] = wrong
            ended = subprocess.run([BINARY, "serve", "--config", str(config)], capture_output=True, text=True, timeout=PATIENCE)
            self.assertNotEqual(ended.returncode, 0)
            self.assertIn(said, ended.stderr)
            self.assertNotIn("5d5d", ended.stderr)
        os.environ["VAGUEMESTRE_E2E_KEY"] = "5c" * 32
        server.start()
        wire = self.imap(server, person)
        wire.imap("SELECT INBOX")
        self.assertIn(b"the text", b"".join(wire.imap("FETCH 1 BODY[TEXT]")))

    def test_documents_and_dates_are_found(self):
        """The text of a CDA inside an IHE_XDM.zip, scanned and then indexed; when a message was saved (RFC 8514)."""
        server, person = self.alone()
        wire = self.imap(server, person)
        rim = "urn:oasis:names:tc:ebxml-regrep:xsd"
        metadata = (f"<x xmlns='{rim}:lcm:3.0'><r:RegistryObjectList xmlns:r='{rim}:rim:3.0'><r:ExtrinsicObject id='d' mimeType='text/xml'>"
                    "<r:Slot name='URI'><r:ValueList><r:Value>DOC0001.XML</r:Value></r:ValueList></r:Slot></r:ExtrinsicObject></r:RegistryObjectList></x>")
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("IHE_XDM/SUBSET01/METADATA.XML", metadata)
            packed.writestr("IHE_XDM/SUBSET01/DOC0001.XML",
                            "<ClinicalDocument xmlns='urn:hl7-org:v3'><title>Compte rendu opératoire</title></ClinicalDocument>")
        message = EmailMessage()
        message["Subject"] = "document"
        message.set_content("rien")
        message.add_attachment(archive.getvalue(), maintype="application", subtype="zip", filename="IHE_XDM.zip")
        # Long ago, so that its date is not the date it is saved at.
        octets = message.as_bytes(policy=email.policy.SMTP)
        answer = wire.imap(b'APPEND INBOX "01-Feb-2003 04:05:06 +0000" {%d+}\r\n%s' % (len(octets), octets))
        self.assertIn(b" OK ", answer[-1])
        self.append(wire, "Subject: other\r\n\r\nrien\r\n")
        wire.imap("SELECT INBOX")
        search = lambda keys: wire.imap(f"SEARCH {keys}")[0].split()[2:]
        for _ in range(2):
            self.assertEqual(search('BODY "compte rendu operatoire"'), [b"1"])
            self.assertEqual(search("BODY urn:hl7-org"), [])
            # The index is made some seconds later: both ways must find it.
            wait_for("the index", lambda: list((server.config.parent / "data" / "search").glob("*/*")))
        day = lambda offset: (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=offset)).strftime("%d-%b-%Y")
        saved = re.search(rb'SAVEDATE "([ 0-9]\d-\w{3}-\d{4}) ', b"".join(wire.imap("FETCH 1 (SAVEDATE)")))
        self.assertIn(saved[1].decode().strip().zfill(11), (day(0), day(-1)))
        on = saved[1].decode().strip()
        self.assertEqual(search(f"SAVEDON {on}"), [b"1", b"2"])
        self.assertEqual(search(f"SAVEDSINCE {on}"), [b"1", b"2"])
        self.assertEqual(search(f"SAVEDBEFORE {on}"), [])
        self.assertEqual(search("SAVEDBEFORE 1-Jan-2999"), [b"1", b"2"])
        self.assertEqual(search("SAVEDSINCE 1-Jan-2999"), [])
        self.assertEqual(search("BEFORE 1-Jan-2004"), [b"1"])

    def test_the_index_comes_last(self):
        server, _ = self.alone()
        own = os.getpriority(os.PRIO_PROCESS, server.process.pid)
        wanted = {"store-writer": own, "store-ahead": own, "search-index": 15, "vaguemestre": own}

        def niceness():
            found = {}
            for task in Path(f"/proc/{server.process.pid}/task").iterdir():
                # Behind the name: state, and fourteen numbers before the priority and the niceness.
                found[(task / "comm").read_text().strip()] = int((task / "stat").read_text().rsplit(") ", 1)[1].split()[16])
            return {name: found.get(name) for name in wanted} == wanted

        wait_for("the niceness of the threads", niceness)

    # --- systemd -------------------------------------------------------------------------------------------------

    def test_systemd_is_told(self):
        config = serve.configuration(self.space, "alpha", "systemd")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            path = str(config.parent / "notify")
            told.bind(path)
            told.settimeout(PATIENCE)
            process = subprocess.Popen(
                [BINARY, "serve", "--config", str(config), "--log-format", "json"], stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, env=os.environ | {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"})
            log = []
            reading = threading.Thread(target=lambda: log.extend(process.stderr.read().splitlines()), daemon=True)
            reading.start()
            try:
                self.assertEqual(told.recv(100), b"READY=1")
                self.assertEqual(told.recv(100), b"WATCHDOG=1")
                self.assertEqual(told.recv(100), b"WATCHDOG=1")
                process.send_signal(signal.SIGTERM)
                wait_for("STOPPING", lambda: told.recv(100) == b"STOPPING=1")
                self.assertEqual(process.wait(PATIENCE), 0)
            finally:
                process.kill()
                process.wait()
                reading.join(10)
                process.stderr.close()
            for line in log:
                json.loads(line)
            self.assertTrue(log)


if __name__ == "__main__":
    main()
