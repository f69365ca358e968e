//! A face-like model in FaceVerse's form, made in code: the published one is licensed and not here.

use react_face::FaceVerse;
use std::path::Path;

/// A mask of `rows` × `columns` quadrangles, two triangles each, every basis dense: 52 channels, 4 identities, 2 textures.
#[allow(unreachable_pub, reason = "an example includes this file as its own module")]
pub fn model(rows: usize, columns: usize) -> FaceVerse {
    let at = |row: usize, column: usize| (row * (columns + 1) + column) as i64;
    let points: Vec<[f64; 3]> = (0..=rows)
        .flat_map(|row| {
            (0..=columns).map(move |column| surface(4.4 * (column as f64 / columns as f64 - 0.5), 2.9 * (row as f64 / rows as f64 - 0.5)))
        })
        .collect();
    let mut triangles: Vec<[i64; 3]> = Vec::new();
    for row in 0..rows {
        for column in 0..columns {
            let (a, b, c, d) = (at(row, column), at(row, column + 1), at(row + 1, column + 1), at(row + 1, column));
            triangles.extend([[a, b, c], [a, c, d]]);
        }
    }
    let mut around: Vec<Vec<i64>> = vec![Vec::new(); points.len()];
    for (number, triangle) in triangles.iter().enumerate() {
        triangle.iter().for_each(|v| around[*v as usize].push(number as i64));
    }
    // One past the last triangle stands for none.
    let around: Vec<i64> = around.iter().flat_map(|a| (0..8).map(|i| a.get(i).copied().unwrap_or(triangles.len() as i64))).collect();
    let n = points.len();
    let mut dict = Pickled::new();
    dict.floats("meanshape", &[3 * n], points.iter().flatten().copied());
    dict.floats("meantex", &[3 * n], points.iter().flat_map(|p| color(*p)));
    dict.floats("idBase", &[3 * n, 4], basis(&points, 4, |p, k, axis| 0.03 * (1.0 + k as f64 + 2.0 * p[1] + axis as f64).sin()));
    dict.floats("exBase", &[3 * n, 52], basis(&points, 52, expression));
    dict.floats("texBase", &[3 * n, 2], basis(&points, 2, |p, k, axis| 12.0 * (3.0 * p[0] + k as f64 + axis as f64).sin()));
    dict.integers("tri", &[triangles.len(), 3], triangles.iter().flatten().copied());
    dict.integers("point_buf", &[n, 8], around.into_iter());
    dict.integers("keypoints", &[2], [at(rows / 2, columns / 2), 0].into_iter());
    dict.floats("skinmask", &[n], (0..n).map(|_| 1.0));
    FaceVerse::parse(&dict.finish(), Path::new("synthetic.npy")).expect("a model")
}

fn bell(p: [f64; 3], x: f64, y: f64, wide: f64, tall: f64) -> f64 {
    (-((p[0] - x) / wide).powi(2) - ((p[1] - y) / tall).powi(2)).exp()
}

/// An ellipsoid's point at azimuth u and height v (rad), with nose, eyes, lips and chin.
fn surface(u: f64, v: f64) -> [f64; 3] {
    let p = [0.62 * v.cos() * u.sin(), 0.85 * v.sin(), 0.70 * v.cos() * u.cos()];
    let front = u.cos().max(0.0).powi(2);
    let nose = 0.20 * bell(p, 0.0, -0.08, 0.09, 0.16);
    let eyes = -0.09 * (bell(p, 0.24, 0.12, 0.12, 0.07) + bell(p, -0.24, 0.12, 0.12, 0.07));
    let mouth = 0.07 * bell(p, 0.0, -0.38, 0.20, 0.10) - 0.08 * bell(p, 0.0, -0.38, 0.18, 0.025);
    let chin = 0.06 * bell(p, 0.0, -0.62, 0.16, 0.09);
    [p[0], p[1], p[2] + front * (nose + eyes + mouth + chin)]
}

fn color(p: [f64; 3]) -> [f64; 3] {
    let front = if p[2] > 0.0 { 1.0 } else { 0.0 };
    let eyes = front * (bell(p, 0.24, 0.12, 0.08, 0.04) + bell(p, -0.24, 0.12, 0.08, 0.04));
    let lips = front * bell(p, 0.0, -0.38, 0.20, 0.07);
    [205.0 - 150.0 * eyes - 20.0 * lips, 160.0 - 110.0 * eyes - 70.0 * lips, 135.0 - 90.0 * eyes - 50.0 * lips]
}

/// Channel 24 (`jawOpen`) lowers the lower face; the others swell a place of their own. No value is 0.
fn expression(p: [f64; 3], channel: usize, axis: usize) -> f64 {
    let noise = 1e-4 * (1.0 + (channel * 3 + axis) as f64 + 40.0 * p[0] + 31.0 * p[1]).sin();
    let k = channel as f64;
    let jaw = if channel == 24 && axis == 1 && p[2] > 0.0 { -0.22 / (1.0 + ((p[1] + 0.40) / 0.03).exp()) } else { 0.0 };
    let swell = if axis == 2 && p[2] > 0.0 { 0.05 * bell(p, 0.5 * (k * 2.4).sin(), 0.6 * (k * 1.7).cos(), 0.12, 0.12) } else { 0.0 };
    noise + jaw + swell
}

fn basis(points: &[[f64; 3]], channels: usize, of: impl Fn([f64; 3], usize, usize) -> f64) -> impl Iterator<Item = f64> {
    let of = &of;
    let rows = points.iter().flat_map(|p| (0..3).map(move |axis| (*p, axis)));
    rows.flat_map(move |(p, axis)| (0..channels).map(move |k| of(p, k, axis))).collect::<Vec<_>>().into_iter()
}

/// A dict of arrays as `numpy.save` pickles it.
struct Pickled(Vec<u8>);

impl Pickled {
    fn new() -> Self {
        let header = format!("{:<117}\n", "{'descr': '|O', 'fortran_order': False, 'shape': (), }");
        let mut out = b"\x93NUMPY\x01\x00".to_vec();
        out.extend((header.len() as u16).to_le_bytes());
        out.extend(header.bytes());
        out.extend(b"\x80\x04}");
        Self(out)
    }

    fn array(&mut self, key: &str, descr: &str, shape: &[usize], data: &[u8]) {
        let out = &mut self.0;
        let text = |out: &mut Vec<u8>, text: &str| {
            out.extend([0x8C, text.len() as u8]);
            out.extend(text.bytes());
        };
        text(out, key);
        out.extend(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01(");
        for axis in shape {
            out.push(b'J');
            out.extend((*axis as u32).to_le_bytes());
        }
        out.extend(b"tcnumpy\ndtype\n");
        text(out, descr);
        out.extend(b"\x89\x88\x87R(K\x03");
        text(out, "<");
        out.extend(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89\x8E");
        out.extend((data.len() as u64).to_le_bytes());
        out.extend(data);
        out.extend(b"tbs");
    }

    fn floats(&mut self, key: &str, shape: &[usize], values: impl Iterator<Item = f64>) {
        let data: Vec<u8> = values.flat_map(|v| (v as f32).to_le_bytes()).collect();
        self.array(key, "f4", shape, &data);
    }

    fn integers(&mut self, key: &str, shape: &[usize], values: impl Iterator<Item = i64>) {
        let data: Vec<u8> = values.flat_map(i64::to_le_bytes).collect();
        self.array(key, "i8", shape, &data);
    }

    fn finish(mut self) -> Vec<u8> {
        self.0.push(b'.');
        self.0
    }
}
