//! Names, order and units of the 25 emotion attributes and the 58 3DMM coefficients, as the REACT challenge orders them.

use crate::{ATTRIBUTES, COEFFS};
use std::ops::Range;

/// The 25 emotion attributes, in the order of the published csv files.
pub const EMOTION: [&str; ATTRIBUTES] = [
    "AU1", "AU2", "AU4", "AU6", "AU7", "AU9", "AU10", "AU12", "AU14", "AU15", "AU17", "AU23", "AU24", "AU25", "AU26", "valence", "arousal",
    "Neutral", "Happy", "Sad", "Surprise", "Fear", "Disgust", "Anger", "Contempt",
];

/// Action units among the attributes: binary, 0 or 1.
pub const AU: Range<usize> = 0..15;
/// Valence and arousal among the attributes: in [−1, 1].
pub const AFFECT: Range<usize> = 15..17;
/// Expression probabilities among the attributes: in [0, 1], summing to 1.
pub const EXPRESSIONS: Range<usize> = 17..25;

/// Expression coefficients among the 58.
pub const COEFF_EXPRESSION: Range<usize> = 0..52;
/// Rotation among the 58: x, y, z in radians.
pub const COEFF_ROTATION: Range<usize> = 52..55;
/// Translation among the 58: x, y, z.
pub const COEFF_TRANSLATION: Range<usize> = 55..58;

/// What a value of attribute `index` means: `"binary"`, `"[-1, 1]"` or `"probability"`.
///
/// ```
/// assert_eq!(react_contracts::channels::emotion_unit(16), "[-1, 1]");
/// ```
#[must_use]
pub fn emotion_unit(index: usize) -> &'static str {
    if AU.contains(&index) {
        "binary"
    } else if AFFECT.contains(&index) {
        "[-1, 1]"
    } else {
        "probability"
    }
}

/// The name of coefficient `index` of 58.
///
/// ```
/// use react_contracts::channels::coeff_name;
/// assert_eq!((coeff_name(0), coeff_name(53)), ("expression 1".to_owned(), "rotation y (rad)".to_owned()));
/// ```
#[must_use]
pub fn coeff_name(index: usize) -> String {
    debug_assert!(index < COEFFS);
    let axis = |start: usize| ["x", "y", "z"].get(index - start).copied().unwrap_or("?");
    match index {
        0..52 => format!("expression {}", index + 1),
        52..55 => format!("rotation {} (rad)", axis(52)),
        _ => format!("translation {}", axis(55)),
    }
}
