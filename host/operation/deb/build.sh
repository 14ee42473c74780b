#!/usr/bin/env bash
# Builds a package for Debian and its kin, with dpkg-deb alone.
#
#   build.sh PROGRAM DIRECTORY      writes DIRECTORY/soloist_VERSION_ARCHITECTURE.deb, and prints its path
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$here/../../..
[ $# = 2 ] || { echo "usage: $0 PROGRAM DIRECTORY" >&2; exit 2; }
program=$1 directory=$2

version=$("$program" --version | awk '{ print $2 }')
architecture=$(dpkg --print-architecture)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 0755 "$root"
umask 022

install -D -m 0755 "$program" "$root/usr/bin/soloist"
strip --strip-unneeded "$root/usr/bin/soloist"
install -D -m 0644 "$here/../systemd/soloist.service" "$root/lib/systemd/system/soloist.service"
install -D -m 0644 "$here/soloist.sysusers" "$root/usr/lib/sysusers.d/soloist.conf"
install -d -m 0755 "$root/etc/soloist"
documents=$root/usr/share/doc/soloist
install -D -m 0644 "$here/../systemd/soloist.toml" "$documents/examples/soloist.toml"
install -m 0644 "$top/host/example.toml" "$documents/examples/every-key.toml"
install -m 0644 "$here"/../alerts.yaml "$here"/../dashboard.json "$documents/examples/"
install -m 0644 "$here/copyright" "$documents/copyright"
gzip -9n <"$top/CHANGELOG.md" >"$documents/changelog.gz"

# The program has its own manual and completions.
manual=$root/usr/share/man/man1
mkdir -p "$manual"
"$program" manual "$manual" >/dev/null
gzip -9n "$manual"/*
complete() { mkdir -p "$root/$2" && "$program" completions "$1" >"$root/$2/$3"; }
complete bash usr/share/bash-completion/completions soloist
complete zsh usr/share/zsh/vendor-completions _soloist
complete fish usr/share/fish/vendor_completions.d soloist.fish

# The newest version of each library that the program asks for.
needs=
if readelf --dynamic "$program" | grep -q NEEDED; then
    glibc=$(objdump --dynamic-syms "$program" | grep -o 'GLIBC_[0-9.]*' | cut -d_ -f2 | sort --version-sort | tail -1)
    needs="libc6 (>= $glibc), libgcc-s1, "
fi
mkdir -p "$root/DEBIAN"
cat >"$root/DEBIAN/control" <<CONTROL
Package: soloist
Version: $version
Architecture: $architecture
Maintainer: Soloist <soloist@localhost>
Installed-Size: $(du --summarize --apparent-size --block-size=1024 --exclude=DEBIAN "$root" | cut -f1)
Depends: ${needs}init-system-helpers
Recommends: ca-certificates
Suggests: zookeeper, prometheus, minisign
Section: admin
Priority: optional
Description: runs a task on exactly one machine of many
 Soloist runs a WebAssembly plugin on exactly one machine of many. ZooKeeper
 decides which, and a sandbox takes every effect away from the plugin at once
 when its host no longer surely leads.
CONTROL
for script in postinst prerm postrm; do install -m 0755 "$here/$script" "$root/DEBIAN/$script"; done

mkdir -p "$directory"
package=$directory/soloist_${version}_$architecture.deb
dpkg-deb --root-owner-group "-Z${COMPRESSION:-xz}" --build "$root" "$package" >/dev/null
echo "$package"
