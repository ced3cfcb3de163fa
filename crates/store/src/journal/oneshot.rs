//! The answer to one append: set once by the writer, awaited by who appended.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use decklog_audit::journal::{AppendError, Appended};

type Answer = Result<Appended, AppendError>;

#[derive(Default)]
struct Slot {
    answer: Option<Answer>,
    waker: Option<Waker>,
}

/// The writer's side. Dropped without an answer it says that the journal is closed.
pub(crate) struct Completion(Arc<Mutex<Slot>>);

/// The caller's side.
pub(crate) struct Outcome(Arc<Mutex<Slot>>);

/// Both sides of one answer.
pub(crate) fn oneshot() -> (Completion, Outcome) {
    let slot = Arc::<Mutex<Slot>>::default();
    (Completion(Arc::clone(&slot)), Outcome(slot))
}

impl Completion {
    pub(crate) fn answer(self, answer: Answer) {
        self.set(answer);
    }

    fn set(&self, answer: Answer) {
        let waker = {
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            slot.answer.get_or_insert(answer);
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        self.set(Err(AppendError::Closed));
    }
}

impl Future for Outcome {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &slot.answer {
            Some(answer) => Poll::Ready(answer.clone()),
            None => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
