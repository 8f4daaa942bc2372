#!/usr/bin/env bash
# The official conformance suite in two versions against one running `conformance` example: all scenarios,
# each at the suite's own revision; all at 2025-11-25; all at 2026-07-28; all of the older version.
# conformance.py says what counts as passed, conformance.skip what is out of scope.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
here=$ROOT/.ci

need_conformance
need_node22
need_npm conformance @modelcontextprotocol/conformance@0.2.0-alpha.12
new=$NPM/node_modules/@modelcontextprotocol/conformance/dist/index.js
need_npm conformance-0.1 @modelcontextprotocol/conformance@0.1.16
old=$NPM/node_modules/@modelcontextprotocol/conformance/dist/index.js
"$NODE" "$new" list --server >"$CI_TMP/new.list"
"$NODE" "$old" list --server >"$CI_TMP/old.list"
sed -n 's/^\([a-z0-9][^ ]*\) .*/\1/p' "$here/conformance.skip" | while read -r name; do
    grep -q "^ *- $name \[" "$CI_TMP/new.list" || die "conformance.skip: the suite has no scenario $name"
done

start_server "$CONFORMANCE"
code=0

# run NAME SUITE LIST SUITE_OPTIONS CHECK_OPTIONS
run() {
    local name=$1 out=$CI_TMP/out/$1
    # shellcheck disable=SC2086
    timeout 300 "$NODE" "$2" server --url "http://127.0.0.1:$PORT/mcp" --suite all $4 -o "$out" \
        >"$CI_TMP/$1.log" 2>&1 </dev/null || true
    # shellcheck disable=SC2086
    if ! python3 "$here/conformance.py" "$name" "$out" "$3" "$here/conformance.skip" $5; then
        [ -d "$out" ] || tail -n 20 "$CI_TMP/$1.log"
        code=1
    fi
}

run all "$new" "$CI_TMP/new.list" "" ""
run 2025-11-25 "$new" "$CI_TMP/new.list" "--spec-version 2025-11-25" "--revision 2025-11-25"
run 2026-07-28 "$new" "$CI_TMP/new.list" "--spec-version 2026-07-28" "--revision 2026-07-28"
# The old version asks for polling with a revision that has none (its own bug, repaired since), and warns.
run 0.1.16 "$old" "$CI_TMP/old.list" "" \
    "--allow server-sse-polling:server-sse-priming-event --allow server-sse-polling:server-sse-retry-field"

[ -z "${KEEP_OUT:-}" ] || { rm -rf "$KEEP_OUT"; cp -r "$CI_TMP/out" "$KEEP_OUT"; }
stop_server
[ "$code" = 0 ] || die "the conformance suite"
