//! [`crate::ops::max_pool3d`] and means over pictures on a GPU.

use super::convolution::numbers;
use super::plan::{Arg, Plan, Type};
use crate::ops::MaxPool3dShape;

/// Windows over clips `[clips, t, h, w, channels]`, f32 or bf16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MaxPool {
    pub(crate) element: Type,
    pub(crate) clips: usize,
    pub(crate) sizes: [usize; 3],
    pub(crate) out: [usize; 3],
    pub(crate) channels: usize,
    pub(crate) shape: MaxPool3dShape,
}

impl MaxPool {
    fn in_clip(&self) -> usize {
        self.sizes.iter().product::<usize>() * self.channels
    }

    fn out_clip(&self) -> usize {
        self.out.iter().product::<usize>() * self.channels
    }

    fn arguments(&self) -> Vec<Arg> {
        let MaxPool3dShape { kernel, stride, padding } = self.shape;
        let channels = [self.channels];
        numbers(&[&self.sizes[..], &self.out, &channels, &kernel, &stride, &padding].concat())
    }

    /// x → the largest of each window, and with `keep` u32 places of them in their clips.
    pub(crate) fn forward(&self, keep: bool) -> Plan {
        let mut plan = Plan::default();
        let x = plan.input(self.element, self.clips * self.in_clip());
        let out = plan.output(self.element, self.clips * self.out_clip());
        let winners = if keep { Arg::Array(plan.output(Type::U32, self.clips * self.out_clip())) } else { Arg::Absent };
        let args = [vec![Arg::Array(x), Arg::Array(out), winners], self.arguments()].concat();
        let kernel = if self.element == Type::Bf16 { "react_max_pool_bf16" } else { "react_max_pool_f32" };
        plan.blocks(kernel, [self.out_clip().div_ceil(256) as u32, self.clips as u32, 1], 256, 0, args);
        plan
    }

    /// The result's gradient, the places → x's gradient.
    pub(crate) fn backward(&self) -> Plan {
        let mut plan = Plan::default();
        let grad = plan.input(self.element, self.clips * self.out_clip());
        let winners = plan.input(Type::U32, self.clips * self.out_clip());
        let dx = plan.output(self.element, self.clips * self.in_clip());
        let args = [[grad, winners, dx].map(Arg::Array).to_vec(), self.arguments()].concat();
        let kernel = if self.element == Type::Bf16 { "react_max_pool_gradient_bf16" } else { "react_max_pool_gradient_f32" };
        plan.blocks(kernel, [self.in_clip().div_ceil(256) as u32, self.clips as u32, 1], 256, 0, args);
        plan
    }
}

/// Means of 3×3 pixels around every pixel of f32 `[n, height, width, channels]`, of those inside the picture.
pub(crate) fn mean_around([n, height, width, channels]: [usize; 4]) -> Plan {
    let mut plan = Plan::default();
    let frame = height * width * channels;
    let (x, out) = (plan.input(Type::F32, n * frame), plan.output(Type::F32, n * frame));
    let args = [vec![Arg::Array(x), Arg::Array(out)], numbers(&[height, width, channels])].concat();
    plan.blocks("react_mean_around_f32", [frame.div_ceil(256) as u32, n as u32, 1], 256, 0, args);
    plan
}

/// x `[n, pixels, channels]`, f32 or bf16 → f32 `[n, channels]`; or backward.
pub(crate) fn picture_mean(element: Type, [n, pixels, channels]: [usize; 3], backward: bool) -> Plan {
    let mut plan = Plan::default();
    let all = n * pixels * channels;
    let (kernel, from, to) = if backward {
        let kernel = if element == Type::Bf16 { "react_picture_mean_gradient_bf16" } else { "react_picture_mean_gradient_f32" };
        (kernel, plan.input(Type::F32, n * channels), plan.output(element, all))
    } else {
        let kernel = if element == Type::Bf16 { "react_picture_mean_bf16" } else { "react_picture_mean_f32" };
        (kernel, plan.input(element, all), plan.output(Type::F32, n * channels))
    };
    let args = [vec![Arg::Array(from), Arg::Array(to)], numbers(&[pixels, channels])].concat();
    plan.blocks(kernel, [n as u32, channels.div_ceil(128) as u32, 1], 128, 0, args);
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::emulator::{Host, run};
    use crate::gpu::testing::{close, normal, tensor, whole};
    use crate::ops::max_pool3d;
    use candle_core::Var;

    #[test]
    fn windows_of_clips() {
        for (kernel, stride, padding) in
            [([1, 3, 3], [1, 2, 2], [0, 1, 1]), ([2, 2, 2], [2, 2, 2], [0; 3]), ([3, 1, 2], [1, 3, 1], [1, 0, 1])]
        {
            for element in [Type::F32, Type::Bf16] {
                let (clips, sizes, channels) = (2, [4, 7, 6], 5);
                let shape = MaxPool3dShape { kernel, stride, padding };
                // With many ties.
                let x = whole(clips * sizes.iter().product::<usize>() * channels, "x", 3.0);
                let var = Var::from_tensor(&tensor(&x, &[clips, sizes[0], sizes[1], sizes[2], channels])).unwrap();
                let want = max_pool3d(&var, shape).unwrap();
                let grad = whole(want.elem_count(), "grad", 9.0);
                let gradients = (&want * tensor(&grad, want.dims())).unwrap().sum_all().unwrap().backward().unwrap();
                let out = [want.dims()[1], want.dims()[2], want.dims()[3]];
                let pool = MaxPool { element, clips, sizes, out, channels, shape };
                let Some(done) = run(&pool.forward(true), &[Host::of(element, &x)]) else { return };
                assert_eq!(done.outputs[0].floats(), want.flatten_all().unwrap().to_vec1::<f32>().unwrap(), "{pool:?}");
                let Some(back) = run(&pool.backward(), &[Host::of(element, &grad), done.outputs[1].clone()]) else { return };
                let want = gradients.get(&var).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
                assert_eq!(back.outputs[0].floats(), want, "{pool:?}");
            }
        }
    }

    #[test]
    fn means_around_pixels_do_not_count_padding() {
        let x: Vec<f32> = (1..=9u8).map(f32::from).collect();
        let Some(done) = run(&mean_around([2, 3, 3, 1]), &[Host::F32([x.clone(), x].concat())]) else { return };
        let want = [3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0];
        assert_eq!(done.outputs[0].floats(), [want, want].concat());
    }

    #[test]
    fn means_over_pictures() {
        for element in [Type::F32, Type::Bf16] {
            let (n, pixels, channels) = (3, 35, 133);
            let x = Host::of(element, &normal(n * pixels * channels, "x"));
            let Some(done) = run(&picture_mean(element, [n, pixels, channels], false), std::slice::from_ref(&x)) else { return };
            let want = tensor(&x.floats(), &[n, pixels, channels]).mean(1).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            close(&done.outputs[0].floats(), &want, 1e-6, "means");
            let grad = normal(n * channels, "grad");
            let Some(back) = run(&picture_mean(element, [n, pixels, channels], true), &[Host::F32(grad.clone())]) else { return };
            let want: Vec<f32> =
                (0..n * pixels * channels).map(|i| grad[i / (pixels * channels) * channels + i % channels] / pixels as f32).collect();
            close(&back.outputs[0].floats(), &want, if element == Type::Bf16 { 1e-2 } else { 1e-6 }, "gradient");
        }
    }
}
