#!/usr/bin/env python3
"""Writes docs/FEATURES.md: what there is in which revision, and the tests that prove it.

usage: features.py [--write] [LOG]

LOG is what `cargo test` printed (without -q; both streams; standard input where none is named). Three things meet
here: .ci/features.txt, written by hand; the names of the tests that passed; docs/TESTED.md, which names tests for ids.
Without --write the file in docs is compared with what is to be in it. The exit status is 1 if an id of a feature is
none or has no test that passed, if a test that proves something failed or did not run, or if the file differs.
"""
import argparse
import difflib
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
REVISIONS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"]
ID = re.compile(r"([ABFGHSTVWX])-(\d{1,3})")
SPAN = re.compile(ID.pattern + r"(?: ?… ?" + ID.pattern + r")?")
TRANSCRIPTS = "transcripts::every_"
UPDATE = "cargo test --all-features 2>&1 | python3 .ci/features.py --write"


def spans(text):
    """The ids in a text; `S-2 … S-4` are three."""
    for first, start, last, end in SPAN.findall(text):
        if last not in ("", first):
            raise SystemExit(f"{text}: from {first} to {last}")
        yield from (f"{first}-{number}" for number in range(int(start), int(end or start) + 1))


def ids_of(name):
    """The ids in front of a test's name: `t11_to_t21_of_two_faults` proves eleven, `p03_x1_…` only X-1."""
    words, found = name.split("_"), []
    for at, word in enumerate(words):
        match = re.fullmatch(r"([a-z])0*(\d{1,3})", word)
        if match:
            after_to = at > 1 and words[at - 1] == "to"
            start = int(found[-1][2:]) + 1 if after_to and found else int(match[2])
            found += (f"{match[1].upper()}-{number}" for number in range(start, int(match[2]) + 1))
        elif not (word == "to" and found):
            break
    return [each for each in found if ID.fullmatch(each)]


def place(binary, path):
    """Where a test stands, as docs/TESTED.md writes it, and its name: `features/tools`, `src/sse.rs`."""
    *modules, name = path.split("::")
    if not binary.startswith("src/"):
        # A test program beside tests/all.rs has its own name in front.
        own = pathlib.Path(binary).stem
        return "/".join([own, *modules] if own != "all" else modules), name
    folder = pathlib.Path(binary).parent
    modules = [module for module in modules if module != "tests"]
    file = folder.joinpath(*modules) if modules else pathlib.Path(binary).with_suffix("")
    return next((str(f) for f in (file.with_suffix(".rs"), file / "mod.rs") if (ROOT / f).exists()), str(file)), name


def read_log(text):
    """Every test that ran, by place and name: did it pass?"""
    ran, binary = {}, None
    for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines():
        if match := re.match(r" +Running (?:unittests )?(\S+\.rs) \(", line):
            binary = match[1]
        elif re.match(r" +Doc-tests ", line):
            binary = None
        elif binary and (match := re.match(r"test (\S+)(?: - should panic)? \.\.\. (\w+)", line)):
            ran[place(binary, match[1])] = match[2] == "ok"
    return ran


def read_tested(troubles, ran):
    """docs/TESTED.md: the tests that it names for each id. What it names must have passed, whatever the id."""
    named = {}
    for line in (ROOT / "docs/TESTED.md").read_text().splitlines():
        if not line.startswith("|"):
            continue
        tests = []
        for word in line.split("`")[1::2]:
            is_transcript = (ROOT / f"tests/transcripts/{word}.txt").exists()
            where, _, start = (TRANSCRIPTS if is_transcript else word).partition("::")
            found = [test for test in ran if start and test[0] == where and test[1].startswith(start)]
            if start and not found:
                troubles.append(f"docs/TESTED.md names {word}, and no such test ran")
            troubles += [f"docs/TESTED.md names {show(test)}, which failed" for test in found if not ran[test]]
            tests += found
        ids = list(spans(line.split("|")[1]))
        # A row has a test without its ids for those that no name has.
        tests.sort(key=lambda test: any(each in ids for each in ids_of(test[1])))
        for each in ids:
            named.setdefault(each, []).extend(test for test in tests if test not in named.get(each, []))
    return named


def read_features(troubles):
    """.ci/features.txt: sections of (name, revisions, ids)."""
    sections, heading = {}, ""
    for number, line in enumerate((ROOT / ".ci/features.txt").read_text().splitlines(), 1):
        if line.startswith("## "):
            heading = line[3:]
        elif line and not line.startswith("#"):
            cells = [cell.strip() for cell in line.split("|")]
            try:
                name, revisions, ids = cells
                wrong = SPAN.sub("", ids).split()
                ids = list(spans(ids))
                if wrong or len(set(ids)) < len(ids):
                    raise ValueError(f"no ids of the specification, or one twice: {' '.join(wrong)}")
                revisions = read_revisions(revisions)
                if bool(revisions) != bool(ids):
                    raise ValueError("a feature has revisions and ids, or neither")
                sections.setdefault(heading, []).append((name, revisions, ids))
            except ValueError as error:
                troubles.append(f".ci/features.txt, line {number}: {error}")
    return sections


def read_revisions(text):
    """`all`, `none`, or revisions, where `2025-06-18…` has all from then on."""
    found = set()
    for word in text.split():
        first, dots, last = word.partition("…")
        if word == "all":
            found |= set(REVISIONS)
        elif word != "none":
            at, to = REVISIONS.index(first), REVISIONS.index(last) if last else len(REVISIONS) - 1
            found |= set(REVISIONS[at:to + 1] if dots else [first])
    return found


def show(test):
    return "::".join(test)


def short(test, ran):
    """The name's ids, and as many of its words as no other test there begins with."""
    where, name = test
    words = name.split("_")
    start = next((at for at, word in enumerate(words) if not re.fullmatch(r"[a-z]\d+|to", word)), 0)
    for length in range(max(start, 1), len(words)):
        prefix = "_".join(words[:length]) + "_"
        if sum(other[0] == where and other[1].startswith(prefix) for other in ran) == 1:
            return f"{where}::{prefix}"
    return show(test)


def code(text):
    return f"`{text}`"


HEAD = """\
<!-- Generated from .ci/features.txt, docs/TESTED.md and the tests that passed; `.ci/run features` checks it. To update:
     {update} -->

# What there is, in which revision, and what proves it

A row is a feature: whether that revision has it, the rules that it keeps, and at least one test for each of these; all
tests of an id are listed at the end. They are named as in `TESTED.md`: `calls::f34_` stands for the test of
`tests/calls.rs` whose name begins so, and a name with `src/` in front is a unit test in that file. All of them passed
when this table was made; an id without a test that passes fails CI.

An id is a rule of the specification, with what had to be decided where it is silent. G: every HTTP request. H:
HTTP+SSE. S: Streamable HTTP with sessions. T: Streamable HTTP without. V: mirrored headers. W: the form of events.
F: features. A: authorization. B: security. X: traps and contradictions.
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("log", nargs="?", type=argparse.FileType(errors="replace"), default=sys.stdin)
    given = parser.parse_args()

    troubles = []
    ran = read_log(given.log.read())
    if not ran:
        raise SystemExit("the log has no test in it: it must be of `cargo test` without -q, both streams")
    tested = read_tested(troubles, ran)
    named = {}
    for test in ran:
        for each in ids_of(test[1]):
            named.setdefault(each, []).append(test)
    features = read_features(troubles)

    # A name that has the id is the better proof; where there is none, what its rows in TESTED.md name.
    proofs = {}
    for each in sorted({i for rows in features.values() for row in rows for i in row[2]}, key=order):
        rank = lambda test: (test[0].startswith("src/"), ids_of(test[1]).index(each), test)
        tests = sorted(named.get(each, []), key=rank) or tested.get(each, [])
        troubles += [f"{each} is proved by {show(test)}, which failed" for test in tests if not ran[test]]
        proofs[each] = [test for test in tests if ran[test]]
        if not proofs[each]:
            troubles.append(f"{each} has no test that passed")
    if troubles:
        raise SystemExit("\n".join(dict.fromkeys(troubles)))

    text = write(features, proofs, ran)
    path = ROOT / "docs/FEATURES.md"
    before = path.read_text() if path.exists() else ""
    if given.write:
        path.write_text(text)
    elif text != before:
        names = "docs/FEATURES.md", "what the tests say"
        print(*difflib.unified_diff(before.splitlines(), text.splitlines(), *names, n=0, lineterm=""), sep="\n")
        raise SystemExit(f"docs/FEATURES.md is not what the tests say; to update it: {UPDATE}")
    print(f"{sum(len(row[1]) > 0 for rows in features.values() for row in rows)} features, {len(proofs)} ids,"
          f" {len({test for tests in proofs.values() for test in tests})} tests that prove them")


def order(each):
    return each[0], int(each[2:])


def write(features, proofs, ran):
    out = [HEAD.format(update=UPDATE)]
    for heading, rows in features.items():
        out.append(f"## {heading}\n")
        if not any(ids for _, _, ids in rows):
            out += [f"- {name}" for name, _, _ in rows]
        else:
            out.append(f"| feature | {' | '.join(REVISIONS)} | ids | proved by |")
            out.append("|---" * (len(REVISIONS) + 3) + "|")
            for name, revisions, ids in rows:
                marks = " | ".join("✓" if revision in revisions else "–" for revision in REVISIONS)
                shown = ", ".join(code(short(test, ran)) for test in cover(ids, proofs))
                out.append(f"| {name} | {marks} | {', '.join(ids)} | {shown} |")
        out.append("")
    out.append("## The tests of each id\n")
    out += [f"- {each}: {', '.join(code(show(test)) for test in tests)}" for each, tests in proofs.items()]
    return "\n".join(out) + "\n"


def cover(ids, proofs):
    """Some tests for each id, most where there are few ids; those of several ids come first."""
    chosen = []
    for each in ids:
        rest = [test for test in proofs[each] if test not in chosen]
        rest.sort(key=lambda test: -sum(test in proofs[other] for other in ids))
        enough = max(4 - len(ids), 1) - sum(test in chosen for test in proofs[each])
        chosen += rest[:max(enough, 0)]
    return chosen


if __name__ == "__main__":
    main()
