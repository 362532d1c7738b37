//! Work that is finished also when nobody waits for it any more.
//!
//! A request is handled in its connection's task, because a task of its own costs two more wake-ups
//! than the whole handling of a small request. Where the connection goes away before the answer is
//! there, the rest of the work gets a task of its own then: once a commit has begun it is followed to
//! its end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The work, and what it answers.
pub(super) struct Finished<T: Send + 'static>(Option<Work<T>>);

/// The work panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Panicked;

/// Work that is finished in any case.
pub(super) fn finished<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Finished<T> {
    Finished(Some(Box::pin(work)))
}

impl<T: Send + 'static> Future for Finished<T> {
    type Output = Result<T, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.0 else {
            return Poll::Ready(Err(Panicked));
        };
        // What panicked is not polled again, so nobody sees it half done.
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
        let answer = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(answer)) => Ok(answer),
            Err(_) => Err(Panicked),
        };
        self.0 = None;
        Poll::Ready(answer)
    }
}

impl<T: Send + 'static> Drop for Finished<T> {
    fn drop(&mut self) {
        // Without a runtime the program is at its end, and so is the work.
        if let (Some(work), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn work_that_is_dropped_is_finished_elsewhere() {
        let (begin, begun) = oneshot::channel::<()>();
        let (end, ended) = oneshot::channel();
        let mut work = finished(async move {
            begun.await.unwrap();
            end.send(7).unwrap();
        });
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut work).poll(&mut cx).is_pending());
        drop(work);
        begin.send(()).unwrap();
        assert_eq!(ended.await, Ok(7));
    }

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        assert_eq!(finished(async { 7 }).await, Ok(7));
        let panics: Finished<()> = finished(async { panic!("as the test wants") });
        assert_eq!(panics.await, Err(Panicked));
    }
}
