//! Okabe and Ito's colours, which people with any common colour vision can tell apart.
//!
//! Source: M. Okabe, K. Ito, "Color Universal Design", 2008, <https://jfly.uni-koeln.de/color/>. Yellow is left out: it
//! cannot be seen on white. Black is the text's own colour, so that it turns light on a dark page.

use serde::{Deserialize, Serialize};

/// A colour of the palette.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Colour {
    /// The colour of the surrounding text: dark on light pages, light on dark ones.
    Ink,
    /// #0072B2.
    Blue,
    /// #D55E00.
    Vermillion,
    /// #009E73.
    Green,
    /// #CC79A7.
    Purple,
    /// #E69F00.
    Orange,
    /// #56B4E9.
    Sky,
}

impl Colour {
    /// The colours of unnamed series, in order of use.
    pub const SERIES: [Self; 6] = [Self::Blue, Self::Vermillion, Self::Green, Self::Purple, Self::Orange, Self::Sky];

    /// Red, green, blue; what stands for [`Colour::Ink`] while drawing is a near black that no other colour has.
    pub(crate) const fn rgb(self) -> [u8; 3] {
        match self {
            Self::Ink => [1, 2, 3],
            Self::Blue => [0x00, 0x72, 0xB2],
            Self::Vermillion => [0xD5, 0x5E, 0x00],
            Self::Green => [0x00, 0x9E, 0x73],
            Self::Purple => [0xCC, 0x79, 0xA7],
            Self::Orange => [0xE6, 0x9F, 0x00],
            Self::Sky => [0x56, 0xB4, 0xE9],
        }
    }

    /// The class of an element that is drawn in this colour, for [`DARK`].
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ink => "ink",
            Self::Blue => "blue",
            Self::Vermillion => "vermillion",
            Self::Green => "green",
            Self::Purple => "purple",
            Self::Orange => "orange",
            Self::Sky => "sky",
        }
    }

    /// The colour in CSS and SVG.
    ///
    /// ```
    /// assert_eq!(react_viz::Colour::Blue.css(), "#0072B2");
    /// ```
    #[must_use]
    pub fn css(self) -> String {
        match self {
            Self::Ink => "currentColor".to_owned(),
            other => hex(other.rgb()),
        }
    }
}

/// CSS that makes the two darkest colours lighter, for dark pages.
pub(crate) const DARK: &str = ".s-blue{stroke:#8ccbf5}.f-blue{fill:#8ccbf5}.s-vermillion{stroke:#ff9a4d}.f-vermillion{fill:#ff9a4d}";

/// `#RRGGBB`, as the plotting library writes it.
pub(crate) fn hex([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02X}{g:02X}{b:02X}")
}
