#!/usr/bin/env bash
# The ten tools of examples/appliance.toml with the programs they are meant for, in a network namespace of their own:
# what each call answers is compared with what the machine says. Where there is no systemd as PID 1 or no WireGuard
# in the kernel, the tool must say so in the program's own words.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
[ "$(id -u)" = 0 ] || skip "network namespaces need root"
need_apt nftables iproute2 iputils-ping tcpdump procps wireguard-tools coreutils systemd
cargo build -q --release --features config
PROGRAM=$TARGET/release/portcullis
FILE=$ROOT/examples/appliance.toml
own_namespace "pc-app-$$" || skip "network namespaces cannot be made here"
inside ip link add lan0 type veth peer name far0
inside ip addr add 192.0.2.1/24 dev lan0
inside ip link set lan0 up
inside ip link set far0 up
inside nft -f - <<'NFT'
table inet filter {
    set blocked { type ipv4_addr; flags timeout; }
    chain input { type filter hook input priority 0; policy accept; ip saddr @blocked drop; }
}
NFT

# ok TOOL ARGUMENTS: its answer, which must be content. bad WORDS TOOL ARGUMENTS: an error with these words, status 1.
ok() {
    inside "$PROGRAM" call "$@" --config "$FILE" 2>"$CI_TMP/err" || die "call $*: $(cat "$CI_TMP/err")"
}
bad() {
    local words=$1 code=0; shift
    inside "$PROGRAM" call "$@" --config "$FILE" >"$CI_TMP/out" 2>"$CI_TMP/err" || code=$?
    [ "$code" = 1 ] || die "call $*: status $code, expected 1"
    grep -qF -- "$words" "$CI_TMP/err" || die "call $*: $(cat "$CI_TMP/err"), expected $words"
}
blocked() { inside nft list set inet filter blocked; }
same() { [ "$1" = "$2" ] || die "$3: got $1, expected $2"; echo "$3"; }

# The file itself, and what is wrong with another.
"$PROGRAM" check-config "$FILE" | grep -q '^10 tools, 0 roles, 0 tokens' || die "check-config"
code=0; printf '[[tool]]\nnam = "x"\n' >"$CI_TMP/bad.toml"; "$PROGRAM" check-config "$CI_TMP/bad.toml" 2>"$CI_TMP/err" || code=$?
same "$code" 1 "check-config of a bad file ends with 1"
grep -q 'bad.toml:2:1: unknown key `nam`' "$CI_TMP/err" || die "$(cat "$CI_TMP/err")"
code=0; "$PROGRAM" check-config 2>/dev/null || code=$?
same "$code" 2 "check-config without a file ends with 2"
same "$("$PROGRAM" tools --config "$FILE" | tail -n 10 | wc -l)" 10 "tools lists them"

ok block_address '{"address": "203.0.113.7", "seconds": 60}' >/dev/null
blocked | grep -q '203.0.113.7 timeout 1m' || die "block_address: $(blocked)"
before=$(inside nft -s list ruleset | sha256sum)
bad 'invalid arguments' block_address '{"address": "1.2.3.4 }; flush ruleset; add element inet filter blocked { 1.2.3.4"}'
same "$(inside nft -s list ruleset | sha256sum)" "$before" "what nft would read as a command changes nothing"
ok unblock_address '{"address": "203.0.113.7"}' >/dev/null
! blocked | grep -q 203.0.113.7 || die "unblock_address: $(blocked)"
bad 'No such file or directory' unblock_address '{"address": "203.0.113.7"}'
echo "an address is blocked and unblocked"

inside ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev lan0 nud stale
ok neighbours_flush '{"interface": "lan0"}' >/dev/null
same "$(inside ip neigh show dev lan0 to 192.0.2.9)" "" "a neighbour is forgotten"

same "$(ok kernel_setting '{"name": "net.ipv4.ip_forward"}')" "$(inside sysctl net.ipv4.ip_forward)" "a setting of the kernel is read"
same "$(ok disk_usage | cut -d' ' -f1 | head -n 1)" Filesystem "disk usage is shown"
[ -e /var/log/dpkg.log ] || : >/var/log/dpkg.log
same "$(ok file_log '{"file": "dpkg.log", "lines": 1}' | tr -d '\0')" "$(tail -n 1 /var/log/dpkg.log)" "the last line of a log file"
bad 'invalid arguments' file_log '{"file": "../../etc/shadow"}'

inside ping -i 0.2 -c 50 127.0.0.1 >/dev/null &
CHILDREN+=($!)
same "$(ok packet_capture '{"interface": "lo", "packets": 3}' | grep -c 'ICMP echo')" 3 "three packets are captured"
same "$(grep -c 'ICMP echo' "$CI_TMP/err")" 3 "and each was told when it came"

# Answers of programs that cannot do here what they are for.
if [ -d /run/systemd/system ]; then echo "SERVICES NOT TOUCHED: systemd runs here"
else bad systemctl service_restart '{"service": "chrony"}'; echo "service_restart says why it cannot"; fi
inside "$PROGRAM" call service_log '{"unit": "chrony", "lines": 1}' --config "$FILE" >"$CI_TMP/out" 2>&1 || true
grep -qi 'journal\|entries\|status' "$CI_TMP/out" || die "service_log: $(cat "$CI_TMP/out")"
inside "$PROGRAM" call vpn_peers --config "$FILE" >"$CI_TMP/out" 2>&1 || true
grep -qi 'wg\b' "$CI_TMP/out" || die "vpn_peers: $(cat "$CI_TMP/out")"
echo "logs and peers answer"

# Who stops a call stops what it has started.
printf '[[tool]]\nname = "wait"\ndescription = "d"\nargv = ["sh", "-c", "sleep %s & sleep %s"]\n' "$$.25" "$$.25" >"$CI_TMP/wait.toml"
"$PROGRAM" call wait --config "$CI_TMP/wait.toml" 2>/dev/null & pid=$!
CHILDREN+=("$pid")
for _ in $(seq 100); do [ "$(pgrep -cf "sleep $$.25")" -ge 2 ] && break; sleep 0.1; done
code=0; kill -TERM "$pid"; wait "$pid" || code=$?
same "$code" 130 "a call that is stopped says so"
for _ in $(seq 50); do pgrep -f "sleep $$.25" >/dev/null || break; sleep 0.1; done
! pgrep -f "^sleep $$.25" || die "what a stopped call had started still runs"

# The server has the same tools as the command.
start_server "$PROGRAM" --config "$FILE" --debug-listen off
listed=$(python3 - "http://127.0.0.1:$PORT/mcp" <<'PY'
import json, sys, urllib.request
meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
body = {"jsonrpc": "2.0", "id": 0, "method": "tools/list", "params": {"_meta": meta}}
head = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list"}
answer = json.load(urllib.request.urlopen(urllib.request.Request(sys.argv[1], json.dumps(body).encode(), head), timeout=10))
print("\n".join(tool["name"] for tool in answer["result"]["tools"]))
PY
)
same "$listed" "$("$PROGRAM" tools --config "$FILE" | cut -d' ' -f1)" "a client of the server sees the tools that the command lists"
stop_server
