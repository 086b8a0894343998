//! The head, and whoever waits for it to pass a position.
//!
//! Waiters are kept by the position they wait at, so that a new head wakes exactly those that
//! are below it. A stopped writer wakes nobody: the head does not move.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use super::lock;
use super::wake::Waiter;
use crate::lsn::Lsn;

/// End LSN of the last durable transaction.
#[derive(Debug)]
pub(super) struct Head {
    value: AtomicU64,
    waiters: Mutex<Waiters>,
}

#[derive(Debug, Default)]
struct Waiters {
    next_id: u64,
    by_position: BTreeMap<(Lsn, u64), Waiter>,
}

impl Head {
    pub(super) fn new(head: Lsn) -> Self {
        Self {
            value: AtomicU64::new(head.get()),
            waiters: Mutex::default(),
        }
    }

    pub(super) fn load(&self) -> Lsn {
        Lsn::new(self.value.load(Ordering::Acquire))
    }

    /// Moves the head, without waking: readers may look already.
    pub(super) fn store(&self, head: Lsn) {
        self.value.store(head.get(), Ordering::Release);
    }

    /// Wakes all that wait at a position below the head.
    pub(super) fn wake_passed(&self) {
        let head = self.load();
        let passed = {
            let mut waiters = lock(&self.waiters);
            if waiters.by_position.is_empty() {
                return;
            }
            let still = waiters.by_position.split_off(&(head, 0));
            std::mem::replace(&mut waiters.by_position, still)
        };
        for waiter in passed.into_values() {
            waiter.wake();
        }
    }

    /// How many wait.
    #[cfg(test)]
    fn num_waiters(&self) -> usize {
        lock(&self.waiters).by_position.len()
    }
}

/// Waits until the head is above a position. Dropping it unregisters.
#[derive(Debug)]
pub struct HeadWait {
    head: Arc<Head>,
    since: Lsn,
    id: Option<u64>,
}

impl HeadWait {
    pub(super) fn new(head: Arc<Head>, since: Lsn) -> Self {
        Self {
            head,
            since,
            id: None,
        }
    }

    /// Blocks at most `timeout`; true when the head is above the position.
    pub fn wait_timeout(mut self, timeout: Duration) -> bool {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            if self
                .register(|| Waiter::Thread(thread::current()))
                .is_some()
            {
                return true;
            }
            match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return false,
                Some(left) => thread::park_timeout(left),
                None => thread::park(),
            }
        }
    }

    /// The head when it has passed, else registers (again) to be woken.
    fn register(&mut self, waiter: impl FnOnce() -> Waiter) -> Option<Lsn> {
        let passed = |head: Lsn| (head > self.since).then_some(head);
        if let Some(head) = passed(self.head.load()) {
            return Some(head);
        }
        let mut waiters = lock(&self.head.waiters);
        let id = *self.id.get_or_insert_with(|| {
            waiters.next_id += 1;
            waiters.next_id
        });
        waiters.by_position.insert((self.since, id), waiter());
        // The head may have moved before the registration stood.
        passed(self.head.load())
    }
}

impl Future for HeadWait {
    /// The head, now above the awaited position.
    type Output = Lsn;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        match this.register(|| Waiter::Task(cx.waker().clone())) {
            Some(head) => Poll::Ready(head),
            None => Poll::Pending,
        }
    }
}

impl Drop for HeadWait {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            lock(&self.head.waiters)
                .by_position
                .remove(&(self.since, id));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::{Wake, Waker};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn poll(wait: &mut HeadWait, waker: &Waker) -> Poll<Lsn> {
        Pin::new(wait).poll(&mut Context::from_waker(waker))
    }

    #[test]
    fn w27_a_new_head_wakes_only_those_below_it() {
        let head = Arc::new(Head::new(Lsn::new(10)));
        let counts: Vec<Arc<Count>> = (0..1000).map(|_| Arc::default()).collect();
        let mut waits: Vec<HeadWait> = (0..1000)
            .map(|n| HeadWait::new(Arc::clone(&head), Lsn::new(10 + n)))
            .collect();
        for (wait, count) in waits.iter_mut().zip(&counts) {
            assert!(poll(wait, &Waker::from(Arc::clone(count))).is_pending());
        }
        head.store(Lsn::new(13));
        head.wake_passed();
        let woken: Vec<usize> = counts.iter().map(|c| c.0.load(Ordering::SeqCst)).collect();
        assert_eq!(woken[..4], [1, 1, 1, 0]);
        assert_eq!(woken.iter().sum::<usize>(), 3);
        assert_eq!(
            poll(&mut waits[0], Waker::noop()),
            Poll::Ready(Lsn::new(13))
        );
        assert!(poll(&mut waits[3], Waker::noop()).is_pending());
        assert_eq!(head.num_waiters(), 997);
        drop(waits);
        assert_eq!(head.num_waiters(), 0);
    }

    #[test]
    fn blocking_wait_ends_at_the_head_or_the_timeout() {
        let head = Arc::new(Head::new(Lsn::new(10)));
        let wait = |since| HeadWait::new(Arc::clone(&head), Lsn::new(since));
        assert!(wait(9).wait_timeout(Duration::ZERO));
        assert!(!wait(10).wait_timeout(Duration::from_millis(5)));
        let waiting = wait(10);
        let thread = thread::spawn(move || waiting.wait_timeout(Duration::from_secs(60)));
        head.store(Lsn::new(11));
        head.wake_passed();
        assert!(thread.join().unwrap());
        assert_eq!(head.num_waiters(), 0);
    }
}
