"""Compares sizes with their budgets and with docs/SIZES.md, and writes that file: sizes.py FOUND SYMBOLS [--write]."""

import re
import sys
from collections import Counter

BUDGETS, DOCUMENT = ".ci/sizes.txt", "docs/SIZES.md"
STALE = 0.02
CRATES = 24


def read(path):
    """Numbers by name: one each, or two where a budget has a goal below it."""
    lines = [line.rsplit(": ", 1) for line in open(path) if ": " in line and not line.startswith("#")]
    return {name: [int(number) for number in numbers.split()] for name, numbers in lines}


def crates(path):
    """Bytes of functions by the crate whose name theirs begins with: an instance of a generic counts for who wrote it."""
    sums = Counter()
    for line in open(path):
        parts = line.rstrip().split(" ", 3)
        if len(parts) == 4 and parts[2] in "tTwW":
            name = re.search(r"^(?:[<&*\[( ]|dyn |mut |impl )*([a-z_][a-z0-9_]*)(?:\[[0-9a-f]+\])?::", parts[3])
            sums[name[1] if name else "C and the start"] += int(parts[1], 16)
    return sums


def document(found, budgets, sums):
    size = {name: numbers[0] for name, numbers in found.items()}
    usual = size["program, x86_64, release"]
    kib = lambda size: f"{size / 1024:,.0f}"
    yield "# Sizes"
    yield ""
    yield "Made by `.ci/sizes.sh --write`; CI fails where a size is over its budget, or 2 % off what stands here. Bytes of"
    yield "stripped programs. `program` has the default features; `with config` it reads files of tools too, as in the packages;"
    yield "`without page` is `--no-default-features --features program`. `library` is the example `hello` without default features:"
    yield "what a daemon pays that embeds it, std included. `small` is the profile for flash (`opt-level = \"z\"`, no unwinding), as"
    yield "`packaging/static.sh` builds it; on ARM it is static. Where a goal stands it is not reached yet."
    yield ""
    yield "| what | bytes | at most | goal |"
    yield "|---|---|---|---|"
    for name, budget in budgets.items():
        goal = [f"{goal:,}" for goal in budget[1:] if size[name] > goal]
        yield f"| {name} | {size[name]:,} | {budget[0]:,} | {''.join(goal)} |"
    yield ""
    yield "## Features"
    yield ""
    yield "What the program, x86_64, release, weighs more with a feature than without it:"
    yield ""
    yield "| feature | KiB | in the default program |"
    yield "|---|---|---|"
    for name in (name for name in found if name.startswith("feature ")):
        sign, feature = name[8], name[9:]
        more = size[name] - usual if sign == "+" else usual - size[name]
        yield f"| `{feature}` | {kib(more)} | {'no' if sign == '+' else 'yes'} |"
    yield ""
    yield "## Crates"
    yield ""
    yield "Code of the default program (x86_64, release) by the crate that wrote it, in KiB. An instance of somebody's generic"
    yield "function counts for him, though it would go with its caller; tables and texts (the rest of the file) are nobody's."
    yield ""
    yield "| crate | KiB |"
    yield "|---|---|"
    for name, size in sums.most_common(CRATES):
        yield f"| {name} | {kib(size)} |"
    rest = sums.total() - sum(size for _, size in sums.most_common(CRATES))
    yield f"| the other {max(len(sums) - CRATES, 0)} | {kib(rest)} |"
    yield f"| all code | {kib(sums.total())} |"


def main(found, symbols, *options):
    found, budgets = read(found), read(BUDGETS)
    if "--write" in options:
        text = "\n".join(document(found, budgets, crates(symbols))) + "\n"
        open(DOCUMENT, "w").write(text)
        print(text)
    told = dict(re.findall(r"^\| ([^|]+) \| ([\d,]+) \| [\d,]+ \|", open(DOCUMENT).read(), re.M))
    faults = []
    for name, (budget, *goal) in budgets.items():
        size, known = found[name][0], int(told.get(name, "0").replace(",", ""))
        if size > budget:
            faults.append(f"{name}: {size} bytes, at most {budget}")
        if abs(size - known) > known * STALE:
            faults.append(f"{name}: {size} bytes, {DOCUMENT} says {known}; run .ci/sizes.sh --write")
        if any(size > number for number in goal):
            print(f"NOT REACHED: {name}: {size} bytes, the goal is {goal[0]}")
    sys.exit("FAILED: " + "\n        ".join(faults) if faults else 0)


main(*sys.argv[1:])
