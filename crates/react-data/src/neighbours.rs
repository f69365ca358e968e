//! Appropriate reactions: a split's part of the corpus's appropriateness matrix.
//!
//! The corpus has an index of M recordings (site, chat, clip) and a matrix A `[2M, 2M]`: rows and columns 0…M are the recordings
//! in their given roles, M…2M the same with the roles swapped. For a split's n pairs, found in the index at m(i),
//! the neighbours are N\[i + a·n, j + b·n\] = A\[m(i) + a·M, m(j) + b·M\], a, b ∈ {0, 1}: rows and columns in the order of a
//! packed split's items. N\[i, j\] = 1 where the listener of item j shows an appropriate reaction to the speaker of item i.

use crate::DataError;
use crate::arrays::missing_or;
use crate::clip::Pair;
use crate::table::Table;
use ndarray::Array2;
use react_random::Draws;
use react_store::{NpyElement, NpyMap};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The rows of a corpus's appropriateness matrix by site (in lower case), chat and clip number.
#[derive(Clone, Debug)]
pub struct AppropriateIndex {
    file: PathBuf,
    rows: BTreeMap<(String, String, u32), Vec<usize>>,
    len: usize,
}

impl AppropriateIndex {
    /// Reads `data_indices.csv`: a header, then site, chat, clip number.
    ///
    /// # Errors
    /// [`DataError`] with row and column where a cell is empty or a clip has no number.
    pub fn read(csv: &Path) -> Result<Self, DataError> {
        let table = Table::read(csv)?;
        table.check_width(3..=3, "3 columns (site, chat, clip)")?;
        let sites = table.parsed(0, |text| Ok(text.to_lowercase()))?;
        let chats = table.parsed(1, |text| Ok(text.to_owned()))?;
        let clips = table.parsed(2, |text| text.parse().map_err(|_| format!("{text:?} is no number of a clip")))?;
        let mut rows = BTreeMap::<_, Vec<_>>::new();
        for (row, key) in sites.into_iter().zip(chats).zip(clips).map(|((site, chat), clip)| (site, chat, clip)).enumerate() {
            rows.entry(key).or_default().push(row);
        }
        Ok(Self { file: csv.to_owned(), rows, len: table.rows() })
    }

    /// The row, from 0, of a pair's speaker.
    fn row(&self, pair: &Pair) -> Result<usize, DataError> {
        let speaker = &pair.speaker;
        let number = speaker.number().unwrap_or_default();
        let key = (speaker.site().to_lowercase(), speaker.chat().to_owned(), number);
        let why = match self.rows.get(&key).map(Vec::as_slice) {
            Some([row]) => return Ok(*row),
            Some(rows) => format!("lists it {} times, in rows {} and {}", rows.len(), rows[0] + 1, rows[1] + 1),
            None => "does not list it".to_owned(),
        };
        let place = format!("site {}, chat {}, clip {}", speaker.site(), speaker.chat(), number);
        Err(DataError::csv(&self.file, format!("the pair {} → {} ({place}): the index {why}", speaker, pair.listener)))
    }
}

/// The neighbours of a split: u8 `[2n, 2n]`, 1 where a reaction is appropriate.
///
/// `matrix` (`Approprirate_facial_reaction.npy`, 594 MB as published) is memory-mapped and only the wanted cells are read.
///
/// # Errors
/// [`DataError`] where a pair is not in the index or there more than once (it names the pair), where the matrix is not
/// `[2M, 2M]`, and with row and column where a value is neither 0 nor 1.
pub fn split_neighbours(index: &AppropriateIndex, matrix: &Path, pairs: &[Pair]) -> Result<Array2<u8>, DataError> {
    let map = NpyMap::open(matrix).map_err(|error| missing_or(error, matrix))?;
    let side = 2 * index.len;
    if map.shape() != [side, side] {
        let want = format!("[{side}, {side}] (twice the {} rows of {})", index.len, index.file.display());
        return Err(DataError::Shape { file: matrix.to_owned(), want, found: map.shape().to_vec() });
    }
    let (element, bytes) = (map.header().element, map.bytes()?);
    let given = pairs.iter().map(|pair| index.row(pair)).collect::<Result<Vec<_>, _>>()?;
    let rows: Vec<_> = given.iter().copied().chain(given.iter().map(|row| row + index.len)).collect();
    let mut out = Array2::zeros((rows.len(), rows.len()));
    for (mut out, row) in out.outer_iter_mut().zip(&rows) {
        for (out, column) in out.iter_mut().zip(&rows) {
            let value = value(element, bytes, row * side + column);
            *out = match value {
                0.0 => 0,
                1.0 => 1,
                _ => return Err(DataError::cell(matrix, *row, *column, format!("{value} is neither 0 nor 1"))),
            };
        }
    }
    Ok(out)
}

/// MARS' neighbours of pairs in both roles: u8 `[2n, 2n]`, 1 where the listener of item j is of the same session as the speaker of
/// item i, and in the same half (items n…2n are the pairs with roles swapped). With `most` > 0 only so many of a row are kept: the
/// own reaction, and others drawn without repetition by (seed, item). The challenge's program draws 9 beside the own one, from its
/// own state; a draw that is a function of the seed lets a score be computed again.
///
/// ```
/// use react_data::{ClipId, Pair, session_neighbours};
/// let pair = |name: &str| Pair {
///     speaker: ClipId::parse(&format!("speaker/{name}")).unwrap(),
///     listener: ClipId::parse(&format!("listener/{name}")).unwrap(),
/// };
/// let pairs = [pair("session0/a"), pair("session0/b"), pair("session1/c")];
/// let all = session_neighbours(&pairs, 0, 0);
/// assert_eq!(all.row(0).to_vec(), [1, 1, 0, 0, 0, 0]);
/// assert_eq!(all.row(5).to_vec(), [0, 0, 0, 0, 0, 1]);
/// assert_eq!(session_neighbours(&pairs, 1, 0), ndarray::Array2::<u8>::eye(6));
/// ```
#[must_use]
pub fn session_neighbours(pairs: &[Pair], most: usize, seed: u64) -> Array2<u8> {
    let n = pairs.len();
    let mut out = own_neighbours(n);
    let mut sessions: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, pair) in pairs.iter().enumerate() {
        sessions.entry(pair.speaker.chat()).or_default().push(index);
    }
    for (row, mut cells) in out.outer_iter_mut().enumerate() {
        let (own, half) = (row % n, row / n * n);
        let mut others: Vec<usize> = sessions[pairs[own].speaker.chat()].iter().copied().filter(|other| *other != own).collect();
        if most > 0 && others.len() >= most {
            Draws::new(seed, "same session", row as u32, 0).shuffle(&mut others);
            others.truncate(most - 1);
        }
        others.into_iter().for_each(|other| cells[half + other] = 1);
    }
    out
}

/// The neighbours of n pairs in both roles where nothing is known: u8 `[2n, 2n]`, each clip's own reaction.
#[must_use]
pub fn own_neighbours(pairs: usize) -> Array2<u8> {
    Array2::from_diag_elem(2 * pairs, 1)
}

/// Element `at` of an array of any type.
fn value(element: NpyElement, bytes: &[u8], at: usize) -> f64 {
    match element {
        NpyElement::U8 | NpyElement::Bool => f64::from(bytes[at]),
        NpyElement::I32 => f64::from(i32::from_le_bytes(bytes.as_chunks().0[at])),
        NpyElement::I64 => i64::from_le_bytes(bytes.as_chunks().0[at]) as f64,
        NpyElement::F32 => f64::from(f32::from_le_bytes(bytes.as_chunks().0[at])),
        NpyElement::F64 => f64::from_le_bytes(bytes.as_chunks().0[at]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClipId;
    use std::fs;

    fn fixture(name: &str) -> PathBuf {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/neighbours")).join(name)
    }

    #[test]
    fn the_published_matrix_exactly() {
        let index = AppropriateIndex::read(&fixture("data_indices.csv")).unwrap();
        let pairs = crate::read_pairs(&fixture("val.csv")).unwrap();
        let ours = split_neighbours(&index, &fixture("Approprirate_facial_reaction.npy"), &pairs).unwrap();
        let theirs = react_store::read_npy_f64(&fixture("neighbour_emotion_val.npy")).unwrap();
        assert_eq!(ours.mapv(f64::from).into_dyn(), theirs);
        assert!(ours.iter().any(|x| *x == 1) && ours.iter().any(|x| *x == 0));
    }

    fn pair(speaker: &str, listener: &str) -> Pair {
        Pair { speaker: ClipId::parse(speaker).unwrap(), listener: ClipId::parse(listener).unwrap() }
    }

    #[test]
    fn sites_match_without_case_udiva_by_topic_and_others_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let (csv, npy) = (folder.path().join("data_indices.csv"), folder.path().join("A.npy"));
        fs::write(&csv, "site,chat,clip\nRecola,group-1,2\nUDIVA,Talk_038039,7\nNoXI,a,1\nNoXI,a,1\n").unwrap();
        let index = AppropriateIndex::read(&csv).unwrap();
        let matrix = Array2::from_shape_fn((8, 8), |(i, j)| f32::from(u8::from(i == j || (i, j) == (0, 5) || (i, j) == (3, 3))));
        react_store::write_npy(&npy, &matrix).unwrap();
        let pairs = [pair("RECOLA/group-1/P1/2", "RECOLA/group-1/P2/2"), pair("UDIVA/038039/Talk/FC1/7", "UDIVA/038039/Talk/FC2/7")];
        let found = split_neighbours(&index, &npy, &pairs).unwrap();
        // Rows 0, 1 of the index, at offset 4 for the mirrored roles: A[0, 5] is N[0, 3].
        let want = ndarray::array![[1u8, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]];
        assert_eq!(found, want);
        let error = |pair| split_neighbours(&index, &npy, &[pair]).unwrap_err().to_string();
        let missing = error(pair("RECOLA/group-1/P1/3", "RECOLA/group-1/P2/3"));
        assert!(missing.ends_with(
            "the pair RECOLA/group-1/P1/3 → RECOLA/group-1/P2/3 (site RECOLA, chat group-1, clip 3): the index does not list it"
        ));
        assert!(error(pair("NoXI/a/E/1", "NoXI/a/N/1")).ends_with("the index lists it 2 times, in rows 3 and 4"));
    }

    #[test]
    fn a_matrix_of_another_size_or_other_values_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (csv, npy) = (folder.path().join("data_indices.csv"), folder.path().join("A.npy"));
        fs::write(&csv, "site,chat,clip\nNoXI,a,1\n").unwrap();
        let index = AppropriateIndex::read(&csv).unwrap();
        let pairs = [pair("NoXI/a/E/1", "NoXI/a/N/1")];
        let error = || split_neighbours(&index, &npy, &pairs).unwrap_err().to_string();
        assert!(error().starts_with("file not found: "), "{}", error());
        react_store::write_npy(&npy, &Array2::<f64>::eye(3)).unwrap();
        assert!(error().contains("wanted an array [2, 2] (twice the 1 rows of "), "{}", error());
        react_store::write_npy(&npy, &ndarray::array![[1.0, 0.0], [0.5, 1.0]]).unwrap();
        assert!(error().ends_with("A.npy: row 2, column 1: 0.5 is neither 0 nor 1"), "{}", error());
        fs::write(&csv, "site,chat,clip\nNoXI,a,first\n").unwrap();
        assert!(AppropriateIndex::read(&csv).unwrap_err().to_string().ends_with("row 1, column 3: \"first\" is no number of a clip"));
    }
}
