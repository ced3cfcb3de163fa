//! Completion: what the hidden command offers, and bash's script in a real bash.

use std::process::Command;

use crate::support::{Folder, PROGRAM, Server, until};

#[test]
fn filters_are_completed_with_values_of_a_data_directory_and_of_a_server() {
    let folder = Folder::new();
    let data = folder.import_attack();
    let server = Server::start(&folder, &[]);
    let offered = |words: &[&str]| folder.run(&[&["complete", "--", "search"][..], words].concat()).stdout;
    // A machine with much to do may not answer in time, and then nothing is offered.
    let in_time = |words: &[&str]| until("values", || Some(offered(words)).filter(|offered| !offered.is_empty()));
    assert_eq!(in_time(&["--data-dir", &data, "user:mal"]), "user:mallory\t182 events\n");
    assert_eq!(in_time(&["--data-dir", &data, "-n", "sho"]), "shop\t61 events\n");
    assert_eq!(offered(&["--server", &server.url(), "user:mal"]), "", "nothing is stored there");
    assert_eq!(offered(&["--server", "http://127.0.0.1:1", "user:mal"]), "", "nobody is there: nothing is said");
    assert_eq!(offered(&["--server", "http://127.0.0.1:1", "outcome:den"]), "outcome:denied\t\n");
    let broken = folder.run(&["complete", "--", "search", "--data-dir", "missing", "user:mal"]);
    assert_eq!((broken.code, broken.stdout.as_str(), broken.stderr.as_str()), (0, "", ""));
}

#[test]
fn every_shell_has_a_script() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish", "kubectl"] {
        let out = folder.run(&["completion", shell]);
        assert!(out.code == 0 && out.stdout.contains("decklog"), "{shell}: {}", out.stderr);
    }
}

/// bash itself runs its script, with the variables it sets for one.
#[test]
fn bash_completes_commands_flags_and_filters() {
    let folder = Folder::new();
    let data = folder.import_attack();
    let bin = std::path::Path::new(PROGRAM).parent().unwrap().to_str().unwrap().to_owned();
    let complete = |line: &str, words: &[&str]| {
        let script = r#"
            PATH="$1:$PATH"; COMP_LINE=$2; shift 2
            source <(decklog completion bash)
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_POINT=${#COMP_LINE}; COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
            complete -p decklog >/dev/null || exit 1
            _decklog
            printf '%s|' "${COMPREPLY[@]}"
        "#;
        let mut bash = Command::new("bash");
        bash.args(["--norc", "--noprofile", "-c", script, "bash", &bin, line]).args(words).current_dir(folder.path(""));
        let out = bash.output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let search = format!("decklog search --data-dir {data}");
    let words = ["decklog", "search", "--data-dir", &data];
    // bash replaces what follows the colon.
    assert_eq!(complete(&format!("{search} user:mal"), &[&words[..], &["user", ":", "mal"]].concat()), "mallory |");
    assert_eq!(complete(&format!("{search} 'outcome:denied user:mal"), &[&words[..], &["'outcome:denied user:mal"]].concat()), "outcome:denied user:mallory |");
    assert_eq!(complete(&format!("{search} verbcl"), &[&words[..], &["verbcl"]].concat()), "verbclass:|", "no space: a value follows");
    assert_eq!(complete("decklog sea", &["decklog", "sea"]), "search |");
    assert_eq!(complete("decklog search --hist", &["decklog", "search", "--hist"]), "--histogram |");
    folder.write("audit.log", b"");
    assert_eq!(complete("decklog import aud", &["decklog", "import", "aud"]), "audit.log|");
}
