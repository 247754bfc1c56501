"""The command: help, configurations with mistakes, an operator alone, mailboxes beside a running server, stops and restarts
(SBX, BAL-KIND, BAL-ROLES, TRACE)."""

import datetime
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest
import uuid
from pathlib import Path

import serve
from serve import Server, configuration, edited, mailbox
from space import BINARY, PATIENCE, Space, SpaceTest, b64, main, run, wait_for, xoauth2
from wire import imap_wire, smtp_wire

SUBCOMMANDS = [
    [], ["sandbox"], ["sandbox", "token"], ["serve"], ["check-config"], ["mailbox"], ["mailbox", "create"], ["mailbox", "list"],
    ["mailbox", "show"], ["mailbox", "grant"], ["mailbox", "revoke"], ["mailbox", "delete"],
    ["import"], ["import", "maildir"], ["import", "mbox"], ["import", "imap"], ["export"], ["export", "maildir"], ["export", "mbox"],
    ["backup"], ["restore"], ["fsck"], ["keys"], ["keys", "export"], ["keys", "import"], ["keys", "rewrap"],
]


def opens(space, person, address):
    """Whether IMAP opens a mailbox of a running sandbox or server for somebody."""
    where = space if isinstance(space, Space) else space.space
    response = b64(xoauth2(address, where.token(person)))
    wire = imap_wire(space, "alpha") if space is where else serve.imap(where, space)
    with wire:
        answer = wire.imap(f"AUTHENTICATE XOAUTH2 {response}")
        if answer[-1].startswith(b"+"):
            wire.send(b"\r\n")
            assert b"[AUTHENTICATIONFAILED]" in wire.line()
            return False
        assert b" OK " in answer[-1], answer
        return True


class Help(unittest.TestCase):
    def test_every_subcommand_explains_itself(self):
        for command in SUBCOMMANDS:
            with self.subTest(command=command):
                told = run(BINARY, *command, "--help").stdout
                self.assertIn("Usage: vaguemestre", told)
                self.assertGreater(len(told), 300)
                # every option says what it is for
                for option in re.findall(r"^ +(?:-\w, )?--[\w-]+.*$", told, re.MULTILINE):
                    after = told.split(option, 1)[1].lstrip("\n").split("\n", 1)[0]
                    self.assertTrue(re.search(r"--[\w-]+(?: <\w+>)? {2,}\S", option) or re.match(r"\s+\S", after), option)
        self.assertRegex(run(BINARY, "--version").stdout, r"^vaguemestre \d+\.\d+\.\d+")

    def test_wrong_command_lines_say_what_is_wrong(self):
        for command in (["sandbox", "--nonsense"], ["serve"], ["check-config"], ["no-such-command"], [],
                        ["sandbox", "token", "--id", "pas-un-identifiant"], ["sandbox", "--port-base", "x"],
                        ["sandbox", "token", "--id", "899700000017", "--ttl", "0s"],
                        ["sandbox", "token", "--id", "899700000017", "--expired", "--foreign-issuer"]):
            with self.subTest(command=command):
                environment = {k: v for k, v in os.environ.items() if not k.startswith("VAGUEMESTRE")}
                done = run(BINARY, *command, ok=None, env=environment)
                self.assertEqual(done.returncode, 2)
                self.assertTrue(done.stderr.strip())
                self.assertNotIn("panicked", done.stderr)

    def test_where_there_is_no_sandbox(self):
        with tempfile.TemporaryDirectory() as folder:
            done = run(BINARY, "sandbox", "token", "--dir", folder, "--id", "899700000017", ok=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("vaguemestre sandbox --dir", done.stderr)
            self.assertEqual(done.stdout, "")
            for arguments in (["serve", "--config", f"{folder}/x.toml"], ["check-config", f"{folder}/x.toml"],
                              ["mailbox", "list", "--config", f"{folder}/x.toml"]):
                done = run(BINARY, *arguments, ok=False)
                self.assertEqual(done.returncode, 1)
                self.assertIn(f"{folder}/x.toml", done.stderr)
                self.assertIn("to do:", done.stderr)


class Configuration(SpaceTest):
    """Bad configuration: file, line, what to do."""

    def check(self, text, name="vaguemestre.toml"):
        folder = self.space.folder / "checked"
        folder.mkdir(exist_ok=True)
        path = folder / name
        path.write_text(text)
        return path, run(BINARY, "check-config", path, ok=None)

    def good(self):
        return (self.space.folder / "alpha/vaguemestre.toml").read_text()

    def line_of(self, text, beginning):
        return next(number for number, line in enumerate(text.splitlines(), 1) if line.startswith(beginning))

    def test_the_generated_files_are_good(self):
        for operator in ("alpha", "beta"):
            told = run(BINARY, "check-config", self.space.folder / operator / "vaguemestre.toml").stdout
            self.assertIn("no problem found", told)
            self.assertIn(f"{operator}.formation.mssante.fr", told)

    def test_each_mistake_is_told_with_its_line_and_a_remedy(self):
        good = self.good()
        other_key = self.space.folder / "pki/beta.key"
        public = self.space.folder / "readable.key"
        shutil.copy(self.space.folder / "pki/alpha.key", public)
        public.chmod(0o644)
        cases = {
            "unknown key": (good.replace("[tls]", "[tls]\ncouleur = \"bleu\""), "couleur = ", "couleur"),
            "unknown section": (good + "\n[couleurs]\nmur = 1\n", "[couleurs]", "couleurs"),
            "missing certificate": (edited(good, {"tls.certificate": '"../pki/absent.pem"'}), "certificate = ", "absent.pem"),
            "not a certificate": (edited(good, {"tls.certificate": '"../pki/alpha.key"'}), "certificate = ", "certificate"),
            "key of another": (edited(good, {"tls.key": f'"{other_key}"'}), "key = ", "not the certificate's"),
            "key for everyone": (edited(good, {"tls.key": f'"{public}"'}), "key = ", "readable by everyone"),
            "not a key": (edited(good, {"tls.key": '"../pki/alpha.pem"'}), "key = ", "private key"),
            "bad DN": (edited(good, {"white_list.signer": '"le signataire"'}), "signer = ", "distinguished name"),
            "list without TLS": (edited(good, {"white_list.url": '"http://127.0.0.1/liste.xml"'}), "url = ", "https"),
            "bad domain": (edited(good, {"operator.domains": '["pas un domaine"]'}), "domains = ", ""),
            "no domain": (edited(good, {"operator.domains": "[]"}), "domains = ", "domain"),
            "bad address": (edited(good, {"listen.imap": '"partout:143"'}), "imap = ", ""),
            "bad number": (edited(good, {"relay.first_retry_seconds": "0"}), "first_retry_seconds = ", "from 1"),
            "bad type": (edited(good, {"relay.port": '"vingt-cinq"'}), "port = ", ""),
            "no CRL file": (edited(good, {"trust.crl": '["absente.crl"]'}), "crl = ", "absente.crl"),
            "revocation without list": (edited(good, {"trust.crl": "[]"}), "anchors = ", "revocation"),
            "too much skew": (good.replace("[psc]", "[psc]\nskew_seconds = 3600"), "skew_seconds = ", "0 to 60"),
            "short IMAP idle": (good + "\n[sessions]\nimap_idle_minutes = 5\n", "imap_idle_minutes = ", "30"),
            "broken TOML": (good.replace("[tls]", "[tls"), "[tls", ""),
        }
        for name, (text, beginning, said) in cases.items():
            with self.subTest(mistake=name):
                path, done = self.check(text)
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                place = f"{path}:{self.line_of(text, beginning)}: "
                self.assertIn(place, done.stderr)
                problem = done.stderr.split(place, 1)[1]
                self.assertIn(said, problem)
                self.assertRegex(problem, r"to do: \S")
                # the server says the same and does not start
                served = run(BINARY, "serve", "--config", path, ok=None, timeout=PATIENCE)
                self.assertEqual(served.returncode, 1)
                self.assertIn(place, served.stderr)

    def test_a_missing_key_is_named(self):
        text = edited(self.good(), {"tls.key": None})
        _, done = self.check(text)
        self.assertEqual(done.returncode, 1)
        self.assertIn("key", done.stderr)
        self.assertIn("to do:", done.stderr)

    def test_all_mistakes_at_once(self):
        text = edited(self.good(), {"white_list.signer": '"le signataire"', "tls.certificate": '"absent.pem"',
                                    "relay.first_retry_seconds": "0", "psc.jwks_uri": '"http://127.0.0.1/cles"'})
        _, done = self.check(text)
        self.assertIn("4 problem(s)", done.stderr)
        self.assertEqual(done.stderr.count("to do:"), 4, done.stderr)

    def test_the_documented_example_has_only_missing_files(self):
        # docs/vaguemestre.toml: every key known and every value of the right kind
        documented = Path(__file__).resolve().parents[2] / "docs/vaguemestre.toml"
        done = run(BINARY, "check-config", documented, ok=None)
        for problem in re.findall(r"^.*vaguemestre\.toml.*: (.*)$", done.stderr, re.MULTILINE):
            self.assertRegex(problem, "No such file|no such file|problem|revocation")


class Alone(SpaceTest):
    """`vaguemestre serve`."""

    def test_a_new_mailbox_works_at_once_and_dies_with_its_rights(self):
        # BAL-KIND, BAL-ROLES, TRACE: beside a running sandbox
        config = self.space.folder / "alpha/vaguemestre.toml"
        camille = next(p["id"] for p in self.space.json["people"] if not p.get("mailbox"))
        paul = self.space.person("alpha", index=1)["id"]
        domain = self.space.operator("alpha")["domain"]
        per, org = f"camille.nouveau@{domain}", f"urgences@{domain}"
        self.assertFalse(opens(self.space, camille, per))
        told = mailbox(config, "create", per, "--kind", "PER", "--holder", camille, "--label", "Camille NOUVEAU").stdout
        self.assertIn(per, told)
        self.assertTrue(opens(self.space, camille, per))
        self.assertFalse(opens(self.space, paul, per))
        # it receives
        sender = self.space.person("alpha")
        word = uuid.uuid4().hex
        with self.space.smtp(sender) as smtp:
            smtp.sendmail(sender["mailbox"], [per], f"From: {sender['mailbox']}\r\nSubject: {word}\r\n\r\nBienvenue.\r\n")
        entry = {"operator": "alpha", "mailbox": per, "id": camille}
        reader = self.space.imap(entry)
        self.assertEqual(reader.select()[1], [b"1"])
        reader.logout()
        # and sends
        with self.space.smtp(entry) as smtp:
            smtp.sendmail(per, [sender["mailbox"]], f"From: {per}\r\nSubject: {word}\r\n\r\nMerci.\r\n")

        mailbox(config, "create", org, "--kind", "ORG", "--holder", self.space.application("alpha")["structure"])
        self.assertFalse(opens(self.space, paul, org))
        mailbox(config, "grant", org, "--person", paul, "--role", "member")
        self.assertTrue(opens(self.space, paul, org))
        self.assertFalse(opens(self.space, camille, org))
        mailbox(config, "revoke", org, "--person", paul)
        self.assertFalse(opens(self.space, paul, org))

        # dated rights
        day = datetime.datetime.now(datetime.UTC).date()
        at = lambda days: (day + datetime.timedelta(days)).isoformat()
        mailbox(config, "grant", org, "--person", paul, "--role", "member", "--from", at(-10), "--until", at(-1))
        self.assertFalse(opens(self.space, paul, org), "ended")
        mailbox(config, "grant", org, "--person", paul, "--role", "member", "--from", at(1), "--until", at(10))
        self.assertFalse(opens(self.space, paul, org), "not begun")
        mailbox(config, "grant", org, "--person", paul, "--role", "member", "--from", at(-1), "--until", at(1))
        self.assertTrue(opens(self.space, paul, org), "holds")
        mailbox(config, "grant", per, "--person", paul, "--role", "delegate", "--until", at(1))
        self.assertTrue(opens(self.space, paul, per), "délégataire")

        listed = json.loads(mailbox(config, "list", "--json").stdout)
        self.assertLessEqual({per, org}, {entry["mailbox"] for entry in listed})
        shown = json.loads(mailbox(config, "show", per, "--json").stdout)
        self.assertEqual((shown["kind"], shown["holder"], shown["messages"]), ("PER", camille, 1))
        self.assertTrue(any(right["person"] == paul and right["holds"] for right in shown["rights"]))
        self.assertIn(per, mailbox(config, "list").stdout)
        self.assertIn(camille, mailbox(config, "show", per).stdout)

        # who did what is traced
        traced = [json.loads(line) for path in (self.space.folder / "alpha/data/traces").glob("*.jsonl")
                  for line in path.read_text().splitlines()]
        administered = [t for t in traced if t["action"] == "administer" and t.get("mailbox") == org]
        self.assertTrue(any(t["answer"] == "created" for t in administered), administered)
        self.assertTrue(any(t["answer"] == "revoked" and t["with"] == [paul] for t in administered), administered)
        self.assertIn("administrator", administered[0]["who"])

    def test_mistakes_about_mailboxes(self):
        config = self.space.folder / "alpha/vaguemestre.toml"
        domain = self.space.operator("alpha")["domain"]
        marie = self.space.person("alpha")
        structure = self.space.application("alpha")["structure"]
        for arguments, status, said in (
            (["create", marie["mailbox"], "--kind", "PER", "--holder", marie["id"]], 1, "exists"),
            (["create", "x@ailleurs.mssante.fr", "--kind", "PER", "--holder", marie["id"]], 1, "domain"),
            (["create", f"x@{domain}", "--kind", "PER", "--holder", structure], 1, "national identifier"),
            (["create", f"x@{domain}", "--kind", "ORG", "--holder", marie["id"]], 1, "structure"),
            (["create", "pas une adresse", "--kind", "PER", "--holder", marie["id"]], 2, "address"),
            (["create", f"x@{domain}", "--kind", "XXX", "--holder", marie["id"]], 2, "kind"),
            (["show", f"personne@{domain}"], 1, "no mailbox"),
            (["grant", f"personne@{domain}", "--person", marie["id"], "--role", "member"], 1, "no mailbox"),
            (["grant", self.space.application("alpha")["mailbox"], "--person", marie["id"], "--role", "member"], 1, "APP"),
            (["grant", marie["mailbox"], "--person", marie["id"], "--role", "member"], 1, "PER"),
            (["grant", marie["mailbox"], "--person", "12", "--role", "delegate"], 2, "person"),
            (["grant", marie["mailbox"], "--person", marie["id"], "--role", "delegate", "--until", "2020-01-01"], 1, "--until"),
            (["grant", marie["mailbox"], "--person", marie["id"], "--role", "delegate", "--until", "demain"], 2, "2027"),
            (["revoke", marie["mailbox"], "--person", marie["id"]], 1, "no right"),
            (["delete", marie["mailbox"]], 1, "--yes"),
        ):
            with self.subTest(arguments=arguments):
                done = mailbox(config, *arguments, ok=None)
                self.assertEqual(done.returncode, status, done.stderr)
                self.assertIn(said, done.stderr)
                self.assertEqual(done.stdout, "")
        self.assertTrue(opens(self.space, marie["id"], marie["mailbox"]), "nothing of it changed anything")

    def test_two_servers_on_one_folder(self):
        config = self.space.folder / "alpha/vaguemestre.toml"
        folder = config.parent / "second"
        folder.mkdir()
        # ports of its own: what must stop it is the store
        text = edited(config.read_text(), {f"listen.{entrance}": '"127.0.0.1:0"' for entrance in serve.ENTRANCES}
                      | {"monitoring.listen": '"127.0.0.1:0"', "operator.data": '"../data"', "tls.certificate": '"../../pki/alpha.pem"', "tls.key": '"../../pki/alpha.key"',
                         "trust.anchors": '"../../pki/ca.pem"', "psc.anchors": '"../../pki/ca.pem"',
                         "psc.introspection.client_secret_file": '"../../psc/client-secret"'})
        second = folder / "vaguemestre.toml"
        second.write_text(text)
        done = run(BINARY, "serve", "--config", second, ok=False, timeout=PATIENCE)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "another server uses .*alpha/data/store|another server uses .*data/store")
        # with the same ports it is told of the port
        done = run(BINARY, "serve", "--config", config, ok=False, timeout=PATIENCE)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot listen on", done.stderr)
        # and a second sandbox is told of the folder
        done = run(BINARY, "sandbox", "--dir", self.space.folder, ok=False, timeout=PATIENCE)
        self.assertEqual(done.returncode, 1)
        self.assertIn(str(self.space.folder), done.stderr)
        self.assertTrue((self.space.folder / "sandbox.json").exists())
        marie = self.space.person("alpha")
        self.assertTrue(opens(self.space, marie["id"], marie["mailbox"]), "the first one works on")

    def test_an_operator_alone_stops_cleanly_and_keeps_its_mail(self):
        marie = self.space.person("alpha")
        address = f"seule@{self.space.operator('alpha')['domain']}"
        config = configuration(self.space, "alpha")
        # before the server was ever started
        mailbox(config, "create", address, "--kind", "PER", "--holder", marie["id"])
        server = Server(config)
        self.addCleanup(server.close)
        response = b64(xoauth2(address, self.space.token(marie["id"], "--ttl", "600s")))
        word = uuid.uuid4().hex
        with serve.smtp(self.space, server) as wire:
            self.assertEqual(wire.smtp(f"AUTH XOAUTH2 {response}")[0], 235)
            wire.smtp(f"MAIL FROM:<{address}>")
            self.assertEqual(wire.smtp(f"RCPT TO:<{address}>")[0], 250)
            wire.smtp("DATA")
            self.assertEqual(wire.smtp(f"From: {address}\r\nSubject: {word}\r\n\r\nA garder.\r\n.")[0], 250)
        for how in (signal.SIGTERM, signal.SIGINT):
            idle = serve.imap(self.space, server)
            self.assertIn(b" OK ", idle.imap(f"AUTHENTICATE XOAUTH2 {response}")[-1])
            self.assertEqual(server.stop(how), 0)
            # the session under way was told
            self.assertTrue(idle.rest().startswith(b"* BYE "))
            idle.close()
            server.start()
            with serve.imap(self.space, server) as wire:
                wire.imap(f"AUTHENTICATE XOAUTH2 {response}")
                wire.imap("SELECT INBOX")
                self.assertEqual(wire.imap(f"SEARCH SUBJECT {word}")[0], b"* SEARCH 1\r\n")

    def test_the_log_as_json_names_nobody(self):
        config = configuration(self.space, "alpha")
        marie = self.space.person("alpha")
        address = f"journal@{self.space.operator('alpha')['domain']}"
        mailbox(config, "create", address, "--kind", "PER", "--holder", marie["id"])
        os.environ["RUST_LOG"] = "debug"
        try:
            server = Server(config)
        finally:
            del os.environ["RUST_LOG"]
        self.addCleanup(server.close)
        token = self.space.token(marie["id"])
        with serve.imap(self.space, server) as wire:
            self.assertIn(b" OK ", wire.imap("AUTHENTICATE XOAUTH2 " + b64(xoauth2(address, token)))[-1])
            wire.imap("SELECT INBOX")
            wire.imap('APPEND INBOX {25+}\r\nSubject: COURRIER-ESSAI\r\n\r\n'[:-2])
        with serve.smtp(self.space, server) as wire:
            wire.smtp("AUTH XOAUTH2 " + b64(xoauth2(address, self.space.token(marie["id"], "--expired"))))
            wire.smtp("")
        self.assertEqual(server.stop(), 0)
        log = server.log.read_text()
        for secret in (token, token.split(".")[2], b64(xoauth2(address, token)), marie["id"], address, "COURRIER-ESSAI",
                       self.space.json["psc"]["client_secret"]):
            self.assertNotIn(secret, log)


class WithoutTheSandbox(unittest.TestCase):
    """What the operator depends on is down."""

    def test_an_operator_starts_though_everything_around_is_down(self):
        space = Space(folder=tempfile.mkdtemp(prefix="vaguemestre-"))
        self.addCleanup(shutil.rmtree, space.folder, ignore_errors=True)
        marie, sophie = space.person("alpha"), space.person("beta")
        token = space.token(sophie["id"], "--ttl", "600s")
        self.assertEqual(space.stop(), 0)
        # its own data folder: beta goes by the keys of PSC, and has the last good white list
        with open(space.folder / "serve.log", "wb") as log:
            process = subprocess.Popen([BINARY, "serve", "--config", str(space.folder / "beta/vaguemestre.toml")],
                                       stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            line = process.stdout.readline()
            self.assertIn("is up", line, (space.folder / "serve.log").read_text())
            with imap_wire(space, "beta") as wire:
                # PSC cannot be asked for its keys: not the client's fault (LPS-ERR)
                answer = wire.imap("AUTHENTICATE XOAUTH2 " + b64(xoauth2(sophie["mailbox"], token)))[-1]
                self.assertRegex(answer, rb"^w\d+ NO \[UNAVAILABLE\]")
            # another operator is checked against the last good lists
            alpha = space.operator("alpha")
            with smtp_wire(space, "beta", "mx", certificate=alpha["certificate"], key=alpha["key"]) as wire:
                self.assertEqual(wire.smtp(f"MAIL FROM:<{marie['mailbox']}>")[0], 250)
                self.assertEqual(wire.smtp(f"RCPT TO:<{sophie['mailbox']}>")[0], 250)
                self.assertEqual(wire.smtp("DATA")[0], 354)
                self.assertEqual(wire.smtp(f"From: {marie['mailbox']}\r\nSubject: seul\r\n\r\nBonjour.\r\n.")[0], 250)
            bad = space.json["negative"]["revoked"]
            with smtp_wire(space, "beta", "mx", certificate=bad["certificate"], key=bad["key"]) as wire:
                self.assertEqual(wire.smtp(f"MAIL FROM:<{marie['mailbox']}>")[0], 550)
        finally:
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(PATIENCE), 0)
            process.stdout.close()
        # and what it took is there when the sandbox is back, on the same ports
        before = space.json
        space.start()
        try:
            self.assertEqual(space.json["operators"], before["operators"])
            reader = space.imap(sophie)
            reader.select()
            self.assertEqual(len(reader.search(None, "SUBJECT", "seul")[1][0].split()), 1)
            reader.logout()
        finally:
            self.assertEqual(space.stop(), 0)


class Sandbox(unittest.TestCase):
    def space(self, *arguments):
        space = Space(*arguments, folder=tempfile.mkdtemp(prefix="vaguemestre-"))
        self.addCleanup(shutil.rmtree, space.folder, ignore_errors=True)
        self.addCleanup(space.stop)
        return space

    def test_ctrl_c_stops_it_cleanly(self):
        space = self.space()
        held = imap_wire(space, "alpha")
        space.process.send_signal(signal.SIGINT)
        self.assertEqual(space.process.wait(PATIENCE), 0)
        self.assertFalse((space.folder / "sandbox.json").exists())
        self.assertTrue(held.rest().startswith(b"* BYE "))
        held.close()
        self.assertIn("Stopping.", space.output())
        self.assertNotIn("panicked", space.output())

    def test_a_restart_keeps_mail_mailboxes_ports_and_certificates(self):
        space = self.space()
        marie, paul = space.person("alpha"), space.person("alpha", index=1)
        word = uuid.uuid4().hex
        with space.smtp(marie) as smtp:
            smtp.sendmail(marie["mailbox"], [paul["mailbox"]], f"From: {marie['mailbox']}\r\nSubject: {word}\r\n\r\nBonjour.\r\n")
        reader = space.imap(paul)
        reader.select()
        reader.store("1", "+FLAGS", "(\\Flagged)")
        validity = reader.response("UIDVALIDITY")[1]
        reader.logout()
        config = space.folder / "alpha/vaguemestre.toml"
        new = f"nouvelle@{space.operator('alpha')['domain']}"
        mailbox(config, "create", new, "--kind", "PER", "--holder", paul["id"])
        before, authority = space.json, space.ca.read_bytes()
        token = space.token(paul["id"], "--ttl", "600s")
        for how in ("stop", "kill"):
            self.assertIn(getattr(space, how)(), (0, None))
            # MSS-14, MSS-19: when somebody last came is known for good
            shown = json.loads(mailbox(config, "show", paul["mailbox"], "--json").stdout)
            self.assertRegex(shown["last_authentication"], r"^20\d\d-\d\d-\d\dT")
            space.start()
            now = dict(space.json)
            self.assertNotEqual(now.pop("pid"), before["pid"])
            self.assertEqual(now, {k: v for k, v in before.items() if k != "pid"})
            self.assertEqual(space.ca.read_bytes(), authority)
            reader = space.imap(paul, token=token)
            self.assertEqual(reader.select()[1], [b"1"])
            self.assertEqual(reader.response("UIDVALIDITY")[1], validity)
            self.assertIn(b"\\Flagged", reader.fetch("1", "(FLAGS)")[1][0])
            self.assertIn(word.encode(), reader.fetch("1", "(BODY.PEEK[HEADER])")[1][0][1])
            reader.logout()
            self.assertTrue(opens(space, paul["id"], new))

    def test_the_description_keeps_its_contract(self):
        # issue 2: sandbox.json
        space = self.space()
        described = space.json
        self.assertEqual(described["version"], 1)
        for path in (("pki", "ca"), ("pki", "crl_url"), ("dns", "host"), ("dns", "port"), ("white_list",)):
            value = described
            for key in path:
                value = value[key]
            self.assertTrue(value, path)
        for key in ("issuer", "discovery", "jwks_uri", "token_endpoint", "introspection_endpoint", "userinfo_endpoint", "client_id",
                    "client_secret"):
            self.assertTrue(described["psc"][key], key)
        self.assertGreaterEqual(len(described["operators"]), 2)
        for operator in described["operators"]:
            for entrance in ("imap", "submission", "imap_app", "submission_app", "mx"):
                self.assertGreater(operator[entrance]["port"], 0)
            kinds = [p["kind"] for p in described["people"] if p["operator"] == operator["name"]]
            self.assertGreaterEqual(kinds.count("PER"), 2)
            self.assertGreaterEqual(kinds.count("ORG"), 1)
            application = space.application(operator["name"])
            self.assertEqual(application["kind"], "APP")
            for file in ("certificate", "key"):
                self.assertFalse(Path(application[file]).is_absolute())
                self.assertTrue((space.folder / application[file]).exists())
        self.assertEqual((space.folder / "sandbox.json").stat().st_mode & 0o077, 0, "it holds a secret")
        discovery = json.loads(run("curl", "-sSf", "--cacert", space.ca, described["psc"]["discovery"]).stdout)
        for key in ("issuer", "jwks_uri", "token_endpoint", "introspection_endpoint", "userinfo_endpoint"):
            self.assertEqual(discovery[key], described["psc"][key])
        # only on loopback
        listening = run("ss", "-H", "-tlnup").stdout if shutil.which("ss") else ""
        for line in listening.splitlines():
            if f"pid={described['pid']}," in line:
                self.assertRegex(line.split()[4], r"^127\.")

    def test_a_port_base_gives_the_documented_ports(self):
        base = 16_000 + os.getpid() % 3_900
        space = self.space("--port-base", str(base))
        alpha, beta = space.operator("alpha"), space.operator("beta")
        self.assertEqual(space.json["dns"]["port"], base)
        self.assertEqual([alpha[e]["port"] for e in ("imap", "submission", "imap_app", "submission_app")], [base + n for n in range(10, 14)])
        self.assertEqual([beta[e]["port"] for e in ("imap", "submission", "imap_app", "submission_app")], [base + n for n in range(20, 24)])
        self.assertEqual({alpha["mx"]["port"], beta["mx"]["port"]}, {base + 4})
        with tempfile.TemporaryDirectory() as folder:
            done = run(BINARY, "sandbox", "--dir", folder, "--port-base", str(base), "--no-self-check", ok=False, timeout=PATIENCE)
            self.assertEqual(done.returncode, 1)
            self.assertIn(str(base), done.stderr)
            self.assertIn("--port-base", done.stderr)

    def test_the_self_check_tells_of_one_exchange(self):
        folder = Path(tempfile.mkdtemp(prefix="vaguemestre-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        with open(folder / "output.log", "wb") as log:
            process = subprocess.Popen([BINARY, "sandbox", "--dir", str(folder)], stdout=log, stderr=subprocess.STDOUT)
        try:
            told = wait_for("the self-check", lambda: (text := (folder / "output.log").read_text()) and "Ctrl-C" in text and text)
            self.assertIn("Self-check: ", told)
            checked = told.split("Self-check: ", 1)[1]
            # who wrote to whom, the TLS suite, the certificates' DNs, how long
            self.assertRegex(checked, r"@alpha\.formation\.mssante\.fr")
            self.assertRegex(checked, r"@beta\.formation\.mssante\.fr")
            self.assertRegex(checked, r"TLS_\w+")
            self.assertRegex(checked, r"OU=1750000001")
            self.assertRegex(checked, r"\d+ ms")
        finally:
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(PATIENCE), 0)


if __name__ == "__main__":
    main()
