# Shared by the scripts in this folder; sourced, never run. Every one of them works from a fresh clone
# and installs what it needs: Debian packages by apt-get, the rest below $CI_CACHE.
#
# Names: $ROOT the project, $CI_CACHE what may be kept between runs, $CI_TMP this run's scratch folder.
# A script that lacks an input which it cannot install prints `SKIPPED: why` and exits 77.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CI_CACHE=${CI_CACHE:-$ROOT/target/ci}
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
ECHO=${ECHO:-$TARGET/release/examples/echo}
export DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1
mkdir -p "$CI_CACHE"
CI_TMP=$(mktemp -d "${TMPDIR:-/tmp}/portcullis-ci.XXXXXX")
CHILDREN=()
NS=

die() { echo "FAILED: $*" >&2; exit 1; }
skip() { echo "SKIPPED: $*"; exit 77; }

# Ends what this script started, by pid or in its own namespace, and nothing else; then runs the script's own exit code on.
finish() {
    local code=$? pid
    for pid in "${CHILDREN[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${CHILDREN[@]}"; do wait "$pid" 2>/dev/null || true; done
    [ -z "$NS" ] || { ip netns pids "$NS" | xargs -r kill 2>/dev/null || true; ip netns delete "$NS" || true; }
    rm -rf "$CI_TMP"
    exit "$code"
}
trap finish EXIT

# need_apt PACKAGE...: installs the missing ones. RUNLEVEL=1 keeps packages from starting their daemons.
need_apt() {
    local p missing=()
    for p in "$@"; do
        dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null | grep -q '^ii' || missing+=("$p")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] || skip "needs the Debian packages ${missing[*]}, and this is not root"
    command -v apt-get >/dev/null || skip "needs ${missing[*]}, and there is no apt-get"
    apt-get update -q >"$CI_TMP/apt.log" 2>&1 || true   # one stale index must not stop the rest
    RUNLEVEL=1 apt-get install -qy --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}" \
        >>"$CI_TMP/apt.log" 2>&1 || { tail -n 20 "$CI_TMP/apt.log" >&2; die "apt-get install ${missing[*]}"; }
}

# need_python NAME REQUIREMENT...: a virtual environment in the cache; its interpreter's path is in $PYTHON.
need_python() {
    local name=$1 folder=$CI_CACHE/$1; shift
    PYTHON=$folder/bin/python
    [ "$(cat "$folder/.holds" 2>/dev/null)" = "$*" ] && "$PYTHON" -c '' 2>/dev/null && return 0
    rm -rf "$folder"
    python3 -m venv "$folder" 2>/dev/null || { rm -rf "$folder"; need_apt python3-venv; python3 -m venv "$folder"; }
    "$PYTHON" -m pip install -q "$@" || die "pip install $* (for $name)"
    echo "$*" >"$folder/.holds"
}
need_py1() { need_python py1 'mcp==1.30.0'; }
need_py2() { need_python py2 'mcp==2.3.0'; }

# need_npm NAME PACKAGE...: a folder of npm packages in the cache; its path is in $NPM.
need_npm() {
    NPM=$CI_CACHE/$1; shift
    command -v npm >/dev/null || need_apt nodejs npm
    [ "$(cat "$NPM/.holds" 2>/dev/null)" = "$*" ] && return 0
    rm -rf "$NPM"; mkdir -p "$NPM"
    echo '{"private":true,"type":"module"}' >"$NPM/package.json"
    npm install --prefix "$NPM" --silent --no-audit --no-fund "$@" </dev/null || die "npm install $*"
    echo "$*" >"$NPM/.holds"
}

# need_ts: the TypeScript SDK in the cache; $SDK_DIR tells ts.mjs where.
need_ts() { need_npm ts '@modelcontextprotocol/sdk@~1.32.0' zod; export SDK_DIR=$NPM; }

# need_node22: a newer node than Debian's for those who ask for one; its path is in $NODE.
need_node22() {
    need_npm node22 node@22.23.3
    NODE=$NPM/node_modules/node/bin/node
    "$NODE" --version >/dev/null || die "node 22 does not run here"
}

# need_echo: builds the example unless $ECHO is there already and $KEEP_ECHO says to use it.
need_echo() {
    [ -n "${KEEP_ECHO:-}" ] && [ -x "$ECHO" ] && return 0
    [ -e "$ROOT/examples/echo.rs" ] || [ -d "$ROOT/examples/echo" ] || skip "examples/echo is not there yet"
    (cd "$ROOT" && cargo build -q --release --example echo) || die "cargo build --release --example echo"
}

# need_conformance: builds the example that has the official suite's fixtures; its path is in $CONFORMANCE.
need_conformance() {
    CONFORMANCE=${CONFORMANCE:-$TARGET/release/examples/conformance}
    [ -n "${KEEP_ECHO:-}" ] && [ -x "$CONFORMANCE" ] && return 0
    [ -e "$ROOT/examples/conformance.rs" ] || [ -d "$ROOT/examples/conformance" ] || skip "examples/conformance is not there yet"
    (cd "$ROOT" && cargo build -q --release --example conformance) || die "cargo build --release --example conformance"
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# wait_port PORT PID LOG: until something accepts there, at most 20 s.
wait_port() {
    local _
    for _ in $(seq 200); do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 0
        kill -0 "$2" 2>/dev/null || break
        sleep 0.1
    done
    tail -n 20 "$3" >&2
    die "nothing listens on 127.0.0.1:$1"
}

# wait_words WORDS LOG: until they stand there, at most 10 s.
wait_words() {
    local _
    for _ in $(seq 100); do
        ! grep -qF -- "$1" "$2" || return 0
        sleep 0.1
    done
    tail -n 20 "$2" >&2
    die "not said in time: $1"
}

# own_namespace NAME: a network namespace that goes with this script, in which `inside` runs a command; false where none
# can be made. Its name is in $NS.
own_namespace() {
    [ "$(id -u)" = 0 ] || return 1
    need_apt iproute2
    ip netns add "$1" 2>/dev/null || return 1
    NS=$1
    inside ip link set lo up || die "no loopback in $NS"
}
inside() { ip netns exec "$NS" "$@"; }

# start_server PROGRAM [OPTION...]: a server of its own port; sets $PORT, $SERVER_PID and $SERVER_LOG.
# $RUNNER, where set, is put before the program (an emulator).
start_server() {
    local program=$1; shift
    PORT=$(free_port)
    SERVER_LOG=$CI_TMP/$(basename "$program")-$PORT.log
    # shellcheck disable=SC2086
    ${RUNNER:-} "$program" --listen "127.0.0.1:$PORT" "$@" >"$SERVER_LOG" 2>&1 </dev/null &
    SERVER_PID=$!
    CHILDREN+=("$SERVER_PID")
    wait_port "$PORT" "$SERVER_PID" "$SERVER_LOG"
}
start_echo() { start_server "$ECHO" "$@"; }

# stop_server: SIGTERM must end it with status 0 (under an emulator likewise).
stop_server() {
    local code=0
    kill -TERM "$SERVER_PID"
    wait "$SERVER_PID" || code=$?
    [ "$code" = 0 ] || { tail -n 20 "$SERVER_LOG" >&2; die "the server ended with status $code after SIGTERM"; }
    if grep -n 'panicked at' "$SERVER_LOG" >&2; then die "the server panicked"; fi
}
stop_echo() { stop_server; }

# drive COMMAND...: one client run; its words are shown only where it fails, its last line always.
drive() {
    local out=$CI_TMP/drive.log
    if timeout 180 "$@" >"$out" 2>&1 </dev/null; then
        tail -n 1 "$out"
    else
        cat "$out" >&2
        echo "--- the server's last words ($SERVER_LOG):" >&2
        tail -n 30 "$SERVER_LOG" >&2
        die "$*"
    fi
}
