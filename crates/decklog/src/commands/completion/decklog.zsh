#compdef decklog
# zsh completion of decklog. Made by: decklog completion zsh
_decklog() {
    local line text detail
    local -a whole whole_shown open open_shown
    while IFS= read -r line; do
        if [[ $line == :files ]]; then
            _files
            return
        fi
        text=${line%%$'\t'*}
        detail=${line#*$'\t'}
        if [[ $detail == *$'\t' ]]; then
            open+=("$text")
            open_shown+=("$text${${detail%$'\t'}:+  -- ${detail%$'\t'}}")
        else
            whole+=("$text")
            whole_shown+=("$text${detail:+  -- $detail}")
        fi
    done < <(${(Q)words[1]} complete -- "${(Q@)words[2,CURRENT]}" 2>/dev/null)
    (( $#whole )) && compadd -V decklog-whole -l -d whole_shown -a whole
    # A field waits for its value: no space.
    (( $#open )) && compadd -V decklog-open -S '' -l -d open_shown -a open
    (( $#whole + $#open ))
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _decklog "$@"
else
    compdef _decklog decklog
fi
