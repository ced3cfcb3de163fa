# bash completion of decklog. Made by: decklog completion bash
_decklog() {
    local text detail unfinished
    COMPREPLY=()
    while IFS= read -r text; do
        if [[ $text == :files ]]; then
            compopt -o filenames 2>/dev/null
            while IFS= read -r text; do
                COMPREPLY+=("$text")
            done < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
            return
        fi
        detail=${text#*$'\t'}
        unfinished=${detail//[!$'\t']/}
        text=${text%%$'\t'*}
        # A word that is whole is followed by a space; a field waits for its value.
        if [[ -z $unfinished ]]; then
            text+=' '
        fi
        COMPREPLY+=("$text")
    done < <("${COMP_WORDS[0]}" complete --line "${COMP_LINE:0:COMP_POINT}" --breaks "$COMP_WORDBREAKS" 2>/dev/null)
    compopt -o nospace 2>/dev/null
}
# Values come most frequent first; bash before 4.4 sorts them.
complete -o nosort -F _decklog decklog 2>/dev/null || complete -F _decklog decklog
