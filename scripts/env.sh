# Sourced by the scripts beside it: where things are kept, and how a missing tool is told or installed.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
export DECKLOG_CACHE=${DECKLOG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/decklog}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$DECKLOG_CACHE/target}
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
mkdir -p "$DECKLOG_CACHE"

# need COMMAND [DEBIAN-PACKAGE]: installs it with apt where that is possible, says what is missing where it is not.
need() {
  command -v "$1" >/dev/null && return
  local package=${2:-$1}
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "installing $package (for $1)"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$package"; } >/dev/null 2>&1 || true
    command -v "$1" >/dev/null && return
  fi
  echo "missing: $1. Install it (Debian: apt-get install $package)" >&2
  return 3
}
