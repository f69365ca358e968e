//! Products and convolutions by plain loops, sums in f64.

use super::{from_bf16, to_bf16};
use crate::gpu::plan::{Convolution, Direction, Matrix, Plan, Product, Slot, Type};

fn read(plan: &Plan, arrays: &[Vec<u8>], slot: Slot) -> Vec<f32> {
    let bytes = &arrays[slot.0];
    match plan.arrays[slot.0].element {
        Type::F32 => bytes.chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect(),
        Type::Bf16 => bytes.chunks_exact(2).map(|c| from_bf16(u16::from_le_bytes(c.try_into().unwrap()))).collect(),
        element => panic!("a product of {element:?}"),
    }
}

fn write(plan: &Plan, arrays: &mut [Vec<u8>], slot: Slot, values: &[f32]) {
    arrays[slot.0] = match plan.arrays[slot.0].element {
        Type::F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Type::Bf16 => values.iter().flat_map(|x| to_bf16(*x).to_le_bytes()).collect(),
        element => panic!("a product of {element:?}"),
    };
}

pub(super) fn product(plan: &Plan, p: &Product, arrays: &mut [Vec<u8>]) {
    assert!(!p.c.transposed, "c is transposed");
    let (a, b, mut c) = (read(plan, arrays, p.a.array), read(plan, arrays, p.b.array), read(plan, arrays, p.c.array));
    let at = |m: &Matrix, n: usize, i: usize, j: usize| {
        let (row, column) = if m.transposed { (j, i) } else { (i, j) };
        assert!(column < m.row || (m.row == 0 && column == 0), "column {column} of rows {} apart", m.row);
        m.offset + n * m.batch_stride + row * m.row + column
    };
    for n in 0..p.batch {
        for i in 0..p.m {
            for j in 0..p.n {
                let sum: f64 = (0..p.k).map(|l| f64::from(a[at(&p.a, n, i, l)]) * f64::from(b[at(&p.b, n, l, j)])).sum();
                let to = &mut c[at(&p.c, n, i, j)];
                *to = if p.add { (sum + f64::from(*to)) as f32 } else { sum as f32 };
            }
        }
    }
    write(plan, arrays, p.c.array, &c);
}

pub(super) fn convolution(plan: &Plan, c: &Convolution, arrays: &mut [Vec<u8>]) {
    let (x, w, y) = (read(plan, arrays, c.x), read(plan, arrays, c.w), read(plan, arrays, c.y));
    let ([t, h, wide], [ot, oh, ow], [kt, kh, kw]) = (c.input, c.output(), c.kernel);
    // The last clip ends within both arrays; there may be more clips.
    assert!((c.first + c.batch) * t * h * wide * c.cin <= x.len(), "x of {c:?}");
    assert_eq!(w.len(), c.cout * kt * kh * kw * c.cin, "w of {c:?}");
    assert!((c.first + c.batch) * ot * oh * ow * c.cout <= y.len(), "y of {c:?}");
    let out = match c.direction {
        Direction::Forward => c.y,
        Direction::Input => c.x,
        Direction::Weight => c.w,
    };
    let before = read(plan, arrays, out);
    let mut sums = vec![0.0f64; before.len()];
    for position in c.first * ot * oh * ow..(c.first + c.batch) * ot * oh * ow {
        let (n, ti, hi, wi) = (position / (ot * oh * ow), position / (oh * ow) % ot, position / ow % oh, position % ow);
        for tap in 0..kt * kh * kw {
            let place =
                |o: usize, axis: usize, k: usize| (o * c.stride[axis] + k).checked_sub(c.padding[axis]).filter(|p| *p < c.input[axis]);
            let (Some(a), Some(b), Some(d)) = (place(ti, 0, tap / (kh * kw)), place(hi, 1, tap / kw % kh), place(wi, 2, tap % kw)) else {
                continue;
            };
            let from = (((n * t + a) * h + b) * wide + d) * c.cin;
            for o in 0..c.cout {
                let (weight, to) = ((o * kt * kh * kw + tap) * c.cin, position * c.cout + o);
                for i in 0..c.cin {
                    match c.direction {
                        Direction::Forward => sums[to] += f64::from(x[from + i]) * f64::from(w[weight + i]),
                        Direction::Input => sums[from + i] += f64::from(y[to]) * f64::from(w[weight + i]),
                        Direction::Weight => sums[weight + i] += f64::from(y[to]) * f64::from(x[from + i]),
                    }
                }
            }
        }
    }
    let clip = match c.direction {
        Direction::Forward => ot * oh * ow * c.cout,
        Direction::Input => t * h * wide * c.cin,
        Direction::Weight => sums.len(),
    };
    let written = if c.direction == Direction::Weight { 0..sums.len() } else { c.first * clip..(c.first + c.batch) * clip };
    let mut values = before;
    for i in written {
        values[i] = if c.add { (sums[i] + f64::from(values[i])) as f32 } else { sums[i] as f32 };
    }
    write(plan, arrays, out, &values);
}
