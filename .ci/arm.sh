#!/usr/bin/env bash
# Proves that packaging/static.sh builds the program and the `echo` example for ARM boxes (static, no libc of the device
# needed) and that real clients use the result: under qemu-user, over HTTP+SSE and Streamable HTTP, they initialise, list,
# call, get progress, run calls in parallel, and resume a stream. Prints the sizes.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

need_apt qemu-user
need_py1

for target in armv7 aarch64 armv5te; do
    qemu=qemu-arm
    [ $target != aarch64 ] || qemu=qemu-aarch64
    CACHE=$CI_CACHE/static "$ROOT/packaging/static.sh" $target -- --bin portcullis --example echo --features config >"$CI_TMP/built"
    program=$(sed -n 's#^\(.*/portcullis\) .*#\1#p' "$CI_TMP/built")
    ECHO=$(sed -n 's#^\(.*/examples/echo\) .*#\1#p' "$CI_TMP/built")
    for file in "$program" "$ECHO"; do
        if LC_ALL=C grep -q -a '/ld-musl\|/ld-linux' "$file"; then die "$file asks for a dynamic loader"; fi
        echo "$target: $(basename "$file"): $(stat -c %s "$file") bytes, static"
    done
    $qemu "$program" --help </dev/null >"$CI_TMP/help" || die "portcullis --help under qemu"
    [ -s "$CI_TMP/help" ] || die "portcullis --help printed nothing"
    # shellcheck disable=SC2034  # read by start_server
    RUNNER=$qemu
    start_echo
    drive "$PYTHON" "$(dirname "$0")/clients/py1.py" sse "http://127.0.0.1:$PORT/sse"
    drive "$PYTHON" "$(dirname "$0")/clients/py1.py" http "http://127.0.0.1:$PORT/mcp"
    drive python3 "$(dirname "$0")/clients/resume.py" "http://127.0.0.1:$PORT/mcp"
    stop_echo
    start_server "$program" --debug-listen off
    drive python3 "$(dirname "$0")/clients/resume.py" "http://127.0.0.1:$PORT/mcp" system_info
    stop_server
done
