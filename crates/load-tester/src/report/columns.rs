//! Rows of text in columns, as many as fit.

/// A table: the first column to the left unless it has numbers alone, all others to the right.
#[derive(Debug)]
pub(crate) struct Columns {
    /// Names, and how dispensable each column is: 0 always stays.
    heads: Vec<(String, u8)>,
    rows: Vec<Vec<String>>,
}

impl Columns {
    const GAP: usize = 2;

    pub(crate) fn new(heads: &[(&str, u8)]) -> Self {
        Self {
            heads: heads.iter().map(|(head, least)| ((*head).to_owned(), *least)).collect(),
            rows: Vec::new(),
        }
    }

    /// The first column, which always stays, has the name of the table.
    pub(crate) fn titled(title: &str, heads: &[(&str, u8)]) -> Self {
        let heads: Vec<_> = [(title, 0)].into_iter().chain(heads.iter().copied()).collect();
        Self::new(&heads)
    }

    pub(crate) fn row(&mut self, cells: &[String]) {
        debug_assert_eq!(cells.len(), self.heads.len(), "a cell for each column");
        self.rows.push(cells.to_vec());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The heads and the rows; without the most dispensable columns where all do not fit.
    pub(crate) fn lines(&self, width: usize) -> Vec<String> {
        let widths: Vec<usize> = (0..self.heads.len()).map(|column| self.width(column)).collect();
        let mut shown: Vec<usize> = (0..self.heads.len()).collect();
        let total = |shown: &[usize]| {
            shown.iter().map(|column| widths[*column] + Self::GAP).sum::<usize>().saturating_sub(Self::GAP)
        };
        while total(&shown) > width {
            let least = shown.iter().enumerate().max_by_key(|(_, column)| self.heads[**column].1);
            match least {
                Some((place, column)) if self.heads[*column].1 > 0 => shown.remove(place),
                _ => break,
            };
        }
        let heads: Vec<String> = self.heads.iter().map(|(head, _)| head.clone()).collect();
        let is_number = |row: &Vec<String>| row[0].bytes().all(|byte| byte.is_ascii_digit() || byte == b',');
        let first_is_number = self.rows.iter().all(is_number);
        let line = |cells: &Vec<String>| {
            let cell = |column: &usize| match column {
                0 if !first_is_number => format!("{:<width$}", cells[0], width = widths[0]),
                _ => format!("{:>width$}", cells[*column], width = widths[*column]),
            };
            shown.iter().map(cell).collect::<Vec<_>>().join(&" ".repeat(Self::GAP))
        };
        std::iter::once(&heads).chain(&self.rows).map(line).collect()
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|row| row[column].chars().count());
        cells.chain([self.heads[column].0.chars().count()]).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_out_the_most_dispensable_first() {
        let mut columns = Columns::new(&[("name", 0), ("a", 2), ("b", 1), ("max", 0)]);
        columns.row(&["x", "1.00 ms", "2 µs", "12"].map(str::to_owned));
        assert_eq!(columns.lines(80), ["name        a     b  max", "x     1.00 ms  2 µs   12"]);
        assert_eq!(columns.lines(20), ["name     b  max", "x     2 µs   12"]);
        assert_eq!(columns.lines(1), ["name  max", "x      12"]);
        let mut numbers = Columns::new(&[("count", 0), ("a", 0)]);
        numbers.row(&["1,000", "1"].map(str::to_owned));
        numbers.row(&["10", "1"].map(str::to_owned));
        assert_eq!(numbers.lines(80), ["count  a", "1,000  1", "   10  1"]);
    }
}
