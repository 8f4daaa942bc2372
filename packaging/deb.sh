#!/bin/sh
# Builds a Debian package of a program that was built already: deb.sh [BINARY] [FOLDER]; prints the package's path.
#
# Its service is not started by the installation: who installs it looks at /etc/portcullis/portcullis.toml first, then
# `systemctl enable --now portcullis`.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
binary=${1:-$here/../target/release/portcullis}
folder=${2:-.}
[ -x "$binary" ] || { echo "deb.sh: no program at $binary: cargo build --release --features config" >&2; exit 1; }
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/../Cargo.toml" | head -n 1)
arch=${DEB_ARCH:-$(dpkg --print-architecture)}

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
install -D -m 755 "$binary" "$tree/usr/bin/portcullis"
install -D -m 644 "$here/systemd/portcullis.service" "$tree/usr/lib/systemd/system/portcullis.service"
install -D -m 644 "$here/systemd/portcullis.socket" "$tree/usr/lib/systemd/system/portcullis.socket"
install -D -m 644 "$here/portcullis.toml" "$tree/etc/portcullis/portcullis.toml"
install -d -m 755 "$tree/etc/portcullis/conf.d" "$tree/usr/share/man/man8" "$tree/usr/share/doc/portcullis"
gzip -9n <"$here/portcullis.8" >"$tree/usr/share/man/man8/portcullis.8.gz"
install -m 644 "$here/../LICENSE" "$tree/usr/share/doc/portcullis/copyright"
install -m 644 "$here/../examples/appliance.toml" "$tree/usr/share/doc/portcullis/appliance.toml"

mkdir -m 755 "$tree/DEBIAN"
size=$(du -sk "$tree" | cut -f1)
cat >"$tree/DEBIAN/control" <<CONTROL
Package: portcullis
Version: $version
Architecture: $arch
Section: net
Priority: optional
Maintainer: portcullis maintainers <portcullis@localhost>
Installed-Size: $size
Depends: libc6 (>= 2.36), libgcc-s1
Recommends: nftables, iproute2
Suggests: conntrack, traceroute, iputils-ping
Description: MCP server for machines that guard networks
 Lets assistants see and operate a firewall over the Model Context Protocol: one
 thread, every published revision, sessions that do not break.
CONTROL
echo /etc/portcullis/portcullis.toml >"$tree/DEBIAN/conffiles"
# The manager is told only where it runs: a chroot and a container have none.
cat >"$tree/DEBIAN/postinst" <<'POSTINST'
#!/bin/sh
set -e
[ "$1" = configure ] || exit 0
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
    # Only what runs already, after an upgrade.
    systemctl try-restart portcullis.service || true
fi
POSTINST
cat >"$tree/DEBIAN/prerm" <<'PRERM'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl disable --now portcullis.socket portcullis.service || true
fi
PRERM
cat >"$tree/DEBIAN/postrm" <<'POSTRM'
#!/bin/sh
set -e
if [ "$1" = purge ]; then
    rm -rf /etc/portcullis
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
fi
POSTRM
chmod 755 "$tree/DEBIAN/postinst" "$tree/DEBIAN/prerm" "$tree/DEBIAN/postrm"
package=$folder/portcullis_${version}_$arch.deb
dpkg-deb --root-owner-group --build "$tree" "$package" >/dev/null
echo "$package"
