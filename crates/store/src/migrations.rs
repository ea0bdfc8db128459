//! The tables of each application, in the order in which they are made.

/// Version, name and SQL of each migration. The SQL is common to both databases, its statements separated by `;`; what stands in
/// `/* SQLite: ... */` is for SQLite alone.
pub(crate) const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "chat", include_str!("../migrations/0001_chat.sql")),
    (2, "clinic", include_str!("../migrations/0002_clinic.sql")),
    (3, "navigation", include_str!("../migrations/0003_navigation.sql")),
    (4, "keys", include_str!("../migrations/0004_keys.sql")),
    (5, "calls", include_str!("../migrations/0005_calls.sql")),
];
