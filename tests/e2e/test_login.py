"""`vaguemestre lps login`: urllib plays the browser, the sandbox's phones answer CIBA, the agent keeps the session and no file does
(issue 4 §2; ECO-TOKEN, ECO.1.2.5). CIBA itself by curl (client.md §3.2)."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.parse
import urllib.request
from html import unescape
from pathlib import Path

from space import BINARY, PATIENCE, SpaceTest, main, run, wait_for

MARIE, PAUL, JULIEN = "899700000017", "899700000021", "899700000047"


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Login(SpaceTest):
    arguments = ("--token-ttl", "10s")

    def setUp(self):
        self.home = Path(tempfile.mkdtemp(prefix="vg-"))
        runtime = self.home / "run"
        runtime.mkdir()
        # Others may enter: what they find there must protect itself.
        self.home.chmod(0o755)
        runtime.chmod(0o755)
        self.socket = runtime / "vaguemestre/agent.sock"
        self.env = {**os.environ, "HOME": str(self.home), "XDG_RUNTIME_DIR": str(runtime), "LC_ALL": "C.UTF-8",
                    "VAGUEMESTRE_LPS": str(self.space.folder / "lps.toml")}
        self.http = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=self.space.context()), NoRedirect)
        self.psc = self.space.json["psc"]
        self.phones = self.psc["phone"]

    def tearDown(self):
        self.lps("logout", ok=None)
        self.assertEqual(self.agents(), [], "the agent ends with the last session")
        shutil.rmtree(self.home, ignore_errors=True)

    def lps(self, *arguments, ok=True):
        return run(BINARY, "lps", *arguments, ok=ok, env=self.env)

    def agents(self):
        """Pids of the agents of this test's home that are alive a moment later."""
        def living():
            found = []
            for entry in Path("/proc").iterdir():
                try:
                    if entry.name.isdigit() and str(self.socket) in (entry / "cmdline").read_text():
                        if "Z" not in (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]:
                            found.append(int(entry.name))
                except OSError:
                    pass
            return found
        if not self.socket.exists():
            wait_for("the agent's end", lambda: not living())
        return living()

    def get(self, url, headers=None):
        request = urllib.request.Request(url, headers=headers or {})
        try:
            with self.http.open(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode(), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), error.headers

    def choose(self, url, person):
        """PSC's login page, then a click on a person: where the browser is sent."""
        status, html, _ = self.get(url)
        self.assertEqual(status, 200)
        form = {name: unescape(value) for name, value in
                re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', html)}
        form["personne"] = person
        target = urllib.parse.urljoin(url, re.search(r'<form[^>]* action="([^"]*)"', html).group(1))
        try:
            self.http.open(target, urllib.parse.urlencode(form).encode(), timeout=PATIENCE)
        except urllib.error.HTTPError as redirection:
            self.assertEqual(redirection.code, 302)
            return redirection.headers["Location"]
        self.fail("a redirection was expected")

    def phone(self, **form):
        run("curl", "-sS", "--fail", "--cacert", self.space.ca, self.phones + "/phone",
            *(word for name, value in form.items() for word in ("-d", f"{name}={value}")))

    def sessions(self):
        done = self.lps("status", "--json", ok=None)
        return done.returncode, [s["person"] for s in json.loads(done.stdout)["sessions"]]

    def test_in_the_browser(self):
        login = subprocess.Popen([BINARY, "lps", "login", "--no-browser", "--json"], env=self.env, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            url = json.loads(login.stdout.readline())["url"]
            asked = dict(urllib.parse.parse_qsl(urllib.parse.urlparse(url).query))
            self.assertEqual(asked["code_challenge_method"], "S256")
            self.assertEqual([len(asked[word]) for word in ("state", "nonce", "code_challenge")], [43] * 3)
            home = asked["redirect_uri"]
            self.assertRegex(home, r"^http://127\.0\.0\.1:\d+/retour$")
            # Another page of this machine's browser tries its luck: nothing happens to the login.
            for query in ("code=x&state=y", "error=access_denied&state=y", "", "code=x"):
                status, page, _ = self.get(f"{home}?{query}")
                self.assertEqual(status, 400)
                self.assertNotIn("Vous êtes connecté", page)
            back = self.choose(url, MARIE)
            self.assertEqual(self.get(back, {"Host": "evil.example.org"})[0], 404)
            status, page, headers = self.get(back)
            self.assertEqual(status, 200, page)
            self.assertIn("Vous êtes connecté", page)
            self.assertEqual((headers["Cache-Control"], headers["Referrer-Policy"]), ("no-store", "no-referrer"))
            out, err = login.communicate(timeout=PATIENCE)
        finally:
            login.kill()
            login.wait()
        self.assertEqual(login.returncode, 0, err)
        self.assertEqual(json.loads(out.splitlines()[-1])["person"], MARIE)
        self.assertEqual(self.sessions(), (0, [MARIE]))
        # One login, one return.
        with self.assertRaises(urllib.error.URLError):
            self.get(back)
        self.assert_kept_to_itself()
        self.lps("logout")
        self.assertEqual(self.sessions(), (3, []))

    def assert_kept_to_itself(self):
        """No token in a file; a socket and a process that are this user's alone."""
        for folder in (self.home, self.space.folder):
            for path in folder.rglob("*"):
                if path.is_file() and not path.is_symlink():
                    octets = path.read_bytes()
                    # A JWS of PSC begins so: {"alg":"RS256"
                    self.assertNotIn(b"eyJhbGciOiJSUzI1NiIs", octets, path)
        self.assertEqual(self.socket.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.socket.parent.stat().st_mode & 0o777, 0o700)
        (agent,) = self.agents()
        limits = Path(f"/proc/{agent}/limits").read_text()
        self.assertRegex(limits, r"Max core file size +0 +0 ")
        self.assertNotIn("eyJ", Path(f"/proc/{agent}/cmdline").read_text())
        if os.geteuid() == 0:
            asking = f"import socket; socket.socket(socket.AF_UNIX).connect({str(self.socket)!r})"
            stranger = subprocess.run(["python3", "-c", asking], user=65534, group=65534, extra_groups=[],
                                      capture_output=True, text=True, cwd="/", env={"PATH": os.environ["PATH"]})
            self.assertIn("PermissionError", stranger.stderr)
        # What says nonsense, or nothing, is dropped, and the others are served.
        silent = socket.socket(socket.AF_UNIX)
        silent.connect(str(self.socket))
        for octets in (b"\xff\xff\xff\xff", b"\0\0\0\x02[]", os.urandom(4096)):
            with socket.socket(socket.AF_UNIX) as mad:
                mad.connect(str(self.socket))
                mad.sendall(octets)
                mad.shutdown(socket.SHUT_WR)
                try:
                    self.assertEqual(mad.recv(100), b"")
                except ConnectionResetError:
                    pass
        self.assertEqual(self.sessions(), (0, [MARIE]))
        silent.close()

    def test_by_phone(self):
        self.phone(person=MARIE, answer="approve", after_ms="0")
        done = self.lps("login", "--ciba", "--as", MARIE, "--json")
        shown, logged = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertRegex(shown["binding_message"], r"^\d\d$")
        self.assertEqual((shown["channel"], logged["person"]), ("MOBILE", MARIE))
        # A second person beside the first; then the agent is killed: nobody is logged in, and one can log in again.
        self.phone(person=PAUL, answer="approve", after_ms="0")
        self.lps("login", "--ciba", "--as", PAUL, "--channel", "card")
        self.assertEqual(self.sessions(), (0, [MARIE, PAUL]))
        (agent,) = self.agents()
        os.kill(agent, signal.SIGKILL)
        wait_for("its end", lambda: self.sessions() == (3, []))
        self.assertTrue(self.socket.exists(), "a dead socket stays")
        self.lps("login", "--ciba", "--as", PAUL)
        self.assertEqual(self.sessions(), (0, [PAUL]))
        # A signal logs out at PSC too and leaves nothing.
        (agent,) = self.agents()
        os.kill(agent, signal.SIGTERM)
        wait_for("its end", lambda: not self.socket.exists())

    def test_nobody_is_logged_in_by_a_refusal(self):
        self.phone(person=JULIEN, answer="refuse", after_ms="0")
        done = self.lps("login", "--ciba", "--as", JULIEN, "--json", ok=False)
        self.assertEqual(json.loads(done.stdout.splitlines()[-1])["error"]["code"], "login.denied")
        self.assertEqual(self.sessions(), (3, []))
        self.assertEqual(self.agents(), [])
        # Interrupted while it waits: the same.
        self.phone(person=JULIEN, answer="ignore")
        login = subprocess.Popen([BINARY, "lps", "login", "--ciba", "--as", JULIEN, "--json"], env=self.env,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        digits = json.loads(login.stdout.readline())["binding_message"]
        page = self.get(self.phones)[1]
        self.assertIn(f">{digits}<", page)
        login.send_signal(signal.SIGINT)
        self.assertNotEqual(login.wait(PATIENCE), 0)
        login.stdout.close()
        self.assertEqual(self.agents(), [])

    def test_ciba_by_curl(self):
        """The protocol, without any of our code on the client's side."""
        client = ("-u", f"{self.psc['client_id']}:{self.psc['client_secret']}")

        def post(url, *form, proof=client):
            words = [word for field in form for word in ("-d", field)]
            done = run("curl", "-sS", "--cacert", self.space.ca, *proof, "-w", "\n%{http_code}", url, *words)
            body, status = done.stdout.rsplit("\n", 1)
            return int(status), json.loads(body)

        ask = ("scope=openid scope_all", "acr_values=eidas1", f"login_hint={JULIEN}", "channel=MOBILE")
        for wrong in ("binding_message=1", "binding_message=abc", "binding_message="):
            self.assertEqual(post(self.psc["ciba_endpoint"], *ask, wrong)[1]["error"], "invalid_binding_message")
        self.phone(person=JULIEN, answer="approve", after_ms="0")
        # By the secret, then by the certificate (RFC 8705).
        certificate = ("--cert", self.space.folder / self.psc["client_certificate"],
                       "--key", self.space.folder / self.psc["client_key"])
        for proof, more in ((client, ()), (certificate, (f"client_id={self.psc['client_id']}",))):
            status, asked = post(self.psc["ciba_endpoint"], *ask, "binding_message=07", *more, proof=proof)
            self.assertEqual(status, 200, asked)
            grant = ("grant_type=urn:openid:params:grant-type:ciba", f"auth_req_id={asked['auth_req_id']}", *more)
            status, tokens = post(self.psc["token_endpoint"], *grant, proof=proof)
            self.assertEqual((status, tokens["expires_in"]), (200, 10), tokens)
            self.assertEqual(post(self.psc["token_endpoint"], *grant, proof=proof)[1]["error"], "invalid_grant")
        nobody = post(self.psc["ciba_endpoint"], *ask, "binding_message=07", f"client_id={self.psc['client_id']}", proof=())
        self.assertEqual(nobody[0], 401)


if __name__ == "__main__":
    main()
