#!/usr/bin/env bash
# An independent checker of revision 2026-07-28 (jbt-mcpcheck) against the `conformance` and the `echo`
# example, warnings counted as failures: all of its 8 checks must pass. What may be said all the same is
# named below by the checker's own code: advice that a fixture of the official suite cannot follow.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# Sending log messages is deprecated, and the suite asks for it; a picture has no structured content.
conformance_may="discover.logging_deprecated schemas.output_schema_missing"
echo_may="discover.logging_deprecated"

need_conformance
need_echo
failed=
need_python mcpcheck 'jbt-mcpcheck==0.1.1'
checker=$(dirname "$PYTHON")/jbt-mcpcheck

# check NAME PROGRAM CODES: the checker's status 1 is judged by its report, 2 (could not run) is a failure.
check() {
    local code=0
    start_server "$2"
    timeout 120 "$checker" --legacy-probes --probe all --strict --json "http://127.0.0.1:$PORT/mcp" \
        >"$CI_TMP/$1.json" 2>"$CI_TMP/$1.err" </dev/null || code=$?
    [ "$code" -le 1 ] || { cat "$CI_TMP/$1.err" >&2; die "mcpcheck against $1: status $code"; }
    python3 - "$1" "$CI_TMP/$1.json" "$3" <<'PYTHON' || failed="$failed $1"
import json, sys
name, file, may = sys.argv[1], sys.argv[2], sys.argv[3].split()
checks = json.load(open(file))["checks"]
passed = 0
for check in checks:
    bad = check["failures"] + [w for w in check["warnings"] if w["code"] not in may]
    if not bad and check["status"] not in ("pass", "warn"):
        bad = [{"code": check["status"], "message": check["error"] or check["summary"]}]
    for finding in bad:
        print(f"  {check['name']}: {finding['code']}: {finding.get('subject', '')} {finding['message']}")
    passed += not bad
print(f"{'ok' if passed == len(checks) == 8 else 'FAILED'}: mcpcheck, {name}: {passed} of {len(checks)} checks")
sys.exit(not passed == len(checks) == 8)
PYTHON
    stop_server
}

check echo "$ECHO" "$echo_may"
check conformance "$CONFORMANCE" "$conformance_may"
[ -z "$failed" ] || die "mcpcheck against$failed"
