//! The corpus's small arrays: attributes, coefficients, the mean face.

use crate::DataError;
use crate::table::Table;
use ndarray::{Array1, Array2};
use react_contracts::{ATTRIBUTES, COEFFS, MAX_AUDIO_FEATURES};
use react_store::read_npy_f32;
use std::path::Path;

/// Reads an emotion csv, a header and 25 columns, as f32 `[t, 25]` in the order of [`react_contracts::channels::EMOTION`].
///
/// # Errors
/// [`DataError`] with row and column where a cell is empty, no number, or not finite.
pub fn read_emotion_csv(path: &Path) -> Result<Array2<f32>, DataError> {
    let table = Table::read(path)?;
    table.check_width(ATTRIBUTES..=ATTRIBUTES, "25 columns")?;
    table.finite()
}

/// Reads attributes, f32 `[t, 25]`: a csv as [`read_emotion_csv`], or an npy `[t, 25]` or `[t, 1, 25]` of any number type.
///
/// # Errors
/// [`DataError`] for another shape, and with row and column where a value is not finite.
pub fn read_emotion(path: &Path) -> Result<Array2<f32>, DataError> {
    if has_extension(path, "npy") {
        read_rows(path, "[t, 25] or [t, 1, 25]", |columns| columns == ATTRIBUTES)
    } else {
        read_emotion_csv(path)
    }
}

/// Reads given audio features, an npy `[t, a]` or `[t, 1, a]` of any number type, a from 1 to 4096.
///
/// # Errors
/// As [`read_emotion`].
pub fn read_audio_features(path: &Path) -> Result<Array2<f32>, DataError> {
    read_rows(path, "[t, features]", |columns| (1..=MAX_AUDIO_FEATURES).contains(&columns))
}

pub(crate) fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted))
}

/// Reads 3DMM coefficients, an npy `[t, 1, 58]` or `[t, 58]` of any number type, as f32 `[t, 58]`.
///
/// # Errors
/// [`DataError`] for another shape, and with row and column where a value is not finite.
pub fn read_coeffs(path: &Path) -> Result<Array2<f32>, DataError> {
    read_rows(path, "[t, 58] or [t, 1, 58]", |columns| columns == COEFFS)
}

/// An npy `[t, columns]` or `[t, 1, columns]` of finite numbers.
fn read_rows(path: &Path, want: &str, fits: impl Fn(usize) -> bool) -> Result<Array2<f32>, DataError> {
    let array = read_npy_f32(path).map_err(|error| missing_or(error, path))?;
    let shape = array.shape().to_vec();
    let odd = || DataError::Shape { file: path.to_owned(), want: want.to_owned(), found: shape.clone() };
    let (rows, columns) = match shape[..] {
        [rows, columns] | [rows, 1, columns] if fits(columns) => (rows, columns),
        _ => return Err(odd()),
    };
    let values = array.into_raw_vec_and_offset().0;
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        return Err(DataError::cell(path, at / columns, at % columns, format!("{} is not finite", values[at])));
    }
    Array2::from_shape_vec((rows, columns), values).map_err(|_| odd())
}

/// Reads `mean_face.npy`: 58 finite values, in any shape that holds 58 (published as `[1, 1, 58]`).
///
/// # Errors
/// [`DataError`] for another number of values, or one that is not finite.
pub fn read_mean_face(path: &Path) -> Result<Array1<f32>, DataError> {
    let array = read_npy_f32(path).map_err(|error| missing_or(error, path))?;
    let found = array.shape().to_vec();
    let values = array.into_raw_vec_and_offset().0;
    if values.len() != COEFFS {
        return Err(DataError::Shape { file: path.to_owned(), want: "of 58 values".to_owned(), found });
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(DataError::cell(path, 0, at, format!("{} is not finite", values[at]))),
        None => Ok(Array1::from_vec(values)),
    }
}

/// A file that is not there gets the same sentence as every other.
pub(crate) fn missing_or(error: react_store::StoreError, path: &Path) -> DataError {
    match error {
        react_store::StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => DataError::missing("file", path),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;
    use std::fs;

    fn emotion(body: &str) -> Result<Array2<f32>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.csv");
        fs::write(&path, body).unwrap();
        read_emotion_csv(&path).map_err(|error| error.to_string())
    }

    fn row(value: &str) -> String {
        let mut cells = vec!["0.5"; 25];
        cells[16] = value;
        cells.join(",")
    }

    #[test]
    fn a_csv_of_attributes() {
        let header = react_contracts::channels::EMOTION.join(",");
        let read = emotion(&format!("{header}\n{}\n{}\n", row("-0.25"), row("1"))).unwrap();
        assert_eq!((read.dim(), read[[0, 16]], read[[1, 16]], read[[1, 24]]), ((2, 25), -0.25, 1.0, 0.5));
    }

    #[test]
    fn each_abuse_of_a_csv_names_its_place() {
        let header = react_contracts::channels::EMOTION.join(",");
        let cases = [
            (String::new(), "e.csv: it is empty"),
            ("AU1,AU2\n0,1\n".to_owned(), "e.csv: wanted 25 columns, found 2"),
            (format!("{header}\n{}\n{}\n", row("1"), row("x")), "e.csv: row 2, column 17: \"x\" is no number"),
            (format!("{header}\n{}\n", row("nan")), "e.csv: row 1, column 17: \"nan\" is not finite"),
            (format!("{header}\n{}\n", row("")), "e.csv: row 1, column 17: it is empty"),
            (format!("{header}\n{},9\n", row("1")), "e.csv: line 2: it has more than 25 cells"),
            (format!("{header}\n1,2,3\n"), "e.csv: line 2: it has 3 cells, the header has 25"),
        ];
        for (body, want) in cases {
            let error = emotion(&body).unwrap_err();
            assert!(error.contains(want), "{body:?}: {error}");
        }
    }

    #[test]
    fn coefficients_of_both_shapes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.npy");
        let array = Array3::from_shape_fn((4, 1, 58), |(t, _, c)| (t * 58 + c) as f64);
        react_store::write_npy(&path, &array).unwrap();
        assert_eq!(read_coeffs(&path).unwrap()[[3, 57]], 231.0);
        react_store::write_npy(&path, &array.index_axis(ndarray::Axis(1), 0)).unwrap();
        assert_eq!(read_coeffs(&path).unwrap().dim(), (4, 58));
        react_store::write_npy(&path, &Array2::<f32>::zeros((1, 57))).unwrap();
        assert!(read_coeffs(&path).unwrap_err().to_string().ends_with("c.npy: wanted an array [t, 58] or [t, 1, 58], found [1, 57]"));
        let mut bad = Array2::<f32>::zeros((3, 58));
        bad[[2, 5]] = f32::NAN;
        react_store::write_npy(&path, &bad).unwrap();
        assert!(read_coeffs(&path).unwrap_err().to_string().ends_with("c.npy: row 3, column 6: NaN is not finite"));
        assert!(read_coeffs(&folder.path().join("no.npy")).unwrap_err().to_string().starts_with("file not found: "));
    }

    #[test]
    fn a_mean_face_of_any_shape() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mean_face.npy");
        react_store::write_npy(&path, &Array3::<f32>::from_elem((1, 1, 58), 0.25)).unwrap();
        assert_eq!(read_mean_face(&path).unwrap()[57], 0.25);
        react_store::write_npy(&path, &Array1::<f32>::zeros(52)).unwrap();
        assert!(read_mean_face(&path).unwrap_err().to_string().ends_with("wanted an array of 58 values, found [52]"));
    }
}
