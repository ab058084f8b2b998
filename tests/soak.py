"""What takes long: `make soak`. Each part prints what it came to; a seed that fails is in its message."""

import random
import resource
import sys
import time
import unittest

import crash
import disk_trouble
import power_cut

CRASHES = 1_000
POWER_CUTS = 500
FLIPS = 1_000
DIRECTORIES = 2
# Crashes or cuts that one directory goes through: a new one from time to time begins with new people and an empty history.
TURNS_OF_A_DIRECTORY = 50


def rounds(count, once):
    """Runs `once(seed)` for directories of a few turns each, until there were `count` turns; gives the outcomes."""
    seeds = random.SystemRandom()
    return [once(seeds.randrange(1 << 32)) for _ in range(-(-count // (TURNS_OF_A_DIRECTORY * DIRECTORIES)))]


def crashes(test):
    """The process ends at every place and at random."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    turns = TURNS_OF_A_DIRECTORY * DIRECTORIES
    outcomes = rounds(CRASHES, lambda seed: crash.run_all(test, turns, DIRECTORIES, seed))
    table = {}
    for _, reached in outcomes:
        for place, times in reached.items():
            table.setdefault(place, []).extend(times)
    for place, times in sorted(table.items()):
        print(f"  {place:<28} {len(times):>5} crashes, {sum(times):>5} there")
    return f"{sum(map(len, table.values()))} crashes, {sum(acknowledged for acknowledged, _ in outcomes)} acknowledged events, none lost"


def power_cuts(test):
    """Unsynced bytes are lost, torn or out of order."""
    turns = TURNS_OF_A_DIRECTORY * DIRECTORIES
    outcomes = rounds(POWER_CUTS, lambda seed: power_cut.run_all(test, turns, DIRECTORIES, seed))
    torn = sum(torn for _, torn in outcomes)
    return f"{len(outcomes) * turns} power cuts, {torn} torn ends cut off, {sum(count for count, _ in outcomes)} acknowledged events, none lost"


def flipped_bits(test):
    """Every file of a directory, a bit at a time; always served too."""
    case = disk_trouble.FlippedBits()
    case.setUpClass()
    try:
        case.flip_all(FLIPS, 1)
    finally:
        case.doClassCleanups()
    return f"{FLIPS} flipped bits, nothing wrong served"


PARTS = {part.__name__: part for part in [crashes, power_cuts, flipped_bits]}


def main(wanted):
    test, failed = unittest.TestCase(), 0
    for name in wanted or PARTS:
        if name not in PARTS:
            sys.exit(f"there is no part {name!r}; there are {', '.join(PARTS)}")
        began = time.monotonic()
        print(f"\n━━ {name}: {PARTS[name].__doc__}", flush=True)
        try:
            print(f"{PARTS[name](test)}, {time.monotonic() - began:.0f} s", flush=True)
        except Exception as error:  # A part that fails is told, and the others still run.
            failed += 1
            print(f"FAILED {name}: {error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
