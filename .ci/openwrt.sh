#!/usr/bin/env bash
# The init script in OpenWrt's shell, with procd played by functions that note what they are told; what it would start is
# started, and the package has what it should.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

need_apt busybox
cd "$ROOT"
cargo build -q --release --features config
program=$TARGET/release/portcullis
init=packaging/openwrt/portcullis.init
busybox ash -n "$init"

# procd's functions, which note what they are told and refuse what procd knows not; the system's logger is busybox' own.
cat >"$CI_TMP/procd.sh" <<'PROCD'
said() { printf '%s' "$1"; shift; printf ' [%s]' "$@"; echo; }
for name in procd_open_instance procd_close_instance procd_add_reload_trigger procd_send_signal; do
    eval "$name() { said $name \"\$@\"; }"
done
known() {
    case "$1" in
    command | respawn | stderr | stdout | limits | file | env | user | group | term_timeout | capabilities | no_new_privs) ;;
    reload_signal) kill -l "$2" >/dev/null ;;
    *) echo "procd knows no parameter $1" >&2; exit 9 ;;
    esac
}
procd_set_param() { known "$@" || exit 9; said procd_set_param "$@"; }
procd_append_param() { known "$@" || exit 9; said procd_append_param "$@"; }
logger() { busybox logger -s "$@" 2>&1 || exit 9; }
PROCD
# run WORD PROGRAM CONFIG: what procd is told.
run() {
    sed -e "s#^PROG=.*#PROG=$2#" -e "s#^CONFIG=.*#CONFIG=$3#" "$init" >"$CI_TMP/init"
    busybox ash -c ". '$CI_TMP/procd.sh'; . '$CI_TMP/init'; $1"
}
# told FILE WORDS...: each of them was said.
told() {
    local file=$1 words; shift
    for words in "$@"; do
        grep -qF -- "$words" "$file" || { cat "$file" >&2; die "not told: $words"; }
    done
}

run start_service "$program" packaging/portcullis.toml >"$CI_TMP/said"
told "$CI_TMP/said" "procd_set_param [command] [$program] [serve]" \
    'procd_append_param [command] [--config] [packaging/portcullis.toml]' 'procd_set_param [respawn]' \
    'procd_set_param [reload_signal] [HUP]' 'procd_close_instance'
run reload_service "$program" packaging/portcullis.toml >"$CI_TMP/said.reload"
told "$CI_TMP/said.reload" 'procd_send_signal [portcullis]'
run service_triggers "$program" packaging/portcullis.toml >"$CI_TMP/said.triggers"
told "$CI_TMP/said.triggers" 'procd_add_reload_trigger [portcullis]'

echo 'listen = 7' >"$CI_TMP/bad.toml"
for word in start_service reload_service; do
    if run $word "$program" "$CI_TMP/bad.toml" >"$CI_TMP/said.bad"; then die "$word takes a file that is wrong"; fi
    told "$CI_TMP/said.bad" 'bad.toml:1'    # in the log
    if grep -q procd_ "$CI_TMP/said.bad"; then die "$word tells procd of a file that is wrong"; fi
done
run start_service "$program" "$CI_TMP/none.toml" >"$CI_TMP/said.none"
told "$CI_TMP/said.none" 'procd_close_instance'
if grep -q -- --config "$CI_TMP/said.none"; then die "a file that is not there is asked for"; fi
# A build without files knows no check-config.
printf '#!/bin/sh\necho "unknown argument" >&2\nexit 2\n' >"$CI_TMP/small"
chmod +x "$CI_TMP/small"
run start_service "$CI_TMP/small" packaging/portcullis.toml >"$CI_TMP/said.small"
told "$CI_TMP/said.small" "[$CI_TMP/small] [serve]" 'procd_close_instance'
if grep -q -- --config "$CI_TMP/said.small"; then die "a build that reads no file is given one"; fi

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
# Its scripts: nothing starts that was not enabled, and what runs is stopped before it goes.
mkdir "$CI_TMP/control"
tar -C "$CI_TMP/control" -xzf "$CI_TMP/ipk/control.tar.gz"
printf '#!/bin/sh\necho "$1" >>"%s"\n[ "$1" != enabled ] || [ -n "$ENABLED" ]\n' "$CI_TMP/words" >"$CI_TMP/initd"
chmod +x "$CI_TMP/initd"
# asked SCRIPT: the words that the init script gets.
asked() {
    : >"$CI_TMP/words"
    sed "s#/etc/init.d/portcullis#$CI_TMP/initd#g" "$CI_TMP/control/$1" | busybox ash || die "$1 fails"
    tr '\n' ' ' <"$CI_TMP/words"
}
[ "$(asked postinst)" = 'enabled ' ] || die "the installation starts it"
[ "$(ENABLED=1 asked postinst)" = 'enabled start ' ] || die "after an upgrade it does not run"
[ "$(asked prerm)" = 'disable stop ' ] || die "the removal leaves it running"
[ "$(PKG_UPGRADE=1 asked prerm)" = 'stop ' ] || die "an upgrade disables it"
[ -z "$(IPKG_INSTROOT=/image asked prerm)$(IPKG_INSTROOT=/image asked postinst)" ] || die "an image's build touches a service"
echo "the init script and the .ipk are right"
