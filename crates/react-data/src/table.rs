//! Small csv files, by way of polars: every cell is read as text first, so that an error can name its row and column.

use crate::DataError;
use polars::prelude::{CsvReadOptions, DataFrame, PolarsError, SerReader};
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// A csv file with a header, as text.
pub(crate) struct Table {
    file: PathBuf,
    frame: DataFrame,
}

impl Table {
    pub(crate) fn read(file: &Path) -> Result<Self, DataError> {
        let bytes = std::fs::read(file).map_err(DataError::io("read", file))?;
        let options = CsvReadOptions::default().with_has_header(true).with_infer_schema_length(Some(0)).with_n_threads(Some(1));
        let frame = options.into_reader_with_file_handle(Cursor::new(bytes)).finish().map_err(|error| {
            let why = match error {
                PolarsError::NoData(_) => "it is empty".to_owned(),
                other => format!("it is no csv: {}", other.to_string().lines().next().unwrap_or_default()),
            };
            DataError::csv(file, why)
        })?;
        Ok(Self { file: file.to_owned(), frame })
    }

    pub(crate) fn rows(&self) -> usize {
        self.frame.height()
    }

    /// Refuses another number of columns: `want` ("25 columns") says what there should be.
    pub(crate) fn check_width(&self, allowed: std::ops::RangeInclusive<usize>, want: &str) -> Result<(), DataError> {
        let found = self.frame.width();
        if allowed.contains(&found) {
            return Ok(());
        }
        Err(DataError::csv(&self.file, format!("wanted {want}, found {found}")))
    }

    /// The header.
    pub(crate) fn names(&self) -> Vec<String> {
        self.frame.get_column_names().iter().map(|name| name.to_string()).collect()
    }

    /// Calls `cell` with (row, text) of every cell of a column, from top to bottom; an empty one is an error.
    pub(crate) fn column<E>(&self, column: usize, mut cell: impl FnMut(usize, &str) -> Result<(), E>) -> Result<(), DataError>
    where
        E: Into<String>,
    {
        self.cells(column, |row, text| match text {
            Some(text) => cell(row, text).map_err(Into::into),
            None => Err("it is empty".to_owned()),
        })
    }

    /// As [`Self::column`], with `None` for an empty cell.
    pub(crate) fn cells<E>(&self, column: usize, mut cell: impl FnMut(usize, Option<&str>) -> Result<(), E>) -> Result<(), DataError>
    where
        E: Into<String>,
    {
        let texts = self.frame.columns().get(column).and_then(|column| column.as_materialized_series().str().ok());
        let texts = texts.ok_or_else(|| DataError::csv(&self.file, format!("column {} is missing", column + 1)))?;
        for (row, text) in texts.iter().enumerate() {
            cell(row, text.map(str::trim).filter(|text| !text.is_empty())).map_err(|why| DataError::cell(&self.file, row, column, why))?;
        }
        Ok(())
    }

    /// A column as clip paths, names or the like.
    pub(crate) fn parsed<T>(&self, column: usize, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, DataError> {
        let mut values = Vec::with_capacity(self.rows());
        self.column(column, |_, text| {
            values.push(parse(text)?);
            Ok::<(), String>(())
        })?;
        Ok(values)
    }
}
