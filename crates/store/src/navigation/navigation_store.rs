use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::{
    Change, ChangeQuery, Changed, Health, ImportMode, ImportOutcome, MappingPage, MappingQuery,
    MappingValues, ModelMapping, NavigationError, Provider, StateSnapshot,
};
use crate::{Connection, Store, StoreError};

/// Mappings and providers in a [`Store`], and word of every change that is made through it. Cloning shares both.
#[derive(Debug, Clone)]
pub struct NavigationStore {
    store: Store,
    written: Arc<watch::Sender<()>>,
}

impl NavigationStore {
    /// Mappings and providers of this database.
    pub fn new(store: Store) -> Self {
        Self { store, written: Arc::new(watch::Sender::new(())) }
    }

    /// The database, for work that changes neither mappings nor providers.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Changes whenever [`NavigationStore::write`], or a method that uses it, has succeeded, here and not in other processes.
    pub fn written(&self) -> watch::Receiver<()> {
        self.written.subscribe()
    }

    /// Runs work in a transaction, as [`Store::write`], and tells [`NavigationStore::written`]: for several functions of the
    /// [module](super), or one with an entry in the audit.
    ///
    /// # Errors
    /// As [`Store::write`].
    ///
    /// # Cancel safety
    /// As [`Store::write`]; of what is committed nobody may be told.
    pub async fn write<T, E, W>(&self, work: W) -> Result<T, E>
    where
        W: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let result = self.store.write(work).await?;
        self.written.send_replace(());
        Ok(result)
    }

    /// Runs work that changes nothing, as [`Store::read`].
    ///
    /// # Errors
    /// As [`Store::read`].
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn read<T, E, W>(&self, work: W) -> Result<T, E>
    where
        W: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.store.read(work).await
    }

    /// See [`create`](super::create).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// As [`NavigationStore::write`].
    pub async fn create(&self, values: MappingValues, actor: &str) -> Result<Changed, NavigationError> {
        let actor = actor.to_owned();
        self.write(move |db| Box::pin(async move { super::create(db, values, &actor).await })).await
    }

    /// See [`get`](super::get).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn get(&self, id: i64) -> Result<ModelMapping, NavigationError> {
        self.read(move |db| Box::pin(super::get(db, id))).await
    }

    /// See [`list`](super::list).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn list(&self, query: MappingQuery) -> Result<MappingPage, NavigationError> {
        self.read(move |db| Box::pin(async move { super::list(db, &query).await })).await
    }

    /// See [`export`](super::export).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn export(&self) -> Result<Vec<ModelMapping>, NavigationError> {
        self.read(|db| Box::pin(super::export(db))).await
    }

    /// See [`update`](super::update).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// As [`NavigationStore::write`].
    pub async fn update(
        &self,
        id: i64,
        values: MappingValues,
        expected: Option<i64>,
        actor: &str,
    ) -> Result<Changed, NavigationError> {
        let actor = actor.to_owned();
        self.write(move |db| Box::pin(async move { super::update(db, id, values, expected, &actor).await }))
            .await
    }

    /// See [`delete`](super::delete).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// As [`NavigationStore::write`].
    pub async fn delete(
        &self,
        id: i64,
        expected: Option<i64>,
        actor: &str,
    ) -> Result<Changed, NavigationError> {
        let actor = actor.to_owned();
        self.write(move |db| Box::pin(async move { super::delete(db, id, expected, &actor).await })).await
    }

    /// See [`import`](super::import()).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// As [`NavigationStore::write`].
    pub async fn import(
        &self,
        mappings: Vec<MappingValues>,
        mode: ImportMode,
        actor: &str,
    ) -> Result<ImportOutcome, NavigationError> {
        let actor = actor.to_owned();
        self.write(move |db| Box::pin(async move { super::import(db, mappings, mode, &actor).await })).await
    }

    /// See [`providers`](super::providers).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn providers(&self) -> Result<Vec<Provider>, NavigationError> {
        self.read(|db| Box::pin(super::providers(db))).await
    }

    /// See [`set_provider_health`](super::set_provider_health).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// As [`NavigationStore::write`].
    pub async fn set_provider_health(
        &self,
        name: &str,
        health: Health,
        detail: &str,
        actor: &str,
    ) -> Result<(i64, Provider), NavigationError> {
        let [name, detail, actor] = [name, detail, actor].map(str::to_owned);
        self.write(move |db| {
            Box::pin(async move { super::set_provider_health(db, &name, health, &detail, &actor).await })
        })
        .await
    }

    /// See [`delete_provider`](super::delete_provider).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// As [`NavigationStore::write`].
    pub async fn delete_provider(&self, name: &str, actor: &str) -> Result<i64, NavigationError> {
        let [name, actor] = [name, actor].map(str::to_owned);
        self.write(move |db| Box::pin(async move { super::delete_provider(db, &name, &actor).await })).await
    }

    /// See [`changes`](super::changes()).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn changes(&self, query: ChangeQuery) -> Result<Vec<Change>, NavigationError> {
        self.read(move |db| Box::pin(async move { super::changes(db, &query).await })).await
    }

    /// See [`version`](super::version()).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn version(&self) -> Result<i64, NavigationError> {
        self.read(|db| Box::pin(super::version(db))).await
    }

    /// See [`state`](super::state()).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn state(&self) -> Result<StateSnapshot, NavigationError> {
        self.read(|db| Box::pin(super::state(db))).await
    }
}
