#!/usr/bin/env bash
# Measures the server beside other SDKs' servers and bare yardsticks, with the peer rig that lies beside the
# project (SKIPPED without it). Run by hand on a quiet machine; no gate depends on it. What it prints are
# tables and the ratios that the project has set itself as goals; only ratios from one run mean anything.
#
#   bench.sh [call] [sessions] [cold]     default: all three
#
# Environment: RIG (the rig's folder), RIG_TARGET (its build folder), RIG_OUT (results), RIG_PY1 (a python with
# mcp 1.30), ROUNDS (5), SECS (2), COUNT (10000), IDLE (20), ECHO with KEEP_ECHO=1 (a program built already).
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

export RIG=${RIG:-$ROOT/../shared/rig}
[ -e "$RIG/rig.py" ] || skip "there is no peer rig at $RIG"
RIG=$(cd "$RIG" && pwd)
export RIG_TARGET=${RIG_TARGET:-$CI_CACHE/rig} RIG_OUT=${RIG_OUT:-$ROOT/out/bench-$(date +%Y%m%d-%H%M%S)}
mkdir -p "$RIG_OUT"
need_echo

# The rig may lie in a read-only folder, and cargo wants to write a lock file: build from a copy.
for crate in load yard rmcp-peer; do
    case $crate in load) made=load ;; yard) made=smol-plain ;; *) made=$crate ;; esac
    [ -x "$RIG_TARGET/release/$made" ] && continue
    cp -r "$RIG" "$CI_TMP/rig" 2>/dev/null || true
    chmod -R u+w "$CI_TMP/rig"
    (cd "$CI_TMP/rig/$crate" && CARGO_TARGET_DIR=$RIG_TARGET cargo build -q --release) \
        || { [ $crate = rmcp-peer ] || die "the rig's $crate does not build"; echo "rmcp-peer does not build here: left out"; }
    rm -rf "$CI_TMP/rig"
done
if [ -z "${RIG_PY1:-}" ]; then
    need_python rig-py1 'mcp==1.30.0' uvicorn
    export RIG_PY1=$PYTHON
fi

export RIG_OURS="$ECHO --listen 127.0.0.1:{port}"
export RIG_OURS_SSE=$RIG_OURS
rmcp=()
[ -x "$RIG_TARGET/release/rmcp-peer" ] && rmcp=(rmcp-json rmcp-stateful rmcp-2026)
rig() { python3 "$RIG/rig.py" "$@"; }

# ratios KEY PEER LIMIT...: the median of ours over a peer's, round by round, against its goal.
ratios() {
    python3 - "$RIG_OUT/call.jsonl" <<'PY'
import json, statistics, sys
rows = {}
for line in open(sys.argv[1]):
    row = json.loads(line)
    if row["ok"]:
        rows.setdefault(row["peer"], []).append(row["srv_cpu_us_per_call"])
goals = [("ours", "smol", "at most", 1.5), ("ours-sse", "smol-sse", "at most", 1.5), ("rmcp-json", "ours", "at least", 3),
         ("rmcp-stateful", "ours", "at least", 5),
         ("ours-2026", "ours", "at most", 1), ("rmcp-2026", "ours-2026", "at least", 1), ("py1-sse", "ours-sse", "at least", 100)]
for top, bottom, word, goal in goals:
    if top in rows and bottom in rows:
        ratio = statistics.median(a / b for a, b in zip(rows[top], rows[bottom]))
        met = ratio <= goal if word == "at most" else ratio >= goal
        print(f"{top} / {bottom}: {ratio:.2f} ({word} {goal}): {'met' if met else 'NOT MET'}")
    else:
        print(f"{top} / {bottom}: not measured")
PY
}

for what in "${@:-call}" $([ $# -gt 0 ] || echo sessions cold); do
    echo "== $what"
    case $what in
    call)
        rig call --rounds "${ROUNDS:-5}" --secs "${SECS:-2}" --conns 32 ours ours-2026 ours-sse smol smol-sse "${rmcp[@]}" py1-sse
        rig table call --ref smol
        echo
        ratios
        ;;
    sessions)
        rig sessions --counts "${COUNT:-10000}" --idle "${IDLE:-20}" ours ours-sse
        rig table sessions
        ;;
    cold)
        rig cold --rounds 10 ours ours-sse smol "${rmcp[@]}"
        rig table cold
        ;;
    *) die "no such measurement: $what" ;;
    esac
    echo
done
echo "results: $RIG_OUT; the server: $(stat -c %s "$ECHO") bytes; load average: $(cut -d' ' -f1-3 /proc/loadavg)"
