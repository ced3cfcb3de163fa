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
    #[arg(long, value_name = "LOG", conflicts_with_all = ["server", "data_dir"], help_heading = "Which events")]
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
    pub(super) fn each(&self, context: &Context, mut take: impl FnMut(&Event<'_>, &RecordedRequest<'_>, &str) -> Result<(), Failure>) -> Result<(), Failures> {
        let filter = filter_text(&self.filter.iter().cloned().collect::<Vec<_>>(), &ScopeFlags::default(), context.now)?;
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
