"""Accounts of the control application: sign-in at an OpenID provider nobody here wrote (npm oidc-provider, certified), the QR code of a second factor read
by a reader nobody here wrote (jsQR), reports signed by openssl's cms and given in the browser, and two operators of a sandbox who see nothing of each other.
CTL-JOB, CTL-REPORT
"""

import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import struct
import subprocess
import time
from urllib.parse import parse_qs, unquote, urlsplit

from npm import modules
from pages import Pages
from space import BINARY, PATIENCE, ROOT, SpaceTest, free_port, main, run
from test_control_desk import Desk

CHEF = "une longue phrase"


def totp(address, when=None):
    """The code of an otpauth address (RFC 6238), made here."""
    secret = parse_qs(urlsplit(address).query)["secret"][0]
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    mac = hmac.new(key, struct.pack(">Q", int(when or time.time()) // 30), hashlib.sha1).digest()
    at = mac[19] & 15
    return f"{(struct.unpack('>I', mac[at:at + 4])[0] & 0x7FFFFFFF) % 1000000:06}"


class Provider(Pages, SpaceTest):
    def setUp(self):
        folder = self.space.folder / "ailleurs"
        folder.mkdir()
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        secret = base64.urlsafe_b64encode(os.urandom(24)).decode()
        (folder / "oidc.secret").write_text(secret)
        provider = subprocess.Popen(
            ["node", self.program()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "NODE_EXTRA_CA_CERTS": str(self.space.ca), "NODE_NO_WARNINGS": "1"})
        self.addCleanup(lambda: (provider.kill(), provider.wait()))
        provider.stdin.write(json.dumps({
            "client_id": "controle", "client_secret": secret, "redirect_uri": self.url + "/connexion/retour", "home": self.url + "/",
            "back_channel": self.url + "/connexion/fin", "groups": {"zoe": ["personnel", "lecteurs"]}}))
        provider.stdin.close()
        self.issuer = provider.stdout.readline().strip()
        self.addCleanup(provider.stdout.close)
        identity = self.space.operator("alpha")
        (folder / "controle.toml").write_text(f"""
listen = "127.0.0.1:{self.port}"
url = "{self.url}"
certificate = "../{identity['certificate']}"
key = "../{identity['key']}"
data = "donnees"
[oidc]
name = "Fournisseur d'essai"
issuer = "{self.issuer}"
client_id = "controle"
client_secret_file = "oidc.secret"
acr_values = "fort"
required_acr = ["fort"]
required_amr = ["otp"]
create = true
[[oidc.grant]]
claim = "groups"
value = "lecteurs"
organisation = "Opérateur alpha"
[[template]]
name = "test"
title = "Espace de test"
file = "../alpha/control.toml"
""")
        self.folder = folder
        process = subprocess.Popen([BINARY, "control", "serve", "--config", folder / "controle.toml"], stdout=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (process.terminate(), process.wait(PATIENCE), process.stdout.close()))
        self.assertIn("is up", process.stdout.readline())
        self.code = re.search("code (\\S+)", process.stdout.readline())[1]

    def program(self):
        """The provider's program in a folder where node finds its packages: it looks beside the program."""
        folder = self.space.folder / "fournisseur"
        folder.mkdir()
        (folder / "node_modules").symlink_to(modules("oidc"))
        return shutil.copy(ROOT / "tests/e2e/oidc/provider.mjs", folder)

    def arrive(self, browser, name, strong=True):
        """At the provider, back here."""
        browser.go(self.url + "/connexion?suite=/catalogue")
        self.accessible(browser)
        browser.click("#fournisseur")
        browser.wait("the provider", lambda: browser.address.startswith(self.issuer))
        browser.type("#nom", name)
        if strong:
            browser.click("#fort")
        browser.click("#entrer")

    def leave_there(self, browser):
        """The provider asks whether one really leaves."""
        browser.wait("the provider's question", lambda: browser.find_all("button[name=logout], [value=yes]"))
        browser.click("[value=yes]")

    def test_from_the_first_account_to_the_end_of_a_session(self):
        run("curl", "-sS", "-k", "-f", "-o", "/dev/null", self.url + "/premier-compte", "--data-urlencode", "login=chef",
            "--data-urlencode", f"mot_de_passe={CHEF}", "--data-urlencode", f"code={self.code}")
        chef = self.browser()
        self.second_factor(chef)
        chef.go(self.url + "/operateurs")
        chef.type("#nom", "Opérateur alpha")
        chef.type("#domaines", "alpha.formation.mssante.fr")
        chef.click("main form button")
        chef.says("L’opérateur est enregistré")

        # Without a second factor there, or without a group that is granted something: no.
        browser = self.browser()
        self.arrive(browser, "zoe", strong=False)
        browser.says("n’atteste pas le niveau")
        stranger = self.browser()
        self.arrive(stranger, "yves")
        stranger.says("Aucun compte d’ici")
        # With both: an account with the least role, and no second factor asked for here.
        zoe = self.browser()
        self.arrive(zoe, "zoe")
        zoe.says("Catalogue", "h1")
        zoe.go(self.url + "/compte")
        zoe.says("lecteur")
        zoe.says("dont il suit les droits")
        # The provider is on the same host: its cookies are there too.
        cookies = {cookie["name"]: cookie for cookie in zoe.call("GET", "/cookie") if cookie["name"].startswith("__Host-")}
        self.assertEqual(set(cookies), {"__Host-controle"})
        self.assertEqual((cookies["__Host-controle"]["sameSite"], cookies["__Host-controle"]["httpOnly"]), ("Strict", True))
        zoe.go(self.url + "/tests/importer")
        zoe.says("Votre rôle ne le permet pas")
        # The policy of our pages was never in the way.
        self.assertEqual([m for m in zoe.messages() if "403" not in m and "favicon" not in m], [])

        # Leaving here leads to leave there, and back.
        zoe.click_text("Se déconnecter", "button")
        self.leave_there(zoe)
        zoe.wait("home", lambda: zoe.address == self.url + "/")
        zoe.says("Se connecter", "header")
        # Leaving there ends the session here.
        self.arrive(zoe, "zoe")
        zoe.says("Catalogue", "h1")
        zoe.go(self.issuer + "/session/end")
        self.leave_there(zoe)
        zoe.says("Sign-out Success", "body")
        zoe.go(self.url + "/campagnes")
        zoe.wait("the page of sign-in", lambda: "/connexion" in zoe.address)
        # The account is the same one the second time: one of that name in the list.
        chef.go(self.url + "/comptes")
        chef.says("zoe+")
        self.assertEqual(chef.source.count('<th scope="row">zoe+'), 1)
        # What is kept holds neither a secret of a second factor nor one of the client.
        key = self.folder / "donnees/second-factors.key"
        self.assertEqual(key.stat().st_mode & 0o777, 0o600)

    def second_factor(self, browser):
        browser.go(self.url + "/connexion?suite=/operateurs")
        browser.type("#login", "chef")
        browser.type("#mot_de_passe", CHEF)
        browser.click("main form button")
        browser.says("Second facteur", "h1")
        self.accessible(browser)
        address = browser.call("GET", f"/element/{browser.find('#otpauth')}/property/href")
        reader = (modules("oidc") / "jsqr/dist/jsQR.js").read_text()
        read = browser.run("const module = undefined, exports = undefined, define = undefined;" + reader.replace("root[\"jsQR\"]", "window.jsQR") + """;
            const svg = document.querySelector('svg.qr'), size = Number(svg.getAttribute('viewBox').split(' ')[2]), scale = 6;
            const canvas = document.createElement('canvas');
            canvas.width = canvas.height = size * scale;
            const context = canvas.getContext('2d');
            context.fillStyle = '#fff';
            context.fillRect(0, 0, size * scale, size * scale);
            context.scale(scale, scale);
            context.fillStyle = '#000';
            context.fill(new Path2D(svg.querySelector('path').getAttribute('d')));
            const image = context.getImageData(0, 0, size * scale, size * scale);
            const found = (window.jsQR.default || window.jsQR)(image.data, image.width, image.height);
            arguments[arguments.length - 1](found && found.data);""")
        self.assertEqual(unquote(read), unquote(address))
        browser.type("#code", totp(read))
        browser.click("main form button")
        browser.says("Second facteur actif")
        codes = re.findall(r"[a-z2-9]{5}-[a-z2-9]{5}-[a-z2-9]{5}-[a-z2-9]{5}", browser.text())
        self.assertEqual(len(codes), 8)
        # The next step of the clock, since this one was taken; and what is on disk is not the secret.
        browser.click_text("Se déconnecter", "button")
        browser.says("Se connecter", "header")
        browser.go(self.url + "/connexion")
        browser.type("#login", "chef")
        browser.type("#mot_de_passe", CHEF)
        browser.click("main form button")
        browser.wait("the second factor", lambda: "/connexion/code" in browser.address)
        browser.type("#code", totp(read, time.time() + 30))
        browser.click("main form button")
        browser.says("chef", "header")
        secret = parse_qs(urlsplit(read).query)["secret"][0]
        raw = base64.b32decode(secret + "=" * (-len(secret) % 8))
        for file in (self.folder / "donnees").iterdir():
            octets = file.read_bytes()
            self.assertNotIn(raw, octets, file)
            self.assertNotIn(secret.encode(), octets, file)


class Rooms(Pages, SpaceTest):
    """Alpha, beta, and what is each one's."""

    def setUp(self):
        self.desk = Desk(self.space)

    def token(self, login):
        jar = self.space.folder / f"jar-{login}"
        curl = ["curl", "-sS", "--cacert", self.space.ca, "-b", jar, "-c", jar, "-L"]
        run(*curl, "--data-urlencode", f"login={login}", "--data-urlencode", f"mot_de_passe={self.desk.accounts[login]['password']}", self.desk.url + "/connexion")
        key = re.search('name="cle" value="([^"]+)"', run(*curl, self.desk.url + "/jetons").stdout)[1]
        page = run(*curl, "--data-urlencode", f"cle={key}", "--data-urlencode", "nom=essai", self.desk.url + "/jetons").stdout
        return re.search('id="jeton">([^<]+)<', page)[1]

    def campaign(self, operator, token, *cases):
        text = (self.space.folder / operator / "control.toml").read_text()
        _, made = self.desk.curl(token, "/api/v1/jobs", "--json", json.dumps({"modele": operator, "nom": f"secret de {operator}", "texte": text.replace('"api-lps"', '"complet"', 1)}))
        _, begun = self.desk.curl(token, f"/api/v1/jobs/{json.loads(made)['id']}/campagnes", "--json", json.dumps({"autorise": True, "cas": list(cases), "motif": "une machine chargée"}))
        campaign = json.loads(begun)["id"]
        self.desk.curl(token, f"/api/v1/campagnes/{campaign}/flux", "--no-buffer")
        return campaign

    def get(self, token, path, **options):
        status, text = self.desk.curl(token, path, **options)
        return json.loads(text) if status == 200 else status

    def test_each_sees_its_own(self):
        alpha, beta = self.token("alpha"), self.token("beta")
        # What alpha's software asks of PSC (it introspects each token), and what alpha sends to a trap.
        campaign = self.campaign("alpha", alpha, "IMA", "SMA-02")
        calls = {operator: self.get(token, "/api/v1/bouchon")["appels"] for operator, token in (("alpha", alpha), ("beta", beta))}
        asked = {call["jti"] for call in calls["alpha"] if call.get("jti")}
        self.assertTrue(asked, "alpha asked about tokens")
        self.assertFalse(asked & {call.get("jti") for call in calls["beta"]})
        self.assertFalse([call for call in calls["beta"] if call["endpoint"] in ("introspection", "userinfo")])
        sessions = self.get(alpha, "/api/v1/pieges")["sessions"]
        self.assertTrue(sessions, "alpha wrote to a trap")
        self.assertEqual(self.get(beta, "/api/v1/pieges")["sessions"], [])
        for session in sessions:
            self.assertEqual(self.get(beta, f"/api/v1/pieges/{session['seq']}", ok=False), 404)
        # What alpha plays is played to alpha.
        _, leased = self.desk.curl(alpha, "/api/v1/bouchon/scenario", "-X", "PUT", "--json", json.dumps({"introspection": "503", "lease_seconds": 60}))
        self.assertEqual(self.get(alpha, "/api/v1/bouchon")["scenario"]["introspection"], "503")
        self.assertEqual(self.get(beta, "/api/v1/bouchon")["scenario"]["introspection"], "normal")
        lease = json.loads(leased)["bail"]
        self.desk.curl(alpha, f"/api/v1/bouchon/scenario/{lease}", "-X", "DELETE")
        # The same by pages, by every role of beta.
        for login in ("beta", "beta-testeur", "beta-lecteur", "beta-signataire"):
            browser = self.browser()
            self.desk.enter(browser, login)
            browser.says(login, "header")
            browser.go(self.desk.url + "/bouchon")
            browser.says("Bouchon Pro Santé Connect", "h1")
            text = browser.text()
            self.assertFalse([jti for jti in asked if jti in text])
            browser.go(self.desk.url + "/pieges")
            browser.says("Aucune session")
            for place in (f"/pieges/{sessions[0]['seq']}", f"/pieges/{sessions[0]['seq']}/messages/0", f"/campagnes/{campaign}", f"/campagnes/{campaign}/flux",
                          f"/campagnes/{campaign}/rapport.json", f"/campagnes/{campaign}/cas/IMA-01", f"/campagnes/{campaign}/signature"):
                browser.go(self.desk.url + place)
                browser.says("n'est pas à vous", "body")
        browser = self.browser()
        self.desk.enter(browser, "alpha")
        browser.says("alpha", "header")
        browser.go(self.desk.url + "/bouchon")
        browser.says("/b/alpha/auth/realms/esante-wallet/protocol/openid-connect/certs")
        self.signed(campaign)

    def signed(self, campaign):
        """The report, signed by openssl and given in the browser by a signatory."""
        browser = self.browser()
        self.desk.enter(browser, "alpha-signataire")
        browser.says("alpha-signataire", "header")
        place = f"{self.desk.url}/campagnes/{campaign}"
        browser.go(place + "/signature")
        browser.says("n’est pas signé")
        self.accessible(browser)
        report, signature = self.space.folder / "rapport.json", self.space.folder / "rapport.json.p7s"
        self.download(browser, place + "/rapport.json", report)
        self.assertEqual(browser.text("#empreinte"), hashlib.sha256(report.read_bytes()).hexdigest())
        signer = self.space.folder / "pki/control/alpha-signature"
        sign = ["openssl", "cms", "-sign", "-binary", "-md", "sha256", "-signer", f"{signer}.pem", "-inkey", f"{signer}.key", "-outform", "DER", "-in"]
        other = self.space.folder / "autre.json"
        other.write_bytes(report.read_bytes() + b"\n")
        run(*sign, other, "-out", signature)
        self.give(browser, signature)
        browser.says("Ce n’est pas ce rapport")
        run(*sign, report, "-out", signature)
        self.give(browser, signature)
        browser.says("La signature est bonne")
        self.accessible(browser)
        html, kept = self.space.folder / "rapport.html", self.space.folder / "garde.p7s"
        self.download(browser, place + "/rapport.html", html)
        self.assertIn("est signé par", html.read_text())
        self.download(browser, place + "/rapport.json.p7s", kept)
        self.assertEqual(kept.read_bytes(), signature.read_bytes())
        run(BINARY, "control", "verify", report, "--signature", kept, "--anchors", self.space.ca)

    def give(self, browser, file):
        browser.on(lambda: browser.find("#fichier"), "POST", "/value", {"text": str(file)})
        browser.click("main form button")

    def download(self, browser, url, file):
        cookie = next(c for c in browser.call("GET", "/cookie") if c["name"] == "__Host-controle")
        run("curl", "-sS", "-f", "--cacert", self.space.ca, "-H", f"Cookie: __Host-controle={cookie['value']}", "-o", file, url)


if __name__ == "__main__":
    main()
