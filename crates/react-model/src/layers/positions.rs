use crate::Result;
use candle_core::{Device, Tensor};
use std::sync::Mutex;

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
    if device.is_cuda() { on_gpu(frames, width, device) } else { table(frames, width, device) }
}

fn table(frames: usize, width: usize, device: &Device) -> Result<Tensor> {
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

/// Tables that GPUs have: computing and copying one takes the host longer than a layer takes the GPU.
static TABLES: Mutex<Vec<Tensor>> = Mutex::new(Vec::new());

/// The first rows of the device's table of this width, which grows as more are asked for.
fn on_gpu(frames: usize, width: usize, device: &Device) -> Result<Tensor> {
    let mut tables = TABLES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let known = tables.iter().position(|t| t.dims()[1] == width && t.device().same_device(device));
    if let Some(i) = known {
        if tables[i].dims()[0] >= frames {
            return Ok(tables[i].narrow(0, 0, frames)?);
        }
        tables.swap_remove(i);
    }
    let all = table(frames.next_power_of_two().max(1024), width, device)?;
    let first = all.narrow(0, 0, frames)?;
    tables.push(all);
    Ok(first)
}
