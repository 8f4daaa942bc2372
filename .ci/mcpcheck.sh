#!/usr/bin/env bash
# An independent checker of revision 2026-07-28 (jbt-mcpcheck), warnings counted as failures: all of its 8
# checks must pass, against the `elicit` example without any exception. `conformance` and `echo` have tools
# without structured results and send log messages; the checker's advice on those two is named below.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

may="discover.logging_deprecated schemas.output_schema_missing"

need_conformance
need_echo
failed=
need_python mcpcheck 'jbt-mcpcheck==0.1.1'
checker=$(dirname "$PYTHON")/jbt-mcpcheck

# check NAME CODES: a server runs on $PORT; the checker's status 1 is judged by its report, 2 (could not run) is a failure.
check() {
    local code=0
    timeout 120 "$checker" --legacy-probes --probe all --strict --json "http://127.0.0.1:$PORT/mcp" \
        >"$CI_TMP/$1.json" 2>"$CI_TMP/$1.err" </dev/null || code=$?
    [ "$code" -le 1 ] || { cat "$CI_TMP/$1.err" >&2; die "mcpcheck against $1: status $code"; }
    python3 - "$1" "$CI_TMP/$1.json" "$2" <<'PYTHON' || failed="$failed $1"
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
}

start_server "$ECHO"
check echo "$may"
stop_server
start_server "$CONFORMANCE"
check conformance "$may"
stop_server

# A program of forty lines: it takes an address, and no signal.
(cd "$ROOT" && cargo build -q --release --example elicit) || die "cargo build --release --example elicit"
PORT=$(free_port)
"$TARGET/release/examples/elicit" "127.0.0.1:$PORT" >"$CI_TMP/elicit.log" 2>&1 </dev/null &
CHILDREN+=($!)
wait_port "$PORT" $! "$CI_TMP/elicit.log"
check elicit ""
[ -z "$failed" ] || die "mcpcheck against$failed"
