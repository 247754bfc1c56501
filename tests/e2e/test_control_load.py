"""Several campaigns in the queue of the control application, of both operators of a sandbox, and a kill -9 in the middle: all are accepted, none is
lost, all end with every result. CTL-JOB. Fifty at once: bench/control."""

import json
import re
import unittest

from space import PATIENCE, Space, main, run, wait_for

# Of one campaign: some seconds, with and without login.
CASES = ["TLS", "STL", "IMA-01", "IMA-02", "SMA-01", "SMA-04"]
EACH = 4


class Load(unittest.TestCase):
    def call(self, operator, path, body=None):
        """The API, by curl."""
        words = ["--json", json.dumps(body)] if body is not None else []
        return json.loads(run("curl", "-sS", "-f", "--cacert", self.space.ca, "-H", f"Authorization: Bearer {self.tokens[operator]}", *words,
                              self.space.json["control"]["url"] + path).stdout)

    def token(self, operator):
        """By the pages, as curl sees them."""
        control, jar = self.space.json["control"], self.space.folder / f"jar-{operator}"
        password = next(account["password"] for account in control["accounts"] if account["login"] == operator)
        curl = ["curl", "-sS", "--cacert", self.space.ca, "-b", jar, "-c", jar, "-L"]
        run(*curl, "--data-urlencode", f"login={operator}", "--data-urlencode", f"mot_de_passe={password}", control["url"] + "/connexion")
        key = re.search('name="cle" value="([^"]+)"', run(*curl, control["url"] + "/jetons").stdout)[1]
        page = run(*curl, "--data-urlencode", f"cle={key}", "--data-urlencode", "nom=essai", control["url"] + "/jetons").stdout
        return re.search('id="jeton">([^<]+)<', page)[1]

    def states(self):
        return [self.call(operator, path) for operator, path in self.campaigns]

    def results(self, campaigns=None):
        return [{case["id"]: case for case in self.call(operator, f"{path}/cas")["cas"]} for operator, path in campaigns or self.campaigns]

    def test_many_campaigns_and_a_kill_in_the_middle(self):
        self.space = Space()
        self.addCleanup(self.space.close)
        self.tokens = {operator: self.token(operator) for operator in ("alpha", "beta")}
        self.campaigns = []
        for operator in self.tokens:
            text = (self.space.folder / operator / "control.toml").read_text()
            job = self.call(operator, "/api/v1/jobs", {"modele": operator, "texte": text})["id"]
            for _ in range(EACH):
                begun = self.call(operator, f"/api/v1/jobs/{job}/campagnes", {"autorise": True, "cas": CASES, "motif": "une machine chargée"})
                self.campaigns.append((operator, f"/api/v1/campagnes/{begun['id']}"))
        # Killed as soon as the first campaign of an operator has results: each operator's run one after the other, so the last ones wait.
        first, last = self.campaigns[:1], self.campaigns[EACH - 1]
        shown = wait_for("the first results", lambda: [found for found in self.results(first) if found])
        self.assertIn(self.call(*last)["etat"], ("en_file", "en_cours"), "killed in the middle")
        self.space.kill()
        self.space.start()

        def over():
            states = self.states()
            return all(state["etat"] not in ("en_file", "en_cours") for state in states) and states
        states = wait_for("the end of all", over, 2 * PATIENCE)
        self.assertEqual([(state["etat"], state["faits"]) for state in states], [("terminee", state["prevus"]) for state in states])
        self.assertEqual(len({state["prevus"] for state in states}), 1)
        results = self.results()
        for before, after in zip(shown, results):
            self.assertEqual({case: after[case] for case in before}, before, "what was shown stays as it was")
        for after in results:
            self.assertEqual({result["etat"] for result in after.values()}, {"conforme"})
        self.assertNotIn("panicked", self.space.output())


if __name__ == "__main__":
    main()
