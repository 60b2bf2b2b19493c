//! What holds of a group at any time.

use std::collections::HashMap;
use std::sync::Arc;

use super::{GROUP_BYTES, Group, PENDING_BYTES};
use crate::group::member::Member;
use crate::group::state::GroupState;

impl Group {
    /// What the gauges count for it.
    pub(in crate::group) fn memory_bytes(&self) -> usize {
        let members: usize = self.members.values().map(Member::memory_bytes).sum();
        GROUP_BYTES + PENDING_BYTES * self.pending.len() + members
    }

    /// What holds of a group's members at any time.
    pub(in crate::group) fn check(&self) {
        let awaiting = self.members.values().filter(|m| m.join.is_some()).count();
        assert_eq!(self.awaiting_join, awaiting);
        let mut support = HashMap::new();
        for name in self.members.values().flat_map(|m| &m.protocols).map(|p| &p.name) {
            *support.entry(Arc::clone(name)).or_default() += 1;
        }
        assert_eq!(self.support, support);
        assert!(self.members.is_empty() || self.elect_protocol().is_some());
        assert_eq!(self.leader.is_some(), !self.members.is_empty());
        assert!(self.leader.iter().all(|id| self.members.contains_key(id)));
        let statics = self.members.values().filter_map(|m| {
            m.instance_id.as_ref().map(|instance| (Arc::clone(instance), Arc::clone(&m.id)))
        });
        assert_eq!(self.statics, statics.collect());
        assert!(self.pending.iter().all(|id| !self.members.contains_key(id)));
        assert!(self.pending_sync.iter().all(|id| self.members.contains_key(id)));
        match self.state {
            GroupState::Empty => assert!(self.members.is_empty()),
            GroupState::Preparing => assert!(self.pending_sync.is_empty()),
            GroupState::Completing => {
                assert!(self.pending_sync.contains(self.leader.as_ref().unwrap()));
                assert_eq!(self.awaiting_join, 0);
            }
            GroupState::Stable => {
                assert!(!self.members.is_empty());
                assert_eq!(self.awaiting_join, 0);
                assert!(self.members.values().all(|m| m.sync.is_none()));
            }
        }
        assert_eq!(self.initial.is_some(), self.is_initial());
    }
}
