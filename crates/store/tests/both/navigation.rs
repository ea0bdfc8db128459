//! Mappings, providers and their version.

use std::collections::BTreeSet;

use hubline_store::navigation::{
    Change, ChangeKind, ChangeQuery, Health, ImportMode, MAXIMUM_MAPPINGS, MappingQuery, MappingValues,
    NavigationError, NavigationStore, StateSnapshot, changes_between,
};
use hubline_store::sqlx;

use crate::each;

fn values(name: &str, provider: &str) -> MappingValues {
    MappingValues {
        virtual_model_name: name.to_owned(),
        provider_model_name: "served".to_owned(),
        provider_name: provider.to_owned(),
        enabled: true,
        priority: 0,
    }
}

fn names(state: &StateSnapshot) -> Vec<(&str, &str)> {
    state.mappings.iter().map(|m| (&*m.values.virtual_model_name, &*m.values.provider_name)).collect()
}

async fn whole_log(navigation: &NavigationStore) -> Vec<Change> {
    navigation.read(|db| Box::pin(changes_between(db, 0, i64::MAX, 1000))).await.unwrap()
}

#[tokio::test]
async fn a_mapping_is_created_changed_and_deleted_each_one_version_further() {
    each(async |store| {
        let navigation = NavigationStore::new(store);
        assert_eq!(navigation.state().await.unwrap(), StateSnapshot::default());
        let mut written = navigation.written();

        let created = navigation.create(values("gpt", "openai"), "ada").await.unwrap();
        assert_eq!((created.version, created.mapping.id, created.mapping.row_version), (1, 1, 1));
        assert!(written.has_changed().unwrap());
        assert_eq!(navigation.get(1).await.unwrap(), created.mapping);

        let mut wanted = values("gpt", "openai");
        (wanted.enabled, wanted.priority) = (false, -3);
        let outdated = navigation.update(1, wanted.clone(), Some(7), "bob").await;
        assert!(matches!(outdated, Err(NavigationError::Outdated { current: 1 })), "{outdated:?}");
        let updated = navigation.update(1, wanted.clone(), Some(1), "bob").await.unwrap();
        assert_eq!((updated.version, updated.mapping.row_version), (2, 2));
        assert_eq!(updated.mapping.created_at, created.mapping.created_at);
        assert!(updated.mapping.updated_at > created.mapping.updated_at);
        assert_eq!(updated.mapping.values, wanted);
        let again = navigation.update(1, wanted.clone(), None, "bob").await.unwrap();
        assert_eq!((again.version, again.mapping), (2, updated.mapping.clone()), "nothing to change");
        let state = navigation.state().await.unwrap();
        assert_eq!((state.version, &state.mappings), (2, &vec![updated.mapping.clone()]));
        assert_eq!((&*state.providers[0].name, state.providers[0].health), ("openai", Health::Unknown));

        written.mark_unchanged();
        let outdated = navigation.delete(1, Some(1), "eve").await;
        assert!(matches!(outdated, Err(NavigationError::Outdated { current: 2 })), "{outdated:?}");
        assert!(!written.has_changed().unwrap(), "what fails is told to nobody");
        let deleted = navigation.delete(1, Some(2), "eve").await.unwrap();
        assert_eq!((deleted.version, deleted.mapping), (3, updated.mapping));
        for gone in [navigation.delete(1, None, "eve").await.err(), navigation.get(1).await.err()] {
            assert!(matches!(gone, Some(NavigationError::NoMapping(1))), "{gone:?}");
        }
        assert_eq!(navigation.version().await.unwrap(), 3);
        assert_eq!(
            navigation.create(values("gpt", "openai"), "ada").await.unwrap().mapping.id,
            2,
            "a new id"
        );

        let log = whole_log(&navigation).await;
        let told: Vec<_> = log.iter().map(|c| (c.version, &*c.actor, c.kind, c.mapping_id)).collect();
        let (created, updated, deleted) = (ChangeKind::Created, ChangeKind::Updated, ChangeKind::Deleted);
        assert_eq!(
            told,
            [(1, "ada", created, 1), (2, "bob", updated, 1), (3, "eve", deleted, 1), (4, "ada", created, 2)]
        );
        assert_eq!((&log[0].before, &log[2].after), (&String::new(), &String::new()));
        assert_eq!((&log[0].after, &log[1].after), (&log[1].before, &log[2].before));
        assert_eq!(serde_json::from_str::<MappingValues>(&log[1].after).unwrap(), wanted);
        let page = ChangeQuery { mapping_id: Some(1), before: Some(log[2].id), limit: 1 };
        assert_eq!(navigation.changes(page).await.unwrap(), log[1..2]);
    })
    .await;
}

#[tokio::test]
async fn the_same_virtual_name_and_provider_twice_is_a_conflict_that_changes_nothing() {
    each(async |store| {
        let navigation = NavigationStore::new(store);
        navigation.create(values("gpt", "openai"), "ada").await.unwrap();
        navigation.create(values("gpt", "azure"), "ada").await.unwrap();
        navigation.create(values("GPT", "openai"), "ada").await.unwrap();
        let twice = navigation.create(values("gpt", "openai"), "ada").await;
        assert!(matches!(twice, Err(NavigationError::Conflict { id: 1 })), "{twice:?}");
        let onto = navigation.update(2, values("gpt", "openai"), None, "ada").await;
        assert!(matches!(onto, Err(NavigationError::Conflict { id: 1 })), "{onto:?}");
        assert_eq!(navigation.version().await.unwrap(), 3);
        assert_eq!(whole_log(&navigation).await.len(), 3);
        for (field, wrong) in [
            ("virtualModelName", values("", "openai")),
            ("virtualModelName", values(" gpt", "openai")),
            ("providerName", values("gpt", "a\u{0}b")),
            ("providerName", values("gpt", &"x".repeat(201))),
        ] {
            let refused = navigation.create(wrong, "ada").await.unwrap_err();
            assert!(
                matches!(&refused, NavigationError::Invalid { field: of, .. } if of == field),
                "{refused}"
            );
        }
        let mut query = MappingQuery { virtual_model_name: Some("gpt".to_owned()), ..Default::default() };
        let page = navigation.list(query.clone()).await.unwrap();
        assert_eq!((page.total, page.mappings.len()), (2, 2));
        query.provider_name = Some("azure".to_owned());
        assert_eq!(navigation.list(query.clone()).await.unwrap().mappings[0].id, 2);
        query.enabled = Some(false);
        assert_eq!(navigation.list(query).await.unwrap().total, 0);
        let second = MappingQuery { offset: 1, limit: 1, ..Default::default() };
        let page = navigation.list(second).await.unwrap();
        assert_eq!((page.total, page.mappings[0].id), (3, 2));
    })
    .await;
}

#[tokio::test]
async fn an_import_is_one_change_and_takes_back_what_was_exported() {
    each(async |store| {
        let navigation = NavigationStore::new(store);
        let many: Vec<_> = (0..600).map(|n| values(&format!("model {n}"), "openai")).collect();
        let done = navigation.import(many.clone(), ImportMode::Merge, "ada").await.unwrap();
        assert_eq!((done.version, done.created, done.unchanged), (1, 600, 0));
        let exported: Vec<_> = navigation.export().await.unwrap().into_iter().map(|m| m.values).collect();
        assert_eq!(exported, many);
        let done = navigation.import(exported, ImportMode::Replace, "ada").await.unwrap();
        assert_eq!((done.version, done.unchanged), (1, 600), "nothing to change");

        let mut fewer = many[..3].to_vec();
        fewer[1].priority = 9;
        fewer.push(values("model 0", "azure"));
        let merged = navigation.import(fewer.clone(), ImportMode::Merge, "bob").await.unwrap();
        assert_eq!(
            (merged.version, merged.created, merged.updated, merged.deleted, merged.unchanged),
            (2, 1, 1, 0, 2)
        );
        let replaced = navigation.import(fewer, ImportMode::Replace, "bob").await.unwrap();
        assert_eq!((replaced.version, replaced.deleted, replaced.unchanged), (3, 597, 4));
        let state = navigation.state().await.unwrap();
        assert_eq!(
            names(&state),
            [("model 0", "openai"), ("model 0", "azure"), ("model 1", "openai"), ("model 2", "openai")]
        );
        assert_eq!(state.mappings[2].row_version, 2);
        let log = navigation.changes(ChangeQuery { limit: 597, ..Default::default() }).await.unwrap();
        assert!(
            log.iter()
                .all(|change| change.in_bulk && change.version == 3 && change.kind == ChangeKind::Deleted)
        );

        for (wrong, place) in [
            (vec![values("a", "x"), values("b", "")], "mappings[1].providerName"),
            (vec![values("a", "x"), values("a", "x")], "mappings[1]"),
        ] {
            let refused = navigation.import(wrong, ImportMode::Merge, "ada").await.unwrap_err();
            assert!(
                matches!(&refused, NavigationError::Invalid { field, .. } if field == place),
                "{refused}"
            );
        }
        let most = usize::try_from(MAXIMUM_MAPPINGS).unwrap();
        let all: Vec<_> = (0..most).map(|n| values(&format!("new {n}"), "openai")).collect();
        let full = navigation.import(all, ImportMode::Merge, "ada").await;
        assert!(matches!(full, Err(NavigationError::Full { .. })), "{full:?}");
        let fill = "WITH RECURSIVE more(n) AS (SELECT 10000 UNION ALL SELECT n + 1 FROM more WHERE n < 14995)
                    INSERT INTO navigation_mappings SELECT n, CAST(n AS TEXT), 'served', 'openai', 1, 0, 1, 0, 0 FROM more";
        let fill = navigation.write(move |db| {
            Box::pin(async move { Ok::<_, NavigationError>(sqlx::query(fill).execute(&mut *db).await?.rows_affected()) })
        });
        assert_eq!(fill.await.unwrap(), 4_996);
        let full = navigation.create(values("one more", "openai"), "ada").await;
        assert!(matches!(full, Err(NavigationError::Full { .. })), "{full:?}");
    })
    .await;
}

#[tokio::test]
async fn a_providers_health_is_a_change_when_it_changes() {
    each(async |store| {
        let navigation = NavigationStore::new(store);
        let (version, provider) =
            navigation.set_provider_health("openai", Health::Degraded, "slow", "probe").await.unwrap();
        assert_eq!((version, &*provider.detail), (1, "slow"));
        let again =
            navigation.set_provider_health("openai", Health::Degraded, "slow", "probe").await.unwrap();
        assert_eq!(again, (1, provider.clone()));
        navigation.create(values("gpt", "openai"), "ada").await.unwrap();
        assert_eq!(navigation.providers().await.unwrap(), [provider], "a mapping does not change it");
        let in_use = navigation.delete_provider("openai", "ada").await;
        assert!(matches!(in_use, Err(NavigationError::ProviderInUse { mappings: 1 })), "{in_use:?}");
        let unknown = navigation.delete_provider("nobody", "ada").await;
        assert!(matches!(unknown, Err(NavigationError::NoProvider(_))), "{unknown:?}");
        navigation.delete(1, None, "ada").await.unwrap();
        assert_eq!(navigation.delete_provider("openai", "ada").await.unwrap(), 4);
        assert!(navigation.state().await.unwrap().providers.is_empty());
        let log = whole_log(&navigation).await;
        assert_eq!((&*log[0].name, &*log[0].before), ("openai", ""));
        assert_eq!(log[0].after, r#"{"health":"Degraded","detail":"slow"}"#);
        assert_eq!((log[3].kind, &log[3].before), (ChangeKind::ProviderDeleted, &log[0].after));
        let long = navigation.set_provider_health("x", Health::Healthy, &"x".repeat(501), "probe").await;
        assert!(matches!(long, Err(NavigationError::Invalid { .. })), "{long:?}");
    })
    .await;
}

/// Whoever reads while others change sees each version with what belongs to it, and never an earlier one afterwards.
#[tokio::test]
async fn changes_at_the_same_time_have_one_order() {
    each(async |store| {
        let navigation = NavigationStore::new(store);
        let create = async |who: usize| {
            let mut versions = Vec::new();
            for n in 0..10 {
                let created = navigation.create(values(&format!("{who}-{n}"), "openai"), "ada").await;
                versions.push(created.unwrap().version);
            }
            versions
        };
        let read = async || {
            let mut last = 0;
            while last < 30 {
                let state = navigation.state().await.unwrap();
                assert!(state.version >= last, "{} after {last}", state.version);
                assert_eq!(usize::try_from(state.version).unwrap(), state.mappings.len());
                last = state.version;
            }
        };
        let (a, b, c, ()) = tokio::join!(create(0), create(1), create(2), read());
        let versions: BTreeSet<i64> = a.into_iter().chain(b).chain(c).collect();
        assert_eq!(versions, (1..=30).collect());
    })
    .await;
}
