# shellcheck shell=bash
# Debian packages that building and testing need; install_deps installs those that are missing.

MACHINE=$(uname -m)
# What a machine can build for besides itself, with scripts/ARCH.cross into build-ARCH.
declare -A OTHERS=([x86_64]=aarch64)
declare -A EMULATOR=([x86_64]=qemu-system-x86 [aarch64]=qemu-system-arm)

BUILD_DEPS=(gcc meson ninja-build pkg-config libfdt-dev libzstd-dev libcbor-dev libssl-dev
    libcmocka-dev liburing-dev libjansson-dev libseccomp-dev zlib1g-dev)
# For scripts/aarch64.cross. libfdt-dev cannot be installed for two architectures; its library can.
CROSS_DEPS=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static libfdt1:arm64 libzstd-dev:arm64
    libcbor-dev:arm64 libssl-dev:arm64 libcmocka-dev:arm64 liburing-dev:arm64 libjansson-dev:arm64
    libseccomp-dev:arm64 zlib1g-dev:arm64)
# Besides the emulator of the architecture.
RUN_DEPS=(python3 zstd e2fsprogs iproute2 kmod busybox-static cpio)
CHECK_DEPS=(acpica-tools device-tree-compiler strace mandoc clang libclang-rt-dev qemu-user-static)

install_deps() {
    local missing=() sudo=()
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    [ "$(id -u)" -eq 0 ] || sudo=(sudo)
    echo "installing: ${missing[*]}" >&2
    # Libraries that programs for the other architecture are linked with.
    if [[ " ${missing[*]}" == *:arm64* ]] && ! dpkg --print-foreign-architectures | grep -qx arm64; then
        "${sudo[@]}" dpkg --add-architecture arm64
    fi
    "${sudo[@]}" apt-get update -q >/dev/null &&
        DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -qy --no-install-recommends \
            "${missing[@]}" >/dev/null
}

# build_folder ARCH: prints where programs for it are built on this machine.
build_folder() {
    [ "$1" = "$MACHINE" ] && echo build || echo "build-$1"
}

# set_up ARCH: makes that folder, unless it is there.
set_up() {
    local folder cross=()
    folder=$(build_folder "$1")
    [ "$1" = "$MACHINE" ] || cross=(--cross-file "scripts/$1.cross")
    [ -d "$folder" ] || meson setup "$folder" "${cross[@]}" >/dev/null
}
