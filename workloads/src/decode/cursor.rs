//! Checked reading of a frame, layer by layer.

use super::skip::{DecodeError, Layer, SkipReason};

/// A place in a frame, and where the frame's current layer ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Length on the wire, as far as the layers so far say; bytes past it are padding.
    wire_end: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], original_len: u32) -> Self {
        let original = usize::try_from(original_len).unwrap_or(usize::MAX);
        Self {
            bytes,
            at: 0,
            // A frame that claims to be shorter on the wire than what was captured is taken at its captured length.
            wire_end: original.max(bytes.len()),
        }
    }

    /// Captured bytes of this layer.
    pub(super) fn available(&self) -> usize {
        self.bytes.len().min(self.wire_end).saturating_sub(self.at)
    }

    /// Bytes of this layer on the wire.
    pub(super) const fn on_wire(&self) -> usize {
        self.wire_end.saturating_sub(self.at)
    }

    /// Says that this layer has `length` bytes from here on, where that is less than known so far.
    pub(super) const fn limit(&mut self, length: usize) {
        let end = self.at.saturating_add(length);
        if end < self.wire_end {
            self.wire_end = end;
        }
    }

    /// The next `N` bytes, which stay.
    pub(super) fn peek<const N: usize>(
        &self,
        layer: Layer,
        reason: SkipReason,
    ) -> Result<&'a [u8; N], DecodeError> {
        self.bytes
            .get(self.at..self.at + N.min(self.available()))
            .and_then(|bytes| bytes.first_chunk::<N>())
            .ok_or_else(|| self.missing(layer, reason, N))
    }

    /// The next `N` bytes, consumed.
    pub(super) fn take<const N: usize>(
        &mut self,
        layer: Layer,
        reason: SkipReason,
    ) -> Result<&'a [u8; N], DecodeError> {
        let bytes = self.peek::<N>(layer, reason)?;
        self.at += N;
        Ok(bytes)
    }

    /// Passes over `length` bytes.
    pub(super) fn skip(
        &mut self,
        length: usize,
        layer: Layer,
        reason: SkipReason,
    ) -> Result<(), DecodeError> {
        if self.available() < length {
            return Err(self.missing(layer, reason, length));
        }
        self.at += length;
        Ok(())
    }

    /// The error that `needed` bytes are not there: the capture's fault where the wire had them, else `reason`.
    pub(super) fn missing(&self, layer: Layer, reason: SkipReason, needed: usize) -> DecodeError {
        let reason = if self.on_wire() >= needed {
            SkipReason::CutBySnapLength
        } else {
            reason
        };
        DecodeError {
            layer,
            reason,
            offset: self.at,
            needed,
            available: self.available(),
        }
    }

    /// The error that a field has the value `value` and should have at least `least`.
    pub(super) const fn bad_value(
        &self,
        layer: Layer,
        reason: SkipReason,
        least: usize,
        value: usize,
    ) -> DecodeError {
        DecodeError {
            layer,
            reason,
            offset: self.at,
            needed: least,
            available: value,
        }
    }
}

/// The big-endian number in two bytes at `at` of a header.
pub(super) const fn be16<const N: usize>(bytes: &[u8; N], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}
