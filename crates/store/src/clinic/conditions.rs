//! A `WHERE` of as many conditions as were asked for.

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe};

use crate::{Connection, StoreError};

/// Conditions that all have to hold, and their parameters.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    sql: Vec<String>,
    parameters: Vec<Parameter>,
}

/// A parameter of a statement.
#[derive(Debug)]
pub(super) enum Parameter {
    Text(String),
    Number(i64),
}

impl Conditions {
    /// Adds a condition, whose parameter stands in it as `?`, once or several times.
    pub(super) fn add(&mut self, condition: &str, parameter: impl Into<Parameter>) {
        self.parameters.push(parameter.into());
        self.sql.push(condition.replace('?', &format!("${}", self.parameters.len())));
    }

    /// Runs `select`, behind which the conditions and then `order` are put, for at most `limit` rows.
    pub(super) async fn fetch(
        mut self,
        db: &mut Connection,
        select: &str,
        order: &str,
        limit: u32,
    ) -> Result<Vec<AnyRow>, StoreError> {
        let conditions = match self.sql.is_empty() {
            true => String::new(),
            false => format!("WHERE {}", self.sql.join(" AND ")),
        };
        self.parameters.push(Parameter::Number(limit.into()));
        let sql = format!("{select} {conditions} ORDER BY {order} LIMIT ${}", self.parameters.len());
        let query = self.parameters.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), bind);
        Ok(query.fetch_all(db).await?)
    }
}

fn bind<'q>(query: Query<'q, Any, AnyArguments>, parameter: Parameter) -> Query<'q, Any, AnyArguments> {
    match parameter {
        Parameter::Text(text) => query.bind(text),
        Parameter::Number(number) => query.bind(number),
    }
}

impl From<String> for Parameter {
    /// PostgreSQL has no text with NUL in it, so none is stored; what is asked for with one is not found.
    fn from(text: String) -> Self {
        Self::Text(text.replace('\0', "\u{fffd}"))
    }
}

impl From<i64> for Parameter {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}
