//! The prompt: statements that end with `;`, commands that begin with `\`, a history in memory.

use std::collections::VecDeque;
use std::io::{BufRead, Write};

use decklog_audit::search::{SqlRequest, Stop};
use decklog_query::sql::VIEWS;

use super::editor::{Editor, Step};
use super::keys::{Key, RawTerminal, take_key};
use super::rows::Look;
use super::{SqlFlags, table, tell};
use crate::commands::Context;
use crate::failure::{self, ErrorFormat, Exit, Failure, Outcome};
use crate::output::{Answer, Paint, terminal_width};
use crate::target::Target;

const PROMPT: &str = "decklog> ";
/// In the middle of a statement.
const MORE: &str = "      -> ";
const WIDTH: usize = 80;
/// A statement is no longer than this.
const MAX_STATEMENT_BYTES: usize = 1 << 20;

const HELP: &str = "\
a statement ends with ;
  \\d        the views          \\d VIEW   its columns
  \\x        a line for each column, or rows again
  \\q        the end            Ctrl-C    gives up the statement, or the question under way
";

/// What a line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    /// More of the statement.
    More,
    /// An answer.
    Ask(String),
    /// The other look.
    Expand,
    /// The views.
    Views,
    /// A text.
    Tell(&'static str),
    /// The line is no command.
    Unknown(String),
    /// The end.
    Quit,
}

/// The statement under way.
#[derive(Debug, Default)]
struct Statement {
    text: String,
}

impl Statement {
    /// Takes a line.
    fn line(&mut self, line: &str) -> Action {
        if self.text.trim().is_empty() {
            self.text.clear();
            if let Some(command) = line.trim().strip_prefix('\\') {
                return command_of(command);
            }
            match line.trim().trim_end_matches(';') {
                "quit" | "exit" => return Action::Quit,
                "help" => return Action::Tell(HELP),
                _ => {}
            }
        }
        if self.text.len() + line.len() <= MAX_STATEMENT_BYTES {
            self.text.push_str(line);
            self.text.push('\n');
        }
        match end_of(&self.text) {
            Some(end) => {
                let statement = self.text[..end].trim().to_owned();
                self.text.clear();
                if statement.is_empty() { Action::More } else { Action::Ask(statement) }
            }
            None => Action::More,
        }
    }

    fn is_under_way(&self) -> bool {
        !self.text.trim().is_empty()
    }
}

fn command_of(command: &str) -> Action {
    let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    let rest = rest.trim().trim_end_matches(';');
    match name.trim_end_matches(';') {
        "q" => Action::Quit,
        "x" => Action::Expand,
        "d" if rest.is_empty() => Action::Views,
        // The name is part of a statement: it must be one.
        "d" if rest.chars().all(|character| character.is_alphanumeric() || character == '_') => Action::Ask(format!("SHOW COLUMNS FROM {rest}")),
        "?" | "h" => Action::Tell(HELP),
        _ => Action::Unknown(format!("\\{command}")),
    }
}

/// Where the `;` stands that ends the statement: not one in a text, a quoted name or a comment.
fn end_of(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b';' => return Some(at),
            quote @ (b'\'' | b'"') => at += 1 + bytes[at + 1..].iter().position(|byte| *byte == quote)?,
            b'-' if bytes.get(at + 1) == Some(&b'-') => at += bytes[at..].iter().position(|byte| *byte == b'\n')?,
            b'/' if bytes.get(at + 1) == Some(&b'*') => at += 3 + bytes[at + 2..].windows(2).position(|pair| pair == b"*/")?,
            _ => {}
        }
        at += 1;
    }
    None
}

/// Asks and answers until the end.
pub(super) fn run(target: &Target, template: &SqlRequest, flags: &SqlFlags, context: &Context) -> Outcome {
    context.note("statements end with ; \\? is help, \\q the end");
    let mut lines = Lines::default();
    let mut statement = Statement::default();
    let mut look = flags.look();
    let runtime = crate::wiring::runtime()?;
    loop {
        let line = match lines.next(if statement.is_under_way() { MORE } else { PROMPT })? {
            Step::Written(line) => line,
            Step::Interrupted => {
                statement = Statement::default();
                continue;
            }
            Step::Ended | Step::Going => return Ok(Exit::Done),
        };
        match statement.line(&line) {
            Action::More => {}
            Action::Quit => return Ok(Exit::Done),
            Action::Tell(text) => show(text)?,
            Action::Views => show(&views())?,
            Action::Expand => {
                look = Look { expanded: !look.expanded, ..look };
                lines.remember(&line);
                context.note(if look.expanded { "a line for each column" } else { "a line for each row" });
            }
            Action::Unknown(command) => {
                context.note(&format!("`{}` is no command: \\? shows those there are", crate::output::escape(&command)));
            }
            Action::Ask(query) => {
                lines.remember(&query.replace('\n', " ").trim_end().chars().chain(";".chars()).collect::<String>());
                let request = SqlRequest { query, stop: Stop::default(), ..template.clone() };
                let watch = runtime.spawn(stop_on_interrupt(request.stop.clone()));
                let answered = table(target, &request, look, terminal_width(), Answer::new(), context);
                watch.abort();
                match answered {
                    Ok(summary) => tell(&summary, context),
                    // One bad question is no reason to leave.
                    Err(failures) => failure::print(&failures, ErrorFormat::Text(Paint::for_stderr(context.common.color))),
                }
            }
        }
    }
}

fn views() -> String {
    let lines = VIEWS.iter().map(|view| format!("{:<10}{}\n", view.name, view.doc));
    lines.chain(["\\d VIEW shows its columns; docs/sql.md has the functions".to_owned()]).collect()
}

/// Lets Ctrl-C end a question, and not the program.
async fn stop_on_interrupt(stop: Stop) {
    if tokio::signal::ctrl_c().await.is_ok() {
        stop.stop();
    }
}

fn show(text: &str) -> Result<(), Failure> {
    let mut answer = Answer::new();
    answer.line(text.trim_end().as_bytes())?;
    answer.flush()
}

/// Lines of a terminal, edited where the terminal lets us.
#[derive(Default)]
struct Lines {
    editor: Editor,
    /// Bytes that were read and are no key yet, or belong to the next line: a text that is pasted comes at once.
    bytes: VecDeque<u8>,
}

impl Lines {
    fn remember(&mut self, line: &str) {
        self.editor.remember(line);
    }

    /// The next line.
    fn next(&mut self, prompt: &str) -> Result<Step, Failure> {
        let failure = |error: std::io::Error| Failure::failed("terminal", format!("the terminal cannot be read: {error}"));
        let Ok(mut terminal) = RawTerminal::enter() else { return plain_line(prompt).map_err(failure) };
        self.draw(prompt).map_err(failure)?;
        loop {
            while let Some(key) = take_key(&mut self.bytes) {
                let step = self.editor.press(key);
                if step != Step::Going {
                    let mark = if key == Key::Interrupt { "^C\r\n" } else { "\r\n" };
                    write_out(mark).map_err(failure)?;
                    return Ok(step);
                }
                if self.bytes.is_empty() {
                    self.draw(prompt).map_err(failure)?;
                }
            }
            if terminal.read(&mut self.bytes).map_err(failure)? == 0 {
                return Ok(Step::Ended);
            }
        }
    }

    fn draw(&self, prompt: &str) -> std::io::Result<()> {
        let room = terminal_width().unwrap_or(WIDTH).saturating_sub(prompt.len() + 1);
        let (shown, column) = self.editor.view(room);
        write_out(&format!("\r{prompt}{shown}\u{1b}[K\r\u{1b}[{}C", prompt.len() + column))
    }
}

fn write_out(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// A line as the terminal edits it.
fn plain_line(prompt: &str) -> std::io::Result<Step> {
    write_out(prompt)?;
    let mut line = String::new();
    let n_read = std::io::stdin().lock().read_line(&mut line)?;
    Ok(if n_read == 0 { Step::Ended } else { Step::Written(line.trim_end_matches(['\n', '\r']).to_owned()) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ask(text: &str) -> Action {
        Action::Ask(text.to_owned())
    }

    #[test]
    fn statements_end_with_a_semicolon_outside_of_texts_and_comments() {
        let mut statement = Statement::default();
        assert_eq!(statement.line("SELECT ';' -- ;"), Action::More);
        assert!(statement.is_under_way());
        assert_eq!(statement.line("FROM \"a;b\" /* ; */;"), ask("SELECT ';' -- ;\nFROM \"a;b\" /* ; */"));
        assert!(!statement.is_under_way());
        assert_eq!(statement.line("SELECT 'it''s';"), ask("SELECT 'it''s'"));
        assert_eq!(statement.line(";"), Action::More);
        assert_eq!(statement.line(""), Action::More);
    }

    #[test]
    fn commands_stand_alone() {
        let mut statement = Statement::default();
        assert_eq!(statement.line("\\q"), Action::Quit);
        assert_eq!(statement.line("exit;"), Action::Quit);
        assert_eq!(statement.line("\\x"), Action::Expand);
        assert_eq!(statement.line("\\d"), Action::Views);
        assert_eq!(statement.line(" \\d events;"), ask("SHOW COLUMNS FROM events"));
        assert_eq!(statement.line("\\d a; DROP"), Action::Unknown("\\d a; DROP".to_owned()));
        assert_eq!(statement.line("SELECT"), Action::More);
        assert_eq!(statement.line("\\q"), Action::More, "in the middle of a statement it is a part of it");
    }

    proptest! {
        #[test]
        fn any_lines_are_taken(lines in proptest::collection::vec(".{0,40}", 0..8)) {
            let mut statement = Statement::default();
            for line in lines {
                statement.line(&line);
            }
        }
    }
}
