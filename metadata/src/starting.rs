//! Putting the parts together.

use std::collections::BTreeMap;
use std::sync::Arc;

use odradek_common::limits::{FEED_ANSWERS, METADATA_QUEUED_PROPOSALS};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::answers::{MemberAnswers, NoAnswers};
use crate::confirmations;
use crate::copies::Copies;
use crate::follow::FeedFollower;
use crate::handle::{Metadata, room};
use crate::heartbeats::Board;
use crate::ids::ReplicaKey;
use crate::leader::LeaderClient;
use crate::peer::{Answers, Introduction, PeerServer, Peers};
use crate::quorum::{self, CommittedLog, Leadership, Quorum, RaftOptions, Started};
use crate::reads::Reads;
use crate::service::{Options, Service, StartError};
use crate::state::State;
use crate::waiting::Waiting;

/// What a node is to the quorum.
struct Role {
    quorum: Option<Arc<dyn Quorum>>,
    committed: Option<CommittedLog>,
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
        let (noted, secret) = (options.cluster.clone(), options.secret.clone());
        let random = Arc::clone(&options.random);
        let introduction = Introduction::new(me, noted, images.clone(), secret, random);
        let introduction = Arc::new(introduction);
        let network = Arc::clone(&options.network);
        let board = Arc::new(Board::default());
        let peers = Arc::new(Peers::new(network, Arc::clone(&introduction)));
        let copies = Arc::new(Copies::default());
        let role = role(&options, me, &peers, state, (&board, &copies)).await?;
        let server = match server(&options, Arc::clone(&introduction), &role.answers).await {
            Ok(server) => server,
            Err(error) => {
                if let Some(quorum) = role.quorum {
                    quorum.stop().await;
                }
                return Err(error);
            }
        };
        let Role { quorum, committed, answers, leadership, follower } = role;
        let leader = LeaderClient {
            me,
            here: answers,
            peers,
            voters: options.voters,
            leadership,
            turn: usize::try_from(me.node.0).unwrap_or(0).into(),
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
        let metadata = Self {
            proposals: proposer,
            reads,
            waiting,
            leader,
            quorum,
            introduction,
            room: room(),
            board,
            copies,
            committed,
            network: options.network,
        };
        Ok((service, metadata))
    }
}

async fn role(
    options: &Options,
    me: ReplicaKey,
    peers: &Arc<Peers>,
    state: State,
    (board, copies): (&Arc<Board>, &Arc<Copies>),
) -> Result<Role, StartError> {
    let voters = &options.voters;
    let is_member = voters.is_empty() || voters.contains_key(&me.node) || options.listen.is_some();
    if !is_member {
        let (known, leadership) = watch::channel(Leadership::default());
        let follower = FeedFollower::new(me.node, Arc::clone(peers), voters.clone(), state, known);
        let (answers, follower) = (Arc::new(NoAnswers), Some(follower));
        return Ok(Role { quorum: None, committed: None, answers, leadership, follower });
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
    if let Err(error) = check_voters(&*quorum, me, voters.is_empty()).await {
        quorum.stop().await;
        return Err(error);
    }
    let answers = MemberAnswers {
        me,
        quorum: Arc::clone(&quorum),
        committed: committed.clone(),
        leadership: leadership.clone(),
        followers: BTreeMap::new().into(),
        board: Arc::clone(board),
        copies: Arc::clone(copies),
        room: Arc::new(Semaphore::new(FEED_ANSWERS)),
    };
    let (quorum, committed) = (Some(quorum), Some(committed));
    Ok(Role { quorum, committed, answers: Arc::new(answers), leadership, follower: None })
}

/// A node that was in a quorum and is no voter of it waits for others: that is to be seen.
async fn check_voters(
    quorum: &dyn Quorum,
    me: ReplicaKey,
    is_alone: bool,
) -> Result<(), StartError> {
    if !quorum.is_initialised().await.map_err(StartError::raft)? {
        return Ok(());
    }
    let voters = quorum.describe().voters;
    let names: Vec<_> = voters.iter().map(ReplicaKey::to_string).collect();
    let names = names.join(", ");
    if is_alone && !voters.iter().eq([&me]) {
        return Err(StartError::OtherVoters { voters: names });
    }
    if !voters.contains(&me) {
        tracing::warn!(%me, voters = names, "this node does not vote in the quorum that it was in");
    }
    Ok(())
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
