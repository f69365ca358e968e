//! What the parts of the head are built from: sites (a rest position and what is there) and triangles.

use crate::head::Material;
use crate::math::{Vec3, cross, dot, sub};

/// What a vertex belongs to, which decides how expressions move it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Region {
    Skin,
    /// Round an eye: side (±1, + is the person's left), angle on the contour, ring weight (1 at the lid's edge, 0 far
    /// out), the height of the open eye above the closed line here (negative for the lower lid).
    Lid {
        side: f32,
        sin: f32,
        weight: f32,
        gap: f32,
    },
    /// Round the mouth: cosine and sine of the angle, ring weight (1 on the lips).
    Lips {
        cos: f32,
        sin: f32,
        weight: f32,
    },
    Brow,
    Ball,
    /// Iris and pupil; `share` of the gaze that it follows.
    Iris {
        side: f32,
        share: f32,
    },
    UpperTeeth,
    LowerTeeth,
    Tongue {
        tip: f32,
    },
    Hair {
        length: f32,
    },
    Ear,
    Neck,
    Body,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Site {
    pub(super) p: Vec3,
    pub(super) region: Region,
}

#[derive(Default)]
pub(super) struct Builder {
    pub(super) sites: Vec<Site>,
    pub(super) triangles: Vec<[u32; 3]>,
    pub(super) materials: Vec<Material>,
    /// Colour factor of each vertex.
    pub(super) tints: Vec<Vec3>,
}

impl Builder {
    pub(super) fn vertex(&mut self, p: Vec3, region: Region) -> u32 {
        self.tinted(p, region, [1.0; 3])
    }

    pub(super) fn tinted(&mut self, p: Vec3, region: Region, tint: Vec3) -> u32 {
        self.sites.push(Site { p, region });
        self.tints.push(tint);
        self.sites.len() as u32 - 1
    }

    /// A triangle that faces `outward` (winding is turned where it must be).
    pub(super) fn triangle(&mut self, t: [u32; 3], material: Material, outward: Vec3) {
        let [a, b, c] = t.map(|v| self.sites[v as usize].p);
        let faces = dot(cross(sub(b, a), sub(c, a)), outward) >= 0.0;
        self.triangles.push(if faces { t } else { [t[0], t[2], t[1]] });
        self.materials.push(material);
    }

    /// Two triangles a cell between rows of equal length; each faces away from `centre`.
    pub(super) fn strip(&mut self, rows: &[Vec<u32>], material: Material, centre: Vec3) {
        for pair in rows.windows(2) {
            for i in 1..pair[0].len() {
                let [a, b, c, d] = [pair[0][i - 1], pair[0][i], pair[1][i - 1], pair[1][i]];
                self.outward([a, b, c], material, centre);
                self.outward([b, d, c], material, centre);
            }
        }
    }

    /// A fan over a closed ring; each triangle faces away from `centre`.
    pub(super) fn fan(&mut self, hub: u32, ring: &[u32], material: Material, centre: Vec3) {
        for i in 0..ring.len() {
            self.outward([hub, ring[i], ring[(i + 1) % ring.len()]], material, centre);
        }
    }

    fn outward(&mut self, t: [u32; 3], material: Material, centre: Vec3) {
        self.triangle(t, material, sub(self.sites[t[0] as usize].p, centre));
    }
}
