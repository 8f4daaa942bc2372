#!/usr/bin/env bash
# Proves that the official SDKs' clients can use revision 2026-07-28 and answer what the server asks them, in
# that era and in a session: Python 2.3.0, TypeScript 2.x and Rust (rmcp), and Python 1.30.0 in a session,
# all against one running `conformance` example. Each driver asserts the revision it landed on.
set -euo pipefail
# shellcheck source=../../lib.sh
. "$(dirname "$0")/../../lib.sh"
here=$(dirname "$0")

need_conformance
need_py1; py1=$PYTHON
need_py2; py2=$PYTHON
need_node22
need_npm ts2 @modelcontextprotocol/client@2.4.0; export SDK_DIR=$NPM
# Its own crate with its own lock file, built where what CI installs is kept.
(cd "$here/../rmcp" && CARGO_TARGET_DIR=$CI_CACHE/rmcp cargo build -q --locked) || die "cargo build of .ci/clients/rmcp"
start_server "$CONFORMANCE"
http=http://127.0.0.1:$PORT/mcp sse=http://127.0.0.1:$PORT/sse

for era in modern session; do
    drive "$py2" "$here/py2.py" $era http "$http"
    drive "$NODE" "$here/ts.mjs" $era http "$http"
    drive "$CI_CACHE/rmcp/debug/rmcp-client" $era "$http"
done
drive "$py2" "$here/py2.py" session sse "$sse"
drive "$NODE" "$here/ts.mjs" session sse "$sse"
drive "$py1" "$here/py1.py" http "$http"
drive "$py1" "$here/py1.py" sse "$sse"
stop_server
