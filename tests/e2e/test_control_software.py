"""Mail software tested from the browser: a whole campaign of the plan « client » without JavaScript, our own `vaguemestre lps` driven by what the page
says; then the page that lives, and the listeners that close with their campaign. ECO.*; control.md §2.1
"""

import os
import re
import socket

from lps import Lps
from pages import Pages
from space import SpaceTest, main, run
from test_control_client import SCENARIOS, drive_lps
from test_control_desk import PICTURES, Desk

DOMAIN = "logiciels.formation.mssante.fr"
# What each act asks for, as the page words it.
STEPS = {"Configurer la BAL": "configurer", "Relever la BAL": "relever", "Laisser la BAL ouverte": "surveiller", "Envoyer un message": "envoyer",
         "Envoyer un document": "envoyer-document"}


class Software(Pages, SpaceTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.desk = Desk(cls.space)

    def launch(self, browser, name, cases=()):
        """A test, described and launched; the page of its campaign."""
        browser.go(self.desk.url + "/tests/nouveau?plan=client")
        browser.type("#nom", name)
        browser.type("#logiciel", "vaguemestre lps")
        browser.type("#version", "1")
        browser.type("#nil", "3734")
        # Only the word ends an act: a slow machine is not taken for software that has finished.
        browser.type("#attente", "3600")
        browser.type("#calme", "3600")
        browser.click("main form p:last-child button")
        browser.says("Le test est enregistré")
        if cases:
            browser.click("details summary")
        for case in cases:
            browser.click(f"#cas-{case}")
        browser.click("#autorise")
        browser.click_text("Tout lancer", "button")
        browser.wait("the campaign", lambda: "/campagnes/" in browser.address, 120)
        browser.wait("the operator", lambda: "Préparez le logiciel" in browser.text("#banc"), 120)

    def settings(self, user, person, browser):
        """What the page says, in the settings of the software: authority and autoconfiguration."""
        cookie = next(c for c in browser.call("GET", "/cookie") if c["name"] == "__Host-controle")
        authority = self.space.folder / "autorite.pem"
        run("curl", "-sS", "-f", "--cacert", self.space.ca, "-H", f"Cookie: __Host-controle={cookie['value']}", "-o", authority,
            browser.address.split("?")[0] + "/autorite.pem")
        port = re.search(r":(\d+)/mail/config", browser.source)[1]
        text = re.sub(r'(\[trust\]\nanchors = )"[^"]*"\ncrl = .*\n', rf'\1"{authority}"\ncrl = []\n', user.settings.read_text())
        text = re.sub(r"\ncache = .*", "", text)
        user.settings.write_text(text.replace("[network.autoconfig_ports]\n", f'[network.autoconfig_ports]\n"{DOMAIN}" = {port}\n'))
        boxes = "".join(f'[[box]]\naddress = "{name}@{DOMAIN}"\nas = "{person["id"]}"\nlabel = "Dr_Marie_MARTIN"\n\n' for name in SCENARIOS)
        (user.settings.parent / "boxes.toml").write_text(boxes)

    def act(self, browser):
        """The act that the page asks for: its number, step, address, recipient; none at the end."""
        found = []

        def known():
            source = browser.source
            if "déjà finie" in source:
                # Said twice.
                browser.go(self.campaign)
                return False
            if "p class=\"verdict" in source:
                return True
            number = re.search(r'name="numero" value="(\d+)"', source)
            words = re.search(r"<strong>Action \d+ — ([^<]+)</strong>.*?id=\"bal\">([^<]+)<", source, re.S)
            if number and words:
                to = re.search(r"Destinataire</dt>\s*<dd><code[^>]*>([^<]+)<", source)
                step = next(step for begin, step in STEPS.items() if words[1].startswith(begin))
                found.append((number[1], step, words[2], to[1] if to else f"destinataire@{DOMAIN}"))
            return found
        browser.wait("what is next", known, 180)
        return found[-1] if found else None

    def test_a_whole_campaign_without_script(self):
        browser = self.browser(script=False)
        self.desk.enter(browser, "alpha-testeur")
        browser.says("alpha-testeur", "header")
        self.launch(browser, "notre logiciel")
        self.campaign = campaign = browser.address.split("?")[0]
        person = self.space.person("alpha")
        user = Lps(self.space, "logiciel")
        self.addCleanup(user.close)
        user.login(person["id"])
        self.settings(user, person, browser)
        browser.click_text("Le logiciel est prêt", "button")
        before, last = dict(os.environ), None
        os.environ.update(user.environment)
        try:
            while act := self.act(browser):
                number, step, address, recipient = act
                if number != last:
                    drive_lps(step, address, recipient)
                    last = number
                self.done(browser, number)
        finally:
            os.environ.clear()
            os.environ.update(before)
        browser.says("Conforme", "p.verdict")
        browser.says("32 cas : 32 conforme", "p.verdict")
        self.assertNotIn("BOURDIN", browser.source)
        browser.go(f"{campaign}/cas/CLI-13")
        browser.says("Attendu")

    def done(self, browser, number):
        """« C'est fait », of the act that is on the page: the page asks for itself again meanwhile."""
        shown = f'name="numero" value="{number}"'
        for _ in range(6):
            if shown not in browser.source:
                return
            browser.click("#banc button[value=fait]")
            try:
                browser.wait("another act", lambda: shown not in browser.source, 30)
            except AssertionError:
                continue
        self.assertNotIn(shown, browser.source)

    def test_it_lives_and_closes(self):
        browser = self.browser()
        self.desk.enter(browser, "beta")
        browser.says("beta", "header")
        browser.go(self.desk.url + "/tests/nouveau?plan=client")
        self.accessible(browser)
        self.launch(browser, "Version 4.2 avant livraison", ["CLI-03"])
        self.accessible(browser)
        browser.click_text("Le logiciel est prêt", "button")
        browser.wait("the first act", lambda: "Action 1" in browser.text("#banc"), 120)
        port = int(re.search(r"127\.0\.0\.1:(\d+)", browser.text("#banc dl dd:nth-of-type(1)"))[1])
        # What comes is shown without the page being asked for again.
        with socket.create_connection(("127.0.0.1", port), 30):
            browser.wait("what came", lambda: "IMAP, nominal@" in browser.text("#vu"), 60)
            self.accessible(browser)
            if PICTURES:
                browser.picture(PICTURES / "controle-logiciel.png")
        # Two campaigns never share a listener: alpha's has its own.
        other = self.browser()
        self.desk.enter(other, "alpha")
        other.says("alpha", "header")
        self.launch(other, "à côté", ["CLI-03"])
        ports = re.findall(r"<td>(\d+)</td>", other.source)
        self.assertGreater(len(ports), 60)
        self.assertNotIn(str(port), ports)
        other.click_text("Arrêter la campagne", "button")
        browser.click_text("Arrêter la campagne", "button")
        browser.wait("the end", lambda: browser.find_all("p.verdict"), 120)
        browser.says("annulée", "p.verdict")
        with self.assertRaises(OSError):
            socket.create_connection(("127.0.0.1", port), 5)
        self.assertEqual(browser.messages(), [])


if __name__ == "__main__":
    main()
