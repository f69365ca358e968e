//! AdamW and the average of the weights, over all parameters at once.

use super::plan::{Arg, Plan, Slot, Type};

/// Elements of a chunk, a block's work.
const CHUNK: usize = 4096;
const BLOCK: u32 = 256;

/// What does not change from step to step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Constants {
    pub(crate) beta1: f64,
    pub(crate) beta2: f64,
    pub(crate) epsilon: f64,
    /// The norm that gradients are scaled down to.
    pub(crate) clip: Option<f64>,
}

/// A parameter that has a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) len: usize,
    /// Its place among all.
    pub(crate) place: usize,
}

/// Four numbers for each chunk: the parameter's row, the first element, how many, the parameter's elements.
fn chunks(lens: impl Iterator<Item = usize>) -> Vec<u32> {
    let of = |(row, len): (usize, usize)| {
        (0..len.div_ceil(CHUNK)).flat_map(move |i| [row, i * CHUNK, CHUNK.min(len - i * CHUNK), len].map(|n| n as u32))
    };
    lens.enumerate().flat_map(of).collect()
}

/// One step. Inputs: the rates, f32: 1/√(1 − β₂ᵗ), then of each parameter 1 − lr·λ and lr/(1 − β₁ᵗ); `stopped`, u32 `[1]`, 0 in the
/// beginning, changed where a gradient is not finite; then of each parameter its gradient `[len]`, moments `[2, len]` and itself `[len]`,
/// the latter two changed. Output f32 `[2]`: the gradients' norm before clipping, and 0 or 1 + the place of the first parameter whose
/// gradient was not finite, in this step or one before it: then nothing has moved.
pub(crate) fn adamw(parameters: &[Parameter], constants: &Constants) -> Plan {
    let mut plan = Plan::default();
    let rates = plan.input(Type::F32, 1 + 2 * parameters.len());
    let stopped = plan.input(Type::U32, 1);
    let (mut gradients, mut moments, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for parameter in parameters {
        gradients.push(plan.input(Type::F32, parameter.len));
        moments.push(plan.input(Type::F32, 2 * parameter.len));
        values.push(plan.input(Type::F32, parameter.len));
    }
    let said = plan.output(Type::F32, 2);
    let scale = plan.scratch(Type::F32, 1);
    let table = look(&mut plan, parameters, &gradients, [stopped, said, scale], constants.clip);
    if !table.is_empty() {
        let Constants { beta1, beta2, epsilon, .. } = *constants;
        let grid = [(table.len() / 4) as u32, 1, 1];
        let mut args = vec![Arg::Table(values), Arg::Table(moments), Arg::Table(gradients), Arg::Numbers(table)];
        args.extend([rates, scale, stopped].map(Arg::Array));
        args.extend([beta1, beta2, 1.0 - beta1, 1.0 - beta2, epsilon].map(|x| Arg::F32(x as f32)));
        plan.blocks("react_adamw", grid, BLOCK, 0, args);
    }
    plan
}

/// Norm and finiteness of the gradients: what [`adamw`] says, and the scale that clips. The table of chunks.
fn look(plan: &mut Plan, parameters: &[Parameter], gradients: &[Slot], [stopped, said, scale]: [Slot; 3], clip: Option<f64>) -> Vec<u32> {
    let table = chunks(parameters.iter().map(|p| p.len));
    let count = table.len() / 4;
    let partial = plan.scratch(Type::F64, count);
    let [partial, stopped, said, scale] = [partial, stopped, said, scale].map(Arg::Array);
    if count > 0 {
        let args = vec![Arg::Table(gradients.to_vec()), Arg::Numbers(table.clone()), partial.clone()];
        plan.blocks("react_adamw_norm", [count as u32, 1, 1], BLOCK, 0, args);
    }
    let places = Arg::Numbers(parameters.iter().map(|p| p.place as u32).collect());
    let limit = Arg::F32(clip.map_or(f32::INFINITY, |limit| limit as f32));
    let args = vec![partial, Arg::Numbers(table.clone()), places, Arg::Size(count), stopped, said, scale, limit];
    plan.blocks("react_adamw_decide", [1, 1, 1], BLOCK, 0, args);
    table
}

/// Inputs: the gradients. Output as [`adamw`]'s.
pub(crate) fn norm(parameters: &[Parameter]) -> Plan {
    let mut plan = Plan::default();
    let gradients: Vec<Slot> = parameters.iter().map(|parameter| plan.input(Type::F32, parameter.len)).collect();
    let said = plan.output(Type::F32, 2);
    let stopped = plan.scratch(Type::U32, 1);
    let stopped = plan.zeroed(stopped);
    let scale = plan.scratch(Type::F32, 1);
    look(&mut plan, parameters, &gradients, [stopped, said, scale], None);
    plan
}

/// Of each pair of arrays of `lens` elements, average and weight, both inputs: the average moves by `rate` of the difference.
pub(crate) fn ema(lens: &[usize], rate: f32) -> Plan {
    let mut plan = Plan::default();
    let slots: Vec<[Slot; 2]> = lens.iter().map(|len| [plan.input(Type::F32, *len), plan.input(Type::F32, *len)]).collect();
    let [averages, weights] = [0, 1].map(|i| Arg::Table(slots.iter().map(|pair| pair[i]).collect()));
    let table = chunks(lens.iter().copied());
    if !table.is_empty() {
        let grid = [(table.len() / 4) as u32, 1, 1];
        plan.blocks("react_ema", grid, BLOCK, 0, vec![averages, weights, Arg::Numbers(table), Arg::F32(rate)]);
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::emulator::{self, Host};
    use crate::gpu::testing::{close, normal};
    use crate::optim::{AdamW, AdamWConfig, Gradients};
    use crate::{Init, Params};
    use candle_core::Tensor;

    const LENS: [usize; 6] = [1, 4096, 4097, 12_288, 30, 5];
    const CONFIG: AdamWConfig =
        AdamWConfig { learning_rate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weight_decay: 0.1, decay_biases_and_norms: true };

    fn constants(clip: Option<f64>) -> Constants {
        Constants { beta1: CONFIG.beta1, beta2: CONFIG.beta2, epsilon: CONFIG.epsilon, clip }
    }

    fn parameters() -> Vec<Parameter> {
        LENS.iter().enumerate().map(|(i, len)| Parameter { len: *len, place: 2 * i }).collect()
    }

    /// Three steps as the CPU makes them, and as the plan does: with clipping in the last.
    #[test]
    fn steps_are_those_of_the_cpu() {
        let params = Params::new(3);
        let tensors: Vec<Tensor> =
            LENS.iter().enumerate().map(|(i, len)| params.root().get(&format!("p{i}"), &[*len], Init::Normal).unwrap()).collect();
        let flat = |t: &Tensor| t.to_vec1::<f32>().unwrap();
        let mut values: Vec<Vec<f32>> = tensors.iter().map(flat).collect();
        let mut moments: Vec<Vec<f32>> = LENS.iter().map(|len| vec![0.0; 2 * len]).collect();
        let mut adam = AdamW::new(CONFIG);
        for step in 1..=3 {
            let clip = (step == 3).then_some(1.5);
            let draws: Vec<Vec<f32>> = LENS.iter().enumerate().map(|(i, len)| normal(*len, &format!("{step} {i}"))).collect();
            let mut loss = Tensor::zeros((), candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
            for (tensor, draws) in tensors.iter().zip(&draws) {
                let g = Tensor::from_slice(draws, draws.len(), tensor.device()).unwrap();
                loss = ((tensor * g).unwrap().sum_all().unwrap() + loss).unwrap();
            }
            let mut gradients = Gradients::collect(&params, &loss.backward().unwrap());
            let norm = match clip {
                Some(limit) => gradients.clip(limit).unwrap(),
                None => gradients.norm().unwrap(),
            };
            adam.step(&params, &gradients, CONFIG.learning_rate).unwrap();
            let mut inputs = vec![
                Host::F32(AdamW::rates(&CONFIG, step, LENS.iter().map(|_| (CONFIG.learning_rate, CONFIG.weight_decay)))),
                Host::U32(vec![0]),
            ];
            for i in 0..LENS.len() {
                inputs.extend([&draws[i], &moments[i], &values[i]].map(|x| Host::F32(x.clone())));
            }
            let Some(done) = emulator::run(&adamw(&parameters(), &constants(clip)), &inputs) else { return };
            let said = done.outputs[0].floats();
            assert!((f64::from(said[0]) - norm).abs() < 1e-6 * norm && said[1] == 0.0, "{said:?}, {norm}");
            for i in 0..LENS.len() {
                [moments[i], values[i]] = [3, 4].map(|j| done.inputs[3 * i + j].floats());
                close(&values[i], &flat(&tensors[i]), 1e-6, &format!("parameter {i}"));
                close(
                    &moments[i],
                    &adam.moments()[&format!("p{i}")].flatten_all().unwrap().to_vec1().unwrap(),
                    1e-6,
                    &format!("moments {i}"),
                );
            }
        }
    }

    #[test]
    fn a_gradient_that_is_not_finite_stops_this_step_and_all_later_ones() {
        for (bad, later) in [(f32::NAN, false), (f32::INFINITY, false), (1.0, true)] {
            let mut inputs = vec![Host::F32(vec![0.5; 13]), Host::U32(vec![if later { 3 } else { 0 }])];
            for len in LENS {
                inputs.extend([Host::F32(vec![1.0; len]), Host::F32(vec![0.0; 2 * len]), Host::F32(vec![2.0; len])]);
            }
            // The third parameter's last element, and the fourth's.
            for (parameter, at) in [(2, 4096), (3, 0)] {
                let Host::F32(gradient) = &mut inputs[2 + 3 * parameter] else { unreachable!() };
                gradient[at] = bad;
            }
            let Some(done) = emulator::run(&adamw(&parameters(), &constants(None)), &inputs) else { return };
            let place = if later { 3 } else { 5 };
            assert_eq!(done.outputs[0].floats()[1], place as f32, "{bad}");
            assert_eq!(done.inputs[1], Host::U32(vec![place]));
            assert!(
                done.inputs[2..].iter().zip(&inputs[2..]).all(|(a, b)| a
                    .floats()
                    .iter()
                    .zip(b.floats())
                    .all(|(a, b)| a.to_bits() == b.to_bits()))
            );
        }
    }

    #[test]
    fn an_average_moves_by_its_rate() {
        let lens = [1, 4097, 8];
        let inputs: Vec<Host> = lens.iter().flat_map(|len| [Host::F32(vec![1.0; *len]), Host::F32(vec![3.0; *len])]).collect();
        let Some(done) = emulator::run(&ema(&lens, 0.25), &inputs) else { return };
        for (i, array) in done.inputs.iter().enumerate() {
            assert!(array.floats().iter().all(|x| *x == if i % 2 == 0 { 1.5 } else { 3.0 }), "{i}");
        }
    }
}
