//! JoinGroup, SyncGroup, Heartbeat, LeaveGroup.

use std::sync::Arc;

use futures::FutureExt;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};

use odradek_common::limits;

use super::{Deferred, GroupService, answered, fit, fits};
use crate::group::calls::{Answer, JoinCall, Request};
use crate::group::join::for_version;

/// Bytes of a member id behind the client's name.
const UNIQUE_BYTES: usize = 37;

impl GroupService {
    /// JoinGroup, versions 0 to 9. `client_host` is shown to operators; Kafka writes `/192.0.2.7`.
    pub async fn join(
        &self,
        version: i16,
        client_id: &str,
        client_host: &str,
        mut request: JoinGroupRequest,
    ) -> Deferred<JoinGroupResponse> {
        let member_id = request.member_id.clone();
        let refused = move |error: ResponseError| {
            let refused = JoinGroupResponse::default().with_error_code(error.code());
            for_version(refused.with_member_id(member_id), version)
        };
        if let Err(error) = self.check_join(client_id, client_host, &request) {
            return std::future::ready(refused(error)).boxed();
        }
        if version == 0 {
            request.rebalance_timeout_ms = request.session_timeout_ms;
        }
        let group = request.group_id.clone();
        let call = JoinCall {
            version,
            client_id: client_id.into(),
            client_host: Arc::from(client_host),
            unique: self.0.random.next_uuid(),
            request,
        };
        let pending = self.call(&group, Request::Join(Box::new(call))).await;
        let answer = async move {
            let pick = |answer| if let Answer::Join(join) = answer { Some(*join) } else { None };
            match answered(pending.await, pick) {
                Ok(response) => for_version(response, version),
                Err(error) => refused(error),
            }
        };
        answer.boxed()
    }

    fn check_join(
        &self,
        client_id: &str,
        client_host: &str,
        request: &JoinGroupRequest,
    ) -> Result<(), ResponseError> {
        if request.group_id.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        let settings = &self.0.settings;
        let timeout_ms = u128::try_from(request.session_timeout_ms).unwrap_or(0);
        let allowed =
            settings.session_timeout_min.as_millis()..=settings.session_timeout_max.as_millis();
        if !allowed.contains(&timeout_ms) {
            return Err(ResponseError::InvalidSessionTimeout);
        }
        let metadata: usize =
            request.protocols.iter().map(|protocol| protocol.metadata.len()).sum();
        if request.protocols.len() > limits::GROUP_PROTOCOLS
            || metadata > limits::GROUP_RECORD_BYTES
        {
            return Err(ResponseError::InvalidRequest);
        }
        let instance_id = request.group_instance_id.as_deref().unwrap_or("");
        let names = [&**request.group_id, &request.member_id, &request.protocol_type, client_host];
        let protocols = request.protocols.iter().map(|protocol| protocol.name.as_str());
        let longest = client_id.len().max(instance_id.len()) + UNIQUE_BYTES;
        match fit(names.into_iter().chain(protocols)) && fits(longest) {
            true => Ok(()),
            false => Err(ResponseError::InvalidRequest),
        }
    }

    /// SyncGroup, versions 0 to 5.
    pub async fn sync(
        &self,
        version: i16,
        request: SyncGroupRequest,
    ) -> Deferred<SyncGroupResponse> {
        let refused =
            |error: ResponseError| SyncGroupResponse::default().with_error_code(error.code());
        let checked = if request.group_id.is_empty() {
            Err(ResponseError::InvalidGroupId)
        } else if version >= 5
            && (request.protocol_type.is_none() || request.protocol_name.is_none())
        {
            Err(ResponseError::InconsistentGroupProtocol)
        } else {
            Ok(())
        };
        if let Err(error) = checked {
            return std::future::ready(refused(error)).boxed();
        }
        let group = request.group_id.clone();
        let pending = self.call(&group, Request::Sync(request)).await;
        let answer = async move {
            let pick = |answer| if let Answer::Sync(sync) = answer { Some(sync) } else { None };
            let mut response = answered(pending.await, pick).unwrap_or_else(refused);
            if response.error_code == ResponseError::CoordinatorLoadInProgress.code() {
                // Java's consumer does not expect it here; to join again is what there is to do.
                response.error_code = ResponseError::RebalanceInProgress.code();
            }
            if version < 5 {
                (response.protocol_type, response.protocol_name) = (None, None);
            }
            response
        };
        answer.boxed()
    }

    /// Heartbeat, versions 0 to 4.
    pub async fn heartbeat(&self, request: HeartbeatRequest) -> Deferred<HeartbeatResponse> {
        let answer = |code: i16| HeartbeatResponse::default().with_error_code(code);
        if request.group_id.is_empty() {
            return std::future::ready(answer(ResponseError::InvalidGroupId.code())).boxed();
        }
        let group = request.group_id.clone();
        let pending = self.call(&group, Request::Heartbeat(request)).await;
        let answer = async move {
            let pick =
                |answer| if let Answer::Heartbeat(beat) = answer { Some(beat) } else { None };
            match answered(pending.await, pick) {
                Ok(response) => response,
                // The sessions begin anew when the load is over: nothing is wrong with the member.
                Err(ResponseError::CoordinatorLoadInProgress) => answer(0),
                Err(error) => answer(error.code()),
            }
        };
        answer.boxed()
    }

    /// LeaveGroup, versions 0 to 5: of one member before version 3, of many since (KIP-345).
    pub async fn leave(
        &self,
        version: i16,
        request: LeaveGroupRequest,
    ) -> Deferred<LeaveGroupResponse> {
        let refused =
            |error: ResponseError| LeaveGroupResponse::default().with_error_code(error.code());
        if request.group_id.is_empty() {
            return std::future::ready(refused(ResponseError::InvalidGroupId)).boxed();
        }
        let members = match version {
            3.. => request.members,
            _ => vec![MemberIdentity::default().with_member_id(request.member_id)],
        };
        let group = request.group_id.clone();
        let pending = self.call(&group, Request::Leave(request.group_id, members)).await;
        let outcome = self.in_time(pending);
        let answer = async move {
            let pick = |answer| if let Answer::Leave(leave) = answer { Some(leave) } else { None };
            let mut response = answered(outcome.await, pick).unwrap_or_else(refused);
            if version < 3 {
                let member = response.members.drain(..).next();
                let code = member.map_or(response.error_code, |member| member.error_code);
                response.error_code = code;
            }
            response
        };
        answer.boxed()
    }
}
