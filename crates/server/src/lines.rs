//! The body of a request as lines, of which there may be any number.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use tokio::sync::watch;

use crate::body;
use crate::fault::Fault;
use crate::held::{Share, Turn};

/// Bytes that are read before anybody asks for them, so that a client that goes is noticed while its lines are computed.
const AHEAD: usize = 256 << 10;

/// What comes at once, about.
const READ: usize = 64 << 10;

/// A line, with its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Whole(Vec<u8>),
    /// One that is longer than a line may be. What follows of it is dropped.
    TooLong,
}

/// Lines of a body, as it comes.
pub(crate) struct Lines {
    body: Body,
    bytes: VecDeque<u8>,
    /// Bytes from the front in which there is no end of a line.
    searched: usize,
    /// Bytes that a line may have without its end, and that may be here while the client takes no answers.
    limit: usize,
    /// The rest of a line that was too long is on its way.
    skipping: bool,
    ended: bool,
    /// What is here beyond `AHEAD`.
    share: Share,
    /// It may go on with its line where there is no room: others wait until it is whole, or does not go on.
    turn: Option<Turn>,
    /// How long it may keep still while others wait.
    patience: Duration,
}

impl Lines {
    pub(crate) fn new(body: Body, limit: usize, share: Share, patience: Duration) -> Self {
        let bytes = VecDeque::new();
        Self { body, bytes, searched: 0, limit, skipping: false, ended: false, share, turn: None, patience }
    }

    /// That of the lines that are here.
    pub(crate) fn share(&self) -> &Share {
        &self.share
    }

    /// Whether all of the body was read.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The next line, if it is here. The last needs no end.
    pub(crate) fn ready(&mut self) -> Option<Line> {
        loop {
            let end = self.end();
            let length = match end {
                Some(end) => end + 1,
                None if self.ended => self.bytes.len(),
                None => {
                    self.searched = self.bytes.len();
                    let too_long = !self.skipping && self.bytes.len() > self.limit;
                    if too_long || self.skipping {
                        self.skipping = true;
                        self.forget(self.bytes.len());
                    }
                    return too_long.then_some(Line::TooLong);
                }
            };
            if length == 0 {
                return None;
            }
            let long = length - usize::from(end.is_some()) > self.limit;
            if self.skipping || long {
                self.forget(length);
                if !std::mem::take(&mut self.skipping) {
                    return Some(Line::TooLong);
                }
                continue;
            }
            let line = self.bytes.range(..length).copied().collect();
            self.forget(length);
            return Some(Line::Whole(line));
        }
    }

    /// Where the first line ends.
    fn end(&self) -> Option<usize> {
        let (front, back) = self.bytes.as_slices();
        let in_front = front.get(self.searched..).unwrap_or(&[]);
        if let Some(at) = in_front.iter().position(|&byte| byte == b'\n') {
            return Some(self.searched + at);
        }
        let from = self.searched.saturating_sub(front.len());
        let at = back[from..].iter().position(|&byte| byte == b'\n')?;
        Some(front.len() + from + at)
    }

    fn forget(&mut self, count: usize) {
        self.bytes.drain(..count);
        self.searched = 0;
        self.turn = None;
        self.share.set(self.bytes.len().saturating_sub(AHEAD));
        if self.bytes.is_empty() && self.bytes.capacity() > 4 * AHEAD {
            self.bytes = VecDeque::new();
        }
    }

    /// Reads on, at least a byte or the end, as soon as there is room. What was read stays, also if this is dropped before it
    /// is ready.
    pub(crate) async fn read(&mut self) -> Result<(), Fault> {
        let data = loop {
            if self.turn.is_none() && self.bytes.len() > AHEAD {
                // Half a line gives no room back before it is whole. Of many halves one at a time goes on.
                let is_half = self.searched == self.bytes.len();
                self.turn = self.share.room(self.bytes.len() - AHEAD + READ, is_half).await;
            }
            let next = body::next(&mut self.body);
            if self.turn.is_none() {
                break next.await?;
            }
            match tokio::time::timeout(self.patience, next).await {
                Ok(data) => break data?,
                Err(_) => self.turn = None,
            }
        };
        match data {
            Some(data) => {
                if data.contains(&b'\n') {
                    self.turn = None;
                }
                self.bytes.extend(&data);
                self.share.set(self.bytes.len().saturating_sub(AHEAD));
            }
            None => self.ended = true,
        }
        Ok(())
    }

    /// What `work` gives; meanwhile it reads a little ahead, or much while `blocked` says that the client takes no answers:
    /// one that sends all it has before it reads is not stuck before the limit.
    pub(crate) async fn during<T>(
        &mut self,
        work: impl Future<Output = T>,
        blocked: &mut watch::Receiver<bool>,
    ) -> Result<T, Fault> {
        let mut work = pin!(work);
        // Others need not wait for it.
        self.turn = None;
        loop {
            let room = if *blocked.borrow_and_update() { self.limit.max(AHEAD) } else { AHEAD };
            let more = !self.ended && self.bytes.len() < room;
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                read = self.read(), if more => read?,
                // Where nobody writes any more, `work` says so.
                Ok(()) = blocked.changed() => {}
            }
        }
    }

    /// What `work` gives; meanwhile what a client still sends is read for nobody.
    pub(crate) async fn draining<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = self.drain(Duration::MAX) => {}
        }
        work.await
    }

    /// Reads what a client still sends, for nobody.
    pub(crate) async fn drain(&mut self, patience: Duration) {
        self.forget(self.bytes.len());
        body::drain(&mut self.body, patience).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::held::Held;

    fn lines(limit: usize) -> Lines {
        Lines::new(Body::empty(), limit, Held::new(usize::MAX).share(), Duration::from_secs(1))
    }

    fn whole(line: &str) -> Option<Line> {
        Some(Line::Whole(line.as_bytes().to_vec()))
    }

    #[test]
    fn lines_come_out_as_they_are_complete_however_they_came() {
        let text = "one\n\ntwo\r\nthree";
        for size in 1..text.len() {
            let mut lines = lines(100);
            let mut seen = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                lines.bytes.extend(piece);
                seen.extend(std::iter::from_fn(|| lines.ready()));
            }
            assert_eq!(seen.len(), 3);
            lines.ended = true;
            seen.extend(std::iter::from_fn(|| lines.ready()));
            let wanted = ["one\n", "\n", "two\r\n", "three"].map(whole);
            assert_eq!(seen, wanted.map(|line| line.expect("a line")), "{size}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_told_once_and_no_other_suffers() {
        let long = "x".repeat(11);
        for size in [1, 3, 8, 100] {
            for (text, last) in
                [(format!("{long}\nnext\n{long}"), true), (format!("a\n{long}{long}\nb"), false)]
            {
                let mut lines = lines(10);
                let mut seen = Vec::new();
                for piece in text.as_bytes().chunks(size) {
                    lines.bytes.extend(piece);
                    seen.extend(std::iter::from_fn(|| lines.ready()));
                    assert!(lines.bytes.len() <= 10 + size);
                }
                lines.ended = true;
                seen.extend(std::iter::from_fn(|| lines.ready()));
                let wanted = match last {
                    true => [Some(Line::TooLong), whole("next\n"), Some(Line::TooLong)],
                    false => [whole("a\n"), Some(Line::TooLong), whole("b")],
                };
                assert_eq!(seen, wanted.map(|line| line.expect("a line")), "{size}");
            }
        }
        let mut fits = lines(10);
        fits.bytes.extend(b"0123456789\n0123456789");
        fits.ended = true;
        assert_eq!([fits.ready(), fits.ready()], ["0123456789\n", "0123456789"].map(whole));
    }
}
