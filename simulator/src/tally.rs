//! [`Tally`]: how much has happened.

/// How much has happened in a [`Simulator`](crate::Simulator), of what it remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Jobs that were charged.
    pub charges: u64,
    /// Questions about jobs, those for results included.
    pub polls: u64,
    /// The most that one job was asked about.
    pub polls_most: u32,
    /// Requests of any kind, files not counted.
    pub requests: u64,
}
