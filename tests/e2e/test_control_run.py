"""Campaigns of the control application: ours must be conforming in all that is run, and what is broken must turn red, and only that. CTL-JOB, CTL-REPORT"""

import csv
import io
import json
import re
import tomllib
import unittest
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

from space import BINARY, SpaceTest, main, run

# What this version does not run, with its reason in the report.
NOT_RUN = {"SES-04"}


def campaign(job, folder, *arguments, ok=None):
    out = folder / "campagne.json"
    out.unlink(missing_ok=True)
    done = run(BINARY, "control", "run", job, "--json", out, *arguments, ok=ok, timeout=600)
    return done, json.loads(out.read_text()) if out.exists() else None


def states(report):
    return {case["id"]: (case["etat"], case.get("niveau")) for case in report["cas"]}


class Campaigns(SpaceTest):
    def job(self, operator):
        return self.space.folder / operator / "control.toml"

    def changed(self, name, *changes):
        """A job like alpha's, with texts replaced."""
        text = self.job("alpha").read_text()
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new)
        path = self.space.folder / "alpha" / f"{name}.toml"
        path.write_text(text)
        return path

    def assert_good(self, report):
        for case in report["cas"]:
            with self.subTest(case["id"]):
                if case["id"] in NOT_RUN:
                    self.assertEqual(case["etat"], "non_execute")
                    self.assertTrue(case["cause"])
                else:
                    wrong = [v for v in case["variantes"] if v["verdict"]["etat"] != "conforme"
                             and v["verdict"].get("niveau") != "information"]
                    self.assertEqual(wrong, [])

    def test_both_operators_are_conforming_in_all_that_is_run(self):
        for operator in ("alpha", "beta"):
            job = self.job(operator)
            self.assertEqual(run(BINARY, "control", "run", job, "--check").stdout.count("✓"), 4)
            # Beta, which goes by the keys alone, is asked less: a whole campaign takes its time.
            only = () if operator == "alpha" else ("--only", "TLS", "--only", "SES", "--only", "JWT-11", "--only", "JWT-12")
            done, report = campaign(job, self.space.folder, *only)
            self.assertEqual(len(report["cas"]), 71 if operator == "alpha" else 19)
            self.assert_good(report)
            # One case is for a campaign by night, and minor.
            self.assertEqual((done.returncode, report["verdict"]), (0, "conforme"))
            if operator == "alpha":
                self.read_reports(report)

    def read_reports(self, report):
        folder = self.space.folder
        source = folder / "campagne.json"
        run(BINARY, "control", "verify", source)
        run(BINARY, "control", "report", source, "--html", folder / "r.html", "--junit", folder / "r.xml", "--csv", folder / "r.csv")
        html = (folder / "r.html").read_text()

        class Page(HTMLParser):
            tags, ids, references = set(), set(), []

            def handle_starttag(self, tag, attributes):
                self.tags.add(tag)
                self.ids |= {value for name, value in attributes if name == "id"}
                self.references += [value for name, value in attributes if name in ("href", "src")]
        page = Page()
        page.feed(html)
        # Reads offline: nothing is fetched, nothing runs.
        self.assertFalse({"script", "img", "link", "iframe"} & page.tags)
        self.assertTrue(all(reference.startswith("#") and reference[1:] in page.ids for reference in page.references))
        self.assertIn('lang="fr"', html)
        suites = ET.parse(folder / "r.xml").getroot()
        self.assertEqual(sum(int(suite.get("tests")) for suite in suites), 71)
        self.assertEqual(sum(int(suite.get("failures")) for suite in suites), 0)
        self.assertEqual(sum(int(suite.get("skipped")) for suite in suites), len(NOT_RUN))
        rows = list(csv.reader(io.StringIO((folder / "r.csv").read_text()), delimiter=";"))
        self.assertEqual(len(rows) - 1, sum(len(case["variantes"]) for case in report["cas"]))
        # No token that could be replayed: neither as it is, nor inside base64 at any of the three alignments of "Bearer ey".
        everything = html + source.read_text()
        found = re.search(r"eyJ[\w-]+\.eyJ[\w-]+|QmVhcmVyIGV5|JlYXJlciBle|CZWFyZXIgZX", everything)
        self.assertIsNone(found, found and found[0])
        # A changed report is no proof.
        forged = folder / "forged.json"
        forged.write_text(source.read_text().replace('"observe": "non révoqué', '"observe": "Non révoqué', 1))
        self.assertNotEqual(forged.read_text(), source.read_text())
        self.assertIn("was changed", run(BINARY, "control", "verify", forged, ok=False).stderr)

    def red(self, report):
        return {case for case, (state, level) in states(report).items() if state == "non_conforme" and level != "information"}

    def test_what_is_broken_turns_red_and_only_that(self):
        # Somebody who may open both BAL: the cases of somebody else's BAL fail, each for its reason.
        person = self.space.person("alpha")
        org = self.space.person("alpha", "ORG")
        mailbox = tomllib.loads(self.job("alpha").read_text())["mailbox"]
        self.assertEqual(person["id"], org["id"])
        job = self.changed("sienne", (f'other_address = "{mailbox["other_address"]}"', f'other_address = "{org["mailbox"]}"'))
        done, report = campaign(job, self.space.folder, "--only", "IMA", "--only", "SMA-05")
        red = self.red(report)
        # IMA-06: the foreign BAL opens, so its answer differs; IMA-05, SMA-05: it opens, it sends.
        self.assertLessEqual({"IMA-05", "IMA-06"}, red)
        self.assertLessEqual(red, {"IMA-05", "IMA-06", "SMA-05"})
        self.assertEqual((done.returncode, report["verdict"]), (3, "non_conforme_bloquante"))

        # Another name than the certificate's.
        job = self.changed("nom", ('name = "lps.alpha.formation.mssante.fr"', 'name = "autre.alpha.formation.mssante.fr"'))
        _, report = campaign(job, self.space.folder, "--only", "TLS", "--only", "ACF-07")
        self.assertEqual(self.red(report), {"TLS-09", "ACF-07"})
        # The name service does not know it: the addresses behind it cannot be looked at, which is a finding and no fault.
        self.assertEqual(states(report)["TLS-13"], ("non_conforme", "information"))

        # Authorities that are not the certificate's.
        other = self.space.folder / "pki/negative/other-authority-ca/ca.pem"
        other = other if other.exists() else next((self.space.folder / "pki/negative/other-authority-ca").glob("*.pem"))
        job = self.changed("autorite", ('anchors = "../pki/ca.pem"', f'anchors = "{other}"'))
        _, report = campaign(job, self.space.folder, "--only", "TLS-08", "--only", "TLS-03", "--only", "ACF-02")
        self.assertEqual({case: state for case, (state, _) in states(report).items()},
                         {"TLS-03": "conforme", "TLS-08": "non_conforme", "ACF-02": "non_conforme"})

    def test_a_failing_control_concludes_nothing(self):
        # Tokens the operator does not believe: nothing can be said of the forged ones, good or bad.
        job = self.changed("etranger", ('key = "../psc/signing.key"', 'key = "../psc/foreign.key"'))
        self.assertEqual(run(BINARY, "control", "run", job, "--check", ok=None).returncode, 1)
        done, report = campaign(job, self.space.folder, "--only", "JWT-02", "--only", "JWT-10", "--only", "SES", "--only", "IMA-05")
        self.assertEqual({state for case, (state, _) in states(report).items() if case not in NOT_RUN}, {"inconclusif"})
        self.assertEqual(done.returncode, 4)
        # Nobody there.
        job = self.changed("personne", (f'address = "127.0.0.1:{self.space.operator("alpha")["imap"]["port"]}"', 'address = "127.0.0.1:1"'))
        _, report = campaign(job, self.space.folder, "--only", "TLS-03", "--only", "STL-01", "--only", "IMA-01")
        self.assertEqual({state for state, _ in states(report).values()}, {"inconclusif"})

    def test_words(self):
        folder = self.space.folder
        self.assertIn("JWT-11", run(BINARY, "control", "list", "jwt").stdout)
        self.assertEqual(len(json.loads(run(BINARY, "control", "list", "--json").stdout)), 120)
        self.assertIn("HS256", run(BINARY, "control", "explain", "jwt-11").stdout)
        self.assertEqual(run(BINARY, "control", "explain", "JWT-99", ok=None).returncode, 2)
        self.assertEqual(run(BINARY, "control", "run", self.job("alpha"), "--only", "XXX", ok=None).returncode, 2)
        wrong = folder / "wrong.toml"
        wrong.write_text('plan = "api-lps"\ninconnu = 1\n')
        self.assertRegex(run(BINARY, "control", "run", wrong, ok=False).stderr, r"(?s)inconnu|line 2")
        self.assertIn("does the file exist", run(BINARY, "control", "run", folder / "absent.toml", ok=False).stderr)
        before, after = folder / "avant.json", folder / "apres.json"
        job = self.job("alpha")
        run(BINARY, "control", "run", job, "--only", "STL-01", "--json", before)
        run(BINARY, "control", "run", self.changed("nom2", ('name = "lps.alpha.formation.mssante.fr"', 'name = "autre.alpha.formation.mssante.fr"')),
            "--only", "TLS-09", "--json", after, ok=None)
        self.assertIn("TLS-09", run(BINARY, "control", "compare", before, after, ok=None).stdout)
        self.assertEqual(run(BINARY, "control", "compare", before, before).returncode, 0)


if __name__ == "__main__":
    main()
