use ndarray::ArrayView3;

/// A frame `[h, w, 3]` bilinearly to `side`×`side`, corners not aligned, no antialiasing, scaled to [−1, 1]: `[side, side, 3]`.
pub(super) fn resize(frame: ArrayView3<u8>, side: usize, out: &mut [f32]) {
    let (height, width, _) = frame.dim();
    let (rows, columns) = (places(height, side), places(width, side));
    for (row, (y0, y1, fy)) in out.chunks_exact_mut(side * 3).zip(rows) {
        for (pixel, (x0, x1, fx)) in row.chunks_exact_mut(3).zip(&columns) {
            for (c, value) in pixel.iter_mut().enumerate() {
                let at = |y: usize, x: usize| f32::from(frame[[y, x, c]]) / 255.0;
                let above = at(y0, *x0) * (1.0 - fx) + at(y0, *x1) * fx;
                let below = at(y1, *x0) * (1.0 - fx) + at(y1, *x1) * fx;
                *value = 2.0 * (above * (1.0 - fy) + below * fy) - 1.0;
            }
        }
    }
}

/// For each place of the output the two of the input that it lies between, and how far it is from the first.
fn places(size: usize, side: usize) -> Vec<(usize, usize, f32)> {
    let scale = size as f32 / side as f32;
    (0..side)
        .map(|i| {
            let at = ((i as f32 + 0.5) * scale - 0.5).max(0.0);
            let first = (at as usize).min(size - 1);
            (first, (first + 1).min(size - 1), at - first as f32)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_pixels_become_four() {
        let frame = ndarray::arr3(&[[[0u8, 255, 51], [255, 255, 51]]]);
        let mut out = [0.0; 4 * 4 * 3];
        resize(frame.view(), 4, &mut out);
        let reds: Vec<f32> = out[..12].iter().step_by(3).copied().collect();
        assert_eq!(reds, [-1.0, -0.5, 0.5, 1.0]);
        assert!(out.iter().skip(1).step_by(3).all(|x| *x == 1.0));
        assert!(out.iter().skip(2).step_by(3).all(|x| (x + 0.6).abs() < 1e-6));
    }
}
