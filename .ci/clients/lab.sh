#!/bin/sh
# The program on a real firewall, asked by the official Python SDK: lan (192.0.2.2) -- fw (192.0.2.1, 198.51.100.1)
# -- wan (198.51.100.2), three network namespaces with addresses of RFC 5737 and nftables rules.
#
#   lab.sh PYTHON [PORTCULLIS]
#
# PYTHON is an interpreter that has the `mcp` package; PORTCULLIS is the program (target/release/portcullis if absent).
# One line a proof; exit 0 if all hold, 1 if one does not, 77 (and a line SKIPPED) where namespaces cannot be made.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
python=${1:?lab.sh: no interpreter given: lab.sh PYTHON [PORTCULLIS]}
program=${2:-${CARGO_TARGET_DIR:-$here/../../target}/release/portcullis}
[ -x "$program" ] || { echo "SKIPPED lab: no program at $program (cargo build --release --features config)"; exit 77; }
"$python" -c 'import mcp' 2>/dev/null || { echo "SKIPPED lab: $python has no package mcp"; exit 77; }
[ "$(id -u)" = 0 ] || { echo "SKIPPED lab: needs root for network namespaces"; exit 77; }

# command:package
missing=
for pair in nft:nftables ip:iproute2 ping:iputils-ping sysctl:procps setpriv:util-linux ss:iproute2 ps:procps \
    conntrack:conntrack dnsmasq:dnsmasq-base busybox:busybox dig:bind9-dnsutils traceroute:traceroute; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
if [ -n "$missing" ]; then
    # Unquoted on purpose: one word a package.
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing >/dev/null 2>&1 ||
        { echo "SKIPPED lab: cannot install$missing"; exit 77; }
fi

# Names of this run only: two runs do not meet, and nothing of anybody else is ever deleted.
lan=pcl$$-lan fw=pcl$$-fw wan=pcl$$-wan
server= bare=
work=$(mktemp -d)
clean() {
    status=$?
    trap - EXIT INT TERM
    for ns in $lan $fw $wan; do
        # Whatever runs in a namespace of this run was started by it.
        for pid in $(ip netns pids "$ns" 2>/dev/null); do kill -KILL "$pid" 2>/dev/null || true; done
        ip netns del "$ns" 2>/dev/null || true
    done
    rm -rf "$work"
    exit $status
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The second server runs as nobody, who may not be able to enter the build's folder.
chmod 755 "$work"
install -m 755 "$program" "$work/portcullis"

ip netns add $lan 2>/dev/null || { echo "SKIPPED lab: this machine makes no network namespaces"; exit 77; }
ip netns add $fw
ip netns add $wan
for ns in $lan $fw $wan; do ip -n $ns link set lo up; done
ip -n $fw link add lan0 type veth peer name eth0 netns $lan
ip -n $fw link add wan0 type veth peer name eth0 netns $wan
ip -n $fw addr add 192.0.2.1/24 dev lan0
ip -n $fw addr add 198.51.100.1/24 dev wan0
ip -n $fw link set lan0 up
ip -n $fw link set wan0 up
ip -n $lan addr add 192.0.2.2/24 dev eth0
ip -n $lan link set eth0 up
ip -n $wan addr add 198.51.100.2/24 dev eth0
ip -n $wan link set eth0 up
# A kernel's default, said aloud: without it nobody may ping without a raw socket.
ip netns exec $fw sysctl -qw net.ipv4.ping_group_range='1 0'
ip netns exec $fw nft -f - <<'NFT'
table inet filter {
    counter forwarded { }
    set blocked {
        type ipv4_addr
        flags interval, timeout
        elements = { 203.0.113.0/24 timeout 1h }
    }
    chain input {
        type filter hook input priority filter; policy drop;
        iif lo accept
        ct state established,related accept
        iifname "lan0" tcp dport { 8080, 8081 } accept comment "management"
        icmp type echo-request accept
    }
    chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        ip saddr @blocked counter drop
        iifname "lan0" oifname "wan0" counter name forwarded accept
        limit rate 5/second log prefix "fw-drop " group 5
    }
}
table ip nat {
    chain postrouting {
        type nat hook postrouting priority srcnat;
        oifname "wan0" masquerade
    }
}
NFT

ip netns exec $fw "$work/portcullis" --listen 192.0.2.1:8080 --insecure-listen --debug-listen off \
    >"$work/server.out" 2>"$work/server.log" &
server=$!
ip netns exec $fw setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --no-new-privs \
    "$work/portcullis" --listen 192.0.2.1:8081 --insecure-listen --debug-listen off \
    >"$work/bare.out" 2>"$work/bare.log" &
bare=$!

tries=0
until grep -q 'serves MCP' "$work/server.out" && grep -q 'serves MCP' "$work/bare.out"; do
    tries=$((tries + 1))
    if [ $tries -gt 100 ]; then
        echo "FAILED lab: the program did not start"
        cat "$work"/*.log
        exit 1
    fi
    sleep 0.1
done

if ! ip netns exec $lan "$python" "$here/lab.py" 192.0.2.1:8080 192.0.2.1:8081 $fw $server; then
    echo "--- log of the program"
    tail -n 40 "$work/server.log"
    echo "--- log of the program without rights"
    tail -n 20 "$work/bare.log"
    exit 1
fi

# Routes, names, leases: what lab_net.py starts, it ends.
if ! ip netns exec $fw "$python" "$here/lab_net.py" "$work" $lan $wan; then
    tail -n 20 "$work"/*.log "$work"/*.out
    exit 1
fi

# Counters, sets, connections, traces; a set of 200,000 addresses.
if ! ip netns exec $fw "$python" "$here/lab_fw.py" "$work" $lan $wan; then
    tail -n 20 "$work"/*.log
    exit 1
fi

for pid in $server $bare; do
    kill -TERM "$pid"
    wait "$pid" || { echo "FAILED lab: SIGTERM ended the program with $?"; exit 1; }
done
server= bare=
echo "ok SIGTERM ends the program with 0"
