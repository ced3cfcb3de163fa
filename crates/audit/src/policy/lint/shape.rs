//! How a policy is put together: fields that do not exist, stand twice or in the wrong place, and why kube-apiserver refuses it.
//! Needs the tree only.

use super::super::load::validate::nearest;
use super::super::load::{Key, Node, Refusal, Span, Stage, TargetVersion, Value, load};
use super::{Edit, Found, Lint, lint};

const POLICY_FIELDS: [&str; 6] = ["apiVersion", "kind", "metadata", "omitStages", "omitManagedFields", "rules"];
const RULE_FIELDS: [&str; 9] = ["level", "users", "userGroups", "verbs", "resources", "namespaces", "nonResourceURLs", "omitStages", "omitManagedFields"];
const ENTRY_FIELDS: [&str; 3] = ["group", "resources", "resourceNames"];

/// Where a map stands in a policy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Home {
    Policy,
    Rule,
    Entry,
}

impl Home {
    fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Policy => &POLICY_FIELDS,
            Self::Rule => &RULE_FIELDS,
            Self::Entry => &ENTRY_FIELDS,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Policy => "the policy",
            Self::Rule => "the rule",
            Self::Entry => "the entry of `resources`",
        }
    }
}

pub(super) fn check(found: &mut Found<'_>) {
    let root = found.root;
    members(root, Home::Policy, None, found);
    for rule in root.get("rules").map_or(&[][..], Node::items) {
        members(rule, Home::Rule, None, found);
        let lists = all(rule, "resources");
        for entry in lists.iter().flat_map(|list| list.items()) {
            members(entry, Home::Entry, Some(rule), found);
        }
        resources_indent(rule, found);
    }
    more_documents(found);
}

fn all<'n>(node: &'n Node, name: &str) -> Vec<&'n Node> {
    match &node.value {
        Value::Map(members) => members.iter().filter(|(key, _)| key.text == name).map(|(_, value)| value).collect(),
        _ => Vec::new(),
    }
}

/// The members of a map; `rule` is the one that an entry of `resources` belongs to.
fn members(node: &Node, home: Home, rule: Option<&Node>, found: &mut Found<'_>) {
    let Value::Map(members) = &node.value else {
        return;
    };
    for (at, (key, value)) in members.iter().enumerate() {
        let name = key.text.as_str();
        if !home.fields().contains(&name) {
            unknown(node, key, value, home, rule, found);
        } else if members[..at].iter().any(|(earlier, _)| earlier.text == name) && !is_indented_wrongly(node, home, name) {
            let message = format!("`{name}` stands twice in {}, and only the last counts", home.name());
            found.add("repeated-field", key.span, message, format!("put both into one `{name}`"));
        }
    }
}

fn unknown(node: &Node, key: &Key, value: &Node, home: Home, rule: Option<&Node>, found: &mut Found<'_>) {
    let name = key.text.as_str();
    let short: String = name.chars().take(60).collect();
    let passed_over = "kube-apiserver passes over it";
    let elsewhere = match home {
        Home::Entry if RULE_FIELDS.contains(&name) => Some("the rule, beside `resources`"),
        Home::Rule if ENTRY_FIELDS.contains(&name) => Some("an entry of `resources`"),
        Home::Policy if RULE_FIELDS.contains(&name) => Some("a rule"),
        Home::Rule | Home::Entry if POLICY_FIELDS.contains(&name) => Some("the policy, at the left margin"),
        _ => None,
    };
    if let Some(place) = elsewhere {
        let wider = if home == Home::Entry { ", and the rule is for more than was meant" } else { "" };
        let message = format!("`{short}` does not exist in {}: {passed_over}{wider}", home.name());
        let edits = rule.filter(|_| home == Home::Entry).and_then(|rule| moved_to_rule(rule, key, value, found.text));
        found.add("misplaced-field", key.span, message, format!("write it in {place}")).edits = edits.unwrap_or_default();
        return;
    }
    let meant = nearest(name, home.fields()).filter(|meant| node.get(meant).is_none());
    let fix = meant.map_or_else(|| format!("fields of {} are {}", home.name(), home.fields().join(", ")), |meant| format!("write `{meant}`"));
    let edits = meant.map(|meant| Edit { start: key.span.start, end: key.span.end, text: meant.to_owned() });
    let is_plain = found.text.get(key.span.start..key.span.end) == Some(name);
    found.add("unknown-field", key.span, format!("`{short}` does not exist in {}: {passed_over}", home.name()), fix).edits =
        edits.into_iter().filter(|_| is_plain).collect();
}

/// Moves a field out of an entry of `resources` to the end of its rule, where both are written in lines of their own.
fn moved_to_rule(rule: &Node, key: &Key, value: &Node, text: &str) -> Option<Vec<Edit>> {
    let is_free = rule.get(&key.text).is_none() && matches!(value.value, Value::List(_) | Value::Text(_));
    let lines = Lines::of(text, key.span, value.span)?;
    let is_block = is_free && !text[rule.span.start..].starts_with('{') && is_first_of_line(text, rule.span.start);
    if !is_block {
        return None;
    }
    let end = line_end(text, rule.span.end);
    // The member may be the last of its rule: then it moves to where it already ends.
    let margin = " ".repeat(rule.span.column - 1);
    let mut moved = lines.shifted(&margin);
    if lines.end >= end {
        return Some(vec![Edit { start: lines.start, end: lines.end, text: moved }]);
    }
    if !text[..end].ends_with('\n') {
        moved.insert(0, '\n');
    }
    Some(vec![Edit { start: lines.start, end: lines.end, text: String::new() }, Edit { start: end, end, text: moved }])
}

/// The whole lines that a member takes.
struct Lines<'t> {
    start: usize,
    end: usize,
    text: &'t str,
    indent: usize,
}

impl<'t> Lines<'t> {
    /// Nothing where something else stands in its lines.
    fn of(text: &'t str, key: Span, value: Span) -> Option<Self> {
        let start = text[..key.start].rfind('\n').map_or(0, |at| at + 1);
        let is_alone = text[start..key.start].bytes().all(|byte| byte == b' ');
        let end = line_end(text, value.end.max(key.end));
        let behind = text[value.end.max(key.end)..end].trim();
        (is_alone && value.start >= key.end && (behind.is_empty() || behind.starts_with('#'))).then(|| Self {
            start,
            end,
            text: &text[start..end],
            indent: key.start - start,
        })
    }

    /// With another margin.
    fn shifted(&self, margin: &str) -> String {
        let strip = |line: &str| {
            let kept = line.len() - line.trim_start_matches(' ').len();
            line[kept.min(self.indent)..].to_owned()
        };
        self.text.lines().map(|line| format!("{margin}{}\n", strip(line))).collect()
    }
}

/// Behind the line break of the line that `at` is in.
fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |end| at + end + 1)
}

fn is_first_of_line(text: &str, at: usize) -> bool {
    let start = text[..at].rfind('\n').map_or(0, |at| at + 1);
    text[start..at].bytes().all(|byte| matches!(byte, b' ' | b'-'))
}

fn is_list_of_texts(node: &Node) -> bool {
    !node.items().is_empty() && node.items().iter().all(|item| item.as_text().is_some())
}

/// Whether a rule's `resources` are there twice as the second belongs under the group of the first.
fn is_indented_wrongly(node: &Node, home: Home, name: &str) -> bool {
    home == Home::Rule && name == "resources" && all(node, name).iter().any(|list| is_list_of_texts(list))
}

/// All lists of names that stand where lists of groups should.
fn name_lists(root: &Node) -> Vec<&Node> {
    let rules = root.get("rules").map_or(&[][..], Node::items);
    rules.iter().flat_map(|rule| all(rule, "resources")).filter(|list| is_list_of_texts(list)).collect()
}

/// `resources: ["pods"]` beside `- group: ""`.
fn resources_indent(rule: &Node, found: &mut Found<'_>) {
    let Value::Map(members) = &rule.value else {
        return;
    };
    let named: Vec<&(Key, Node)> = members.iter().filter(|(key, _)| key.text == "resources").collect();
    for (at, (key, list)) in named.iter().enumerate() {
        if !is_list_of_texts(list) {
            continue;
        }
        let entry = at.checked_sub(1).and_then(|before| named[before].1.items().last()).filter(|entry| matches!(entry.value, Value::Map(_)));
        let Some(entry) = entry else {
            let names = list.items().iter().filter_map(Node::as_text).collect::<Vec<_>>();
            let message = "entries of a rule's `resources` are groups with their resources, and these are names";
            let fix = format!("write `resources: [{{group: \"\", resources: {names:?}}}]`");
            found.add("resources-indent", key.span, message, fix);
            continue;
        };
        let mut edits = Vec::new();
        if let Some(lines) = Lines::of(found.text, key.span, list.span)
            && entry.get("resources").is_none()
            && found.text[entry.span.end..lines.start].trim().is_empty()
            && !found.text[entry.span.start..].starts_with('{')
        {
            edits.push(Edit { start: lines.start, end: lines.end, text: lines.shifted(&" ".repeat(entry.span.column - 1)) });
        }
        let message = "this is a second `resources` of the rule, not the group's";
        let fix = format!("write it under `group`, in column {}", entry.span.column);
        found.add("resources-indent", key.span, message, fix).edits = edits;
    }
}

/// kube-apiserver reads the first document only.
fn more_documents(found: &mut Found<'_>) {
    let text = found.text;
    let from = found.root.span.end.min(text.len());
    if text[found.root.span.start.min(text.len())..].starts_with('{') {
        return;
    }
    let mut at = line_end(text, from);
    let mut line = found.root.span.line + text[found.root.span.start.min(from)..from].matches('\n').count() + 1;
    let mut marker = None;
    for content in text[at..].split_inclusive('\n') {
        let words = content.trim();
        if marker.is_none() && (words == "---" || words.starts_with("--- ")) {
            marker = Some(Span { start: at, end: at + 3, line, column: 1 });
        } else if let Some(span) = marker
            && !words.is_empty()
            && !words.starts_with('#')
        {
            found.add("more-documents", span, "kube-apiserver reads what stands above `---`, and nothing below it", "put all rules into one document");
            return;
        }
        (at, line) = (at + content.len(), line + 1);
    }
}

/// kube-apiserver's refusal, where nothing said above tells more.
pub(super) fn explain_refusal(refusal: &Refusal, found: &mut Found<'_>) {
    if refusal.stage == Stage::Decode && !found.lints.iter().any(|lint| lint.code == "resources-indent") && rules_missing(found) {
        return;
    }
    for problem in &refusal.problems {
        let is_in = |list: &Span| list.start <= problem.span.start && problem.span.end <= list.end;
        if problem.code == "type" && name_lists(found.root).iter().any(|list| is_in(&list.span)) {
            continue;
        }
        let edits = match problem.code {
            "no-header" => header(found),
            _ => problem.replacement.iter().map(|text| replaced(found.text, problem.span, text)).collect(),
        };
        let kind = found.root.get("kind").is_none();
        let problem_message = if problem.code == "no-header" && kind { "`apiVersion` and `kind` are missing".to_owned() } else { problem.message.clone() };
        found.add(problem.code, super::begin(found.text, problem.span), problem_message, problem.fix.clone()).edits = edits;
    }
}

/// Another text in the place of one, in quotes if that is.
fn replaced(text: &str, span: Span, replacement: &str) -> Edit {
    let is_quoted = text[span.start..].starts_with(['"', '\'']) && !replacement.starts_with('"');
    Edit { start: span.start, end: span.end, text: if is_quoted { format!("{replacement:?}") } else { replacement.to_owned() } }
}

/// The lines that begin a policy, where the text is YAML in blocks.
fn header(found: &Found<'_>) -> Vec<Edit> {
    let root = found.root;
    let is_block = matches!(root.value, Value::Map(_)) && root.span.column == 1 && !found.text[root.span.start..].starts_with('{');
    if !is_block || root.get("apiVersion").is_some() {
        return Vec::new();
    }
    let kind = if root.get("kind").is_none() { "kind: Policy\n" } else { "" };
    vec![Edit { start: root.span.start, end: root.span.start, text: format!("apiVersion: audit.k8s.io/v1\n{kind}") }]
}

/// What there is to say of a text besides the line that it lacks, in the places of that text.
pub(super) fn behind(inserted: &Edit, text: &str, target: TargetVersion) -> Vec<Lint> {
    let mut whole = text.to_owned();
    whole.insert_str(inserted.start, &inserted.text);
    let length = inserted.text.len();
    let back = |at: &mut usize| {
        if *at >= inserted.start + length {
            *at -= length;
        }
    };
    let mut lints = lint(&whole, &load(whole.as_bytes(), target), target);
    // `rules:` itself may be what the rest is said of.
    lints.retain(|lint| !(inserted.start..inserted.start + length).contains(&lint.span.start) && lint.code != "rules-missing");
    for lint in &mut lints {
        lint.span.line -= usize::from(lint.span.start > inserted.start);
        back(&mut lint.span.start);
        back(&mut lint.span.end);
        for edit in &mut lint.edits {
            back(&mut edit.start);
            back(&mut edit.end);
        }
    }
    lints
}

/// A rule at the left margin, with no `rules:` above it, makes a text that is no YAML.
fn rules_missing(found: &mut Found<'_>) -> bool {
    let mut start = 0;
    let mut is_behind_field = false;
    for (line, content) in found.text.split_inclusive('\n').enumerate() {
        if content.starts_with("rules:") || content.starts_with("---") {
            return false;
        }
        if let Some(rest) = content.strip_prefix("- ")
            && is_behind_field
        {
            let end = start + 2 + rest.split(':').next().unwrap_or_default().trim_end().len();
            let span = Span { start, end, line: line + 1, column: 1 };
            let edit = Edit { start, end: start, text: "rules:\n".to_owned() };
            found.add("rules-missing", span, "a rule stands beside `kind`, not under `rules:`", "write `rules:` above it").edits = vec![edit];
            return true;
        }
        is_behind_field |= content.starts_with(|first: char| first.is_ascii_alphabetic()) && content.contains(':');
        start += content.len();
    }
    false
}
