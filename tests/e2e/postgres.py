"""Debian's PostgreSQL in a folder of its own, for a test: started, killed, ended by it. Never root: PostgreSQL refuses."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from space import PATIENCE

NOBODY = 65534


def programs():
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        raise AssertionError("Debian's package postgresql is missing: ./test installs it")
    return found[-1]


class Server:
    """One server on a socket of its own; no port."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="vaguemestre-pg-"))
        self.password = "mot-de-passe-de-base"
        (self.folder / "password").write_text(self.password)
        self.who = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        if self.who:
            for path in [self.folder, self.folder / "password"]:
                os.chown(path, NOBODY, NOBODY)
        self.folder.chmod(0o755)
        subprocess.run([programs() / "initdb", "-D", self.folder / "data", "-U", "controle", "--auth=scram-sha-256", f"--pwfile={self.folder / 'password'}",
                        "-E", "UTF8", "--no-sync"], check=True, capture_output=True, cwd=self.folder, env={**os.environ, "LC_ALL": "C"}, **self.who)
        self.process = None
        self.start()

    def start(self):
        options = [f"unix_socket_directories={self.folder}", "listen_addresses=", "fsync=off"]
        end = time.monotonic() + PATIENCE
        while True:
            self.process = subprocess.Popen([programs() / "postgres", "-D", self.folder / "data", *[word for one in options for word in ("-c", one)]],
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder, **self.who)
            while self.process.poll() is None:
                ready = subprocess.run([programs() / "pg_isready", "-q", "-h", self.folder])
                if ready.returncode == 0:
                    return
                time.sleep(0.1)
            # Killed a moment ago, and its other processes still there: it does not start beside them.
            if time.monotonic() > end:
                raise AssertionError("PostgreSQL does not start")
            time.sleep(0.2)

    def url(self):
        return f"postgres://controle@{str(self.folder).replace('/', '%2F')}/postgres"

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(3)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
