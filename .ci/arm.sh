#!/usr/bin/env bash
# Proves that the program and the `echo` example build for a 32-bit ARM box (armv7, static musl, no libc
# of the device needed) and that a real client uses the result: it runs under qemu-user, and the Python SDK
# connects over HTTP+SSE and Streamable HTTP. Prints the sizes.
#
#   arm.sh                       the project
#   arm.sh --crate FOLDER BIN    only builds another crate's BIN and runs it (to try the tool chain)
#
# How: Debian's rustc-web, cargo-web and rust-web-src, which are one version, so that cargo can build std for
# any target (-Zbuild-std); Debian's cross gcc as linker; Debian's musl-dev of armhf, only unpacked. No foreign
# architecture is added to dpkg and rustup is not touched. The `small` profile is what goes onto flash.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

triple=armv7-unknown-linux-musleabihf
musl=$CI_CACHE/arm/musl            # musl-dev, unpacked
linker=$CI_CACHE/arm/musl-gcc      # cross gcc, told of it

need_apt rustc-web cargo-web rust-web-src gcc-arm-linux-gnueabihf libc6-dev-armhf-cross qemu-user

# Fetches armhf's musl-dev with package lists of its own: the machine's stay as they are.
fetch_musl() {
    local lists=$CI_CACHE/arm/lists
    local apt=(apt-get -q -o APT::Architecture=armhf -o APT::Architectures=armhf -o "Dir::State::Lists=$lists")
    mkdir -p "$lists/partial" "$musl"
    "${apt[@]}" update >"$CI_TMP/apt-arm.log" 2>&1 || true   # one stale index must not stop the rest
    (cd "$CI_TMP" && "${apt[@]}" download musl-dev >>"$CI_TMP/apt-arm.log" 2>&1) \
        || { tail -n 20 "$CI_TMP/apt-arm.log" >&2; die "could not download armhf's musl-dev"; }
    dpkg -x "$CI_TMP"/musl-dev_*.deb "$musl"
}

# The package's specs file makes gcc use musl; its absolute paths are moved to where it was unpacked.
make_linker() {
    local lib=$musl/usr/lib/arm-linux-musleabihf
    sed "s#/usr/#$musl/usr/#g" "$lib/musl-gcc.specs" >"$CI_CACHE/arm/specs"
    ar crs "$lib/libunwind.a"    # std asks for it by name; what it needs is in gcc's libgcc_eh
    printf '#!/bin/sh\nexec arm-linux-gnueabihf-gcc "$@" -specs %s\n' "$CI_CACHE/arm/specs" >"$linker.new"
    chmod +x "$linker.new"
    mv "$linker.new" "$linker"
}

[ -d "$musl/usr/lib" ] || fetch_musl
[ -x "$linker" ] || make_linker

# cross_build FOLDER CARGO_OPTION...: prints nothing but trouble; the result is below $out.
out=$CI_CACHE/arm/target
cross_build() {
    local folder=$1; shift
    (
        cd "$folder"
        unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS RUSTUP_TOOLCHAIN CARGO_TARGET_DIR
        # -Zbuild-std is not a stable option; the compiler and std's source are of one version all the same.
        export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$out
        export CARGO_TARGET_ARMV7_UNKNOWN_LINUX_MUSLEABIHF_LINKER=$linker
        export CARGO_TARGET_ARMV7_UNKNOWN_LINUX_MUSLEABIHF_RUSTFLAGS="-Clink-self-contained=no -L$musl/usr/lib/arm-linux-musleabihf -Clink-arg=-lgcc_eh"
        # A std built for size: no backtraces, and no unwinding (the profile aborts); panic messages stay.
        /usr/bin/cargo build -q --target "$triple" -Zbuild-std=std,panic_abort \
            -Zbuild-std-features=optimize_for_size "$@"
    ) || die "the armv7 build of $folder"
}

show() {
    local kind
    kind=$(od -An -tx1 -j18 -N2 "$1" | tr -d ' ')
    [ "$kind" = 2800 ] || die "$1 is not an ARM program (ELF machine $kind)"
    if LC_ALL=C grep -q -a '/ld-musl\|/ld-linux' "$1"; then die "$1 asks for a dynamic loader"; fi
    echo "$(basename "$1"): $(stat -c %s "$1") bytes, armv7, static"
}

if [ "${1:-}" = --crate ]; then
    cross_build "$2" --release --bin "$3"
    show "$out/$triple/release/$3"
    qemu-arm "$out/$triple/release/$3" </dev/null
    exit
fi

[ -e "$ROOT/examples/echo.rs" ] || [ -d "$ROOT/examples/echo" ] || skip "examples/echo is not there yet"
cross_build "$ROOT" --profile small --bin portcullis --example echo
show "$out/$triple/small/portcullis"
show "$out/$triple/small/examples/echo"
qemu-arm "$out/$triple/small/portcullis" --help </dev/null >"$CI_TMP/help" || die "portcullis --help under qemu"
[ -s "$CI_TMP/help" ] || die "portcullis --help printed nothing"

need_py1
# shellcheck disable=SC2034  # read by start_echo
ECHO=$out/$triple/small/examples/echo RUNNER=qemu-arm
start_echo
drive "$PYTHON" "$(dirname "$0")/clients/py1.py" sse "http://127.0.0.1:$PORT/sse"
drive "$PYTHON" "$(dirname "$0")/clients/py1.py" http "http://127.0.0.1:$PORT/mcp"
stop_echo
