//! Sums of arrays.

use super::plan::{Arg, Plan, Type};

/// Arrays that one launch adds up, at most.
pub(crate) const MOST_ADDENDS: usize = 8;

/// Inputs: 2 to [`MOST_ADDENDS`] arrays; output: their sum, in their order.
pub(crate) fn sum(addends: usize, len: usize) -> Plan {
    let mut plan = Plan::default();
    let inputs: Vec<Arg> = (0..addends).map(|_| Arg::Array(plan.input(Type::F32, len))).collect();
    let out = plan.output(Type::F32, len);
    let mut args = vec![Arg::Array(out), Arg::Size(len)];
    args.extend(inputs);
    args.resize(2 + MOST_ADDENDS, Arg::Absent);
    plan.each("react_sum", len, 256, args);
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::emulator::{self, Host};
    use crate::gpu::testing::normal;

    #[test]
    fn arrays_are_added_in_their_order() {
        for (addends, len) in [(2, 1), (3, 700), (MOST_ADDENDS, 257)] {
            let arrays: Vec<Vec<f32>> = (0..addends).map(|i| normal(len, &i.to_string())).collect();
            let given: Vec<Host> = arrays.iter().cloned().map(Host::F32).collect();
            let Some(done) = emulator::run(&sum(addends, len), &given) else { return };
            let want: Vec<f32> = (0..len).map(|i| arrays[1..].iter().fold(arrays[0][i], |sum, array| sum + array[i])).collect();
            assert_eq!(done.outputs[0].floats(), want);
        }
    }
}
