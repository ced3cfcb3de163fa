#!/bin/bash
# Builds helm and kubeconform from their Go modules and prints the folder they are in. They are kept outside the checkout,
# one folder for each state of go.sum, so a second run builds nothing. Cold on two cores: about three minutes. Needs Go 1.26.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${DECKLOG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/decklog}
command -v go >/dev/null || { echo "tests/install/tools/build.sh: no Go toolchain: install Go 1.26 (https://go.dev/dl) for the suite install" >&2; exit 3; }

bin=$cache/tools/install-$(cat "$here"/go.sum "$here"/strict/main.go | sha256sum | cut -c1-12)
mkdir -p "$bin"
exec 9>"$bin/.lock"
flock 9
export GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS=${GOFLAGS:-}
# As helm's own build: without it the chart would be rendered for Kubernetes 1.20.
facts="-s -w -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=36"
for package in helm.sh/helm/v3/cmd/helm github.com/yannh/kubeconform/cmd/kubeconform decklog.io/tests/install/tools/strict; do
  name=${package##*/}
  [ -x "$bin/$name" ] && continue
  echo "building $name (kept in $bin)" >&2
  (cd "$here" && nice -n 19 go build -trimpath -ldflags "$facts" -o "$bin/$name.new" "$package") >&2
  mv "$bin/$name.new" "$bin/$name"
done
echo "$bin"
