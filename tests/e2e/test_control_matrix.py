"""Testing the tests: a faulty operator with one switch for each defect (crates/faults). With every switch off nothing is red and nothing is
open in what is run; each switch turns its cases red, at the declared level, and no other (tests/e2e/matrix.json, docs/control-matrix.md).

Each switch is tried with its own cases and a small sample of others; MATRIX=groups adds the groups of its cases (but for cases that take
minutes, MINUTES below) and the slow switches, MATRIX=whole runs the whole plan for each of them (hours). MATRIX=learn writes what is seen
into matrix.json, MATRIX=write only the document. Any of those may name switches: MATRIX=learn:tls-1.0-accepte,oracle.

MATRIX_LANES: sandboxes side by side. MATRIX_RESULTS: a folder where all that was seen is kept, a file for each switch and way; what is there is
judged again, not run again, so that a long way can be gone in pieces. MATRIX_MINUTES: after so many no other switch is begun; what is left is
told, and no error.

matrix.json, for each switch: `job`, whose campaign; `red`, the cases that must be red, and how; `also`, those of other groups, which only the
longer ways run; `why`, when there are several; `beside`, other switches that are on with it; `limits`, lines of the job's section; `reference`, the
cases of the campaign before, for RES-06. With one of the last three the same without the switch is run first, and must be good
(`base` false: not here, it takes half an hour). `whole` false: not with MATRIX=whole."""

import json
import os
import queue
import re
import tempfile
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
LANES = int(os.environ.get("MATRIX_LANES", "2"))
RESULTS = os.environ.get("MATRIX_RESULTS")
MINUTES_IN_ALL = float(os.environ.get("MATRIX_MINUTES", "inf"))
# Cases that take minutes: part of a group's run only when they are declared.
MINUTES = {"JWT-20", "JWT-22", "RES-01", "RES-02", "RES-03", "RES-04", "SES-02", "SES-03"}


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
        return case["niveau"]
    return {"a_examiner": "à examiner", "inconclusif": "inconclusif", "non_execute": "non exécuté"}.get(case["etat"])


def is_red(level):
    return level not in (None, "information", "inconclusif", "non exécuté")


def is_automatic(case):
    """Whether the program runs it by itself: what is semi-automatic elsewhere, it drives; but for what asks an operator to make mailboxes."""
    return case["mode"] == "A" or (case["mode"] == "S" and not case["id"].startswith("ANN-"))


class Lane:
    """A faulty sandbox."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.file = self.folder / "faults"
        self.turn(None)
        self.space = Space(folder=self.folder, binary=FAULTY, environment={"VAGUEMESTRE_FAULTS": str(self.file)})

    def turn(self, *switches):
        """These defects and no other, from the next question on."""
        new = self.folder / "faults.new"
        new.write_text("".join(f"{MARK}{switch}\n" for switch in switches if switch))
        new.replace(self.file)

    def reference(self, job, cases):
        """The report of a campaign of these cases, for RES-06."""
        self.campaign(job, *cases)
        path = self.folder / "reference.json"
        path.write_text((self.folder / "campaign.json").read_text())
        return path

    def campaign(self, job, *only, limits="", reference=None):
        """What is red or open in a campaign of the program that is no faulty one."""
        out = self.folder / "campaign.json"
        out.unlink(missing_ok=True)
        # Every case there is, not only those of the API LPS.
        file = self.folder / job / "complet.toml"
        text = (self.folder / job / "control.toml").read_text().replace('plan = "api-lps"', 'plan = "complet"')
        text = text.replace("[limits]\n", f"[limits]\n{limits}\n", 1)
        if reference:
            text = f'reference = {{ report = "{reference}" }}\n{text}'
        file.write_text(text)
        arguments = [argument for case in only for argument in ("--only", case)]
        done = run(BINARY, "control", "run", file, "--json", out, *arguments, ok=None, timeout=3600)
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
        "of its line red, at the level told, and no other. Those marked *slow* take minutes each: they and the cases after *also* are tried by",
        "`MATRIX=groups` (each switch with the groups of its cases) and `MATRIX=whole` (with the whole plan), not by `./test`.",
        "A *finding* (`information`) is told where the catalogue gives no other level.",
        "",
        "| switch | defect | cases that turn red | why |",
        "|---|---|---|---|",
    ]
    told = lambda red: ", ".join(f"{case} ({level})" for case, level in red.items())
    for name, switch in data["switches"].items():
        red = told(switch["red"]) + (f"; also {told(switch['also'])}" if switch.get("also") else "")
        slow = " (slow)" if name in data["slow"] else ""
        beside = "".join(f" with `{other}`" for other in switch.get("beside", []))
        lines.append(f"| `{name}`{beside}{slow} | {what[name]} | {red} | {switch.get('why', '')} |")
    for name, why in data["no_defect"].items():
        lines.append(f"| `{name}` | {what[name]} | none: {why} | |")
    killed = {case for switch in data["switches"].values() for case in switch["red"]}
    automatic = [case for case in cases.values() if is_automatic(case)]
    without = [case for case in automatic if case["id"] not in killed]
    lines += [
        "",
        f"{len(data['switches']) + len(data['no_defect'])} switches; {sum(case['id'] in killed for case in automatic)} of the {len(automatic)} cases that "
        "run by themselves have one (99 are automatic everywhere, the others where the stand has traps and a white list).",
    ]
    if without:
        lines += ["", "## Cases without a switch", "", "| case | title | why |", "|---|---|---|"]
    for case in without:
        lines.append(f"| {case['id']} | {case['titre']} | {data['without_switch'].get(case['id'], '')} |")
    lines += ["", "## What was run", "", *data["runs"]]
    return "\n".join(lines) + "\n"


def write_data(data):
    """One line for each switch."""
    one = lambda value: json.dumps(value, ensure_ascii=False)
    parts = [f'  "sample": {one(data["sample"])}', f'  "slow": {one(data["slow"])}']
    parts.append('  "runs": [\n' + ",\n".join(f"    {one(line)}" for line in data["runs"]) + "\n  ]")
    for key in ("without_switch", "no_defect", "switches"):
        inside = ",".join(f"\n    {one(name)}: {one(value)}" for name, value in data[key].items())
        parts.append(f'  "{key}": {{{inside}' + ("\n  }" if inside else "}"))
    DATA.write_text("{\n" + ",\n".join(parts) + "\n}\n")


class Data(unittest.TestCase):
    def test_every_switch_is_in_the_matrix_and_every_automatic_case_has_one_or_a_reason(self):
        data, cases = load(), catalogue()
        self.assertEqual({*data["switches"], *data["no_defect"]}, set(switches()))
        self.assertLessEqual(set(data["slow"]), set(data["switches"]))
        killed = {case for switch in data["switches"].values() for case in switch["red"]}
        self.assertLessEqual(killed, set(cases))
        automatic = {case["id"] for case in cases.values() if is_automatic(case)}
        self.assertEqual(automatic - killed, set(data["without_switch"]))
        for name, switch in data["switches"].items():
            with self.subTest(name):
                self.assertTrue(switch["red"])
                # A level above the case's own would be an error of the declaration, or of the case.
                self.assertFalse(set(switch["red"]) & set(switch.get("also", {})))
                # What one defect does to several cases is said.
                self.assertTrue(len(switch["red"]) + len(switch.get("also", {})) == 1 or switch.get("why"))

    def test_what_the_program_does_not_run_by_itself_is_what_it_says(self):
        """What is semi-automatic and counted out here (is_automatic) is what the program says that it does not run by itself."""
        with tempfile.TemporaryDirectory() as folder:
            job, out = Path(folder) / "nu.toml", Path(folder) / "nu.json"
            server = '{ address = "127.0.0.1:9", name = "lps.essai.test" }'
            job.write_text('plan = "complet"\n[operator]\nname = "essai"\ndomains = ["essai.test"]\n[limits]\npatience_seconds = 1\nparallel = 16\n'
                           f"[dns]\nserver = \"127.0.0.1:9\"\n[api_lps]\nprivate_addresses = true\nimap = {server}\nsmtp = {server}\n")
            manual = [case for case in catalogue().values() if not is_automatic(case) and case["id"].startswith("ANN-")]
            only = [word for case in manual for word in ("--only", case["id"])]
            run(BINARY, "control", "run", job, "--json", out, *only, ok=None, timeout=300)
            said = {case["id"]: case for case in json.loads(out.read_text())["cas"]}
        self.assertEqual({said[case["id"]]["etat"] for case in manual}, {"non_execute", "a_examiner"})
        for case in manual:
            if case["mode"] == "S":
                self.assertIn("crée des BAL", said[case["id"]]["cause"])

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
        asked = NAMED.split(",") if NAMED else [name for name in data["switches"] if HOW in ("groups", "whole") or name not in data["slow"]]
        asked = [name for name in asked if HOW != "whole" or data["switches"][name].get("whole", True)]
        # The slow ones first: nobody waits for them in the end.
        asked.sort(key=lambda name: name not in data["slow"])
        # With every switch off first: whatever is red then is no switch's doing.
        work = [(None, job) for job in ("alpha", "beta") if not NAMED]
        work += [(name, data["switches"][name]["job"]) for name in asked]
        waiting = queue.SimpleQueue()
        records, broken = [], []
        for item in work:
            kept = self.kept(*item)
            if kept:
                records.append(kept)
            else:
                waiting.put(item)
        print(f"{len(work)} to be seen, {len(records)} of them before", flush=True)
        began = time.monotonic()

        def runner(lane):
            while time.monotonic() - began < MINUTES_IN_ALL * 60:
                try:
                    name, job = waiting.get_nowait()
                except queue.Empty:
                    return
                start = time.monotonic()
                try:
                    # Seen meanwhile by another process that keeps its results there.
                    record = self.kept(name, job)
                    if record:
                        records.append(record)
                        continue
                    record = self.one(lane, data, name, job)
                    record["seconds"] = round(time.monotonic() - start, 1)
                    self.keep(record)
                    records.append(record)
                    wrong = self.judged(data, record)
                except Exception as error:  # told with its switch
                    broken.append(f"{name}: {error!r}")
                    wrong = broken[-1:]
                finally:
                    lane.turn(None)
                minutes = (time.monotonic() - began) / 60
                print(f"[{len(records) + len(broken)}/{len(work)}, {minutes:.0f} min] {name or 'all off'} ({job}): "
                      f"{time.monotonic() - start:.1f} s{' WRONG' if wrong else ''}", flush=True)

        threads = [threading.Thread(target=runner, args=(lane,)) for lane in self.lanes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        left = []
        while not waiting.empty():
            left.append(waiting.get()[0] or "all off")
        if left:
            print(f"not begun in {MINUTES_IN_ALL:g} minutes: {', '.join(left)}", flush=True)
        if HOW == "learn":
            for record in records:
                if record["switch"]:
                    data["switches"][record["switch"]]["red"] = self.red(data, record)
            write_data(data)
            DOCUMENT.write_text(document(data))
            self.assertEqual(broken, [])
            return
        wrong = broken + [line for record in records for line in self.judged(data, record)]
        self.assertEqual(wrong, [], "\n".join(wrong))

    def one(self, lane, data, name, job):
        """What is seen with one switch on; with none when there is no name."""
        record = {"switch": name, "job": job, "how": HOW, "commit": commit(), "before": []}
        if name is None:
            # Every case that a switch of this run turns red, but for those that need a job of their own.
            lane.turn()
            named = named_by(data, job)
            return {**record, **told(lane.campaign(job, *(named if HOW != "whole" else ())))}
        switch = data["switches"][name]
        declared = self.declared(switch)
        settings = {"limits": switch.get("limits", "")}
        beside = switch.get("beside", [])
        lane.turn(*beside)
        if "reference" in switch:
            settings["reference"] = lane.reference(job, switch["reference"])
        if is_special(switch) and switch.get("base", True):
            for case, (found, result) in lane.campaign(job, *sorted(switch["red"]), **settings).items():
                if found:
                    record["before"].append(f"{name}, before it: {case} {found} {shown(result)}")
        lane.turn(name, *beside)
        only = {*declared, *data["sample"]}
        if HOW == "groups":
            groups = {case.split("-")[0] for case in declared}
            only |= {case for case in catalogue() if case.split("-")[0] in groups and case not in MINUTES}
        return {**record, **told(lane.campaign(job, *(sorted(only) if HOW != "whole" else ()), **settings))}

    @staticmethod
    def declared(switch):
        return switch["red"] | (switch.get("also", {}) if HOW in ("groups", "whole") else {})

    @staticmethod
    def red(data, record):
        """What is red in it, and counts."""
        declared = Matrix.declared(data["switches"][record["switch"]])
        # What somebody must look at whatever the operator does (a document, a trace) tells nothing of the switch.
        manual = {case for case, what in catalogue().items() if what["mode"] == "M"}
        return {case: found for case, found in sorted(record["levels"].items())
                if (is_red(found) and not (found == "à examiner" and case in manual)) or (found == "information" and declared.get(case) == found)}

    @staticmethod
    def judged(data, record):
        """What is wrong with it, in words."""
        name, why = record["switch"], record["why"]
        if name is None:
            named = named_by(data, record["job"])
            return [f"all off, {record['job']}: {case} {found} {why[case]}" for case, found in record["levels"].items()
                    if found != "information" and case in named]
        red, declared = Matrix.red(data, record), Matrix.declared(data["switches"][name])
        if HOW == "learn":
            print(name, red, {case: found for case, found in record["levels"].items() if case not in red}, flush=True)
            return []
        told = {case: why.get(case) for case in {*red, *declared} if red.get(case) != declared.get(case)}
        return record["before"] + ([f"{name}: red {red}, declared {declared}: {told}"] if told else [])

    @staticmethod
    def file(name, job):
        return Path(RESULTS) / f"{HOW or 'cases'}-{name or 'off-' + job}.json"

    def kept(self, name, job):
        """What was seen before, if it was kept."""
        if RESULTS and self.file(name, job).exists():
            return json.loads(self.file(name, job).read_text())
        return None

    def keep(self, record):
        """All that was seen, for whoever asked."""
        if RESULTS:
            file = self.file(record["switch"], record["job"])
            file.parent.mkdir(parents=True, exist_ok=True)
            new = file.with_suffix(".new")
            new.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n")
            new.replace(file)


def told(seen):
    """Of a campaign, what is kept of it."""
    return {"cases": len(seen), "ms": sum(result["duree_ms"] for _, result in seen.values()),
            "levels": {case: found for case, (found, _) in seen.items() if found},
            "why": {case: shown(result) for case, (found, result) in seen.items() if found}}


def named_by(data, job):
    """The cases that some switch of this way turns red, but for those that need a job of their own."""
    return sorted({case for key, switch in data["switches"].items() for case in switch["red"]
                   if switch["job"] == job and (HOW in ("groups", "whole") or key not in data["slow"]) and not is_special(switch)})


def commit():
    return run("git", "describe", "--always", "--dirty", cwd=ROOT, ok=None).stdout.strip()


def is_special(switch):
    return bool({"beside", "limits", "reference"} & set(switch))


if __name__ == "__main__":
    if HOW == "write":
        DOCUMENT.write_text(document(load()))
    else:
        main()
