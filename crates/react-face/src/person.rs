//! Who is shown: the shape of a head and its colours.

use crate::head::{IDENTITIES, MATERIALS, Material};
use crate::math::{Vec3, mix, scale};
use react_random::Draws;

/// A person: identity weights (about standard normal) and a colour for each material (sRGB, 0…1).
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    pub(crate) shape: [f32; IDENTITIES],
    pub(crate) palette: [Vec3; MATERIALS],
}

/// Skin from light to dark.
const SKINS: [Vec3; 6] =
    [[0.96, 0.80, 0.70], [0.93, 0.73, 0.60], [0.86, 0.64, 0.49], [0.74, 0.52, 0.38], [0.58, 0.39, 0.28], [0.43, 0.29, 0.22]];
const HAIRS: [Vec3; 5] = [[0.10, 0.08, 0.08], [0.20, 0.13, 0.09], [0.34, 0.21, 0.12], [0.50, 0.32, 0.16], [0.78, 0.60, 0.34]];
const GREY: Vec3 = [0.62, 0.61, 0.60];
const IRISES: [Vec3; 5] = [[0.33, 0.20, 0.10], [0.20, 0.13, 0.09], [0.26, 0.44, 0.62], [0.33, 0.47, 0.30], [0.42, 0.45, 0.47]];
const SHIRTS: [Vec3; 6] =
    [[0.22, 0.32, 0.48], [0.52, 0.24, 0.24], [0.24, 0.42, 0.34], [0.85, 0.84, 0.80], [0.30, 0.28, 0.36], [0.72, 0.56, 0.28]];

impl Person {
    /// The mean head with brown hair.
    #[must_use]
    pub fn average() -> Self {
        Self { shape: [0.0; IDENTITIES], palette: palette(SKINS[1], HAIRS[2], IRISES[2], SHIRTS[0]) }
    }

    /// A person at random: shape weights normal and cut at ±2, colours between and around those of people.
    ///
    /// ```
    /// use react_face::Person;
    /// use react_random::Draws;
    /// let person = |number| Person::draw(&mut Draws::new(1, "person", number, 0));
    /// assert_eq!(person(3), person(3));
    /// assert_ne!(person(3), person(4));
    /// ```
    #[must_use]
    pub fn draw(draws: &mut Draws) -> Self {
        let mut shape = [0.0; IDENTITIES];
        shape.iter_mut().for_each(|w| *w = draws.normal().clamp(-2.0, 2.0));
        let tone = draws.uniform() * (SKINS.len() - 1) as f32;
        let skin = mix(SKINS[tone as usize], SKINS[(tone as usize + 1).min(SKINS.len() - 1)], tone.fract());
        // Fair hair and light eyes with fair skin, mostly.
        let dark = tone > 3.0;
        let shade = draws.uniform() * (4.3 - tone).clamp(1.0, 3.999);
        let tinted = mix(HAIRS[shade as usize], HAIRS[shade as usize + 1], shade.fract());
        let hair = if draws.chance(0.15) { mix(tinted, GREY, 0.8) } else { tinted };
        let iris = IRISES[draws.below(if dark { 2 } else { IRISES.len() })];
        let shirt = mix(SHIRTS[draws.below(SHIRTS.len())], SHIRTS[draws.below(SHIRTS.len())], draws.uniform());
        Self { shape, palette: palette(skin, hair, iris, shirt) }
    }

    /// The same person with another weight of one identity channel, by its name in [`crate::IDENTITY`]; as it was where there
    /// is no such channel.
    #[must_use]
    pub fn with_shape(mut self, channel: &str, weight: f32) -> Self {
        if let Some(at) = crate::IDENTITY.iter().position(|name| *name == channel) {
            self.shape[at] = weight;
        }
        self
    }

    /// The same person with hair as the embedded geometry shows it well: neither so thin that the scalp comes through nor so long
    /// that it hangs in points. For pictures that people look at; the synthetic corpora are drawn without.
    ///
    /// ```
    /// use react_face::{IDENTITY, Person};
    /// use react_random::Draws;
    /// let hair = IDENTITY.iter().position(|name| *name == "hairLength").unwrap();
    /// let groomed = |number| Person::draw(&mut Draws::new(1, "person", number, 0)).groomed();
    /// assert!((0..50).all(|number| groomed(number).shape()[hair] <= 0.0));
    /// ```
    #[must_use]
    pub fn groomed(mut self) -> Self {
        for (name, weight) in crate::IDENTITY.iter().zip(&mut self.shape) {
            match *name {
                "hairVolume" => *weight = weight.clamp(-0.5, 1.0),
                "hairLength" => *weight = weight.clamp(-1.2, 0.0),
                _ => {}
            }
        }
        self
    }

    /// The identity weights.
    #[must_use]
    pub fn shape(&self) -> &[f32; IDENTITIES] {
        &self.shape
    }

    /// The colour of a material, sRGB in 0…1.
    #[must_use]
    pub fn color(&self, material: Material) -> [f32; 3] {
        self.palette[material as usize]
    }
}

fn palette(skin: Vec3, hair: Vec3, iris: Vec3, shirt: Vec3) -> [Vec3; MATERIALS] {
    let mut out = [[0.0; 3]; MATERIALS];
    for (material, color) in [
        (Material::Skin, skin),
        (Material::Lips, mix([skin[0] * 0.90, skin[1] * 0.66, skin[2] * 0.68], [0.72, 0.30, 0.31], 0.22)),
        (Material::Brow, mix(scale(hair, 0.72), scale(skin, 0.35), 0.15)),
        (Material::Lash, mix([0.07, 0.05, 0.05], hair, 0.15)),
        (Material::EyeWhite, [0.97, 0.96, 0.94]),
        (Material::Iris, iris),
        (Material::Pupil, [0.03, 0.03, 0.04]),
        (Material::Glint, [1.0, 1.0, 1.0]),
        (Material::Mouth, [0.26, 0.07, 0.08]),
        (Material::Teeth, [0.98, 0.97, 0.94]),
        (Material::Tongue, [0.80, 0.36, 0.37]),
        (Material::Nostril, [skin[0] * 0.45, skin[1] * 0.33, skin[2] * 0.32]),
        (Material::Hair, hair),
        (Material::Shirt, shirt),
    ] {
        out[material as usize] = color;
    }
    out
}
