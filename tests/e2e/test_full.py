"""A full disk: temporary refusals, nothing acknowledged that is not stored, and all is well again without a restart (issue 2, "Bad
input gets"; OPE-QUEUE).

Operator beta keeps its data on a small file system of its own, which takes the right to mount one: skipped without it.
"""

import os
import smtplib
import subprocess
import tempfile
import unittest
from pathlib import Path

from beside import Beside
from space import SpaceTest, main, wait_for
from test_crash import Folder

SIZE = 48 << 20
# Left free before the messages come.
LEFT = 600 << 10


class Full(SpaceTest):
    def setUp(self):
        self.mount = Path(tempfile.mkdtemp(prefix="vaguemestre-full-"))
        self.addCleanup(self.mount.rmdir)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(self.mount)], capture_output=True)
        if done.returncode != 0:
            self.skipTest("a file system cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", str(self.mount)], check=True)
        self.two = Beside(self.space, data={"beta": self.mount / "data"})
        self.addCleanup(self.two.close)

    def fill(self):
        filler = self.mount / "filler"
        room = os.statvfs(self.mount)
        with open(filler, "wb") as file:
            file.write(b"x" * max(0, room.f_bavail * room.f_bsize - LEFT))
        return filler

    def identities(self, person, folder="INBOX"):
        connection = self.two.imap(person)
        found = Folder(connection, folder)
        found.bodies(connection, found.rows)
        connection.logout()
        return [identity for _, identity, _, _ in found.rows]

    def text(self, person, identity, size=60_000):
        line = "x" * 98 + "\r\n"
        return f"From: {person['mailbox']}\r\nMessage-ID: <{identity}@crash.test>\r\n\r\n{line * (size // 100)}.\r\n"

    def test_full_and_room_again(self):
        marie, sophie, julien = self.space.person("alpha"), self.space.person("beta"), self.space.person("beta", index=1)
        with self.two.smtp(sophie) as smtp:
            smtp.sendmail(sophie["mailbox"], [julien["mailbox"]], self.text(sophie, "before"))
        imap = self.two.imap(sophie)
        filler = self.fill()

        acknowledged, refusals = ["before"], []
        smtp = self.two.smtp(sophie)
        for number in range(60):
            try:
                smtp.sendmail(sophie["mailbox"], [julien["mailbox"]], self.text(sophie, f"full-{number}"))
                acknowledged.append(f"full-{number}")
            except smtplib.SMTPResponseException as error:
                refusals.append((error.smtp_code, error.smtp_error))
            except smtplib.SMTPRecipientsRefused as error:
                refusals.extend(error.recipients.values())
        self.assertTrue(refusals, "the disk is never full")
        for code, words in refusals:
            self.assertEqual((code, words[:5]), (452, b"4.3.1"))
        # On IMAP as well, and the session goes on.
        large = self.text(sophie, "appended", 900_000).encode()
        kind, data = imap.append("Archive", None, None, large)
        self.assertEqual(kind, "NO", data)
        self.assertEqual(imap.noop()[0], "OK")
        # What is there can be read.
        self.assertEqual(self.identities(julien), acknowledged)
        # Another operator's mail waits there.
        with self.two.smtp(marie) as alpha:
            alpha.sendmail(marie["mailbox"], [julien["mailbox"]], self.text(marie, "relayed", 900_000))
        wait_for("a refusal of the relayed message", lambda: self.two.traced("alpha", "4.3.1"))

        filler.unlink()
        self.assertEqual(imap.append("Archive", None, None, large)[0], "OK")
        imap.logout()
        smtp.sendmail(sophie["mailbox"], [julien["mailbox"]], self.text(sophie, "after"))
        smtp.quit()
        acknowledged += ["after", "relayed"]
        wait_for("the relayed message", lambda: "relayed" in self.identities(julien))
        self.assertEqual(sorted(self.identities(julien)), sorted(acknowledged))
        self.assertEqual(self.identities(sophie, "Archive"), ["appended"])

        # And a crash after it all changes nothing.
        self.two.kill("beta")
        self.two.start("beta")
        self.assertEqual(sorted(self.identities(julien)), sorted(acknowledged))
        messages, _ = self.two.usage("beta", julien["mailbox"])
        self.assertEqual(messages, len(acknowledged))


if __name__ == "__main__":
    main()
