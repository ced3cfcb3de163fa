//! Which rows a search wants by their place: time, sequence number, and where the page before ended.

use decklog_audit::Timestamp;
use decklog_audit::search::{Order, SearchRequest};

/// The places a search wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    seqs: (u64, u64),
    /// Microseconds: from, and the one after the last.
    times: (i64, i64),
    after: Option<(Order, Timestamp, u64)>,
    /// Outside of these the filter matches nothing; both included.
    filter_times: (i64, i64),
}

/// The places of some rows: both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) seqs: (u64, u64),
    /// Microseconds.
    pub(crate) times: (i64, i64),
}

impl Span {
    /// Of rows nothing is known of.
    pub(crate) const UNKNOWN: Self = Self { seqs: (0, u64::MAX), times: (i64::MIN, i64::MAX) };
}

impl Places {
    /// Those `request` wants.
    pub(crate) fn of(request: &SearchRequest) -> Self {
        let mut from = request.seqs.from.unwrap_or(0);
        if let (Order::Arrival, Some((_, seq))) = (request.order, request.after) {
            from = from.max(seq.saturating_add(1));
        }
        let (first, last) = request.filter.time_bounds();
        Self {
            seqs: (from, request.seqs.until.unwrap_or(u64::MAX)),
            times: (request.range.since.map_or(i64::MIN, micros_from), request.range.until.map_or(i64::MAX, micros_from)),
            after: request.after.filter(|_| request.order != Order::Arrival).map(|(time, seq)| (request.order, time, seq)),
            filter_times: (first.map_or(i64::MIN, Timestamp::micros), last.map_or(i64::MAX, Timestamp::micros)),
        }
    }

    /// Whether every row is wanted, whatever its place.
    pub(crate) fn wants_all_of(&self, span: &Span) -> bool {
        let after = self.after.is_none_or(|(order, time, seq)| match order {
            Order::Ascending => (time, seq) < (Timestamp::from_micros(span.times.0), span.seqs.0),
            _ => (Timestamp::from_micros(span.times.1), span.seqs.1) < (time, seq),
        });
        after && self.seqs.0 <= span.seqs.0 && span.seqs.1 < self.seqs.1 && self.times.0 <= span.times.0 && span.times.1 < self.times.1
    }

    /// Whether rows of this span may be wanted and fulfil the filter.
    pub(crate) fn may_want(&self, span: &Span) -> bool {
        let after = self.after.is_none_or(|(order, time, _)| match order {
            Order::Ascending => time.micros() <= span.times.1,
            _ => span.times.0 <= time.micros(),
        });
        let overlaps = |(from, until): (i64, i64)| span.times.0 < until && from <= span.times.1;
        let filter = self.filter_times.0 <= span.times.1 && span.times.0 <= self.filter_times.1;
        after && span.seqs.0 < self.seqs.1 && self.seqs.0 <= span.seqs.1 && overlaps(self.times) && filter
    }

    /// Whether the row of this time (microseconds) and sequence number is wanted.
    pub(crate) fn wants(&self, time: i64, seq: u64) -> bool {
        let after = self.after.is_none_or(|(order, after, after_seq)| match order {
            Order::Ascending => (after, after_seq) < (Timestamp::from_micros(time), seq),
            _ => (Timestamp::from_micros(time), seq) < (after, after_seq),
        });
        after && (self.seqs.0..self.seqs.1).contains(&seq) && (self.times.0..self.times.1).contains(&time)
    }
}

/// The first whole microsecond that is not before `time`.
fn micros_from(time: Timestamp) -> i64 {
    time.micros().saturating_add(i64::from(!time.nanoseconds().is_multiple_of(1000)))
}

#[cfg(test)]
mod tests {
    use decklog_audit::Filter;
    use decklog_audit::search::{SeqRange, TimeRange};
    use proptest::prelude::*;

    use super::*;

    fn time() -> impl Strategy<Value = Timestamp> {
        (0i64..3, 0u32..3_000).prop_map(|(seconds, nanoseconds)| Timestamp::new(seconds, nanoseconds).unwrap())
    }

    proptest! {
        #[test]
        fn spans_are_judged_as_their_rows(
            since in prop::option::of(time()), until in prop::option::of(time()), after in prop::option::of((time(), 0u64..6)),
            from in prop::option::of(0u64..6), to in prop::option::of(0u64..6),
            order in prop::sample::select(vec![Order::Ascending, Order::Descending, Order::Arrival]),
            rows in prop::collection::vec((time(), 0u64..6), 1..5),
        ) {
            let request = SearchRequest { filter: Filter::default(), range: TimeRange { since, until }, seqs: SeqRange { from, until: to }, after, order, ..SearchRequest::default() };
            let places = Places::of(&request);
            let wanted: Vec<bool> = rows.iter().map(|(time, seq)| places.wants(time.micros(), *seq)).collect();
            for ((time, seq), wanted) in rows.iter().zip(&wanted) {
                let time = time.to_micros();
                let behind = after.is_none_or(|after| match order {
                    Order::Ascending => after < (time, *seq),
                    Order::Descending => (time, *seq) < after,
                    Order::Arrival => after.1 < *seq,
                });
                let in_seqs = from.is_none_or(|from| from <= *seq) && to.is_none_or(|to| *seq < to);
                prop_assert_eq!(*wanted, request.range.contains(time) && behind && in_seqs);
            }
            let ends = |values: &mut dyn Iterator<Item = i64>| { let all: Vec<i64> = values.collect(); (*all.iter().min().unwrap(), *all.iter().max().unwrap()) };
            let times = ends(&mut rows.iter().map(|(time, _)| time.micros()));
            let seqs = ends(&mut rows.iter().map(|(_, seq)| *seq as i64));
            let span = Span { seqs: (seqs.0 as u64, seqs.1 as u64), times };
            prop_assert!(!places.wants_all_of(&span) || wanted.iter().all(|wanted| *wanted));
            prop_assert!(places.may_want(&span) || !wanted.contains(&true));
        }
    }
}
