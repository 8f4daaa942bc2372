#!/usr/bin/env bash
# Measures the server (benches/measure) beside other SDKs' servers, where the peer rig lies beside the project; without
# it, alone. Run by hand on a quiet machine; no gate depends on what comes out. The README's tables are from it.
#
#   bench.sh [OPTION...]        options of the bench: --quick, --rounds N, --seconds N, --sessions N …
#
# Environment: RIG (the rig's folder), RIG_TARGET (its build folder), RIG_PY1 (a python with mcp 1.30 and uvicorn),
# BENCH_OUT (the folder for tables and figures).
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

RIG=${RIG:-$ROOT/../shared/rig}
RIG_TARGET=${RIG_TARGET:-$CI_CACHE/rig}
BENCH_OUT=${BENCH_OUT:-$CI_CACHE/bench}
mkdir -p "$BENCH_OUT"
peers=()

# A peer is built once, from a copy: the rig may lie in a folder that cannot be written, and cargo wants to lock a file.
if [ -e "$RIG/rmcp-peer" ]; then
    if [ ! -x "$RIG_TARGET/release/rmcp-peer" ]; then
        cp -r "$RIG/rmcp-peer" "$CI_TMP/rmcp-peer"
        chmod -R u+w "$CI_TMP/rmcp-peer"
        (cd "$CI_TMP/rmcp-peer" && CARGO_TARGET_DIR=$RIG_TARGET cargo build -q --release) || echo "rmcp does not build here: left out"
    fi
    if [ -x "$RIG_TARGET/release/rmcp-peer" ]; then
        rmcp="$RIG_TARGET/release/rmcp-peer {port} current"
        peers+=(--peer "rmcp, JSON answers|json|$rmcp json" --peer "rmcp, JSON answers|2026|$rmcp json")
        peers+=(--peer "rmcp, stateful|json|$rmcp stateful")
    fi
fi
if [ -e "$RIG/python/server_v1.py" ]; then
    [ -n "${RIG_PY1:-}" ] || { need_python rig-py1 'mcp==1.30.0' uvicorn; RIG_PY1=$PYTHON; }
    peers+=(--peer "Python SDK 1.30|sse|$RIG_PY1 $RIG/python/server_v1.py {port} sse")
fi
[ ${#peers[@]} -gt 0 ] || echo "no peers: there is no rig at $RIG"

cd "$ROOT"
cargo bench -q --bench measure -- --json "$BENCH_OUT/measured.json" --markdown "$BENCH_OUT/measured.md" "${peers[@]}" "$@"
echo "written to $BENCH_OUT; load average: $(cut -d' ' -f1-3 /proc/loadavg); $(nproc) cores; $(uname -r)"
