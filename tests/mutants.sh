#!/usr/bin/env bash
# Changes the pure core in some two hundred small ways, one at a time, and sees whether anybody notices: first the unit tests,
# then, of what they did not notice, the model. What survives both needs a test, or a line with the reason in
# .cargo/mutants.toml.
set -euo pipefail
cd "$(dirname "$0")/.."
version=27.1.0
tool=target/tools/bin/cargo-mutants
out=target/mutants/mutants.out
export SOLOIST_WORLDS=${SOLOIST_WORLDS:-1000} RUST_BACKTRACE=0

if [ "$("$tool" mutants --version 2>/dev/null)" != "cargo-mutants $version" ]; then
	"${CARGO:-cargo}" install --locked --root target/tools --version "$version" cargo-mutants
fi

run() {
	local code=0
	"$tool" mutants --package soloist-core --output target/mutants --colors never "$@" || code=$?
	# One that is missed (2) or does not end (3) is a result; all else is a failure.
	[ $code -eq 0 ] || [ $code -eq 2 ] || [ $code -eq 3 ] || exit $code
}
count() { cat "$@" | wc -l; }

rm -rf target/mutants && mkdir -p target/mutants
echo "== the unit tests"
run --minimum-test-timeout 20 --cargo-arg=--lib
unviable=$(count $out/unviable.txt)
by_tests=$(count $out/caught.txt $out/timeout.txt)
# What makes the tests run on for ever is caught.
cat $out/timeout.txt >>$out/caught.txt

echo "== the model, in $SOLOIST_WORLDS worlds each"
run --iterate --timeout 600 --profile release --cargo-arg=--test=model -- at_most_one_host
by_model=$(count $out/caught.txt $out/timeout.txt)
survived=$(count $out/missed.txt)

echo "mutants: $((by_tests + by_model + survived)), caught by the unit tests: $by_tests, by the model alone: $by_model," \
	"survived: $survived; not counted: $unviable that do not compile, and those in .cargo/mutants.toml"
cat $out/missed.txt
[ "$survived" -eq 0 ]
