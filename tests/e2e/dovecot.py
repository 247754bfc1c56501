"""A Dovecot of Debian in a folder of its own, on free loopback ports: any user, any password, Maildir, TLS with a certificate made here."""

import os
import pwd
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from imaplib import IMAP4_SSL
from pathlib import Path

from space import PATIENCE, free_port, run, wait_for

PROGRAM = "/usr/sbin/dovecot"


def present():
    return os.path.exists(PROGRAM) and os.path.exists("/usr/lib/dovecot/imap") and os.geteuid() == 0


class Dovecot:
    def __init__(self, layout="", namespace=""):
        """layout: what follows the Maildir's path in mail_location; namespace: more lines for its one namespace."""
        self.folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
        self.folder.chmod(0o755)
        user = pwd.getpwnam("mail")
        (self.folder / "mail").mkdir(mode=0o700)
        os.chown(self.folder / "mail", user.pw_uid, user.pw_gid)
        self.ca, key = self.folder / "certificate.pem", self.folder / "key.pem"
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-addext",
            "subjectAltName=DNS:localhost", "-days", "2", "-keyout", key, "-out", self.ca)
        self.port = free_port()
        base = self.folder
        (base / "dovecot.conf").write_text(f"""protocols = imap
base_dir = {base}/run
state_dir = {base}/state
log_path = {base}/dovecot.log
ssl = required
ssl_cert = <{self.ca}
ssl_key = <{key}
mail_location = maildir:{base}/mail/%n{layout}
first_valid_uid = 1
first_valid_gid = 1
userdb {{
  driver = static
  args = uid={user.pw_uid} gid={user.pw_gid} home={base}/mail/%n
}}
passdb {{
  driver = static
  args = password=secret
}}
namespace inbox {{
  inbox = yes
{namespace}}}
service imap-login {{
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    address = 127.0.0.1
    port = {self.port}
    ssl = yes
  }}
}}
""")
        self.process = subprocess.Popen([PROGRAM, "-F", "-c", str(base / "dovecot.conf")], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def listening():
            assert self.process.poll() is None, (base / "dovecot.log").read_text()
            try:
                socket.create_connection(("127.0.0.1", self.port), 5).close()
                return True
            except OSError:
                return False
        wait_for("Dovecot", listening)

    def connect(self, user):
        client = IMAP4_SSL("localhost", self.port, ssl_context=ssl.create_default_context(cafile=self.ca))
        client.login(user, "secret")
        return client

    def maildir(self, user):
        return self.folder / "mail" / user

    def close(self):
        self.process.terminate()
        self.process.wait(PATIENCE)
        shutil.rmtree(self.folder, ignore_errors=True)
