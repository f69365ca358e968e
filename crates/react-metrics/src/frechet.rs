//! Fréchet distance of Gaussians fitted to features: FRRea with Inception features, FVD-like with any others.

use crate::MetricsError;
use crate::input::{least, shape};
use nalgebra::DMatrix;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};

/// Mean and scatter of feature vectors, taken in batches, in f64.
///
/// ```
/// use ndarray::arr2;
/// use react_metrics::Gaussian;
/// let mut gaussian = Gaussian::new(1);
/// gaussian.push(arr2(&[[1.0f32], [2.0]]).view())?;
/// gaussian.push(arr2(&[[6.0f32]]).view())?;
/// assert_eq!((gaussian.mean()[0], gaussian.covariance()?[[0, 0]]), (3.0, 7.0)); // (4 + 1 + 9) / 2
/// # Ok::<(), react_metrics::MetricsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Gaussian {
    count: usize,
    mean: Array1<f64>,
    scatter: Array2<f64>,
}

impl Gaussian {
    /// Of `features` numbers a vector; nothing pushed yet.
    #[must_use]
    pub fn new(features: usize) -> Self {
        Self { count: 0, mean: Array1::zeros(features), scatter: Array2::zeros((features, features)) }
    }

    /// Takes feature vectors `[n, features]`.
    ///
    /// # Errors
    /// [`MetricsError`] where they have another width, or a value is not finite.
    pub fn push<T: Copy + Into<f64>>(&mut self, batch: ArrayView2<'_, T>) -> Result<(), MetricsError> {
        let features = self.mean.len();
        if batch.ncols() != features {
            return Err(shape("features", &format!("[n, {features}]"), batch.shape()));
        }
        let mut batch = batch.mapv(Into::<f64>::into);
        if let Some(((vector, feature), value)) = batch.indexed_iter().find(|(_, x)| !x.is_finite()) {
            return Err(MetricsError::FeatureNotFinite { vector: self.count + vector, feature, value: *value });
        }
        let Some(mean) = batch.mean_axis(Axis(0)) else { return Ok(()) };
        // Chan, Golub, LeVeque 1979: scatters around their own means, and what the means differ by.
        let (old, new) = (self.count as f64, batch.nrows() as f64);
        batch -= &mean;
        self.scatter += &batch.t().dot(&batch);
        let apart = (&mean - &self.mean).insert_axis(Axis(1));
        self.scatter += &(apart.dot(&apart.t()) * (old * new / (old + new)));
        self.mean += &(apart.remove_axis(Axis(1)) * (new / (old + new)));
        self.count += batch.nrows();
        Ok(())
    }

    /// How many vectors were pushed.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The mean `[features]`.
    #[must_use]
    pub fn mean(&self) -> ArrayView1<'_, f64> {
        self.mean.view()
    }

    /// The unbiased covariance `[features, features]`.
    ///
    /// # Errors
    /// [`MetricsError::Count`] with fewer than 2 vectors.
    pub fn covariance(&self) -> Result<Array2<f64>, MetricsError> {
        least("feature vectors", 2, self.count)?;
        Ok(&self.scatter / (self.count - 1) as f64)
    }

    /// The Fréchet distance to another Gaussian:
    ///
    /// ```text
    /// d² = ‖μ₁ − μ₂‖² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁ Σ₂)^½          (d² is reported, as FID is)
    /// ```
    /// With Σ = LᵀL, tr (Σ₁Σ₂)^½ is the sum of the singular values of L₁L₂ᵀ: no matrix root, and nothing to add where Σ is
    /// singular. Source: M. Heusel et al., "GANs trained by a two time-scale update rule", 2017 (FID).
    ///
    /// # Errors
    /// [`MetricsError`] where widths differ or there are fewer than 2 vectors.
    pub fn distance(&self, other: &Self) -> Result<f64, MetricsError> {
        if other.mean.len() != self.mean.len() {
            return Err(shape("features of the other set", &format!("[n, {}]", self.mean.len()), &[other.count, other.mean.len()]));
        }
        let (a, b) = (self.covariance()?, other.covariance()?);
        let means = (&self.mean - &other.mean).mapv(|x| x * x).sum();
        let product = factor(&a).dot(&factor(&b).t());
        let product = DMatrix::from_row_iterator(product.nrows(), product.ncols(), product.iter().copied());
        let root_trace = if product.is_empty() { 0.0 } else { product.singular_values().sum() };
        Ok((means + a.diag().sum() + b.diag().sum() - 2.0 * root_trace).max(0.0))
    }
}

/// Fréchet distance of the Gaussians of two sets of features `[n, d]`, `[m, d]`; see [`Gaussian::distance`].
///
/// ```
/// use ndarray::arr2;
/// use react_metrics::frechet_distance;
/// let a = arr2(&[[0.0], [2.0]]); // mean 1, variance 2
/// let b = arr2(&[[1.0], [5.0]]); // mean 3, variance 8
/// assert!((frechet_distance(a.view(), b.view())? - (4.0 + 2.0 + 8.0 - 2.0 * 4.0)).abs() < 1e-12);
/// # Ok::<(), react_metrics::MetricsError>(())
/// ```
///
/// # Errors
/// [`MetricsError`] where widths differ, a set has fewer than 2 vectors, or a value is not finite.
pub fn frechet_distance<T: Copy + Into<f64>>(a: ArrayView2<'_, T>, b: ArrayView2<'_, T>) -> Result<f64, MetricsError> {
    let mut gaussians = (Gaussian::new(a.ncols()), Gaussian::new(a.ncols()));
    gaussians.0.push(a)?;
    gaussians.1.push(b)?;
    gaussians.0.distance(&gaussians.1)
}

/// L `[rank, d]` with Σ = LᵀL: Cholesky's factor with diagonal pivoting, which ends where what is left is rounding.
fn factor(covariance: &Array2<f64>) -> Array2<f64> {
    let d = covariance.nrows();
    let mut left = covariance.diag().to_owned();
    let rounding = d as f64 * f64::EPSILON * left.fold(0.0, |most: f64, x| most.max(*x));
    let mut factor = Array2::zeros((d, d));
    for rank in 0..d {
        let (pivot, most) = left.iter().enumerate().fold((0, 0.0), |best, (i, x)| if *x > best.1 { (i, *x) } else { best });
        if most <= rounding {
            return factor.slice(s![..rank, ..]).to_owned();
        }
        let (done, mut rest) = factor.view_mut().split_at(Axis(0), rank);
        let mut row = covariance.row(pivot).to_owned();
        for above in done.rows() {
            row.scaled_add(-above[pivot], &above);
        }
        row /= most.sqrt();
        left.zip_mut_with(&row, |left, x| *left -= x * x);
        left[pivot] = 0.0;
        rest.row_mut(0).assign(&row);
    }
    factor
}

#[cfg(test)]
mod tests {
    use super::*;
    use react_random::Draws;

    fn normal(n: usize, d: usize, stream: u32) -> Array2<f64> {
        let mut draws = Draws::new(5, "test", stream, 0);
        Array2::from_shape_simple_fn((n, d), || f64::from(draws.normal()))
    }

    #[test]
    fn a_factor_gives_its_covariance_again_at_any_rank() {
        for (n, d) in [(20, 5), (4, 9)] {
            let mut gaussian = Gaussian::new(d);
            gaussian.push(normal(n, d, 0).view()).unwrap();
            let covariance = gaussian.covariance().unwrap();
            let factor = factor(&covariance);
            assert_eq!(factor.nrows(), d.min(n - 1));
            assert!((factor.t().dot(&factor) - covariance).iter().all(|x| x.abs() < 1e-13));
        }
    }

    #[test]
    fn distance_is_symmetric_zero_for_itself_and_the_same_in_batches() {
        let (a, b) = (normal(30, 6, 1), normal(5, 6, 2) * 2.0 + 1.0);
        let there = frechet_distance(a.view(), b.view()).unwrap();
        assert!((there - frechet_distance(b.view(), a.view()).unwrap()).abs() < 1e-12);
        assert!(there > 1.0);
        assert!(frechet_distance(a.view(), a.view()).unwrap() < 1e-12);
        let mut batches = Gaussian::new(6);
        batches.push(a.slice(s![..7, ..])).unwrap();
        batches.push(a.slice(s![7.., ..])).unwrap();
        let mut other = Gaussian::new(6);
        other.push(b.view()).unwrap();
        assert!((batches.distance(&other).unwrap() - there).abs() < 1e-12);
    }

    #[test]
    fn constant_features_leave_the_means() {
        let (a, b) = (Array2::from_elem((3, 2), 1.0), Array2::from_elem((3, 2), 3.0));
        assert_eq!(frechet_distance(a.view(), b.view()).unwrap(), 8.0);
    }

    #[test]
    fn what_cannot_be_measured_is_named() {
        let error = frechet_distance(normal(1, 2, 0).view(), normal(5, 2, 1).view()).unwrap_err();
        assert_eq!(error.to_string(), "feature vectors: expected at least 2, got 1");
        let mut bad = normal(3, 2, 0);
        bad[[2, 1]] = f64::NAN;
        let error = frechet_distance(bad.view(), bad.view()).unwrap_err();
        assert_eq!(error.to_string(), "features: vector 2, feature 1 is NaN");
    }
}
