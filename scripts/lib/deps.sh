# shellcheck shell=bash
# Debian packages that building and testing need; install_deps installs those that are missing.

BUILD_DEPS=(gcc meson ninja-build pkg-config libfdt-dev libzstd-dev libcbor-dev libssl-dev
    libcmocka-dev liburing-dev libjansson-dev libseccomp-dev)
RUN_DEPS=(python3 zstd e2fsprogs iproute2 qemu-system-x86 busybox-static cpio)
CHECK_DEPS=(acpica-tools strace mandoc clang libclang-rt-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross
    qemu-user-static libcbor-dev:arm64 libssl-dev:arm64 libjansson-dev:arm64 libzstd-dev:arm64)

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
