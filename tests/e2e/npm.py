"""The npm packages that tests drive, installed once for each state of their lock file."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from space import ROOT, run


def modules(name):
    """`node_modules` of tests/e2e/<name>."""
    source = ROOT / "tests/e2e" / name
    lock = (source / "package-lock.json").read_bytes()
    base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "vaguemestre-e2e"
    folder = base / hashlib.sha256(lock).hexdigest()[:16]
    if not folder.exists():
        base.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(dir=base))
        for file in ("package.json", "package-lock.json"):
            shutil.copy(source / file, making)
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=making, timeout=300)
        try:
            making.rename(folder)
        except OSError:
            # another run was faster
            shutil.rmtree(making)
    return folder / "node_modules"
