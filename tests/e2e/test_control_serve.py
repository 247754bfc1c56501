"""`vaguemestre control serve` outside of a sandbox: on PostgreSQL, with a stub and traps of its own; kill -9 of the application and of PostgreSQL in the
middle of a campaign. CTL-JOB
"""

import http.cookiejar
import json
import re
import signal
import socket
import ssl
import subprocess
import unittest
import urllib.error
import urllib.parse
import urllib.request

from postgres import Server
from space import BINARY, PATIENCE, SpaceTest, free_port, main, run, wait_for

PASSWORD = "un mot de passe de test"


class Browser:
    """A browser without script."""

    def __init__(self, url, ca):
        self.url = url
        self.key = ""
        self.opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca)),
                                                  urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def get(self, path):
        return self.send(urllib.request.Request(self.url + path))

    def post(self, path, **fields):
        return self.send(urllib.request.Request(self.url + path, urllib.parse.urlencode({"cle": self.key, **fields}, doseq=True).encode()))

    def send(self, request):
        try:
            with self.opener.open(request, timeout=PATIENCE) as answer:
                text = answer.read().decode()
                self.place = answer.url
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{request.full_url}: {error.code}\n{error.read().decode()}") from error
        found = re.search(r'name="cle" value="([^"]+)"', text)
        self.key = found.group(1) if found else self.key
        return text

    def enter(self, login):
        self.post("/connexion", login=login, mot_de_passe=PASSWORD)
        self.get("/compte")


class Serve(SpaceTest):
    def setUp(self):
        self.folder = self.space.folder / self._testMethodName
        self.folder.mkdir()
        self.database = Server()
        self.addCleanup(self.database.close)
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=controle", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", self.folder / "controle.key", "-out", self.folder / "controle.pem")
        (self.folder / "base").write_text(self.database.password)
        self.job = (self.space.folder / "alpha/control.toml").read_text()
        self.port, self.stub, self.trap = free_port(), free_port(), free_port()
        pki = self.space.folder / "pki"
        (self.folder / "controle.toml").write_text(f"""
            listen = "127.0.0.1:{self.port}"
            url = "https://127.0.0.1:{self.port}"
            certificate = "controle.pem"
            key = "controle.key"
            data = "data"
            database = "{self.database.url()}"
            database_password_file = "base"
            second_factor = false
            domain_proof = false
            [[template]]
            name = "alpha"
            title = "Bac à sable"
            file = "{self.space.folder}/alpha/control.toml"
            [stub]
            listen = "127.0.0.1:{self.stub}"
            url = "https://127.0.0.1:{self.stub}"
            [traps]
            domain = "pieges.exemple.test"
            anchors = "{pki}/ca.pem"
            [[traps.door]]
            name = "nominal"
            listen = "127.0.0.1:{self.trap}"
            address = "192.0.2.25"
            certificate = "{pki}/pieges/nominal.pem"
            key = "{pki}/pieges/nominal.key"
            """)
        self.process = None
        self.addCleanup(self.stop)

    def start(self):
        self.launch()
        wait_for("control serve", self.is_up)

    def launch(self):
        with open(self.folder / "serve.log", "ab") as log:
            self.before = self.output().count(" is up, on ")
            command = [BINARY, "control", "serve", "--config", self.folder / "controle.toml"]
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def is_up(self):
        if self.process.poll() is not None:
            raise AssertionError(self.output())
        return self.output().count(" is up, on ") > self.before

    def output(self):
        return (self.folder / "serve.log").read_text()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.assertEqual(self.process.wait(PATIENCE), 0, self.output())

    def browser(self, login=None):
        browser = Browser(f"https://127.0.0.1:{self.port}", self.folder / "controle.pem")
        if login:
            browser.enter(login)
        return browser

    def test_from_nothing_over_two_kills(self):
        self.start()
        code = wait_for("the code", lambda: re.search(r"with the code (\S+)\n", self.output())).group(1)
        self.browser().post("/premier-compte", code=code, login="admin", mot_de_passe=PASSWORD)
        admin = self.browser("admin")
        ports = sorted(set(re.findall(r"127\.\d+\.\d+\.\d+:(\d+)", self.job)))
        domain = re.search(r'domains = \["([^"]+)"\]', self.job).group(1)
        admin.post("/operateurs", nom="Alpha", domaines=domain, plages="127.0.0.0/8", ports=" ".join(ports))
        number = re.search(r'<option value="(\d+)"[^>]*>Alpha', admin.get("/comptes")).group(1)
        admin.post("/comptes", login="alpha", mot_de_passe=PASSWORD, role="administrateur_operateur", operateur=number)
        alpha = self.browser("alpha")
        # What an operator reaches.
        issuer = f"https://127.0.0.1:{self.stub}/b/o{number}/auth/realms/esante-wallet"
        context = ssl.create_default_context(cafile=self.folder / "controle.pem")
        with urllib.request.urlopen(issuer + "/.well-known/openid-configuration", context=context, timeout=PATIENCE) as answer:
            self.assertEqual(json.load(answer)["issuer"], issuer)
        with socket.create_connection(("127.0.0.1", self.trap), 30) as one:
            self.assertRegex(one.recv(512).decode(), "^220 mx.pieges.exemple.test")
        zone = run(BINARY, "control", "records", "--config", self.folder / "controle.toml").stdout
        self.assertIn("pieges.exemple.test. 3600 IN MX 10 mx.pieges.exemple.test.\nmx.pieges.exemple.test. 3600 IN A 192.0.2.25\n", zone)

        text = alpha.post("/tests/importer", modele="alpha", fichier=self.job)
        self.assertNotIn("importer", alpha.place, text)
        job = urllib.parse.urlparse(alpha.place).path
        text = alpha.post(job + "/lancer", autorise="oui", motif="ce qui est à revoir est voulu", cas=["TLS", "STL", "IMA", "SMA", "JWT"])
        self.assertIn("/campagnes/", alpha.place, text)
        campaign = urllib.parse.urlparse(alpha.place).path
        token = re.search(r'id="jeton">([^<]+)<', alpha.post("/jetons", nom="essai")).group(1)
        shown = wait_for("three results", lambda: (lambda found: found if len(found) >= 3 else None)(self.cases(token, campaign)))
        self.process.kill()
        self.process.wait()
        self.start()
        more = wait_for("more results", lambda: (lambda found: found if len(found) > len(shown) else None)(self.cases(token, campaign)))
        self.database.kill()
        with self.assertRaises(urllib.error.HTTPError) as refused:
            self.browser().get("/catalogue") and self.call(token, "/api/v1/campagnes")
        self.assertEqual(refused.exception.code, 503)
        self.assertIn("base_indisponible", refused.exception.read().decode())
        self.database.start()
        state = lambda: self.answer(token, campaign.replace("/campagnes/", "/api/v1/campagnes/"))
        over = wait_for("the end", lambda: (lambda found: found if found and found["etat"] not in ("en_file", "en_cours") else None)(state()))
        self.assertEqual((over["etat"], over["cause"], over["faits"]), ("terminee", "", over["prevus"]), self.output())
        after = {one["id"]: one for one in self.cases(token, campaign)}
        for one in [*shown, *more]:
            self.assertEqual(after[one["id"]], one, "what was shown is as it was")
        self.assertNotIn(self.database.password, self.output())
        # One application for each database.
        second = (self.folder / "controle.toml").read_text()
        for old in (self.port, self.stub, self.trap):
            second = second.replace(f":{old}", f":{free_port()}")
        (self.folder / "second.toml").write_text(second.replace('data = "data"', 'data = "data2"'))
        refused = run(BINARY, "control", "serve", "--config", self.folder / "second.toml", ok=False)
        self.assertIn("another control application uses this database", refused.stderr)

    def test_a_database_that_is_away_at_the_start(self):
        config = self.folder / "controle.toml"
        self.database.kill()
        config.write_text("database_wait_seconds = 1\n" + config.read_text())
        done = run(BINARY, "control", "serve", "--config", config, ok=False)
        self.assertIn("it is waited for", done.stderr)
        self.assertRegex(done.stderr.strip().splitlines()[-1], "(?i)connect")
        # As at the start of a machine: the application first, PostgreSQL once that is seen.
        config.write_text(config.read_text().replace("database_wait_seconds = 1\n", "database_wait_seconds = 600\n"))
        self.launch()
        wait_for("the wait", lambda: "it is waited for" in self.output())
        self.assertFalse(self.is_up())
        self.database.start()
        wait_for("control serve", self.is_up)
        self.stop()
        # Somebody who has enough of waiting.
        self.database.kill()
        self.launch()
        wait_for("the wait", lambda: self.output().count("it is waited for") == 2)
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(PATIENCE), 0, self.output())

    def call(self, token, path):
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}", headers={"Authorization": f"Bearer {token}"})
        context = ssl.create_default_context(cafile=self.folder / "controle.pem")
        with urllib.request.urlopen(request, context=context, timeout=PATIENCE) as answer:
            return json.load(answer)

    def answer(self, token, path):
        """None while the database is away."""
        try:
            return self.call(token, path)
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise
            return None

    def cases(self, token, campaign):
        found = self.answer(token, campaign.replace("/campagnes/", "/api/v1/campagnes/") + "/cas")
        return found["cas"] if found else []


if __name__ == "__main__":
    main()
