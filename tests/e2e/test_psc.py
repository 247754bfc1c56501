"""The sandbox's Pro Santé Connect, by an ordinary OpenID client: discovery at both paths, authorization code with PKCE, refresh,
userinfo, introspection; and the token so had opens a mailbox (SBX, LPS-TOKEN)."""

import base64
import hashlib
import json
import re
import secrets
import ssl
import unittest
import urllib.error
import urllib.parse
import urllib.request
from html import unescape

from space import PATIENCE, SpaceTest, main, run


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def claims(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


class Psc(SpaceTest):
    def setUp(self):
        https = urllib.request.HTTPSHandler(context=self.space.context())
        self.http = urllib.request.build_opener(https, NoRedirect)
        self.psc = self.space.json["psc"]
        self.person = self.space.person("alpha")

    def ask(self, url, form=None, basic=True, headers=None):
        """Status and JSON of an answer; 4xx included."""
        request = urllib.request.Request(url, headers=headers or {})
        if form is not None:
            request.data = urllib.parse.urlencode(form).encode()
            if basic:
                pair = f"{self.psc['client_id']}:{self.psc['client_secret']}".encode()
                request.add_header("Authorization", "Basic " + base64.b64encode(pair).decode())
        try:
            with self.http.open(request, timeout=PATIENCE) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def code(self, person, challenge, state="st4te", redirect="http://127.0.0.1:9/retour"):
        """The login page, then a click on a person: the code in the redirection."""
        asked = {"response_type": "code", "client_id": self.psc["client_id"], "redirect_uri": redirect,
                 "scope": "openid scope_all", "acr_values": "eidas1", "state": state, "nonce": "n0nce",
                 "code_challenge": challenge, "code_challenge_method": "S256"}
        url = self.psc["authorization_endpoint"] + "?" + urllib.parse.urlencode(asked)
        with self.http.open(url, timeout=PATIENCE) as page:
            html = page.read().decode()
        self.assertIn(person["name"].split()[0], html)
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', html))
        form = {name: unescape(value) for name, value in hidden.items()}
        button = re.search(r'<button[^>]* name="([^"]+)" value="' + person["id"] + '"', html)
        self.assertIsNotNone(button, html)
        form[button.group(1)] = person["id"]
        action = re.search(r'<form[^>]* action="([^"]*)"', html)
        target = urllib.parse.urljoin(url, unescape(action.group(1)) if action else url)
        try:
            self.http.open(target, urllib.parse.urlencode(form).encode(), timeout=PATIENCE)
            self.fail("a redirection was expected")
        except urllib.error.HTTPError as redirection:
            self.assertIn(redirection.code, (302, 303))
            location = redirection.headers["Location"]
        self.assertTrue(location.startswith(redirect))
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlparse(location).query))
        self.assertEqual(query["state"], state)
        return query["code"]

    def test_discovery_at_both_paths(self):
        for path in ("wallet-openid-configuration", "openid-configuration"):
            status, document = self.ask(f"{self.psc['issuer']}/.well-known/{path}")
            self.assertEqual(status, 200)
            self.assertEqual(document["issuer"], self.psc["issuer"])
            for name in ("jwks_uri", "token_endpoint", "introspection_endpoint", "userinfo_endpoint", "authorization_endpoint"):
                self.assertEqual(document[name], self.psc[name])
        status, keys = self.ask(self.psc["jwks_uri"])
        self.assertTrue(all(key["kty"] == "RSA" and "d" not in key for key in keys["keys"]))

    def test_login_gives_a_token_that_opens_the_mailbox(self):
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        code = self.code(self.person, challenge)
        exchange = {"grant_type": "authorization_code", "code": code, "redirect_uri": "http://127.0.0.1:9/retour"}
        status, answer = self.ask(self.psc["token_endpoint"], {**exchange, "code_verifier": "x" * 64})
        self.assertEqual((status, answer["error"]), (400, "invalid_grant"))
        code = self.code(self.person, challenge)
        exchange["code"] = code
        status, answer = self.ask(self.psc["token_endpoint"], {**exchange, "code_verifier": verifier})
        self.assertEqual(status, 200, answer)
        status, again = self.ask(self.psc["token_endpoint"], {**exchange, "code_verifier": verifier})
        self.assertEqual(status, 400, "a code serves once")

        token = claims(answer["access_token"])
        self.assertEqual(token["iss"], self.psc["issuer"])
        self.assertEqual(token["exp"] - token["iat"], 120)
        self.assertNotIn("aud", token)
        self.assertEqual(token["typ"], "Bearer")
        self.assertEqual(token["preferred_username"], self.person["id"])
        self.assertTrue(token["sub"].endswith(":" + self.person["id"]))
        self.assertEqual(claims(answer["id_token"])["nonce"], "n0nce")

    def test_refresh_userinfo_introspection(self):
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        first = {"grant_type": "authorization_code", "code": self.code(self.person, challenge),
                 "redirect_uri": "http://127.0.0.1:9/retour", "code_verifier": verifier}
        _, answer = self.ask(self.psc["token_endpoint"], first)
        # A code that was used twice ends the session it opened: this one was not.
        status, fresh = self.ask(self.psc["token_endpoint"], {"grant_type": "refresh_token", "refresh_token": answer["refresh_token"]})
        self.assertEqual(status, 200, fresh)
        access = fresh["access_token"]
        status, who = self.ask(self.psc["userinfo_endpoint"], headers={"Authorization": f"Bearer {access}"})
        self.assertEqual((status, who["SubjectNameID"]), (200, self.person["id"]))
        status, state = self.ask(self.psc["introspection_endpoint"], {"token": access})
        self.assertEqual((status, state["active"], state["SubjectNameID"]), (200, True, self.person["id"]))
        # The refresh token tells no identity.
        _, state = self.ask(self.psc["introspection_endpoint"], {"token": fresh["refresh_token"]})
        self.assertNotIn("SubjectNameID", state)
        status, _ = self.ask(self.psc["introspection_endpoint"], {"token": access}, basic=False)
        self.assertEqual(status, 401)
        _, state = self.ask(self.psc["introspection_endpoint"], {"token": access[:-4] + "AAAA"})
        self.assertEqual(state, {"active": False})
        self.space.imap(self.person, token=access).logout()
        # Neither the id token nor the refresh token opens a mailbox.
        for wrong in (fresh.get("id_token", answer["id_token"]), fresh["refresh_token"]):
            imap = self.space.imap_tls("alpha")
            with self.assertRaisesRegex(imap.error, "AUTHENTICATIONFAILED"):
                imap.authenticate("XOAUTH2", lambda _: f"user={self.person['mailbox']}\x01auth=Bearer {wrong}\x01\x01".encode())
            imap.logout()

    def test_curl_sees_the_same(self):
        out = run("curl", "-sS", "--cacert", self.space.ca, self.psc["discovery"]).stdout
        self.assertEqual(json.loads(out)["issuer"], self.psc["issuer"])


if __name__ == "__main__":
    main()
