//! What is measured while a run goes on: latencies, the phases of connecting, what happened in each second, and what the tester
//! itself uses of its machine.

mod limits;
mod own_use;
mod phases;
mod recorder;
mod series;

pub use limits::Limits;
pub use own_use::{OwnSample, OwnUse, OwnUseMeter};
pub use phases::{PhaseTimes, Phases};
pub use recorder::{Percentiles, Recorder};
pub use series::{Histograms, Second, Series, Window};
