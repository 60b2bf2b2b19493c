//! Putting the parts together.

use std::collections::BTreeMap;
use std::sync::Arc;

use odradek_common::limits::METADATA_QUEUED_PROPOSALS;
use tokio::sync::{mpsc, watch};

use crate::answers::{MemberAnswers, NoAnswers};
use crate::confirmations;
use crate::follow::FeedFollower;
use crate::handle::{Metadata, room};
use crate::ids::ReplicaKey;
use crate::leader::LeaderClient;
use crate::peer::{Answers, Introduction, PeerServer, Peers};
use crate::quorum::{self, Leadership, Quorum, RaftOptions, Started};
use crate::reads::Reads;
use crate::service::{Options, Service, StartError};
use crate::state::State;
use crate::waiting::Waiting;

/// What a node is to the quorum.
struct Role {
    quorum: Option<Arc<dyn Quorum>>,
    answers: Arc<dyn Answers>,
    leadership: watch::Receiver<Leadership>,
    follower: Option<FeedFollower>,
}

impl Metadata {
    /// Opens log and snapshots and starts Raft, on a node that votes or is to; any other follows the
    /// voters. Nobody is waited for: [`Metadata::founders`] and [`Metadata::initialise`] make a
    /// quorum, [`Metadata::caught_up`] waits for one. A lone voter leads at once. All else needs
    /// [`Service::run`].
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(options: Options) -> Result<(Service, Self), StartError> {
        if options.node.0 < 0 {
            return Err(StartError::NodeId(options.node));
        }
        let me = ReplicaKey { node: options.node, directory: options.directory_id };
        let waiting = Arc::new(Waiting::new(&options.random));
        let state = State::new(Arc::clone(&waiting));
        let images = state.subscribe();
        let introduction = Introduction::new(me, options.cluster.clone(), images.clone());
        let introduction = Arc::new(introduction);
        let network = Arc::clone(&options.network);
        let peers = Arc::new(Peers::new(network, Arc::clone(&introduction)));
        let role = role(&options, me, &peers, state).await?;
        let server = match server(&options, introduction, &role.answers).await {
            Ok(server) => server,
            Err(error) => {
                if let Some(quorum) = role.quorum {
                    quorum.stop().await;
                }
                return Err(error);
            }
        };
        let Role { quorum, answers, leadership, follower } = role;
        let leader = LeaderClient {
            me,
            here: answers,
            peers,
            voters: options.voters,
            leadership,
            turn: 0.into(),
        };
        let leader = Arc::new(leader);
        let (proposer, proposals) = mpsc::channel(METADATA_QUEUED_PROPOSALS);
        let (askers, confirmations) = confirmations::queue();
        let reads = Reads { images, askers };
        let service = Service {
            proposals,
            confirmations,
            waiting: Arc::clone(&waiting),
            leader: Arc::clone(&leader),
            reads: reads.clone(),
            quorum: quorum.clone(),
            server,
            follower,
        };
        let metadata = Self { proposals: proposer, reads, waiting, leader, quorum, room: room() };
        Ok((service, metadata))
    }
}

async fn role(
    options: &Options,
    me: ReplicaKey,
    peers: &Arc<Peers>,
    state: State,
) -> Result<Role, StartError> {
    let voters = &options.voters;
    let is_member = voters.is_empty() || voters.contains_key(&me.node) || options.listen.is_some();
    if !is_member {
        let (known, leadership) = watch::channel(Leadership::default());
        let follower = FeedFollower::new(Arc::clone(peers), voters.clone(), state, known);
        let (answers, follower) = (Arc::new(NoAnswers), Some(follower));
        return Ok(Role { quorum: None, answers, leadership, follower });
    }
    let raft = RaftOptions {
        me,
        directory: options.directory.clone(),
        formed: options.cluster.is_some(),
        files: options.files.clone(),
        snapshot_entries: options.snapshot_entries,
        phases: options.phases.clone(),
        endpoints: voters.clone(),
        peers: Arc::clone(peers),
    };
    let Started { quorum, committed, leadership } = quorum::start(raft, state).await?;
    let answers = MemberAnswers {
        me,
        quorum: Arc::clone(&quorum),
        committed,
        leadership: leadership.clone(),
        followers: BTreeMap::new().into(),
    };
    Ok(Role { quorum: Some(quorum), answers: Arc::new(answers), leadership, follower: None })
}

async fn server(
    options: &Options,
    introduction: Arc<Introduction>,
    answers: &Arc<dyn Answers>,
) -> Result<Option<PeerServer>, StartError> {
    let Some(endpoint) = &options.listen else { return Ok(None) };
    let listening = options.network.listen(&endpoint.host, endpoint.port).await;
    let listeners =
        listening.map_err(|source| StartError::Listen { endpoint: endpoint.clone(), source })?;
    Ok(Some(PeerServer::new(listeners, introduction, Arc::clone(answers))))
}
