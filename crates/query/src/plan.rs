//! What one search looks at: which blocks, which records, and how much of a record before the filter decides.
//!
//! Cheapest first: sequence and time of the block, sequence and time of the record, literals in its bytes,
//! and only then its decoded form.

use decklog_audit::event::readable_text;
use decklog_audit::filter::{Candidate, Needs, Prefilter};
use decklog_audit::journal::{EventId, Record, RecordKind};
use decklog_audit::search::{Order, SearchRequest};
use decklog_audit::{Event, Timestamp};
use decklog_store::BlockRef;

pub(crate) struct Plan<'a> {
    request: &'a SearchRequest,
    needs: Needs,
    prefilter: Prefilter,
    /// The times outside of which the filter matches nothing; both ends included.
    filter_times: (Option<Timestamp>, Option<Timestamp>),
    nothing: Event<'static>,
}

/// What the filter says of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Match,
    NoMatch,
    /// No event can be read from it.
    Undecodable,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(request: &'a SearchRequest) -> Self {
        let filter = &request.filter;
        Self { request, needs: filter.needs(), prefilter: filter.prefilter(), filter_times: filter.time_bounds(), nothing: Event::default() }
    }

    /// The newest this many are wanted.
    pub(crate) fn limit(&self) -> Option<usize> {
        self.request.limit
    }

    /// The sequence numbers to look at: the first, and the one after the last.
    pub(crate) fn seqs(&self) -> (u64, u64) {
        let mut from = self.request.seqs.from.unwrap_or(0);
        if let (Order::Arrival, Some((_, seq))) = (self.request.order, self.request.after) {
            from = from.max(seq.saturating_add(1));
        }
        (from, self.request.seqs.until.unwrap_or(u64::MAX))
    }

    /// Whether a block may hold a match.
    pub(crate) fn wants_block(&self, block: &BlockRef) -> bool {
        let range = &self.request.range;
        let (first, last) = self.filter_times;
        let after_page = match (self.request.order, self.request.after) {
            (Order::Ascending, Some((time, _))) => time <= block.max_time,
            (Order::Descending, Some((time, _))) => block.min_time <= time,
            _ => true,
        };
        block.n_events > 0
            && after_page
            && range.since.is_none_or(|since| since <= block.max_time)
            && range.until.is_none_or(|until| block.min_time < until)
            && first.is_none_or(|first| first <= block.max_time)
            && last.is_none_or(|last| block.min_time <= last)
    }

    /// Whether the record is an event of the ranges asked for.
    pub(crate) fn wants_place(&self, record: &Record<'_>) -> bool {
        let (from, until) = self.seqs();
        let place = (record.head.time, record.seq);
        let after_page = match (self.request.order, self.request.after) {
            (Order::Ascending, Some(after)) => after < place,
            (Order::Descending, Some(after)) => place < after,
            _ => true,
        };
        record.head.kind == RecordKind::Event && (from..until).contains(&record.seq) && after_page && self.request.range.contains(record.head.time)
    }

    /// What the filter says of a record that is wanted by its place.
    pub(crate) fn judge(&self, record: &Record<'_>) -> Verdict {
        if self.needs == Needs::Place {
            return self.ask(&self.nothing, "", record);
        }
        if !self.prefilter.may_match(record.bytes) {
            return Verdict::NoMatch;
        }
        let line = readable_text(record.bytes);
        match Event::decode(&line) {
            Ok(event) => self.ask(&event, &line, record),
            Err(_) => Verdict::Undecodable,
        }
    }

    fn ask(&self, event: &Event<'_>, line: &str, record: &Record<'_>) -> Verdict {
        let candidate = Candidate {
            event,
            line,
            seq: record.seq,
            id: record.head.id.unwrap_or(EventId([0; 16])),
            time: record.head.time,
            ingested_at: record.ingested_at,
            origin: record.origin,
        };
        if self.request.filter.matches(&candidate) { Verdict::Match } else { Verdict::NoMatch }
    }
}
