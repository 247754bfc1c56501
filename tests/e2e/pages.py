"""Pages of the control application in Debian's Chromium, as tests of them begin: a driver for the class, browsers that close, axe-core."""

from npm import modules
from webdriver import Browser, Driver


class Pages:
    """Beside a test class, and before it among its bases."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.driver = Driver()
        cls.addClassCleanup(cls.driver.close)
        cls.axe = (modules("axe") / "axe-core/axe.min.js").read_text()

    def browser(self, **options):
        browser = Browser(self.driver, **options)
        self.addCleanup(browser.close)
        return browser

    def accessible(self, browser):
        """What axe-core finds, WCAG 2.1 AA and its own good practice: nothing serious or critical."""
        found = browser.run(self.axe + "; const done = arguments[arguments.length - 1]; axe.run(document).then(r => done(r.violations.map("
                            "v => ({id: v.id, impact: v.impact, where: v.nodes.map(n => n.html + ' ' + n.failureSummary)}))))")
        self.assertEqual([v for v in found if v["impact"] in ("serious", "critical")], [], browser.address)
