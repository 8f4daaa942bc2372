#!/usr/bin/env bash
# Measures what is put onto a disk or into flash, per target and profile; fails where a program is over its budget
# (sizes.txt), or where docs/SIZES.md tells sizes that are off by more than 2 %.
#
#   sizes.sh             checks
#   sizes.sh --write     also measures what each feature and crate costs, and writes docs/SIZES.md
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

cd "$ROOT"
found=$CI_TMP/found
symbols=$CI_TMP/symbols
: >"$found"
: >"$symbols"
# note NAME FILE
note() { printf '%s: %s\n' "$1" "$(stat -c %s "$2")" | tee -a "$found"; }

# In a folder of their own, so that the program of the other stages stays as it is.
CARGO_TARGET_DIR=$CI_CACHE/sizes cargo build -q --release --bin portcullis
note "program, x86_64, release" "$CI_CACHE/sizes/release/portcullis"
CARGO_TARGET_DIR=$CI_CACHE/sizes cargo build -q --release --bin portcullis --features config
note "program with config, x86_64, release" "$CI_CACHE/sizes/release/portcullis"
CARGO_TARGET_DIR=$CI_CACHE/sizes cargo build -q --release --example hello --no-default-features
note "library, x86_64, release" "$CI_CACHE/sizes/release/examples/hello"
for target in x86_64 armv7 aarch64 armv5te; do
    CACHE=$CI_CACHE/static packaging/static.sh "$target" >"$CI_TMP/built"
    note "program with config, $target, small" "$(cut -d' ' -f1 "$CI_TMP/built")"
    CACHE=$CI_CACHE/static packaging/static.sh "$target" -- --bin portcullis --no-default-features --features program >"$CI_TMP/built"
    note "program without page, $target, small" "$(cut -d' ' -f1 "$CI_TMP/built")"
done

if [ "${1:-}" = --write ]; then
    # With a feature more, or with one less of the default ones.
    cargo metadata --no-deps --format-version 1 | python3 -c '
import json, sys
features = json.load(sys.stdin)["packages"][0]["features"]
usual = features["default"]
for name in features:
    if name in ("default", "program"):
        continue
    if name in usual:
        print("-" + name, ",".join(other for other in usual if other != name))
    elif not any(name in features[other] for other in usual):
        print("+" + name, ",".join([*usual, name]))' >"$CI_TMP/features"
    while read -r name list; do
        CARGO_TARGET_DIR=$CI_CACHE/sizes cargo build -q --release --bin portcullis --no-default-features --features "$list"
        note "feature $name" "$CI_CACHE/sizes/release/portcullis"
    done <"$CI_TMP/features"
    # Whose code it is, by the names of functions in a build that keeps them.
    CARGO_TARGET_DIR=$CI_CACHE/sizes CARGO_PROFILE_RELEASE_STRIP=none cargo build -q --release --bin portcullis
    nm -S -C --defined-only "$CI_CACHE/sizes/release/portcullis" >"$symbols"
fi

PYTHONDONTWRITEBYTECODE=1 python3 .ci/sizes.py "$found" "$symbols" "$@"
