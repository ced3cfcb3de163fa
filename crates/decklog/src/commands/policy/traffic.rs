//! The recorded traffic that a policy is tried on: which events, and handing out each of them decoded.

use std::path::PathBuf;

use decklog_audit::Event;
use decklog_audit::event::readable_text;
use decklog_audit::policy::simulate::RecordedRequest;
use decklog_audit::search::Order;

use crate::cli::{RangeFlags, ScopeFlags, TargetFlags};
use crate::commands::Context;
use crate::failure::{Failure, Failures};
use crate::output::escape;
use crate::question::{filter_text, range};
use crate::target::{Question, Target};

/// Which traffic.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct TrafficFlags {
    /// A log file to try it on, without importing it; may stand several times; - is standard input
    #[arg(long, visible_alias = "from", value_name = "LOG", conflicts_with_all = ["server", "data_dir"], help_heading = "Which events")]
    events: Vec<PathBuf>,
    /// Only events that match (decklog help filter)
    #[arg(long, value_name = "FILTER", help_heading = "Which events")]
    filter: Option<String>,
    /// When.
    #[command(flatten)]
    range: RangeFlags,
    /// Where they are.
    #[command(flatten)]
    target: TargetFlags,
}

impl TrafficFlags {
    /// Hands out every event, with its line and what its request was.
    pub(super) fn each(&self, context: &Context, take: impl FnMut(&Event<'_>, &RecordedRequest<'_>, &str) -> Result<(), Failure>) -> Result<(), Failures> {
        self.each_of(None, context, take)
    }

    /// Whether any of it was given.
    pub(super) fn is_asked(&self) -> bool {
        !self.events.is_empty()
            || self.filter.is_some()
            || self.range.since.is_some()
            || self.range.until.is_some()
            || self.target.server.is_some()
            || self.target.data_dir.is_some()
    }

    /// Those of them that also match `narrower`.
    pub(super) fn each_of(
        &self,
        narrower: Option<&str>,
        context: &Context,
        mut take: impl FnMut(&Event<'_>, &RecordedRequest<'_>, &str) -> Result<(), Failure>,
    ) -> Result<(), Failures> {
        if narrower.is_some() && self.events.iter().any(|path| path.as_os_str() == "-") {
            return Err(Failure::usage("events", "standard input can be read only once").help("give the log as a file").into());
        }
        let words = |filter: Option<&str>| filter_text(&filter.map(str::to_owned).into_iter().collect::<Vec<_>>(), &ScopeFlags::default(), context.now);
        let filters = [words(self.filter.as_deref())?, words(narrower)?].map(|filter| if filter.is_empty() { filter } else { format!("({filter})") });
        let filter = filters.join(" ").trim().to_owned();
        let question = Question { filter, range: range(&self.range, context.now)?, limit: None, order: Order::Arrival, now: context.now };
        let target = if self.events.is_empty() { Target::choose(&self.target, context)? } else { Target::of_files(&self.events, context)? };
        let mut n_unreadable = 0_u64;
        let tally = target.search(&question, &mut |line, _| {
            let text = readable_text(line);
            match Event::decode(&text) {
                Ok(event) => take(&event, &RecordedRequest::of(&event), text.trim_end()),
                Err(_) => {
                    n_unreadable += 1;
                    Ok(())
                }
            }
        })?;
        for gap in &tally.gaps {
            context.note(&format!("warning: not everything could be read: {}", escape(gap)));
        }
        if n_unreadable > 0 {
            context.note(&format!("warning: {n_unreadable} stored lines are no events of audit.k8s.io and were left out"));
        }
        Ok(())
    }
}
