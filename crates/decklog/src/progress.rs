//! Progress of long work, on stderr: a bar on a terminal, else a line each ten seconds.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::ProgressChoice;
use crate::commands::Context;
use crate::output::with_thousands;

/// Short work shows nothing.
const QUIET_FOR: Duration = Duration::from_millis(500);
const LINE_EVERY: Duration = Duration::from_secs(10);

enum Way {
    Silent,
    Bar(ProgressBar),
    Lines(std::cell::Cell<Instant>),
}

/// The progress of an import.
pub(crate) struct Bar<'a> {
    way: Way,
    began: Instant,
    context: &'a Context,
}

impl<'a> Bar<'a> {
    /// As `--progress` and `-q` want it.
    pub(crate) fn new(context: &'a Context) -> Self {
        let began = Instant::now();
        let terminal = std::io::stderr().is_terminal();
        let way = match context.common.progress {
            ProgressChoice::Never => Way::Silent,
            _ if context.common.quiet => Way::Silent,
            _ if terminal => {
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
                Way::Bar(bar)
            }
            ProgressChoice::Always => Way::Lines(std::cell::Cell::new(began)),
            ProgressChoice::Auto => Way::Lines(std::cell::Cell::new(began)),
        };
        Self { way, began, context }
    }

    /// Shows how far it is.
    pub(crate) fn show(&self, n_read: u64, n_total: Option<u64>, n_events: u64) {
        let elapsed = self.began.elapsed();
        let rate = n_events as f64 / elapsed.as_secs_f64().max(0.001);
        let message = format!("{} events, {} events/s", with_thousands(n_events), with_thousands(rate as u64));
        match &self.way {
            Way::Silent => {}
            Way::Bar(bar) => {
                if elapsed < QUIET_FOR {
                    return;
                }
                if bar.is_hidden() {
                    bar.set_draw_target(ProgressDrawTarget::stderr());
                    let form = if n_total.is_some() { "{bar:30} {bytes}/{total_bytes} {msg}, {eta} left" } else { "{spinner} {bytes} {msg}" };
                    bar.set_style(ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar()));
                }
                if let Some(n_total) = n_total {
                    bar.set_length(n_total);
                }
                bar.set_position(n_read);
                bar.set_message(message);
            }
            Way::Lines(last) => {
                if last.get().elapsed() >= LINE_EVERY {
                    last.set(Instant::now());
                    let of = n_total.map(|n_total| format!(" of {}", HumanBytes(n_total))).unwrap_or_default();
                    self.context.note(&format!("{}{of} read, {message}", HumanBytes(n_read)));
                }
            }
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Way::Bar(bar) = &self.way {
            bar.finish_and_clear();
        }
    }
}
