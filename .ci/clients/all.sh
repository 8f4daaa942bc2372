#!/usr/bin/env bash
# Proves that the official SDKs' clients can use the server: Python 1.30.0 and 2.3.0 and TypeScript 1.32,
# each over HTTP+SSE and over Streamable HTTP, all against one running `echo` example.
set -euo pipefail
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
here=$(dirname "$0")

need_echo
need_py1; py1=$PYTHON
need_py2; py2=$PYTHON
need_ts
start_echo

for way in "sse http://127.0.0.1:$PORT/sse" "http http://127.0.0.1:$PORT/mcp"; do
    # shellcheck disable=SC2086
    {
        drive "$py1" "$here/py1.py" $way
        drive "$py2" "$here/py2.py" $way
        drive node "$here/ts.mjs" $way
    }
done
stop_echo
