"""Somebody at a command line: `vaguemestre lps …` with a home, a runtime folder and settings of their own."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

from space import BINARY, PATIENCE

# How a token of PSC looks: a JSON Web Token.
TOKEN = re.compile(rb"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}")


class Lps:
    """One user of a machine; several users of one space keep apart."""

    def __init__(self, space, name, mailbox=None, person=None, label=None, application=None):
        self.space = space
        self.home = space.folder / "users" / name
        self.runtime = self.home / "run"
        self.runtime.mkdir(parents=True, mode=0o700)
        self.work = self.home / "work"
        self.work.mkdir()
        # Settings of their own beside the sandbox's, whose relative paths are counted from there.
        self.settings = space.folder / f"lps-{name}" / "lps.toml"
        self.settings.parent.mkdir()
        text = (space.folder / space.json["lps"]).read_text()
        text = re.sub(r'"(pki|psc|lps|directory)/', f'"{space.folder}/\\1/', text)
        text = text.replace(f"{space.folder}/lps/", f"{self.home}/lps/")
        self.settings.write_text(text)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("VAGUEMESTRE", "LC_", "LANG"))},
            "HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.runtime), "TMPDIR": str(self.home / "tmp"),
            "VAGUEMESTRE_LPS": str(self.settings), "BROWSER": "true", "TZ": "Europe/Paris",
        }
        (self.home / "tmp").mkdir()
        self.mailbox = mailbox
        if mailbox:
            options = ["--label", label or "Essai"]
            if person:
                options += ["--as", person]
            if application:
                options += ["--certificate", space.folder / application["certificate"], "--key", space.folder / application["key"]]
            self("boxes", "add", mailbox, *options)

    def start(self, *arguments, **options):
        """Begins a command; a Popen."""
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen([BINARY, "lps", *[str(a) for a in arguments]], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, env=self.environment, cwd=self.work, **options)

    def __call__(self, *arguments, code=0, stdin=None, timeout=PATIENCE):
        """Runs a command to its end; what it printed. code=None: whatever it ends with."""
        done = self.done(*arguments, stdin=stdin, timeout=timeout)
        if code is not None and done.returncode != code:
            raise AssertionError(f"lps {arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def done(self, *arguments, stdin=None, timeout=PATIENCE):
        given = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
        return subprocess.run([BINARY, "lps", *[str(a) for a in arguments]], capture_output=True, text=True, errors="replace",
                              env=self.environment, cwd=self.work, timeout=timeout, **given)

    def json(self, *arguments, **options):
        """The answer of a command, one document."""
        return json.loads(self(*arguments, "--json", **options))

    def lines(self, *arguments, **options):
        """The answer of a command, one document a line."""
        return [json.loads(line) for line in self(*arguments, "--json", **options).splitlines()]

    def error(self, *arguments, code):
        """The error of a command that fails: its JSON."""
        return self.lines(*arguments, code=code)[-1]["error"]

    def login(self, person):
        return self.lines("login", "--ciba", "--as", person)

    def messages(self, *options):
        return self.json("list", "--limit", "0", *options)["messages"]

    def arrived(self, condition, *options):
        """The first message of the list that is so, or None."""
        return next((one for one in self.messages(*options) if condition(one)), None)

    def tokens_on_disk(self):
        """Every file of this user that holds what looks like a token."""
        found = []
        for root in (self.home, self.settings.parent):
            for path in root.rglob("*"):
                if path.is_file() and TOKEN.search(path.read_bytes()):
                    found.append(str(path))
        return found

    def close(self):
        """No agent is left behind."""
        self.done("logout")


def interrupt(process):
    """Ctrl-C; the exit code."""
    process.send_signal(signal.SIGINT)
    process.wait(PATIENCE)
    return process.returncode
