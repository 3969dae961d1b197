//! Reports that wait for a device of one thread to be free.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// A report and its number.
pub(super) type Post = (u64, Bytes);

/// So many may wait.
const ROOM: usize = 4096;

#[derive(Default)]
struct State {
    posts: VecDeque<Post>,
    /// Nobody gives any more.
    over: bool,
    /// Nobody takes any more.
    deserted: bool,
}

/// Filled by any thread, emptied by the devices of one. Neither is woken for
/// each report: devices once for all that were given, and who gives when half
/// of the room is free again.
#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    news: Notify,
    room: Condvar,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room; how many were taken, fewer only where nobody takes them.
    pub(super) fn give(&self, posts: impl IntoIterator<Item = Post>) -> u64 {
        let (mut given, mut state) = (0, self.lock());
        for post in posts {
            if state.posts.len() == ROOM {
                self.news.notify_one();
                while state.posts.len() > ROOM / 2 && !state.deserted {
                    state = self
                        .room
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
            if state.deserted {
                return given;
            }
            state.posts.push_back(post);
            given += 1;
        }
        drop(state);
        self.news.notify_one();
        given
    }

    pub(super) fn take(&self) -> Option<Post> {
        let mut state = self.lock();
        let post = state.posts.pop_front();
        if state.posts.len() == ROOM / 2 {
            self.room.notify_one();
        }
        post
    }

    /// How many wait, and whether more can come.
    pub(super) fn look(&self) -> (usize, bool) {
        let state = self.lock();
        (state.posts.len(), !state.over)
    }

    /// Returns once more were given, or none will be, since the last call.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    pub(super) fn end(&self) {
        self.lock().over = true;
        self.news.notify_one();
    }

    /// The devices have gone, in order or not.
    pub(super) fn desert(&self) {
        self.lock().deserted = true;
        self.room.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    fn posts(count: u64) -> impl Iterator<Item = Post> {
        (0..count).map(|number| (number, Bytes::new()))
    }

    #[test]
    fn whoever_gives_too_much_waits_and_nothing_is_lost_or_turned_around() {
        let inbox = Arc::<Inbox>::default();
        let giving = inbox.clone();
        let many = 5 * ROOM as u64;
        let giver = thread::spawn(move || giving.give(posts(many)));
        let mut next = 0;
        while next < many {
            match inbox.take() {
                Some((number, _)) => {
                    assert_eq!(number, next);
                    next += 1;
                }
                None => thread::yield_now(),
            }
            assert!(inbox.look().0 <= ROOM);
        }
        assert_eq!(giver.join().unwrap(), many);
        assert_eq!(inbox.look(), (0, true));
        inbox.end();
        assert_eq!(inbox.look(), (0, false));
    }

    #[test]
    fn nobody_waits_for_devices_that_have_gone() {
        let inbox = Arc::<Inbox>::default();
        let giving = inbox.clone();
        let giver = thread::spawn(move || giving.give(posts(2 * ROOM as u64)));
        while inbox.look().0 < ROOM {
            thread::yield_now();
        }
        inbox.desert();
        assert_eq!(giver.join().unwrap(), ROOM as u64);
        assert_eq!(inbox.give(posts(1)), 0);
    }

    #[tokio::test]
    async fn what_was_given_before_the_wait_is_news() {
        let inbox = Inbox::default();
        inbox.give(posts(3));
        inbox.news().await;
        inbox.end();
        inbox.news().await;
    }
}
