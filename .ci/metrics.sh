#!/usr/bin/env bash
# What scripts and terminals see of a running program: /metrics read by Prometheus' own client library and by promtool,
# /readyz, `portcullis sessions` over TCP and over a Unix socket, and the table that SIGUSR1 writes to the log.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

(cd "$ROOT" && cargo build -q --release --features config)
need_echo
need_apt prometheus curl
need_python page websocket-client==1.9.0 prometheus_client==0.26.0
portcullis=$TARGET/release/portcullis
socket=$CI_TMP/operator.sock
start_echo --debug-listen "unix:$socket"
PYTHONDONTWRITEBYTECODE=1 timeout 120 "$PYTHON" "$ROOT/.ci/metrics.py" "$PORT" "$socket" "$CI_TMP/metrics.txt"
promtool check metrics <"$CI_TMP/metrics.txt" || die "promtool check metrics"
echo "ok: promtool has no complaint"

has() { grep -qF -- "$1" "$2" || { cat "$2" >&2; die "no $1"; }; }
"$portcullis" sessions --from "unix:$socket" >"$CI_TMP/table"
for word in "1 of 10000 sessions" SESSION "weird \"name\"" ENDED closed_by_client; do has "$word" "$CI_TMP/table"; done
print=$(sed -n 's/^\([0-9a-f]\{10\}\) .*weird.*/\1/p' "$CI_TMP/table" | head -n 1)
"$portcullis" sessions "$print" --from "unix:$socket" >"$CI_TMP/story"
for word in initialized call_ended tool_error "tools/call add"; do has "$word" "$CI_TMP/story"; done
"$portcullis" sessions --json --from "unix:$socket" | python3 -m json.tool >/dev/null || die "--json is no JSON"
if "$portcullis" sessions 0000000000 --from "unix:$socket" 2>"$CI_TMP/error"; then die "an unknown session was found"; fi
has "/debug/sessions names all there are" "$CI_TMP/error"
if [ "$(id -u)" = 0 ] || command -v script >/dev/null; then
    script -qec "stty cols 80; '$portcullis' sessions --from 'unix:$socket'" /dev/null </dev/null | tr -d '\r' >"$CI_TMP/narrow"
    has "…" "$CI_TMP/narrow"
    longest=$(sed 1d "$CI_TMP/narrow" | LC_ALL=C.UTF-8 wc -L)
    [ "$longest" -le 80 ] || { cat "$CI_TMP/narrow"; die "a line of $longest letters on a terminal of 80"; }
fi
kill -USR1 "$SERVER_PID"
wait_words 'sessions: ENDED' "$SERVER_LOG"
has "sessions: SESSION" "$SERVER_LOG"
has "closed_by_client" "$SERVER_LOG"
echo "ok: portcullis sessions, and SIGUSR1 in the log"
stop_echo

debug=$(free_port)
start_server "$portcullis" --debug-listen "127.0.0.1:$debug"
"$portcullis" sessions --from "http://127.0.0.1:$debug" | grep -q '0 of 10000 sessions' || die "nothing over TCP"
[ "$(curl -sS "http://127.0.0.1:$PORT/readyz")" = '{"status":"ready"}' ] || die "not ready"
[ "$(curl -sS -o /dev/null -w '%{http_code}' "http://127.0.0.1:$PORT/metrics")" = 403 ] || die "anybody sees the metrics"
stop_server
echo "ok: over TCP; ready; metrics are the operator's"
