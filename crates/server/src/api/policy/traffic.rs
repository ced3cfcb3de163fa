//! The recorded events that a policy is tried on: which, and handing out each of them decoded.

use std::ops::ControlFlow;

use decklog_audit::event::readable_text;
use decklog_audit::filter::Filter;
use decklog_audit::policy::simulate::RecordedRequest;
use decklog_audit::search::{Order, SearchRequest, SeqRange, Stop, TimeRange};
use decklog_audit::timespec::parse_range;
use decklog_audit::{Event, Timestamp};

use super::super::counts::Asking;
use super::super::parameters::{filter_error, range_error};
use super::super::search::{Collected, Search};
use crate::mark::{Mark, MarkFacts};
use crate::problem::{Problem, ProblemKind};
use crate::router::Shared;

/// Which events.
pub(super) struct Traffic {
    filter: Filter,
    filter_text: String,
    range: TimeRange,
}

impl Traffic {
    /// All that match `filter` in the range; words such as `today` are read as of `now`.
    pub(super) fn read(filter: &Option<String>, since: &Option<String>, until: &Option<String>, now: Timestamp) -> Result<Self, Problem> {
        let filter_text = filter.clone().unwrap_or_default();
        let filter = parsed(&filter_text, "filter", now)?;
        let range = parse_range(since.as_deref(), until.as_deref(), now)
            .map_err(|errors| Problem::of_parameters(ProblemKind::BadTime, errors.into_iter().map(range_error).collect()))?;
        Ok(Self { filter, filter_text, range })
    }

    /// Those of them that also match another filter, which came as `parameter`.
    pub(super) fn narrowed(&self, filter: &str, parameter: &str, now: Timestamp) -> Result<Self, Problem> {
        let also = parsed(filter, parameter, now)?;
        let filter_text = [self.filter_text.as_str(), filter].iter().filter(|text| !text.trim().is_empty()).map(|text| format!("({text})")).collect::<Vec<_>>();
        Ok(Self { filter: Filter::all([self.filter.clone(), also]), filter_text: filter_text.join(" and "), range: self.range })
    }
}

fn parsed(text: &str, parameter: &str, now: Timestamp) -> Result<Filter, Problem> {
    Filter::parse(text, now).map_err(|error| Problem::of_parameters(ProblemKind::BadFilter, vec![filter_error(parameter, error)]))
}

/// Hands every event to `take`, within the limits and leaving a mark. Gives what `take` has made, and why it is not of all events.
pub(super) async fn over<T, F>(
    shared: &Shared,
    asking: Asking<'_>,
    what: &'static str,
    traffic: Traffic,
    state: T,
    mut take: F,
) -> Result<(T, Vec<String>), Problem>
where
    T: Send + 'static,
    F: FnMut(&mut T, &Event<'_>, &RecordedRequest<'_>, &str) + Send + 'static,
{
    let (identity, request_id) = asking;
    let mark: Mark = shared.marks.begin(identity, request_id.as_str(), MarkFacts::new(what, &traffic.filter_text, traffic.range));
    let permit = shared.limits.query(identity).await?;
    let request = SearchRequest {
        filter: traffic.filter,
        range: traffic.range,
        seqs: SeqRange { from: None, until: Some(shared.parts.journal.next_seq()) },
        after: None,
        limit: None,
        order: Order::Arrival,
        stop: Stop::default(),
    };
    let search = Search { searcher: shared.parts.searcher.clone(), metrics: shared.metrics.clone(), kind: what, request, permit };
    let patience = shared.limits.config.query_timeout;
    let state = (state, 0_u64, 0_u64);
    let collected = search.collect(patience, state, move |(state, n_seen, n_unreadable), hit| {
        *n_seen += 1;
        let text = readable_text(hit.line);
        match Event::decode(&text) {
            Ok(event) => take(state, &event, &RecordedRequest::of(&event), text.trim_end()),
            Err(_) => *n_unreadable += 1,
        }
        ControlFlow::Continue(())
    });
    let ((state, n_seen, n_unreadable), mut gaps) = match collected.await? {
        Collected::Whole(found, summary) => (found, summary.gaps),
        Collected::Part(found) => (found, vec![format!("not all events were looked at within {} s: narrow the time or the filter", patience.as_secs_f64())]),
    };
    mark.add(n_seen);
    if n_unreadable > 0 {
        gaps.push(format!("{n_unreadable} stored lines are no events of audit.k8s.io and were left out"));
    }
    Ok((state, gaps))
}
