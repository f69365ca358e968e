//! Plots as PNG: the vector graphics drawn by `resvg`, with one embedded face of letters, so that they look the same everywhere.

use crate::colour::DARK;
use crate::error::VizError;
use crate::svg::{Figure, Svg};
use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb::Database};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// Largest width and height of a picture in pixels: what browsers and viewers open.
const LARGEST: f32 = 16_384.0;

/// What a picture is drawn on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ground {
    /// Dark ink on white.
    #[default]
    Light,
    /// Light ink on near black.
    Dark,
}

impl Ground {
    const fn ink(self) -> &'static str {
        match self {
            Self::Light => "#1f2328",
            Self::Dark => "#e6e6e6",
        }
    }

    fn paint(self) -> Color {
        match self {
            Self::Light => Color::WHITE,
            Self::Dark => Color::from_rgba8(0x16, 0x19, 0x1e, 255),
        }
    }
}

/// DejaVu Sans, the only face that pictures are written with: no font of the system is looked at.
fn letters() -> Arc<Database> {
    static LETTERS: OnceLock<Arc<Database>> = OnceLock::new();
    let load = || {
        let mut fonts = Database::new();
        fonts.load_font_data(dejavu::sans::regular().to_vec());
        fonts.load_font_data(dejavu::sans::bold().to_vec());
        fonts.set_sans_serif_family("DejaVu Sans");
        Arc::new(fonts)
    };
    Arc::clone(LETTERS.get_or_init(load))
}

impl Svg {
    /// The drawing as the bytes of a PNG file, `scale` pixels a CSS pixel.
    ///
    /// ```
    /// use react_viz::{Ground, Svg};
    /// let dot = Svg::new("a dot", 10, 10, r#"<circle cx="5" cy="5" r="2" fill="currentColor"/>"#.into(), 1)?;
    /// assert!(dot.png(2.0, Ground::Light)?.starts_with(b"\x89PNG"));
    /// # Ok::<(), react_viz::VizError>(())
    /// ```
    ///
    /// # Errors
    /// Where `scale` is not positive, or the picture would have no pixels or more than 16384 in a row or column.
    pub fn png(&self, scale: f32, ground: Ground) -> Result<Vec<u8>, VizError> {
        let (width, height) = (self.width() as f32 * scale, self.height() as f32 * scale);
        if !(width >= 1.0 && height >= 1.0 && width <= LARGEST && height <= LARGEST) {
            return Err(VizError::Value { what: "picture", reason: format!("cannot have {width} × {height} pixels") });
        }
        let refused = |reason: String| VizError::Plot { title: self.label().to_owned(), reason };
        let options = Options { fontdb: letters(), font_family: "DejaVu Sans".to_owned(), ..Options::default() };
        let tree = Tree::from_str(&self.inked(ground.ink(), if ground == Ground::Dark { DARK } else { "" }), &options);
        let tree = tree.map_err(|error| refused(error.to_string()))?;
        let mut pixels = Pixmap::new(width.round() as u32, height.round() as u32).ok_or_else(|| refused("no such size".to_owned()))?;
        pixels.fill(ground.paint());
        resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
        pixels.encode_png().map_err(|error| refused(error.to_string()))
    }
}

impl Figure {
    /// [`Figure::svg`] as the bytes of a PNG file, `scale` pixels a CSS pixel.
    ///
    /// # Errors
    /// As [`Svg::png`], and where the figure has no panels.
    pub fn png(&self, scale: f32, ground: Ground) -> Result<Vec<u8>, VizError> {
        self.svg()?.png(scale, ground)
    }

    /// Writes [`Figure::png`] on white as a file: `scale` 1 for a page, 2 for sharp screens and print.
    ///
    /// # Errors
    /// As [`Figure::png`], and where the file cannot be written.
    pub fn write_png(&self, path: &Path, scale: f32) -> Result<(), VizError> {
        let bytes = self.png(scale, Ground::Light)?;
        Ok(react_store::write_atomic(path, |file| file.write_all(&bytes))?)
    }
}

/// Pixels in RGB as the bytes of a PNG file.
pub(crate) fn encode(rgb: &[u8], width: usize, height: usize) -> Result<Vec<u8>, VizError> {
    let refused = |reason: String| VizError::Value { what: "picture", reason };
    let sizes = (u32::try_from(width).unwrap_or(0), u32::try_from(height).unwrap_or(0));
    let mut pixels = Pixmap::new(sizes.0, sizes.1).ok_or_else(|| refused(format!("cannot have {width} × {height} pixels")))?;
    for (to, from) in pixels.data_mut().chunks_exact_mut(4).zip(rgb.chunks_exact(3)) {
        to.copy_from_slice(&[from[0], from[1], from[2], 255]);
    }
    pixels.encode_png().map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(body: &str, scale: f32, ground: Ground) -> (u32, Vec<[u8; 4]>) {
        let png = Svg::new("", 20, 10, body.to_owned(), 1).unwrap().png(scale, ground).unwrap();
        let pixels = Pixmap::decode_png(&png).unwrap();
        (pixels.width(), pixels.pixels().iter().map(|p| [p.red(), p.green(), p.blue(), p.alpha()]).collect())
    }

    #[test]
    fn ink_follows_the_ground() {
        let square = "<rect x=\"0\" y=\"0\" width=\"10\" height=\"10\" fill=\"currentColor\"/>";
        let (width, light) = picture(square, 2.0, Ground::Light);
        assert_eq!((width, light[0], light[39]), (40, [0x1f, 0x23, 0x28, 255], [255; 4]));
        let (_, dark) = picture(square, 1.0, Ground::Dark);
        assert_eq!((dark[0], dark[19]), ([0xe6, 0xe6, 0xe6, 255], [0x16, 0x19, 0x1e, 255]));
    }

    #[test]
    fn letters_are_drawn() {
        let dark = |body: &str| picture(body, 1.0, Ground::Light).1.iter().filter(|p| p[0] < 128).count();
        let text = |weight: &str, word: &str| {
            format!(
                "<text x=\"1\" y=\"9\" font-size=\"9\" font-family=\"sans-serif\" font-weight=\"{weight}\" fill=\"currentColor\">{word}</text>"
            )
        };
        let (none, plain, bold) = (dark(""), dark(&text("normal", "Hm")), dark(&text("bold", "Hm")));
        assert!(none == 0 && plain > 10 && bold > plain, "{none}, {plain}, {bold}");
        // The letters of units and arrows are there too: no boxes, which all look alike.
        let signs: Vec<_> = ["↑", "↓", "−", "²", "é"].map(|sign| picture(&text("normal", sign), 1.0, Ground::Light).1).to_vec();
        for (i, sign) in signs.iter().enumerate() {
            assert!(signs[..i].iter().all(|other| other != sign), "sign {i}");
        }
    }

    #[test]
    fn sizes_that_make_no_picture_are_refused() {
        let svg = Svg::new("", 20, 10, String::new(), 1).unwrap();
        for scale in [0.0, -1.0, f32::NAN, f32::INFINITY, 0.05, 1e6] {
            assert!(svg.png(scale, Ground::Light).is_err(), "{scale}");
        }
    }
}
