use serde::Serialize;
use utoipa::ToSchema;

use super::Problem;

/// Largest page.
const LARGEST: u32 = 200;

/// Page that is answered unless another size is asked for.
const USUAL: u32 = 50;

/// One page of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The elements.
    pub(crate) items: Vec<T>,
    /// What to ask for as `after` to get the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) next: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page of what was found when one more than `limit` was asked for.
    pub(crate) fn of(mut found: Vec<T>, limit: u32, cursor: impl Fn(&T) -> String) -> Self {
        let limit = limit as usize;
        let has_more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| has_more).map(cursor);
        Self { items: found, next }
    }
}

/// The size of a page, which may be 1 to 200; 50 unless asked for.
///
/// # Errors
/// 400.
pub(crate) fn page_size(limit: Option<u32>) -> Result<u32, Problem> {
    match limit.unwrap_or(USUAL) {
        limit @ 1..=LARGEST => Ok(limit),
        _ => Err(Problem::field("limit", format!("a number from 1 to {LARGEST} is needed"))),
    }
}
