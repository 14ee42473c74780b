#!/usr/bin/env bash
# Installs what building and testing need and this machine lacks; where it cannot, says what to install.
# With `build` as its argument it sees to what building the program needs, and no more; with `demo`, to what the demo needs; with
# `package`, to what the tests and the container image need.
# Does nothing, and quickly, where all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1:-all}" in
    all | build | demo | package) ;;
    *) echo "usage: $0 [build | demo | package]" >&2; exit 2 ;;
esac

missing=()   # packages of Debian and Ubuntu
advice=()    # what to do elsewhere
wanted=()    # packages that tests can do without: they say then that they are skipped, or fail where CI is set

has() { command -v "$1" >/dev/null 2>&1; }

if ! has cargo; then
    echo "No Rust on this machine: install it from https://rustup.rs, then try again." >&2
    exit 1
fi
if ! has cc; then
    missing+=(build-essential)
    advice+=("a C compiler and linker, as 'cc'")
fi
if [ "${1:-all}" != build ]; then
    if [ -n "${JAVA_HOME:-}" ] && [ -x "$JAVA_HOME/bin/java" ] || has java; then :; else
        missing+=(default-jre-headless)
        advice+=("a Java runtime, 11 or newer, as 'java' or at JAVA_HOME")
    fi
    if [ -z "${ZOOKEEPER_HOME:-}" ] && [ ! -f /usr/share/java/zookeeper.jar ]; then
        missing+=(libzookeeper-java)
        advice+=("ZooKeeper: unpack a release from https://zookeeper.apache.org and set ZOOKEEPER_HOME to where it is")
    fi
fi
if [ "${1:-all}" = all ] || [ "${1:-all}" = package ]; then
    # A plugin in Python is built with a Python package.
    if ! python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then
        wanted+=(python3-venv)
    fi
    # A plugin in C.
    if ! has clang || ! has wasm-ld || [ ! -e /usr/include/wasm32-wasi/stdio.h ]; then
        wanted+=(clang lld wasi-libc libclang-rt-dev-wasm32)
    fi
    # One in JavaScript is built with a package of npm.
    if ! has npm; then
        wanted+=(nodejs npm)
    fi
    # An example relays what is in a database.
    if ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && ! has initdb; then
        wanted+=(postgresql)
    fi
    # Manifests are signed with it.
    if ! has minisign; then
        wanted+=(minisign)
    fi
    # Plugins are fetched from a registry.
    if ! has docker-registry; then
        wanted+=(docker-registry)
    fi
    # The metrics, the alerts and the dashboard are checked with promtool, which comes with Prometheus.
    if ! has promtool; then
        wanted+=(prometheus)
    fi
    # The page of a host is looked at with a browser.
    if ! has chromium; then
        wanted+=(chromium)
    fi
    # The unit is checked with systemd's own tools.
    if ! has systemd-analyze; then
        wanted+=(systemd)
    fi
    # The man pages are checked with it.
    if ! has mandoc; then
        wanted+=(mandoc)
    fi
    # Faults of the network are made in network namespaces.
    if ! has ip; then
        wanted+=(iproute2)
    fi
fi

if [ "${1:-all}" = package ] && ! has buildah; then
    missing+=(buildah)
    advice+=("buildah, which builds the container image")
fi

root=(env DEBIAN_FRONTEND=noninteractive)
[ "$(id -u)" = 0 ] || root=(sudo -n "${root[@]}")

can_install() { has apt-get && "${root[@]}" true 2>/dev/null; }

install() {
    echo "Installing $*"
    "${root[@]}" apt-get update -qq </dev/null &&
        "${root[@]}" apt-get install -qq --yes --no-install-recommends "$@" </dev/null >/dev/null
}

if [ ${#missing[@]} -gt 0 ]; then
    if ! can_install; then
        echo "These are missing, and this script cannot install them here:" >&2
        printf '  - %s\n' "${advice[@]}" >&2
        echo "On Debian or Ubuntu: sudo apt-get install ${missing[*]} ${wanted[*]}" >&2
        exit 1
    fi
    install "${missing[@]}"
fi
if [[ " ${wanted[*]} " == *" postgresql "* ]] && can_install && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    # The tests start a database of their own. This keeps the package from starting one for the machine.
    install postgresql-common &&
        "${root[@]}" sed -i 's/^#* *create_main_cluster *=.*/create_main_cluster = false/' \
            /etc/postgresql-common/createcluster.conf || true
fi
if [[ " ${wanted[*]} " == *" prometheus "* ]] && can_install && has systemctl; then
    # The tests need its tool alone. This keeps the package from starting a server for the machine.
    "${root[@]}" systemctl mask prometheus.service >/dev/null 2>&1 || true
fi
if [ ${#wanted[@]} -gt 0 ]; then
    if ! can_install || ! install "${wanted[@]}"; then
        echo "Some tests cannot run without these packages of Debian or Ubuntu: ${wanted[*]}" >&2
    fi
fi

[ "${1:-all}" != build ] || exit 0

# Plugins are compiled for these targets. rust-toolchain.toml names them, so rustup may have them already.
for target in wasm32-wasip2 wasm32-unknown-unknown; do
    [ ! -d "$(rustc --print target-libdir --target "$target")" ] || continue
    if ! has rustup; then
        echo "This Rust cannot compile for $target: install that target, or use Rust from https://rustup.rs." >&2
        exit 1
    fi
    rustup target add "$target"
done
