"""Testing the tests: a faulty operator with one switch for each defect (crates/faults). With every switch off nothing is red and nothing is
open in what is run; each switch turns its cases red, at the declared level, and no other (tests/e2e/matrix.json, docs/control-matrix.md).

Each switch is tried with its own cases and a small sample of others; MATRIX=groups adds the groups of its cases, MATRIX=whole runs the whole
plan for each of them (an hour). MATRIX=learn writes what is seen into matrix.json, MATRIX=write only the document.
Any of those may name switches: MATRIX=learn:tls-1.0-accepte,oracle"""

import json
import os
import queue
import re
import threading
import time
import unittest
from pathlib import Path

from space import BINARY, ROOT, Space, main, run

FAULTY = os.environ.get("VAGUEMESTRE_DEFAILLANT", str(Path(BINARY).with_name("vaguemestre-defaillant")))
DATA = ROOT / "tests/e2e/matrix.json"
DOCUMENT = ROOT / "docs/control-matrix.md"
SOURCE = ROOT / "crates/faults/src/lib.rs"
CASES = ROOT / "crates/control/catalogue/cas.json"

# Before the name of each switch: names alone are words that the product may have.
MARK = "defaut:"
HOW, _, NAMED = os.environ.get("MATRIX", "").partition(":")
# Sandboxes side by side: a campaign mostly waits, for refusals that are slow on purpose.
LANES = 2


def load():
    return json.loads(DATA.read_text())


def switches():
    """The switches of the program with what each is, from their only source."""
    found = re.findall(r'/// ([^\n]+)\n    \w+ = "([^"]+)";', SOURCE.read_text())
    return {name: what for what, name in found}


def catalogue():
    return {case["id"]: case for case in json.loads(CASES.read_text())["cas"]}


def level(case):
    """How a case counts: its level when it is red, what is open otherwise, or nothing."""
    if case["etat"] == "non_conforme":
        return None if case["niveau"] == "information" else case["niveau"]
    return {"a_examiner": "à examiner", "inconclusif": "inconclusif", "non_execute": "non exécuté"}.get(case["etat"])


def is_red(level):
    return level not in (None, "inconclusif", "non exécuté")


class Lane:
    """A faulty sandbox."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.file = self.folder / "faults"
        self.turn(None)
        self.space = Space(folder=self.folder, binary=FAULTY, environment={"VAGUEMESTRE_FAULTS": str(self.file)})

    def turn(self, switch):
        """This defect and no other, from the next question on."""
        new = self.folder / "faults.new"
        new.write_text(f"{MARK}{switch}\n" if switch else "")
        new.replace(self.file)

    def campaign(self, job, *only):
        """What is red or open in a campaign of the program that is no faulty one."""
        out = self.folder / "campaign.json"
        out.unlink(missing_ok=True)
        # Every case there is, not only those of the API LPS.
        file = self.folder / job / "complet.toml"
        file.write_text((self.folder / job / "control.toml").read_text().replace('plan = "api-lps"', 'plan = "complet"'))
        arguments = [argument for case in only for argument in ("--only", case)]
        done = run(BINARY, "control", "run", file, "--json", out, *arguments, ok=None, timeout=600)
        if not out.exists():
            raise AssertionError(f"{only}: {done.stdout}\n{done.stderr}")
        return {case["id"]: (level(case), case) for case in json.loads(out.read_text())["cas"]}


def shown(case):
    return [(v["nom"], v.get("protocole"), v["observe"], v["verdict"]) for v in case["variantes"] if v["verdict"]["etat"] != "conforme"]


def document(data):
    """docs/control-matrix.md."""
    what, cases = switches(), catalogue()
    lines = [
        "# The matrix of the control application's cases",
        "",
        "Made by `MATRIX=write python3 tests/e2e/test_control_matrix.py` from `tests/e2e/matrix.json`, which `./test` checks against a faulty operator",
        "(`vaguemestre-defaillant`, crates/faults): with every switch off nothing is red and nothing is open in what is run; each switch turns the cases",
        "of its line red, at the level told, and no other. Several cases in a line: the defect is one, and each of them sees it. Those marked MATRIX=whole",
        "take minutes each and are not in `./test`.",
        "",
        "| switch | defect | cases that turn red |",
        "|---|---|---|",
    ]
    for name, switch in data["switches"].items():
        red = ", ".join(f"{case} ({level})" for case, level in switch["red"].items())
        slow = " (MATRIX=whole)" if name in data["slow"] else ""
        lines.append(f"| `{name}`{slow} | {what[name]} | {red} |")
    killed = {}
    for name, switch in data["switches"].items():
        for case in switch["red"]:
            killed.setdefault(case, []).append(name)
    automatic = [case for case in cases.values() if case["mode"] == "A"]
    without = [case for case in automatic if case["id"] not in killed]
    lines += [
        "",
        f"{len(data['switches'])} switches; {sum(case['id'] in killed for case in automatic)} of the {len(automatic)} automatic cases have one.",
        "",
        "## Automatic cases without a switch",
        "",
        "| case | title | why |",
        "|---|---|---|",
    ]
    for case in without:
        lines.append(f"| {case['id']} | {case['titre']} | {data['without_switch'].get(case['id'], '')} |")
    return "\n".join(lines) + "\n"


def write_data(data):
    """One line for each switch."""
    one = lambda value: json.dumps(value, ensure_ascii=False)
    parts = [f'  "sample": {one(data["sample"])}', f'  "slow": {one(data["slow"])}']
    for key in ("without_switch", "switches"):
        inside = ",\n".join(f"    {one(name)}: {one(value)}" for name, value in data[key].items())
        parts.append(f'  "{key}": {{\n{inside}\n  }}')
    DATA.write_text("{\n" + ",\n".join(parts) + "\n}\n")


class Data(unittest.TestCase):
    def test_every_switch_is_in_the_matrix_and_every_automatic_case_has_one_or_a_reason(self):
        data, cases = load(), catalogue()
        self.assertEqual(set(data["switches"]), set(switches()))
        killed = {case for switch in data["switches"].values() for case in switch["red"]}
        self.assertLessEqual(killed, set(cases))
        automatic = {case["id"] for case in cases.values() if case["mode"] == "A"}
        self.assertEqual(automatic - killed, set(data["without_switch"]))

    def test_the_document_is_current(self):
        if HOW == "learn":
            self.skipTest("being written")
        self.assertEqual(DOCUMENT.read_text(), document(load()), "MATRIX=write python3 tests/e2e/test_control_matrix.py")

    def test_the_product_has_no_switch(self):
        octets = Path(BINARY).read_bytes()
        self.assertEqual([name for name in switches() if f"{MARK}{name}".encode() in octets], [])
        self.assertNotIn(b"VAGUEMESTRE_FAULTS", octets)
        tree = run("cargo", "tree", "--locked", "--offline", "-e", "features", "-p", "vaguemestre", "-i", "faults", cwd=ROOT).stdout
        self.assertNotIn("armed", tree)


class Matrix(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not Path(FAULTY).exists():
            message = f"{FAULTY} is missing: cargo build -p vaguemestre --bin vaguemestre-defaillant --features faults"
            if "VAGUEMESTRE_DEFAILLANT" in os.environ:
                raise AssertionError(message)
            raise unittest.SkipTest(message)
        import tempfile
        cls.folder = Path(tempfile.mkdtemp(prefix="vaguemestre-matrix-"))
        cls.lanes = [Lane(cls.folder / str(number)) for number in range(LANES)]

    @classmethod
    def tearDownClass(cls):
        import shutil
        outputs = [lane.space.output() for lane in cls.lanes]
        for lane in cls.lanes:
            lane.space.close()
        shutil.rmtree(cls.folder, ignore_errors=True)
        for output in outputs:
            if "panicked" in output or "no such fault" in output:
                raise AssertionError(output[-8000:])

    def test_matrix(self):
        data = load()
        asked = NAMED.split(",") if NAMED else [name for name in data["switches"] if HOW == "whole" or name not in data["slow"]]
        work = queue.SimpleQueue()
        wrong, learnt = [], {}
        # With every switch off first: whatever is red then is no switch's doing.
        if not NAMED:
            for job in ("alpha", "beta"):
                work.put((None, job))
        for name in asked:
            work.put((name, data["switches"][name]["job"]))

        def runner(lane):
            while True:
                try:
                    name, job = work.get_nowait()
                except queue.Empty:
                    return
                began = time.monotonic()
                try:
                    lane.turn(name)
                    self.one(lane, data, name, job, wrong, learnt)
                except Exception as error:  # told with its switch
                    wrong.append(f"{name}: {error!r}")
                finally:
                    lane.turn(None)
                print(f"{name or 'all off'} ({job}): {time.monotonic() - began:.1f} s", flush=True)

        threads = [threading.Thread(target=runner, args=(lane,)) for lane in self.lanes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if HOW == "learn":
            for name, red in learnt.items():
                data["switches"][name]["red"] = red
            write_data(data)
            DOCUMENT.write_text(document(data))
        self.assertEqual(wrong, [], "\n".join(wrong))

    def one(self, lane, data, name, job, wrong, learnt):
        if name is None:
            # Every case that a switch of this run turns red.
            named = {case for key, switch in data["switches"].items()
                     if switch["job"] == job and (HOW == "whole" or key not in data["slow"]) for case in switch["red"]}
            seen = lane.campaign(job, *sorted(named))
            for case, (found, result) in seen.items():
                if found:
                    wrong.append(f"all off, {job}: {case} {found} {shown(result)}")
            return
        switch = data["switches"][name]
        declared = dict(switch["red"])
        only = {*declared, *data["sample"]}
        if HOW == "groups":
            only |= {case.split("-")[0] for case in declared}
        seen = lane.campaign(job, *(sorted(only) if HOW != "whole" else ()))
        red = {case: found for case, (found, _) in seen.items() if is_red(found)}
        learnt[name] = dict(sorted(red.items()))
        if HOW == "learn":
            print(name, red, {case: found for case, (found, _) in seen.items() if found and case not in red})
            return
        if red != declared:
            told = {case: shown(result) for case, (found, result) in seen.items() if red.get(case) != declared.get(case)}
            wrong.append(f"{name}: red {red}, declared {declared}: {told}")


if __name__ == "__main__":
    if HOW == "write":
        DOCUMENT.write_text(document(load()))
    else:
        main()
