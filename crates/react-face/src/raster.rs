//! A software rasteriser: perspective camera, depth buffer, Gouraud shading, 2 × 2 supersampling.

use crate::head::{Material, Mesh};
use crate::math::{Vec3, dot, mix, normalised};
use crate::shading::{Shading, face_normal, grey, harmonic_light};

/// Samples along each axis of a pixel.
const SAMPLES: usize = 2;
/// FaceVerse's camera: focal length and centre in pixels of a 224-pixel picture, and its distance in dm.
pub(crate) const FOCAL: f32 = 1315.0;
pub(crate) const CENTRE: f32 = 112.0;
const SIZE: f32 = 224.0;
pub(crate) const DISTANCE: f32 = 10.0;
/// Nearer than this to the camera nothing is drawn.
const NEAR: f32 = 1.0;

/// Light and background of a picture, sRGB in 0…1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// Background at the top of the picture.
    pub top: [f32; 3],
    /// Background at its bottom.
    pub bottom: [f32; 3],
    /// Where the key light comes from (any length).
    pub light: [f32; 3],
    /// Light from everywhere; the key light adds up to `1.1 − ambient`.
    pub ambient: f32,
}

impl Default for Look {
    /// A soft blue-grey studio with light from the upper left.
    fn default() -> Self {
        Self { top: [0.62, 0.70, 0.76], bottom: [0.44, 0.51, 0.58], light: [-0.45, 0.65, 0.85], ambient: 0.42 }
    }
}

/// Draws meshes into pictures of one size; reuses its buffers.
///
/// The camera is FaceVerse's, scaled to the picture: Z = 10 − z, u = 1315·x/Z + 112, v = 112 − 1315·y/Z at 224 pixels;
/// another aspect keeps the centre and fits the shorter side.
#[derive(Clone, Debug)]
pub struct Renderer {
    width: usize,
    height: usize,
    /// Inverse distance of what each sample shows.
    depth: Vec<f32>,
    /// 0x00BBGGRR.
    color: Vec<u32>,
    corners: Vec<Corner>,
    shading: Shading,
}

/// A vertex on the screen: x, y in samples, inverse distance, and light before the material's colour.
#[derive(Clone, Copy, Debug, Default)]
struct Corner {
    x: f32,
    y: f32,
    inverse: f32,
    light: Vec3,
    gloss: f32,
}

impl Renderer {
    /// A renderer of `width` × `height` pixels.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Self {
        let samples = width * height * SAMPLES * SAMPLES;
        Self { width, height, depth: vec![0.0; samples], color: vec![0; samples], corners: Vec::new(), shading: Shading::Studio }
    }

    /// The same renderer with another shading than [`Shading::Studio`].
    #[must_use]
    pub fn shaded(mut self, shading: Shading) -> Self {
        self.shading = shading;
        self
    }

    /// The picture's width and height in pixels.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Draws `mesh`; RGB bytes `[height][width][3]`.
    ///
    /// ```
    /// use react_face::{Head, Look, Person, Renderer};
    /// let mesh = Head::embedded().pose(&Person::average(), &[0.0; 58]);
    /// let rgb = Renderer::new(64, 64).render(&mesh, &Look::default());
    /// assert_eq!(rgb.len(), 64 * 64 * 3);
    /// ```
    #[must_use]
    pub fn render(&mut self, mesh: &Mesh, look: &Look) -> Vec<u8> {
        let mut out = vec![0; self.width * self.height * 3];
        self.render_into(mesh, look, &mut out);
        out
    }

    /// As [`Renderer::render`], into a buffer of `width·height·3` bytes.
    ///
    /// # Panics
    /// Where `out` has another length.
    pub fn render_into(&mut self, mesh: &Mesh, look: &Look, out: &mut [u8]) {
        assert_eq!(out.len(), self.width * self.height * 3, "a picture of {} x {} RGB pixels", self.width, self.height);
        self.clear(look);
        self.project(mesh, look);
        let topology = &mesh.topology;
        for (t, material) in topology.triangles.iter().zip(&topology.materials) {
            let corners = t.map(|v| self.corners[v as usize]);
            let [a, b, c] = corners;
            let area = (b.x - a.x) * (c.y - a.y) - (c.x - a.x) * (b.y - a.y);
            // On a screen with y down, what faces the camera has a negative area. Written so that NaN is not drawn either.
            let shown = if topology.open { area.abs() > 1e-6 } else { area < -1e-6 };
            if !shown || corners.iter().any(|v| v.inverse > 1.0 / NEAR) {
                continue;
            }
            let colors = match self.shading {
                Shading::Grey { smooth: false } => [level(grey(face_normal(t.map(|v| mesh.positions[v as usize])))); 3],
                Shading::Grey { smooth: true } => corners.map(|v| level(v.light[0])),
                Shading::Studio | Shading::Harmonics { .. } => {
                    let albedo = mesh.palette[*material as usize];
                    corners.map(|v| shade(&v, albedo, *material))
                }
            };
            self.triangle(corners, colors, area);
        }
        self.resolve(out);
    }

    fn clear(&mut self, look: &Look) {
        self.depth.fill(0.0);
        if matches!(self.shading, Shading::Grey { .. }) {
            return self.color.fill(0);
        }
        let (wide, tall) = (self.width * SAMPLES, self.height * SAMPLES);
        for (y, row) in self.color.chunks_exact_mut(wide).enumerate() {
            row.fill(pack(mix(look.top, look.bottom, (y as f32 + 0.5) / tall as f32)));
        }
    }

    fn project(&mut self, mesh: &Mesh, look: &Look) {
        let zoom = self.width.min(self.height) as f32 / SIZE * SAMPLES as f32;
        let (cx, cy) = ((self.width * SAMPLES) as f32 / 2.0, (self.height * SAMPLES) as f32 / 2.0);
        debug_assert!((CENTRE * 2.0 - SIZE).abs() < 1e-6);
        let lamp = Lamp::new(self.shading, look);
        self.corners.clear();
        self.corners.extend(mesh.positions.iter().zip(&mesh.normals).zip(mesh.tints.iter()).map(|((p, n), tint)| {
            let inverse = 1.0 / (DISTANCE - p[2]).max(1e-3);
            let (light, gloss) = lamp.shine(*n, *tint);
            Corner { x: cx + FOCAL * zoom * p[0] * inverse, y: cy - FOCAL * zoom * p[1] * inverse, inverse, light, gloss }
        }));
    }

    fn triangle(&mut self, [a, b, c]: [Corner; 3], [ca, cb, cc]: [Vec3; 3], area: f32) {
        let (wide, tall) = (self.width * SAMPLES, self.height * SAMPLES);
        let first = sample_from(a.y.min(b.y).min(c.y));
        let last = sample_from(a.y.max(b.y).max(c.y)).min(tall);
        if first >= last {
            return;
        }
        let values = |v: &Corner, [r, g, b]: Vec3| [v.inverse, r, g, b];
        let plane = Plane::new([a, b, c], [values(&a, ca), values(&b, cb), values(&c, cc)], area);
        let [upper, middle, lower] = by_height([a, b, c]);
        // Both triangles of an edge compute its crossings from the same numbers: no crack, no overlap.
        let (long, above, below) = (Edge::new(upper, lower), Edge::new(upper, middle), Edge::new(middle, lower));
        for row in first..last {
            let y = row as f32 + 0.5;
            let (p, q) = (long.at(y), if y < middle.y { above.at(y) } else { below.at(y) });
            let (from, to) = if p < q { (p, q) } else { (q, p) };
            let (left, right) = (sample_from(from), sample_from(to).min(wide));
            if left < right {
                let span = row * wide + left..row * wide + right;
                plane.fill(left, y, &mut self.depth[span.clone()], &mut self.color[span]);
            }
        }
    }

    /// Averages the samples of each pixel.
    fn resolve(&self, out: &mut [u8]) {
        let wide = self.width * SAMPLES;
        for (y, line) in out.chunks_exact_mut(self.width * 3).enumerate() {
            let (upper, lower) = self.color[y * SAMPLES * wide..(y + 1) * SAMPLES * wide].split_at(wide);
            for ((pixel, u), l) in line.chunks_exact_mut(3).zip(upper.chunks_exact(2)).zip(lower.chunks_exact(2)) {
                // Red and blue in one word, green in another: sums of four bytes stay apart.
                let samples = [u[0], u[1], l[0], l[1]];
                let rb: u32 = samples.iter().map(|s| s & 0x00FF_00FF).sum::<u32>() + 0x0002_0002;
                let g: u32 = samples.iter().map(|s| s >> 8 & 0xFF).sum::<u32>() + 2;
                pixel[0] = (rb >> 2) as u8;
                pixel[1] = (g >> 2) as u8;
                pixel[2] = (rb >> 18) as u8;
            }
        }
    }
}

/// What lights the vertices of a frame.
struct Lamp {
    shading: Shading,
    key: Vec3,
    halfway: Vec3,
    ambient: f32,
}

impl Lamp {
    fn new(shading: Shading, look: &Look) -> Self {
        let key = normalised(look.light);
        Self { shading, key, halfway: normalised([key[0], key[1], key[2] + 1.0]), ambient: look.ambient }
    }

    /// Light times the vertex's own colour, and gloss.
    fn shine(&self, n: Vec3, tint: Vec3) -> (Vec3, f32) {
        match &self.shading {
            Shading::Studio => {
                // Half-Lambert for the key light, a weak hemisphere from above for the rest.
                let wrapped = (dot(n, self.key) * 0.55 + 0.45).max(0.0);
                let light = self.ambient * (0.88 + 0.12 * n[1]) + (1.1 - self.ambient) * wrapped * wrapped.sqrt();
                ([tint[0] * light, tint[1] * light, tint[2] * light], dot(n, self.halfway).max(0.0).powi(24))
            }
            Shading::Grey { smooth } => (if *smooth { [grey(n); 3] } else { [0.0; 3] }, 0.0),
            Shading::Harmonics { gamma } => {
                let light = harmonic_light(gamma, n);
                ([tint[0] * light[0], tint[1] * light[1], tint[2] * light[2]], 0.0)
            }
        }
    }
}

/// Three corners from top to bottom.
fn by_height([mut a, mut b, mut c]: [Corner; 3]) -> [Corner; 3] {
    let before = |p: &Corner, q: &Corner| (p.y, p.x) < (q.y, q.x);
    if before(&b, &a) {
        std::mem::swap(&mut a, &mut b);
    }
    if before(&c, &b) {
        std::mem::swap(&mut b, &mut c);
    }
    if before(&b, &a) {
        std::mem::swap(&mut a, &mut b);
    }
    [a, b, c]
}

/// An edge as x over y.
struct Edge {
    x: f32,
    y: f32,
    slope: f32,
}

impl Edge {
    fn new(upper: Corner, lower: Corner) -> Self {
        let tall = lower.y - upper.y;
        Self { x: upper.x, y: upper.y, slope: if tall > 1e-6 { (lower.x - upper.x) / tall } else { 0.0 } }
    }

    fn at(&self, y: f32) -> f32 {
        self.x + (y - self.y) * self.slope
    }
}

/// Inverse distance and colour (0…255) as linear functions of the screen.
struct Plane {
    origin: [f32; 2],
    base: [f32; 4],
    dx: [f32; 4],
    dy: [f32; 4],
    /// The colour's steps along a row, in fixed point.
    steps: [i32; 3],
}

/// One in 16.16 fixed point.
const ONE: f32 = 65536.0;

fn fixed(v: f32) -> i32 {
    (v * ONE) as i32
}

impl Plane {
    fn new([a, b, c]: [Corner; 3], [va, vb, vc]: [[f32; 4]; 3], area: f32) -> Self {
        let mut plane = Self { origin: [a.x, a.y], base: va, dx: [0.0; 4], dy: [0.0; 4], steps: [0; 3] };
        // What covers less than half a sample is drawn flat: its slopes would be mostly rounding.
        if area.abs() > 0.5 {
            let inverse = 1.0 / area;
            for i in 0..4 {
                let (e1, e2) = (vb[i] - va[i], vc[i] - va[i]);
                plane.dx[i] = (e1 * (c.y - a.y) - e2 * (b.y - a.y)) * inverse;
                plane.dy[i] = (e2 * (b.x - a.x) - e1 * (c.x - a.x)) * inverse;
            }
            plane.steps = std::array::from_fn(|i| fixed(plane.dx[i + 1]));
        }
        plane
    }

    /// Draws the samples of one row from column `left`.
    fn fill(&self, left: usize, y: f32, depth: &mut [f32], color: &mut [u32]) {
        let (x, y) = (left as f32 + 0.5 - self.origin[0], y - self.origin[1]);
        let start: [f32; 4] = std::array::from_fn(|i| self.base[i] + x * self.dx[i] + y * self.dy[i]);
        let mut near = start[0];
        let (mut r, mut g, mut b) = (fixed(start[1]), fixed(start[2]), fixed(start[3]));
        let [dr, dg, db] = self.steps;
        for (d, pixel) in depth.iter_mut().zip(color) {
            if near > *d {
                *d = near;
                *pixel = (r >> 16 & 0xFF) as u32 | (g >> 8 & 0xFF00) as u32 | (b & 0x00FF_0000) as u32;
            }
            near += self.dx[0];
            (r, g, b) = (r.wrapping_add(dr), g.wrapping_add(dg), b.wrapping_add(db));
        }
    }
}

/// The colour (0…255) of a corner.
fn shade(v: &Corner, albedo: Vec3, material: Material) -> Vec3 {
    let gloss = v.gloss
        * match material {
            Material::Glint | Material::Pupil => return albedo.map(|a| a * 253.0 + 1.0),
            Material::Hair => 0.10,
            Material::Lips => 0.16,
            Material::Iris | Material::Skin | Material::Teeth => 0.05,
            _ => 0.0,
        };
    std::array::from_fn(|i| inside(255.0 * (albedo[i] * v.light[i] + gloss)))
}

/// A grey (0…255).
fn level(v: f32) -> Vec3 {
    [inside(v); 3]
}

/// A step away from 0 and 255, so that rounding along a span cannot pass them.
fn inside(v: f32) -> f32 {
    v.clamp(1.0, 254.0)
}

/// The first sample whose middle lies at or after `edge`; 0 for anything before the picture.
fn sample_from(edge: f32) -> usize {
    let x = edge - 0.5;
    // The conversion cuts towards 0, and takes what is negative or NaN to 0.
    let whole = x as usize;
    whole + usize::from(x > whole as f32)
}

/// Where a point (dm) lies in a picture of 224 × 224 pixels: x to the right, y down; FaceVerse's landmarks.
///
/// ```
/// assert_eq!(react_face::project([0.0, 0.0, 0.0]), [112.0, 112.0]);
/// assert_eq!(react_face::project([1.0, 1.0, 0.0]), [243.5, -19.5]);
/// ```
#[must_use]
pub fn project(p: [f32; 3]) -> [f32; 2] {
    let distance = DISTANCE - p[2];
    [FOCAL * p[0] / distance + CENTRE, SIZE - (FOCAL * p[1] / distance + CENTRE)]
}

fn to_byte(v: f32) -> u32 {
    (v + 0.5).clamp(0.0, 255.0) as u32
}

fn pack(rgb: Vec3) -> u32 {
    to_byte(rgb[0] * 255.0) | to_byte(rgb[1] * 255.0) << 8 | to_byte(rgb[2] * 255.0) << 16
}
