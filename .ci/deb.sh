#!/usr/bin/env bash
# The Debian package in a bare system: built, installed, run, asked by a client, removed and purged; nothing of it stays.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" = 0 ] || skip "a chroot needs root"
need_apt debootstrap dpkg-dev binutils
cd "$ROOT"
cargo build -q --release --features config
package=$(packaging/deb.sh "$TARGET/release/portcullis" "$CI_TMP")
dpkg-deb --info "$package" >/dev/null
# What it says it needs is what it needs. Relocations as bitmaps have a name of their own, and came with glibc 2.36.
needs=$(objdump -p "$TARGET/release/portcullis" | sed 's/GLIBC_ABI_DT_RELR/GLIBC_2.36/' | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
says=$(dpkg-deb --field "$package" Depends | sed -n 's/.*libc6 (>= \([0-9.]*\)).*/\1/p')
dpkg --compare-versions "${needs#GLIBC_}" le "$says" || die "it needs libc6 ${needs#GLIBC_}, and says $says"
echo "$(basename "$package"): $(stat -c %s "$package") bytes"

# The release and the mirror of this machine: its program wants this libc.
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=$(apt-cache policy base-files | sed -n "s#^ *[0-9]* \(http[^ ]*\) $release/main.*#\1#p" | head -n 1)
[ -n "$mirror" ] || skip "apt does not say where $release comes from"
base=$CI_CACHE/chroot-$release
if [ ! -e "$base/.whole" ]; then
    rm -rf "$base"
    debootstrap --variant=minbase "$release" "$base" "$mirror" >"$CI_TMP/debootstrap.log" 2>&1 \
        || { tail -n 5 "$CI_TMP/debootstrap.log" >&2; die "debootstrap $release"; }
    touch "$base/.whole"
fi
box=$CI_TMP/box
cp -a "$base" "$box"
mkdir -p "$box/dev"
[ -e "$box/dev/null" ] || mknod -m 666 "$box/dev/null" c 1 3
[ -e "$box/dev/urandom" ] || mknod -m 666 "$box/dev/urandom" c 1 9

cp "$package" "$box/portcullis.deb"
# A manager that notes what the package's scripts ask of it.
mkdir -p "$box/run/systemd/system"
printf '#!/bin/sh\necho "$@" >>/systemctl.log\n' >"$box/usr/bin/systemctl"
chmod 755 "$box/usr/bin/systemctl"
: >"$box/systemctl.log"
# asked WORDS: what they have asked since the last time.
asked() {
    [ "$(cat "$box/systemctl.log")" = "$1" ] || die "systemctl was asked: $(cat "$box/systemctl.log"); expected: $1"
    : >"$box/systemctl.log"
}
everything() { (cd "$box" && find . -path ./var/lib/dpkg -prune -o -path ./var/log -prune -o -path ./var/cache -prune -o -print | sort); }
everything >"$CI_TMP/before"
chroot "$box" dpkg -i /portcullis.deb >"$CI_TMP/dpkg.log" 2>&1 || { cat "$CI_TMP/dpkg.log" >&2; die "dpkg -i"; }
chroot "$box" portcullis check-config /etc/portcullis/portcullis.toml
port=$(free_port)
chroot "$box" portcullis --config /etc/portcullis/portcullis.toml --listen "127.0.0.1:$port" --debug-listen off >"$CI_TMP/box.log" 2>&1 &
SERVER_PID=$! SERVER_LOG=$CI_TMP/box.log
CHILDREN+=("$SERVER_PID")
wait_port "$port" "$SERVER_PID" "$SERVER_LOG"
drive python3 .ci/clients/resume.py "http://127.0.0.1:$port/mcp" system_info
stop_server
asked $'daemon-reload\ntry-restart portcullis.service'
echo '# mine' >>"$box/etc/portcullis/portcullis.toml"
chroot "$box" dpkg -i /portcullis.deb >>"$CI_TMP/dpkg.log" 2>&1 || die "dpkg -i a second time"
grep -q '# mine' "$box/etc/portcullis/portcullis.toml" || die "an upgrade takes the owner's file"
asked $'daemon-reload\ndaemon-reload\ntry-restart portcullis.service'
chroot "$box" dpkg -r portcullis >>"$CI_TMP/dpkg.log" 2>&1 || die "dpkg -r"
asked $'disable --now portcullis.socket portcullis.service\ndaemon-reload'
[ ! -e "$box/usr/bin/portcullis" ] || die "the program is still there after its removal"
grep -q '# mine' "$box/etc/portcullis/portcullis.toml" || die "the file of the owner went with the program"
chroot "$box" dpkg -P portcullis >>"$CI_TMP/dpkg.log" 2>&1 || die "dpkg -P"
everything >"$CI_TMP/after"
diff "$CI_TMP/before" "$CI_TMP/after" || die "the package leaves something behind, or took something along"
echo "installed, run, upgraded, removed, purged: nothing left"
