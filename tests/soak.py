"""What takes too long for `make test`: `make soak` runs it and ends with a table. Names as arguments run only those parts.

Each part is a function that gives an `Outcome`; PARTS lists them.
"""

import os
import pathlib
import random
import re
import resource
import subprocess
import sys
import time
import unittest

import crash
import disk_trouble
import overload
import power_cut
import race
from shop import Shop, workspace

ROOT = pathlib.Path(__file__).resolve().parent.parent
FUZZ = ROOT / "fuzz"
SEEDS = int(os.environ.get("SEEDS", "5000"))
MINUTES = float(os.environ.get("MINUTES", "1"))
CARGO_FUZZ_VERSION = "0.13.2"
# An input that takes longer than this is a finding as well.
INPUT_S_MAX = 10
CRASHES = 1_000
POWER_CUTS = 500
FLIPS = 1_000
# Of the four tools some have a person before she withdraws: this many people come to a million sends, or a few more.
RACE_PEOPLE = int(os.environ.get("RACE_PEOPLE", "660000"))
# What they come to if nobody withdrew in time: with it two cores are busy.
RACE_SENDS_PER_S = int(os.environ.get("RACE_SENDS_PER_S", "2700"))
OVERLOAD_S = float(os.environ.get("OVERLOAD_S", "300"))
DIRECTORIES = 2
# Crashes or cuts that one directory goes through: a new one from time to time begins with new people and an empty history.
TURNS_OF_A_DIRECTORY = 50
TURNS = TURNS_OF_A_DIRECTORY * DIRECTORIES
INPUT_BYTES_MAX = 16_384
MEMORY_MB_MAX = 1_024


class Outcome:
    """Whether a part held, and what it did, in a few words."""

    def __init__(self, held, told):
        self.held, self.told = held, told


def simulation():
    """Committer, fold and outbox under thousands of seeds."""
    done = subprocess.run(
        ["cargo", "nextest", "run", "--locked", "-p", "jumelle-engine", "--success-output", "immediate", "whatever_happens"],
        cwd=ROOT, env={**os.environ, "JUMELLE_SEEDS": str(SEEDS)}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    told = re.search(r"(\d+ seeds): Counts \{ (.*) \}", done.stdout)
    failed = re.search(r"seeds that fail: (.*)", done.stdout)
    if done.returncode != 0:
        print(done.stdout[-8_000:])
        return Outcome(False, f"seeds that fail: {failed[1]}" if failed else "it did not run")
    if not told:
        return Outcome(False, "no seeds were run")
    counts = dict(re.findall(r"(\w+): (\d+)", told[2]))
    shown = ", ".join(f"{counts[name]} {name}" for name in ("events", "crashes", "sent", "received_twice", "erased"))
    return Outcome(True, f"{told[1]}, {shown}")


def has_cargo_fuzz():
    """Installs it when it is missing: some 20 s."""
    if subprocess.run(["cargo", "fuzz", "--version"], capture_output=True, check=False).returncode == 0:
        return True
    command = ["cargo", "install", "cargo-fuzz", "--locked", "--version", CARGO_FUZZ_VERSION]
    return subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode == 0


def fuzz(target, *seeds):
    """A fuzz target for a while, from its seeds and these files or folders of the repository."""

    def run():
        if not has_cargo_fuzz():
            return Outcome(False, "cargo-fuzz is not there")
        corpus = FUZZ / "corpus" / target
        corpus.mkdir(parents=True, exist_ok=True)
        # The code under test is safe Rust: no address sanitizer, for four times the speed.
        command = [
            "cargo", "fuzz", "run", "--fuzz-dir", str(FUZZ), "--sanitizer", "none", target, str(corpus),
            *[str(ROOT / path) for path in (f"fuzz/seeds/{target}", *seeds) if (ROOT / path).exists()],
            "--", f"-max_total_time={MINUTES * 60:.0f}", f"-timeout={INPUT_S_MAX}", f"-max_len={INPUT_BYTES_MAX}",
            f"-rss_limit_mb={MEMORY_MB_MAX}", "-print_final_stats=1", "-verbosity=1",
        ]  # fmt: skip
        done = subprocess.run(
            command, cwd=FUZZ, env={**os.environ, "RUSTC_BOOTSTRAP": "1"}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
        )  # fmt: skip
        runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stdout)
        if done.returncode != 0 or not runs:
            print(done.stdout[-6_000:])
            found = re.search(r"panicked at (.*):\n(.*)", done.stdout)
            return Outcome(False, f"{found[1]}: {found[2]}" if found else "it did not run")
        covered = re.findall(r"cov: (\d+)", done.stdout)
        return Outcome(True, f"{int(runs[1]):,} inputs in {MINUTES:g} min, {covered[-1] if covered else '?'} edges covered")

    return run


def rounds(count, once):
    """Runs `once(seed)` for directories of a few turns each, until there were `count` turns; gives the outcomes."""
    seeds = random.SystemRandom()
    return [once(seeds.randrange(1 << 32)) for _ in range(-(-count // TURNS))]


def crashes():
    """The process ends at every place and at random."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    test = unittest.TestCase()
    outcomes = rounds(CRASHES, lambda seed: crash.run_all(test, TURNS, DIRECTORIES, seed))
    table = {}
    for _, reached in outcomes:
        for place, times in reached.items():
            table.setdefault(place, []).extend(times)
    for place, times in sorted(table.items()):
        print(f"  {place:<28} {len(times):>5} crashes, {sum(times):>5} there")
    acknowledged = sum(acknowledged for acknowledged, _ in outcomes)
    return Outcome(True, f"{sum(map(len, table.values()))} crashes, {acknowledged} acknowledged events, none lost")


def power_cuts():
    """Unsynced bytes are lost, torn or out of order."""
    test = unittest.TestCase()
    outcomes = rounds(POWER_CUTS, lambda seed: power_cut.run_all(test, TURNS, DIRECTORIES, seed))
    torn, acknowledged = sum(torn for _, torn in outcomes), sum(count for count, _ in outcomes)
    cuts = len(outcomes) * TURNS
    return Outcome(True, f"{cuts} power cuts, {torn} torn ends cut off, {acknowledged} acknowledged events, none lost")


def flipped_bits():
    """Every file of a directory, a bit at a time; always served too."""
    case = disk_trouble.FlippedBits()
    case.setUpClass()
    try:
        case.flip_all(FLIPS, 1)
    finally:
        case.doClassCleanups()
    return Outcome(True, f"{FLIPS} flipped bits, nothing wrong served")


def overloaded():
    """Five minutes of more than the server can take."""
    test = unittest.TestCase()
    with Shop(workspace()) as shop:
        one = overload.flood(test, shop, 0, overload.CONNECTIONS, OVERLOAD_S, overload.BATCH)
        overload.check_stored(test, shop, [one])
    return Outcome(True, one.told())


def raced():
    """A million sends, about a thousand a second and as many removals, raced against withdrawals."""
    outcome = race.race(RACE_PEOPLE, RACE_SENDS_PER_S, seconds_max=4 * 3600)
    race.check(unittest.TestCase(), outcome, RACE_PEOPLE)
    return Outcome(True, race.told(outcome))


PARTS = [
    ("race", raced),
    ("crashes", crashes),
    ("power_cuts", power_cuts),
    ("flipped_bits", flipped_bits),
    ("overload", overloaded),
    ("simulation", simulation),
    ("fuzz_tracking", fuzz("tracking")),
    ("fuzz_workspace", fuzz("workspace", "examples", "crates/model/tests/data")),
    ("fuzz_rule", fuzz("rule")),
    ("fuzz_mapping", fuzz("mapping", "examples")),
    ("fuzz_block", fuzz("block")),
    ("fuzz_consent_strings", fuzz("consent_strings")),
]


def main(wanted):
    names = [name for name, _ in PARTS]
    # `fuzz` stands for all of its targets.
    for name in wanted:
        if not any(known == name or known.startswith(name + "_") for known in names):
            sys.exit(f"there is no part {name!r}; there are {', '.join(names)}")
    lines, held = [], True
    for name, run in PARTS:
        if wanted and not any(name == want or name.startswith(want + "_") for want in wanted):
            continue
        print(f"\n━━ {name}", flush=True)
        began = time.monotonic()
        try:
            outcome = run()
        except Exception as error:  # A part that breaks is a failure, and the others still run.
            outcome = Outcome(False, repr(error))
        held = held and outcome.held
        verdict = "held" if outcome.held else "FAILED"
        lines.append(f"  {name:<20} {time.monotonic() - began:7.0f} s   {verdict:<7} {outcome.told}")
        print(lines[-1].strip(), flush=True)
    print("\n━━ soak")
    print("\n".join(lines), flush=True)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
