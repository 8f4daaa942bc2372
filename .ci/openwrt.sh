#!/usr/bin/env bash
# The init script in OpenWrt's shell, with procd played by functions that note what they are told; what it would start is
# started, and the package has what it should.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

need_apt busybox
cd "$ROOT"
cargo build -q --release
program=$TARGET/release/portcullis
init=packaging/openwrt/portcullis.init
busybox ash -n "$init"

cat >"$CI_TMP/procd.sh" <<'PROCD'
said() { printf '%s' "$1"; shift; printf ' [%s]' "$@"; echo; }
for name in procd_open_instance procd_set_param procd_append_param procd_close_instance procd_add_reload_trigger \
    procd_send_signal logger; do
    eval "$name() { said $name \"\$@\"; }"
done
PROCD
# run WORD CONFIG: what procd is told.
run() {
    sed -e "s#^PROG=.*#PROG=$program#" -e "s#^CONFIG=.*#CONFIG=$2#" -e "s#/tmp/portcullis.fault#$CI_TMP/fault#" "$init" >"$CI_TMP/init"
    busybox ash -c ". '$CI_TMP/procd.sh'; . '$CI_TMP/init'; $1"
}

run start_service packaging/portcullis.toml >"$CI_TMP/said"
for words in "procd_set_param [command] [$program] [serve]" "procd_append_param [command] [--config]" \
    'procd_set_param [respawn]' 'procd_set_param [reload_signal] [HUP]' 'procd_close_instance'; do
    grep -qF "$words" "$CI_TMP/said" || { cat "$CI_TMP/said"; die "procd is not told: $words"; }
done
run reload_service packaging/portcullis.toml | grep -qF 'procd_send_signal [portcullis]' || die "no signal on reload"
echo 'listen = 7' >"$CI_TMP/bad.toml"
if run start_service "$CI_TMP/bad.toml" >"$CI_TMP/said.bad"; then die "it starts with a file that is wrong"; fi
grep -q 'logger' "$CI_TMP/said.bad" || die "nobody hears why it does not start"
grep -q 'bad.toml:1' "$CI_TMP/fault" || die "the fault names no line"

# The command that procd was told, started.
command=$(sed -n 's/^procd_\(set\|append\)_param \[command\] //p' "$CI_TMP/said" | tr -d '[]' | tr '\n' ' ')
port=$(free_port)
# shellcheck disable=SC2086
$command --listen "127.0.0.1:$port" --debug-listen off >"$CI_TMP/started.log" 2>&1 &
SERVER_PID=$! SERVER_LOG=$CI_TMP/started.log
CHILDREN+=("$SERVER_PID")
wait_port "$port" "$SERVER_PID" "$SERVER_LOG"
drive python3 .ci/clients/resume.py "http://127.0.0.1:$port/mcp" system_info
stop_server

package=$(packaging/openwrt/ipk.sh "$program" all "$CI_TMP")
mkdir "$CI_TMP/ipk"
tar -C "$CI_TMP/ipk" -xzf "$package"
[ "$(cat "$CI_TMP/ipk/debian-binary")" = 2.0 ] || die "no debian-binary in the .ipk"
tar -tzf "$CI_TMP/ipk/data.tar.gz" >"$CI_TMP/files"
for file in ./usr/bin/portcullis ./etc/init.d/portcullis ./etc/portcullis/portcullis.toml ./lib/upgrade/keep.d/portcullis; do
    grep -qx "$file" "$CI_TMP/files" || die "$file is not in the .ipk"
done
tar -xzOf "$CI_TMP/ipk/control.tar.gz" ./conffiles | grep -q portcullis.toml || die "no conffile in the .ipk"
echo "the init script and the .ipk are right"
