# fish completion of decklog. Made by: decklog completion fish
function __decklog_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found ($words[1] complete -- $words[2..-1] 2>/dev/null)
    if test "$found" = :files
        __fish_complete_path (commandline -ct)
        return
    end
    # A second tab says that no space belongs there; fish itself adds none behind a colon or a point.
    string replace -r '\t$' '' -- $found
end
complete -c decklog -f -k -a '(__decklog_complete)'
