"""The editor's guide is true: its tutorial is run as a newcomer would paste it, and every file that its table names is there."""

import os
import re
import unittest

from lps import Lps
from space import BINARY, ROOT, SpaceTest, main, run

GUIDE = (ROOT / "docs/editor.md").read_text()


class Guide(SpaceTest):
    def test_the_tutorial_works_as_pasted(self):
        user = Lps(self.space, "debutant")
        self.addCleanup(user.close)
        work = user.work
        (work / "tests").symlink_to(ROOT / "tests")
        (work / "sandbox-data").symlink_to(self.space.folder)
        (work / "target/release").mkdir(parents=True)
        (work / "target/release/vaguemestre").symlink_to(BINARY)
        script = "\n".join(re.findall(r"```bash\n(.*?)```", GUIDE, re.DOTALL))
        # As pasted: the settings are those of the sandbox in this folder.
        environment = {name: value for name, value in user.environment.items() if name != "VAGUEMESTRE_LPS"}
        done = run("bash", "-eu", "-c", script, cwd=work, env={**environment, "LC_ALL": "fr_FR.UTF-8"}, timeout=300)
        for said in ("Espace d'essai", "Approuvez la demande"):
            self.assertIn(said, done.stdout + done.stderr)
        for said in ("X-MSS-CODECDA: 11490-0,11502-2", "Envoyé", "COURRIER-ESSAI JEANNE", "accusé envoyé", "Merci, bien reçu.", "Session fermée."):
            self.assertIn(said, done.stdout)
        self.assertEqual(len(list((work / "documents").iterdir())), 4, "two documents and their copies")
        self.assertIn("Dr Sophie LEROY", done.stdout)
        self.assertGreater(len((work / "traces.csv").read_text().splitlines()), 10)

    def test_every_file_that_is_named_is_there(self):
        named = set(re.findall(r"`((?:crates|tests|docs)/[^`*]+?)`", GUIDE))
        self.assertGreater(len(named), 40)
        self.assertEqual([name for name in sorted(named) if not (ROOT / name).exists()], [])

    def test_every_command_is_told_of(self):
        listed = re.findall(r"^  ([a-z]+) ", run(BINARY, "lps", "--help", "--language", "en").stdout.split("Commands:")[1].split("Options:")[0], re.MULTILINE)
        shapes = GUIDE.split("## JSON")[1].split("\n## ")[0]
        self.assertEqual([name for name in listed if name != "help" and f"`{name}`" not in shapes], [])


if __name__ == "__main__":
    main()
