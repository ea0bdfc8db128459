//! Many mappings in one change.

use std::collections::{HashMap, HashSet};

use sqlx::AssertSqlSafe;

use super::bulk::{LARGEST_STATEMENT, parameters, rows};
use super::changes::{ChangeKind, Entry, record};
use super::mapping::COLUMNS;
use super::providers::ensure;
use super::version::{lock, step};
use super::{MappingValues, ModelMapping, NavigationError, export, version};
use crate::{Connection, Timestamp};

/// How many mappings there may be; every client gets all of them in one message.
pub const MAXIMUM_MAPPINGS: i64 = 5_000;

/// What becomes of mappings that an import does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ImportMode {
    /// They stay.
    #[default]
    Merge,
    /// They are deleted.
    Replace,
}

/// What an import has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportOutcome {
    /// The version of the state with the change; the one that there was if nothing had to be changed.
    pub version: i64,
    /// New mappings.
    pub created: usize,
    /// Mappings that say something else now.
    pub updated: usize,
    /// Mappings that are gone.
    pub deleted: usize,
    /// Mappings that said so already.
    pub unchanged: usize,
}

/// Writes all mappings or none: those whose virtual name and provider are known are updated, others created.
///
/// It is one change: the version rises by one, if anything changes at all.
///
/// # Errors
/// [`NavigationError::Invalid`] with the place in the list, for the same virtual name and provider twice too;
/// [`NavigationError::Full`]; the database cannot be used.
pub async fn import(
    db: &mut Connection,
    mappings: Vec<MappingValues>,
    mode: ImportMode,
    actor: &str,
) -> Result<ImportOutcome, NavigationError> {
    check(&mappings)?;
    lock(db).await?;
    let plan = Plan::new(export(db).await?, mappings, mode)?;
    let mut outcome = plan.outcome();
    if plan.is_empty() {
        outcome.version = version(db).await?;
        return Ok(outcome);
    }
    let entries = plan.created.len() + plan.updated.len() + plan.deleted.len();
    let step = step(db, plan.created.len(), entries).await?;
    outcome.version = step.version;
    let (written, entries) = plan.rows(step.first_mapping)?;
    let providers: HashSet<&String> = written.iter().map(|mapping| &mapping.values.provider_name).collect();
    ensure(db, providers).await?;
    remove(db, &plan.deleted).await?;
    write(db, &written).await?;
    record(db, &step, actor, true, &entries).await?;
    Ok(outcome)
}

/// Writes mappings, new ones and such as there are.
pub(super) async fn write(db: &mut Connection, mappings: &[ModelMapping]) -> Result<(), NavigationError> {
    for mappings in mappings.chunks(LARGEST_STATEMENT) {
        let upsert = format!(
            "INSERT INTO navigation_mappings ({COLUMNS}) VALUES {}
             ON CONFLICT (id) DO UPDATE SET virtual_model_name = excluded.virtual_model_name,
                 provider_model_name = excluded.provider_model_name, provider_name = excluded.provider_name,
                 enabled = excluded.enabled, priority = excluded.priority, row_version = excluded.row_version,
                 updated_at = excluded.updated_at",
            rows(mappings.len(), 9)
        );
        let mut query = sqlx::query(AssertSqlSafe(upsert));
        for ModelMapping { id, values, row_version, created_at, updated_at } in mappings {
            query = query.bind(*id).bind(&values.virtual_model_name).bind(&values.provider_model_name);
            query = query.bind(&values.provider_name).bind(i64::from(values.enabled));
            query = query.bind(i64::from(values.priority)).bind(*row_version);
            query = query.bind(created_at.0).bind(updated_at.0);
        }
        query.execute(&mut *db).await?;
    }
    Ok(())
}

async fn remove(db: &mut Connection, mappings: &[ModelMapping]) -> Result<(), NavigationError> {
    for mappings in mappings.chunks(LARGEST_STATEMENT) {
        let delete =
            format!("DELETE FROM navigation_mappings WHERE id IN ({})", parameters(1, mappings.len()));
        let mut query = sqlx::query(AssertSqlSafe(delete));
        for mapping in mappings {
            query = query.bind(mapping.id);
        }
        query.execute(&mut *db).await?;
    }
    Ok(())
}

/// Names a mapping in an import.
fn key(values: &MappingValues) -> (&str, &str) {
    (&values.virtual_model_name, &values.provider_name)
}

fn check(mappings: &[MappingValues]) -> Result<(), NavigationError> {
    let mut seen = HashMap::new();
    for (place, values) in mappings.iter().enumerate() {
        values.check(&format!("mappings[{place}]."))?;
        if let Some(first) = seen.insert(key(values), place) {
            let problem =
                format!("mappings[{first}] has the same virtualModelName and providerName; name each once");
            return Err(NavigationError::invalid(format!("mappings[{place}]"), problem));
        }
    }
    Ok(())
}

/// What an import has to do.
struct Plan {
    created: Vec<MappingValues>,
    /// As they were, and as they are to be.
    updated: Vec<(ModelMapping, MappingValues)>,
    deleted: Vec<ModelMapping>,
    unchanged: usize,
}

impl Plan {
    fn new(
        existing: Vec<ModelMapping>,
        wanted: Vec<MappingValues>,
        mode: ImportMode,
    ) -> Result<Self, NavigationError> {
        let mut others: HashMap<(String, String), ModelMapping> = HashMap::new();
        for mapping in existing {
            let (name, provider) = key(&mapping.values);
            others.insert((name.to_owned(), provider.to_owned()), mapping);
        }
        let mut plan = Self { created: Vec::new(), updated: Vec::new(), deleted: Vec::new(), unchanged: 0 };
        let mut total = wanted.len();
        for values in wanted {
            let (name, provider) = key(&values);
            match others.remove(&(name.to_owned(), provider.to_owned())) {
                None => plan.created.push(values),
                Some(mapping) if mapping.values == values => plan.unchanged += 1,
                Some(mapping) => plan.updated.push((mapping, values)),
            }
        }
        match mode {
            ImportMode::Merge => total += others.len(),
            ImportMode::Replace => plan.deleted.extend(others.into_values()),
        }
        plan.deleted.sort_unstable_by_key(|mapping| mapping.id);
        match i64::try_from(total) {
            Ok(total) if total <= MAXIMUM_MAPPINGS => Ok(plan),
            _ => Err(NavigationError::Full { what: "mappings", maximum: MAXIMUM_MAPPINGS }),
        }
    }

    fn outcome(&self) -> ImportOutcome {
        ImportOutcome {
            version: 0,
            created: self.created.len(),
            updated: self.updated.len(),
            deleted: self.deleted.len(),
            unchanged: self.unchanged,
        }
    }

    fn is_empty(&self) -> bool {
        self.created.is_empty() && self.updated.is_empty() && self.deleted.is_empty()
    }

    /// The mappings as they are to be written, and what is recorded about all.
    fn rows(&self, first_mapping: i64) -> Result<(Vec<ModelMapping>, Vec<Entry>), NavigationError> {
        let now = Timestamp::now();
        let (mut written, mut entries) = (Vec::new(), Vec::new());
        for mapping in &self.deleted {
            entries.push(Entry::of_mapping(ChangeKind::Deleted, Some(&mapping.values), mapping)?);
        }
        for (before, values) in &self.updated {
            let row_version = before.row_version + 1;
            let mapping =
                ModelMapping { values: values.clone(), row_version, updated_at: now, ..before.clone() };
            entries.push(Entry::of_mapping(ChangeKind::Updated, Some(&before.values), &mapping)?);
            written.push(mapping);
        }
        for (values, id) in self.created.iter().zip(first_mapping..) {
            let values = values.clone();
            let mapping = ModelMapping { id, values, row_version: 1, created_at: now, updated_at: now };
            entries.push(Entry::of_mapping(ChangeKind::Created, None, &mapping)?);
            written.push(mapping);
        }
        Ok((written, entries))
    }
}
