#!/usr/bin/env bash
# The program as a service, without a PID 1: what a manager hears and hands over, and what systemd says of the unit.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

exposure_max=2.0

need_apt systemd
cd "$ROOT"
cargo build -q --release
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
"$TARGET/release/portcullis" check-config packaging/portcullis.toml
man -l packaging/portcullis.8 >/dev/null 2>&1 || ! command -v man >/dev/null || die "the manual page cannot be read"
