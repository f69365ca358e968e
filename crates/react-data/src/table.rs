//! Small csv files: cells are text, so that an error can name its row and column.

use crate::DataError;
use ndarray::Array2;
use polars::prelude::{CsvReadOptions, DataType, Field, PolarsError, Schema, SerReader};
use react_store::{Csv, StoreError};
use std::io::{Cursor, ErrorKind};
use std::path::Path;
use std::sync::Arc;

/// Text that polars holds at once, in bytes: its memory is a small multiple of it.
const BLOCK: usize = 1 << 20;

/// A csv file with a header, as text.
pub(crate) struct Table(Csv);

impl Table {
    pub(crate) fn read(file: &Path) -> Result<Self, DataError> {
        let csv = Csv::read(file).map_err(|error| match error {
            StoreError::Io { source, .. } if source.kind() == ErrorKind::NotFound => DataError::missing("file", file),
            StoreError::Csv { why, .. } => DataError::csv(file, why),
            other => other.into(),
        })?;
        Ok(Self(csv))
    }

    pub(crate) fn rows(&self) -> usize {
        self.0.rows()
    }

    /// Refuses another number of columns: `want` ("25 columns") says what there should be.
    pub(crate) fn check_width(&self, allowed: std::ops::RangeInclusive<usize>, want: &str) -> Result<(), DataError> {
        let found = self.0.names().len();
        if allowed.contains(&found) {
            return Ok(());
        }
        Err(DataError::csv(self.0.file(), format!("wanted {want}, found {found}")))
    }

    /// All cells as numbers, `[rows, columns]`.
    pub(crate) fn finite(&self) -> Result<Array2<f32>, DataError> {
        let columns = self.0.names().len();
        let schema: Schema = (0..columns).map(|column| Field::new(format!("{column}").into(), DataType::Float32)).collect();
        let schema = Arc::new(schema);
        let mut out = Array2::zeros((self.rows(), columns));
        let mut first = 0;
        // The text is well-formed: what hostile files do to a reader of csv was looked for when it was read.
        for block in self.0.blocks(BLOCK) {
            let options = CsvReadOptions::default().with_has_header(false).with_n_threads(Some(1)).with_ignore_errors(true);
            let reader = options.with_schema(Some(schema.clone())).into_reader_with_file_handle(Cursor::new(block));
            let odd = |error: PolarsError| DataError::csv(self.0.file(), format!("polars cannot read it: {error}"));
            let frame = reader.finish().map_err(odd)?;
            for (column, series) in frame.columns().iter().enumerate() {
                for (row, value) in series.f32().map_err(odd)?.iter().enumerate() {
                    let row = first + row;
                    let value = match value.filter(|value| value.is_finite()) {
                        Some(value) => value,
                        None => self.number(row, column)?,
                    };
                    *out.get_mut((row, column)).ok_or_else(|| DataError::csv(self.0.file(), "polars counts other rows".to_owned()))? =
                        value;
                }
            }
            first += frame.height();
        }
        if first != self.rows() {
            return Err(DataError::csv(self.0.file(), format!("polars finds {first} rows of {}", self.rows())));
        }
        Ok(out)
    }

    /// A cell that is no plain number to polars: quoted, or wrong.
    fn number(&self, row: usize, column: usize) -> Result<f32, DataError> {
        let text = self.0.column(column).nth(row).unwrap_or_default();
        let error = |why: String| DataError::cell(self.0.file(), row, column, why);
        if text.is_empty() {
            return Err(error("it is empty".to_owned()));
        }
        let value: f32 = text.parse().map_err(|_| error(format!("{text:?} is no number")))?;
        if value.is_finite() { Ok(value) } else { Err(error(format!("{text:?} is not finite"))) }
    }

    /// The header.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.names().to_vec()
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
        if column >= self.0.names().len() {
            return Err(DataError::csv(self.0.file(), format!("column {} is missing", column + 1)));
        }
        for (row, text) in self.0.column(column).enumerate() {
            cell(row, Some(&*text).filter(|text| !text.is_empty())).map_err(|why| DataError::cell(self.0.file(), row, column, why))?;
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
