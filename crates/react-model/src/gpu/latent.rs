//! Samples of latent distributions.

use super::plan::{Arg, Plan, Type};

/// Inputs: means and ln of variances `[rows, 2, width]`, draws `[samples, width]`, as many of each row; outputs: deviations `[rows, width]`
/// and samples `[samples, width]`.
pub(crate) fn sample([rows, samples, width]: [usize; 3]) -> Plan {
    let mut plan = Plan::default();
    let inputs = [plan.input(Type::F32, rows * 2 * width), plan.input(Type::F32, samples * width)];
    let outputs = [plan.output(Type::F32, rows * width), plan.output(Type::F32, samples * width)];
    let sizes = [samples * width, width, samples / rows.max(1)].map(Arg::Size);
    let args = inputs.into_iter().chain(outputs).map(Arg::Array).chain(sizes).collect();
    plan.each("react_latent", samples * width, 128, args);
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::emulator::{self, Host};
    use crate::gpu::testing::{close, normal};

    #[test]
    fn samples_are_mean_and_deviation() {
        let [rows, samples, width] = [2, 6, 37];
        let (tokens, eps) = (normal(rows * 2 * width, "tokens"), normal(samples * width, "eps"));
        let given = [tokens.clone(), eps.clone()].map(Host::F32);
        let Some(done) = emulator::run(&sample([rows, samples, width]), &given) else { return };
        let deviation = |row: usize, c: usize| (tokens[(2 * row + 1) * width + c] * 0.5).exp();
        let want: Vec<f32> = (0..rows * width).map(|i| deviation(i / width, i % width)).collect();
        close(&done.outputs[0].floats(), &want, 1e-6, "deviations");
        let z = |(i, e): (usize, &f32)| {
            let (row, c) = (i / width / 3, i % width);
            tokens[2 * row * width + c] + e * deviation(row, c)
        };
        close(&done.outputs[1].floats(), &eps.iter().enumerate().map(z).collect::<Vec<f32>>(), 1e-6, "samples");
    }
}
