"""The PSC stub of a sandbox and what campaigns do with it: scenarios under leases, calls kept, and how operators bear a PSC that is down, wrong,
rotates its keys or stands by a token no longer. CTL-PSC, RES-01..04, JWT-20, JWT-22"""

import base64
import json
import re
import ssl
import subprocess
import time
import urllib.error
import urllib.request

from space import BINARY, PATIENCE, SpaceTest, main, run, wait_for


class Stub(SpaceTest):
    def setUp(self):
        self.stand = self.space.json["stand"]
        self.key = (self.space.folder / self.stand["key_file"]).read_text()

    def curl(self, path, *arguments, key=None):
        """The status and the JSON of a call to the stand, by curl."""
        done = run("curl", "-s", "--cacert", self.space.ca, "-w", "\n%{http_code}", "-H", f"Authorization: Bearer {key or self.key}",
                   "-H", "Content-Type: application/json", *arguments, f"{self.stand['url']}/{path}")
        body, _, status = done.stdout.rpartition("\n")
        return int(status), json.loads(body) if body else None

    def put(self, path, body, **options):
        return self.curl(path, "-X", "PUT", "-d", json.dumps(body), **options)

    def fetch(self, url, form=None, **headers):
        """The status and the text of what an ordinary program is answered by the stub."""
        data = None if form is None else "&".join(f"{k}={v}" for k, v in form.items()).encode()
        request = urllib.request.Request(url, data=data, headers=headers)
        context = ssl.create_default_context(cafile=str(self.space.ca))
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE, context=context) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def campaign(self, job, *only):
        out = self.space.folder / "stub.json"
        out.unlink(missing_ok=True)
        asked = [word for case in only for word in ("--only", case)]
        run(BINARY, "control", "run", job, "--json", out, *asked, ok=None, timeout=900)
        text = out.read_text()
        # Nothing in a report could be shown to a server again.
        self.assertFalse(re.search(r"eyJ[\w-]+\.eyJ", text), "a token in a report")
        return {case["id"]: case for case in json.loads(text)["cas"]}

    def job(self, operator, *changes):
        path = self.space.folder / operator / "control.toml"
        if not changes:
            return path
        text = path.read_text()
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new)
        path = path.with_name("changed.toml")
        path.write_text(text)
        return path

    def test_a_scenario_is_seen_by_everybody_and_ends_by_itself(self):
        psc = self.space.json["psc"]
        self.assertEqual(self.curl("psc/calls", key="0" * 64)[0], 401)
        status, now = self.curl("psc")
        self.assertEqual((status, now["issuer"], now["scenario"]["jwks"]), (200, psc["issuer"], "normal"))
        status, leased = self.put("psc/scenario", {"jwks": "503", "introspection": "invalid", "lease_seconds": 3})
        self.assertEqual(status, 200)
        self.assertEqual(self.fetch(psc["jwks_uri"])[0], 503)
        self.assertEqual(self.put("psc/scenario", {"jwks": "empty"})[0], 423)
        self.assertEqual(self.put("psc/scenario", {"jwks": "peut-être"})[0], 422)
        wait_for("the end of the outage", lambda: self.fetch(psc["jwks_uri"])[0] == 200)
        self.assertEqual(self.curl(f"psc/scenario/{leased['lease']}", "-X", "DELETE")[0], 404)
        status, leased = self.put("psc/scenario", {"discovery": "other_issuer"})
        self.assertNotEqual(json.loads(self.fetch(psc["discovery"])[1])["issuer"], psc["issuer"])
        self.assertEqual(self.curl(f"psc/scenario/{leased['lease']}", "-X", "DELETE")[0], 204)
        self.assertEqual(json.loads(self.fetch(psc["discovery"])[1])["issuer"], psc["issuer"])
        _, calls = self.curl(f"psc/calls?since={now['last']}")
        keys = [call["status"] for call in calls if call["endpoint"] == "jwks"]
        self.assertEqual((keys[0], keys[-1]), (503, 200))
        self.assertEqual([call["seq"] for call in calls], list(range(now["last"] + 1, now["last"] + 1 + len(calls))))

    def test_a_token_is_what_was_told_of_its_jti(self):
        psc = self.space.json["psc"]
        person = self.space.person("alpha")
        token = self.space.token(person["id"])
        payload = token.split(".")[1]
        jti = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["jti"]
        basic = base64.b64encode(f"{psc['client_id']}:{psc['client_secret']}".encode()).decode()

        def active():
            text = self.fetch(psc["introspection_endpoint"], {"token": token}, Authorization=f"Basic {basic}")[1]
            return json.loads(text)["active"]

        self.assertTrue(active())
        self.space.imap(person, token=token).logout()
        self.assertEqual(self.put(f"psc/tokens/{jti}", {"active": False, "scenario": "essai"})[0], 204)
        self.assertFalse(active())
        with self.assertRaisesRegex(Exception, "AUTHENTICATIONFAILED"):
            self.space.imap(person, token=token)
        _, calls = self.curl("psc/calls?since=0")
        about = [call for call in calls if call.get("jti") == jti]
        self.assertGreaterEqual(len(about), 4, "twice by us, twice by the operator at least")
        self.assertNotIn(token, json.dumps(calls))
        # What nobody has a reason to fetch, and who can log in.
        _, laid = self.put("psc/trap/essai", {"body": "appât"})
        self.assertEqual(self.fetch(laid["url"]), (200, "appât"))
        self.assertEqual(self.curl("psc/calls?since=0")[1][-1]["expectation"], "INTERDIT")
        page = self.fetch(psc["authorization_endpoint"].removesuffix("/auth") + "/identites")[1]
        self.assertIn(psc["issuer"], page)
        self.assertIn(person["id"], page)

    def test_both_operators_bear_it(self):
        # Alpha asks PSC about each token, beta goes by the keys alone. A whole campaign of alpha's is in test_control_run.py.
        for operator, only in (("alpha", ("JWT-20", "JWT-19")), ("beta", ("JWT-20", "JWT-22", "RES-01", "RES-03"))):
            cases = self.campaign(self.job(operator), *only)
            self.assertEqual(set(cases), set(only))
            for case in cases.values():
                with self.subTest(operator=operator, case=case["id"]):
                    wrong = [v for v in case["variantes"] if v["verdict"]["etat"] != "conforme"
                             and v["verdict"].get("niveau") != "information"]
                    self.assertEqual(wrong, [])
            self.assertEqual(cases["JWT-20"]["etat"], "conforme" if operator == "alpha" else "non_conforme")
        # The JWKS was read while it was wrong: what is said of that was seen.
        read = {v["nom"]: "JWKS" in v["observe"] for v in cases["RES-03"]["variantes"] if v.get("protocole") == "smtp" and "JWKS" in v["nom"]}
        self.assertEqual(read, {name: True for name in read})
        self.assertEqual(len(read), 4)

    def test_what_must_turn_red_or_stay_open_does(self):
        # A profile that imposes introspection, and an operator that never asks.
        demanding = self.job("beta", ('[psc]\n', '[psc]\nintrospection = true\n'))
        case = self.campaign(demanding, "JWT-20")["JWT-20"]
        self.assertEqual((case["etat"], case["niveau"]), ("non_conforme", "majeure"))
        # No stand, or one that answers nobody: open, and no fault of the operator's.
        text = self.job("alpha").read_text()
        before, _, rest = text.partition("[stand]")
        path = self.space.folder / "alpha" / "changed.toml"
        path.write_text(before + rest[rest.index("\n["):])
        cases = self.campaign(path, "JWT-20", "JWT-22", "RES-01")
        self.assertEqual({case["etat"] for case in cases.values()}, {"non_execute"})
        wrong = self.space.folder / "wrong.key"
        wrong.write_text("0" * 64)
        cases = self.campaign(self.job("alpha", (self.stand["key_file"], "wrong.key")), "JWT-20", "RES-01")
        self.assertEqual({case["etat"] for case in cases.values()}, {"inconclusif"})

    def test_when_a_campaign_is_killed_the_outage_ends_soon(self):
        process = subprocess.Popen([BINARY, "control", "run", str(self.job("beta")), "--only", "RES-03"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for("the outage", lambda: self.curl("psc")[1]["scenario"]["jwks"] != "normal")
        finally:
            process.kill()
            process.wait()
        now = self.curl("psc")[1]
        # Played on, but not for long; meanwhile nobody else disturbs it.
        self.assertLessEqual(now["lease_seconds"], 90)
        self.assertEqual(self.put("psc/scenario", {})[0], 423)
        time.sleep(2)
        self.assertLess(self.curl("psc")[1]["lease_seconds"], now["lease_seconds"])


if __name__ == "__main__":
    main()
