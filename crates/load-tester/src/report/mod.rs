//! What a run found: the [`Report`] and how it is shown, judged and compared.

mod columns;
mod compare;
mod errors;
pub(crate) mod format;
mod html;
mod metric;
pub mod model;
#[cfg(test)]
pub(crate) mod sample;
mod table;
mod threshold;
mod words;

pub use compare::{compare, not_comparable};
pub use errors::{ErrorGroup, Errors};
pub use html::html;
pub use model::Report;
pub use table::table;
pub use threshold::{Checked, ThresholdError, Thresholds};
