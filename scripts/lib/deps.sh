# shellcheck shell=bash
# Debian packages that building and testing need; install_deps installs those that are missing.

BUILD_DEPS=(gcc meson ninja-build pkg-config libfdt-dev libzstd-dev libcbor-dev libssl-dev
    libcmocka-dev liburing-dev libjansson-dev libseccomp-dev)
RUN_DEPS=(python3 zstd e2fsprogs iproute2 qemu-system-x86 busybox-static cpio)
CHECK_DEPS=(acpica-tools strace mandoc)

install_deps() {
    local missing=() sudo=()
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    [ "$(id -u)" -eq 0 ] || sudo=(sudo)
    echo "installing: ${missing[*]}" >&2
    "${sudo[@]}" apt-get update -q >/dev/null &&
        DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -qy --no-install-recommends \
            "${missing[@]}" >/dev/null
}
