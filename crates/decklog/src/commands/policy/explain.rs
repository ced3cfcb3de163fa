//! `decklog policy explain`: which rule decides a request, why none before it, and what will be in the log.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use decklog_audit::policy::request_info::{RequestInfo, resolve};
use decklog_audit::policy::simulate::RecordedRequest;
use decklog_audit::policy::{Attributes, Compiled, Decision, Explanation, Mismatch, Part, RequestLength, User, explain};
use decklog_audit::{Event, Level};
use serde::Deserialize;
use serde_json::json;

use super::file::PolicyFile;
use crate::cli::TEMPLATE;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::{Answer, escape};

/// Explains what a policy decides about a request
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog policy explain policy.yaml --verb update --resource deployments.apps/status -n shop --user bob --group ops
  decklog policy explain policy.yaml GET '/api/v1/namespaces/shop/secrets?watch=1' --user bob
  decklog policy explain policy.yaml --event event.json
  decklog policy explain policy.yaml --requests requests.jsonl     one JSON answer a line

Without --user the request is one of nobody, as a failed login is.",
    after_help = "Exit codes: 0 done, 2 wrong use, 3 could not be read (decklog help exit-codes)"
)]
pub(super) struct ExplainFlags {
    /// The policy
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The method and the URL, in place of --verb and --resource
    #[arg(value_name = "METHOD URL", num_args = 2, conflicts_with_all = ["verb", "resource", "event", "requests"])]
    line: Vec<String>,
    /// The verb, in lower case
    #[arg(long, value_name = "VERB", help_heading = "Request")]
    verb: Option<String>,
    /// The resource: pods, deployments.apps, deployments.apps/status
    #[arg(long, value_name = "RESOURCE", help_heading = "Request")]
    resource: Option<String>,
    /// The namespace
    #[arg(short, long, value_name = "NS", default_value = "", hide_default_value = true, help_heading = "Request")]
    namespace: String,
    /// The object's name
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true, help_heading = "Request")]
    name: String,
    /// The path of a request that is not for a resource
    #[arg(long, value_name = "PATH", conflicts_with = "resource", help_heading = "Request")]
    path: Option<String>,
    /// Who asks
    #[arg(long, value_name = "USER", help_heading = "Request")]
    user: Option<String>,
    /// A group of the user; may stand several times
    #[arg(long, value_name = "GROUP", requires = "user", help_heading = "Request")]
    group: Vec<String>,
    /// A file with a recorded event; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["requests", "verb", "resource", "user"], help_heading = "Request")]
    event: Option<PathBuf>,
    /// A file with a request a line: attributes, or method, target and user; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["verb", "resource", "user"], help_heading = "Request")]
    requests: Option<PathBuf>,
    /// The answer in JSON
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table", help_heading = "Output")]
    output: ExplainForm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum ExplainForm {
    Table,
    Json,
}

impl ExplainFlags {
    pub(super) fn for_programs(&self) -> bool {
        self.output == ExplainForm::Json || self.requests.is_some()
    }
}

/// A request as programs give it: attributes as in the vectors, or a request line; `user` with either.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct OwnedAttributes {
    user: Option<OwnedUser>,
    method: Option<String>,
    target: Option<String>,
    verb: String,
    namespace: String,
    api_group: String,
    api_version: String,
    resource: String,
    subresource: String,
    name: String,
    path: String,
    is_resource_request: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct OwnedUser {
    name: String,
    groups: Option<Vec<String>>,
}

impl OwnedAttributes {
    /// The attributes with a request line resolved.
    fn info(&self) -> Result<RequestInfo<'_>, Failure> {
        if let (Some(method), Some(target)) = (&self.method, &self.target) {
            return resolved(method, target);
        }
        let text = |text: &'_ String| std::borrow::Cow::Owned(text.clone());
        Ok(RequestInfo {
            is_resource_request: self.is_resource_request.unwrap_or(!self.resource.is_empty()),
            path: text(&self.path),
            verb: text(&self.verb),
            api_group: text(&self.api_group),
            api_version: text(&self.api_version),
            namespace: text(&self.namespace),
            resource: text(&self.resource),
            subresource: text(&self.subresource),
            name: text(&self.name),
            ..RequestInfo::default()
        })
    }

    fn groups(&self) -> Vec<&str> {
        self.user.iter().flat_map(|user| user.groups.iter().flatten()).map(String::as_str).collect()
    }

    /// With what they are about and who asks, `ask` is asked.
    pub(super) fn ask<T>(&self, ask: impl FnOnce(&Attributes<'_>, RequestLength) -> T) -> Result<T, Failure> {
        let (info, groups) = (self.info()?, self.groups());
        let user = self.user.as_ref().map(|user| User { name: &user.name, groups: &groups });
        let length = if info.is_long_running() { RequestLength::LongRunning } else { RequestLength::Short };
        Ok(ask(&info.attributes(user), length))
    }
}

fn resolved<'a>(method: &'a str, target: &'a str) -> Result<RequestInfo<'a>, Failure> {
    let resolved =
        resolve(method.as_bytes(), target.as_bytes()).map_err(|error| Failure::usage("target", format!("kube-apiserver refuses it with 400: {error}")))?;
    match resolved.error {
        Some(error) => Err(Failure::usage("target", format!("kube-apiserver refuses it with 500 and records nothing: {error}"))),
        None => Ok(resolved.info),
    }
}

pub(super) fn run(flags: &ExplainFlags) -> Outcome {
    let file = PolicyFile::read(&flags.file)?;
    if let Some(requests) = &flags.requests {
        return answer_all(&file, requests);
    }
    let explain_it = |attributes: &Attributes<'_>, length| print(&file, attributes, &explain(&file.policy, attributes, length), flags);
    if let Some(path) = &flags.event {
        let text = read_all(path)?;
        let event = Event::decode(text.trim()).map_err(|error| Failure::usage("event", format!("`{}` is no audit event: {error}", path.display())))?;
        let request = RecordedRequest::of(&event);
        let length = if request.info.is_long_running() { RequestLength::LongRunning } else { RequestLength::Short };
        return request.ask(|attributes| explain_it(attributes, length));
    }
    of_flags(flags)?.ask(explain_it)?
}

/// The request that the flags describe.
fn of_flags(flags: &ExplainFlags) -> Result<OwnedAttributes, Failure> {
    let user = flags.user.clone().map(|name| OwnedUser { name, groups: Some(flags.group.clone()) });
    if let [method, target] = flags.line.as_slice() {
        return Ok(OwnedAttributes { user, method: Some(method.clone()), target: Some(target.clone()), ..OwnedAttributes::default() });
    }
    let Some(verb) = flags.verb.clone() else {
        return Err(Failure::usage("request", "no request is named").help("--verb get --resource pods, METHOD URL, --event FILE or --requests FILE"));
    };
    let (whole, subresource) = flags.resource.as_deref().unwrap_or_default().split_once('/').unwrap_or((flags.resource.as_deref().unwrap_or_default(), ""));
    let (resource, api_group) = whole.split_once('.').unwrap_or((whole, ""));
    if resource.is_empty() && flags.path.is_none() {
        return Err(Failure::usage("request", "neither a resource nor a path is named").help("--resource deployments.apps/status, or --path /healthz"));
    }
    Ok(OwnedAttributes {
        user,
        verb,
        resource: resource.to_owned(),
        subresource: subresource.to_owned(),
        api_group: api_group.to_owned(),
        namespace: flags.namespace.clone(),
        name: flags.name.clone(),
        path: flags.path.clone().unwrap_or_default(),
        is_resource_request: Some(!resource.is_empty()),
        ..OwnedAttributes::default()
    })
}

fn read_all(path: &Path) -> Result<String, Failure> {
    if path != Path::new("-") {
        return super::file::text(path);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| Failure::failed("file", format!("cannot read standard input: {error}")))?;
    Ok(text)
}

/// The lines of a file, one after the other.
pub(crate) fn lines_of(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(std::io::stdin().lock()));
    }
    let file = std::fs::File::open(path).map_err(|error| Failure::failed("file", format!("cannot read `{}`: {error}", path.display())))?;
    Ok(Box::new(std::io::BufReader::new(file)))
}

fn answer_all(file: &PolicyFile, path: &Path) -> Outcome {
    let compiled = Compiled::new(&file.policy);
    let mut answer = Answer::new();
    for (index, line) in lines_of(path)?.lines().enumerate() {
        let line = line.map_err(|error| Failure::failed("file", format!("cannot read `{}`: {error}", path.display())))?;
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |reason: String| Failure::usage("request", format!("{}:{}: {reason}", path.display(), index + 1));
        let asked: OwnedAttributes = serde_json::from_str(&line).map_err(|error| wrong(format!("it is no request: {error}")))?;
        let decision = asked.ask(|attributes, _| decision_json(&compiled.evaluate(attributes)).to_string());
        answer.line(decision.map_err(|failure| wrong(failure.message))?.as_bytes())?;
    }
    answer.flush()?;
    Ok(Exit::Done)
}

/// As in the vectors: the rule from 0, -1 for none.
pub(super) fn decision_json(decision: &Decision<'_>) -> serde_json::Value {
    json!({
        "level": decision.level,
        "omitStages": decision.omit_stages.names(),
        "omitManagedFields": decision.omit_managed_fields,
        "rule": decision.rule.map_or(-1, |rule| rule as i64),
    })
}

fn print(file: &PolicyFile, attributes: &Attributes<'_>, explanation: &Explanation<'_>, flags: &ExplainFlags) -> Outcome {
    let mut answer = Answer::new();
    if flags.output == ExplainForm::Json {
        let mut value = decision_json(&explanation.decision);
        value["passedOver"] = explanation.passed_over.iter().map(|mismatch| reason(*mismatch, attributes)).collect();
        value["stages"] = explanation
            .stages
            .iter()
            .map(|(stage, parts)| {
                let parts = parts.as_ref().map(|parts| parts.iter().map(|part| part.as_str()).collect::<Vec<_>>());
                json!({"stage": stage.as_str(), "recorded": parts.is_some(), "holds": parts.unwrap_or_default()})
            })
            .collect();
        answer.line(value.to_string().as_bytes())?;
        answer.flush()?;
        return Ok(Exit::Done);
    }
    for line in lines(file, attributes, explanation) {
        answer.line(escape(&line).as_bytes())?;
    }
    answer.flush()?;
    Ok(Exit::Done)
}

fn lines(file: &PolicyFile, attributes: &Attributes<'_>, explanation: &Explanation<'_>) -> Vec<String> {
    let decision = &explanation.decision;
    let omitted = decision.omit_stages.names().join(", ");
    let omitted = if omitted.is_empty() { omitted } else { format!("; {omitted} omitted") };
    let mut lines = vec![match decision.rule {
        Some(_) => format!("{}, by {}{omitted}", decision.level, file.rule_text(decision.rule)),
        None => format!("None: none of {} rules matches", file.policy.rules.len()),
    }];
    // Rules that fail for the same reason share a line, in the order of the first.
    let mut reasons: Vec<(String, Vec<usize>)> = Vec::new();
    for (index, mismatch) in explanation.passed_over.iter().enumerate() {
        let reason = reason(*mismatch, attributes);
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, rules)) => rules.push(index + 1),
            None => reasons.push((reason, vec![index + 1])),
        }
    }
    let named: Vec<(String, String)> = reasons.into_iter().map(|(reason, rules)| (ranges(&rules), reason)).collect();
    let width = named.iter().map(|(rules, _)| rules.chars().count()).max().unwrap_or_default();
    lines.extend(named.into_iter().map(|(rules, reason)| format!("  {rules:<width$}  {reason}")));
    if decision.known_level() == Level::None {
        lines.push("recorded: nothing".to_owned());
        return lines;
    }
    for (stage, parts) in &explanation.stages {
        let holds = match parts {
            None => "nothing, the stage is omitted".to_owned(),
            Some(parts) => parts.iter().map(|part| part.as_str()).collect::<Vec<_>>().join(", "),
        };
        lines.push(format!("{}: {holds}", stage.as_str()));
    }
    let bodies = explanation.stages.iter().flat_map(|(_, parts)| parts.iter().flatten()).any(|part| matches!(part, Part::RequestBody | Part::ResponseBody));
    if bodies && decision.omit_managed_fields {
        lines.push("bodies are without managedFields".to_owned());
    }
    lines
}

/// `rules 1–3, 5`.
fn ranges(rules: &[usize]) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut rest = rules;
    while let Some(first) = rest.first() {
        let length = rest.iter().zip(*first..).take_while(|(rule, wanted)| *rule == wanted).count();
        texts.push(if length > 1 { format!("{first}–{}", first + length - 1) } else { first.to_string() });
        rest = &rest[length..];
    }
    format!("rule{} {}", if rules.len() > 1 { "s" } else { "" }, texts.join(", "))
}

fn reason(mismatch: Mismatch, attributes: &Attributes<'_>) -> String {
    let user = attributes.user.map(|user| user.name);
    match mismatch {
        Mismatch::Users => user.map_or_else(|| "nobody is authenticated, and users is set".to_owned(), |user| format!("user {user} is not in users")),
        Mismatch::UserGroups => "none of the user's groups is in userGroups".to_owned(),
        Mismatch::Verbs => format!("verb `{}` is not in verbs", attributes.verb),
        Mismatch::ForResources => "is for resources".to_owned(),
        Mismatch::Namespaces if attributes.namespace.is_empty() => "the request has no namespace, which namespaces does not name".to_owned(),
        Mismatch::Namespaces => format!("namespace {} is not in namespaces", attributes.namespace),
        Mismatch::ApiGroup => format!("no resources of API group \"{}\"", attributes.api_group),
        Mismatch::Resource if attributes.subresource.is_empty() => format!("resource {} is not in resources", attributes.resource),
        Mismatch::Resource => format!("resource {}/{} is not in resources", attributes.resource, attributes.subresource),
        Mismatch::ResourceNames if attributes.name.is_empty() => "the request has no name, and resourceNames is set".to_owned(),
        Mismatch::ResourceNames => format!("name {} is not in resourceNames", attributes.name),
        Mismatch::ForUrls => "is for URLs".to_owned(),
        Mismatch::NonResourceUrls => format!("path {} is not in nonResourceURLs", attributes.path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_named_in_ranges() {
        assert_eq!(ranges(&[1, 2, 3, 5, 7, 8]), "rules 1–3, 5, 7–8");
        assert_eq!(ranges(&[4]), "rule 4");
    }
}
