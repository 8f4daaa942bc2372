#!/usr/bin/env bash
# What a host in another language does to a server that it embeds, and no safe Rust can do in a test: SIGPIPE at its
# default disposition, and a fork without exec; and the example `firewall` with the real nft, as root and as nobody.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

cd "$ROOT"
cargo build -q --release --example embed_thread --example unix_socket --example firewall
cc -shared -fPIC -o "$CI_TMP/host.so" .ci/host.c || die "cc .ci/host.c"

for example in embed_thread unix_socket; do
    PYTHONDONTWRITEBYTECODE=1 LD_PRELOAD='' python3 .ci/embedding.py "$example" \
        "$TARGET/release/examples/$example" "$CI_TMP/host.so" "$CI_TMP"
done

if [ "$(id -u)" != 0 ]; then
    echo "SKIPPED the firewall: network namespaces need root"
    exit 0
fi
need_apt nftables iproute2 util-linux python3
# The programs lie where nobody may not look.
chmod 755 "$CI_TMP"
cp "$TARGET/release/examples/firewall" .ci/embedding.py "$CI_TMP"
for user in root nobody; do
    unshare -n sh -c "ip link set lo up && exec setpriv --reuid=$user --clear-groups --bounding-set=+all \
        /usr/bin/python3 '$CI_TMP/embedding.py' firewall '$CI_TMP/firewall' $user"
done
