//! The life of one audited request, as kube-apiserver's audit filter sees it: what has happened so far, and what a new happening
//! makes of it. Pure; the layer, its bodies and the proxy drive the same machine.
//!
//! ```text
//!               RequestReceived                ResponseStarted             ResponseComplete
//! (taken in) ──────────────────► Received ───────────────────► Answering ───────────────────► Over
//!                                   │           long-running only  │                            ▲
//!                                   └── gone before an answer ─────┴── panic: Panic ────────────┘
//! ```
//!
//! Source of the behaviour: `k8s.io/apiserver/pkg/endpoints/filters/audit.go` and `authn_audit.go` (v0.36.3).

use decklog_audit::Stage;
use decklog_audit::policy::RequestLength;

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// The service has it, nothing is answered yet.
    Received(RequestLength),
    /// Authentication failed, or the request cannot even be read: its one event comes with the answer.
    Refused,
    /// The answer's head is on its way.
    Answering,
    /// No event comes any more.
    Over,
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening<'t> {
    /// The answer begins, with this code; for an upgrade 101.
    Head(u16),
    /// The answer is complete, the upgraded connection closed, or nobody wants it any more.
    End,
    /// The service panicked, or its answer broke off: with this text.
    Panic(&'t str),
}

/// How `responseStatus` changes before an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusChange<'t> {
    /// Not at all.
    Keep,
    /// It has this code.
    Code(u16),
    /// It says that the connection was closed early, unless it says something already.
    ClosedEarly,
    /// It is that of a panic.
    Panic(&'t str),
}

/// What is to be done: the status changes, then the stages get their events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'t> {
    /// First.
    pub status: StatusChange<'t>,
    /// An event of ResponseStarted, where `responseStatus` said nothing before if [`StatusChange::ClosedEarly`].
    pub started: bool,
    /// Then one of the last stage.
    pub last: Option<Stage>,
}

impl Step<'_> {
    const NOTHING: Self = Self { status: StatusChange::Keep, started: false, last: None };
}

impl Life {
    /// One step.
    #[must_use]
    pub fn step(self, happening: Happening<'_>) -> (Self, Step<'_>) {
        use Happening as H;
        match (self, happening) {
            (Self::Over, _) | (Self::Answering, H::Head(_)) => (self, Step::NOTHING),
            (Self::Received(length), H::Head(code)) => {
                (Self::Answering, Step { status: StatusChange::Code(code), started: length == RequestLength::LongRunning, last: None })
            }
            (Self::Refused, H::Head(code)) => (Self::Over, Step { status: StatusChange::Code(code), started: true, last: None }),
            (Self::Refused, _) => (Self::Over, Step::NOTHING),
            (Self::Received(length), H::End) => {
                let step = Step { status: StatusChange::ClosedEarly, started: length == RequestLength::LongRunning, last: Some(Stage::ResponseComplete) };
                (Self::Over, step)
            }
            (Self::Answering, H::End) => (Self::Over, Step { last: Some(Stage::ResponseComplete), ..Step::NOTHING }),
            (Self::Received(_) | Self::Answering, H::Panic(text)) => {
                (Self::Over, Step { status: StatusChange::Panic(text), started: false, last: Some(Stage::Panic) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Status changes and stages of a request to which this happens.
    fn stages(mut life: Life, happenings: &[Happening<'_>]) -> String {
        let mut said = Vec::new();
        for happening in happenings {
            let (next, step) = life.step(*happening);
            life = next;
            said.extend(step.started.then_some("ResponseStarted"));
            said.extend(step.last.map(Stage::as_str));
        }
        said.join(",")
    }

    #[test]
    fn the_stages_are_those_of_kube_apiserver() {
        use Happening::{End, Head, Panic};
        let (short, long) = (Life::Received(RequestLength::Short), Life::Received(RequestLength::LongRunning));
        for (life, happenings, want) in [
            (short, &[Head(200), End][..], "ResponseComplete"),
            (long, &[Head(200), End], "ResponseStarted,ResponseComplete"),
            (short, &[End], "ResponseComplete"),
            (long, &[End], "ResponseStarted,ResponseComplete"),
            (short, &[Panic("x")], "Panic"),
            (long, &[Panic("x")], "Panic"),
            (short, &[Head(200), Panic("x")], "Panic"),
            (long, &[Head(200), Panic("x"), End], "ResponseStarted,Panic"),
            (Life::Refused, &[Head(401), End], "ResponseStarted"),
            (Life::Refused, &[End], ""),
            (Life::Refused, &[Panic("x")], ""),
            (short, &[Head(200), End, End, Panic("x"), Head(500)], "ResponseComplete"),
        ] {
            assert_eq!(stages(life, happenings), want, "{life:?} {happenings:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_happens_there_is_one_last_event(long: bool, happenings in proptest::collection::vec(0_u8..3, 0..8)) {
            let length = if long { RequestLength::LongRunning } else { RequestLength::Short };
            let mut happenings: Vec<_> = happenings.iter().map(|which| match which {
                0 => Happening::Head(200),
                1 => Happening::End,
                _ => Happening::Panic("x"),
            }).collect();
            happenings.push(Happening::End);
            let said = stages(Life::Received(length), &happenings);
            prop_assert_eq!(said.matches("ResponseComplete").count() + said.matches("Panic").count(), 1);
            prop_assert!(said.matches("ResponseStarted").count() <= usize::from(long));
        }
    }
}
