//! `decklog policy test`: a policy's own cases, from the file beside it, for the CI of whoever keeps the policy.

use std::path::{Path, PathBuf};

use decklog_audit::Level;
use decklog_audit::policy::walk;

use super::explain::OwnedAttributes;
use super::file::{PolicyFile, json, text};
use crate::cli::TEMPLATE;
use crate::config::yaml;
use crate::failure::{Exit, Failure, Failures, Outcome};
use crate::output::{Answer, escape, plural};

/// Runs the cases that stand beside a policy
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog policy test policy.yaml                      its cases are in policy.test.yaml
  decklog policy test policy.yaml --cases other.yaml

A case is a request and the level it must have:
  cases:
  - name: secrets stay at Metadata
    request: {method: GET, target: /api/v1/secrets, user: {name: bob}}
    level: Metadata
    rule: 3                                            # if the rule matters, counted from 1",
    after_help = "Exit codes: 0 all cases pass, 1 one fails, 2 wrong use, 3 could not be read (decklog help exit-codes)"
)]
pub(super) struct TestFlags {
    /// The policies
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The cases [default: FILE with .test.yaml in place of its ending]
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,
}

pub(super) fn run(flags: &TestFlags) -> Outcome {
    let (mut n_passed, mut n_failed) = (0, 0);
    let mut answer = Answer::new();
    for path in &flags.files {
        let file = PolicyFile::read(path)?;
        let cases = flags.cases.clone().unwrap_or_else(|| path.with_extension("test.yaml"));
        for case in read_cases(&cases)? {
            match case.check(&file)? {
                None => n_passed += 1,
                Some(what) => {
                    n_failed += 1;
                    answer.line(escape(&format!("FAIL {}: {}", file.name, case.name)).as_bytes())?;
                    for line in what {
                        answer.line(escape(&format!("  {line}")).as_bytes())?;
                    }
                }
            }
        }
    }
    answer.line(format!("{} passed, {n_failed} failed", plural(n_passed, "case")).as_bytes())?;
    answer.flush()?;
    Ok(if n_failed == 0 { Exit::Done } else { Exit::No })
}

struct Case {
    name: String,
    request: OwnedAttributes,
    level: String,
    /// From 1; 0 is none.
    rule: Option<u64>,
}

fn read_cases(path: &Path) -> Result<Vec<Case>, Failures> {
    let name = path.display().to_string();
    let document = json(&yaml::parse(&text(path)?, &name)?);
    let wrong = |index: usize, what: &str| Failure::usage("cases", format!("{name}: case {}: {what}", index + 1));
    let cases = document["cases"].as_array().filter(|cases| !cases.is_empty());
    let cases = cases.ok_or_else(|| Failure::usage("cases", format!("{name}: it holds no cases")).help("decklog policy test --help shows one"))?;
    let case = |(index, value): (usize, &serde_json::Value)| {
        let level = value["level"].as_str().ok_or_else(|| wrong(index, "`level` is missing"))?;
        if Level::parse(level).is_none() {
            return Err(wrong(index, &format!("`{level}` is no level")));
        }
        if !value["request"].is_object() {
            return Err(wrong(index, "`request` is missing"));
        }
        let request: OwnedAttributes = serde_json::from_value(value["request"].clone()).map_err(|error| wrong(index, &format!("`request`: {error}")))?;
        let name = value["name"].as_str().map_or_else(|| format!("case {}", index + 1), str::to_owned);
        Ok(Case { name, request, level: level.to_owned(), rule: value["rule"].as_u64() })
    };
    Ok(cases.iter().enumerate().map(case).collect::<Result<_, _>>()?)
}

impl Case {
    /// What differs, for people.
    fn check(&self, file: &PolicyFile) -> Result<Option<Vec<String>>, Failure> {
        self.request.ask(|attributes, _| {
            let decision = walk(&file.policy, attributes);
            let rule = decision.rule.map_or(0, |rule| rule as u64 + 1);
            let mut lines = Vec::new();
            if decision.level != self.level {
                lines.push(format!("level: wanted {}, got {}", self.level, decision.level));
            }
            if let Some(wanted) = self.rule.filter(|wanted| *wanted != rule) {
                lines.push(format!("rule: wanted {wanted}, got {rule}"));
            }
            (!lines.is_empty()).then(|| {
                lines.push(format!("decided by {}", file.rule_text(decision.rule)));
                lines
            })
        })
    }
}
