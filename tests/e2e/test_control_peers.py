"""What others do to the operator: the plans operateurs and bal-app against ours, the directory, the watch; and what is broken turns red. OPE, CER, LBL, ENT, ANN, RES."""

import json
import re

from space import BINARY, SpaceTest, main, run

# What others look after: what the operator sends (traps).
SENDING = {f"OPE-{number}" for number in range(10, 19)}


def campaign(job, folder, *arguments):
    out = folder / "pairs.json"
    out.unlink(missing_ok=True)
    done = run(BINARY, "control", "run", job, "--json", out, *arguments, ok=None, timeout=900)
    if not out.exists():
        raise AssertionError(done.stderr)
    return done, json.loads(out.read_text())


def states(report):
    return {case["id"]: (case["etat"], case.get("niveau")) for case in report["cas"]}


class Peers(SpaceTest):
    def job(self, operator="alpha"):
        return self.space.folder / operator / "control.toml"

    def changed(self, name, *changes):
        """A job like alpha's, with patterns replaced."""
        text = self.job().read_text()
        for old, new in changes:
            text, count = re.subn(old, new, text, flags=re.MULTILINE)
            self.assertGreaterEqual(count, 1, old)
        path = self.space.folder / "alpha" / f"{name}.toml"
        path.write_text(text)
        return path

    def assert_good(self, report, *but):
        for case in report["cas"]:
            if case["id"] in but:
                continue
            with self.subTest(case["id"]):
                wrong = [(v["nom"], v["verdict"], v["observe"]) for v in case["variantes"]
                         if v["verdict"]["etat"] not in ("conforme", "non_applicable") and v["verdict"].get("niveau") != "information"]
                self.assertEqual(wrong, [])

    def test_operators_and_white_list(self):
        only = ["--plan", "operateurs", *(word for number in range(1, 10) for word in ("--only", f"OPE-0{number}")), "--only", "LBL", "--only", "ENT"]
        _, report = campaign(self.job(), self.space.folder, *only)
        self.assertEqual(len(report["cas"]), 20)
        self.assertEqual(states(report)["ENT-07"][0], "a_examiner")
        self.assert_good(report, "ENT-07")
        by_id = {case["id"]: case for case in report["cas"]}
        # Refused for their own reason, each between two that were taken.
        for variant in by_id["OPE-04"]["variantes"]:
            self.assertTrue(variant["controle_avant"] and variant["controle_apres"], variant)
        smuggled = [v for v in by_id["OPE-09"]["variantes"] if v["nom"].startswith("fin ")]
        self.assertEqual(len(smuggled), 7)
        # Every bad list was served, and none taken.
        self.assertEqual(len(by_id["LBL-03"]["variantes"]), 10)
        # The tests leave nothing behind.
        reader = self.space.imap(self.space.person("alpha"))
        reader.select(readonly=True)
        self.assertEqual(reader.search(None, "HEADER", "X-Vaguemestre-Controle", '""')[1][0].split(), [])
        reader.logout()

    def test_applications(self):
        done, report = campaign(self.job(), self.space.folder, "--plan", "bal-app")
        self.assertEqual(len(report["cas"]), 10)
        self.assert_good(report)
        self.assertEqual((done.returncode, report["verdict"]), (0, "conforme"))
        # The operator that goes by the keys alone, too.
        _, report = campaign(self.job("beta"), self.space.folder, "--plan", "bal-app", "--only", "CER-02", "--only", "CER-05", "--only", "CER-08")
        self.assert_good(report)

    def test_directory_and_watch(self):
        _, report = campaign(self.job(), self.space.folder, "--plan", "annuaire")
        found = states(report)
        self.assertEqual(found.pop("ANN-08"), ("conforme", None))
        self.assertEqual(found.pop("ANN-05")[0], "a_examiner")
        self.assertEqual({state for state, _ in found.values()}, {"non_execute"})

        watched = ["--plan", "surveillance", "--depth", "eclair", "--only", "CER", "--only", "OPE", "--only", "RES"]
        _, report = campaign(self.job(), self.space.folder, *watched)
        self.assertEqual(states(report)["RES-06"][0], "non_applicable", "the first one is the reference")
        self.assertEqual(states(report)["RES-05"][0], "conforme")
        reference = self.space.folder / "reference.json"
        reference.write_text((self.space.folder / "pairs.json").read_text())
        job = self.changed("suivi", (r"\A", f'reference = {{ report = "{reference}" }}\n'))
        _, report = campaign(job, self.space.folder, "--plan", "surveillance", "--only", "RES-06")
        self.assertEqual(states(report)["RES-06"], ("conforme", None))
        # The same, where a server is gone: drift is not known, and not said to be none.
        mx = self.space.operator("alpha")["mx"]
        job = self.changed("derive", (r"\A", f'reference = {{ report = "{reference}" }}\n'), (rf'"{mx["host"]}:{mx["port"]}"', f'"{mx["host"]}:1"'))
        _, report = campaign(job, self.space.folder, "--plan", "surveillance", "--only", "RES-06", "--only", "RES-05")
        self.assertEqual(states(report)["RES-06"][0], "inconclusif")
        self.assertEqual(states(report)["RES-05"], ("non_conforme", "information"))

    def test_what_is_wrong_turns_red(self):
        # A good certificate where a bad one should be: each must be told apart from the others.
        good = r'{ certificate = "../pki/labo.pem", key = "../pki/labo.key" }'
        job = self.changed("laxiste", (r"^expire = .*alpha-expire.*$", f"expire = {good}"), (r"^autre-structure = .*$", f"autre-structure = {good}"))
        done, report = campaign(job, self.space.folder, "--plan", "bal-app", "--only", "CER-04", "--only", "CER-06", "--only", "CER-08")
        self.assertEqual(states(report), {"CER-04": ("non_conforme", "bloquante"), "CER-06": ("conforme", None),
                                          "CER-08": ("non_conforme", "bloquante")})
        self.assertEqual((done.returncode, report["verdict"]), (3, "non_conforme_bloquante"))

        # A peer whose own certificate is refused proves nothing about the others.
        job = self.changed("pair-refuse", (r'^certificate = "../pki/control/pair.pem"', 'certificate = "../pki/negative/unlisted.pem"'),
                           (r'^key = "../pki/control/pair.key"', 'key = "../pki/negative/unlisted.key"'))
        _, report = campaign(job, self.space.folder, "--plan", "operateurs", "--only", "OPE-04", "--only", "OPE-05", "--only", "OPE-06",
                             "--only", "OPE-03", "--only", "LBL-04")
        found = states(report)
        self.assertEqual(found.pop("OPE-03"), ("non_conforme", "bloquante"))
        self.assertEqual({state for state, _ in found.values()}, {"inconclusif"})

        # A domain said to be somebody else's that is the peer's own: it is let in.
        job = self.changed("domaine", (r"^other_domain = .*$", 'other_domain = "controle.formation.mssante.fr"'))
        _, report = campaign(job, self.space.folder, "--plan", "operateurs", "--only", "OPE-05")
        self.assertEqual(states(report), {"OPE-05": ("non_conforme", "bloquante")})

        # The MX of the DNS is not that of the job; nobody listens there.
        job = self.changed("mx", (r'name = "mx.alpha.formation.mssante.fr"', 'name = "mx2.alpha.formation.mssante.fr"'))
        _, report = campaign(job, self.space.folder, "--plan", "operateurs", "--only", "OPE-01", "--only", "OPE-02")
        self.assertEqual(states(report), {"OPE-01": ("non_conforme", "bloquante"), "OPE-02": ("conforme", None)})

        # No stand, no section: said, never left out.
        text = self.job().read_text()
        bare = self.space.folder / "alpha" / "nu.toml"
        sections = re.split(r"(?m)^(?=\[)", text)
        bare.write_text("".join(s for s in sections if not re.match(r"\[(stand|operator_interface|certificates|directory|dns)", s)))
        self.assertNotIn("[operator_interface", bare.read_text())
        _, report = campaign(bare, self.space.folder, "--plan", "complet", "--only", "OPE-03", "--only", "CER-02", "--only", "LBL-02",
                             "--only", "ANN-08", "--only", "CER-10", "--only", "OPE-01")
        self.assertEqual({state for state, _ in states(report).values()}, {"non_execute"})
        self.assertEqual(len(report["cas"]), 6)

    def test_words(self):
        self.assertIn("operateurs", run(BINARY, "control", "run", self.job(), "--plan", "xx", ok=None).stderr)
        wrong = self.space.folder / "alpha" / "faux.toml"
        wrong.write_text(self.job().read_text().replace("[operator_interface]", "[operator_interface]\ntls10_until = \"demain\""))
        self.assertIn("tls10_until", run(BINARY, "control", "run", wrong, ok=False).stderr)


if __name__ == "__main__":
    main()
