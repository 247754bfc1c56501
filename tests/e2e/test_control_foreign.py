"""Campaigns against an operator that nobody here wrote: Dovecot and Postfix of Debian. CTL-JOB, CTL-TRAP

What is found is compared with `expected/*.json`: for each case its verdict and, where it is not « conforme », what is not and why. Each was
looked at by hand once. FOREIGN=whole runs whole plans, else only what is quick. FOREIGN_WRITE=DIR leaves the reports and the logs there.
"""

import json
import os
import time
import unittest
from pathlib import Path

import foreign
from space import BINARY, ROOT, SpaceTest, main, run

EXPECTED = ROOT / "tests/e2e/expected"
WHOLE = os.environ.get("FOREIGN") == "whole"
MISSING = foreign.missing()
# What waits for nothing: neither for queues, nor for outages of PSC, nor for tokens to end.
QUICK = {
    "api-lps": ["STL", "ACF", "IMA", "SMA-01", "SMA-03", "SMA-04", "SMA-05", "SMA-06", "SMA-07", "TLS", "JWT-01", "JWT-03", "JWT-04",
                "JWT-05", "JWT-09", "JWT-15", "JWT-18", "SES-01"],
    "operateurs": ["OPE-01", "OPE-02", "OPE-03", "OPE-04", "OPE-05", "OPE-06", "OPE-09", "OPE-10", "OPE-16", "LBL-02", "ENT-02"],
}
# What is said of tokens, for the other ways of judging them; and what of that waits for nothing.
TOKENS = ["IMA-01", "SMA-01", "JWT"]
QUICK_TOKENS = ["IMA-01", "SMA-01", "JWT-01", "JWT-03", "JWT-04", "JWT-05", "JWT-09", "JWT-15", "JWT-17"]


def word(verdict):
    """`non_conforme bloquante`, `conforme`."""
    return " ".join(part for part in (verdict["etat"], verdict.get("niveau")) if part)


def name(variant):
    protocol = variant.get("protocole")
    return f"{protocol}: {variant['nom']}" if protocol else variant["nom"]


class Campaigns(SpaceTest):
    """Dovecot and Postfix, and what is found of them."""

    tokens = "introspection"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.addClassCleanup(super().tearDownClass)
        people = [cls.space.person("alpha", index=index) for index in (0, 1)]
        cls.operator = foreign.Foreign(cls.space, *people, tokens=cls.tokens)
        cls.addClassCleanup(cls.operator.close)

    @classmethod
    def tearDownClass(cls):
        """By cleanups, in their order: the operator before the space."""

    def campaign(self, plan, cases=None, name=None):
        """cases: what is run of the plan; without, what is quick, or all of it with FOREIGN=whole."""
        name = name or plan
        out = self.space.folder / f"etranger-{name}.json"
        cases = cases or (() if WHOLE else QUICK[plan])
        only = [word for case in cases for word in ("--only", case)]
        began = time.monotonic()
        done = run(BINARY, "control", "run", self.operator.job(plan), "--json", out, *only, ok=None, timeout=1800)
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
        self.assertTrue(out.exists(), done.stderr)
        if keep := os.environ.get("FOREIGN_WRITE"):
            (Path(keep) / f"{name}.json").write_text(out.read_text())
            (Path(keep) / f"{name}.log").write_text(done.stderr + done.stdout)
            for log in ("dovecot.log", "maillog"):
                (Path(keep) / f"{name}-{log}").write_text((self.operator.folder / log).read_text(errors="replace"))
        return done, json.loads(out.read_text())

    def compare(self, plan, report):
        expected = json.loads((EXPECTED / f"{plan}.json").read_text())["cases"]
        for case in report["cas"]:
            known = expected[case["id"]]
            with self.subTest(case["id"]):
                seen = {name(v): word(v["verdict"]) for v in case["variantes"] if v["verdict"]["etat"] != "conforme"}
                told = {name(v): v["observe"] for v in case["variantes"] if v["verdict"]["etat"] != "conforme"}
                verdict = word(case)
                # What a loaded machine makes of times is told by the tool, and is of no effect.
                slow = [variant for variant in known.get("timed", []) if seen.get(variant) == "non_conforme information"]
                for variant in slow:
                    del seen[variant]
                if slow and not seen and verdict == "non_conforme information":
                    verdict = "conforme"
                self.assertEqual((verdict, seen), (known["verdict"], known.get("variants", {})), f"{known.get('why')}\n{told}")
        if WHOLE:
            self.assertEqual({case["id"] for case in report["cas"]}, set(expected))


@unittest.skipIf(MISSING, MISSING or "")
class Foreign(Campaigns):
    def test_the_api_lps(self):
        done, report = self.campaign("api-lps")
        self.compare("api-lps", report)
        self.assertEqual(done.returncode, 3)

    def test_the_operator_interface(self):
        done, report = self.campaign("operateurs")
        self.compare("operateurs", report)
        # Nothing fetches the white list: blocking cases are not run.
        self.assertEqual(done.returncode, 4)


@unittest.skipIf(MISSING, MISSING or "")
class Userinfo(Campaigns):
    """Dovecot asks PSC whose a token is."""

    tokens = "userinfo"

    def test_tokens(self):
        # A token that is put off is shown again for over a minute: of those, one.
        _, report = self.campaign("api-lps", TOKENS if WHOLE else ["IMA-01", "SMA-01", "JWT-05", "JWT-16"], "api-lps-userinfo")
        self.compare("api-lps-userinfo", report)


@unittest.skipIf(MISSING, MISSING or "")
class Local(Campaigns):
    """Dovecot has PSC's keys, and asks nobody."""

    tokens = "local"

    def test_tokens(self):
        _, report = self.campaign("api-lps", TOKENS if WHOLE else QUICK_TOKENS, "api-lps-local")
        self.compare("api-lps-local", report)


class Data(unittest.TestCase):
    """What is kept says why, and leaves nothing open that the tool could decide."""

    def test_every_verdict_that_is_not_good_has_its_reason(self):
        for path in EXPECTED.glob("*.json"):
            for case, known in json.loads(path.read_text())["cases"].items():
                with self.subTest(path.name, case=case):
                    if known["verdict"] != "conforme" or known.get("variants"):
                        self.assertRegex(known["why"], r"^.{20,}\.$")
                    # What is put off concludes nothing: the reason says that it was, and nothing else leaves a case open.
                    if "inconclusif" in (known["verdict"], *known.get("variants", {}).values()) and case != "JWT-22":
                        self.assertIn("put off", known["why"])


if __name__ == "__main__":
    main()
