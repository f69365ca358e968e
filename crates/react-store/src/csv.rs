//! Tables of text from outside, in no more memory than the file has bytes.

use crate::StoreError;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// Largest file that is read: a list of boxes of 100,000 clips is a fifth of it.
const MAX_BYTES: u64 = 1 << 30;
/// Most columns of a table.
const MAX_COLUMNS: usize = 4096;
/// Longest cell in bytes: paths and numbers are far shorter.
const MAX_CELL: usize = 1 << 16;

/// A csv file with a header: UTF-8, cells separated by commas, a row a line.
///
/// A cell may stand in double quotes, with `""` for one of them; it cannot go over the end of a line. Space around a cell is cut off,
/// empty lines do not count. Only the text itself is kept, so a hostile file cannot ask for more memory than it has bytes.
///
/// ```
/// use std::path::Path;
/// let table = react_store::Csv::parse(b"id,path\n0,\"a, b\"\n1,\n".to_vec(), Path::new("list.csv"))?;
/// assert_eq!((table.rows(), table.names()), (2, &["id".to_owned(), "path".to_owned()][..]));
/// let mut cells = Vec::new();
/// table.each(|row, column, cell| cells.push((row, column, cell.to_owned())));
/// assert_eq!(cells[1], (0, 1, "a, b".to_owned()));
/// assert_eq!(cells[3], (1, 1, String::new()));
/// # Ok::<(), react_store::StoreError>(())
/// ```
#[derive(Debug)]
pub struct Csv {
    file: PathBuf,
    names: Vec<String>,
    text: String,
    /// Where the rows begin in `text`.
    body: usize,
    rows: usize,
}

impl Csv {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Where the system refuses, and as [`Self::parse`].
    pub fn read(file: &Path) -> Result<Self, StoreError> {
        let length = std::fs::metadata(file).map_err(StoreError::io("read", file))?.len();
        if length > MAX_BYTES {
            return Err(StoreError::csv(file, format!("its {length} bytes are more than the {MAX_BYTES} that are read")));
        }
        Self::parse(std::fs::read(file).map_err(StoreError::io("read", file))?, file)
    }

    /// Checks a file that is in memory already; errors call it `place`.
    ///
    /// # Errors
    /// [`StoreError::Csv`] where it is empty, no UTF-8, has NUL bytes or carriage returns within a line, quotes that do not close, a cell of more than 64 KiB, more than
    /// 4,096 columns, or a row of another number of cells than the header.
    pub fn parse(bytes: Vec<u8>, place: &Path) -> Result<Self, StoreError> {
        let error = |why: String| StoreError::csv(place, why);
        let text = String::from_utf8(bytes).map_err(|wrong| {
            let at = wrong.utf8_error().valid_up_to();
            error(format!("line {}: it is not UTF-8", 1 + count(&wrong.as_bytes()[..at], b'\n')))
        })?;
        let bytes = text.as_bytes();
        let odd = |at: usize| bytes[at] == 0 || (bytes[at] == b'\r' && bytes.get(at + 1) != Some(&b'\n'));
        if let Some(at) = (0..bytes.len()).find(|at| odd(*at)) {
            let what = if bytes[at] == 0 { "a NUL byte" } else { "a carriage return within it" };
            return Err(error(format!("line {}: there is {what}", 1 + count(&bytes[..at], b'\n'))));
        }
        let mut lines = Lines { text: &text, at: text.strip_prefix('\u{feff}').map_or(0, |_| '\u{feff}'.len_utf8()), line: 0 };
        let Some((line, header)) = lines.next() else { return Err(error("it is empty".to_owned())) };
        let (mut names, mut rows) = (Vec::new(), 0);
        check(line, header, MAX_COLUMNS, |name| names.push(name.into_owned())).map_err(error)?;
        let body = lines.at;
        for (line, row) in lines {
            let found = check(line, row, names.len(), |_| ()).map_err(error)?;
            if found != names.len() {
                return Err(error(format!("line {line}: it has {found} cells, the header has {}", names.len())));
            }
            rows += 1;
        }
        Ok(Self { file: place.to_owned(), names, text, body, rows })
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The header.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Rows below the header.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Calls `cell` with row (from 0), column (from 0) and text of every cell, row by row.
    pub fn each(&self, mut cell: impl FnMut(usize, usize, &str)) {
        for (row, text) in self.lines().enumerate() {
            for (column, text) in (Cells { rest: Some(text) }).enumerate() {
                // Checked when the file was read: no cell is an error.
                cell(row, column, &text.unwrap_or_default());
            }
        }
    }

    /// The cells of one column, from top to bottom; empty where there is no such column.
    pub fn column(&self, column: usize) -> impl Iterator<Item = Cow<'_, str>> {
        self.lines().map_while(move |text| Cells { rest: Some(text) }.nth(column)?.ok())
    }

    /// The rows as text, lines together up to about so many bytes: for a reader that is to hold no more at once.
    pub fn blocks(&self, bytes: usize) -> impl Iterator<Item = String> {
        let mut lines = self.lines();
        std::iter::from_fn(move || {
            let mut block = String::new();
            while block.len() < bytes.max(1) {
                let Some(line) = lines.next() else { break };
                block.push_str(line);
                block.push('\n');
            }
            (!block.is_empty()).then_some(block)
        })
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        Lines { text: &self.text, at: self.body, line: 0 }.map(|(_, text)| text)
    }
}

/// Checks a row and calls `cell` with each of its cells; the number of cells. More than `most` are an error.
fn check<'a>(line: usize, text: &'a str, most: usize, mut cell: impl FnMut(Cow<'a, str>)) -> Result<usize, String> {
    let mut cells = 0;
    for text in (Cells { rest: Some(text) }) {
        let text = text.map_err(|why| format!("line {line}, column {}: {why}", cells + 1))?;
        if text.len() > MAX_CELL {
            return Err(format!("line {line}, column {}: it is longer than {MAX_CELL} bytes", cells + 1));
        }
        cells += 1;
        if cells > most {
            return Err(format!("line {line}: it has more than {most} cells"));
        }
        cell(text);
    }
    Ok(cells)
}

fn count(bytes: &[u8], wanted: u8) -> usize {
    bytes.iter().filter(|byte| **byte == wanted).count()
}

/// Lines that are not empty, with their numbers from 1.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = (usize, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
            let line = rest.split_once('\n').map_or(rest, |(line, _)| line);
            self.at += line.len() + 1;
            self.line += 1;
            let line = line.strip_suffix('\r').unwrap_or(line);
            if !line.trim().is_empty() {
                return Some((self.line, line));
            }
        }
    }
}

/// The cells of one line.
struct Cells<'a> {
    rest: Option<&'a str>,
}

impl<'a> Iterator for Cells<'a> {
    type Item = Result<Cow<'a, str>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?;
        let Some(quoted) = rest.trim_start().strip_prefix('"') else {
            let (cell, rest) = rest.split_once(',').map_or((rest, None), |(cell, rest)| (cell, Some(rest)));
            self.rest = rest;
            return Some(if cell.contains('"') { Err("a quote stands within it") } else { Ok(Cow::Borrowed(cell.trim())) });
        };
        // To the first quote that is not doubled.
        let mut end = 0;
        let doubled = loop {
            let Some(quote) = quoted[end..].find('"') else { return Some(Err("its quote does not close on this line")) };
            end += quote + 1;
            if !quoted[end..].starts_with('"') {
                break quoted[..end - 1].contains('"');
            }
            end += 1;
        };
        let (cell, after) = (quoted[..end - 1].trim(), quoted[end..].trim_start());
        self.rest = match after.strip_prefix(',') {
            Some(rest) => Some(rest),
            None if after.is_empty() => None,
            None => return Some(Err("something follows its closing quote")),
        };
        Some(Ok(if doubled { Cow::Owned(cell.replace("\"\"", "\"")) } else { Cow::Borrowed(cell) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Csv, String> {
        Csv::parse(text.as_bytes().to_vec(), Path::new("t.csv")).map_err(|error| error.to_string())
    }

    fn cells(text: &str) -> Vec<String> {
        let mut cells = Vec::new();
        parse(text).unwrap().each(|_, _, cell| cells.push(cell.to_owned()));
        cells
    }

    #[test]
    fn quotes_ends_of_lines_and_spaces() {
        assert_eq!(cells("\u{feff}a,b\r\n1, 2 \r\n\r\n3,\"4,\"\"5\"\"\"\n"), ["1", "2", "3", "4,\"5\""]);
        assert_eq!(cells("a\n\"\"\nx"), ["", "x"]);
        assert_eq!(cells("a,b\n,\n"), ["", ""]);
        let table = parse("a,b\n1,2\n3,4\n").unwrap();
        assert_eq!(table.column(1).collect::<Vec<_>>(), ["2", "4"]);
        assert_eq!(table.column(2).count(), 0);
        assert_eq!((parse("a,b\n").unwrap().rows(), parse("a").unwrap().rows()), (0, 0));
    }

    #[test]
    fn each_abuse_has_its_error() {
        let long = format!("a\n{}\n", "x".repeat(MAX_CELL + 1));
        let wide = ",".repeat(MAX_COLUMNS);
        let cases = [
            ("", "t.csv: it is empty"),
            ("\n \n", "t.csv: it is empty"),
            ("a,b\n1\n", "t.csv: line 2: it has 1 cells, the header has 2"),
            ("a,b\n\n1,2,3\n", "t.csv: line 3: it has more than 2 cells"),
            ("a,b\n1,\"2\n", "t.csv: line 2, column 2: its quote does not close on this line"),
            ("a,b\n1,\"2\"3\n", "t.csv: line 2, column 2: something follows its closing quote"),
            ("a,b\n1,2\"\n", "t.csv: line 2, column 2: a quote stands within it"),
            ("a,b\n1,2\0\n", "t.csv: line 2: there is a NUL byte"),
            (&long, "t.csv: line 2, column 1: it is longer than 65536 bytes"),
            (&wide, "t.csv: line 1: it has more than 4096 cells"),
        ];
        for (text, want) in cases {
            assert_eq!(parse(text).unwrap_err(), want);
        }
        let error = Csv::parse(b"a\nb\n\xff\n".to_vec(), Path::new("t.csv")).unwrap_err();
        assert_eq!(error.to_string(), "t.csv: line 3: it is not UTF-8");
    }
}
