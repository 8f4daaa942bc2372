# Builds for other machines, with a std of our own that is made for size; sourced, never run, after lib.sh.
#
# How: Debian's rustc-web, cargo-web and rust-web-src, which are one version, so that cargo can build std for any target
# (-Zbuild-std); Debian's cross gcc as linker; Debian's musl-dev of that architecture, only unpacked. No foreign
# architecture is added to dpkg and rustup is not touched.

CROSS=$CI_CACHE/cross

# cross_target NAME: sets $triple, and for the static ones $gcc, $debian (its architecture) and $musl (its folder).
cross_target() {
    case $1 in
    x86_64) triple=x86_64-unknown-linux-gnu gcc='' debian='' musl='' ;;
    armv7) triple=armv7-unknown-linux-musleabihf gcc=arm-linux-gnueabihf debian=armhf musl=arm-linux-musleabihf ;;
    aarch64) triple=aarch64-unknown-linux-musl gcc=aarch64-linux-gnu debian=arm64 musl=aarch64-linux-musl ;;
    armv5te) triple=armv5te-unknown-linux-musleabi gcc=arm-linux-gnueabi debian=armel musl=arm-linux-musleabi ;;
    *) die "no such target: $1" ;;
    esac
}

# Fetches the musl-dev of $debian with package lists of its own: the machine's stay as they are. Then makes a linker of
# the cross gcc and the package's specs file, its absolute paths moved to where it was unpacked.
cross_setup() {
    need_apt rustc-web cargo-web rust-web-src
    [ -n "$musl" ] || return 0
    need_apt "gcc-$gcc" "libc6-dev-$debian-cross"
    local folder=$CROSS/$debian lib=$CROSS/$debian/musl/usr/lib/$musl
    [ ! -x "$folder/gcc" ] || return 0
    local apt=(apt-get -q -o APT::Architecture="$debian" -o APT::Architectures="$debian" -o "Dir::State::Lists=$folder/lists")
    mkdir -p "$folder/lists/partial" "$folder/musl"
    "${apt[@]}" update >"$CI_TMP/apt-$debian.log" 2>&1 || true   # one stale index must not stop the rest
    (cd "$CI_TMP" && "${apt[@]}" download musl-dev >>"$CI_TMP/apt-$debian.log" 2>&1) \
        || { tail -n 20 "$CI_TMP/apt-$debian.log" >&2; die "could not download the musl-dev of $debian"; }
    dpkg -x "$CI_TMP"/musl-dev_*_"$debian".deb "$folder/musl"
    sed "s#/usr/#$folder/musl/usr/#g" "$lib/musl-gcc.specs" >"$folder/specs"
    ar crs "$lib/libunwind.a"    # std asks for it by name; what it needs is in gcc's libgcc_eh
    # libgcc_eh of aarch64 asks glibc where a function's tables are; "not known" makes it search, as on any libc.
    echo 'int _dl_find_object(void *at, void *found) { (void)at; (void)found; return -1; }' >"$CI_TMP/stub.c"
    "$gcc-gcc" -Os -c -o "$folder/stub.o" "$CI_TMP/stub.c"
    printf '#!/bin/sh\nexec %s-gcc "$@" -specs %s\n' "$gcc" "$folder/specs" >"$folder/gcc.new"
    chmod +x "$folder/gcc.new"
    mv "$folder/gcc.new" "$folder/gcc"
}

# cross_build NAME CARGO_OPTION...: prints nothing but trouble; the results are below $CROSS/target/$triple.
cross_build() {
    local triple gcc debian musl upper
    cross_target "$1"
    shift
    cross_setup
    upper=$(echo "$triple" | tr a-z- A-Z_)
    (
        cd "$ROOT"
        unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS RUSTUP_TOOLCHAIN CARGO_TARGET_DIR
        # -Zbuild-std is not a stable option; the compiler and std's source are of one version all the same.
        export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$CROSS/target
        if [ -n "$musl" ]; then
            export "CARGO_TARGET_${upper}_LINKER=$CROSS/$debian/gcc"
            export "CARGO_TARGET_${upper}_RUSTFLAGS=-Clink-self-contained=no -L$CROSS/$debian/musl/usr/lib/$musl -Clink-arg=-lgcc_eh -Clink-arg=$CROSS/$debian/stub.o"
        fi
        # A std built for size: no backtraces, and no unwinding (the profile aborts); panic messages stay.
        /usr/bin/cargo build -q --target "$triple" -Zbuild-std=std,panic_abort \
            -Zbuild-std-features=optimize_for_size "$@"
    ) || die "the build for $triple"
}
