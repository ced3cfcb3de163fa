//! What kube-apiserver checks of a decoded policy (`k8s.io/apiserver/pkg/apis/audit/validation`), in its order and words, with the place and the fix.

use super::{Node, Owner, Problem, Span, TargetVersion};
use crate::event::go_quoted;
use crate::policy::{GroupResources, MINIMAL, Policy, Rule};

const LEVELS: [&str; 4] = ["None", "Metadata", "Request", "RequestResponse"];
const STAGES: [&str; 4] = ["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"];
/// A DNS subdomain is no longer.
const MAX_GROUP_BYTES: usize = 253;

/// What is wrong: kube-apiserver's words for each, and ours.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// In order, each once.
    pub(super) errors: Vec<String>,
    pub(super) problems: Vec<Problem>,
}

impl Findings {
    /// Takes kube-apiserver's words, and ours.
    fn add(&mut self, error: String, problem: Problem) {
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
        self.problems.push(problem);
    }

    /// One error as it is, several in brackets.
    pub(super) fn message(&self) -> String {
        match self.errors.as_slice() {
            [one] => one.clone(),
            all => format!("[{}]", all.join(", ")),
        }
    }
}

/// Checks all rules. `root` is the tree that the policy was decoded from.
pub(super) fn validate(policy: &Policy, root: &Node, target: TargetVersion, owner: Owner) -> Findings {
    let mut found = Findings::default();
    stages(&policy.omit_stages, root.get("omitStages").unwrap_or(root), "omitStages", &mut found);
    let nodes = root.get("rules").map_or(&[][..], Node::items);
    for (index, rule) in policy.rules.iter().enumerate() {
        let node = nodes.get(index).unwrap_or(root);
        if owner != Owner::Sink || rule.level != MINIMAL {
            level(&rule.level, node, &format!("rules[{index}]"), &mut found);
        }
        self::rule(rule, node, &format!("rules[{index}]"), target, &mut found);
    }
    found
}

/// The place of an item of a list, or of what there is around it.
fn item(list: &Node, index: usize) -> Span {
    list.items().get(index).map_or_else(|| begin(list), |item| item.span)
}

fn begin(node: &Node) -> Span {
    Span { end: node.span.end.min(node.span.start + 1), ..node.span }
}

fn rule(rule: &Rule, node: &Node, path: &str, target: TargetVersion, found: &mut Findings) {
    let at = |name: &str| node.get(name).unwrap_or(node);
    urls(&rule.non_resource_urls, at("nonResourceURLs"), path, found);
    resources(&rule.resources, at("resources"), path, target, found);
    stages(&rule.omit_stages, at("omitStages"), &format!("{path}.omitStages"), found);
    if !rule.non_resource_urls.is_empty() && (!rule.resources.is_empty() || !rule.namespaces.is_empty()) {
        let message = "`nonResourceURLs` stands beside `resources` or `namespaces`, and a rule is for one or the other";
        found.add(
            format!(
                "{path}.nonResourceURLs: Invalid value: {}: rules cannot apply to both regular resources and non-resource URLs",
                shown(&rule.non_resource_urls, target)
            ),
            Problem::new("mixed-rule", begin(at("nonResourceURLs")), message, "make two rules of it"),
        );
    }
}

fn level(level: &str, node: &Node, path: &str, found: &mut Findings) {
    if LEVELS.contains(&level) {
        return;
    }
    if level.is_empty() {
        let span = node.get("level").map_or_else(|| begin(node), begin);
        let fix = "add `level: None`, `Metadata`, `Request` or `RequestResponse`";
        return found.add(format!("{path}.level: Required value"), Problem::new("level", span, "the rule has no `level`", fix));
    }
    let span = node.get("level").map_or_else(|| begin(node), |level| level.span);
    let supported = LEVELS.map(go_quoted).join(", ");
    let error = format!("{path}.level: Unsupported value: {}: supported values: {supported}", go_json(level));
    let problem = match nearest(level, &LEVELS) {
        _ if level.eq_ignore_ascii_case(MINIMAL) => {
            let message = format!("`{level}` is no level of kube-apiserver: it is decklog's own, for the policies of its sinks");
            Problem::new("level", span, message, "write `Metadata`")
        }
        Some(word) if word.eq_ignore_ascii_case(level) => {
            let message = format!("`{level}` is no level: levels are written with capitals");
            Problem::new("level-case", span, message, format!("write `{word}`")).replacing(word)
        }
        Some(word) => Problem::new("level", span, format!("`{level}` is no level"), format!("write `{word}`")),
        None => Problem::new("level", span, format!("`{level}` is no level"), "levels are `None`, `Metadata`, `Request` and `RequestResponse`"),
    };
    found.add(error, problem);
}

fn urls(urls: &[String], list: &Node, path: &str, found: &mut Findings) {
    for (index, url) in urls.iter().enumerate().filter(|(_, url)| *url != "*") {
        let at = format!("{path}.nonResourceURLs[{index}]: Invalid value: {}", go_quoted(url));
        if !url.starts_with('/') {
            let (message, fix) = (format!("the URL `{url}` does not begin with `/`"), format!("write `/{}`", url.trim_start_matches('*')));
            let error = format!("{at}: non-resource URL rules must begin with a '/' character");
            found.add(error, Problem::new("url", item(list, index), message, fix));
        }
        if !url.is_empty() && url.as_bytes()[..url.len() - 1].contains(&b'*') {
            let kept = url.split('*').next().unwrap_or_default();
            let (message, fix) = (format!("the URL `{url}` has a `*` that is not its last character"), format!("write `{kept}*`"));
            let error = format!("{at}: non-resource URL wildcards '*' must be the final character of the rule");
            found.add(error, Problem::new("url", item(list, index), message, fix));
        }
    }
}

fn resources(groups: &[GroupResources], list: &Node, path: &str, target: TargetVersion, found: &mut Findings) {
    for (index, group) in groups.iter().enumerate() {
        let node = list.items().get(index).unwrap_or(list);
        let at = |name: &str| node.get(name).map_or_else(|| begin(node), |value| value.span);
        let name = group.group.as_str();
        let complaints = if name.is_empty() || (name == "*" && target.has_any_group()) { Vec::new() } else { not_a_subdomain(name) };
        if !complaints.is_empty() {
            let error = format!("{path}.resources.group: Invalid value: {}: {}", go_quoted(name), complaints.join(","));
            found.add(error, wrong_group(name, at("group"), target));
        }
        if !group.resource_names.is_empty() && group.resources.is_empty() {
            let error = format!(
                "{path}.resources.resourceNames: Invalid value: {}: using resourceNames requires at least one resource",
                shown(&group.resource_names, target)
            );
            let span = begin(node.get("resourceNames").unwrap_or(node));
            let fix = "name the resource: `resources: [\"configmaps\"]`";
            found.add(error, Problem::new("names-without-resource", span, "`resourceNames` stands there without `resources`", fix));
        }
    }
}

fn wrong_group(name: &str, span: Span, target: TargetVersion) -> Problem {
    if name == "*" {
        let message = format!("group `*` is refused before Kubernetes 1.36, and this is for {target}");
        return Problem::new("group-name", span, message, "leave `resources` out: the rule is for every group then");
    }
    let problem = |fix: String| Problem::new("group-name", span, format!("`{name}` is no API group"), fix);
    match name.split_once('/') {
        Some((group, _)) if !group.is_empty() && not_a_subdomain(group).is_empty() => {
            problem(format!("write `{group}`: a group is named without its version")).replacing(format!("{group:?}"))
        }
        _ if not_a_subdomain(&name.to_ascii_lowercase()).is_empty() => problem(format!("write `{}`", name.to_ascii_lowercase())),
        _ => problem("write a group such as `apps` or `rbac.authorization.k8s.io`; `\"\"` is the core group".to_owned()),
    }
}

/// As `k8s.io/apimachinery/pkg/api/validation` tells a DNS-1123 subdomain.
fn not_a_subdomain(name: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if name.len() > MAX_GROUP_BYTES {
        complaints.push(format!("must be no more than {MAX_GROUP_BYTES} characters"));
    }
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        bytes.iter().all(|byte| is_word(*byte) || *byte == b'-') && bytes.first().copied().is_some_and(is_word) && bytes.last().copied().is_some_and(is_word)
    };
    if !name.split('.').all(is_label) {
        complaints.push(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an \
             alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
                .to_owned(),
        );
    }
    complaints
}

fn stages(stages: &[String], list: &Node, path: &str, found: &mut Findings) {
    for (index, stage) in stages.iter().enumerate().filter(|(_, stage)| !STAGES.contains(&stage.as_str())) {
        let error = format!("{path}[{index}]: Invalid value: {}: allowed stages are {}", go_quoted(stage), STAGES.join(","));
        let fix = nearest(stage, &STAGES).map_or_else(|| format!("stages are {}", STAGES.join(", ")), |word| format!("write `{word}`"));
        let problem = Problem::new("stage", item(list, index), format!("`{stage}` is no stage"), fix);
        let meant = nearest(stage, &STAGES).filter(|word| word.eq_ignore_ascii_case(stage));
        found.add(error, Problem { replacement: meant.map(|word| format!("{word:?}")), ..problem });
    }
}

/// The word that was meant: the same in another case, or a few letters away.
pub(in crate::policy) fn nearest<'w>(word: &str, words: &[&'w str]) -> Option<&'w str> {
    let simple = |text: &str| text.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    let wanted = simple(word);
    let distance = |known: &str| letters_apart(&wanted, &simple(known));
    words.iter().map(|known| (distance(known), *known)).min().filter(|(apart, known)| *apart <= known.len() / 4).map(|(_, known)| known)
}

/// How many letters have to be changed, put in or left out.
fn letters_apart(left: &str, right: &str) -> usize {
    if left.len() > 64 {
        return usize::MAX;
    }
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, character) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (index, other) in right.iter().enumerate() {
            let above = row[index + 1];
            row[index + 1] = (above + 1).min(row[index] + 1).min(diagonal + usize::from(character != *other));
            diagonal = above;
        }
    }
    row[right.len()]
}

/// A list in a message of that release.
fn shown(list: &[String], target: TargetVersion) -> String {
    if !target.shows_lists_as_go() {
        return go_json(list);
    }
    let quoted: Vec<String> = list.iter().map(|word| go_quoted(word)).collect();
    format!("[]string{{{}}}", quoted.join(", "))
}

/// As Go's `encoding/json` writes a value.
fn go_json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    let text = serde_json::to_string(value).unwrap_or_default();
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}
