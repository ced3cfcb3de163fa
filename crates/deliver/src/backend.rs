//! kube-apiserver's own backends: what the audit layer's events go to under the `--audit-*` flags.
//!
//! ```text
//! audit layer ─► union ─┬─► truncate? ─► mode ─► log        a file with rotation, or standard output
//!                       └─► truncate? ─► mode ─► webhook    POST of an EventList
//!                                         batch            a bounded queue, batches, a throttle: never waits
//!                                         blocking         waits, and goes on whatever became of the event
//!                                         blocking-strict  waits, and a request whose first event is lost is refused
//! ```
//!
//! Each is one small type that prints itself: `union[ignoreErrors<log>,truncate<buffered<webhook>>]`. [`BackendFlags`] holds the flags,
//! checks them and builds the whole. Lines are written once and shared; a [`Carrier`] is what takes them at the end.
//!
//! Source of the behaviour: `k8s.io/apiserver/plugin/pkg/audit` and `pkg/server/options/audit.go` (v0.36.3).

mod batch;
mod carrier;
mod errors;
mod flags;
mod journaled;
mod log;
mod mode;
mod rotation;
mod throttle;
mod truncate;
mod union;
mod webhook;

pub use batch::{Batch, BatchConfig};
pub use carrier::{Carrier, Line};
pub use errors::{Plugin, PluginErrors};
pub use flags::{BackendFlags, BuildError, Carriers, CommonFlags, FlagError, FlagHelp, GoDuration, LogFlags, WebhookFlags, flag_table};
pub use journaled::{Follower, Journaled, JournaledConfig};
pub use log::{LogBackend, LogConfig, LogFormat, Oversize};
pub use mode::{Direct, IgnoreErrors, Mode};
pub use throttle::Throttle;
pub use truncate::{Truncate, TruncateConfig};
pub use union::Union;
pub use webhook::{Backoff, Verdict, WebhookBackend, WebhookError};
