"""One operator alone: `vaguemestre serve` with a configuration made from a sandbox's, on ports of its own."""

import re
import signal
import subprocess

from space import BINARY, PATIENCE, run, wait_for
from wire import Wire

ENTRANCES = ("imap", "submission", "imap_app", "submission_app", "mx", "autoconfig")
PORTS = (*ENTRANCES, "monitoring")


def edited(text, changes):
    """A configuration with some keys changed: {"section.key": TOML text, or None to leave the line out}."""
    lines, section, left = [], "", dict(changes)
    for line in text.splitlines():
        if found := re.match(r"\[(.+)\]$", line):
            section = found[1]
        found = re.match(r"(\w+) = ", line)
        name = f"{section}.{found[1]}" if found else None
        if name in left:
            value = left.pop(name)
            if value is None:
                continue
            line = f"{found[1]} = {value}"
        lines.append(line)
    assert not left, f"not in the configuration: {list(left)}"
    return "\n".join(lines) + "\n"


def configuration(space, operator, name="alone", introspection=None, jwks=None, **changes):
    """Writes DIR/name/vaguemestre.toml: as that operator's, with a data folder and ports of its own."""
    folder = space.folder / name
    number = 0
    while folder.exists():
        number += 1
        folder = space.folder / f"{name}-{number}"
    folder.mkdir()
    text = (space.folder / space.operator(operator)["config"]).read_text()
    changes |= {f"listen.{entrance}": '"127.0.0.1:0"' for entrance in ENTRANCES}
    changes |= {"monitoring.listen": '"127.0.0.1:0"'}
    if introspection:
        changes["psc.introspection.url"] = f'"{introspection}"'
    if jwks:
        changes["psc.jwks_uri"] = f'"{jwks}"'
    path = folder / "vaguemestre.toml"
    path.write_text(edited(text, changes))
    return path


class Server:
    """`vaguemestre serve` running."""

    def __init__(self, config):
        self.config = config
        self.out, self.log = config.parent / "serve.out", config.parent / "serve.log"
        self.start()

    def start(self):
        with open(self.out, "wb") as out, open(self.log, "ab") as log:
            self.process = subprocess.Popen([BINARY, "serve", "--config", str(self.config)], stdout=out, stderr=log,
                                            stdin=subprocess.DEVNULL)
        try:
            wait_for("the operator", self._listening)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text(errors='replace')}") from None

    def _listening(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the operator ended with {self.process.returncode}")
        found = dict(re.findall(r"^  (\w+) +127\.0\.0\.1:(\d+)$", self.out.read_text(), re.MULTILINE))
        if set(found) != set(PORTS):
            return False
        self.entrances = {name: {"host": "127.0.0.1", "port": int(port)} for name, port in found.items()}
        return True

    def mailbox(self, *arguments, ok=True):
        return mailbox(self.config, *arguments, ok=ok)

    def stop(self, how=signal.SIGTERM):
        """A clean stop; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(PATIENCE)

    def close(self):
        if self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"the operator does not stop\n{self.log.read_text(errors='replace')}") from None


def mailbox(config, *arguments, ok=True):
    """`vaguemestre mailbox …` beside a running server."""
    return run(BINARY, "mailbox", *arguments, "--config", config, ok=ok)


def imap(space, server, entrance="imap"):
    wire = Wire(server.entrances[entrance])
    wire.line()
    assert b" OK " in wire.imap("STARTTLS")[-1]
    return wire.tls(space.context())


def smtp(space, server, entrance="submission"):
    wire = Wire(server.entrances[entrance])
    wire.reply()
    wire.smtp("EHLO lps.test")
    assert wire.smtp("STARTTLS")[0] == 220
    wire.tls(space.context())
    assert wire.smtp("EHLO lps.test")[0] == 250
    return wire
