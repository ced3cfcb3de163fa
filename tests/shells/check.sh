#!/bin/bash
# The completion scripts of zsh and fish in the shells themselves: their syntax, and what a tab gives for commands, flags and
# values. bash's is tested where the command line is (crates/decklog/tests/cli/completion.rs).
#   tests/shells/check.sh PROGRAM      prints: N passed, N failed
set -u
program=$(realpath "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
PATH=$(dirname "$program"):$PATH
cd "$folder" || exit 1
export HOME=$folder TERM=dumb
passed=0 failed=0

# check NAME WANTED FOUND: FOUND has the text WANTED in it.
check() {
  if [[ $3 == *"$2"* ]]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf -- '-- %s: wanted %q, found %q\n' "$1" "$2" "$3"
  fi
}

# Values come only in time (0.3 s): a machine with much to do is asked again.
until_offered() {
  local found
  for _ in {1..50}; do
    found=$("${@:2}")
    [[ $found == *"$1"* ]] && break
  done
  printf '%s' "$found"
}

printf '%s\n' '{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a","stage":"ResponseComplete","requestURI":"/api","verb":"get","user":{"username":"mallory"},"requestReceivedTimestamp":"2026-11-22T09:53:33.000000Z","stageTimestamp":"2026-11-22T09:53:33.059705Z"}' >audit.log
decklog import audit.log --data-dir data -q >/dev/null || { echo "the import failed"; exit 1; }
decklog completion zsh >_decklog
decklog completion fish >decklog.fish

check "zsh: syntax" ok "$(zsh -n _decklog 2>&1 && echo ok)"
check "fish: syntax" ok "$(fish --no-config -n decklog.fish 2>&1 && echo ok)"

fish_offers() { fish --no-config -c 'source decklog.fish; complete -C $argv[1]' "$1" 2>&1; }
check "fish: commands" search "$(fish_offers 'decklog sea')"
check "fish: flags" --histogram "$(fish_offers 'decklog search --hist')"
check "fish: the filter language" verbclass: "$(fish_offers 'decklog search verbcl')"
check "fish: values" user:mallory "$(until_offered user:mallory fish_offers 'decklog search --data-dir data user:mal')"
check "fish: files" audit.log "$(fish_offers 'decklog import aud')"

# Types a line and a tab into a zsh at a terminal, then a comment that ends it, and prints the line as the shell has it then.
zsh_types() {
  zsh -f -c '
    zmodload zsh/zpty
    zpty shell "TERM=dumb zsh -f -i"
    zpty -w shell "PS1=; unsetopt zle_bracketed_paste; setopt interactive_comments; autoload -Uz compinit; compinit -u -D; fpath=(. \$fpath); source _decklog; line() { print -r -- \"line=\$BUFFER=\" >found; zle send-break }; zle -N line; bindkey ^X line; print re\"\"ady"
    zpty -r -m shell seen "*ready*"
    zpty -w -n shell "$1"$'"'\\t\\x18'"'
    for _ in {1..300}; do [[ -s found ]] && break; zselect -t 5 2>/dev/null || sleep 0.05; done
    cat found 2>/dev/null; rm -f found
    zpty -d shell
  ' zsh "$1" 2>&1
}
check "zsh: commands" 'line=decklog search =' "$(zsh_types 'decklog sea')"
check "zsh: flags" 'line=decklog search --histogram =' "$(zsh_types 'decklog search --hist')"
check "zsh: the filter language" 'line=decklog search verbclass:=' "$(zsh_types 'decklog search verbcl')"
check "zsh: values" 'user:mallory' "$(until_offered user:mallory zsh_types 'decklog search --data-dir data user:mal')"
check "zsh: files" 'line=decklog import audit.log =' "$(zsh_types 'decklog import aud')"

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
