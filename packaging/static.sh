#!/usr/bin/env bash
# Builds the program for a box that has no compiler: static, for its own kind of processor, as small as it gets.
#
#   packaging/static.sh                          armv7, aarch64 and armv5te
#   packaging/static.sh TARGET... [-- OPTIONS]   those targets; options for cargo (default: --bin portcullis --features config)
#
# TARGET: armv7 (32-bit boxes since 2010), aarch64, armv5te (older ones, soft float), x86_64 (this one is not static).
# Each built program is printed with its size in bytes. On Debian 12 or later, as root where packages are missing.
# CACHE=FOLDER says where it works (default target/static).
#
# How: Debian's rustc-web, cargo-web and rust-web-src, which are one version, so that cargo can build std for any target
# (-Zbuild-std); Debian's cross gcc as linker; Debian's musl-dev of that architecture, only unpacked. No foreign
# architecture is added to dpkg and rustup is not touched. std is built for size and without backtraces, and a panic ends
# the program at once, without a word (immediate-abort): the messages alone are a ninth of it. procd and systemd start it
# again. KEEP_MESSAGES=1 keeps them.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cache=${CACHE:-$root/target/static}
die() { echo "static.sh: $*" >&2; exit 1; }

need() {
    local p missing=()
    for p in "$@"; do
        dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null | grep -q '^ii' || missing+=("$p")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] || die "needs the Debian packages ${missing[*]}: apt-get install ${missing[*]}"
    apt-get update -q >"$cache/apt.log" 2>&1 || true   # one stale index must not stop the rest
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}" \
        >>"$cache/apt.log" 2>&1 || { tail -n 20 "$cache/apt.log" >&2; die "apt-get install ${missing[*]}"; }
}

# Sets $triple, and for the static ones $gcc, $debian (its architecture there), $musl (its folder) and $own (its flags).
# Half of the instructions of 32-bit ARM's Thumb are half as long: a fifth less program, on ARMv5 a quarter. Those of ARMv5
# cannot hold rustix's own system calls; so there it takes musl's, with musl's 64-bit times.
choose() {
    local thumb=-Ctarget-feature=+thumb-mode
    own=''
    case $1 in
    x86_64) triple=x86_64-unknown-linux-gnu gcc='' debian='' musl='' ;;
    armv7) triple=armv7-unknown-linux-musleabihf gcc=arm-linux-gnueabihf debian=armhf musl=arm-linux-musleabihf own=$thumb ;;
    aarch64) triple=aarch64-unknown-linux-musl gcc=aarch64-linux-gnu debian=arm64 musl=aarch64-linux-musl ;;
    armv5te)
        triple=armv5te-unknown-linux-musleabi gcc=arm-linux-gnueabi debian=armel musl=arm-linux-musleabi
        own="$thumb --cfg=rustix_use_libc --cfg=libc_unstable_musl_v1_2"
        ;;
    *) die "no such target: $1 (there are armv7, aarch64, armv5te and x86_64)" ;;
    esac
}

# Fetches the musl-dev of $debian with package lists of its own: the machine's stay as they are. Then makes a linker of
# the cross gcc and the package's specs file, its absolute paths moved to where it was unpacked.
linker() {
    local folder=$cache/$debian lib=$cache/$debian/musl/usr/lib/$musl
    need "gcc-$gcc" "libc6-dev-$debian-cross"
    [ ! -x "$folder/gcc" ] || return 0
    local apt=(apt-get -q -o APT::Architecture="$debian" -o APT::Architectures="$debian" -o "Dir::State::Lists=$folder/lists")
    mkdir -p "$folder/lists/partial" "$folder/musl"
    "${apt[@]}" update >"$folder/apt.log" 2>&1 || true
    (cd "$folder" && "${apt[@]}" download musl-dev >>apt.log 2>&1) \
        || { tail -n 20 "$folder/apt.log" >&2; die "could not download the musl-dev of $debian"; }
    dpkg -x "$folder"/musl-dev_*_"$debian".deb "$folder/musl"
    sed "s#/usr/#$folder/musl/usr/#g" "$lib/musl-gcc.specs" >"$folder/specs"
    ar crs "$lib/libunwind.a"    # std asks for it by name; what it needs is in gcc's libgcc_eh
    # libgcc_eh of aarch64 asks glibc where a function's tables are; "not known" makes it search, as on any libc.
    echo 'int _dl_find_object(void *at, void *found) { (void)at; (void)found; return -1; }' >"$folder/stub.c"
    "$gcc-gcc" -Os -c -o "$folder/stub.o" "$folder/stub.c"
    printf '#!/bin/sh\nexec %s-gcc "$@" -specs %s\n' "$gcc" "$folder/specs" >"$folder/gcc.new"
    chmod +x "$folder/gcc.new"
    mv "$folder/gcc.new" "$folder/gcc"
}

build() {
    local triple gcc debian musl own upper flags='-Cforce-unwind-tables=no'
    choose "$1"
    shift
    [ -n "${KEEP_MESSAGES:-}" ] || flags+=' -Zunstable-options -Cpanic=immediate-abort'
    # Ciphers and digests for one kind of processor, and as loops: they are not what takes the time.
    flags+=' --cfg=sha2_backend="soft" --cfg=sha2_backend_soft="compact" --cfg=chacha20_backend="soft" --cfg=poly1305_backend="soft"'
    if [ -z "$musl" ]; then
        # Code and constants share pages: 8 KB less of padding.
        flags+=' -Clink-arg=-Wl,-z,noseparate-code'
    else
        linker
        # Pages that are made read-only after start cost 32 KiB of padding; musl does that for shared programs only.
        flags+=" $own -Clink-arg=-Wl,-z,norelro"
        flags+=" -Clink-self-contained=no -L$cache/$debian/musl/usr/lib/$musl -Clink-arg=-lgcc_eh -Clink-arg=$cache/$debian/stub.o"
    fi
    upper=$(echo "$triple" | tr a-z- A-Z_)
    (
        cd "$root"
        unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS RUSTUP_TOOLCHAIN
        # -Zbuild-std is not a stable option; the compiler and std's source are of one version all the same.
        export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$cache/target
        export "CARGO_TARGET_${upper}_RUSTFLAGS=$flags"
        [ -z "$musl" ] || export "CARGO_TARGET_${upper}_LINKER=$cache/$debian/gcc"
        /usr/bin/cargo build -q --target "$triple" --profile small -Zbuild-std=std,panic_abort \
            -Zbuild-std-features=optimize_for_size --message-format=json-render-diagnostics "$@" |
            sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | while read -r file; do echo "$file $(stat -c %s "$file")"; done
    ) || die "the build for $triple"
}

targets=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    choose "$1"
    targets+=("$1")
    shift
done
[ "${1:-}" != -- ] || shift
[ ${#targets[@]} -gt 0 ] || targets=(armv7 aarch64 armv5te)
[ $# -gt 0 ] || set -- --bin portcullis --features config
mkdir -p "$cache"
need rustc-web cargo-web rust-web-src
for target in "${targets[@]}"; do build "$target" "$@"; done
