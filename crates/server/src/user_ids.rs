//! Which ids of users are taken.

/// Bytes of a user's id at most: indices of the database hold ids, and PostgreSQL's take no row that is much longer.
pub(crate) const LONGEST_USER_ID: usize = 512;
