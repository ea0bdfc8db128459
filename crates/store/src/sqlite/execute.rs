//! One statement, carried out at once.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::ffi;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Batch, Statement};
use sqlx::any::{AnyQueryResult, AnyRow, AnyTypeInfo, AnyTypeInfoKind};
use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::{Either, Error};
use sqlx_core::any::{AnyArguments, AnyColumn, AnyValue, AnyValueKind};

type Results = Vec<Either<AnyQueryResult, AnyRow>>;

/// Runs one statement with arguments, or several without; returns their rows, `limit` of each at most, and after them what each has
/// changed.
pub(crate) fn run(
    connection: &mut rusqlite::Connection,
    sql: &str,
    arguments: Option<AnyArguments>,
    persistent: bool,
    limit: usize,
) -> Result<Results, Error> {
    let connection = &*connection;
    let mut results = Vec::new();
    match arguments {
        Some(arguments) if persistent => {
            let mut statement = connection.prepare_cached(sql).map_err(refusal)?;
            run_prepared(connection, &mut statement, &arguments, limit, &mut results)?;
        }
        Some(arguments) => {
            let mut statement = connection.prepare(sql).map_err(refusal)?;
            run_prepared(connection, &mut statement, &arguments, limit, &mut results)?;
        }
        None => {
            let mut batch = Batch::new(connection, sql);
            while let Some(mut statement) = batch.next().map_err(refusal)? {
                run_prepared(connection, &mut statement, &AnyArguments::default(), limit, &mut results)?;
            }
        }
    }
    Ok(results)
}

fn run_prepared(
    connection: &rusqlite::Connection,
    statement: &mut Statement<'_>,
    arguments: &AnyArguments,
    limit: usize,
    results: &mut Results,
) -> Result<(), Error> {
    bind(statement, arguments)?;
    let changes = !statement.readonly();
    match statement.column_count() {
        0 => _ = statement.raw_execute().map_err(refusal)?,
        _ => read_rows(statement, limit, results)?,
    }
    let rows_affected = if changes { connection.changes() } else { 0 };
    results.push(Either::Left(AnyQueryResult { rows_affected, last_insert_id: None }));
    Ok(())
}

/// `$1` is a name to SQLite, which numbers names in the order in which they stand.
fn bind(statement: &mut Statement<'_>, arguments: &AnyArguments) -> Result<(), Error> {
    let arguments = &arguments.values.0;
    for index in 1..=statement.parameter_count() {
        let number = match statement.parameter_name(index) {
            Some(name) => name.get(1..).and_then(|number| number.parse().ok()),
            None => Some(index),
        };
        let argument = number.and_then(|number: usize| arguments.get(number.checked_sub(1)?));
        let argument =
            argument.ok_or_else(|| Error::Protocol(format!("parameter {index} has no argument")))?;
        statement.raw_bind_parameter(index, value(argument)?).map_err(refusal)?;
    }
    Ok(())
}

fn value(argument: &AnyValueKind) -> Result<ToSqlOutput<'_>, Error> {
    let borrowed = |value| Ok(ToSqlOutput::Borrowed(value));
    match argument {
        AnyValueKind::Null(_) => borrowed(ValueRef::Null),
        AnyValueKind::SmallInt(value) => borrowed(ValueRef::Integer((*value).into())),
        AnyValueKind::Integer(value) => borrowed(ValueRef::Integer((*value).into())),
        AnyValueKind::BigInt(value) => borrowed(ValueRef::Integer(*value)),
        AnyValueKind::Real(value) => borrowed(ValueRef::Real((*value).into())),
        AnyValueKind::Double(value) => borrowed(ValueRef::Real(*value)),
        AnyValueKind::Text(value) => borrowed(ValueRef::Text(value.as_bytes())),
        AnyValueKind::TextSlice(value) => borrowed(ValueRef::Text(value.as_bytes())),
        // PostgreSQL takes no bool for a BIGINT and has no name in common for bytes.
        _ => Err(Error::Encode("a parameter has to be a number or a text, a truth 0 or 1".into())),
    }
}

fn read_rows(statement: &mut Statement<'_>, limit: usize, results: &mut Results) -> Result<(), Error> {
    let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let columns: Vec<AnyColumn> =
        names.iter().enumerate().map(|(ordinal, name)| column(ordinal, name)).collect();
    let column_names = Arc::new(columns.iter().map(|column| (column.name.clone(), column.ordinal)).collect());
    let mut rows = statement.raw_query();
    for _ in 0..limit {
        let Some(row) = rows.next().map_err(refusal)? else { break };
        let values = (0..columns.len()).map(|index| row.get_ref(index).map_err(refusal).and_then(kind));
        let values = values.map(|kind| Ok(AnyValue { kind: kind? })).collect::<Result<_, Error>>()?;
        results.push(Either::Right(AnyRow {
            column_names: Arc::clone(&column_names),
            columns: columns.clone(),
            values,
        }));
    }
    Ok(())
}

fn column(ordinal: usize, name: &str) -> AnyColumn {
    // Each value says what it is.
    AnyColumn {
        ordinal,
        name: name.to_owned().into(),
        type_info: AnyTypeInfo { kind: AnyTypeInfoKind::Null },
    }
}

fn kind(value: ValueRef<'_>) -> Result<AnyValueKind, Error> {
    Ok(match value {
        ValueRef::Null => AnyValueKind::Null(AnyTypeInfoKind::Null),
        ValueRef::Integer(value) => AnyValueKind::BigInt(value),
        ValueRef::Real(value) => AnyValueKind::Double(value),
        ValueRef::Text(text) => {
            let text = std::str::from_utf8(text).map_err(|error| Error::Decode(error.into()))?;
            AnyValueKind::Text(Arc::new(text.to_owned()))
        }
        ValueRef::Blob(bytes) => AnyValueKind::Blob(Arc::new(bytes.to_vec())),
    })
}

/// An error of SQLite as sqlx has them.
pub(crate) fn refusal(error: rusqlite::Error) -> Error {
    Error::Database(Box::new(Refusal { message: error.to_string(), code: code(&error) }))
}

fn code(error: &rusqlite::Error) -> i32 {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => failure.extended_code,
        rusqlite::Error::SqlInputError { error, .. } => error.extended_code,
        _ => ffi::SQLITE_ERROR,
    }
}

#[derive(Debug)]
struct Refusal {
    message: String,
    code: i32,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Refusal {}

impl DatabaseError for Refusal {
    fn message(&self) -> &str {
        &self.message
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(self.code.to_string().into())
    }

    fn kind(&self) -> ErrorKind {
        match self.code {
            ffi::SQLITE_CONSTRAINT_UNIQUE
            | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
            | ffi::SQLITE_CONSTRAINT_ROWID => ErrorKind::UniqueViolation,
            ffi::SQLITE_CONSTRAINT_FOREIGNKEY => ErrorKind::ForeignKeyViolation,
            ffi::SQLITE_CONSTRAINT_NOTNULL => ErrorKind::NotNullViolation,
            ffi::SQLITE_CONSTRAINT_CHECK => ErrorKind::CheckViolation,
            _ => ErrorKind::Other,
        }
    }

    fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
        self
    }
}
