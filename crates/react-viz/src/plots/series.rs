//! Series of points, cut where there is no number, and without the points that nobody could see.

/// Runs of points whose numbers are finite.
pub(crate) fn runs(points: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
    points.split(|(x, y)| !(x.is_finite() && y.is_finite())).filter(|run| !run.is_empty()).map(<[_]>::to_vec).collect()
}

/// The same line in fewer points: at most the lowest and the highest of each of `columns` columns, and on level stretches the ends.
pub(crate) fn thin(points: &[(f64, f64)], columns: usize) -> Vec<(f64, f64)> {
    level_ends(&if points.len() > 2 * columns { columns_extremes(points, columns) } else { points.to_vec() })
}

fn level_ends(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let needed = |i: usize| i == 0 || i + 1 == points.len() || points[i].1 != points[i - 1].1 || points[i].1 != points[i + 1].1;
    (0..points.len()).filter(|&i| needed(i)).map(|i| points[i]).collect()
}

fn columns_extremes(points: &[(f64, f64)], columns: usize) -> Vec<(f64, f64)> {
    let size = points.len().div_ceil(columns.max(1));
    let by_height = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
    let mut out = Vec::with_capacity(2 * columns + 2);
    out.extend(points.first());
    for column in points.chunks(size) {
        if let (Some(&low), Some(&high)) = (column.iter().min_by(by_height), column.iter().max_by(by_height)) {
            out.extend(if low.0 <= high.0 { [low, high] } else { [high, low] });
        }
    }
    out.extend(points.last());
    out.dedup();
    out
}

/// The mean over a window of `width` points around each, cut at the ends.
pub(crate) fn smooth(points: &[(f64, f64)], width: usize) -> Vec<(f64, f64)> {
    let half = width / 2;
    let mut sums = vec![0.0];
    points.iter().for_each(|p| sums.push(sums[sums.len() - 1] + p.1));
    let mean = |i: usize| {
        let (from, to) = (i.saturating_sub(half), (i + half + 1).min(points.len()));
        (sums[to] - sums[from]) / (to - from) as f64
    };
    points.iter().enumerate().map(|(i, p)| (p.0, mean(i))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_cut_a_line() {
        let points = [(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0), (3.0, 4.0)];
        assert_eq!(runs(&points), [vec![(0.0, 1.0)], vec![(2.0, 3.0), (3.0, 4.0)]]);
        assert!(runs(&[(0.0, f64::INFINITY)]).is_empty());
    }

    #[test]
    fn thinning_keeps_steps_and_extremes() {
        let step: Vec<_> = (0..100).map(|i| (f64::from(i), if i < 40 { 0.0 } else { 1.0 })).collect();
        assert_eq!(thin(&step, 1000), [(0.0, 0.0), (39.0, 0.0), (40.0, 1.0), (99.0, 1.0)]);
        let mut spike: Vec<_> = (0..1000).map(|i| (f64::from(i), 0.001 * f64::from(i % 7))).collect();
        spike[501].1 = 9.0;
        let thinned = thin(&spike, 50);
        assert!(thinned.len() <= 102 && thinned.contains(&(501.0, 9.0)));
        assert!(thinned.windows(2).all(|w| w[0].0 <= w[1].0));
    }

    #[test]
    fn smoothing_is_a_mean() {
        let points: Vec<_> = [0.0, 3.0, 6.0, 3.0].into_iter().enumerate().map(|(i, y)| (i as f64, y)).collect();
        assert_eq!(smooth(&points, 3).iter().map(|p| p.1).collect::<Vec<_>>(), [1.5, 3.0, 4.0, 4.5]);
    }
}
