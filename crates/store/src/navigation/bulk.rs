//! Statements with many rows.

/// Rows in one statement, of at most 10 parameters each; SQLite takes 32,766.
pub(super) const LARGEST_STATEMENT: usize = 500;

/// `($1, $2), ($3, $4)` for 2 rows of 2 columns.
pub(super) fn rows(rows: usize, columns: usize) -> String {
    let row = |row: usize| format!("({})", parameters(row * columns + 1, columns));
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// `$3, $4` for 2 from 3 on.
pub(super) fn parameters(first: usize, count: usize) -> String {
    (first..first + count).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn parameters_are_numbered_through() {
        assert_eq!(super::rows(2, 3), "($1, $2, $3), ($4, $5, $6)");
        assert_eq!(super::parameters(4, 2), "$4, $5");
    }
}
