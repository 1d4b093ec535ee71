//! Segments that are compressed on several threads and come back in the order in which they were given.

use std::collections::VecDeque;
use std::io;
use std::num::NonZero;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::compress::{Compressor, Segment};

/// More threads than this only wait for the disk or the network.
const MOST_THREADS: usize = 16;

/// What comes out, in order: segments, and the marks that were put between them.
pub(super) enum Item<M> {
    Segment(Segment),
    Mark(M),
}

enum Slot<M> {
    Mark(M),
    Compressing(Receiver<io::Result<Segment>>),
}

/// A queue of segments and of marks between them.
///
/// Whoever fills it takes out what is [`ready`](Self::ready) each time; it waits there when there is enough to do for all
/// threads. That bounds the memory: to twice as many segments as there are threads.
pub(super) struct Ordered<M> {
    slots: VecDeque<Slot<M>>,
    compressing: usize,
    threads: Threads,
}

impl<M> Ordered<M> {
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self::with_threads(cores.min(MOST_THREADS))
    }

    /// With so many threads at most; without any it compresses in the one that calls.
    fn with_threads(most: usize) -> Self {
        Self {
            slots: VecDeque::new(),
            compressing: 0,
            threads: Threads::new(most),
        }
    }

    pub(super) fn mark(&mut self, mark: M) {
        self.slots.push_back(Slot::Mark(mark));
    }

    /// Gives content to be compressed; `last` ends its stream.
    pub(super) fn compress(&mut self, content: Vec<u8>, last: bool) {
        let answer = self.threads.compress(content, last, self.compressing);
        self.slots.push_back(Slot::Compressing(answer));
        self.compressing += 1;
    }

    /// The next item if it is there, or if there is so much to do that it must be waited for.
    pub(super) fn ready(&mut self) -> io::Result<Option<Item<M>>> {
        self.next(self.compressing >= 2 * self.threads.most)
    }

    /// The next item, waited for; none at the end.
    pub(super) fn rest(&mut self) -> io::Result<Option<Item<M>>> {
        self.next(true)
    }

    fn next(&mut self, wait: bool) -> io::Result<Option<Item<M>>> {
        match self.slots.pop_front() {
            None => Ok(None),
            Some(Slot::Mark(mark)) => Ok(Some(Item::Mark(mark))),
            Some(Slot::Compressing(answer)) => match receive(&answer, wait)? {
                Some(segment) => {
                    self.compressing -= 1;
                    Ok(Some(Item::Segment(segment)))
                }
                None => {
                    self.slots.push_front(Slot::Compressing(answer));
                    Ok(None)
                }
            },
        }
    }
}

fn receive(answer: &Receiver<io::Result<Segment>>, wait: bool) -> io::Result<Option<Segment>> {
    let answer = match wait {
        true => answer.recv().map_err(|_| TryRecvError::Disconnected),
        false => answer.try_recv(),
    };
    match answer {
        Ok(segment) => segment.map(Some),
        Err(TryRecvError::Empty) => Ok(None),
        Err(TryRecvError::Disconnected) => Err(io::Error::other("a thread that compresses ended")),
    }
}

struct Job {
    content: Vec<u8>,
    last: bool,
    answer: SyncSender<io::Result<Segment>>,
}

impl Job {
    fn run(self, compressor: &mut Compressor) {
        // Nobody waits for the answer when the archive was given up.
        let _ = self.answer.send(compressor.compress(&self.content, self.last));
    }
}

/// Threads that compress: started when there is something to do for them, gone when this is.
struct Threads {
    jobs: Option<Sender<Job>>,
    queue: Arc<Mutex<Receiver<Job>>>,
    running: Vec<JoinHandle<()>>,
    most: usize,
}

impl Threads {
    fn new(most: usize) -> Self {
        let (jobs, queue) = mpsc::channel();
        Self {
            jobs: Some(jobs),
            queue: Arc::new(Mutex::new(queue)),
            running: Vec::new(),
            most,
        }
    }

    fn compress(&mut self, content: Vec<u8>, last: bool, waiting: usize) -> Receiver<io::Result<Segment>> {
        let (answer, result) = mpsc::sync_channel(1);
        let job = Job {
            content,
            last,
            answer,
        };
        if waiting >= self.running.len() && self.running.len() < self.most {
            self.start();
        }
        match &self.jobs {
            // Cannot fail: this holds the other end.
            Some(jobs) if !self.running.is_empty() => drop(jobs.send(job)),
            _ => job.run(&mut Compressor::new()),
        }
        result
    }

    /// One thread more. Where the system gives none, those that run do the work, or the caller itself.
    fn start(&mut self) {
        let queue = Arc::clone(&self.queue);
        let thread = std::thread::Builder::new().name("wharf-compress".to_owned());
        self.running.extend(thread.spawn(move || work(&queue)));
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.running.drain(..) {
            // One that panicked has no answer left, and that was told.
            let _ = thread.join();
        }
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    let mut compressor = Compressor::new();
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(job) = next() {
        job.run(&mut compressor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out of a queue with so many threads: compressed bytes, and the marks.
    fn run(threads: usize) -> (Vec<u8>, Vec<usize>) {
        let (mut out, mut marks) = (Vec::new(), Vec::new());
        let mut queue = Ordered::with_threads(threads);
        let mut take = |item| match item {
            Item::Segment(segment) => out.extend(segment.compressed),
            Item::Mark(mark) => marks.push(mark),
        };
        for number in 0..100_usize {
            queue.mark(number);
            queue.compress(
                format!("{number} ").repeat(1 + number * 37 % 5000).into(),
                number == 99,
            );
            while let Some(item) = queue.ready().unwrap() {
                take(item);
            }
            assert!(queue.compressing <= 2 * threads, "{} wait", queue.compressing);
        }
        while let Some(item) = queue.rest().unwrap() {
            take(item);
        }
        (out, marks)
    }

    #[test]
    fn the_number_of_threads_does_not_change_the_bytes() {
        let (bytes, marks) = run(0);
        assert_eq!(marks, (0..100).collect::<Vec<_>>());
        for threads in [1, 2, 7] {
            assert!(
                run(threads) == (bytes.clone(), marks.clone()),
                "{threads} threads"
            );
        }
    }

    #[test]
    fn what_is_given_up_leaves_no_thread() {
        let mut queue = Ordered::<()>::with_threads(3);
        for _ in 0..6 {
            queue.compress(vec![1; 100_000], false);
        }
        let jobs = Arc::downgrade(&queue.threads.queue);
        drop(queue);
        assert!(jobs.upgrade().is_none(), "a thread holds the queue");
    }
}
