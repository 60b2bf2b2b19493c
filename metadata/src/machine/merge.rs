//! Index objects become manifests, and the horizon rises.

use std::sync::Arc;

use odradek_common::ids::{GroupId, TopicPartition};
use odradek_common::limits::METADATA_ITEMS;

use super::{Judged, check_applied, check_limit, check_object_name};
use crate::command::Merge;
use crate::image::{Group, Image};
use crate::outcome::{Outcome, Refusal};

impl Image {
    /// Law 4.6: compare-and-swap of the manifest's version, and exactly what it took in goes.
    pub(super) fn merge(&mut self, index: u64, merge: &Merge) -> Judged {
        let taken = merge.taken.iter().map(|(_, partitions)| partitions.len()).sum();
        check_limit("partitions of a command", taken, METADATA_ITEMS)?;
        self.check_mark(index, merge.mark)?;
        let version = self.checked_version(merge)?;
        for (name, partitions) in &merge.taken {
            for partition in partitions {
                self.take_in(name, merge.group, *partition)?;
            }
            self.forget_index_object_if_empty(name);
        }
        if let Some(group) = self.groups.get_mut(&merge.group) {
            group.manifest = merge.manifest.as_deref().map(Arc::from);
            group.version = version;
        }
        self.forget_group_if_empty(merge.group);
        Ok(Outcome::Merged { version })
    }

    /// The version that the manifest gets.
    fn checked_version(&self, merge: &Merge) -> Result<u64, Refusal> {
        let group = self.group(merge.group).ok_or(Refusal::UnknownGroup(merge.group))?;
        let Group { manifest, version, .. } = group;
        if *version != merge.expected_version {
            return Err(Refusal::ManifestVersion { version: *version });
        }
        if let Some(name) = &merge.manifest {
            check_object_name(name)?;
            if manifest.as_deref() == Some(name.as_str()) {
                return Err(Refusal::ManifestNameTaken(name.clone()));
            }
        }
        Ok(version + 1)
    }

    fn take_in(&mut self, name: &str, group: GroupId, at: TopicPartition) -> Result<(), Refusal> {
        let not_accepted = || Refusal::NotAccepted { index_object: name.to_owned(), partition: at };
        let object = self.index_objects.get_mut(name).ok_or_else(not_accepted)?;
        let accepted = object.accepted.get_mut(&group).ok_or_else(not_accepted)?;
        if !accepted.remove_mut(&at) {
            return Err(not_accepted());
        }
        if accepted.is_empty() {
            object.accepted.remove_mut(&group);
        }
        Ok(())
    }

    fn forget_index_object_if_empty(&mut self, name: &str) {
        if self.index_object(name).is_some_and(|object| object.accepted.is_empty()) {
            self.index_objects.remove_mut(name);
        }
    }

    /// Law 4.4: never ahead of what was applied, never back.
    pub(super) fn set_horizon(&mut self, index: u64, horizon: u64) -> Judged {
        check_applied(index, horizon)?;
        if horizon <= self.horizon {
            return Err(Refusal::HorizonNotRaised { horizon: self.horizon });
        }
        self.horizon = horizon;
        Ok(Outcome::HorizonSet)
    }
}
