use hubline::value::DateTime;
use hubline_store::Timestamp;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::api::Problem;

/// Longest id of a user in characters.
const LONGEST_USER: usize = 400;

/// A user, by the id that the hubs know: the claim of the token.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, min_length = 1, max_length = 400, pattern = r"^[^\u0000]+$", example = "ada")]
pub(super) struct User(pub(super) String);

/// A name of the clinic's own, of a consultation or a room.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(
    value_type = String,
    min_length = 1,
    max_length = 200,
    pattern = r"^[^\u0000-\u001f\u007f]+$",
    example = "2026-000123"
)]
pub(super) struct Name(pub(super) String);

impl User {
    /// The id.
    ///
    /// # Errors
    /// 400: no database holds such an id.
    pub(super) fn checked(self, field: &str) -> Result<String, Problem> {
        let length = self.0.chars().count();
        match (1..=LONGEST_USER).contains(&length) && !self.0.contains('\0') {
            true => Ok(self.0),
            false => Err(Problem::field(
                field,
                format!("1 to {LONGEST_USER} characters are needed, none of them NUL"),
            )),
        }
    }
}

impl Name {
    /// The name.
    ///
    /// # Errors
    /// 400.
    pub(super) fn checked(self, field: &str) -> Result<String, Problem> {
        let length = self.0.chars().count();
        match (1..=200).contains(&length) && !self.0.chars().any(|c| c.is_ascii_control()) {
            true => Ok(self.0),
            false => {
                Err(Problem::field(field, "1 to 200 characters are needed, none of them a control character"))
            }
        }
    }
}

/// A time as the API writes it.
pub(super) fn shown(time: Timestamp) -> DateTime {
    OffsetDateTime::from(time).into()
}
