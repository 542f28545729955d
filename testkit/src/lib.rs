//! Tests of workflows without providers, servers or waiting.
//!
//! A [`Testkit`] takes a workflow and says what its steps answer; [`Testkit::start`] gives a [`Trial`], a run in virtual
//! time: retries, time-outs and a `sleep` of thirty days pass at once and in their order. Nothing leaves the process, and
//! there are no threads, so a trial gives the same every time.
//!
//! ```
//! use darkroom_testkit::{ErrorClass, Mock, RunStatus, Testkit};
//!
//! let workflow = "
//! workflow: greeting
//! steps:
//!   - id: hero
//!     uses: image.generate
//!     with: {model: flux-pro, prompt: a bakery}
//!   - id: pause
//!     uses: sleep
//!     with: {for: 30d}
//!   - uses: image.resize
//!     with: {image: '${{ steps.hero.image }}', width: 32, height: 32}
//! ";
//! let mut trial = Testkit::from_text("greeting.yaml", workflow)?
//!     .mock("hero", Mock::error(ErrorClass::RateLimit).times(2).then(Mock::image(64, 64)))
//!     .start()?;
//! assert_eq!(trial.finish(), RunStatus::Completed);
//! assert_eq!(trial.attempts("hero"), 3);
//! assert_eq!(trial.output("resize", "image")["width"], 32);
//! assert!(trial.elapsed().as_secs() > 30 * 86_400);
//! # Ok::<(), darkroom_testkit::TestkitError>(())
//! ```
//!
//! What has no mock is done for real where that needs nobody else: pixel work on real pictures, and models by the `local`
//! preview. `http.request` and `notify.webhook` never go out: they succeed with status 200 and are kept in
//! [`Trial::requests`].
//!
//! [`TestFile`] is the same as a file, `NAME.test.yaml`, for `darkroom test`.

mod case;
mod error;
mod event;
mod expectation;
mod inputs;
mod kit;
mod mock;
mod read;
mod schema;
mod stage;
mod trial;

pub use case::{Case, Mismatch, TestFile, Verdict};
pub use darkroom_engine::Decision;
pub use darkroom_proto::{ErrorClass, RunStatus, StepStatus};
pub use error::{Refused, TestkitError};
pub use kit::Testkit;
pub use mock::Mock;
pub use schema::schema;
pub use trial::{Request, Trial};
