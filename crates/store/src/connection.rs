use std::fmt;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use sqlx::any::{Any, AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::pool::PoolConnection;
use sqlx::{Either, Error, Execute, Executor, Postgres, SqlStr};
use sqlx_core::any::{AnyArguments, AnyConnectionBackend};

use crate::StoreError;
use crate::sqlite::execute;

/// A connection that work of the store runs on: `&mut *connection` takes sqlx's queries.
///
/// On SQLite a statement runs where it is awaited, without a change of threads, and has read all of its rows then.
pub struct Connection {
    pub(crate) kind: Kind,
    /// What the database itself was in the way with, whatever the work makes of it.
    pub(crate) trouble: Option<StoreError>,
    /// Whether nothing can be asked on it any more.
    pub(crate) is_lost: bool,
}

pub(crate) enum Kind {
    Sqlite(rusqlite::Connection),
    Postgres(PoolConnection<Postgres>),
}

impl Connection {
    pub(crate) fn sqlite(connection: rusqlite::Connection) -> Self {
        Self { kind: Kind::Sqlite(connection), trouble: None, is_lost: false }
    }

    pub(crate) fn postgres(connection: PoolConnection<Postgres>) -> Self {
        Self { kind: Kind::Postgres(connection), trouble: None, is_lost: false }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.kind, Kind::Postgres(_))
    }
}

impl<'c> Executor<'c> for &'c mut Connection {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        mut query: E,
    ) -> BoxStream<'e, Result<Either<AnyQueryResult, AnyRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let (persistent, arguments) = match taken(&mut query) {
            Ok(taken) => taken,
            Err(error) => return stream::iter([Err(error)]).boxed(),
        };
        let (sql, Connection { kind, trouble, is_lost }) = (query.sql(), self);
        match kind {
            Kind::Sqlite(connection) => {
                let run = move || execute::run(connection, sql.as_str(), arguments, persistent, usize::MAX);
                stream::iter(
                    std::iter::once_with(run).flat_map(move |result| noted(result, trouble, is_lost)),
                )
                .boxed()
            }
            Kind::Postgres(connection) => {
                let rows = AnyConnectionBackend::fetch_many(&mut **connection, sql, persistent, arguments);
                rows.inspect(move |result| note(result, trouble, is_lost)).boxed()
            }
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, mut query: E) -> BoxFuture<'e, Result<Option<AnyRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let taken = taken(&mut query);
        let (sql, Connection { kind, trouble, is_lost }) = (query.sql(), self);
        Box::pin(async move {
            let (persistent, arguments) = taken?;
            let result = match kind {
                Kind::Sqlite(connection) => {
                    let results = execute::run(connection, sql.as_str(), arguments, persistent, 1);
                    results.map(|results| results.into_iter().find_map(Either::right))
                }
                Kind::Postgres(connection) => {
                    AnyConnectionBackend::fetch_optional(&mut **connection, sql, persistent, arguments).await
                }
            };
            note(&result, trouble, is_lost);
            result
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, Error>>
    where
        'c: 'e,
    {
        match &mut self.kind {
            Kind::Postgres(connection) => {
                AnyConnectionBackend::prepare_with(&mut **connection, sql, parameters)
            }
            Kind::Sqlite(_) => {
                let unsupported = "statements are prepared and kept by themselves: use sqlx::query";
                Box::pin(async move { Err(Error::Protocol(unsupported.to_owned())) })
            }
        }
    }
}

fn taken<'q>(query: &mut impl Execute<'q, Any>) -> Result<(bool, Option<AnyArguments>), Error> {
    let arguments = query.take_arguments().map_err(Error::Encode)?;
    Ok((query.persistent(), arguments))
}

fn noted<T>(
    result: Result<Vec<T>, Error>,
    trouble: &mut Option<StoreError>,
    is_lost: &mut bool,
) -> Vec<Result<T, Error>> {
    note(&result, trouble, is_lost);
    match result {
        Ok(items) => items.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    }
}

fn note<T>(result: &Result<T, Error>, trouble: &mut Option<StoreError>, is_lost: &mut bool) {
    if let Err(error) = result
        && let Some(found) = StoreError::trouble(error)
    {
        *trouble = Some(found);
        *is_lost |= StoreError::loses_connection(error);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("is_postgres", &self.is_postgres()).finish_non_exhaustive()
    }
}
