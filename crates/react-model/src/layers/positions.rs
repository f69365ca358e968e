use crate::Result;
use candle_core::{Device, Tensor};

/// Sinusoidal positions `[frames, width]`: sin(i·ω_c) on even channels, cos on odd ones, ω_c = 10000^(−2⌊c/2⌋/width).
///
/// Computed for as many frames as are asked for: there is no table to run out of. Vaswani et al., 2017, section 3.5.
///
/// ```
/// let p = react_model::layers::positions(2, 4, &candle_core::Device::Cpu)?.to_vec2::<f32>()?;
/// assert_eq!(p[0], [0.0, 1.0, 0.0, 1.0]);
/// assert!((p[1][0] - 0.841471).abs() < 1e-6 && (p[1][1] - 0.540302).abs() < 1e-6 && (p[1][2] - 0.0099998).abs() < 1e-6);
/// # Ok::<(), react_model::ModelError>(())
/// ```
///
/// # Errors
/// Candle's.
pub fn positions(frames: usize, width: usize, device: &Device) -> Result<Tensor> {
    let mut values = Vec::with_capacity(frames * width);
    for i in 0..frames {
        for c in 0..width {
            // The published table's own arithmetic: f32 up to the angle.
            let frequency = ((c / 2 * 2) as f32 * -(10000f32.ln() / width as f32)).exp();
            let angle = f64::from(i as f32 * frequency);
            values.push(if c % 2 == 0 { angle.sin() } else { angle.cos() } as f32);
        }
    }
    Ok(Tensor::from_vec(values, (frames, width), device)?)
}
