"""Runs all suites one after the other and ends with one line: how many passed, failed and were skipped.

`make test` calls it inside .venv. Names as arguments run only those suites. The exit code is 1 if anything failed.
"""

import importlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree

TESTS = pathlib.Path(__file__).resolve().parent
ROOT = TESTS.parent
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
JUNIT = TARGET / "nextest" / "default" / "junit.xml"
# A Rust test that needs data which is not there says so on standard error and returns; it has not passed.
SKIPPED_LINE = re.compile(r"^skipped\b", re.MULTILINE | re.IGNORECASE)


class Count:
    """What a suite came to."""

    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped = passed, failed, skipped
        self.failures = []  # Their names, where the runner says them.

    def fail(self, name):
        self.failed += 1
        self.failures.append(name)

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self):
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


def call(*command):
    """Runs a command with its output passed on."""
    sys.stdout.flush()
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode


def one_check(*command):
    """A command that is itself one test."""
    return Count(passed=1) if call(*command) == 0 else Count(failed=1)


def junit(report, *command):
    """A runner that writes a JUnit report."""
    report.unlink(missing_ok=True)
    return reported(report, call(*command))


def reported(report, code):
    """What a JUnit report says, of a runner that ended with this code."""
    count = Count()
    if report.exists():
        for case in xml.etree.ElementTree.parse(report).iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                count.fail(f"{case.get('classname', '')} {case.get('name', '')}".strip())
            elif case.find("skipped") is not None or SKIPPED_LINE.search(case.findtext("system-err") or ""):
                count.skipped += 1
            else:
                count.passed += 1
    if code != 0 and count.failed == 0:
        count.failed = 1  # It did not build, or a test took the runner with it.
    return count


def rust():
    """Unit and property tests of all crates."""
    return junit(JUNIT, "cargo", "nextest", "run", "--locked", "--workspace")


class Beside:
    """A runner beside the suites that come before its turn: both wait more than they work. Its output is shown at its turn."""

    def __init__(self, report, *command):
        self.report, self.command, self.process = report, command, None

    def start(self):
        self.report.unlink(missing_ok=True)
        self.output = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            self.command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=self.output, stderr=subprocess.STDOUT
        )  # fmt: skip

    def __call__(self):
        if self.process is None:
            self.start()
        code = self.process.wait()
        self.output.seek(0)
        sys.stdout.flush()
        shutil.copyfileobj(self.output, sys.stdout.buffer)
        sys.stdout.flush()
        return reported(self.report, code)


# What people see, in a real browser over the real binary.
browser = Beside(TESTS / "browser" / "results" / "junit.xml", "npm", "--prefix", "tests/browser", "test", "--silent")


def doc_tests():
    """The examples in docstrings, and what must not compile."""
    done = subprocess.run(
        ["cargo", "test", "--locked", "--workspace", "--doc"],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    count = Count()
    for passed, failed, ignored in re.findall(r"^test result: .* (\d+) passed; (\d+) failed; (\d+) ignored", done.stdout, re.M):
        count.add(Count(int(passed), int(failed), int(ignored)))
    if done.returncode != 0:
        print(done.stdout)
        count.failed = max(count.failed, 1)
    return count


class CountingResult(unittest.TextTestResult):
    """Counts a sub-test as a test: a table of thirty comparisons is thirty."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.count = Count()
        self.with_subtests = set()

    def addSuccess(self, test):
        super().addSuccess(test)
        if test.id() not in self.with_subtests:
            self.count.passed += 1

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        self.with_subtests.add(test.id())
        if error is None:
            self.count.passed += 1
        else:
            self.count.fail(str(test))

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.count.fail(test.id())

    def addError(self, test, error):
        super().addError(test, error)
        self.count.fail(test.id())

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.count.skipped += 1


def black_box(module):
    """A Python module of unittest cases over the real binary."""

    def run():
        if str(TESTS) not in sys.path:
            sys.path.insert(0, str(TESTS))
        suite = unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module(module))
        runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=CountingResult)
        return runner.run(suite).count

    return run


# The browser suite starts when this one does, once everything is built.
BESIDE_FROM = "sdk"

SUITES = [
    ("web", lambda: one_check("scripts/web.sh", "--test")),
    ("format", lambda: one_check("cargo", "fmt", "--all", "--check")),
    ("lint", lambda: one_check("cargo", "clippy", "--locked", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings")),
    ("rust", rust),
    ("doctests", doc_tests),
    ("build", lambda: one_check("scripts/build.sh")),
    ("docs", lambda: one_check("env", f"JUMELLE_BINARY={TARGET}/debug/jumelle", "scripts/docs.sh", "--check")),
    # The browser suite runs beside these.
    ("sdk", black_box("sdk.test_sdks")),
    ("story", black_box("story")),
    ("demo", black_box("demo")),
    ("api", black_box("api")),
    ("strings", black_box("strings.test_strings")),
    ("activation", black_box("activation")),
    ("tools", black_box("tools")),
    ("results", black_box("results")),
    ("partners", black_box("partners")),
    ("native", black_box("native")),
    ("files", black_box("files")),
    ("connectors_differential", black_box("connectors_differential")),
    ("policy", black_box("policy")),
    ("rights", black_box("rights")),
    ("split", black_box("split")),
    ("clocks", black_box("clocks")),
    ("reduction", black_box("reduction")),
    ("watching", black_box("watching")),
    ("set_up", black_box("set_up")),
    ("security", black_box("security")),
    ("backup", black_box("backup")),
    ("ledger", black_box("ledger")),
    ("oversight", black_box("oversight")),
    ("statements", black_box("statements")),
    ("histories", black_box("histories")),
    ("faults", black_box("faults")),
    ("disk_trouble", black_box("disk_trouble")),
    ("formats", black_box("formats")),
    ("docs_commands", black_box("docs_commands")),
    ("online_retail", black_box("online_retail")),
    ("recipes", black_box("recipes")),
    ("truth", black_box("truth")),
    ("browser", browser),
    # These load the machine, or count on its time.
    ("race", black_box("race")),
    ("limits", black_box("limits")),
    ("overload", black_box("overload")),
    ("heavy", black_box("heavy")),
    ("crash", black_box("crash")),
    ("power_cut", black_box("power_cut")),
    ("observed", black_box("observed")),
]


def main(wanted):
    names = [name for name, _ in SUITES]
    for name in wanted:
        if name not in names:
            sys.exit(f"there is no suite {name!r}; there are {', '.join(names)}")
    total, lines = Count(), []
    started = time.monotonic()
    chosen = [(name, run) for name, run in SUITES if not wanted or name in wanted]
    for name, run in chosen:
        if name == BESIDE_FROM and browser in dict(chosen).values():
            browser.start()
        print(f"\n━━ {name}", flush=True)
        began = time.monotonic()
        try:
            count = run()
        except Exception as error:  # A suite that breaks is a failure, and the others still run.
            print(f"{name}: {error!r}")
            count = Count(failed=1)
        total.add(count)
        lines.append(f"  {name:<14} {time.monotonic() - began:7.1f} s   {count}")
        print(lines[-1].strip(), flush=True)
        lines.extend(f"    failed: {failure}" for failure in count.failures)
    print("\n━━ all suites")
    print("\n".join(lines))
    print(f"  {'':<14} {time.monotonic() - started:7.1f} s")
    print(total, flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
