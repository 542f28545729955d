//! `kill -9` at random moments while pictures are being made, again and again, until the run is through.

use crate::folder::{Folder, Live, photo};
use darkroom_backend::{EmbeddedStore, RunFilter, Store as _};
use darkroom_coordinator::decode_event;
use darkroom_engine::What;
use darkroom_proto::{RunId, StepPath};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// How many kills must hit a process that was at work.
const KILLS: u32 = 30;

/// How long after its first sign of work a process lives at most.
const LIFE_MAX: Duration = Duration::from_millis(400);

/// How many runs may be needed for that many kills.
const RUNS_MAX: u64 = 20;

/// Pictures drawn, put through a pipeline each with saves on the way, cut for three networks, shown on a sheet: every
/// kind of step that there is, and about a hundred of them.
const WORKFLOW: &str = r#"
workflow: murdered
inputs:
  photos: {type: "image[]"}
steps:
  - id: drawn
    matrix:
      model: [flux-dev, flux-pro]
      seed: [1, 2, 3]
    uses: image.generate
    with:
      model: ${{ matrix.model }}
      prompt: a mug on a table
      seed: ${{ matrix.seed }}
      width: 640
      height: 640
    save: ./output/drawn/${{ matrix.model }}-${{ matrix.seed }}.png
  - id: branded
    for-each: "inputs.photos + steps.drawn.images"
    max-parallel: 3
    steps:
      - uses: image.resize
        with: {width: 600, height: 600}
      - uses: image.adjust
        with: {contrast: 1.1}
      - uses: image.grayscale
      - uses: image.encode
        with: {format: jpeg}
        save: ./output/branded/${{ number }}.jpg
  - id: social
    for-each: steps.branded.ok
    matrix:
      aspect: ["1:1", "16:9"]
    steps:
      - uses: image.crop
        with:
          aspect: ${{ matrix.aspect }}
          focus: auto
      - uses: image.encode
        with: {format: webp}
        save: ./output/social/${{ number }}-${{ matrix.aspect | slug }}.webp
  - uses: image.contact-sheet
    with:
      results: ${{ steps.drawn.results }}
    save: ./output/sheet.png
"#;

/// A small generator of random numbers (xorshift64*), so that a failing seed can be tried again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % end
    }
}

fn seed() -> u64 {
    let given = std::env::var("DARKROOM_TEST_SEED").ok().map(|text| text.parse().expect("a seed is a number"));
    given.unwrap_or_else(|| darkroom_backend::Clock::system().now().0 | 1)
}

/// What happened in a run, as the store has it.
async fn events(state: &Path, run: RunId) -> Vec<What> {
    let store = EmbeddedStore::open(state).unwrap();
    let events = store.events(run, 0, 1_000_000).await.unwrap();
    events.iter().map(|event| decode_event(&event.body).unwrap().what).collect()
}

/// The newest run, and how many there are.
async fn newest(state: &Path) -> Option<(RunId, usize)> {
    let store = EmbeddedStore::open(state).unwrap();
    let runs = store.list(&RunFilter { limit: 100, ..RunFilter::default() }).await.unwrap();
    runs.first().map(|(run, _)| (*run, runs.len()))
}

/// Which steps were completed, and that none of them was dispatched or completed again.
fn completed_once(events: &[What]) -> BTreeSet<StepPath> {
    let mut completed = BTreeSet::new();
    for event in events {
        match event {
            What::StepCompleted { step, .. } => {
                assert!(completed.insert(step.clone()), "`{step}` was completed twice");
            }
            What::StepDispatched { step, attempt } => {
                assert!(!completed.contains(step), "`{step}` was finished, and dispatched again (attempt {attempt})");
            }
            _ => {}
        }
    }
    completed
}

struct Killer {
    dice: Dice,
    kills: u32,
    /// Of those, how many found steps that were dispatched and not completed.
    in_flight: u32,
}

impl Killer {
    /// Lets the process live for a while after its first sign of work, and kills it. False: it is through.
    fn kill(&mut self, mut live: Live) -> bool {
        if self.kills >= KILLS {
            live.end().expect(0);
            return false;
        }
        // What a process shows first is that a step or an item ended: work is going on.
        let at_work = live.line_where(|line| line.contains("  completed"));
        if at_work.is_none() {
            live.end().expect(0);
            return false;
        }
        let until = Instant::now() + Duration::from_micros(self.dice.below(LIFE_MAX.as_micros() as u64));
        while Instant::now() < until {
            std::thread::yield_now();
        }
        if !live.is_alive() {
            live.end().expect(0);
            return false;
        }
        live.kill()
    }
}

#[tokio::test]
async fn a_run_that_is_killed_thirty_times_makes_what_an_undisturbed_one_makes_and_repeats_nothing() {
    let began = Instant::now();
    let seed = seed();
    println!("seed {seed} (set DARKROOM_TEST_SEED to try it again)");
    let mut killer = Killer { dice: Dice(seed | 1), kills: 0, in_flight: 0 };
    let undisturbed = Folder::new();
    undisturbed.write("murdered.yaml", WORKFLOW);
    undisturbed.run(&args(&photos())).expect(0);
    let mut rounds = 0;
    while killer.kills < KILLS {
        assert!(rounds < RUNS_MAX, "only {} kills hit work in {rounds} runs", killer.kills);
        killed_and_compared(&mut killer, &undisturbed).await;
        rounds += 1;
    }
    println!(
        "{} kills while work was under way ({} with steps in flight at that moment), {rounds} runs, {:.1} s",
        killer.kills,
        killer.in_flight,
        began.elapsed().as_secs_f64()
    );
    assert!(killer.kills >= KILLS);
}

fn photos() -> String {
    format!("photos=@{}/*.png", photo(""))
}

fn args(photos: &str) -> [&str; 4] {
    ["run", "murdered.yaml", "-i", photos]
}

/// One run that is killed until it gets through, compared with one that was left alone.
async fn killed_and_compared(killer: &mut Killer, undisturbed: &Folder) {
    let (disturbed, photos) = (Folder::new(), photos());
    disturbed.write("murdered.yaml", WORKFLOW);

    let state = disturbed.path(".darkroom");
    let mut before: BTreeSet<StepPath> = BTreeSet::new();
    while killer.kill(disturbed.start(&args(&photos))) {
        let (run, runs) = newest(&state).await.expect("the run is in the store");
        assert_eq!(runs, 1, "the same command goes on with the run");
        let events = events(&state, run).await;
        let ended = events.iter().any(|what| matches!(what, What::RunCompleted { .. }));
        let done = completed_once(&events);
        assert!(before.is_subset(&done), "what was finished stays finished");
        before = done;
        // Killed after its last commit, it was not at work any more.
        if ended {
            break;
        }
        killer.kills += 1;
        killer.in_flight += u32::from(in_flight(&events));
    }
    let (run, runs) = newest(&state).await.unwrap();
    assert_eq!(runs, 1, "the same command went on with the run");
    let all = events(&state, run).await;
    completed_once(&all);
    assert!(matches!(all.last(), Some(What::RunCompleted { tolerated: 0 })), "{:?}", all.last());

    let (made, want) = (disturbed.files("output"), undisturbed.files("output"));
    assert_eq!(made.keys().collect::<Vec<_>>(), want.keys().collect::<Vec<_>>(), "the same files, and no others");
    let differ: Vec<&String> =
        want.iter().filter(|(name, bytes)| made[*name] != **bytes).map(|(name, _)| name).collect();
    assert!(differ.is_empty(), "these differ from those of an undisturbed run: {differ:?}");
    assert_eq!(disturbed.names("").iter().filter(|name| !name.starts_with(".darkroom/")).count(), want.len() + 1);
    assert!(disturbed.files(".darkroom/staging").is_empty(), "leftovers: {:?}", disturbed.names(".darkroom/staging"));
    assert!(disturbed.files(".darkroom/artifacts/tmp").is_empty(), "leftovers in the artifact store");
    let kept = [&disturbed, undisturbed].map(|folder| folder.names(".darkroom/artifacts/sha256"));
    assert_eq!(kept[0], kept[1], "the same artifacts");
}

/// Whether a step was dispatched and had not ended.
fn in_flight(events: &[What]) -> bool {
    let mut open = BTreeSet::new();
    for event in events {
        match event {
            What::StepDispatched { step, .. } => drop(open.insert(step.clone())),
            What::StepCompleted { step, .. } | What::StepFailed { step, .. } => drop(open.remove(step)),
            _ => {}
        }
    }
    !open.is_empty()
}
