//! `data_info.csv`: which clips there are, in which split, with which labels.

use super::recipe::HumeRecipe;
use super::sampling::unbracketed;
use crate::DataError;
use crate::table::Table;
use std::collections::BTreeMap;
use std::path::Path;

/// The columns that every table has.
const ID: &str = "File_ID";
const SPLIT: &str = "Split";

/// A row of the table.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) split: String,
    pub(super) labels: Option<Vec<f32>>,
}

/// Reads the table: rows in its order, splits by the recipe's spelling (the published table has `Train`, `Val`, `Test`).
///
/// # Errors
/// [`DataError`] with the column that is missing or there twice, or row and column of an id without brackets or there twice, an
/// unknown split, a label that is missing where the split needs one, or is no number in [0, 1].
pub(super) fn read_labels(file: &Path, recipe: &HumeRecipe) -> Result<Vec<Row>, DataError> {
    if !file.is_file() {
        return Err(DataError::missing("table of clips and labels", file));
    }
    let table = Table::read(file)?;
    let place = |name: &str| column(&table, file, name);
    let (id, split) = (place(ID)?, place(SPLIT)?);
    let emotions = recipe.emotions.iter().map(|name| place(name)).collect::<Result<Vec<_>, _>>()?;

    let ids = table.parsed(id, parse_id)?;
    let mut first = BTreeMap::new();
    for (row, name) in ids.iter().enumerate() {
        if let Some(earlier) = first.insert(name, row) {
            return Err(DataError::cell(file, row, id, format!("clip {name} is in row {} already", earlier + 1)));
        }
    }
    let splits = table.parsed(split, |text| {
        let known = || recipe.splits.iter().chain(&recipe.optional_splits);
        let found = known().find(|name| name.eq_ignore_ascii_case(text));
        found.cloned().ok_or_else(|| format!("{text:?} is no split; there are {}", known().cloned().collect::<Vec<_>>().join(", ")))
    })?;
    let labels = values(&table, file, recipe, &emotions, &splits)?;
    Ok(ids.into_iter().zip(splits).zip(labels).map(|((id, split), labels)| Row { id, split, labels }).collect())
}

fn column(table: &Table, file: &Path, name: &str) -> Result<usize, DataError> {
    let names = table.names();
    let mut found = names.iter().enumerate().filter(|(_, known)| known.trim() == name);
    match found.next() {
        Some((index, _)) => Ok(index),
        None => Err(DataError::csv(file, format!("it has no column {name:?}; its columns are {}", names.join(", ")))),
    }
}

/// An id of letters, digits, `_` and `-` in brackets: it becomes the name of a file.
fn parse_id(text: &str) -> Result<String, String> {
    let id = unbracketed(text).ok_or_else(|| format!("{text:?} is not in brackets, as [00001] is"))?;
    if is_id(id) { Ok(id.to_owned()) } else { Err(format!("{text:?} is no id of a clip")) }
}

pub(super) fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= 100 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// The labels of each row; `None` where a row has none and its split may do without.
fn values(
    table: &Table,
    file: &Path,
    recipe: &HumeRecipe,
    columns: &[usize],
    splits: &[String],
) -> Result<Vec<Option<Vec<f32>>>, DataError> {
    let mut cells: Vec<Vec<Option<f32>>> = vec![Vec::with_capacity(columns.len()); table.rows()];
    for column in columns {
        table.cells(*column, |row, text| {
            let value = text.map(parse_label).transpose()?;
            cells[row].push(value);
            Ok::<(), String>(())
        })?;
    }
    let row = |(row, cells): (usize, Vec<Option<f32>>)| {
        let may_lack = recipe.optional_splits.contains(&splits[row]);
        if may_lack && cells.iter().all(Option::is_none) {
            return Ok(None);
        }
        match cells.iter().position(Option::is_none) {
            Some(at) => Err(DataError::cell(file, row, columns[at], "it is empty")),
            None => Ok(Some(cells.into_iter().flatten().collect())),
        }
    };
    cells.into_iter().enumerate().map(row).collect()
}

fn parse_label(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    match value {
        _ if !value.is_finite() => Err(format!("the label {text:?} is not finite")),
        _ if !(0.0..=1.0).contains(&value) => Err(format!("the label {text} is not in [0, 1]")),
        _ => Ok(value),
    }
}
