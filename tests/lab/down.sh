#!/bin/bash
# down.sh FOLDER: ends the processes that up.sh started there, by their number and nothing else.
out=$(readlink -f "$1")
for name in kcm kube-apiserver fakekubelet etcd; do
  file=$out/pids/$name
  [ -e "$file" ] || continue
  pid=$(cat "$file")
  kill "$pid" 2>/dev/null
  # kube-apiserver hands its last audit events to the webhook before it ends: that may take a while.
  for _ in $(seq 600); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
  kill -0 "$pid" 2>/dev/null && kill -9 "$pid"
  rm -f "$file"
done
rm -rf "$out/etcd"
