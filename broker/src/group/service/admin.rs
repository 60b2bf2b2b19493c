//! ListGroups, DescribeGroups, DeleteGroups: of groups in many shards.

use std::collections::{BTreeMap, HashSet};

use futures::FutureExt;
use futures::future::join_all;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    GroupId, ListGroupsRequest, ListGroupsResponse,
};
use kafka_protocol::protocol::StrBytes;
use odradek_common::limits;

use super::{Deferred, GroupService, answered};
use crate::group::calls::{Answer, Request};

/// The groups of a request that lie in one partition, each with its place in the request.
type Places = BTreeMap<Option<i32>, (Vec<usize>, Vec<GroupId>)>;

impl GroupService {
    /// ListGroups, versions 0 to 5: of the partitions owned here, as in Kafka.
    pub async fn list(
        &self,
        version: i16,
        request: ListGroupsRequest,
    ) -> Deferred<ListGroupsResponse> {
        let lower = |filter: &[StrBytes]| -> Vec<String> {
            filter.iter().map(|name| name.to_ascii_lowercase()).collect()
        };
        let (states, types) = (lower(&request.states_filter), lower(&request.types_filter));
        let mut outcomes = Vec::new();
        for (partition, _) in self.shards() {
            let list = Request::List(states.clone(), types.clone());
            let pending = self.call_partition(Some(partition), list).await;
            outcomes.push(self.in_time(pending));
        }
        let answer = async move {
            let mut groups = Vec::new();
            for outcome in join_all(outcomes).await {
                let pick = |answer| if let Answer::List(list) = answer { Some(list) } else { None };
                match answered(outcome, pick) {
                    Ok(listed) => groups.extend(listed),
                    // It is someone else's now, who lists it.
                    Err(ResponseError::NotCoordinator) => {}
                    Err(error) => {
                        return ListGroupsResponse::default().with_error_code(error.code());
                    }
                }
            }
            for group in &mut groups {
                if version < 4 {
                    group.group_state = StrBytes::default();
                }
                if version < 5 {
                    group.group_type = StrBytes::default();
                }
            }
            ListGroupsResponse::default().with_groups(groups)
        };
        answer.boxed()
    }

    /// DescribeGroups, versions 0 to 6, each group once, in the order of the request.
    pub async fn describe(
        &self,
        version: i16,
        request: DescribeGroupsRequest,
    ) -> Deferred<DescribeGroupsResponse> {
        if request.groups.len() > limits::GROUPS_OF_A_REQUEST {
            return std::future::ready(DescribeGroupsResponse::default()).boxed();
        }
        let mut outcomes = Vec::new();
        for (partition, (at, groups)) in self.places(request.groups) {
            let describe = Request::Describe(version, groups.clone());
            let pending = self.call_partition(partition, describe).await;
            outcomes.push(self.in_time(pending).map(|outcome| {
                let pick =
                    |answer| if let Answer::Describe(all) = answer { Some(all) } else { None };
                let failed = |error: ResponseError| {
                    let failed = DescribedGroup::default().with_error_code(error.code());
                    groups.into_iter().map(|id| failed.clone().with_group_id(id)).collect()
                };
                (at, answered(outcome, pick).unwrap_or_else(failed))
            }));
        }
        let answer = async move {
            let mut groups = in_order(join_all(outcomes).await);
            if version < 4 {
                let members = groups.iter_mut().flat_map(|group| &mut group.members);
                members.for_each(|member| member.group_instance_id = None);
            }
            DescribeGroupsResponse::default().with_groups(groups)
        };
        answer.boxed()
    }

    /// DeleteGroups, versions 0 to 2, each group once, in the order of the request.
    pub async fn delete_groups(
        &self,
        request: DeleteGroupsRequest,
    ) -> Deferred<DeleteGroupsResponse> {
        if request.groups_names.len() > limits::GROUPS_OF_A_REQUEST {
            return std::future::ready(DeleteGroupsResponse::default()).boxed();
        }
        let mut outcomes = Vec::new();
        for (partition, (at, groups)) in self.places(request.groups_names) {
            let delete = Request::DeleteGroups(groups.clone());
            let pending = self.call_partition(partition, delete).await;
            outcomes.push(self.in_time(pending).map(|outcome| {
                let pick =
                    |answer| if let Answer::DeleteGroups(all) = answer { Some(all) } else { None };
                let failed = |error: ResponseError| {
                    let failed = DeletableGroupResult::default().with_error_code(error.code());
                    groups.into_iter().map(|id| failed.clone().with_group_id(id)).collect()
                };
                (at, answered(outcome, pick).unwrap_or_else(failed))
            }));
        }
        let answer = async move {
            let results = in_order(join_all(outcomes).await);
            DeleteGroupsResponse::default().with_results(results)
        };
        answer.boxed()
    }

    fn places(&self, groups: Vec<GroupId>) -> Places {
        let mut places = Places::new();
        let mut seen = HashSet::new();
        for (at, group) in groups.into_iter().enumerate() {
            // A group that is named twice is answered once: a short request may not multiply a
            // large group.
            if !seen.insert(group.clone()) {
                continue;
            }
            let (order, groups) = places.entry(self.partition_for(&group)).or_default();
            order.push(at);
            groups.push(group);
        }
        places
    }
}

/// The answers of many shards, in the order of the request.
fn in_order<T>(answers: Vec<(Vec<usize>, Vec<T>)>) -> Vec<T> {
    let mut placed: Vec<(usize, T)> =
        answers.into_iter().flat_map(|(at, answers)| at.into_iter().zip(answers)).collect();
    placed.sort_by_key(|(at, _)| *at);
    placed.into_iter().map(|(_, answer)| answer).collect()
}
