#!/bin/sh
# Makes a package for opkg of a static program (packaging/static.sh): ipk.sh BINARY ARCHITECTURE [FOLDER]; prints its path.
#
# ARCHITECTURE is OpenWrt's name of it: `opkg print-architecture` says which a box takes (arm_cortex-a7_neon-vfpv4,
# aarch64_cortex-a53, arm_arm926ej-s, …).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
binary=${1:?ipk.sh BINARY ARCHITECTURE [FOLDER]}
arch=${2:?ipk.sh BINARY ARCHITECTURE [FOLDER]}
folder=${3:-.}
[ -x "$binary" ] || { echo "ipk.sh: no program at $binary" >&2; exit 1; }
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/../../Cargo.toml" | head -n 1)

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
install -D -m 755 "$binary" "$tree/data/usr/bin/portcullis"
install -D -m 755 "$here/portcullis.init" "$tree/data/etc/init.d/portcullis"
# Tokens may come into it, and only root runs there.
install -D -m 600 "$here/../portcullis.toml" "$tree/data/etc/portcullis/portcullis.toml"
install -D -m 644 "$here/portcullis.keep" "$tree/data/lib/upgrade/keep.d/portcullis"
mkdir "$tree/control"
cat >"$tree/control/control" <<CONTROL
Package: portcullis
Version: $version
Architecture: $arch
Section: net
Installed-Size: $(du -sb "$tree/data" | cut -f1)
Description: MCP server for machines that guard networks
CONTROL
echo /etc/portcullis/portcullis.toml >"$tree/control/conffiles"
# It is not started by its installation, since nobody has looked at its file yet; one that ran before goes on.
cat >"$tree/control/postinst" <<'POSTINST'
#!/bin/sh
[ -n "$IPKG_INSTROOT" ] || ! /etc/init.d/portcullis enabled || /etc/init.d/portcullis start
exit 0
POSTINST
cat >"$tree/control/prerm" <<'PRERM'
#!/bin/sh
[ -z "$IPKG_INSTROOT" ] || exit 0
[ "$PKG_UPGRADE" = 1 ] || /etc/init.d/portcullis disable
/etc/init.d/portcullis stop
exit 0
PRERM
chmod 755 "$tree/control/postinst" "$tree/control/prerm"
pack() { tar --owner=0 --group=0 --sort=name --mtime=@0 -C "$2" -cf - . | gzip -9n >"$1"; }
echo 2.0 >"$tree/debian-binary"
pack "$tree/control.tar.gz" "$tree/control"
pack "$tree/data.tar.gz" "$tree/data"
package=$folder/portcullis_${version}_$arch.ipk
tar --owner=0 --group=0 --mtime=@0 -C "$tree" -cf - ./debian-binary ./control.tar.gz ./data.tar.gz | gzip -9n >"$package"
echo "$package"
