//! ListGroups, DescribeGroups, DeleteGroups.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::GroupId;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use odradek_common::limits;

use super::calls::{Answer, str_bytes};
use super::classic::Group;
use super::machine::GroupMachine;
use super::state::GroupState;
use crate::coordinator::Token;

/// Kafka's name of the type of the groups here.
const TYPE: &str = "classic";
/// From this version of DescribeGroups on a group that is not there is called that.
const KNOWS_GROUP_NOT_FOUND: i16 = 6;

impl GroupMachine {
    pub(super) fn list(&mut self, token: Token, states: &[String], types: &[String]) {
        let is_wanted = |group: &&Group| {
            let state = group.state().name().to_ascii_lowercase();
            (states.is_empty() || states.contains(&state))
                && (types.is_empty() || types.iter().any(|t| t == TYPE))
        };
        let groups = self.groups.values().filter(is_wanted).map(|group| {
            ListedGroup::default()
                .with_group_id(GroupId(str_bytes(&group.id)))
                .with_protocol_type(str_bytes(group.protocol_type.as_deref().unwrap_or("")))
                .with_group_state(str_bytes(group.state().name()))
                .with_group_type(str_bytes(TYPE))
        });
        let groups = groups.collect();
        self.cx.answer_confirmed(token, Answer::List(groups));
    }

    pub(super) fn describe(&mut self, token: Token, version: i16, ids: &[GroupId]) {
        let mut bytes = 0;
        let described = ids.iter().map(|id| match self.groups.get(id.as_str()) {
            Some(_) if bytes >= limits::COORDINATOR_WAITING_BYTES => too_much(id),
            Some(group) => {
                let described = described(id, group);
                bytes += Answer::described_bytes(&described);
                described
            }
            None => not_found(id, version),
        });
        let described = described.collect();
        self.cx.answer_confirmed(token, Answer::Describe(described));
    }

    pub(super) fn delete_groups(&mut self, token: Token, ids: &[GroupId]) {
        let results = ids.iter().map(|id| {
            let error = self.delete_group(id).err();
            DeletableGroupResult::default()
                .with_group_id(id.clone())
                .with_error_code(error.map_or(0, |error| error.code()))
        });
        let results = results.collect();
        self.cx.answer(token, Answer::DeleteGroups(results));
    }

    fn delete_group(&mut self, id: &GroupId) -> Result<(), ResponseError> {
        let group = self.groups.get(id.as_str()).ok_or(ResponseError::GroupIdNotFound)?;
        if group.state() != GroupState::Empty {
            return Err(ResponseError::NonEmptyGroup);
        }
        let id = Arc::clone(&group.id);
        tracing::info!(group = %id, "the group is deleted");
        self.end_group(&id);
        Ok(())
    }
}

fn described(id: &GroupId, group: &Group) -> DescribedGroup {
    let protocol = match group.state() {
        GroupState::Stable => Some(group.protocol.as_deref().unwrap_or("")),
        GroupState::Empty | GroupState::Preparing | GroupState::Completing => None,
    };
    DescribedGroup::default()
        .with_group_id(id.clone())
        .with_group_state(str_bytes(group.state().name()))
        .with_protocol_type(str_bytes(group.protocol_type.as_deref().unwrap_or("")))
        .with_protocol_data(str_bytes(protocol.unwrap_or("")))
        .with_members(group.members.values().map(|member| member.describe(protocol)).collect())
}

/// One answer holds only so much; the group is to be described by itself.
fn too_much(id: &GroupId) -> DescribedGroup {
    DescribedGroup::default()
        .with_group_id(id.clone())
        .with_error_code(ResponseError::CoordinatorNotAvailable.code())
}

fn not_found(id: &GroupId, version: i16) -> DescribedGroup {
    let group = DescribedGroup::default()
        .with_group_id(id.clone())
        .with_group_state(str_bytes(GroupState::DEAD));
    if version < KNOWS_GROUP_NOT_FOUND {
        return group;
    }
    let message = format!("Group {} not found.", id.as_str());
    group
        .with_error_code(ResponseError::GroupIdNotFound.code())
        .with_error_message(Some(str_bytes(&message)))
}
