//! From a written name to a field of the list, and what to say when there is none.

use super::FilterError;
use super::body::{BodyPath, Segment};
use super::fields::{self, Below, Field, FieldId, FieldInfo, KEY_ALIASES, LATENCY_PARTS, Tail};

/// A segment of a name as written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum NameSegment {
    Plain(String),
    Quoted(String),
    AnyDepth,
}

impl NameSegment {
    fn text(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Quoted(text) => text,
            Self::AnyDepth => "**",
        }
    }
}

/// Why a name is no field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unknown {
    /// There is no such field.
    NoSuchField,
    /// The field needs a key or path behind it.
    NeedsMore(&'static FieldInfo),
    /// The path has too many segments.
    PathTooLong,
}

/// The field of that name: the longest name in the list that the segments begin with, and what is left as
/// its key or path.
pub(super) fn resolve(segments: &[NameSegment]) -> Result<Field, Unknown> {
    let whole = join(segments).to_ascii_lowercase();
    if let Some(alias) = KEY_ALIASES.iter().find(|alias| alias.name == whole) {
        return Ok(Field::keyed(alias.field, alias.key));
    }
    let mut needs_more = None;
    for length in (1..=segments.len().min(2)).rev() {
        let head = join(&segments[..length]).to_ascii_lowercase();
        let rest = &segments[length..];
        let found = fields::FIELDS.iter().filter(|info| info.id != FieldId::LatencyPart);
        for info in found.filter(|info| info.name.eq_ignore_ascii_case(&head) || info.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(&head))) {
            match (info.below, rest) {
                (Below::Nothing | Below::PathOrNothing | Below::LatencyPartOrNothing, []) => {
                    let tail = if info.below == Below::PathOrNothing { Tail::Path(BodyPath::default()) } else { Tail::None };
                    return Ok(Field { info, tail });
                }
                (Below::Key | Below::Path, []) => needs_more = Some(info),
                (Below::Nothing, _) => {}
                (Below::Key, _) => {
                    let has_stars = rest.contains(&NameSegment::AnyDepth);
                    return if has_stars { Err(Unknown::NoSuchField) } else { Ok(Field { info, tail: Tail::Key(join(rest)) }) };
                }
                (Below::LatencyPartOrNothing, _) => {
                    let part = join(rest).to_ascii_lowercase();
                    if LATENCY_PARTS.contains(&part.as_str()) {
                        return Ok(Field::keyed(FieldId::LatencyPart, &part));
                    }
                }
                (Below::PathOrNothing | Below::Path, _) => {
                    let path = rest.iter().map(|segment| match segment {
                        NameSegment::AnyDepth => Segment::AnyDepth,
                        other => Segment::Key(other.text().to_owned()),
                    });
                    let path = BodyPath::new(path.collect()).ok_or(Unknown::PathTooLong)?;
                    return Ok(Field { info, tail: Tail::Path(path) });
                }
            }
        }
    }
    Err(needs_more.map_or(Unknown::NoSuchField, Unknown::NeedsMore))
}

fn join(segments: &[NameSegment]) -> String {
    segments.iter().map(NameSegment::text).collect::<Vec<_>>().join(".")
}

/// Names people bring from elsewhere, and what they are here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("username", "user"),
    ("user.name", "user"),
    ("group", "groups"),
    ("kind", "object"),
    ("type", "object"),
    ("method", "verb"),
    ("action", "verb"),
    ("timestamp", "time"),
    ("since", "time >="),
    ("until", "time <"),
    ("date", "time"),
    ("status", "code"),
    ("statuscode", "code"),
    ("objectref", "object"),
    ("duration", "latency"),
    ("url", "uri"),
    ("sourceip", "ip"),
    ("client", "ip"),
    ("useragent.name", "tool"),
    ("serviceaccount", "sa"),
    ("impersonateduser", "as"),
    ("result", "outcome"),
    ("binding", "authz"),
    ("dry-run", "dryrun"),
];

impl Unknown {
    /// The error about the name `written` from `start` to `end`; `word` is the whole word if a value follows
    /// the colon directly.
    pub(super) fn error(self, start: usize, end: usize, written: &str, word: Option<&str>) -> FilterError {
        let help = match self {
            Self::NeedsMore(info) => {
                let (what, example) = match info.id {
                    FieldId::Annotation => ("KEY", "annotations.authorization.k8s.io/decision"),
                    FieldId::Details => ("PATH", "responseStatus.details.kind"),
                    FieldId::Raw => ("PATH", "raw.requestObject.kind"),
                    _ => ("KEY", "user.extra.authentication.kubernetes.io/credential-id"),
                };
                return FilterError::new(
                    start,
                    end,
                    "needs-key",
                    format!("`{written}` needs a {} behind it", what.to_ascii_lowercase()),
                    format!("write `{written}.{what}`, such as `{example}`"),
                );
            }
            Self::PathTooLong => {
                let message = format!("the path has more than {} segments", BodyPath::MAX_SEGMENTS);
                return FilterError::new(start, end, "too-deep", message, "use `**` for any depth");
            }
            Self::NoSuchField => match (written, word, nearest(written)) {
                ("system", Some(word), _) => format!("did you mean `user:{word}`? To search for the text, quote it: \"{word}\""),
                (_, _, Some(near)) => format!("did you mean `{near}`?"),
                (_, Some(word), None) => format!("to search for the text, quote it: \"{word}\""),
                (_, None, None) => "`decklog help fields` lists them; `raw.PATH` reaches any part of the event".to_owned(),
            },
        };
        FilterError::new(start, end, "unknown-field", format!("unknown field `{written}`"), help)
    }
}

fn nearest(written: &str) -> Option<String> {
    let lower = written.to_ascii_lowercase();
    if let Some((_, here)) = ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == lower) {
        return Some((*here).to_owned());
    }
    let latency_parts = LATENCY_PARTS.iter().map(|part| format!("latency.{part}"));
    closest(&lower, fields::names().map(str::to_owned).chain(latency_parts))
}

/// The candidate with the fewest mistakes between it and `written`: at most one in three characters.
pub(super) fn closest(written: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    let limit = (written.chars().count() / 3).clamp(1, 3);
    let scored = candidates.map(|candidate| (mistakes(written, &candidate.to_ascii_lowercase()), candidate));
    scored.filter(|(score, _)| *score <= limit).min_by_key(|(score, _)| *score).map(|(_, candidate)| candidate)
}

/// Characters to insert, remove, replace or swap with their neighbour (optimal string alignment). Long words
/// are cut: nobody's typing mistake is longer than any name.
fn mistakes(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().take(64).collect();
    let to: Vec<char> = to.chars().take(64).collect();
    let mut rows = vec![(0..=to.len()).collect::<Vec<_>>()];
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let mut best = (rows[i][j] + usize::from(a != b)).min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}
