#!/bin/sh
# Compiles with what libFuzzer needs to see where an input leads: flags for LLVM, which a stable compiler takes too.
# Cargo gives only the crates of this workspace to it, so that nothing else is compiled a second time.
exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
