#!/bin/sh
# Cargo runs this in place of rustc for the crates of this workspace (RUSTC_WORKSPACE_WRAPPER). It has the program, and nothing else,
# linked statically with the C library: what needs no library runs in an image that has none. Dependencies are used as they are.
#
#   RUSTC_WORKSPACE_WRAPPER=$PWD/host/operation/container/static.sh cargo build --release --bin soloist
rustc=$1
shift
case " $* " in
    *" --crate-name soloist "*" --crate-type bin "*) exec "$rustc" "$@" -C target-feature=+crt-static ;;
    *) exec "$rustc" "$@" ;;
esac
