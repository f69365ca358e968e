//! Attention of a few rows to a sequence that grows.

use super::plan::{Arg, Plan, Type};

/// Inputs: queries `[n, q, c]`, scaled; new keys and values `[n, frames, 2·c]`; largest exponents and sums `[n, q, heads, 2]` and
/// weighted values `[n, q, c]` so far, f64. Outputs: both with the new frames, and the attention to all frames, `[n, q, c]`.
pub(crate) fn push([n, q, c, heads]: [usize; 4], frames: usize) -> Plan {
    let mut plan = Plan::default();
    let (rows, values) = (n * q * heads, n * q * c);
    let mut slots = vec![plan.input(Type::F32, values), plan.input(Type::F32, n * frames * 2 * c)];
    slots.extend([plan.input(Type::F64, 2 * rows), plan.input(Type::F64, values)]);
    slots.extend([plan.output(Type::F64, 2 * rows), plan.output(Type::F64, values), plan.output(Type::F32, values)]);
    let sizes = [n, q, heads, c / heads, frames].map(Arg::Size);
    let args = slots.into_iter().map(Arg::Array).chain(sizes).collect();
    plan.each("react_running_attention", rows * 32, 128, args);
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::emulator::{self, Host};
    use crate::gpu::testing::{close, normal};

    /// The attention to all frames as it is defined.
    fn whole(queries: &[f32], frames: &[&[f32]], [n, q, c, heads]: [usize; 4]) -> Vec<f32> {
        let (width, mut out) = (c / heads, Vec::new());
        for i in 0..n * q * heads {
            let (row, head) = (i / (q * heads), i % heads);
            // The kv of a push are [n, s, 2·c].
            let of_row = frames.iter().flat_map(|kv| kv[row * kv.len() / n..][..kv.len() / n].chunks_exact(2 * c));
            let of_row: Vec<&[f32]> = of_row.collect();
            let exponent = |kv: &&[f32]| -> f64 {
                let key = &kv[head * width..][..width];
                queries[i * width..][..width].iter().zip(key).map(|(q, k)| f64::from(*q) * f64::from(*k)).sum()
            };
            let exponents: Vec<f64> = of_row.iter().map(exponent).collect();
            let most = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let shares: Vec<f64> = exponents.iter().map(|e| (e - most).exp()).collect();
            let sum: f64 = shares.iter().sum();
            out.extend((0..width).map(|w| {
                let sums = shares.iter().zip(&of_row).map(|(s, kv)| s * f64::from(kv[c + head * width + w]));
                (sums.sum::<f64>() / sum) as f32
            }));
        }
        out
    }

    #[test]
    fn a_growing_sequence_gives_what_the_whole_gives() {
        for sizes in [[1, 2, 16, 4], [3, 2, 64, 2], [2, 1, 80, 1]] {
            let [n, q, c, heads] = sizes;
            let queries = normal(n * q * c, "queries");
            // Larger and larger exponents, so that the sums are rescaled.
            let lengths = [2, 8, 1, 45];
            let all: Vec<Vec<f32>> =
                lengths.iter().enumerate().map(|(i, s)| normal(n * s * 2 * c, "kv").iter().map(|x| x * (1 + i) as f32).collect()).collect();
            let mut state = vec![Host::F64([f64::NEG_INFINITY, 0.0].repeat(n * q * heads)), Host::F64(vec![0.0; n * q * c])];
            for (i, frames) in lengths.into_iter().enumerate() {
                let mut inputs = vec![Host::F32(queries.clone()), Host::F32(all[i].clone())];
                inputs.append(&mut state);
                let Some(mut done) = emulator::run(&push(sizes, frames), &inputs) else { return };
                let out = done.outputs.pop().unwrap().floats();
                state = done.outputs;
                let seen: Vec<&[f32]> = all[..=i].iter().map(Vec::as_slice).collect();
                close(&out, &whole(&queries, &seen, sizes), 1e-6, &format!("{sizes:?} after {frames}"));
            }
        }
    }
}
