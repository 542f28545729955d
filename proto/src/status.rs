//! The states that runs and steps are shown in.

use serde::{Deserialize, Serialize};

macro_rules! status {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// Every status.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// The name in documents.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

status! {
    /// The status of a run.
    RunStatus {
        /// Stored, nothing of it has started.
        Pending = "pending",
        /// Steps of it are under way.
        Running = "running",
        /// All that is left waits for time, an event or a person.
        Waiting = "waiting",
        /// Fast retries are spent; it is looked at again when its cause may have gone.
        PendingRetry = "pending_retry",
        /// Somebody paused it.
        Paused = "paused",
        /// Every step ended, and no failure stopped it.
        Completed = "completed",
        /// A step failed, and the run with it.
        Failed = "failed",
        /// Somebody cancelled it.
        Cancelled = "cancelled",
    }
}

status! {
    /// The status of a step.
    StepStatus {
        /// Waits for earlier steps.
        Pending = "pending",
        /// May start; its message is on its way or its turn has not come.
        Ready = "ready",
        /// A worker has it.
        Running = "running",
        /// Waits for a provider, time, an event or a person.
        Waiting = "waiting",
        /// Failed, and will be tried again after a delay.
        Retrying = "retrying",
        /// Done.
        Completed = "completed",
        /// Not needed, or its condition was false.
        Skipped = "skipped",
        /// Failed for good.
        Failed = "failed",
        /// Ended from outside before it was done.
        Cancelled = "cancelled",
        /// Its outputs came from an earlier, equal step.
        Cached = "cached",
    }
}

impl RunStatus {
    /// Whether the run has ended.
    pub fn is_terminal(self) -> bool {
        matches!(self, RunStatus::Completed | RunStatus::Failed | RunStatus::Cancelled)
    }
}

impl StepStatus {
    /// Whether the step has ended.
    pub fn is_terminal(self) -> bool {
        match self {
            StepStatus::Completed
            | StepStatus::Skipped
            | StepStatus::Failed
            | StepStatus::Cancelled
            | StepStatus::Cached => true,
            StepStatus::Pending
            | StepStatus::Ready
            | StepStatus::Running
            | StepStatus::Waiting
            | StepStatus::Retrying => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_written_by_its_name() {
        for status in RunStatus::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        }
        for status in StepStatus::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        }
    }
}
