#!/bin/bash
# Builds the programs of a real control plane from ordinary Go modules and prints the folder they are in:
# kube-apiserver, kube-controller-manager and kubectl (k8s.io/kubernetes v1.36.3), etcd (3.6.8), and a small
# fake kubelet. They are kept outside the checkout, one folder for each state of these module files, so a second
# run builds nothing. Cold on two cores: about eight minutes. Needs Go 1.26.
#   tests/lab/build.sh [NAME…]     default: all five
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${DECKLOG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/decklog}
command -v go >/dev/null || { echo "tests/lab/build.sh: no Go toolchain: install Go 1.26 (https://go.dev/dl) for the cluster suites" >&2; exit 3; }

version=v1.36.3
key=$(cat "$here"/kube/go.sum "$here"/kube/etcd/go.sum "$here"/kube/fakekubelet/{go.sum,main.go} | sha256sum | cut -c1-12)
bin=$cache/lab/$version-$key
mkdir -p "$bin"
exec 9>"$bin/.lock"
flock 9

export GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS=${GOFLAGS:-}
facts="-s -w"
for package in k8s.io/component-base k8s.io/client-go/pkg; do
  facts+=" -X $package/version.gitVersion=$version -X $package/version.gitMajor=1 -X $package/version.gitMinor=36"
  facts+=" -X $package/version.gitCommit=lab -X $package/version.gitTreeState=clean -X $package/version.buildDate=2026-01-01T00:00:00Z"
done
for name in "${@:-kube-apiserver etcd kubectl kube-controller-manager fakekubelet}"; do for name in $name; do
  [ -x "$bin/$name" ] && continue
  case $name in
    fakekubelet) folder=fakekubelet package=. ;;
    etcd) folder=etcd package=go.etcd.io/etcd/server/v3 ;;
    *) folder=. package=k8s.io/kubernetes/cmd/$name ;;
  esac
  echo "building $name (kept in $bin)" >&2
  started=$SECONDS
  (cd "$here/kube/$folder" && go build -trimpath -ldflags "$facts" -o "$bin/$name.new" "$package") >&2
  mv "$bin/$name.new" "$bin/$name"
  echo "built $name in $((SECONDS - started)) s" >&2
done; done
echo "$bin"
