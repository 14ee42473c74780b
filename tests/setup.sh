#!/usr/bin/env bash
# Installs what building and testing need and this machine lacks; where it cannot, says what to install.
# Does nothing, and quickly, where all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()   # packages of Debian and Ubuntu
advice=()    # what to do elsewhere
wanted=()    # packages that tests can do without: they say then that they are skipped

has() { command -v "$1" >/dev/null 2>&1; }

if ! has cargo; then
    echo "No Rust on this machine: install it from https://rustup.rs, then try again." >&2
    exit 1
fi
if ! has cc; then
    missing+=(build-essential)
    advice+=("a C compiler and linker, as 'cc'")
fi
if [ -n "${JAVA_HOME:-}" ] && [ -x "$JAVA_HOME/bin/java" ] || has java; then :; else
    missing+=(default-jre-headless)
    advice+=("a Java runtime, 11 or newer, as 'java' or at JAVA_HOME")
fi
# A plugin in Python is built with a Python package.
if ! python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then
    wanted+=(python3-venv)
fi
if [ -z "${ZOOKEEPER_HOME:-}" ] && [ ! -f /usr/share/java/zookeeper.jar ]; then
    missing+=(libzookeeper-java)
    advice+=("ZooKeeper: unpack a release from https://zookeeper.apache.org and set ZOOKEEPER_HOME to where it is")
fi

if [ $((${#missing[@]} + ${#wanted[@]})) -gt 0 ]; then
    if [ "$(id -u)" = 0 ]; then
        root=()
    elif has sudo && sudo -n true 2>/dev/null; then
        root=(sudo -n)
    else
        root=(no)
    fi
    if has apt-get && [ "${root[*]}" != no ]; then
        echo "Installing ${missing[*]} ${wanted[*]}"
        export DEBIAN_FRONTEND=noninteractive
        "${root[@]}" apt-get update -qq </dev/null
        "${root[@]}" apt-get install -qq --yes --no-install-recommends "${missing[@]}" "${wanted[@]}" </dev/null >/dev/null
    elif [ ${#missing[@]} -gt 0 ]; then
        echo "These are missing, and this script cannot install them here:" >&2
        printf '  - %s\n' "${advice[@]}" >&2
        echo "On Debian or Ubuntu: sudo apt-get install ${missing[*]} ${wanted[*]}" >&2
        exit 1
    else
        echo "Some tests are skipped without these packages of Debian or Ubuntu: ${wanted[*]}"
    fi
fi

# Plugins are compiled for these targets. rust-toolchain.toml names them, so rustup may have them already.
for target in wasm32-wasip2 wasm32-unknown-unknown; do
    [ ! -d "$(rustc --print target-libdir --target "$target")" ] || continue
    if ! has rustup; then
        echo "This Rust cannot compile for $target: install that target, or use Rust from https://rustup.rs." >&2
        exit 1
    fi
    rustup target add "$target"
done
