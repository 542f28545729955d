//! A fleet under load while something is done to it, and the line that the table of faults has for it.

use super::Fleet;
use super::load::{Load, Workflow};
use super::role::Role;
use super::verdict::Verdict;
use crate::poll;
use darkroom_backend::Clock;
use darkroom_proto::Timestamp;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many steps each run has.
const STEPS: u32 = 5;

/// How many runs are kept unfinished.
const AHEAD: usize = 100;

/// How long the load of a long form lasts at least.
const LONG_MIN: Duration = Duration::from_secs(30);

/// How long everything may take to end once nothing is handed in any more: what was lost is looked for after 30 s.
const END_MAX: Duration = Duration::from_secs(150);

/// Whether the long forms are wanted: `DARKROOM_FAULTS=long`.
pub fn is_long() -> bool {
    std::env::var("DARKROOM_FAULTS").is_ok_and(|form| form == "long")
}

/// The one for the form that is wanted.
pub fn form<T>(short: T, long: T) -> T {
    if is_long() { long } else { short }
}

/// A load of runs × 5 steps × 20 ms, and what happens to the fleet meanwhile.
#[derive(Debug)]
pub struct Ordeal {
    /// The fleet.
    pub fleet: Arc<Fleet>,
    load: Load,
    began: Instant,
    strikes: u32,
    moments: Vec<Timestamp>,
    resumes_within: Option<Duration>,
    row: Row,
}

/// A line of the table; written when it is dropped, so that a scenario that failed has one.
#[derive(Debug)]
struct Row {
    scenario: &'static str,
    planned: u32,
    done: u32,
    found: Option<(Verdict, Duration, Option<Duration>)>,
}

impl Ordeal {
    /// Begins the load, and waits until the fleet is at work. So many strikes are planned.
    pub async fn begin(scenario: &'static str, planned: u32, fleet: Fleet) -> Ordeal {
        Ordeal::begin_ahead(scenario, planned, fleet, AHEAD).await
    }

    /// The same, with so many runs unfinished at once.
    pub async fn begin_ahead(scenario: &'static str, planned: u32, fleet: Fleet, ahead: usize) -> Ordeal {
        let fleet = Arc::new(fleet);
        let row = Row { scenario, planned, done: 0, found: None };
        let began = Instant::now();
        let load = Load::start(&fleet, &Workflow::pipeline(STEPS, Duration::from_millis(20)), ahead).await;
        poll::until("the first runs are done", async || {
            fleet.unfinished().await.is_ok_and(|unfinished| load.handed_in() > unfinished + 20)
        })
        .await;
        Ordeal { fleet, load, began, strikes: 0, moments: Vec::new(), resumes_within: None, row }
    }

    /// To be called just before a strike: it only counts while there is work to disturb.
    pub async fn strike(&mut self) {
        poll::until("work is under way", async || self.fleet.unfinished().await.is_ok_and(|unfinished| unfinished > 0))
            .await;
        self.strikes += 1;
        self.row.done = self.strikes;
    }

    /// From now on the fleet can go on.
    pub fn may_resume(&mut self) {
        self.moments.push(Clock::system().now());
    }

    /// Each shard must have its next step done so soon after it may.
    pub fn must_resume_within(&mut self, time: Duration) {
        self.resumes_within = Some(time);
    }

    /// Ends the load, waits for all of it, and checks that nothing was lost or done twice and nothing lies about.
    pub async fn end(mut self, roles: Vec<Role>) -> Verdict {
        if is_long() {
            tokio::time::sleep(LONG_MIN.saturating_sub(self.began.elapsed())).await;
        }
        let runs = self.load.stop().await;
        self.fleet.all_ended(END_MAX).await;
        let wall = self.began.elapsed();
        let verdict = self.fleet.verify_runs(&runs).await;
        self.fleet.leaves_nothing(roles).await;
        assert!(self.strikes >= self.row.planned, "{} strikes of {} happened", self.strikes, self.row.planned);
        assert_eq!(verdict.steps, verdict.runs * STEPS as usize);
        let resumed = verdict.resumed_after(&self.moments);
        if let (Some(max), Some(resumed)) = (self.resumes_within, resumed) {
            assert!(resumed < max, "a shard had nothing done for {resumed:?}");
        }
        self.row.found = Some((verdict, wall, resumed));
        if let Some(fleet) = Arc::into_inner(self.fleet) {
            fleet.remove().await;
        }
        self.row.tell();
        let (verdict, ..) = self.row.found.take().unwrap();
        // Told already.
        std::mem::forget(self.row);
        verdict
    }
}

impl Row {
    fn tell(&self) {
        let Row { scenario, planned, done, found } = self;
        let line = match found {
            Some((verdict, wall, resumed)) => format!(
                "{scenario}\t{done}/{planned}\t{}\t{}\t{:.1} s\t{}\t{:.1} s\tok",
                verdict.runs,
                verdict.steps,
                wall.as_secs_f64(),
                resumed.map_or("-".to_owned(), |resumed| format!("{:.2} s", resumed.as_secs_f64())),
                verdict.slowest.as_secs_f64(),
            ),
            None => format!("{scenario}\t{done}/{planned}\t-\t-\t-\t-\t-\tFAILED"),
        };
        #[allow(clippy::print_stdout, reason = "what was done is told with the test")]
        {
            println!("{line}");
        }
        if let Some(table) = std::env::var_os("DARKROOM_FAULTS_TABLE") {
            let file = std::fs::File::options().create(true).append(true).open(table);
            let _written = file.and_then(|mut file| writeln!(file, "{line}"));
        }
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        self.tell();
    }
}
