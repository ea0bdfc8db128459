//! Names of models and providers, as the store takes them.

use hubline_store::navigation::LONGEST_NAME;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a name is, in words.
pub(super) const NAME: &str =
    "1 to 200 characters, without control characters and without white space at its ends";

/// The name of a model or provider: 1 to 200 characters, no control characters, no white space at its ends.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(
    as = ModelName,
    value_type = String,
    min_length = 1,
    max_length = 200,
    pattern = r"^[^\s\u0000-\u001f\u007f-\u009f]([^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f])?$",
    example = "gpt-4"
)]
pub(super) struct Name(String);

impl Name {
    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// Whether the store takes it.
pub(super) fn is_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.chars().count())
        && text.trim() == text
        && !text.contains(char::is_control)
}
