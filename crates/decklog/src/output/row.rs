//! One event as a row: which columns there are, and what stands in their cells.

use std::borrow::Cow;

use decklog_audit::event::{Outcome, UserInfo, UserType};
use decklog_audit::json::RawJson;
use decklog_audit::{Event, Timestamp};

use super::paint::Style;
use super::table::{Cell, Head};
use super::when::Zone;

/// Names shown of a deleted collection, in characters; more than these say only how many there were.
const NAMES_WIDTH: usize = 20;

/// A column of tables and CSV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "kebab-case")]
pub(crate) enum Column {
    /// The event's time.
    Time,
    /// Who authenticated.
    User,
    /// Whom they act as.
    As,
    /// What they did.
    Verb,
    /// Where.
    Namespace,
    /// To what.
    Object,
    /// The HTTP status code.
    Code,
    /// allowed, denied or error.
    Outcome,
    /// Why it was refused.
    Reason,
    /// The peer's address.
    Ip,
    /// The client: the user agent's first word.
    Tool,
    /// The binding that allowed it.
    Binding,
    /// From request to this stage.
    Latency,
    /// The stage.
    Stage,
    /// The level.
    Level,
    /// Path and query.
    Uri,
    /// The request's id.
    AuditId,
}

impl Column {
    /// What a table shows.
    pub(crate) const TABLE: [Self; 6] = [Self::Time, Self::User, Self::Verb, Self::Namespace, Self::Object, Self::Code];
    /// What a wide table shows, and CSV.
    pub(crate) const WIDE: [Self; 10] =
        [Self::Time, Self::User, Self::Verb, Self::Namespace, Self::Object, Self::Code, Self::Ip, Self::Tool, Self::Binding, Self::AuditId];
    /// What a live tail shows.
    pub(crate) const TAIL: [Self; 7] = [Self::Time, Self::User, Self::Verb, Self::Object, Self::Code, Self::Ip, Self::Tool];

    /// Its name in `--columns` and the head of CSV.
    pub(crate) fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self).map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Its head in a table; the time's says the day.
    pub(crate) fn head(self, day: &str) -> Head {
        let name = match self {
            Self::Time if day.is_empty() => "TIME".to_owned(),
            Self::Time => format!("TIME ({day})"),
            _ => self.name().to_uppercase().replace('-', " "),
        };
        let cut_rank = match self {
            Self::Time | Self::Verb | Self::Code | Self::Outcome | Self::Stage | Self::Level | Self::Latency => 0,
            Self::User | Self::As | Self::Object => 1,
            Self::Namespace | Self::Ip | Self::AuditId => 2,
            Self::Binding | Self::Tool | Self::Reason | Self::Uri => 3,
        };
        Head { name, right: matches!(self, Self::Code | Self::Latency), cut_rank }
    }
}

/// How exact a time is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
}

/// One event, ready to be shown.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    event: Event<'a>,
    /// The event's time.
    pub(crate) time: Timestamp,
}

impl<'a> Row<'a> {
    /// From the stored line. What cannot be read (a line of a later version) still has a row, without cells.
    pub(crate) fn new(line: &'a str, time: Option<Timestamp>) -> Self {
        let event = Event::decode(line).unwrap_or_default();
        let time = time.or(event.stage_timestamp).or(event.request_received_timestamp).unwrap_or_default();
        Self { event, time }
    }

    /// The cell of a column in a table.
    pub(crate) fn cell(&self, column: Column, zone: &Zone, precision: Precision) -> Cell {
        let style = match column {
            Column::User => self.user_style(),
            Column::Code | Column::Outcome => self.outcome_style(),
            _ => Style::Plain,
        };
        match column {
            Column::Time => Cell::plain(&match precision {
                Precision::Millis => zone.millis(self.time),
                Precision::Micros => zone.micros(self.time),
            }),
            _ => Cell::new(&self.text(column), style),
        }
    }

    /// The cell of a column with the object's namespace in it, for tables without a namespace column.
    pub(crate) fn object_and_namespace(&self) -> Cell {
        let object = self.object();
        let Some(reference) = &self.event.object_ref else { return Cell::plain(&object) };
        let resource = reference.resource.as_deref().unwrap_or_default();
        Cell::plain(&match reference.namespace.as_deref() {
            Some(namespace) if resource != "namespaces" => format!("{object} ({namespace})"),
            None if reference.name.is_none() && is_namespaced(resource) => format!("{object} (all namespaces)"),
            _ => object.into_owned(),
        })
    }

    /// The text of a column; the time is RFC 3339.
    pub(crate) fn text(&self, column: Column) -> Cow<'_, str> {
        let event = &self.event;
        let reference = event.object_ref.as_ref();
        let status = event.response_status.as_ref();
        match column {
            Column::Time => Cow::Owned(self.time.micro_text().as_str().to_owned()),
            Column::User => borrowed(&event.user.username),
            Column::As => event.impersonated_user.as_ref().map_or(Cow::Borrowed(""), |user: &UserInfo<'_>| borrowed(&user.username)),
            Column::Verb => borrowed(&event.verb),
            Column::Namespace => reference.map_or(Cow::Borrowed(""), |reference| borrowed(&reference.namespace)),
            Column::Object => self.object(),
            Column::Code => status.and_then(|status| status.code).map_or(Cow::Borrowed(""), |code| Cow::Owned(code.to_string())),
            Column::Outcome => Cow::Borrowed(self.event.outcome().map_or("", Outcome::as_str)),
            Column::Reason => status.map_or(Cow::Borrowed(""), |status| borrowed(&status.reason)),
            Column::Ip => event.source_ips.as_ref().and_then(|ips| ips.last()).map_or(Cow::Borrowed(""), |ip| Cow::Borrowed(ip.as_ref())),
            Column::Tool => Cow::Borrowed(event.user_agent.as_deref().and_then(|agent| agent.split(' ').next()).unwrap_or_default()),
            Column::Binding => Cow::Owned(self.binding().unwrap_or_default()),
            Column::Latency => Cow::Owned(self.latency().unwrap_or_default()),
            Column::Stage => borrowed(&event.stage),
            Column::Level => borrowed(&event.level),
            Column::Uri => borrowed(&event.request_uri),
            Column::AuditId => borrowed(&event.audit_id),
        }
    }

    /// `daemonsets/log-agent`, `pods/web/exec`, `secrets`, for a deleted collection `secrets (3: api-key, db, tls)`;
    /// for a request without resource its path.
    fn object(&self) -> Cow<'_, str> {
        let Some(reference) = &self.event.object_ref else {
            let uri = self.event.request_uri.as_deref().unwrap_or_default();
            return Cow::Borrowed(uri.split('?').next().unwrap_or_default());
        };
        let mut text = reference.resource.as_deref().unwrap_or_default().to_owned();
        let created = || self.event.response_object.and_then(|object| object.member("metadata")?.member("name")?.as_string());
        let is_create = self.event.verb.as_deref() == Some("create");
        match reference.name.as_deref() {
            Some(name) => push_part(&mut text, name),
            // The name of a generateName create stands only in the answer.
            None if is_create && reference.subresource.is_none() => {
                if let Some(name) = created() {
                    push_part(&mut text, &name);
                }
            }
            None => {}
        }
        if let Some(subresource) = reference.subresource.as_deref() {
            push_part(&mut text, subresource);
        }
        if self.event.verb.as_deref() == Some("deletecollection")
            && let Some(items) = self.event.response_object.and_then(|list| list.member("items"))
        {
            text.push_str(&collection(items));
        }
        Cow::Owned(text)
    }

    fn outcome_style(&self) -> Style {
        match self.event.outcome() {
            Some(Outcome::Denied) => Style::Denied,
            Some(Outcome::Error) => Style::Warning,
            _ => Style::Plain,
        }
    }

    fn user_style(&self) -> Style {
        match UserType::of(self.event.user.username.as_deref().unwrap_or_default()) {
            UserType::User => Style::Actor,
            UserType::System | UserType::Node => Style::System,
            _ => Style::Plain,
        }
    }

    /// `ClusterRoleBinding sys-helper`, out of `RBAC: allowed by ClusterRoleBinding "sys-helper" of …`.
    fn binding(&self) -> Option<String> {
        let reason = self.event.annotation("authorization.k8s.io/reason")?;
        let (kind, rest) = reason.strip_prefix("RBAC: allowed by ")?.split_once(" \"")?;
        let (name, _) = rest.split_once('"')?;
        Some(format!("{kind} {name}"))
    }

    fn latency(&self) -> Option<String> {
        if self.event.stage.as_deref() == Some("RequestReceived") {
            return None;
        }
        let micros = self.event.stage_timestamp?.micros().checked_sub(self.event.request_received_timestamp?.micros())?;
        Some(format!("{}.{:03}ms", micros / 1000, (micros % 1000).abs()))
    }
}

fn borrowed<'a>(text: &'a Option<Cow<'_, str>>) -> Cow<'a, str> {
    Cow::Borrowed(text.as_deref().unwrap_or_default())
}

fn push_part(text: &mut String, part: &str) {
    text.push('/');
    text.push_str(part);
}

/// ` (3: api-key, db, tls)`, or ` (3)` where the names are too long.
fn collection(items: RawJson<'_>) -> String {
    let mut n_items = 0_u64;
    let mut names = String::new();
    for item in items.elements() {
        n_items += 1;
        if names.len() <= NAMES_WIDTH
            && let Some(name) = item.member("metadata").and_then(|metadata| metadata.member("name")?.as_string())
        {
            let separator = if names.is_empty() { "" } else { ", " };
            names.push_str(separator);
            names.push_str(&name);
        }
    }
    if names.is_empty() || names.chars().count() > NAMES_WIDTH { format!(" ({n_items})") } else { format!(" ({n_items}: {names})") }
}

/// Whether a built-in resource lives in namespaces: a list of one without a namespace is a list of all of them.
/// Of other resources nobody knows, so nothing is said.
fn is_namespaced(resource: &str) -> bool {
    matches!(
        resource,
        "bindings"
            | "configmaps"
            | "controllerrevisions"
            | "cronjobs"
            | "daemonsets"
            | "deployments"
            | "endpoints"
            | "endpointslices"
            | "events"
            | "horizontalpodautoscalers"
            | "ingresses"
            | "jobs"
            | "leases"
            | "limitranges"
            | "networkpolicies"
            | "persistentvolumeclaims"
            | "poddisruptionbudgets"
            | "pods"
            | "podtemplates"
            | "replicasets"
            | "replicationcontrollers"
            | "resourcequotas"
            | "rolebindings"
            | "roles"
            | "secrets"
            | "serviceaccounts"
            | "services"
            | "statefulsets"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(rest: &str) -> String {
        let line = format!("{{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",{rest}}}");
        Row::new(&line, None).text(Column::Object).into_owned()
    }

    #[test]
    fn objects_read_like_kubectl() {
        let cases = [
            (r#""objectRef":{"resource":"pods","name":"web","namespace":"a","subresource":"exec"}"#, "pods/web/exec"),
            (r#""objectRef":{"resource":"pods"},"verb":"list""#, "pods"),
            (r#""requestURI":"/healthz?verbose""#, "/healthz"),
            (r#""objectRef":{"resource":"pods"},"verb":"create","responseObject":{"metadata":{"name":"web-x7"}}"#, "pods/web-x7"),
            (r#""objectRef":{"resource":"events"},"verb":"deletecollection","responseObject":{"items":[]}"#, "events (0)"),
            (
                r#""objectRef":{"resource":"secrets"},"verb":"deletecollection","responseObject":{"items":[{"metadata":{"name":"db"}},{"metadata":{"name":"tls"}}]}"#,
                "secrets (2: db, tls)",
            ),
            (
                r#""objectRef":{"resource":"events"},"verb":"deletecollection","responseObject":{"items":[{"metadata":{"name":"node-1.18ea5545af001e49"}}]}"#,
                "events (1)",
            ),
            (r#""objectRef":{"resource":"secrets"},"verb":"deletecollection""#, "secrets"),
        ];
        for (rest, expected) in cases {
            assert_eq!(object(rest), expected, "{rest}");
        }
    }

    #[test]
    fn a_binding_is_taken_out_of_the_reason() {
        let line = r#"{"annotations":{"authorization.k8s.io/reason":"RBAC: allowed by ClusterRoleBinding \"sys-helper\" of ClusterRole \"x\" to User \"m\""}}"#;
        assert_eq!(Row::new(line, None).text(Column::Binding), "ClusterRoleBinding sys-helper");
    }

    #[test]
    fn a_line_nobody_can_read_is_an_empty_row() {
        let row = Row::new("{\"level\":7", None);
        for column in Column::WIDE {
            assert!(column == Column::Time || row.text(column).is_empty());
        }
    }
}
