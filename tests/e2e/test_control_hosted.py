"""An operator that believes what `control serve` serves: PSC stub, white list, revocation lists. No sandbox runs meanwhile: one made the certificates, and ended.
Its configuration is the text of docs/control.md (« For an operator »), with the addresses that the application shows. CTL-PSC, CTL-JOB; JWT, RES, LBL, CER-10
"""

import html
import json
import re
import signal
import ssl
import subprocess
import threading
import tomllib
import unittest
import urllib.error
import urllib.parse
import urllib.request

import serve
from space import BINARY, PATIENCE, ROOT, Space, free_port, main, run, wait_for
from test_control_serve import PASSWORD, Browser

# What is run: tokens good and bad, an outage, another list, revocation away. Whole plans are run in a sandbox.
CASES = ["IMA-01", "SMA-01", "JWT-01", "JWT-03", "JWT-04", "JWT-09", "JWT-20", "RES-01", "LBL-01", "LBL-02", "LBL-04", "CER-02", "CER-05", "CER-10"]


def example():
    """The configuration of docs/control.md for an operator, as it stands there."""
    text = (ROOT / "docs/control.md").read_text().split("**For an operator**")[1]
    return tomllib.loads(text.split("```toml")[1].split("```")[0])


def without(text, *sections):
    """A TOML text without these sections."""
    kept, is_kept = [], True
    for line in text.splitlines():
        if found := re.match(r"\[+([^\]]+)\]+$", line):
            is_kept = found[1] not in sections
        if is_kept:
            kept.append(line)
    return "\n".join(kept) + "\n"


class Hosted(unittest.TestCase):
    def setUp(self):
        self.space = Space()
        self.addCleanup(self.space.close)
        self.assertEqual(self.space.stop(), 0)
        self.folder = self.space.folder / "heberge"
        self.folder.mkdir()
        self.pki = self.space.folder / "pki"
        self.port, self.stub, self.list, self.crl, self.trap = free_port(), free_port(), free_port(), free_port(), free_port()
        self.job = without((self.space.folder / "alpha/control.toml").read_text(), "psc", "stand", "dns")
        # Nobody makes the operator fetch, and the lists are elsewhere.
        self.job = self.job.replace("settle_milliseconds = 200", "settle_milliseconds = 2000\nfetch_seconds = 300")
        self.job = re.sub(r"http://127.0.0.1:\d+/CRL/", f"http://127.0.0.1:{self.crl}/CRL/", self.job)
        # Certificates of the space beside it, where the sandbox's job looks for them.
        (self.folder / "alpha").mkdir()
        (self.folder / "pki").symlink_to(self.pki)
        self.process = None
        self.addCleanup(self.stop)

    def configure(self):
        names = {name: self.space.operator(name)["domain"] for name in ("alpha", "beta")}
        (self.folder / "controle.toml").write_text(f"""
            listen = "127.0.0.1:{self.port}"
            url = "https://127.0.0.1:{self.port}"
            certificate = "pki/services.pem"
            key = "pki/services.key"
            data = "data"
            second_factor = false
            domain_proof = false
            [[template]]
            name = "essai"
            title = "Espace de test"
            file = "alpha/modele.toml"
            [stub]
            listen = "127.0.0.1:{self.stub}"
            url = "https://127.0.0.1:{self.stub}"
            [white_list]
            listen = "127.0.0.1:{self.list}"
            url = "https://127.0.0.1:{self.list}"
            signer = {{ certificate = "pki/liste-blanche.pem", key = "pki/liste-blanche.key" }}
            other_signer = {{ certificate = "pki/control/alpha-signature.pem", key = "pki/control/alpha-signature.key" }}
            peer = "controle.formation.mssante.fr"
            other = "{names['beta']}"
            [[white_list.domain]]
            name = "controle.formation.mssante.fr"
            certificate = "pki/control/pair.pem"
            [[white_list.domain]]
            name = "{names['alpha']}"
            certificate = "pki/alpha.pem"
            [[white_list.domain]]
            name = "{names['beta']}"
            certificate = "pki/beta.pem"
            [revocation]
            listen = "127.0.0.1:{self.crl}"
            url = "http://127.0.0.1:{self.crl}"
            authority = "pki"
            [traps]
            domain = "pieges.exemple.test"
            anchors = "pki/ca.pem"
            crl = ["http://127.0.0.1:{self.crl}/CRL/ACI-EL-ORG-TEST.crl", "http://127.0.0.1:{self.crl}/CRL/ACR-EL-TEST.crl"]
            white_list = {{ url = "https://127.0.0.1:{self.list}/listeblanchemssante.xml", signer = "{self.signer()}", anchors = "pki/ca.pem" }}
            [[traps.door]]
            name = "nominal"
            listen = "127.0.0.1:{self.trap}"
            certificate = "pki/pieges/nominal.pem"
            key = "pki/pieges/nominal.key"
            """)

    def signer(self):
        """The name of the signer, most particular first, as the example of the documentation has it."""
        done = run("openssl", "x509", "-in", self.pki / "liste-blanche.pem", "-noout", "-subject", "-nameopt", "RFC2253,-esc_msb,utf8")
        return done.stdout.split("subject=")[1].strip()

    def start(self):
        with open(self.folder / "serve.log", "wb") as log:
            self.process = subprocess.Popen([BINARY, "control", "serve", "--config", self.folder / "controle.toml"], stdout=log, stderr=subprocess.STDOUT)

        def is_up():
            self.assertIsNone(self.process.poll(), self.output())
            return " is up, on " in self.output()
        wait_for("control serve", is_up)

    def output(self):
        return (self.folder / "serve.log").read_text()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.assertEqual(self.process.wait(PATIENCE), 0, self.output())

    def browser(self, login=None):
        browser = Browser(f"https://127.0.0.1:{self.port}", self.pki / "ca.pem")
        if login:
            browser.enter(login)
        return browser

    def shown(self, page):
        """What there is to copy on « Bouchon PSC », by label."""
        found = re.findall(r'<dt>([^<]+)</dt><dd><code class="copier">([^<]+)</code>', page)
        return {html.unescape(label): html.unescape(value) for label, value in found}

    def operator(self, shown):
        """The operator of the documentation: its sections as they stand there, with these addresses and files."""
        meant = example()
        values = {
            "trust.anchors": str(self.pki / "ca.pem"),
            "trust.crl": [shown["Liste de révocation (organisations)"], shown["Liste de révocation (racine)"]],
            "white_list.url": shown["Liste blanche"], "white_list.signer": self.signer(), "white_list.refresh_minutes": 1,
            "psc.issuer": shown["Émetteur (iss)"], "psc.jwks_uri": shown["Clés (JWKS)"], "psc.anchors": str(self.pki / "ca.pem"),
            "psc.userinfo": shown["UserInfo"], "psc.introspection.url": shown["Introspection"],
            "psc.introspection.client_id": shown["Identifiant de client"], "psc.introspection.client_secret_file": "psc.secret"}
        told = {}
        for section, keys in meant.items():
            for key, value in keys.items():
                told |= {f"{section}.{key}.{inner}": one for inner, one in value.items()} if isinstance(value, dict) else {f"{section}.{key}": value}
        self.assertEqual(set(told), set(values), "every key of the documentation, and no other")
        for name, value in told.items():
            # An address of the documentation has the same path and the same form of word as the one that is shown.
            if isinstance(value, str) and "://" in value and name != "trust.anchors":
                form = re.escape(urllib.parse.urlparse(value).path.replace("/b/o1/", "/b/N/")).replace("N", r"o\d+")
                self.assertRegex(urllib.parse.urlparse(values[name]).path, f"^{form}$")
        config = serve.configuration(self.space, "alpha", "heberge-operateur")
        config.with_name("psc.secret").write_text(shown["Secret de client"])
        config.with_name("psc.secret").chmod(0o600)
        text = without(config.read_text(), "trust", "white_list", "psc", "psc.introspection", "relay")
        sections = {}
        for name, value in values.items():
            section, key = name.rsplit(".", 1)
            sections.setdefault(section, []).append(f"{key} = {json.dumps(value)}")
        text += "".join(f"\n[{section}]\n" + "\n".join(lines) + "\n" for section, lines in sections.items())
        config.write_text(text)
        operator = serve.Server(config)
        self.addCleanup(operator.close)
        for index in (0, 1):
            person = self.space.person("alpha", index=index)
            operator.mailbox("create", person["mailbox"], "--kind", "PER", "--holder", person["id"])
        application = self.space.application("alpha")
        operator.mailbox("create", application["mailbox"], "--kind", "APP", "--holder", "1750000001")
        return operator

    def test_an_operator_that_believes_it(self):
        # The operator's ports are known once it runs, and it runs once it was told what to believe: the application opens first, without its servers.
        (self.folder / "alpha/modele.toml").write_text(self.job)
        self.configure()
        self.start()
        code = wait_for("the code", lambda: re.search(r"with the code (\S+)\n", self.output())).group(1)
        self.browser().post("/premier-compte", code=code, login="admin", mot_de_passe=PASSWORD)
        admin = self.browser("admin")
        domain = self.space.operator("alpha")["domain"]
        admin.post("/operateurs", nom="Alpha", domaines=domain, plages="127.0.0.0/8", ports="")
        number = re.search(r'<option value="(\d+)"[^>]*>Alpha', admin.get("/comptes")).group(1)
        for login, role in (("alpha", "administrateur_operateur"), ("lecteur", "lecteur")):
            admin.post("/comptes", login=login, mot_de_passe=PASSWORD, role=role, operateur=number)
        alpha = self.browser("alpha")
        shown = self.shown(alpha.get("/bouchon"))
        self.assertNotIn("Secret de client", self.shown(self.browser("lecteur").get("/bouchon")), "whoever only reads needs none")
        operator = self.operator(shown)

        # The servers, as the operator would write them, and what the administrator lets it reach.
        ports = " ".join(str(place["port"]) for place in operator.entrances.values())
        admin.post("/operateurs", nom="Alpha", domaines=domain, plages="127.0.0.0/8", ports=ports)
        text = self.job.replace('plan = "api-lps"', 'plan = "complet"')
        for section, entrance, key in (("api_lps", "imap", "imap"), ("api_lps", "submission", "smtp"), ("api_lps", "autoconfig", "autoconfig"),
                                       ("certificates", "imap_app", "imap"), ("certificates", "submission_app", "smtp"), ("operator_interface", "mx", "mx")):
            head, rest = text.split(f"[{section}]", 1)
            rest, count = re.subn(rf'^({key} = .*?")127\.\d+\.\d+\.\d+:\d+"', rf'\g<1>127.0.0.1:{operator.entrances[entrance]["port"]}"', rest, count=1, flags=re.M)
            self.assertEqual(count, 1, (section, key))
            text = f"{head}[{section}]{rest}"
        job = json.loads(self.call(alpha, "/api/v1/jobs", {"modele": "essai", "nom": "hébergé", "texte": text}))["id"]
        campaign = json.loads(self.call(alpha, f"/api/v1/jobs/{job}/campagnes", {"autorise": True, "cas": CASES}))["id"]
        over = threading.Event()
        fetching = threading.Thread(target=self.fetches, args=(operator, over))
        fetching.start()
        try:
            state = lambda: json.loads(self.call(alpha, f"/api/v1/campagnes/{campaign}"))
            ended = wait_for("the end", lambda: (lambda found: found if found["etat"] not in ("en_file", "en_cours") else None)(state()), 900)
        finally:
            over.set()
            fetching.join()
        self.assertEqual((ended["etat"], ended["cause"]), ("terminee", ""), self.output())
        cases = {case["id"]: case for case in json.loads(self.call(alpha, f"/api/v1/campagnes/{campaign}/rapport.json"))["cas"]}
        for name in CASES:
            with self.subTest(name):
                told = [(one["nom"], one["verdict"], one["observe"]) for one in cases[name]["variantes"]
                        if one["verdict"]["etat"] not in ("conforme", "non_applicable") and one["verdict"].get("niveau") != "information"]
                self.assertEqual(told, [])
                # What is only told changes nothing: a certificate revoked by OCSP alone, at an operator that reads lists.
                self.assertIn((cases[name]["etat"], cases[name].get("niveau")), {("conforme", None), ("non_conforme", "information")})
        # The calls of this operator were seen, at its own realm.
        page = alpha.get("/bouchon")
        self.assertIn(f"/b/o{number}/auth/realms/esante-wallet/protocol/openid-connect/token/introspect", page)

    def fetches(self, operator, over):
        """An operator that reads its lists anew every two seconds while campaigns wait for that."""
        while not over.wait(2):
            run(BINARY, "reload", "--config", operator.config, ok=None)

    def call(self, browser, path, body=None):
        """A call of the API, with a token of that account."""
        if not hasattr(self, "token"):
            self.token = re.search(r'id="jeton">([^<]+)<', browser.post("/jetons", nom="essai")).group(1)
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}", data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=self.pki / "ca.pem"), timeout=PATIENCE) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.code} {error.read().decode()}") from error


if __name__ == "__main__":
    main()
