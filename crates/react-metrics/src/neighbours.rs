use crate::MetricsError;
use ndarray::ArrayView2;

/// Which listeners' reactions are appropriate for which speaker's behaviour.
///
/// Made from the challenge's matrix `[N, N]` (row = speaker clip, column = listener clip, 1 = appropriate).
///
/// ```
/// use ndarray::arr2;
/// use react_metrics::Neighbours;
/// let neighbours = Neighbours::new(arr2(&[[1.0, 0.0], [1.0, 1.0]]).view())?;
/// assert_eq!((neighbours.clips(), neighbours.of(1)), (2, &[0, 1][..]));
/// let empty = Neighbours::new(arr2(&[[1u8, 0], [0, 0]]).view()).unwrap_err();
/// assert!(empty.to_string().starts_with("neighbours: row 1 is empty"));
/// # Ok::<(), react_metrics::MetricsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbours {
    columns: Vec<u32>,
    starts: Vec<usize>,
}

impl Neighbours {
    /// Checks a matrix of `bool`, or of any numbers that are 0 or 1.
    ///
    /// # Errors
    /// [`MetricsError`] where the matrix is not square, a cell is neither 0 nor 1, or a row is empty (it is named).
    pub fn new<T: Copy + Into<f64>>(matrix: ArrayView2<'_, T>) -> Result<Self, MetricsError> {
        let n = matrix.nrows();
        if matrix.ncols() != n || u32::try_from(n).is_err() {
            return Err(MetricsError::Shape { what: "neighbours".into(), want: "[N, N]".into(), got: matrix.shape().to_vec() });
        }
        let mut neighbours = Self { columns: Vec::new(), starts: vec![0] };
        for (row, cells) in matrix.rows().into_iter().enumerate() {
            for (column, cell) in cells.iter().enumerate() {
                let value: f64 = (*cell).into();
                if value == 1.0 {
                    neighbours.columns.push(column as u32);
                } else if value != 0.0 {
                    return Err(MetricsError::NeighbourValue { row, column, value });
                }
            }
            if neighbours.columns.len() == neighbours.starts[row] {
                return Err(MetricsError::NoNeighbour { clip: row });
            }
            neighbours.starts.push(neighbours.columns.len());
        }
        Ok(neighbours)
    }

    /// Only a clip's own listener is appropriate.
    #[must_use]
    pub fn identity(clips: usize) -> Self {
        Self { columns: (0..clips as u32).collect(), starts: (0..=clips).collect() }
    }

    /// N, the number of clips.
    #[must_use]
    pub fn clips(&self) -> usize {
        self.starts.len() - 1
    }

    /// The listeners whose reactions are appropriate for speaker `clip`, ascending, never empty.
    ///
    /// # Panics
    /// Where `clip` is not below [`Neighbours::clips`].
    #[must_use]
    pub fn of(&self, clip: usize) -> &[u32] {
        &self.columns[self.starts[clip]..self.starts[clip + 1]]
    }

    /// The number of ones in the matrix.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.columns.len()
    }
}
