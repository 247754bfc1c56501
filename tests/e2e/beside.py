"""Operators run by `vaguemestre serve` beside a sandbox, which goes on giving them PSC, DNS, white list and revocation lists.

They have the sandbox's certificates, domains and people, data folders and ports of their own, and a relay port of their own: where
the MX of a domain leads is then up to the test (another such operator, the sandbox's own by a Forward, a Trap, or nothing). They
start in a moment, so they can be killed many times.
"""

import copy
import json
import random
import socket
import socketserver
import ssl
import subprocess
import threading

from serve import edited, mailbox
from space import BINARY, PATIENCE, Space, free_port, run, wait_for

ENTRANCES = ("imap", "submission", "imap_app", "submission_app", "autoconfig")


class Beside(Space):
    """The operators `names` beside `space`. Reached with the methods of Space."""

    def __init__(self, space, names=("alpha", "beta"), relay=None, data=None):
        """relay: keys of [relay]; data: folders other than their own, by operator."""
        self.space = space
        self.places = data or {}
        self.folder, self.ca = space.folder, space.ca
        self.json = copy.deepcopy(space.json)
        self.names = names
        self.relay = {"first_retry_seconds": 1} | (relay or {})
        hosts = [space.operator(name)["mx"]["host"] for name in ("alpha", "beta")]
        self.relay_port = free_port(*hosts)
        self.configs, self.processes, self.tokens = {}, {}, {}
        self.lock = threading.Lock()
        for name in names:
            self._configure(name)
        for name in names:
            self.start(name)
            self._open_mailboxes(name)

    def _configure(self, name):
        folder = self.folder / f"{name}-{random.randrange(1 << 40):x}"
        folder.mkdir()
        entry = self.operator(name)
        text = (self.folder / self.space.operator(name)["config"]).read_text()
        changes = {}
        for entrance in ENTRANCES:
            port = free_port("127.0.0.1")
            changes[f"listen.{entrance}"] = f'"127.0.0.1:{port}"'
            if entrance != "autoconfig":
                entry[entrance] |= {"host": "127.0.0.1", "port": port}
        entry["mx"]["port"] = self.relay_port
        changes["listen.mx"] = f'"{entry["mx"]["host"]}:{self.relay_port}"'
        changes["monitoring.listen"] = '"127.0.0.1:0"'
        changes["relay.port"] = self.relay_port
        # A sandbox gives up soon on servers that cannot be trusted; here the default counts, unless told.
        changes["relay.distrust_seconds"] = None
        # The last line of the table, with what the sandbox leaves to the default.
        changes["relay.first_retry_seconds"] = "\n".join(
            [str(self.relay["first_retry_seconds"])]
            + [f"{key} = {value}" for key, value in self.relay.items() if key != "first_retry_seconds"])
        if name in self.places:
            changes["operator.data"] = f'"{self.places[name]}"'
        self.configs[name] = folder / "vaguemestre.toml"
        self.configs[name].write_text(edited(text, changes))

    def _open_mailboxes(self, name):
        for person in self.json["people"]:
            if person.get("operator") == name and person["kind"] == "PER":
                mailbox(self.configs[name], "create", person["mailbox"], "--kind", "PER", "--holder", person["id"])
        app = self.application(name)
        mailbox(self.configs[name], "create", app["mailbox"], "--kind", "APP", "--holder", app["structure"])

    def start(self, name):
        said = self.configs[name].parent / "serve.log"
        with open(said, "ab") as log:
            before = log.tell()
            process = subprocess.Popen([BINARY, "serve", "--config", str(self.configs[name])], stdout=log,
                                       stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        self.processes[name] = process
        entry = self.operator(name)
        places = [(entry[entrance]["host"], entry[entrance]["port"]) for entrance in (*ENTRANCES[:4], "mx")]

        def listening():
            if process.poll() is not None:
                raise AssertionError(f"operator {name} ended with {process.returncode}\n{self.output()}")
            # Its ports answer before its store is open.
            if b" is up\n" not in said.read_bytes()[before:]:
                return False
            try:
                for place in places:
                    socket.create_connection(place, 5).close()
            except OSError:
                return False
            return True
        wait_for(f"operator {name}", listening)

    def kill(self, *names):
        """kill -9, all at the same moment."""
        for name in names:
            self.processes[name].kill()
        for name in names:
            self.processes[name].wait()

    def stop(self, *names):
        for name in names:
            self.processes[name].terminate()
        for name in names:
            status = self.processes[name].wait(PATIENCE)
            if status != 0:
                raise AssertionError(f"operator {name} ended with {status}\n{self.output()}")

    def close(self):
        try:
            self.stop(*(name for name in self.names if self.processes[name].poll() is None))
        finally:
            for process in self.processes.values():
                if process.poll() is None:
                    process.kill()
                    process.wait()

    def output(self):
        return "\n".join(
            f"--- {name}\n{(config.parent / 'serve.log').read_text(errors='replace')[-6000:]}"
            for name, config in self.configs.items() if (config.parent / "serve.log").exists())

    def token(self, identity, *options):
        """Tokens good for an hour, kept: a process for each connection would be most of the load."""
        with self.lock:
            if options or identity not in self.tokens:
                token = run(BINARY, "sandbox", "token", "--dir", self.folder, "--id", identity,
                            *(options or ("--ttl", "3600s"))).stdout.strip()
                if options:
                    return token
                self.tokens[identity] = token
            return self.tokens[identity]

    def usage(self, name, address):
        """Messages and octets that the register counts in a mailbox."""
        shown = json.loads(mailbox(self.configs[name], "show", address, "--json").stdout)
        return shown["messages"], shown["octets"]

    def traced(self, name, words):
        """How many functional traces of an operator hold these words."""
        folder = self.data(name) / "traces"
        return sum(line.count(words) for file in folder.glob("*.jsonl") for line in file.read_text().splitlines())

    def data(self, name):
        return self.places.get(name, self.configs[name].parent / "data")

    def destination(self, name):
        """Where the relays look for a domain's server."""
        return self.operator(name)["mx"]["host"], self.relay_port


class _Server(socketserver.ThreadingTCPServer):
    """Gone with all its connections when its block ends."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def process_request(self, request, client_address):
        self.open = [*getattr(self, "open", []), request]
        super().process_request(request, client_address)

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.socket.close()
        for request in getattr(self, "open", []):
            try:
                request.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def handle_error(self, request, client_address):
        """A test cuts connections as it likes."""


class Forward(_Server):
    """Leads an address to another: the server is up again."""

    def __init__(self, address, target):
        super().__init__(address, self._Pipe)
        self.target = target

    class _Pipe(socketserver.BaseRequestHandler):
        def handle(self):
            with socket.create_connection(self.server.target) as onward:
                back = threading.Thread(target=self._copy, args=(onward, self.request), daemon=True)
                back.start()
                self._copy(self.request, onward)
                back.join()

        @staticmethod
        def _copy(source, target):
            try:
                while octets := source.recv(65536):
                    target.sendall(octets)
            except OSError:
                pass
            try:
                target.shutdown(socket.SHUT_WR)
            except OSError:
                pass


class Trap(_Server):
    """An SMTP server in Python that notes all it is told, inside TLS or not.

    certificate, key: what it shows; none: it does not offer STARTTLS.
    answers: what recipients are answered, by local part. lose: so many messages are taken and not answered.
    """

    def __init__(self, address, name, certificate=None, key=None, answers=None, lose=0, extensions=("SIZE", "8BITMIME")):
        super().__init__(address, self._Session)
        self.name, self.answers, self.lose = name, answers or {}, lose
        self.extensions = list(extensions)
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate, key)
        self.connections, self.plain, self.inside, self.messages = 0, [], [], []

    class _Session(socketserver.BaseRequestHandler):
        def handle(self):
            trap = self.server
            trap.connections += 1
            stream, secure, recipients = self.request, False, []
            reader = stream.makefile("rb")

            def say(text):
                stream.sendall(text.encode() + b"\r\n")
            say(f"220 {trap.name} ESMTP")
            while line := reader.readline():
                (trap.inside if secure else trap.plain).append(line)
                verb = line.split()[0].upper() if line.split() else b""
                if verb == b"EHLO":
                    offered = trap.extensions + ([] if secure or not trap.context else ["STARTTLS"])
                    lines = [trap.name, *offered]
                    say("\r\n".join(f"250{'-' if at + 1 < len(lines) else ' '}{word}" for at, word in enumerate(lines)))
                elif verb == b"STARTTLS" and trap.context:
                    say("220 go on")
                    # A second descriptor: the first stays the server's, to cut the connection by.
                    stream, secure = trap.context.wrap_socket(stream.dup(), server_side=True), True
                    reader = stream.makefile("rb")
                elif verb == b"RCPT":
                    local = line.split(b"<")[1].split(b"@")[0].decode()
                    answer = trap.answers.get(local, "250 2.1.5 ok")
                    if answer.startswith("250"):
                        recipients.append(local)
                    say(answer)
                elif verb == b"DATA":
                    say("354 go on")
                    octets = b""
                    while (line := reader.readline()) != b".\r\n":
                        if not line:
                            return
                        octets += line
                    trap.messages.append((recipients, octets))
                    recipients = []
                    if trap.lose > 0:
                        trap.lose -= 1
                        return
                    say("250 2.0.0 taken")
                elif verb == b"QUIT":
                    say("221 2.0.0 bye")
                    return stream.close()
                else:
                    say("250 2.0.0 ok")
