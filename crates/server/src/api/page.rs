use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::Whole;
use super::whole::integer;

/// Largest page.
const LARGEST: i64 = 200;

/// Page that is answered unless another size is asked for.
const USUAL: u32 = 50;

/// The parameter `limit` of a list: how many elements a page has at most, 1 to 200; 50 unless asked for. It makes the [`Page`] of what was
/// found.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct PageSize(Option<Whole<1, LARGEST>>);

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

impl PageSize {
    /// How many to look for: one more than the page has, which tells whether there is another.
    pub(crate) fn and_one(self) -> u32 {
        self.size() + 1
    }

    /// Makes a page of what was found, each element as it is shown. `cursor` tells what to ask for behind an element.
    pub(crate) fn page<T, U: From<T>>(self, mut found: Vec<T>, cursor: impl Fn(&T) -> String) -> Page<U> {
        let size = self.size() as usize;
        let has_more = found.len() > size;
        found.truncate(size);
        let next = found.last().filter(|_| has_more).map(cursor);
        Page { items: found.into_iter().map(U::from).collect(), next }
    }

    fn size(self) -> u32 {
        self.0.map_or(USUAL, Whole::as_u32)
    }
}

impl ToSchema for PageSize {}

impl PartialSchema for PageSize {
    fn schema() -> RefOr<Schema> {
        integer(1, LARGEST).default(Some(json!(USUAL))).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_what_is_behind_it() {
        let page = |limit: Option<&str>, found: u32| {
            let limit: PageSize =
                limit.map_or_else(PageSize::default, |limit| serde_json::from_str(limit).unwrap());
            assert!(found <= limit.and_one());
            let page: Page<u64> = limit.page((0..found).collect(), u32::to_string);
            (page.items.len(), page.next)
        };
        assert_eq!(page(Some("2"), 3), (2, Some("1".to_owned())));
        assert_eq!(page(Some("2"), 2), (2, None));
        assert_eq!(page(Some("2"), 0), (0, None));
        assert_eq!(page(None, 51), (50, Some("49".to_owned())));
    }
}
