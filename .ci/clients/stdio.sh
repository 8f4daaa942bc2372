#!/usr/bin/env bash
# Proves that the official SDKs' clients can use the stdio binding: Python 1.30 in a session, Python 2.3 and TypeScript
# 2.x in both eras, against the `conformance` example over stdin and stdout; that the inspector's command line can use
# the program itself; and what stdio.py says.
set -euo pipefail
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
here=$(dirname "$0")
export PYTHONDONTWRITEBYTECODE=1

need_apt iputils-ping iproute2
need_conformance
need_py1; py1=$PYTHON
need_py2; py2=$PYTHON
need_node22
need_npm ts2 @modelcontextprotocol/client@2.4.0; export SDK_DIR=$NPM
(cd "$ROOT" && cargo build -q --release --features config) || die "cargo build --release"
program=$TARGET/release/portcullis
SERVER_LOG=/dev/null

drive python3 "$here/stdio.py" "$program"
drive "$py1" "$here/modern/py1.py" stdio "$CONFORMANCE"
for era in modern session; do
    drive "$py2" "$here/modern/py2.py" $era stdio "$CONFORMANCE"
    drive "$NODE" "$here/modern/ts.mjs" $era stdio "$CONFORMANCE"
done

need_npm inspector @modelcontextprotocol/inspector@2.12.0
export PATH=$(dirname "$NODE"):$PATH HOME=$CI_TMP
for era in legacy modern; do
    timeout 60 "$NPM/node_modules/.bin/mcp-inspector" --cli "$program" stdio --protocol-era $era --format json -q \
        --method tools/list >"$CI_TMP/result" 2>"$CI_TMP/error" </dev/null \
        || { cat "$CI_TMP/result" "$CI_TMP/error" >&2; die "inspector, $era"; }
    python3 -c 'import json, sys; assert len(json.load(sys.stdin)["result"]["tools"]) > 3' <"$CI_TMP/result" \
        || die "inspector, $era: no tools in $(cat "$CI_TMP/result")"
    echo "ok: inspector, stdio, $era: tools/list"
done
