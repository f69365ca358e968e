//! Pictures along a flow.

use super::maps::{Map, Pool};

/// The picture `[h, w, 3]` (any channels) where the flow `[h', w', 2]` points: a deformation grid(−1 … 1, ends on the outer pixels'
/// centres) + 2·flow/(size − 1), resized bilinearly to the picture (pixels as areas); there, bilinear samples with zeros around the
/// picture.
pub(super) fn warp(pool: &mut Pool, picture: &Map, flow: &Map) -> Map {
    let (size, c) = (picture.size, picture.c);
    let mut warped = Map::new(pool, size, c);
    let [rows, columns] = [0, 1].map(|axis| taps(size[axis], flow.size[axis]));
    for (out, row) in warped.data.chunks_exact_mut(size[1] * c).zip(&rows) {
        for (out, column) in out.chunks_exact_mut(c).zip(&columns) {
            let mean = |f: &dyn Fn(usize, usize) -> f32| {
                let of_row = |y: usize| (1.0 - column.weight) * f(y, column.first) + column.weight * f(y, column.second);
                (1.0 - row.weight) * of_row(row.first) + row.weight * of_row(row.second)
            };
            let x = mean(&|y, x| position(flow, y, x, 0, x));
            let y = mean(&|y, x| position(flow, y, x, 1, y));
            sample(picture, pixel(y, size[0]), pixel(x, size[1]), out);
        }
    }
    warped
}

/// The deformation at a place of the flow: the place's own in −1 … 1, and the flow's step.
fn position(flow: &Map, y: usize, x: usize, axis: usize, at: usize) -> f32 {
    let last = (flow.size[1 - axis] - 1) as f32;
    2.0 * at as f32 / last - 1.0 + 2.0 * flow.data[(y * flow.size[1] + x) * 2 + axis] / last
}

/// −1 … 1, ends on the outer pixels' outer edges, to pixels.
fn pixel(position: f32, size: usize) -> f32 {
    ((position + 1.0) * size as f32 - 1.0) / 2.0
}

/// Two neighbours, and the share of the second.
struct Tap {
    first: usize,
    second: usize,
    weight: f32,
}

/// Where each of `to` pixels lies among `from` pixels of the same width together.
fn taps(to: usize, from: usize) -> Vec<Tap> {
    let scale = from as f32 / to as f32;
    let tap = |i: usize| {
        let at = ((i as f32 + 0.5) * scale - 0.5).max(0.0);
        let first = (at as usize).min(from - 1);
        Tap { first, second: (first + 1).min(from - 1), weight: at - first as f32 }
    };
    (0..to).map(tap).collect()
}

/// Of four neighbours those that lie on the picture.
fn sample(picture: &Map, y: f32, x: f32, out: &mut [f32]) {
    out.fill(0.0);
    let (top, left) = (y.floor(), x.floor());
    for (row, row_weight) in [(top, top + 1.0 - y), (top + 1.0, y - top)] {
        for (column, weight) in [(left, left + 1.0 - x), (left + 1.0, x - left)] {
            let inside = row >= 0.0 && column >= 0.0 && row < picture.size[0] as f32 && column < picture.size[1] as f32;
            if inside {
                let pixel = &picture.data[(row as usize * picture.size[1] + column as usize) * picture.c..][..picture.c];
                out.iter_mut().zip(pixel).for_each(|(out, x)| *out += row_weight * weight * x);
            }
        }
    }
}
