/// What a task or a piece of blocking work is for. Lanes do not wait for one another, so that a stalled disk is
/// not taken for a dead broker and a cold read does not hold up a hot one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Client connections.
    Connections,
    /// Making appended records durable.
    Commit,
    /// Reads that are not in memory: cold local ranges, the bucket. And compressing, where a topic asks the broker for it.
    ColdRead,
    /// Retention, offload, checkpoints.
    Background,
    /// Heartbeats, metadata, coordinators, replica fetches.
    Control,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Lane; 5] =
        [Lane::Connections, Lane::Commit, Lane::ColdRead, Lane::Background, Lane::Control];

    /// The lane's position in [`Lane::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// A short name, for threads and traces.
    pub const fn name(self) -> &'static str {
        match self {
            Lane::Connections => "connections",
            Lane::Commit => "commit",
            Lane::ColdRead => "cold-read",
            Lane::Background => "background",
            Lane::Control => "control",
        }
    }
}
