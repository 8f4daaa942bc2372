"""Judges one run of the official conformance suite by what it wrote, not by its exit status.

usage: conformance.py NAME OUT_DIR LIST_FILE SKIP_FILE [--revision R] [--allow SCENARIO:CHECK]...

The suite's status is 0 for warnings, for skipped checks, and for scenarios that proved nothing. Here a run
passes if every scenario that the suite lists (for this revision) left its checks.json, and every one that
SKIP_FILE does not name has a SUCCESS and nothing but SUCCESS and INFO. `--allow` lets one warning pass.
"""
import argparse
import json
import pathlib
import re
import sys

parser = argparse.ArgumentParser()
parser.add_argument("name")
parser.add_argument("out", type=pathlib.Path)
parser.add_argument("list", type=pathlib.Path)
parser.add_argument("skip", type=pathlib.Path)
parser.add_argument("--revision")
parser.add_argument("--allow", action="append", default=[])
given = parser.parse_args()

# `  - NAME [REVISION,...]`, where an extension's scenario has `[extension]`.
listed = {m[1]: m[2].split(",") for m in re.finditer(r"^ *- (\S+) \[(\S+)\]$", given.list.read_text(), re.M)}
skip = {line.split()[0] for line in given.skip.read_text().splitlines() if line and not line.startswith("#")}
wanted = {name for name, where in listed.items() if not given.revision or given.revision in where}
troubles = []

runs = {}
for file in sorted(given.out.glob("server-*/checks.json")):
    runs[re.fullmatch(r"server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z", file.parent.name)[1]] = json.loads(file.read_text())
if not listed:
    troubles.append("the suite lists no scenario")
troubles += [f"{name}: did not run" for name in sorted(wanted - runs.keys())]
troubles += [f"{name}: ran and is not listed for this revision" for name in sorted(runs.keys() - wanted)]

counts = {}
passed = 0
for name, checks in runs.items():
    if name in skip:
        continue
    bad, proved = [], False
    for check in checks:
        status = check["status"]
        counts[status] = counts.get(status, 0) + 1
        allowed = status == "WARNING" and f"{name}:{check['id']}" in given.allow
        proved = proved or allowed or (status == "SUCCESS" and check["id"] != "wire-schema-valid")
        if status not in ("SUCCESS", "INFO") and not allowed:
            bad.append(f"{name}: {status} {check['id']}: {check.get('errorMessage', '')}")
    if not proved:
        bad.append(f"{name}: no check succeeded")
    passed += not bad
    troubles += bad

for trouble in troubles:
    print(f"  {trouble}")
total = len(runs.keys() - skip)
said = ", ".join(f"{count} {status.lower()}" for status, count in sorted(counts.items()))
print(f"{'FAILED' if troubles else 'ok'}: {given.name}: {passed} of {total} scenarios passed; checks: {said}; "
      f"{len(runs.keys() & skip)} scenarios out of scope")
sys.exit(1 if troubles else 0)
