"""The control application in the browser: Debian's Chromium from sign-in to the downloaded report, by the keyboard alone, without script; axe-core finds
nothing serious; curl by the API; a kill in the middle loses nothing. CTL-JOB, CTL-REPORT

PICTURES=1 writes the pictures of the documentation again.
"""

import json
import os
import re
import subprocess
import unittest
from html.parser import HTMLParser

from pages import Pages
from space import BINARY, PATIENCE, ROOT, Space, SpaceTest, free_port, main, run, wait_for
from webdriver import ENTER, SPACE, TAB

PICTURES = ROOT / "docs/images" if os.environ.get("PICTURES") else None
# Cases that run in a second or two, of several kinds.
QUICK = ["STL", "IMA"]


class Desk:
    """What a sandbox says of its control application."""

    def __init__(self, space):
        self.space = space
        self.url = space.json["control"]["url"]
        self.accounts = {account["login"]: account for account in space.json["control"]["accounts"]}

    def enter(self, browser, login):
        browser.go(self.url + "/connexion")
        browser.type("#login", login)
        browser.type("#mot_de_passe", self.accounts[login]["password"])
        browser.click("main button")

    def curl(self, token, path, *arguments, ok=True):
        """The API, by curl."""
        done = run("curl", "-sS", "--cacert", self.space.ca, "-H", f"Authorization: Bearer {token}", "-w", "\n%{http_code}", *arguments,
                   self.url + path, timeout=180)
        text, status = done.stdout.rsplit("\n", 1)
        if ok:
            self.assert_status(status, path, text)
        return int(status), text

    @staticmethod
    def assert_status(status, path, text):
        if not status.startswith("2"):
            raise AssertionError(f"{path}: {status} {text}")


class Desktop(Pages, SpaceTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.desk = Desk(cls.space)

    def picture(self, browser, name):
        if PICTURES:
            PICTURES.mkdir(exist_ok=True)
            browser.picture(PICTURES / f"{name}.png")

    def describe(self, browser, name):
        """A test for alpha, by the form; what it knows comes from the template."""
        browser.click_text("Lancer un test")
        browser.click("ul.cartes li:first-child a")
        browser.type("#nom", name)
        browser.click("main form p:last-child button")
        browser.says("Le test est enregistré")

    def test_a_whole_campaign(self):
        browser = self.browser()
        browser.go(self.desk.url + "/")
        self.accessible(browser)
        self.desk.enter(browser, "alpha")
        browser.click_text("Lancer un test")
        self.accessible(browser)
        browser.click("ul.cartes li:first-child a")
        self.accessible(browser)
        # A mistake is told beside its field, and at the top.
        browser.type("#imap_adresse", "192.168.1.1:143")
        browser.click("main form p:last-child button")
        browser.says("ni dans les plages déclarées", "#fautes")
        self.accessible(browser)
        self.assertEqual(browser.active(), "fautes")
        # What is shown in the documentation is what people write.
        name = "Recette de novembre" if PICTURES else "recette <b>de novembre</b>"
        self.describe(browser, name)
        browser.click_text("Vérifier la configuration", "button")
        browser.says("La configuration est bonne")
        self.accessible(browser)
        browser.click("details summary")
        for group in QUICK:
            browser.click(f"#cas-{group}")
        browser.click("#autorise")
        browser.click_text("Tout lancer", "button")
        browser.wait("the campaign", lambda: "/campagnes/" in browser.address)
        # Live: lines come without the page being asked for again, and it shows the results by itself in the end.
        browser.wait("a line", lambda: browser.find_all("#faits li") or "verdict" in browser.source)
        if browser.find_all("#faits"):
            self.accessible(browser)
        browser.wait("the end", lambda: browser.find_all("p.verdict"), 180)
        browser.says("Conforme", "p.verdict")
        browser.says(name, "h1")
        self.picture(browser, "controle-resultats")
        self.accessible(browser)
        for details in browser.find_all("details.cas")[:3]:
            browser.call("POST", f"/element/{details}/click")
        self.accessible(browser)
        campaign = browser.address
        browser.go(f"{campaign.split('?')[0]}/cas/IMA-03")
        self.accessible(browser)
        browser.says("Aller à la ligne qui décide")
        self.picture(browser, "controle-preuve")
        if PICTURES:
            self.in_the_dark(campaign.split("?")[0])
        browser.go(campaign)
        browser.click_text("Comparer avec une autre campagne")
        self.accessible(browser)
        for place, name in (("/pieges", "Boîtes pièges"), ("/bouchon", "Bouchon Pro Santé Connect"), ("/jetons", "Jetons"), ("/comptes", "Comptes"), ("/compte", "Mon compte"),
                            ("/compte/facteur", "Second facteur"), ("/catalogue?q=jeton", "Catalogue"), ("/catalogue/JWT-02", "JWT-02"), ("/accessibilite", "accessibilité"),
                            ("/campagnes", "Campagnes"), ("/tests/importer", "Importer"), ("/nulle-part", "introuvable")):
            browser.go(self.desk.url + place)
            browser.says(name, "h1")
            self.accessible(browser)
        browser.go(self.desk.url + "/bouchon")
        browser.says("/auth/realms/esante-wallet")
        # The browser had nothing to complain of: no script or style but ours (404 is the page that was asked for).
        self.assertEqual([m for m in browser.messages() if "nulle-part" not in m], [])
        self.report(browser, campaign.split("?")[0])

    def in_the_dark(self, campaign):
        """The same pictures, for those who like it dark."""
        browser = self.browser(dark=True)
        self.desk.enter(browser, "alpha")
        browser.says("alpha", "header")
        for place, said, name in ((campaign, "Résultats", "controle-resultats-sombre"), (f"{campaign}/cas/IMA-03", "Attendu", "controle-preuve-sombre")):
            browser.go(place)
            browser.says(said)
            self.picture(browser, name)

    def report(self, browser, campaign):
        """The downloaded report, by the cookie of the browser: it holds together and reads offline."""
        cookie = next(c for c in browser.call("GET", "/cookie") if c["name"] == "__Host-controle")
        self.assertEqual((cookie["httpOnly"], cookie["secure"], cookie["sameSite"]), (True, True, "Strict"))
        for name in ("rapport.json", "rapport.html", "rapport.xml", "rapport.csv"):
            run("curl", "-sS", "-f", "--cacert", self.space.ca, "-H", f"Cookie: __Host-controle={cookie['value']}", "-o", self.space.folder / name, f"{campaign}/{name}")
        self.assertIn("l'ensemble tient", run(BINARY, "control", "verify", self.space.folder / "rapport.json").stdout)
        html = (self.space.folder / "rapport.html").read_text()

        class Page(HTMLParser):
            tags = set()

            def handle_starttag(self, tag, attributes):
                self.tags.add(tag)
        page = Page()
        page.feed(html)
        self.assertFalse({"script", "b", "img"} & page.tags)
        self.assertIn("Recette de novembre" if PICTURES else "&lt;b&gt;de novembre", html)

    def test_by_the_keyboard_alone_in_the_dark(self):
        browser = self.browser(dark=True)
        browser.go(self.desk.url + "/connexion")

        def to(*wanted, most=80):
            """Tab until something of that name has the focus."""
            for _ in range(most):
                browser.keys(TAB)
                if browser.active() in wanted:
                    return
            raise AssertionError(f"{wanted} is not reached: {browser.active()}")
        browser.keys(TAB)
        self.assertEqual(browser.active(), "Aller au contenu")
        to("login")
        browser.keys(*"alpha", TAB, *self.desk.accounts["alpha"]["password"], ENTER)
        browser.wait("signed in", lambda: browser.address.endswith("/"))
        self.accessible(browser)
        to("Lancer un test")
        browser.keys(ENTER)
        browser.wait("the cards", lambda: browser.address.endswith("/tests"))
        browser.keys(TAB)
        for _ in range(80):
            if "Décrire ce test" in browser.active():
                break
            browser.keys(TAB)
        browser.keys(ENTER)
        browser.wait("the form", lambda: "/tests/nouveau" in browser.address)
        to("nom")
        browser.keys(*"au clavier", ENTER)
        browser.says("Le test est enregistré")
        to("autorise")
        browser.keys(SPACE)
        # The groups are folded: the whole plan would take its time; fold out, choose one.
        browser.go(browser.address)
        for _ in range(80):
            browser.keys(TAB)
            if "Certains groupes" in browser.active():
                break
        browser.keys(ENTER)
        to("cas")
        for _ in range(20):
            if browser.run("arguments[arguments.length - 1](document.activeElement.value)") == "STL":
                break
            browser.keys(TAB)
        browser.keys(SPACE)
        to("autorise")
        browser.keys(SPACE, TAB, ENTER)
        browser.wait("the end", lambda: browser.find_all("p.verdict"), 180)
        browser.says("Conforme", "p.verdict")
        self.accessible(browser)
        to("Rapport HTML (se lit hors ligne)")

    def test_without_script(self):
        browser = self.browser(script=False)
        self.desk.enter(browser, "beta")
        self.describe(browser, "sans script")
        browser.click("details summary")
        browser.click("#cas-STL")
        browser.click("#autorise")
        browser.click_text("Tout lancer", "button")
        # The page asks for itself again.
        browser.wait("the end", lambda: browser.find_all("p.verdict"), 180)
        browser.says("6 conforme", "p.verdict")
        first = browser.address
        browser.click_text("Relancer tout", "button")
        browser.wait("another one", lambda: browser.address.split("?")[0] != first.split("?")[0])
        browser.wait("its end", lambda: browser.find_all("p.verdict"), 180)
        browser.click_text("Comparer avec une autre campagne")
        browser.click("main button")
        browser.says("Aucun verdict n’a changé")
        # What is alpha's is not there.
        browser.go(self.desk.url + "/campagnes")
        self.assertNotIn("recette", browser.text())
        self.assertNotIn("clavier", browser.text())


class ByProgram(unittest.TestCase):
    """The API by curl, and a process that is killed under a campaign."""

    def test_a_kill_in_the_middle_loses_nothing(self):
        space = Space()
        self.addCleanup(lambda: space.close())
        desk = Desk(space)
        token = self.token(desk)
        _, description = desk.curl(token, "/api/openapi.json")
        try:
            from openapi_spec_validator import validate
        except ImportError:
            print("openapi_spec_validator is not there: the description is checked by the crate's own test alone")
        else:
            validate(json.loads(description))
        text = (space.folder / "alpha/control.toml").read_text()
        _, made = desk.curl(token, "/api/v1/jobs", "--json", json.dumps({"modele": "alpha", "nom": "par programme", "texte": text}))
        made = json.loads(made)
        # What names files and services is the administrator's.
        self.assertLessEqual({"trust", "psc", "stand"}, set(made["laisse"]))
        _, begun = desk.curl(token, f"/api/v1/jobs/{made['id']}/campagnes", "--json",
                             json.dumps({"autorise": True, "cas": ["STL", "IMA", "SMA", "ACF"], "motif": "une machine chargée"}))
        campaign = f"/api/v1/campagnes/{json.loads(begun)['id']}"

        def state():
            return json.loads(desk.curl(token, campaign)[1])
        wait_for("three results", lambda: state()["faits"] >= 3)
        shown = json.loads(desk.curl(token, campaign + "/cas")[1])["cas"]
        self.assertGreaterEqual(len(shown), 3)
        space.kill()
        space.start()
        desk = Desk(space)
        # Followed to its end: what was shown is there as it was, the rest was run.
        status, _ = desk.curl(token, campaign + "/flux", "--no-buffer")
        self.assertEqual(status, 200)
        over = state()
        self.assertEqual((over["etat"], over["faits"]), ("terminee", over["prevus"]))
        report = json.loads(desk.curl(token, campaign + "/rapport.json")[1])
        cases = {case["id"]: case for case in report["cas"]}
        for case in shown:
            self.assertEqual(cases[case["id"]], case)
        path = space.folder / "rapport.json"
        path.write_text(json.dumps(report))
        run(BINARY, "control", "verify", path)
        # Where it may not go: neither by address, nor by port, nor to somebody else's domain.
        for change in ((r'imap = \{ address = "[^"]+"', 'imap = { address = "10.0.0.1:143"'), (r'imap = \{ address = "[^"]+"', 'imap = { address = "127.0.0.1:22"'),
                       (r'domains = \["[^"]+"', 'domains = ["beta.formation.mssante.fr"')):
            changed, count = re.subn(*change, text, count=1)
            self.assertEqual(count, 1)
            status, _ = desk.curl(token, "/api/v1/jobs", "--json", json.dumps({"modele": "alpha", "texte": changed}), ok=False)
            self.assertEqual(status, 422)
        self.assertNotIn("panicked", space.output())

    @staticmethod
    def token(desk):
        """A token, by the pages, as curl sees them."""
        jar = desk.space.folder / "jar"
        curl = ["curl", "-sS", "--cacert", desk.space.ca, "-b", jar, "-c", jar, "-L"]
        run(*curl, "--data-urlencode", "login=alpha", "--data-urlencode", f"mot_de_passe={desk.accounts['alpha']['password']}", desk.url + "/connexion")
        key = re.search('name="cle" value="([^"]+)"', run(*curl, desk.url + "/jetons").stdout)[1]
        page = run(*curl, "--data-urlencode", f"cle={key}", "--data-urlencode", "nom=essai", desk.url + "/jetons").stdout
        return re.search('id="jeton">([^<]+)<', page)[1]


class Served(unittest.TestCase):
    def test_control_serve_by_its_file(self):
        space = Space()
        self.addCleanup(lambda: space.close())
        folder = space.folder / "ailleurs"
        folder.mkdir()
        port = free_port()
        identity = space.operator("alpha")
        (folder / "controle.toml").write_text(
            f'listen = "127.0.0.1:{port}"\nurl = "https://127.0.0.1:{port}"\ncertificate = "../{identity["certificate"]}"\nkey = "../{identity["key"]}"\n'
            'data = "donnees"\ncampaigns = 1\n[[template]]\nname = "test"\ntitle = "Espace de test"\nfile = "../alpha/control.toml"\n')
        process = subprocess.Popen([BINARY, "control", "serve", "--config", folder / "controle.toml"], stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        self.assertIn("is up", process.stdout.readline())
        first = process.stdout.readline()
        code = re.search("code (\\S+)", first)[1]
        curl = ["curl", "-sS", "-k", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", f"https://127.0.0.1:{port}/premier-compte"]
        form = ["--data-urlencode", "login=chef", "--data-urlencode", "mot_de_passe=une longue phrase", "--data-urlencode"]
        self.assertTrue(run(*curl, *form, "code=faux").stdout.startswith("200"))
        self.assertIn("/connexion", run(*curl, *form, f"code={code}").stdout)
        self.assertTrue(run(*curl).stdout.startswith("404"))
        process.terminate()
        self.assertEqual(process.wait(PATIENCE), 0)
        wrong = folder / "faux.toml"
        wrong.write_text((folder / "controle.toml").read_text().replace("https://127", "http://127"))
        self.assertIn("https://", run(BINARY, "control", "serve", "--config", wrong, ok=False).stderr)


if __name__ == "__main__":
    main()
