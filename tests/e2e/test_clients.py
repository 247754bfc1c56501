"""Mail programs and libraries that people use, against the server: mbsync, offlineimap, neomutt, ImapFlow, curl, imaplib.

What one of them did is asserted on what another sees. mbsync comes with a certificate, into a BAL APP: Debian has no XOAUTH2 for its SASL.
"""

import base64
import datetime
import email.policy
import fcntl
import json
import os
import pty
import re
import select
import subprocess
import termios
import struct
import time
import unittest
from email.message import EmailMessage
from pathlib import Path

from npm import modules
from space import BINARY, ROOT, SpaceTest, main, run

DATE = datetime.datetime(2026, 6, 15, 12, 0, tzinfo=datetime.timezone.utc)
# What a program may take for a session, on a loaded machine, in seconds.
SESSION = 90


def message(name, text="Bonjour à tous.\n", sender="Labo <labo@exemple.test>", attached=True):
    mail = EmailMessage(policy=email.policy.SMTP)
    mail["From"], mail["To"], mail["Subject"] = sender, "marie@exemple.test", f"Résultat {name}"
    mail["Date"], mail["Message-ID"] = "Mon, 15 Jun 2026 10:00:00 +0200", f"<{name}.clients@exemple.test>"
    mail.set_content(text, cte="quoted-printable")
    if attached:
        mail.add_attachment(b"%PDF\x00\xff" * 20, maintype="application", subtype="pdf", filename="été.pdf")
        mail.set_boundary("limite")
    return mail.as_bytes()


def maildir(folder):
    """What lies in a Maildir: {Message-ID: flags}."""
    found = {}
    for kind in ("new", "cur"):
        for file in (folder / kind).iterdir():
            name = re.search(rb"Message-ID: <(.*?)\.clients@", file.read_bytes(), re.I)
            found[name[1].decode()] = "".join(sorted(file.name.partition(":2,")[2])) if ":2," in file.name else ""
    return found


def place(folder, name, octets, flags=None):
    """A message into a Maildir, as a mail program puts it there."""
    for kind in ("new", "cur", "tmp"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    place.count += 1
    file = f"{int(time.time())}.M{place.count}P{os.getpid()}.ici"
    (folder / ("new" if flags is None else "cur") / (file if flags is None else f"{file}:2,{flags}")).write_bytes(octets.replace(b"\r\n", b"\n"))


place.count = 0


def local(folder, name):
    """The file of a message in a Maildir."""
    return next(file for kind in ("new", "cur") for file in (folder / kind).iterdir() if f"<{name}.clients@".encode() in file.read_bytes())


def reflag(folder, name, flags):
    file = local(folder, name)
    file.rename(folder / "cur" / f"{file.name.partition(':2,')[0]}:2,{flags}")


class Clients(SpaceTest):
    def ok(self, answer):
        self.assertEqual(answer[0], "OK", answer)
        return answer[1]

    def seen(self, connection, folder):
        """What lies in a folder on the server: {name: flags}, and its state as one text."""
        self.ok(connection.select(f'"{folder}"', readonly=True))
        rows = connection.uid("FETCH", "1:*", "(FLAGS MODSEQ INTERNALDATE BODY.PEEK[HEADER.FIELDS (Message-ID)])")[1]
        found, state = {}, []
        for row in rows:
            if isinstance(row, tuple):
                name = re.search(rb"<(.*?)\.clients@", row[1])[1].decode()
                flags = re.search(rb"FLAGS \((.*?)\)", row[0])[1].decode().split()
                found[name] = sorted(flag for flag in flags if flag != "\\Recent")
                state.append(row[0].decode())
        connection.unselect()
        return found, state

    def folders(self, connection):
        listed = self.ok(connection.list())
        return {re.search(rb'(?:"([^"]*)"|(\S+))$', line)[0].decode().strip('"') for line in listed}

    def snapshot(self, connection):
        return {folder: self.seen(connection, folder)[1] for folder in sorted(self.folders(connection))}

    # --- mbsync ------------------------------------------------------------------------------------------------------

    def test_mbsync_both_ways(self):
        application = self.space.application("alpha")
        server = self.space.imap_application(application)
        for name in ("a", "b", "c", "d"):
            self.ok(server.append("INBOX", "", DATE, message(name)))
        accented = "&AMk-t&AOk-"
        self.ok(server.create(f'"{accented}"'))
        self.ok(server.append(f'"{accented}"', "(\\Seen)", DATE, message("e")))

        mail = self.space.folder / "mbsync"
        mail.mkdir()
        where = self.space.operator("alpha")["imap_app"]
        configuration = self.space.folder / "mbsync.rc"
        configuration.write_text(f"""
IMAPAccount labo
Host {where['host']}
Port {where['port']}
User {application['mailbox']}
SSLType STARTTLS
CertificateFile {self.space.folder / self.space.operator("alpha")["certificate"]}
SystemCertificates no
ClientCertificate {self.space.folder / application['certificate']}
ClientKey {self.space.folder / application['key']}
AuthMechs EXTERNAL

IMAPStore remote
Account labo

MaildirStore local
Path {mail}/
Inbox {mail}/INBOX
SubFolders Verbatim

Channel labo
Far :remote:
Near :local:
Patterns *
Create Both
Expunge Both
Sync All
CopyArrivalDate yes
SyncState *
""")

        def sync():
            run("mbsync", "-c", configuration, "labo", timeout=SESSION)
        sync()
        self.assertEqual(set(maildir(mail / "INBOX")), {"a", "b", "c", "d"})
        self.assertEqual(maildir(mail / accented), {"e": "S"})
        self.assertIn("Sent", {folder.name for folder in mail.iterdir()})

        # here: answered and read; deleted; a new message in Sent; a new folder. There: flagged, expunged, new.
        reflag(mail / "INBOX", "a", "RS")
        reflag(mail / "INBOX", "b", "T")
        place(mail / "Sent", "f", message("f"), "S")
        place(mail / "Ici", "g", message("g"))
        self.ok(server.select("INBOX"))
        uids = {name: self.ok(server.uid("SEARCH", "HEADER", "Message-ID", f"<{name}.clients"))[0].decode() for name in "acd"}
        self.ok(server.uid("STORE", uids["c"], "+FLAGS", "(\\Flagged)"))
        self.ok(server.uid("STORE", uids["d"], "+FLAGS", "(\\Deleted)"))
        self.ok(server.uid("EXPUNGE", uids["d"]))
        self.ok(server.unselect())
        self.ok(server.append("INBOX", "(\\Draft)", DATE, message("h")))
        sync()
        self.assertEqual(self.seen(server, "INBOX")[0], {"a": ["\\Answered", "\\Seen"], "c": ["\\Flagged"], "h": ["\\Draft"]})
        self.assertEqual(maildir(mail / "INBOX"), {"a": "RS", "c": "F", "h": "D"})
        self.assertEqual(self.seen(server, "Sent")[0], {"f": ["\\Seen"]})
        self.assertEqual(self.seen(server, "Ici")[0], {"g": []})
        self.ok(server.select("Sent", readonly=True))
        self.assertEqual(self.ok(server.fetch("1", "(BODY.PEEK[])"))[0][1].replace(b"\r\n", b"\n").split(b"\n\n", 1)[1],
                         message("f").replace(b"\r\n", b"\n").split(b"\n\n", 1)[1])
        self.ok(server.unselect())

        # nothing to do: nothing done
        before, files = self.snapshot(server), sorted(str(file) for file in mail.rglob("*:2,*"))
        sync()
        self.assertEqual(self.snapshot(server), before)
        self.assertEqual(sorted(str(file) for file in mail.rglob("*:2,*")), files)
        server.logout()

    # --- offlineimap -------------------------------------------------------------------------------------------------

    def test_offlineimap_both_ways(self):
        person = self.space.person("alpha")
        server = self.space.imap(person)
        for name in ("a", "b", "c", "d"):
            self.ok(server.append("INBOX", "", DATE, message(name)))
        self.ok(server.create('"&AMk-t&AOk-"'))
        self.ok(server.append('"&AMk-t&AOk-"', "(\\Seen)", DATE, message("e")))
        folder = self.space.folder / "offlineimap"
        mail = folder / "mail"
        mail.mkdir(parents=True)
        (folder / "token.py").write_text(f"""import subprocess
def token():
    return subprocess.run([{BINARY!r}, "sandbox", "token", "--dir", {str(self.space.folder)!r}, "--id", {person['id']!r}],
                          capture_output=True, text=True, check=True).stdout.strip()
""")
        where = self.space.operator("alpha")["imap"]
        configuration = folder / "offlineimaprc"
        configuration.write_text(f"""[general]
accounts = marie
metadata = {folder}/metadata
pythonfile = {folder}/token.py
socktimeout = 60
[Account marie]
localrepository = ici
remoterepository = serveur
utf8foldernames = yes
[Repository ici]
type = Maildir
localfolders = {mail}
[Repository serveur]
type = IMAP
remotehost = {where['host']}
remoteport = {where['port']}
ssl = no
starttls = yes
auth_mechanisms = XOAUTH2
remoteuser = {person['mailbox']}
oauth2_access_token_eval = token()
maxconnections = 2
""")

        # imaplib2 reads and writes one TLS connection from two threads, which Python 3.11 does not guard: with TLS 1.3, a session ticket
        # that comes while it sends its first command makes it wait for ever now and then. TLS 1.2 sends nothing by itself.
        tls = folder / "openssl.cnf"
        tls.write_text("openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = tls\n[tls]\nMaxProtocol = TLSv1.2\n")

        def sync():
            done = run("offlineimap", "-c", configuration, "-o", "-u", "basic", timeout=SESSION, env={**os.environ, "OPENSSL_CONF": str(tls)})
            self.assertNotIn("ERROR", done.stdout + done.stderr)
        sync()
        self.assertLessEqual({"a", "b", "c", "d"}, set(maildir(mail / "INBOX")))
        self.assertEqual(maildir(mail / "Été"), {"e": "S"})

        reflag(mail / "INBOX", "a", "FS")
        local(mail / "INBOX", "b").unlink()
        place(mail / "INBOX", "f", message("f"), "S")
        place(mail / "Là-bas", "g", message("g"), "")
        self.ok(server.select("INBOX"))
        uids = {name: self.ok(server.uid("SEARCH", "HEADER", "Message-ID", f"<{name}.clients"))[0].decode() for name in "cd"}
        self.ok(server.uid("STORE", uids["c"], "+FLAGS", "(\\Answered)"))
        self.ok(server.uid("MOVE", uids["d"], "Archive"))
        self.ok(server.create("Nouveau"))
        self.ok(server.append("Nouveau", "(\\Flagged)", DATE, message("h")))
        self.ok(server.unselect())
        sync()
        found = self.seen(server, "INBOX")[0]
        self.assertEqual({name: found.get(name) for name in "abcdf"},
                         {"a": ["\\Flagged", "\\Seen"], "b": None, "c": ["\\Answered"], "d": None, "f": ["\\Seen"]})
        self.assertEqual({name: flags for name, flags in maildir(mail / "INBOX").items() if name in "abcdf"}, {"a": "FS", "c": "R", "f": "S"})
        self.assertIn("d", maildir(mail / "Archive"))
        self.assertEqual(maildir(mail / "Nouveau"), {"h": "F"})
        self.assertEqual(self.seen(server, "L&AOA--bas")[0], {"g": []})

        before, files = self.snapshot(server), sorted(str(file) for file in mail.rglob("*:2,*"))
        sync()
        self.assertEqual(self.snapshot(server), before)
        self.assertEqual(sorted(str(file) for file in mail.rglob("*:2,*")), files)
        server.logout()

    # --- neomutt -----------------------------------------------------------------------------------------------------

    def neomutt(self, configuration, *arguments):
        """neomutt on a terminal of its own, to its end; what it wrote there."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        process = subprocess.Popen(["neomutt", "-n", "-F", str(configuration), *arguments], stdin=slave, stdout=slave, stderr=slave,
                                   start_new_session=True, env={**os.environ, "TERM": "xterm", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"})
        os.close(slave)
        screen, end = b"", time.monotonic() + SESSION
        try:
            while True:
                if select.select([master], [], [], 0.2)[0]:
                    try:
                        octets = os.read(master, 65536)
                    except OSError:
                        break
                    if not octets:
                        break
                    screen += octets
                elif process.poll() is not None:
                    break
                if time.monotonic() > end:
                    raise AssertionError(f"neomutt does not end; its screen: {screen[-3000:]!r}")
        finally:
            if process.poll() is None and time.monotonic() > end:
                process.kill()
            process.wait(SESSION)
            os.close(master)
        self.assertEqual(process.returncode, 0, screen[-3000:])
        return screen

    def test_neomutt_reads_flags_and_keeps_what_was_sent(self):
        person = self.space.person("alpha", index=1)
        server = self.space.imap(person)
        for name in ("a", "b", "c", "d"):
            self.ok(server.append("INBOX", "", DATE, message(name)))
        folder = self.space.folder / "neomutt"
        for name in ("cache", "bodies"):
            (folder / name).mkdir(parents=True)
        where = self.space.operator("alpha")["imap"]
        base = f"imap://{where['host']}:{where['port']}"
        configuration = folder / "muttrc"
        configuration.write_text(f"""
set imap_user="{person['mailbox']}" imap_authenticators="xoauth2"
set imap_oauth_refresh_command="{BINARY} sandbox token --dir {self.space.folder} --id {person['id']}"
set ssl_starttls=yes ssl_force_tls=yes ssl_ca_certificates_file="{self.space.ca}" ssl_usesystemcerts=no certificate_file="{folder}/certificates"
set folder="{base}/" spoolfile="{base}/INBOX" record="{base}/Sent" postponed="{base}/Drafts" trash=""
set header_cache="{folder}/cache" message_cachedir="{folder}/bodies" imap_condstore=yes imap_qresync=yes
set from="{person['mailbox']}" realname="Paul" use_envelope_from=no sendmail="/bin/true" sendmail_wait=0 copy=yes charset="utf-8"
set confirmappend=no confirmcreate=no delete=yes move=no quit=yes mark_old=no wait_key=no sleep_time=0 pipe_split=yes pipe_decode=no
set abort_nosubject=no abort_unmodified=no autoedit=yes edit_headers=yes timeout=5 mail_check=5 sort=mailbox-order collapse_all=no resume_draft_files=yes
set tmpdir="{folder}" debug_level=3 debug_file="{folder}/debug"
""")
        # Read a (its text lands in a file), flag b, delete c, copy d to Archive.
        keys = (f"<search>~s 'sultat a'<enter><display-message><exit><pipe-message>cat > {folder}/read<enter>"
                "<search>~s 'sultat b'<enter><flag-message><search>~s 'sultat d'<enter><copy-message>=Archive<enter>"
                "<search>~s 'sultat c'<enter><delete-message><sync-mailbox><quit>")
        self.neomutt(configuration, "-f", f"{base}/INBOX", "-e", f'push "{keys}"')
        self.assertEqual((folder / "read").read_bytes().replace(b"\r\n", b"\n").split(b"\n\n", 1)[1],
                         message("a").replace(b"\r\n", b"\n").split(b"\n\n", 1)[1])
        found = self.seen(server, "INBOX")[0]
        self.assertEqual(found["b"], ["\\Flagged"])
        self.assertIn("\\Seen", found["a"])
        self.assertNotIn("c", found)
        self.assertIn("d", self.seen(server, "Archive")[0])

        # Sent: the copy lies in Sent.
        editor = folder / "editor"
        editor.write_text("#!/bin/sh\ncat > \"$1\" <<END\nFrom: Paul <paul@exemple.test>\nTo: labo@exemple.test\nSubject: Envoyé\n\nCorps accentué : été\nEND\n")
        editor.chmod(0o755)
        self.neomutt(configuration, "-f", f"{base}/INBOX", "-e", f'set editor="{editor}"', "-e", 'push "<mail><send-message><quit>"')
        self.ok(server.select("Sent", readonly=True))
        self.assertEqual(len(self.ok(server.search(None, "SEEN", "FROM", '"Paul"'))[0].split()), 1)
        self.assertEqual(self.ok(server.search(None, "SUBJECT", "Envoy", "BODY", "accentu"))[0], b"1")
        self.ok(server.unselect())

        # Meanwhile another program flags a, expunges d, adds e: QRESYNC tells it on top of the header cache.
        self.ok(server.select("INBOX"))
        uids = {name: self.ok(server.uid("SEARCH", "HEADER", "Message-ID", f"<{name}.clients"))[0].decode() for name in "abd"}
        self.ok(server.uid("STORE", uids["a"], "+FLAGS", "(\\Flagged)"))
        self.ok(server.uid("STORE", uids["b"], "-FLAGS", "(\\Flagged)"))
        self.ok(server.uid("STORE", uids["d"], "+FLAGS.SILENT", "(\\Deleted)"))
        self.ok(server.uid("EXPUNGE", uids["d"]))
        self.ok(server.append("INBOX", "(\\Flagged)", DATE, message("e")))
        keys = (f"<tag-pattern>~A<enter><tag-prefix><pipe-message>cat >> {folder}/all<enter><untag-pattern>~A<enter>"
                f"<tag-pattern>~F<enter><tag-prefix><pipe-message>cat >> {folder}/flagged<enter><quit>")
        for file in folder.glob("debug*"):
            file.unlink()
        self.neomutt(configuration, "-R", "-f", f"{base}/INBOX", "-e", f'push "{keys}"')

        def names(file):
            return sorted(re.findall(r"<(\w+)\.clients@", (folder / file).read_text(errors="replace")))
        self.assertEqual(names("all"), sorted(self.seen(server, "INBOX")[0]))
        self.assertEqual(names("flagged"), ["a", "e"])
        said = "".join(file.read_text(errors="replace") for file in folder.glob("debug*"))
        # It asks by UID FETCH, not by SELECT; with Dovecot too it then distrusts its own numbers and reads the flags once more.
        self.assertRegex(said, r'EXAMINE "INBOX" \(CONDSTORE\)(?s:.*)UID FETCH 1:4 \(FLAGS\) \(CHANGEDSINCE \d+ VANISHED\)')
        self.assertIn("cmd_parse_vanished() Handling VANISHED", said)
        self.assertIn("Expunging message UID 4", said)
        server.logout()

    # --- ImapFlow ----------------------------------------------------------------------------------------------------

    def imapflow(self, person, folder, octets, **options):
        where = self.space.operator(person["operator"])["imap"]
        asked = {"host": where["host"], "port": where["port"], "user": person["mailbox"], "token": self.space.token(person["id"]), "ca": str(self.space.ca),
                 "folder": folder, "message": base64.b64encode(octets).decode(), "options": options}
        done = run("node", ROOT / "tests/e2e/node/session.js", input=json.dumps(asked), timeout=SESSION, env={**os.environ, "NODE_PATH": str(modules("node"))})
        return json.loads(done.stdout)

    def test_imapflow_session(self):
        self.imapflow_session("flow")

    def test_imapflow_session_of_rev1_without_compression(self):
        told = self.imapflow_session("flow1", disableIMAP4rev2=True, disableCompression=True)
        self.assertNotIn("IMAP4rev2", told["enabled"])
        self.assertFalse(told["compressed"])

    def imapflow_session(self, folder, **options):
        person = self.space.person("beta")
        octets = message(folder)
        told = self.imapflow(person, folder, octets, **options)
        self.assertTrue(told["secure"])
        announced = {name.upper() for name in told["capabilities"]}
        self.assertLessEqual({"CONDSTORE", "QRESYNC"}, set(told["enabled"]))
        if not options:
            self.assertTrue(told["compressed"])
            for name in ("IMAP4REV2", "UTF8=ACCEPT"):
                self.assertEqual(name in {e.upper() for e in told["enabled"]}, name in announced)
        self.assertEqual({use: name for name, use in told["specialUse"].items() if use != "\\Inbox"},
                         {f"\\{name}": name for name in ("Archive", "Drafts", "Junk", "Sent", "Trash")})
        self.assertTrue(told["created"]["created"])
        self.assertTrue(told["created"].get("mailboxId"), told["created"])
        self.assertEqual([one["uid"] for one in told["appended"]], [1, 2, 3])
        self.assertEqual(told["exists"], 3)

        one = told["fetched"][0]
        self.assertEqual(one["envelope"]["subject"], f"Résultat {folder}")
        self.assertEqual(one["envelope"]["from"], [{"name": "Labo", "address": "labo@exemple.test"}])
        self.assertEqual(one["envelope"]["messageId"], f"<{folder}.clients@exemple.test>")
        self.assertEqual(one["size"], len(octets))
        self.assertEqual(one["internalDate"], "2026-06-15T10:00:00.000Z")
        self.assertEqual([fetched["flags"] for fetched in told["fetched"]], [["\\Seen"], [], ["\\Flagged", "$Traite"]])
        structure = one["bodyStructure"]
        self.assertEqual((structure["type"], [part["type"] for part in structure["childNodes"]]), ("multipart/mixed", ["text/plain", "application/pdf"]))
        self.assertEqual(structure["childNodes"][1]["dispositionParameters"]["filename"], "été.pdf")
        self.assertIn("Bonjour =C3=A0 tous.", one["bodyParts"]["1"])
        self.assertIn("Content-Disposition: attachment", one["bodyParts"]["2.mime"])
        self.assertIn("Subject: =?utf-8?", one["headers"])
        self.assertEqual(one["source"].encode(), octets[:20])
        self.assertTrue(one["emailId"] and one["threadId"], one)
        self.assertEqual(len({fetched["threadId"] for fetched in told["fetched"]}), 1)
        self.assertEqual((told["decoded"].replace("\r\n", "\n"), told["decodedType"], told["whole"]), ("Bonjour à tous.\n", "text/plain", True))
        self.assertEqual(base64.b64decode(told["attachment"]), b"%PDF\x00\xff" * 20)

        searched = told["searched"]
        # one message appended three times may be one or three e-mails (RFC 8474 §5.1)
        self.assertIn(2, searched.pop("emailId"))
        self.assertEqual(searched, {"all": [1, 2, 3], "seen": [1], "flagged": [3], "subject": [1, 2, 3], "body": [1, 2, 3], "or": [1, 3], "since": [],
                                    "modseq": 3, "threadId": [1, 2, 3]})
        self.assertEqual((told["status"]["messages"], told["status"]["unseen"], told["status"]["uidNext"]), (3, 2, 4))
        self.assertEqual(bool(told["quota"]), "QUOTA" in announced, told["quota"])

        self.assertEqual((told["arrived"]["count"], told["arrived"]["prevCount"]), (4, 3))
        self.assertEqual((told["flagged"]["seq"], sorted(told["flagged"]["flags"])), (2, ["\\Answered"]))
        self.assertEqual((told["gone"]["vanished"], told["gone"]["uid"]), (True, 1))
        self.assertEqual(told["changed"], [3])
        self.assertEqual([(one["uid"], one["earlier"]) for one in told["vanished"]], [(1, True), (2, False)])
        # ImapFlow 1.7.7 puts UNCHANGEDSINCE behind the flags, where the grammar of RFC 7162 §7 has no place for it: BAD, and nothing stored.
        self.assertFalse(told["refused"])
        self.assertFalse(any("\\Deleted" in one["flags"] for one in told["afterRefused"]), told["afterRefused"])
        self.assertEqual(told["renamed"]["newPath"], f"{folder} été & cie")
        self.assertEqual((told["copied"]["uidMap"].keys(), told["moved"]["uidMap"].keys()), ({"3", "4"}, {"3"}))
        self.assertEqual(told["left"], 1)

        # the same by imaplib
        server = self.space.imap(person)
        encoded = f"{folder} &AOk-t&AOk- &- cie"
        self.assertEqual(self.seen(server, encoded)[0], {folder: ["$Fini", "\\Seen"]})
        self.assertIn(folder, self.seen(server, "Trash")[0])
        self.assertEqual(len([name for name in self.seen(server, "Archive")[1] if name]) % 2, 0)
        self.assertIn(encoded.encode(), b"\n".join(self.ok(server.lsub())))
        self.assertNotIn(folder, self.folders(server))
        server.logout()
        return told

    # --- curl and imaplib --------------------------------------------------------------------------------------------

    def test_curl_appends_and_searches(self):
        person = self.space.person("beta", index=1)
        where = self.space.operator("beta")["imap"]
        curl = ["curl", "-sS", "--ssl-reqd", "--cacert", self.space.ca, "--user", f"{person['mailbox']}:", "--oauth2-bearer", self.space.token(person["id"])]
        base = f"imap://{where['host']}:{where['port']}"
        file = self.space.folder / "curl.eml"
        file.write_bytes(message("curl"))
        run(*curl, base, "-X", 'CREATE "avec curl"')
        run(*curl, "-T", file, f"{base}/avec%20curl")
        self.assertRegex(run(*curl, f"{base}/avec%20curl?SUBJECT%20curl").stdout, r"\* SEARCH 1\s")
        fetched = subprocess.run([str(part) for part in [*curl, f"{base}/avec%20curl;UID=1"]], capture_output=True, check=True, timeout=SESSION).stdout
        self.assertEqual(fetched, message("curl"))
        self.assertEqual(run(*curl, f"{base}/avec%20curl;UID=1;SECTION=HEADER.FIELDS%20(Message-ID)").stdout.strip(), "Message-ID: <curl.clients@exemple.test>")
        self.assertIn("avec curl", run(*curl, f"{base}/").stdout)
        # without TLS nobody gets in, and without the authority neither
        self.assertEqual(run(*[part for part in curl if part != "--ssl-reqd"], base, "-X", "NOOP", ok=None, timeout=SESSION).returncode in (67, 94), True)
        self.assertEqual(run("curl", "-sS", "--ssl-reqd", base, ok=None).returncode, 60)
        server = self.space.imap(person)
        self.assertEqual(self.seen(server, "avec curl")[0], {"curl": ["\\Seen"]})
        server.logout()

    def test_imaplib_with_utf8(self):
        person = self.space.person("beta", index=1)
        plain, wide = self.space.imap(person), self.space.imap(person)
        self.ok(wide.enable("UTF8=ACCEPT"))
        self.assertTrue(wide.utf8_enabled)
        self.ok(wide.create('"hiver & été"'))
        self.assertIn("hiver & été".encode(), b"\n".join(self.ok(wide.list())))
        self.assertIn("hiver &- &AOk-t&AOk-", self.folders(plain))
        self.ok(plain.append('"hiver &- &AOk-t&AOk-"', "", DATE, message("large")))
        self.assertEqual(self.ok(wide.select('"hiver & été"')), [b"1"])
        self.assertEqual(self.ok(wide.uid("SEARCH", "SUBJECT", '"Résultat"')), [b"1"])
        # ENVELOPE as it stands in the message: encoded words are the client's to read
        self.assertIn(b"=?utf-8?", b"".join(part if isinstance(part, bytes) else b"".join(part) for part in self.ok(wide.fetch("1", "(ENVELOPE)"))))
        self.ok(wide.close())
        self.ok(wide.rename('"hiver & été"', '"printemps — 春"'))
        self.assertIn("printemps &IBQ- &ZiU-", self.folders(plain))
        plain.logout()
        wide.logout()


if __name__ == "__main__":
    main()
