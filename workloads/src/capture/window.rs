//! A bounded window over a byte stream that knows its place in it.
//!
//! Parsers see [`Window::bytes`]; what they need more of is asked for with [`Window::require`], never more than
//! [`WINDOW_BYTES`], so that no length field of a file decides how much memory is taken.

use std::fmt;
use std::io::{self, Read};

/// Bytes the window holds at most: the longest record that is ever looked at as a whole, with its framing.
pub(super) const WINDOW_BYTES: usize = super::MAX_BLOCK_BYTES + 64;

/// The window.
pub(super) struct Window {
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window")
            .field("offset", &self.offset)
            .field("buffered", &(self.end - self.start))
            .finish_non_exhaustive()
    }
}

impl Window {
    pub(super) fn new(source: Box<dyn Read + Send>) -> Self {
        Self {
            source,
            buffer: vec![0; WINDOW_BYTES],
            start: 0,
            end: 0,
            offset: 0,
        }
    }

    /// Offset in the (uncompressed) stream of the first byte of [`Window::bytes`].
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// What is buffered and not consumed.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Reads until `needed` bytes are buffered or the stream ends; returns how many are buffered.
    ///
    /// `needed` over [`WINDOW_BYTES`] counts as [`WINDOW_BYTES`]: callers check lengths first.
    pub(super) fn require(&mut self, needed: usize) -> io::Result<usize> {
        let needed = needed.min(WINDOW_BYTES);
        if self.end - self.start < needed && self.buffer.len() - self.start < needed {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        while self.end - self.start < needed {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                Ok(n) => self.end += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(self.end - self.start)
    }

    /// Consumes `length` buffered bytes and returns them.
    pub(super) fn take(&mut self, length: usize) -> &[u8] {
        let length = length.min(self.end - self.start);
        let from = self.start;
        self.start += length;
        self.offset += length as u64;
        &self.buffer[from..from + length]
    }

    /// Passes over `length` bytes without holding them; returns how many there were.
    pub(super) fn skip(&mut self, length: u64) -> io::Result<u64> {
        let mut left = length;
        while left > 0 {
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(WINDOW_BYTES);
            // One byte is enough to go on: a long skip runs at the pace of the source's reads.
            let buffered = self.require(1)?;
            if buffered == 0 {
                break;
            }
            left -= self.take(step.min(buffered)).len() as u64;
        }
        Ok(length - left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, as a slow pipe may.
    struct Drip(u8);

    impl Read for Drip {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            if self.0 == 200 {
                return Ok(0);
            }
            buf[0] = self.0;
            self.0 += 1;
            Ok(1)
        }
    }

    #[test]
    fn offsets_follow_takes_and_skips() {
        let mut window = Window::new(Box::new(Drip(0)));
        assert_eq!(window.require(10).unwrap(), 10);
        assert_eq!(window.take(10), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(window.skip(90).unwrap(), 90);
        assert_eq!(window.offset(), 100);
        assert_eq!(window.require(1000).unwrap(), 100);
        assert_eq!(window.bytes()[0], 100);
        assert_eq!(window.skip(1000).unwrap(), 100);
        assert_eq!(window.offset(), 200);
    }

    #[test]
    fn a_window_is_never_larger_than_its_bound() {
        let mut window = Window::new(Box::new(io::repeat(7)));
        assert_eq!(window.require(usize::MAX).unwrap(), WINDOW_BYTES);
        window.take(WINDOW_BYTES - 3);
        assert_eq!(window.require(WINDOW_BYTES).unwrap(), WINDOW_BYTES);
        assert_eq!(window.buffer.len(), WINDOW_BYTES);
    }
}
