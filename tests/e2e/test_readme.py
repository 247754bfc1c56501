"""The README is true: its session is run, word for word, as a newcomer would paste it."""

import os
import re
import shutil
import unittest

from space import BINARY, ROOT, SpaceTest, main, run


class Readme(SpaceTest):
    def test_the_session_works_as_pasted(self):
        blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
        self.assertEqual(len(blocks), 2)
        work = self.space.folder / "newcomer"
        work.mkdir()
        (work / "tests").symlink_to(ROOT / "tests")
        environment = {**os.environ, "D": str(self.space.folder), "V": BINARY}
        done = run("bash", "-euo", "pipefail", "-c", "\n".join(blocks), cwd=work, env=environment)
        self.assertIn("Dr B has the very document of Dr A.", done.stdout)
        self.assertIn("X-MSS-CODECDA: 34112-3", done.stdout)
        self.assertRegex(done.stdout, r"250 2\.0\.0 .*\n.*QUIT")
        self.assertIn("Verify return code: 0 (ok)", done.stdout)
        self.assertIn("DHE-RSA-AES256-GCM-SHA384", done.stdout)
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
