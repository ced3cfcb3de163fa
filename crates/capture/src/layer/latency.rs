//! Where a slow request spent its time: annotations of its last event, in Go's spelling of durations.
//!
//! Source of the behaviour: `k8s.io/apiserver/pkg/endpoints/filters/audit.go` (`writeLatencyToAnnotation`) and
//! `pkg/endpoints/request/webhook_duration.go` (v0.36.3); Go's `time.Duration.String`.

use std::time::Duration;

/// Requests that take longer are annotated.
const SLOW: Duration = Duration::from_millis(500);

/// A part of a service. Those that run side by side count their longest, the others their sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum LatencyOf {
    TransformResponseObject,
    Etcd,
    SerializeResponseObject,
    ResponseWrite,
    MutatingWebhook,
    ValidatingWebhook,
    DecodeResponseObject,
    ApfQueueWait,
    Authentication,
    Authorization,
    Impersonation,
}

/// The annotation of each part, and whether the longest counts.
const PARTS: [(&str, bool); 11] = [
    ("apiserver.latency.k8s.io/transform-response-object", false),
    ("apiserver.latency.k8s.io/etcd", false),
    ("apiserver.latency.k8s.io/serialize-response-object", false),
    ("apiserver.latency.k8s.io/response-write", false),
    ("apiserver.latency.k8s.io/mutating-webhook", false),
    ("apiserver.latency.k8s.io/validating-webhook", true),
    ("apiserver.latency.k8s.io/decode-response-object", false),
    ("apiserver.latency.k8s.io/apf-queue-wait", true),
    ("apiserver.latency.k8s.io/authentication", false),
    ("apiserver.latency.k8s.io/authorization", true),
    ("apiserver.latency.k8s.io/impersonation", false),
];
const TOTAL: &str = "apiserver.latency.k8s.io/total";

/// The time spent in each part.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies([Duration; PARTS.len()]);

impl Latencies {
    pub(crate) fn add(&mut self, of: LatencyOf, spent: Duration) {
        let known = &mut self.0[of as usize];
        *known = if PARTS[of as usize].1 { spent.max(*known) } else { known.saturating_add(spent) };
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(Duration::is_zero)
    }

    /// The annotations of a request that took `total`.
    pub(crate) fn annotate(&self, total: Duration, mut annotate: impl FnMut(&'static str, String)) {
        if total <= SLOW || self.is_empty() {
            return;
        }
        for (spent, (key, _)) in self.0.iter().zip(PARTS).filter(|(spent, _)| !spent.is_zero()) {
            annotate(key, go_duration(*spent));
        }
        annotate(TOTAL, go_duration(total));
    }
}

/// A duration as Go prints it: `1.38152389s`, `70.755µs`, `1m0.5s`.
pub(crate) fn go_duration(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    let fraction = |whole: u128, unit: u128, name: &str| {
        let digits = unit.ilog10() as usize;
        let rest = format!("{:0digits$}", whole % unit);
        let rest = rest.trim_end_matches('0');
        let point = if rest.is_empty() { "" } else { "." };
        format!("{}{point}{rest}{name}", whole / unit)
    };
    match nanoseconds {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanoseconds}ns"),
        1_000..1_000_000 => fraction(nanoseconds, 1_000, "µs"),
        1_000_000..1_000_000_000 => fraction(nanoseconds, 1_000_000, "ms"),
        _ => {
            let seconds = duration.as_secs();
            let rest = fraction(u128::from(seconds % 60) * 1_000_000_000 + u128::from(duration.subsec_nanos()), 1_000_000_000, "s");
            match (seconds / 3_600, seconds / 60 % 60) {
                (0, 0) => rest,
                (0, minutes) => format!("{minutes}m{rest}"),
                (hours, minutes) => format!("{hours}h{minutes}m{rest}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_spelled_as_in_go() {
        for (nanoseconds, want) in [
            (0, "0s"),
            (881, "881ns"),
            (70_755, "70.755µs"),
            (1_000_000, "1ms"),
            (1_500_000, "1.5ms"),
            (1_381_523_890, "1.38152389s"),
            (60_500_000_000, "1m0.5s"),
            (3_600_000_000_000, "1h0m0s"),
            (5_025_000_000_001, "1h23m45.000000001s"),
        ] {
            assert_eq!(go_duration(Duration::from_nanos(nanoseconds)), want);
        }
    }

    #[test]
    fn only_slow_requests_are_annotated_and_only_with_what_was_measured() {
        let told = |latencies: &Latencies, millis| {
            let mut told = Vec::new();
            latencies.annotate(Duration::from_millis(millis), |key, value| told.push(format!("{}={value}", &key[25..])));
            told.join(" ")
        };
        let mut latencies = Latencies::default();
        assert_eq!(told(&latencies, 900), "");
        latencies.add(LatencyOf::Etcd, Duration::from_millis(20));
        latencies.add(LatencyOf::Etcd, Duration::from_millis(30));
        latencies.add(LatencyOf::Authorization, Duration::from_millis(2));
        latencies.add(LatencyOf::Authorization, Duration::from_millis(1));
        assert_eq!(told(&latencies, 500), "");
        assert_eq!(told(&latencies, 501), "etcd=50ms authorization=2ms total=501ms");
    }
}
