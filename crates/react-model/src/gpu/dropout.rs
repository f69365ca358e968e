//! Dropout, and the residual connection around it.

use super::plan::{Arg, Plan, Type};
use crate::kernels::DropKey;

/// Elements of a thread.
const EACH: usize = 8;

/// The fields of `Drop` (`common.cuh`), as arguments: five `unsigned` and a `float`. Without a key nothing is dropped.
pub(crate) fn args(key: Option<&DropKey>) -> [Arg; 6] {
    let (words, scale) = key.map_or(([0; 5], 1.0), DropKey::words);
    let [key0, key1, site, step, threshold] = words.map(Arg::U32);
    [key0, key1, site, step, threshold, Arg::F32(scale)]
}

/// Input x of `n` elements; output x·mask. With `residual` another input r, and the output r + x·mask.
pub(crate) fn dropped(n: usize, residual: bool, key: Option<&DropKey>) -> Plan {
    let mut plan = Plan::default();
    let x = Arg::Array(plan.input(Type::F32, n));
    let r = if residual { Arg::Array(plan.input(Type::F32, n)) } else { Arg::Absent };
    let y = Arg::Array(plan.output(Type::F32, n));
    if n > 0 {
        // Rows of the generator are whole but for the last: of 8192 elements, and 128 at a time.
        let threads = n.div_ceil(128) * 128 / EACH;
        plan.each("react_dropout", threads, 256, [vec![x, r, y, Arg::Size(n)], args(key).to_vec()].concat());
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::emulator::{self, Host};
    use crate::gpu::testing::{normal, tensor};
    use crate::{Mode, ops};

    #[test]
    fn masks_are_those_of_the_cpu() {
        let mode = Mode::train(0x1234_5678_9ABC_DEF0, 77).another_pass(2);
        for n in [1, 15, 130, 1000, 8192, 8193, 20_001] {
            for p in [0.0, 0.1, 0.75] {
                let (x, r) = (normal(n, "x"), normal(n, "r"));
                let key = mode.drop_key(p, "site");
                let Some(done) = emulator::run(&dropped(n, false, key.as_ref()), &[Host::F32(x.clone())]) else { return };
                let want = ops::dropout(&tensor(&x, &[n]), p, &mode, "site").unwrap();
                assert_eq!(done.outputs[0].floats(), want.to_vec1::<f32>().unwrap(), "{n}, {p}");
                let plan = dropped(n, true, key.as_ref());
                let Some(done) = emulator::run(&plan, &[Host::F32(x.clone()), Host::F32(r.clone())]) else { return };
                let want = ops::add_dropped(&tensor(&r, &[n]), &tensor(&x, &[n]), p, &mode, "site").unwrap();
                assert_eq!(done.outputs[0].floats(), want.to_vec1::<f32>().unwrap(), "residual {n}, {p}");
            }
        }
    }
}
