#!/usr/bin/env bash
# Builds the container image of a statically linked program, with buildah, and without a daemon.
#
#   build.sh PROGRAM IMAGE [ARCHIVE]     IMAGE like localhost/soloist:0.1.0; ARCHIVE is written as an OCI archive
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# = 2 ] || [ $# = 3 ] || { echo "usage: $0 PROGRAM IMAGE [ARCHIVE]" >&2; exit 2; }
program=$1 image=$2 archive=${3:-}
certificates=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}

if readelf --program-headers "$program" | grep -q 'INTERP'; then
    echo "$program is not linked statically: nothing could run it in this image" >&2
    exit 1
fi
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
install -m 0755 "$program" "$context/soloist"
strip --strip-unneeded "$context/soloist"
install -m 0644 "$certificates" "$context/ca-certificates.crt"
echo 'soloist:x:65532:65532:Soloist:/var/lib/soloist:/usr/sbin/nologin' >"$context/passwd"
echo 'soloist:x:65532:' >"$context/group"
mkdir "$context/empty"
# The same program makes the same image.
buildah build --quiet --isolation chroot --timestamp 0 --tag "$image" \
    --file "$here/Containerfile" "$context" >/dev/null
if [ -n "$archive" ]; then
    buildah push --quiet "$image" "oci-archive:$archive:$image"
fi
echo "$image"
