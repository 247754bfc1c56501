"""The operator's guide is true: its commands are run as they stand there, with another domain and other folders, on a server of their own."""

import mailbox as mailboxes
import os
import re
import shlex
import unittest

import serve
from serve import Server, configuration
from space import BINARY, ROOT, SpaceTest, main, run


class Guide(SpaceTest):
    def commands(self):
        """Every command line of docs/operator.md that begins with the program's name, without its comment."""
        blocks = re.findall(r"^```\n(.*?)^```", (ROOT / "docs/operator.md").read_text(), re.DOTALL | re.MULTILINE)
        return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines() if line.startswith("vaguemestre ")]

    def test_its_commands_work(self):
        config = configuration(self.space, "alpha", name="guide")
        server = Server(config)
        self.addCleanup(server.close)
        domain, work = self.space.operator("alpha")["domain"], config.parent / "work"
        work.mkdir()
        serve.mailbox(config, "create", f"ancien@{domain}", "--kind", "ORG", "--holder", "1750000001")
        old = mailboxes.Maildir(work / "Maildir")
        old.add(b"Subject: ancien\n\nbonjour\n")
        box = mailboxes.mbox(work / "archive-2019.mbox")
        box.add(b"Subject: archive\n\nbonjour\n")
        box.close()
        passed = []
        for line in self.commands():
            words = shlex.split(line)
            # Places of the guide that are elsewhere here; a day that is always to come.
            words = [word.replace("exemple.mssante.fr", domain).replace("/var/mail/marie.martin/Maildir", str(work / "Maildir"))
                     .replace("/srv/export", str(work / "export")).replace("/etc/vaguemestre/vaguemestre.toml", str(config))
                     .replace("/srv/backup", str(work / "backup")).replace("/srv/keys", str(work))
                     .replace("2027-01-01", "2099-01-01") for word in words]
            words = [str(config) if word in ("vaguemestre.toml", "FILE") else word for word in words]
            kind = " ".join(words[1:3])
            # Run by the tests that are about them: they do not end, or need another machine.
            if words[1] in ("serve", "drain", "restore", "fsck") or kind in ("import imap", "keys rewrap"):
                continue
            done = run(BINARY, *words[1:], ok=None, cwd=work, env={**os.environ, "VAGUEMESTRE_CONFIG": str(config)})
            self.assertEqual(done.returncode, 0, f"{line}\n{done.stdout}\n{done.stderr}")
            passed.append(kind)
        for wanted in ("check-config", "mailbox create", "mailbox grant", "mailbox revoke", "mailbox delete", "import maildir", "import mbox", "export maildir",
                       "export mbox"):
            self.assertTrue(any(kind.startswith(wanted) for kind in passed), f"{wanted} is not in the guide: {passed}")
        self.assertNotIn("ancien@", serve.mailbox(config, "list").stdout)
        found = b"".join(file.read_bytes() for file in (work / "export/marie").rglob("*") if file.is_file())
        self.assertIn(b"Subject: ancien", found)
        self.assertIn(b"Subject: archive", found)
        print(f"{len(passed)} commands of the guide")


if __name__ == "__main__":
    main()
