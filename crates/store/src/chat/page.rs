//! Pages are bounded by the size of their texts too: sizes are read first, and then no more texts than fit.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::Message;
use super::history::message;
use crate::chat::Conversation;
use crate::{Connection, StoreError};

/// Bytes of the texts on one page at most, in UTF-8; one message is on it in any case.
pub const MAXIMUM_PAGE_BYTES: usize = 1024 * 1024;

/// Messages of a conversation: behind one, up to another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    pub(crate) number: i64,
    pub(crate) behind: i64,
    pub(crate) up_to: i64,
}

/// A message without its text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sized {
    pub(crate) number: i64,
    pub(crate) id: i64,
    /// Bytes of its text.
    pub(crate) size: i64,
}

impl Range {
    /// One message.
    pub(crate) fn one(number: i64, id: i64) -> Self {
        Self { number, behind: id - 1, up_to: id }
    }
}

/// How many of the texts with these sizes, from the first on, are on one page.
pub(crate) fn fitting(sizes: impl IntoIterator<Item = i64>) -> usize {
    let mut total = 0_u64;
    let fits = |(place, size): &(usize, i64)| {
        total = total.saturating_add(u64::try_from(*size).unwrap_or_default());
        *place == 0 || total <= MAXIMUM_PAGE_BYTES as u64
    };
    sizes.into_iter().enumerate().take_while(fits).count()
}

/// The messages in the ranges without their texts, in the order of the ranges and of their ids.
pub(crate) async fn sizes_in(db: &mut Connection, ranges: &[Range]) -> Result<Vec<Sized>, StoreError> {
    let rows = rows_in(db, ranges, "m.conversation, m.id, CAST(OCTET_LENGTH(m.text) AS BIGINT)").await?;
    let sized =
        |row: &AnyRow| Ok(Sized { number: row.try_get(0)?, id: row.try_get(1)?, size: row.try_get(2)? });
    rows.iter().map(sized).collect()
}

/// The messages in the ranges, in the order of the ranges and of their ids. Those whose conversation is not known by `conversation` are
/// left out.
pub(crate) async fn messages_in<'a>(
    db: &mut Connection,
    ranges: &[Range],
    conversation: impl Fn(i64) -> Option<&'a Conversation>,
) -> Result<Vec<Message>, StoreError> {
    let rows = rows_in(db, ranges, "m.conversation, m.id, m.sender, m.text, m.sent_at").await?;
    let mut messages = Vec::with_capacity(rows.len());
    for row in &rows {
        if let Some(conversation) = conversation(row.try_get(0)?) {
            messages.push(message(row, conversation.clone())?);
        }
    }
    Ok(messages)
}

async fn rows_in(db: &mut Connection, ranges: &[Range], columns: &str) -> Result<Vec<AnyRow>, StoreError> {
    if ranges.is_empty() {
        return Ok(Vec::new());
    }
    let value = |(place, range): (usize, &Range)| {
        let Range { number, behind, up_to } = range;
        format!("({place}, {number}, {behind}, {up_to})")
    };
    let values: Vec<String> = ranges.iter().enumerate().map(value).collect();
    let select = format!(
        "WITH wanted (place, number, behind, up_to) AS (VALUES {})
         SELECT {columns} FROM wanted w
         JOIN chat_messages m ON m.conversation = w.number AND m.id > w.behind AND m.id <= w.up_to
         ORDER BY w.place, m.id",
        values.join(", ")
    );
    Ok(sqlx::query(AssertSqlSafe(select)).persistent(false).fetch_all(&mut *db).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_one_message_and_more_while_they_fit() {
        let page = MAXIMUM_PAGE_BYTES as i64;
        assert_eq!(fitting([]), 0);
        assert_eq!(fitting([page * 2, 1]), 1);
        assert_eq!(fitting([page - 1, 1, 0, 1]), 3);
        assert_eq!(fitting([1, page, 1]), 1);
    }
}
