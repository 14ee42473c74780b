# What `etcdctl lock NAME sh act.sh` runs while it holds the lock: acts until it is ended.
tell() { printf '{"timestamp":"%s","message":"%s","event":"%s"}\n' "$(date -u +%Y-%m-%dT%H:%M:%S.%6NZ)" "$1" "$1"; }
tell leading
while sleep 0.01; do tell act; done
