//! The two principal axes of a cloud of points.

use ndarray::{Array1, Array2, ArrayView2};

/// Turns of the power iteration at most; what is not told apart after that has all but the same variance.
const TURNS: usize = 500;

/// Points on their two principal axes.
pub(crate) struct Pca {
    pub(crate) coordinates: Vec<[f64; 2]>,
    /// Each axis' share of the variance.
    pub(crate) explained: [f64; 2],
}

/// Projects `points` `[n, d]` on their two axes of highest variance; none where they are less than 3, or have no variance.
///
/// Power iteration with deflation on the smaller of the two matrices of products, in f64, sums in order. An axis' sign is such that
/// the point farthest from the middle is on its positive side.
pub(crate) fn pca(points: ArrayView2<'_, f32>) -> Option<Pca> {
    let (n, d) = points.dim();
    if n < 3 || d < 1 || points.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let mut centred = points.mapv(f64::from);
    for mut column in centred.columns_mut() {
        let mean = column.sum() / n as f64;
        column -= mean;
    }
    let of_points = n < d;
    let rows = if of_points { centred.view() } else { centred.t() };
    let mut products = products(rows);
    let total: f64 = products.diag().sum();
    if total <= 0.0 {
        return None;
    }
    let mut pca = Pca { coordinates: vec![[0.0; 2]; n], explained: [0.0; 2] };
    for axis in 0..2 {
        let (value, vector) = strongest(&products, axis);
        let places = if of_points { &vector * value.max(0.0).sqrt() } else { centred.dot(&vector) };
        let farthest = places.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(1.0);
        for (to, place) in pca.coordinates.iter_mut().zip(&places) {
            to[axis] = place * farthest.signum();
        }
        pca.explained[axis] = (value / total).clamp(0.0, 1.0);
        for (mut row, a) in products.rows_mut().into_iter().zip(&vector) {
            row.scaled_add(-value * a, &vector);
        }
    }
    Some(pca)
}

/// The products of all rows with each other.
fn products(rows: ArrayView2<'_, f64>) -> Array2<f64> {
    let rows = rows.as_standard_layout();
    let m = rows.nrows();
    let mut out = Array2::zeros((m, m));
    for i in 0..m {
        for j in 0..=i {
            let product = rows.row(i).iter().zip(rows.row(j)).map(|(a, b)| a * b).sum::<f64>();
            out[[i, j]] = product;
            out[[j, i]] = product;
        }
    }
    out
}

/// The largest eigenvalue of a symmetric matrix without negative ones, and its vector.
fn strongest(matrix: &Array2<f64>, axis: usize) -> (f64, Array1<f64>) {
    let unit = |v: Array1<f64>| {
        let norm = v.dot(&v).sqrt();
        if norm > 0.0 { v / norm } else { v }
    };
    // No symmetry of the data is likely to be at right angles to this.
    let mut vector = unit(Array1::from_shape_fn(matrix.nrows(), |i| 1.0 + ((i * (axis + 3) + 1) as f64).sin()));
    for _ in 0..TURNS {
        let next = unit(matrix.dot(&vector));
        let moved = (&next - &vector).mapv(f64::abs).sum();
        vector = next;
        if moved < 1e-12 {
            break;
        }
    }
    (vector.dot(&matrix.dot(&vector)), vector)
}

#[cfg(test)]
mod tests {
    use super::pca;
    use ndarray::{Array2, array};

    #[test]
    fn axes_of_a_known_cloud() {
        // Along (3, 4)/5 the squares sum to 200, across to 50.
        let points = array![[6.0f32, 8.0], [-6.0, -8.0], [0.0, 0.0], [-4.0, 3.0], [4.0, -3.0], [0.0, 0.0]];
        let found = pca(points.view()).unwrap();
        assert!((found.explained[0] - 0.8).abs() < 1e-9 && (found.explained[1] - 0.2).abs() < 1e-9);
        let first: Vec<f64> = found.coordinates.iter().map(|c| (c[0].abs() * 1e6).round() / 1e6).collect();
        assert_eq!(first, [10.0, 10.0, 0.0, 0.0, 0.0, 0.0]);
        assert!((found.coordinates[3][1] + found.coordinates[4][1]).abs() < 1e-6);
    }

    #[test]
    fn few_points_of_many_dimensions_agree_with_their_own_coordinates() {
        let flat = Array2::from_shape_fn((5, 2), |(i, j)| ((i * 7 + j * 3) as f32 * 0.9).sin());
        // The same points in 40 dimensions, turned.
        let wide = Array2::from_shape_fn((5, 40), |(i, j)| match j {
            3 => 0.6 * flat[[i, 0]] - 0.8 * flat[[i, 1]],
            20 => 0.8 * flat[[i, 0]] + 0.6 * flat[[i, 1]],
            _ => 0.25,
        });
        let (a, b) = (pca(flat.view()).unwrap(), pca(wide.view()).unwrap());
        for axis in 0..2 {
            assert!((a.explained[axis] - b.explained[axis]).abs() < 1e-6);
            let same = a.coordinates.iter().zip(&b.coordinates).all(|(a, b)| (a[axis].abs() - b[axis].abs()).abs() < 1e-5);
            assert!(same, "axis {axis}");
        }
    }

    #[test]
    fn what_has_no_axes() {
        assert!(pca(Array2::zeros((9, 4)).view()).is_none());
        assert!(pca(Array2::ones((2, 4)).view()).is_none());
        assert!(pca(array![[1.0f32], [f32::NAN], [2.0]].view()).is_none());
        let line = pca(array![[1.0f32], [2.0], [3.0]].view()).unwrap();
        assert_eq!((line.explained[0], line.explained[1]), (1.0, 0.0));
    }
}
