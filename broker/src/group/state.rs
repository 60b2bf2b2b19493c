//! The states of a group.

/// Where a classic group stands.
///
/// ```text
///            first member joins               all have joined, or time is up
///   Empty ─────────────────────▶ Preparing ──────────────────────────────▶ Completing
///     ▲                            ▲    ▲                                     │
///     │ nobody joined              │    └──── one joins, leaves or fails ─────┤
///     └────────────────────────────┤                                          │ the leader's
///                                  └─ one joins, leaves or fails ── Stable ◀──┘ assignment
/// ```
/// A deleted group is not kept: Kafka's `Dead` is what is said of a group that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupState {
    /// No members; offsets may be there.
    Empty,
    /// The members are asked to join (again).
    Preparing,
    /// All have joined; the leader's assignment is awaited.
    Completing,
    /// The members have their assignments.
    Stable,
}

impl GroupState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Empty, Self::Preparing, Self::Completing, Self::Stable];

    /// The name of the state of a group that is not there.
    pub const DEAD: &'static str = "Dead";

    /// Kafka's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Preparing => "PreparingRebalance",
            Self::Completing => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }

    pub(super) fn index(self) -> usize {
        self as usize
    }
}
