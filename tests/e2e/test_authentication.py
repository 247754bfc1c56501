"""Who gets in and who does not, and with which words (LPS-NOPLAIN, MSS-7.2, MSS-7.4, LPS-TOKEN, LPS-IDENT, LPS-ERR, LPS-APP)."""

import base64
import email
import email.policy
import hashlib
import hmac
import json
import re
import ssl
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate, make_msgid

import serve
from space import SpaceTest, b64, main, run, wait_for, xoauth2
from wire import Closed, Wire, alert_of, imap_wire, smtp_wire


def unpadded(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def opened(token):
    """Header and claims of a token."""
    return [json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in token.split(".")[:2]]


class Forge:
    """Tokens with any content: with the sandbox's own key (its folder is ours), with another one, or with none."""

    def __init__(self, space):
        self.space = space
        self.own = space.folder / "psc/signing.key"
        self.foreign = space.folder / "psc/foreign.key"

    @staticmethod
    def input(header, claims):
        return ".".join(unpadded(json.dumps(part).encode()) for part in (header, claims))

    def rs256(self, header, claims, key=None):
        text = self.input(header, claims)
        signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(key or self.own)], input=text.encode(),
                                capture_output=True, check=True)
        return f"{text}.{unpadded(signed.stdout)}"

    def hs256(self, header, claims, secret):
        text = self.input(dict(header, alg="HS256"), claims)
        return f"{text}.{unpadded(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"

    def bad(self, identity):
        """Every kind of token that must be refused, by name; and, by the way, that a rightly signed one is not."""
        good = self.space.token(identity)
        header, claims = opened(good)
        now = int(time.time())
        pem = run("openssl", "pkey", "-in", self.own, "-pubout").stdout.encode()
        der = subprocess.run(["openssl", "pkey", "-in", str(self.own), "-pubout", "-outform", "DER"],
                             capture_output=True, check=True).stdout
        other = next(p["id"] for p in self.space.json["people"] if p["id"] != identity)
        foreign_numbers = run("openssl", "rsa", "-in", self.foreign, "-noout", "-modulus").stdout.split("=")[1].strip()
        foreign_jwk = {"kty": "RSA", "kid": header["kid"], "e": "AQAB", "n": unpadded(bytes.fromhex(foreign_numbers))}

        def signed(**changes):
            changed = {k: v for k, v in dict(claims, **changes).items() if v is not None}
            return self.rs256(header, changed)

        head, body, signature = good.split(".")
        return {
            "expired": self.space.token(identity, "--expired"),  # JWT-02
            "foreign issuer": self.space.token(identity, "--foreign-issuer"),  # JWT-01
            "bad signature": self.space.token(identity, "--bad-signature"),  # JWT-09
            "alg none": self.input({"alg": "none", "typ": "JWT"}, claims) + ".",
            "alg none with our kid and a signature": self.input(dict(header, alg="none"), claims) + "." + signature,
            "alg None": self.input(dict(header, alg="None"), claims) + ".",
            "HS256 with the public key in PEM": self.hs256(header, claims, pem),
            "HS256 with the public key in PEM, trimmed": self.hs256(header, claims, pem.strip()),
            "HS256 with the public key in DER": self.hs256(header, claims, der),
            "HS256 without secret": self.hs256(header, claims, b""),
            "truncated": good[:-40],
            "without signature": f"{head}.{body}",
            "empty signature": f"{head}.{body}.",
            "claims of somebody else": f"{head}.{unpadded(json.dumps(dict(claims, SubjectNameID=other)).encode())}.{signature}",
            "signed with another key under our kid": self.rs256(header, claims, self.foreign),
            "brings its own key": self.rs256(dict(header, jwk=foreign_jwk), claims, self.foreign),
            "names where its key is": self.rs256(dict(header, jku="https://127.0.0.1:1/keys"), claims, self.foreign),
            "unknown kid": self.rs256(dict(header, kid="inconnue"), claims),
            "without kid": self.rs256({"alg": "RS256", "typ": "JWT"}, claims),
            "issuer with a slash more": signed(iss=claims["iss"] + "/"),
            "foreign audience": signed(aud="https://ailleurs.example"),
            "refresh token": signed(typ="Refresh"),
            "identity token": signed(typ="ID"),
            "without type": signed(typ=None),
            "not valid yet": signed(nbf=now + 600),
            "issued in the future": signed(iat=now + 600),
            "without end": signed(exp=None),
            "end as a text": signed(exp=str(now + 600)),
            "another level": signed(acr="eidas0"),
            "without level": signed(acr=None),
            "two identities": signed(preferred_username=other),
            "identity with a space": signed(SubjectNameID=identity + " "),
            "identity empty": signed(SubjectNameID=""),
            "no token": "",
            "not a token": "n'importe quoi",
        }


def challenge_of(test, line, prefix):
    """The XOAUTH2 challenge of a refusal: base64 of a JSON object with a status."""
    test.assertTrue(line.startswith(prefix) and line.endswith(b"\r\n"), line)
    said = json.loads(base64.b64decode(line[len(prefix):], validate=False))
    test.assertEqual(said["status"], "401", said)


def imap_refused(test, wire, response, initial=True):
    """The whole refusal, as octets: challenge, our empty line, NO (LPS-ERR)."""
    before = len(wire.seen)
    if initial:
        wire.send(b"a AUTHENTICATE XOAUTH2 " + b64(response).encode() + b"\r\n")
    else:
        wire.send(b"a AUTHENTICATE XOAUTH2\r\n")
        test.assertEqual(wire.line(), b"+ \r\n")
        wire.send(b64(response).encode() + b"\r\n")
    challenge_of(test, wire.line(), b"+ ")
    wire.send(b"\r\n")
    answer = wire.line()
    test.assertTrue(answer.startswith(b"a NO [AUTHENTICATIONFAILED] "), answer)
    return wire.seen[before:]


def smtp_refused(test, wire, response, initial=True):
    before = len(wire.seen)
    if initial:
        wire.send(b"AUTH XOAUTH2 " + b64(response).encode() + b"\r\n")
    else:
        wire.send(b"AUTH XOAUTH2\r\n")
        test.assertEqual(wire.line(), b"334 \r\n")
        wire.send(b64(response).encode() + b"\r\n")
    challenge_of(test, wire.line(), b"334 ")
    wire.send(b"\r\n")
    answer = wire.line()
    test.assertTrue(answer.startswith(b"535 5.7.8 "), answer)
    return wire.seen[before:]


def imap_accepted(test, wire, response, initial=True):
    if initial:
        answer = wire.imap(b"AUTHENTICATE XOAUTH2 " + b64(response).encode())
    else:
        test.assertEqual(wire.imap("AUTHENTICATE XOAUTH2"), [b"+ \r\n"])
        wire.send(b64(response).encode() + b"\r\n")
        answer = wire.tagged()
    test.assertRegex(answer[-1], rb"^w\d+ OK ")
    test.assertRegex(wire.imap("SELECT INBOX")[-1], rb"^w\d+ OK ")
    return answer[-1]


def smtp_accepted(test, wire, response, initial=True):
    if initial:
        answer = wire.smtp(b"AUTH XOAUTH2 " + b64(response).encode())
    else:
        test.assertEqual(wire.smtp("AUTH XOAUTH2")[0], 334)
        answer = wire.smtp(b64(response))
    test.assertEqual(answer[0], 235, answer)
    test.assertTrue(answer[1].startswith("2.7.0"), answer)


class BeforeTls(SpaceTest):
    """LPS-NOPLAIN."""

    def test_imap_offers_nothing_but_starttls(self):
        person = self.space.person("alpha")
        response = b64(xoauth2(person["mailbox"], self.space.token(person["id"])))
        for entrance, mechanism in (("imap", "XOAUTH2"), ("imap_app", "EXTERNAL")):
            with Wire(self.space.operator("alpha")[entrance]) as wire:
                greeting = wire.line()
                told = wire.imap("CAPABILITY")
                for said in (greeting, told[0]):
                    self.assertIn(b"STARTTLS", said)
                    self.assertIn(b"LOGINDISABLED", said)
                    self.assertNotIn(b"AUTH=", said)
                    self.assertNotIn(b"SASL-IR", said)
                for command in ("LOGIN marie secret", f"AUTHENTICATE {mechanism} {response}", f"AUTHENTICATE {mechanism}",
                                "AUTHENTICATE PLAIN AG1hcmllAHNlY3JldA=="):
                    self.assertRegex(wire.imap(command)[-1], rb"^w\d+ NO ", command)
                for command in ("SELECT INBOX", 'LIST "" "*"', "STATUS INBOX (MESSAGES)", "IDLE", "ENABLE IMAP4rev2"):
                    self.assertRegex(wire.imap(command)[-1], rb"^w\d+ BAD ", command)
                self.assertRegex(wire.imap("NOOP")[-1], rb"^w\d+ OK ")

    def test_imap_announces_anew_under_tls_and_after_authentication(self):
        person = self.space.person("alpha")
        with imap_wire(self.space, "alpha") as wire:
            told = wire.imap("CAPABILITY")[0]
            for word in (b"AUTH=XOAUTH2", b"SASL-IR", b"LOGINDISABLED"):
                self.assertIn(word, told)
            self.assertNotIn(b"STARTTLS", told)
            self.assertNotIn(b"AUTH=PLAIN", told)
            self.assertRegex(wire.imap("STARTTLS")[-1], rb"^w\d+ BAD ")
            self.assertRegex(wire.imap("LOGIN marie secret")[-1], rb"^w\d+ NO ")
            self.assertRegex(wire.imap("SELECT INBOX")[-1], rb"^w\d+ BAD ")
            answer = imap_accepted(self, wire, xoauth2(person["mailbox"], self.space.token(person["id"])))
            self.assertIn(b"[CAPABILITY IMAP4rev1", answer)
            self.assertNotIn(b"AUTH=", answer)
            self.assertIn(b"IDLE", wire.imap("CAPABILITY")[0])

    def test_smtp_offers_nothing_but_starttls(self):
        person = self.space.person("alpha")
        response = b64(xoauth2(person["mailbox"], self.space.token(person["id"])))
        for entrance, mechanism in (("submission", "XOAUTH2"), ("submission_app", "EXTERNAL"), ("mx", "XOAUTH2")):
            with Wire(self.space.operator("alpha")[entrance]) as wire:
                self.assertEqual(wire.reply()[0], 220)
                code, told = wire.smtp("EHLO lps.test")
                self.assertEqual(code, 250)
                self.assertIn("STARTTLS", told.split("\n"))
                self.assertNotIn("AUTH", told)
                for command in (f"AUTH {mechanism} {response}", f"AUTH {mechanism}", f"MAIL FROM:<{person['mailbox']}>",
                                f"RCPT TO:<{person['mailbox']}>", "DATA"):
                    code, text = wire.smtp(command)
                    self.assertEqual((code, text[:5]), (530, "5.7.0"), command)
                self.assertEqual(wire.smtp("NOOP")[0], 250)

    def test_smtp_forgets_what_was_said_and_announces_anew(self):
        person = self.space.person("alpha")
        with Wire(self.space.operator("alpha")["submission"]) as wire:
            wire.reply()
            wire.smtp("EHLO lps.test")
            self.assertEqual(wire.smtp("STARTTLS")[0], 220)
            wire.tls(self.space.context())
            # RFC 3207 §4.2: the EHLO of before does not count
            self.assertEqual(wire.smtp("AUTH XOAUTH2")[0], 503)
            code, told = wire.smtp("EHLO lps.test")
            self.assertEqual(code, 250)
            self.assertIn("AUTH XOAUTH2", told.split("\n"))
            self.assertNotIn("STARTTLS", told)
            self.assertEqual(wire.smtp("STARTTLS")[0], 503)
            code, text = wire.smtp(f"MAIL FROM:<{person['mailbox']}>")
            self.assertEqual((code, text[:5]), (530, "5.7.0"))
            smtp_accepted(self, wire, xoauth2(person["mailbox"], self.space.token(person["id"])))
            self.assertNotIn("AUTH", wire.smtp("EHLO lps.test")[1])

    def test_nothing_injected_before_tls_survives(self):
        # CVE-2011-0411 and its kin: the command behind STARTTLS is neither answered in clear nor under TLS
        for entrance in ("imap", "imap_app"):
            with Wire(self.space.operator("alpha")[entrance]) as wire:
                wire.line()
                wire.send(b"a STARTTLS\r\nb NOOP\r\n")
                told = wire.rest()
                self.assertNotIn(b"b OK", told)
                self.assertNotIn(b"a OK", told)
        for entrance in ("submission", "submission_app", "mx"):
            with Wire(self.space.operator("alpha")[entrance]) as wire:
                wire.reply()
                wire.smtp("EHLO lps.test")
                wire.send(b"STARTTLS\r\nNOOP\r\n")
                told = wire.rest()
                self.assertRegex(told, rb"^554 5\.5\.1 ")
                self.assertEqual(told.count(b"\r\n"), 1, told)

    def test_clear_text_after_the_answer_to_starttls_ends_the_connection(self):
        for entrance, before, injected in (("imap", b"a STARTTLS\r\n", b"b NOOP\r\n"), ("submission", b"STARTTLS\r\n", b"NOOP\r\n")):
            with Wire(self.space.operator("alpha")[entrance]) as wire:
                wire.line()
                wire.send(before)
                wire.line()
                wire.send(injected)
                with self.assertRaises((ssl.SSLError, OSError, Closed)):
                    wire.tls(self.space.context())
                    wire.send(b"c NOOP\r\n")
                    wire.line()


class Tokens(SpaceTest):
    def test_xoauth2_with_and_without_initial_response(self):
        # MSS-7.2, MSS-7.4
        for operator in ("alpha", "beta"):
            person = self.space.person(operator)
            for initial in (True, False):
                response = xoauth2(person["mailbox"], self.space.token(person["id"]))
                with imap_wire(self.space, operator) as wire:
                    imap_accepted(self, wire, response, initial)
                    self.assertRegex(wire.imap("AUTHENTICATE XOAUTH2")[-1], rb"^w\d+ BAD ")
                with smtp_wire(self.space, operator) as wire:
                    smtp_accepted(self, wire, response, initial)
                    self.assertEqual(wire.smtp("AUTH XOAUTH2")[0], 503)

    def refuse_all(self, operator):
        person = self.space.person(operator)
        good = xoauth2(person["mailbox"], self.space.token(person["id"], "--ttl", "600s"))
        bad = Forge(self.space).bad(person["id"])

        def refuse(names):
            """Four refusals a connection are allowed, and must leave it usable."""
            answers = set()
            with imap_wire(self.space, operator) as imap, smtp_wire(self.space, operator) as smtp:
                for number, name in enumerate(names):
                    response = xoauth2(person["mailbox"], bad[name])
                    initial = number % 2 == 0
                    try:
                        answers.add(("IMAP", imap_refused(self, imap, response, initial).removeprefix(b"+ \r\n")))
                        answers.add(("SMTP", smtp_refused(self, smtp, response, initial).removeprefix(b"334 \r\n")))
                    except (AssertionError, Closed) as error:
                        raise AssertionError(f"{operator}, token: {name}: {error}") from error
                imap_accepted(self, imap, good)
                smtp_accepted(self, smtp, good)
            return answers
        names = list(bad)
        # a refusal takes its time, so several connections at once
        with ThreadPoolExecutor(8) as threads:
            answers = set().union(*threads.map(refuse, [names[start:start + 4] for start in range(0, len(names), 4)]))
        # word for word the same, whatever was wrong
        self.assertEqual(len(answers), 2, answers)

    def test_bad_tokens_where_psc_is_asked(self):
        # LPS-TOKEN, LPS-ERR: alpha asks introspection and userinfo
        self.refuse_all("alpha")

    def test_bad_tokens_where_keys_are_enough(self):
        # LPS-TOKEN, LPS-ERR: beta goes by the JWKS alone
        self.refuse_all("beta")

    def test_a_rightly_made_token_of_ours_opens(self):
        # so that the refusals above are for the change made and not for the forge
        person = self.space.person("beta")
        header, claims = opened(self.space.token(person["id"]))
        forge = Forge(self.space)
        for changes in ({}, {"jti": str(uuid.uuid4())}, {"nbf": 0}, {"SubjectNameID": None}):
            changed = {k: v for k, v in dict(claims, **changes).items() if v is not None}
            with imap_wire(self.space, "beta") as wire:
                imap_accepted(self, wire, xoauth2(person["mailbox"], forge.rs256(header, changed)))

    def test_no_oracle_on_which_mailboxes_exist(self):
        # LPS-IDENT: byte for byte the same
        marie = self.space.person("alpha")
        token = self.space.token(marie["id"], "--ttl", "600s")
        domain = self.space.operator("alpha")["domain"]
        asked = [
            self.space.person("alpha", index=1)["mailbox"],  # somebody else's
            self.space.application("alpha")["mailbox"],  # an application's
            self.space.person("beta")["mailbox"],  # another operator's
            f"personne@{domain}",
            f"postmaster@{domain}",
            "personne@ailleurs.example",
            "pas une adresse",
            "",
            "marie.martin",
            f"{marie['mailbox']}\x00",
            "x" * 2000,
        ]
        answers = set()
        for start in range(0, len(asked), 4):
            with imap_wire(self.space, "alpha") as imap, smtp_wire(self.space, "alpha") as smtp:
                for user in asked[start:start + 4]:
                    with self.subTest(user=user[:60]):
                        answers.add(("IMAP", imap_refused(self, imap, xoauth2(user, token))))
                        answers.add(("SMTP", smtp_refused(self, smtp, xoauth2(user, token))))
                imap_accepted(self, imap, xoauth2(marie["mailbox"], token))
                smtp_accepted(self, smtp, xoauth2(marie["mailbox"], token))
        self.assertEqual(len(answers), 2, answers)

    def test_malformed_responses_are_refused_the_same(self):
        marie = self.space.person("alpha")
        token = self.space.token(marie["id"])
        good = xoauth2(marie["mailbox"], token)
        answers = set()
        for response in (b"", b"\x01", good[:-1], good[:-2], good.replace(b"Bearer", b"Basic"), good.replace(b"user=", b"usr="),
                         b"n,a=x,\x01" + good, b"\x00marie\x00secret", b"\xff\xfe" * 20, good + good):
            with imap_wire(self.space, "alpha") as imap, smtp_wire(self.space, "alpha") as smtp:
                if response:
                    with self.subTest(response=response[:40]):
                        answers.add(("IMAP", imap_refused(self, imap, response)))
                        answers.add(("SMTP", smtp_refused(self, smtp, response)))
        self.assertEqual(len(answers), 2, answers)

    def test_entitled_to_a_per_and_an_org_opens_both(self):
        for operator in ("alpha", "beta"):
            per, org = self.space.person(operator), self.space.person(operator, "ORG")
            self.assertEqual(per["id"], org["id"])
            self.assertNotEqual(per["mailbox"], org["mailbox"])
            token = self.space.token(per["id"])
            for entry in (per, org):
                with imap_wire(self.space, operator) as imap, smtp_wire(self.space, operator) as smtp:
                    imap_accepted(self, imap, xoauth2(entry["mailbox"], token))
                    smtp_accepted(self, smtp, xoauth2(entry["mailbox"], token))
                    # once in, it is that mailbox and no other
                    code, _ = smtp.smtp(f"MAIL FROM:<{(org if entry is per else per)['mailbox']}>")
                    self.assertEqual(code, 550)
            # the same address in other letters is the same mailbox
            with imap_wire(self.space, operator) as imap:
                imap_accepted(self, imap, xoauth2(per["mailbox"].upper(), token))

    def test_a_person_with_nothing_opens_nothing(self):
        nobody = next(p for p in self.space.json["people"] if not p.get("mailbox"))
        token = self.space.token(nobody["id"], "--ttl", "600s")
        mailboxes = {p["mailbox"] for p in self.space.json["people"] if p.get("operator") == "alpha"}
        mailboxes |= {a["mailbox"] for a in self.space.json["applications"] if a["operator"] == "alpha"}
        for mailbox in mailboxes:
            with imap_wire(self.space, "alpha") as imap, smtp_wire(self.space, "alpha") as smtp:
                imap_refused(self, imap, xoauth2(mailbox, token))
                smtp_refused(self, smtp, xoauth2(mailbox, token))

    def test_a_client_may_cancel(self):
        marie = self.space.person("alpha")
        good = xoauth2(marie["mailbox"], self.space.token(marie["id"]))
        with imap_wire(self.space, "alpha") as wire:
            self.assertEqual(wire.imap("AUTHENTICATE XOAUTH2"), [b"+ \r\n"])
            wire.send(b"*\r\n")
            self.assertRegex(wire.tagged()[-1], rb"^w\d+ BAD ")
            self.assertEqual(wire.imap("AUTHENTICATE XOAUTH2"), [b"+ \r\n"])
            wire.send(b"ceci n'est pas du base64\r\n")
            self.assertRegex(wire.tagged()[-1], rb"^w\d+ BAD ")
            self.assertRegex(wire.imap("AUTHENTICATE PLAIN AG1hcmllAHNlY3JldA==")[-1], rb"^w\d+ NO ")
            imap_accepted(self, wire, good, initial=False)
        with smtp_wire(self.space, "alpha") as wire:
            self.assertEqual(wire.smtp("AUTH XOAUTH2")[0], 334)
            code, text = wire.smtp("*")
            self.assertEqual((code, text[:5]), (501, "5.7.0"))
            self.assertEqual(wire.smtp("AUTH XOAUTH2")[0], 334)
            code, text = wire.smtp("ceci n'est pas du base64")
            self.assertEqual((code, text[:5]), (501, "5.5.2"))
            self.assertEqual(wire.smtp("AUTH PLAIN AG1hcmllAHNlY3JldA==")[0], 504)
            smtp_accepted(self, wire, good, initial=False)

    def test_the_challenge_may_be_answered_by_anything(self):
        # some clients answer the JSON by `*`, or send the token again: the refusal is the same and nothing else happens
        marie = self.space.person("alpha")
        bad = b64(xoauth2(marie["mailbox"], self.space.token(marie["id"], "--expired")))
        for answer in ("*", bad, "!!!"):
            with imap_wire(self.space, "alpha") as wire:
                self.assertEqual(len(wire.imap(f"AUTHENTICATE XOAUTH2 {bad}")), 1)
                wire.send(answer + "\r\n")
                self.assertRegex(wire.tagged()[-1], rb"^w\d+ NO \[AUTHENTICATIONFAILED\]")
            with smtp_wire(self.space, "alpha") as wire:
                self.assertEqual(wire.smtp(f"AUTH XOAUTH2 {bad}")[0], 334)
                self.assertEqual(wire.smtp(answer)[0], 535)

    def test_the_connection_is_not_cut_before_the_final_answer(self):
        # LPS-ERR, and guessing has an end
        marie = self.space.person("alpha")
        bad = xoauth2(marie["mailbox"], self.space.token(marie["id"], "--expired"))
        with imap_wire(self.space, "alpha") as wire:
            for _ in range(5):
                imap_refused(self, wire, bad)
            self.assertTrue(wire.rest().startswith(b"* BYE "))
        with smtp_wire(self.space, "alpha") as wire:
            for _ in range(5):
                smtp_refused(self, wire, bad)
            self.assertTrue(wire.rest().startswith(b"421 4.7.0 "))

    def test_a_session_outlives_its_token(self):
        # beta goes by the keys, with 30 s of tolerance: this token is good for a while more, in which two sessions that are open already log in
        sophie = self.space.person("beta")
        header, claims = opened(self.space.token(sophie["id"]))
        imap, smtp = imap_wire(self.space, "beta"), smtp_wire(self.space, "beta")
        self.addCleanup(imap.close)
        self.addCleanup(smtp.close)
        now = int(time.time())
        token = Forge(self.space).rs256(header, dict(claims, iat=now - 200, auth_time=now - 200, exp=now - 18))
        imap_accepted(self, imap, xoauth2(sophie["mailbox"], token))
        smtp_accepted(self, smtp, xoauth2(sophie["mailbox"], token))

        def ended():
            with smtp_wire(self.space, "beta") as wire:
                return wire.smtp("AUTH XOAUTH2 " + b64(xoauth2(sophie["mailbox"], token)))[0] == 334
        wait_for("the end of the token", ended)
        self.assertRegex(imap.imap("STATUS INBOX (MESSAGES)")[-1], rb"^w\d+ OK ")
        self.assertEqual(smtp.smtp(f"MAIL FROM:<{sophie['mailbox']}>")[0], 250)
        self.assertEqual(smtp.smtp(f"RCPT TO:<{sophie['mailbox']}>")[0], 250)


class Certificates(SpaceTest):
    """LPS-APP."""

    def material(self, name=None):
        entry = self.space.json["negative"][name] if name else self.space.application("alpha")
        return {"certificate": entry["certificate"], "key": entry["key"]}

    def test_external_with_and_without_authzid(self):
        labo = self.space.application("alpha")
        for authzid in (labo["mailbox"].encode(), b""):
            for initial in (True, False):
                with imap_wire(self.space, "alpha", "imap_app", **self.material()) as wire:
                    told = wire.imap("CAPABILITY")[0]
                    self.assertIn(b"AUTH=EXTERNAL", told)
                    self.assertNotIn(b"XOAUTH2", told)
                    if initial:
                        answer = wire.imap("AUTHENTICATE EXTERNAL " + (b64(authzid) or "="))
                    else:
                        self.assertEqual(wire.imap("AUTHENTICATE EXTERNAL"), [b"+ \r\n"])
                        wire.send(b64(authzid) + "\r\n")
                        answer = wire.tagged()
                    self.assertRegex(answer[-1], rb"^w\d+ OK ")
                    self.assertRegex(wire.imap("SELECT INBOX")[-1], rb"^w\d+ OK ")
                with smtp_wire(self.space, "alpha", "submission_app", **self.material()) as wire:
                    self.assertIn("AUTH EXTERNAL", wire.smtp("EHLO lps.test")[1].split("\n"))
                    if initial:
                        code, _ = wire.smtp("AUTH EXTERNAL " + (b64(authzid) or "="))
                    else:
                        self.assertEqual(wire.smtp("AUTH EXTERNAL")[0], 334)
                        code, _ = wire.smtp(b64(authzid))
                    self.assertEqual(code, 235)
                    self.assertEqual(wire.smtp(f"MAIL FROM:<{labo['mailbox']}>")[0], 250)

    def test_what_a_certificate_does_not_open(self):
        answers = set()
        for authzid in (self.space.person("alpha")["mailbox"], self.space.person("alpha", "ORG")["mailbox"],
                        self.space.application("beta")["mailbox"], "personne@alpha.formation.mssante.fr", "pas une adresse"):
            with imap_wire(self.space, "alpha", "imap_app", **self.material()) as wire:
                answer = wire.imap("AUTHENTICATE EXTERNAL " + b64(authzid.encode()))[-1]
                self.assertRegex(answer, rb"^w\d+ NO \[AUTHENTICATIONFAILED\]", authzid)
                answers.add(answer.split(b" ", 1)[1])
                # the connection is left usable
                self.assertRegex(wire.imap("AUTHENTICATE EXTERNAL =")[-1], rb"^w\d+ OK ")
            with smtp_wire(self.space, "alpha", "submission_app", **self.material()) as wire:
                code, text = wire.smtp("AUTH EXTERNAL " + b64(authzid.encode()))
                self.assertEqual((code, text[:5]), (535, "5.7.8"), authzid)
                answers.add(text)
                self.assertEqual(wire.smtp("AUTH EXTERNAL =")[0], 235)
        self.assertEqual(len(answers), 2, answers)

    def test_a_certificate_of_another_structure_opens_nothing(self):
        labo = self.space.application("alpha")
        for authzid in (labo["mailbox"], ""):
            with imap_wire(self.space, "alpha", "imap_app", **self.material("other-structure")) as wire:
                answer = wire.imap("AUTHENTICATE EXTERNAL " + (b64(authzid.encode()) or "="))[-1]
                self.assertRegex(answer, rb"^w\d+ NO \[AUTHENTICATIONFAILED\]")
            with smtp_wire(self.space, "alpha", "submission_app", **self.material("other-structure")) as wire:
                code, text = wire.smtp("AUTH EXTERNAL " + (b64(authzid.encode()) or "="))
                self.assertEqual((code, text[:5]), (535, "5.7.8"))

    def test_a_server_s_certificate_is_no_application_s(self):
        # LPS-APP, CER-07: alpha's own SERV SSL certificate names the same structure as labo's.
        alpha = self.space.operator("alpha")
        certificate = {"certificate": alpha["certificate"], "key": alpha["key"]}
        labo = self.space.application("alpha")["mailbox"]
        with imap_wire(self.space, "alpha", "imap_app", **certificate) as wire:
            self.assertRegex(wire.imap("AUTHENTICATE EXTERNAL " + b64(labo.encode()))[-1], rb"^w\d+ NO \[AUTHENTICATIONFAILED\]")
        with smtp_wire(self.space, "alpha", "submission_app", **certificate) as wire:
            self.assertEqual(wire.smtp("AUTH EXTERNAL " + b64(labo.encode()))[0], 535)

    def handshake(self, entrance, **certificate):
        """Goes on to the first answer under TLS: with TLS 1.3 a client learns only there that its certificate is refused."""
        if entrance.startswith("imap"):
            with imap_wire(self.space, "alpha", entrance, **certificate) as wire:
                wire.imap("CAPABILITY")
        else:
            smtp_wire(self.space, "alpha", entrance, **certificate).close()

    def test_bad_certificates_get_the_tls_alert_that_says_why(self):
        alerts = {
            None: "certificate required|handshake failure",
            "expired": "certificate expired",
            "not-yet-valid": "bad certificate|certificate expired",
            "revoked": "certificate revoked",
            "other-authority": "unknown ca|decrypt error|bad certificate",
            "wrong-usage": "unsupported certificate|bad certificate",
            "no-usage": "unsupported certificate|bad certificate",
        }
        for entrance in ("imap_app", "submission_app"):
            for name, alert in alerts.items():
                with self.subTest(entrance=entrance, certificate=name):
                    material = self.material(name) if name else {}
                    self.assertRegex(alert_of(lambda: self.handshake(entrance, **material)), alert)

    def test_each_entry_point_takes_its_own_means_only(self):
        marie = self.space.person("alpha")
        response = b64(xoauth2(marie["mailbox"], self.space.token(marie["id"])))
        with imap_wire(self.space, "alpha", "imap_app", **self.material()) as wire:
            self.assertRegex(wire.imap(f"AUTHENTICATE XOAUTH2 {response}")[-1], rb"^w\d+ NO ")
        with smtp_wire(self.space, "alpha", "submission_app", **self.material()) as wire:
            self.assertEqual(wire.smtp(f"AUTH XOAUTH2 {response}")[0], 504)
        labo = b64(self.space.application("alpha")["mailbox"].encode())
        # the certificate is shown to an entry point that does not ask for one
        with imap_wire(self.space, "alpha", **self.material()) as wire:
            self.assertRegex(wire.imap(f"AUTHENTICATE EXTERNAL {labo}")[-1], rb"^w\d+ NO ")
        with smtp_wire(self.space, "alpha", **self.material()) as wire:
            self.assertEqual(wire.smtp(f"AUTH EXTERNAL {labo}")[0], 504)


class Sending(SpaceTest):
    """What an authenticated sender may write, and to whom (MSS-7.4, OPE-LIST)."""

    def count(self, person):
        reader = self.space.imap(person)
        try:
            return int(reader.select(readonly=True)[1][0])
        finally:
            reader.logout()

    def session(self, person):
        wire = smtp_wire(self.space, person["operator"])
        smtp_accepted(self, wire, xoauth2(person["mailbox"], self.space.token(person["id"])))
        return wire

    def test_the_envelope_sender_is_the_authenticated_mailbox(self):
        marie, paul = self.space.person("alpha"), self.space.person("alpha", index=1)
        with self.session(marie) as wire:
            for sender in (paul["mailbox"], self.space.person("beta")["mailbox"], self.space.person("alpha", "ORG")["mailbox"],
                           "marie.martin@gmail.com", "marie.martin", f"x{marie['mailbox']}", f"\"{marie['mailbox']}\"@gmail.com"):
                code, text = wire.smtp(f"MAIL FROM:<{sender}>")
                self.assertIn(code, (501, 550), sender)
                if code == 550:
                    self.assertTrue(text.startswith("5.7.1"), text)
            # the same address in other letters; and no address, for receipts (RFC 8098)
            for sender in (marie["mailbox"].upper(), ""):
                self.assertEqual(wire.smtp(f"MAIL FROM:<{sender}>")[0], 250)
                self.assertEqual(wire.smtp("RSET")[0], 250)

    def test_the_from_field_is_the_authenticated_mailbox(self):
        marie, paul = self.space.person("alpha"), self.space.person("alpha", index=1)
        me, other = marie["mailbox"], paul["mailbox"]
        foreign = self.space.person("beta")["mailbox"]
        forged = [
            f"From: {other}",
            f"From: {foreign}",
            f"From: <{other}>",
            f"From: {me}\r\nFrom: {other}",
            f"From: {other}\r\nFrom: {me}",
            f"From: {me}\r\nfrom : {other}",
            f"From : {other}\r\nFrom: {me}",
            f"From: {me}, {other}",
            f"From: {other}, {me}",
            f"From: {me}\r\nSender: {other}",
            f"From: {me}\r\nSender: {me}\r\nSender: {other}",
            f"From: \"{me}\" <{other}>",
            f"From: {me} <{other}>",
            f"From: <{other}> <{me}>",
            f"From: {other}, <{me}>",
            f"From: Paul <{other}> <{me}>",
            f"From: \"Marie <{me}>\" <{other}>",
            f"From:\r\n {other}",
            f"From: ({me}) {other}",
            f"From: =?utf-8?q?{me.replace('@', '=40')}?=",
            f"From: =?utf-8?b?{b64(me.encode())}?= <{other}>",
            f"From: groupe: {me};",
            f"From: groupe: {other}; {me}",
            f"From: <@{me.split('@')[1]}:{other}>",
            f"From: {me}@{other}",
            f"From: {me.replace('@', chr(0x40) + chr(0x200b))}",
            f"From: {me}\r\n\t, {other}",
            f"From: \"\\\" <{other}>\" {me}",
            "From: Marie",
            "From:",
            "X-Nothing: no From at all",
        ]
        before = self.count(paul)
        with self.session(marie) as wire:
            for field in forged:
                with self.subTest(field=field):
                    self.assertEqual(wire.smtp(f"MAIL FROM:<{me}> SMTPUTF8")[0], 250)
                    self.assertEqual(wire.smtp(f"RCPT TO:<{other}>")[0], 250)
                    self.assertEqual(wire.smtp("DATA")[0], 354)
                    code, text = wire.smtp(f"{field}\r\nTo: {other}\r\nSubject: faux\r\n\r\nFaux.\r\n.")
                    self.assertEqual(code, 550, text)
                    self.assertRegex(text, r"^5\.(7\.1|6\.0) ")
        self.assertEqual(self.count(paul), before)

    def test_honest_from_fields_pass(self):
        marie, paul = self.space.person("alpha"), self.space.person("alpha", index=1)
        me = marie["mailbox"]
        before = self.count(paul)
        honest = (f"From: {me}", f"From: Dr_Marie_MARTIN_Hopital Alpha <{me}>", f"From: =?utf-8?q?H=C3=B4pital?= <{me.upper()}>",
                  f"from:\r\n \"Dr Marie MARTIN, cardiologue\"\r\n <{me}>", f"From: {me} (Marie)", f"From: {me}\r\nSender: <{me}>")
        with self.session(marie) as wire:
            for field in honest:
                with self.subTest(field=field):
                    self.assertEqual(wire.smtp(f"MAIL FROM:<{me}>")[0], 250)
                    self.assertEqual(wire.smtp(f"RCPT TO:<{paul['mailbox']}>")[0], 250)
                    self.assertEqual(wire.smtp("DATA")[0], 354)
                    code, text = wire.smtp(f"{field}\r\nSubject: vrai\r\n\r\nVrai.\r\n.")
                    self.assertEqual(code, 250, text)
        self.assertEqual(self.count(paul), before + len(honest))

    def test_recipients_outside_the_white_list_are_refused_at_rcpt(self):
        # OPE-LIST: nothing ever leaves to a domain outside it, and the sender is told at once
        marie = self.space.person("alpha")
        with self.session(marie) as wire:
            self.assertEqual(wire.smtp(f"MAIL FROM:<{marie['mailbox']}>")[0], 250)
            for outside in ("dr.x@horsliste.formation.mssante.fr", "dr.x@gmail.com", "dr.x@mssante.fr", "dr.x@fr",
                            "dr.x@sous.beta.formation.mssante.fr", "dr.x@xbeta.formation.mssante.fr", "dr.x@[127.0.0.1]",
                            "dr.x%gmail.com@horsliste.formation.mssante.fr", "@beta.formation.mssante.fr:dr.x@gmail.com"):
                code, text = wire.smtp(f"RCPT TO:<{outside}>")
                self.assertEqual((code, text[:5]), (550, "5.7.1"), outside)
            code, text = wire.smtp("RCPT TO:<personne@alpha.formation.mssante.fr>")
            self.assertEqual((code, text[:5]), (550, "5.1.1"))
            # a refused recipient leaves the others as they are
            self.assertEqual(wire.smtp(f"RCPT TO:<{self.space.person('beta')['mailbox']}>")[0], 250)

    def notice(self, person, what):
        """The delivery status notification that speaks of `what`, once it came."""
        def look():
            reader = self.space.imap(person)
            try:
                reader.select(readonly=True)
                numbers = reader.search(None, "HEADER", "Auto-Submitted", "auto-replied")[1][0].split()
                found = [reader.fetch(number.decode(), "(BODY.PEEK[])")[1][0][1] for number in numbers]
                return [octets for octets in found if what.encode() in octets]
            finally:
                reader.logout()
        notices = wait_for("the notice", look)
        self.assertEqual(len(notices), 1)
        return email.message_from_bytes(notices[0], policy=email.policy.default)

    def test_delivery_notices(self):
        # RFC 3461: the parameters are taken, and NOTIFY=SUCCESS is answered, for mail that stays and for mail that leaves
        marie = self.space.person("alpha")
        for recipient in (self.space.person("alpha", index=1)["mailbox"], self.space.person("beta")["mailbox"]):
            with self.subTest(recipient=recipient), self.session(marie) as wire:
                envelope = uuid.uuid4().hex
                message_id = make_msgid(domain="lps.test")
                code, text = wire.smtp(f"MAIL FROM:<{marie['mailbox']}> RET=HDRS ENVID={envelope} BODY=8BITMIME SIZE=1000")
                self.assertEqual(code, 250, text)
                code, text = wire.smtp(f"RCPT TO:<{recipient}> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;{recipient}")
                self.assertEqual(code, 250, text)
                self.assertEqual(wire.smtp("DATA")[0], 354)
                code, text = wire.smtp(f"From: {marie['mailbox']}\r\nTo: {recipient}\r\nSubject: suivi\r\nDate: {formatdate()}\r\n"
                                       f"Message-ID: {message_id}\r\n\r\nBonjour.\r\n.")
                self.assertEqual(code, 250, text)
                notice = self.notice(marie, envelope)
                self.assertEqual(notice.get_content_type(), "multipart/report")
                status = notice.get_payload()[1].as_string()
                self.assertIn("Action: delivered", status)
                self.assertIn(f"Original-Envelope-Id: {envelope}", status)
                self.assertRegex(status, rf"Original-Recipient: rfc822; ?{re.escape(recipient)}")
                self.assertRegex(status, r"Status: 2\.")
                # the operator that delivered it says so
                self.assertRegex(status, rf"Reporting-MTA: dns; ?mx\.{re.escape(recipient.split('@')[1])}")

    def test_nobody_is_told_who_did_not_ask(self):
        marie, paul = self.space.person("alpha"), self.space.person("alpha", index=1)
        with self.session(marie) as wire:
            for parameters in ("NOTIFY=SUCCESS,NEVER", "NOTIFY=", "NOTIFY=TOUT", "ORCPT=rfc822", "NOTIFY=NEVER NOTIFY=NEVER"):
                wire.smtp(f"MAIL FROM:<{marie['mailbox']}>")
                self.assertEqual(wire.smtp(f"RCPT TO:<{paul['mailbox']}> {parameters}")[0], 501, parameters)
                wire.smtp("RSET")
            before = self.count(marie)
            wire.smtp(f"MAIL FROM:<{marie['mailbox']}>")
            self.assertEqual(wire.smtp(f"RCPT TO:<{paul['mailbox']}> NOTIFY=NEVER")[0], 250)
            wire.smtp("DATA")
            self.assertEqual(wire.smtp(f"From: {marie['mailbox']}\r\n\r\nBonjour.\r\n.")[0], 250)
            self.assertEqual(self.count(marie), before)


class WhenPscDoesNotAnswer(SpaceTest):
    """LPS-ERR: trouble of Pro Santé Connect is temporary trouble, never a refusal."""

    def operator(self, **changes):
        config = serve.configuration(self.space, "alpha", **changes)
        running = serve.Server(config)
        self.addCleanup(running.close)
        running.mailbox("create", "marie@alpha.formation.mssante.fr", "--kind", "PER", "--holder", self.space.person("alpha")["id"])
        return running

    def check(self, running, *, refused):
        marie = self.space.person("alpha")
        response = xoauth2("marie@alpha.formation.mssante.fr", self.space.token(marie["id"]))
        with serve.imap(self.space, running) as wire:
            answer = wire.imap(b"AUTHENTICATE XOAUTH2 " + b64(response).encode())[-1]
            if refused:
                self.assertRegex(answer, rb"^w\d+ NO \[UNAVAILABLE\]")
                self.assertRegex(wire.imap("NOOP")[-1], rb"^w\d+ OK ")
            else:
                self.assertRegex(answer, rb"^w\d+ OK ")
        with serve.smtp(self.space, running) as wire:
            code, text = wire.smtp(b"AUTH XOAUTH2 " + b64(response).encode())
            if refused:
                self.assertEqual((code, text[:5]), (454, "4.7.0"))
                self.assertEqual(wire.smtp("NOOP")[0], 250)
            else:
                self.assertEqual(code, 235)

    def test_introspection_is_down(self):
        self.check(self.operator(introspection="https://127.0.0.1:1/introspect"), refused=True)

    def test_the_keys_cannot_be_fetched(self):
        self.check(self.operator(jwks="https://127.0.0.1:1/certs"), refused=True)

    def test_all_is_up(self):
        self.check(self.operator(), refused=False)


if __name__ == "__main__":
    main()
