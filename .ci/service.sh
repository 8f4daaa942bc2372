#!/usr/bin/env bash
# The program as a service, without a PID 1: what a manager hears and hands over, and what systemd says of the unit.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

exposure_max=2.0

need_apt systemd
cd "$ROOT"
cargo build -q --release --features config
python3 .ci/service.py "$TARGET/release/portcullis"

# `verify` looks for the program where the unit says it is.
units=$CI_TMP/units
mkdir "$units"
for unit in packaging/systemd/portcullis.*; do
    sed "s#/usr/bin/portcullis#$TARGET/release/portcullis#; /^Documentation=/d" "$unit" >"$units/$(basename "$unit")"
done
systemd-analyze verify "$units/portcullis.service" "$units/portcullis.socket" >"$CI_TMP/verify" 2>&1 || true
if grep -i portcullis "$CI_TMP/verify"; then die "systemd-analyze verify has words about the units"; fi
exposure=$(systemd-analyze security --offline=true packaging/systemd/portcullis.service | sed -n 's/.*exposure level for [^:]*: \([0-9.]*\).*/\1/p')
echo "exposure: $exposure (at most $exposure_max)"
awk "BEGIN { exit !($exposure <= $exposure_max) }" || die "the unit is too exposed"

# Its calls, its rights and its sockets are enough for the server and for every program that a tool runs: the unit is
# played on a machine of its own with a firewall, and each tool must answer.
if own_namespace "pc-unit-$$"; then
    need_apt python3-seccomp util-linux nftables iputils-ping traceroute procps
    # As Debian's systemd sets it.
    inside sysctl -qw net.ipv4.ping_group_range="0 2147483647"
    inside nft -f - <<'NFT'
table inet filter {
    chain input {
        type filter hook input priority 0; policy accept;
        ct state established counter accept
    }
}
NFT
    chmod 711 "$CI_TMP"
    install -m 755 "$TARGET/release/portcullis" packaging/portcullis.toml "$CI_TMP"
    played=(ip netns exec "$NS" /usr/bin/python3 .ci/unit.py packaging/systemd/portcullis.service)
    while read -r tool arguments; do
        "${played[@]}" "$CI_TMP/portcullis" call "$tool" "$arguments" >"$CI_TMP/out" 2>&1 \
            || { cat "$CI_TMP/out"; die "$tool does not work under the unit"; }
    done <<'TOOLS'
system_info {}
interfaces {}
routes {}
route_get {"address": "127.0.0.1"}
neighbours {}
sockets {}
firewall_ruleset {}
firewall_counters {}
conntrack_summary {}
conntrack_list {}
ping_host {"host": "127.0.0.1", "count": 1}
traceroute {"host": "127.0.0.1"}
firewall_trace {"seconds": 1}
TOOLS
    "${played[@]}" "$CI_TMP/portcullis" serve --config "$CI_TMP/portcullis.toml" >"$CI_TMP/unit.log" 2>&1 &
    SERVER_PID=$! SERVER_LOG=$CI_TMP/unit.log
    CHILDREN+=("$SERVER_PID")
    wait_words 'Add it to an MCP client' "$SERVER_LOG"
    drive ip netns exec "$NS" python3 .ci/clients/resume.py http://127.0.0.1:8001/mcp firewall_ruleset
    kill -HUP "$SERVER_PID"
    wait_words ' reloaded' "$SERVER_LOG"
    stop_server
    echo "under the unit's filter and rights: 13 tools, a client, a reload"
else
    echo "NOT TRIED UNDER THE UNIT'S FILTER: that needs root and network namespaces"
fi

"$TARGET/release/portcullis" check-config packaging/portcullis.toml
man -l packaging/portcullis.8 >/dev/null 2>&1 || ! command -v man >/dev/null || die "the manual page cannot be read"
