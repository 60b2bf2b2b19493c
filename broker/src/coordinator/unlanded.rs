//! What was appended and is not known to be durable.

use std::collections::VecDeque;

use super::log::AppendPosition;

/// Sizes of appends by their positions.
#[derive(Debug, Default)]
pub(super) struct Unlanded {
    appends: VecDeque<(AppendPosition, usize)>,
    bytes: usize,
}

impl Unlanded {
    pub(super) fn appended(&mut self, position: AppendPosition, bytes: usize) {
        self.appends.push_back((position, bytes));
        self.bytes += bytes;
    }

    /// Everything before `to` is durable.
    pub(super) fn landed(&mut self, to: AppendPosition) {
        while let Some((_, bytes)) = self.appends.pop_front_if(|(position, _)| *position <= to) {
            self.bytes -= bytes;
        }
    }

    /// The first position that is not known to be durable.
    pub(super) fn first(&self) -> Option<AppendPosition> {
        self.appends.front().map(|(position, _)| *position)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
