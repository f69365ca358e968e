//! A small stroke font of our own for captions in pictures: letters, digits and some signs as lines and arcs, drawn smooth at
//! any size.
//!
//! A glyph is a path in units of which capitals are 7 high (y down, baseline at 7): `M x y` begins a stroke, `L x y` draws a
//! line, `A cx cy rx ry from to` an arc between two angles in degrees (0 right, 90 down), joined by a line to what came before.

/// Units from the top of a capital to the baseline.
pub(crate) const CAPITAL: f32 = 7.0;
/// Units between two letters.
const GAP: f32 = 2.1;
/// Width of a space.
const SPACE: f32 = 2.6;

type Point = (f32, f32);

/// (character, width, path).
const GLYPHS: [(char, f32, &str); 76] = [
    ('A', 5.2, "M0 7L2.6 0L5.2 7M0.9 4.7L4.3 4.7"),
    ('B', 4.5, "M0 0L0 7M0 0L2.5 0A2.5 1.7 1.7 1.7 -90 90L0 3.4M2.5 3.4A2.7 5.2 1.8 1.8 -90 90L0 7"),
    ('C', 4.9, "A2.9 3.5 2.9 3.5 -48 -312"),
    ('D', 4.8, "M0 0L0 7L1.8 7A1.8 3.5 3 3.5 90 -90L0 0"),
    ('E', 4.0, "M4 0L0 0L0 7L4 7M0 3.4L3.5 3.4"),
    ('F', 4.0, "M4 0L0 0L0 7M0 3.4L3.4 3.4"),
    ('G', 5.3, "A2.9 3.5 2.9 3.5 -48 -325L5.3 3.8L3.2 3.8"),
    ('H', 4.6, "M0 0L0 7M4.6 0L4.6 7M0 3.4L4.6 3.4"),
    ('I', 0.0, "M0 0L0 7"),
    ('J', 3.0, "M3 0L3 5.2A1.5 5.2 1.5 1.8 0 180"),
    ('K', 4.5, "M0 0L0 7M4.3 0L0 4.3M1.5 2.9L4.5 7"),
    ('L', 3.8, "M0 0L0 7L3.8 7"),
    ('M', 5.6, "M0 7L0 0L2.8 5L5.6 0L5.6 7"),
    ('N', 4.6, "M0 7L0 0L4.6 7L4.6 0"),
    ('O', 5.8, "A2.9 3.5 2.9 3.5 0 360"),
    ('P', 4.5, "M0 7L0 0L2.6 0A2.6 1.9 1.9 1.9 -90 90L0 3.8"),
    ('Q', 5.8, "A2.9 3.5 2.9 3.5 0 360M3.5 5.2L5.5 7.5"),
    ('R', 4.6, "M0 7L0 0L2.6 0A2.6 1.9 1.9 1.9 -90 90L0 3.8M2.4 3.8L4.6 7"),
    ('S', 4.3, "A2.15 1.75 1.9 1.75 -25 -270A2.15 5.25 2.1 1.75 -90 158"),
    ('T', 5.0, "M0 0L5 0M2.5 0L2.5 7"),
    ('U', 4.6, "M0 0L0 4.6A2.3 4.6 2.3 2.4 180 0L4.6 0"),
    ('V', 5.0, "M0 0L2.5 7L5 0"),
    ('W', 7.2, "M0 0L1.8 7L3.6 1L5.4 7L7.2 0"),
    ('X', 4.6, "M0 0L4.6 7M4.6 0L0 7"),
    ('Y', 4.8, "M0 0L2.4 3.6L4.8 0M2.4 3.6L2.4 7"),
    ('Z', 4.6, "M0 0L4.6 0L0 7L4.6 7"),
    ('a', 4.2, "A2.1 4.6 2.1 2.4 0 360M4.2 2.2L4.2 7"),
    ('b', 4.2, "M0 0L0 7M4.2 4.6A2.1 4.6 2.1 2.4 0 360"),
    ('c', 3.8, "A2.2 4.6 2.2 2.4 -48 -312"),
    ('d', 4.2, "A2.1 4.6 2.1 2.4 0 360M4.2 0L4.2 7"),
    ('e', 4.2, "M0.1 4.6L4.2 4.6A2.1 4.6 2.1 2.4 0 -318"),
    ('f', 2.8, "A2.6 1.6 1.4 1.6 -70 -180L1.2 7M0 2.4L2.6 2.4"),
    ('g', 4.2, "A2.1 4.6 2.1 2.4 0 360M4.2 2.2L4.2 7.2A2.1 7.2 2.1 1.9 0 155"),
    ('h', 4.0, "M0 0L0 7M0 4.4A2 4.4 2 2.2 180 360L4 7"),
    ('i', 0.0, "M0 2.2L0 7M0 0.2L0 0.3"),
    ('j', 1.0, "M1 2.2L1 7.4A-0.4 7.4 1.4 1.6 0 100M1 0.2L1 0.3"),
    ('k', 3.7, "M0 0L0 7M3.5 2.2L0 5.2M1.3 4.1L3.7 7"),
    ('l', 0.0, "M0 0L0 7"),
    ('m', 6.8, "M0 2.2L0 7M0 4A1.7 4 1.7 1.8 180 360L3.4 7M3.4 4A5.1 4 1.7 1.8 180 360L6.8 7"),
    ('n', 4.0, "M0 2.2L0 7M0 4.4A2 4.4 2 2.2 180 360L4 7"),
    ('o', 4.4, "A2.2 4.6 2.2 2.4 0 360"),
    ('p', 4.2, "M0 2.2L0 9M4.2 4.6A2.1 4.6 2.1 2.4 0 360"),
    ('q', 4.2, "A2.1 4.6 2.1 2.4 0 360M4.2 2.2L4.2 9"),
    ('r', 2.6, "M0 2.2L0 7M0 4.6A2 4.6 2 2.4 180 290"),
    ('s', 3.6, "A1.8 3.4 1.6 1.2 -25 -270A1.8 5.8 1.75 1.2 -90 158"),
    ('t', 2.7, "M1.1 0.6L1.1 5.6A2.5 5.6 1.4 1.4 180 75M0 2.4L2.7 2.4"),
    ('u', 4.0, "M0 2.2L0 4.8A2 4.8 2 2.2 180 0M4 2.2L4 7"),
    ('v', 3.8, "M0 2.2L1.9 7L3.8 2.2"),
    ('w', 5.8, "M0 2.2L1.4 7L2.9 2.6L4.4 7L5.8 2.2"),
    ('x', 3.6, "M0 2.2L3.6 7M3.6 2.2L0 7"),
    ('y', 3.8, "M0 2.2L1.9 7M3.8 2.2L1.9 7L1.3 8.5L0.4 9"),
    ('z', 3.5, "M0 2.2L3.5 2.2L0 7L3.5 7"),
    ('0', 4.4, "A2.2 3.5 2.2 3.5 0 360"),
    ('1', 4.4, "M0.8 1.5L2.6 0L2.6 7"),
    ('2', 4.4, "A2.2 2.1 2.1 2.1 -165 25L0.1 7L4.4 7"),
    ('3', 4.4, "A2.1 1.75 1.9 1.75 -150 90A2.1 5.25 2.15 1.75 -90 150"),
    ('4', 4.4, "M3.3 7L3.3 0L0 4.8L4.4 4.8"),
    ('5', 4.4, "M4 0L0.7 0L0.4 3.2A2.1 4.7 2.2 2.3 -140 145"),
    ('6', 4.4, "A2.2 4.8 2.2 2.2 0 360M0 4.8A4 4.8 4 4.8 180 255"),
    ('7', 4.4, "M0 0L4.3 0L1.5 7"),
    ('8', 4.4, "A2.2 1.75 1.8 1.75 0 360M4.35 5.25A2.2 5.25 2.15 1.75 0 360"),
    ('9', 4.4, "A2.2 2.2 2.2 2.2 0 360A0.4 2.2 4 4.8 0 75"),
    ('.', 0.0, "M0 6.8L0 6.9"),
    (',', 0.6, "M0.6 6.6L0 8"),
    (':', 0.0, "M0 3L0 3.1M0 6.8L0 6.9"),
    ('-', 2.6, "M0 4.2L2.6 4.2"),
    ('–', 4.0, "M0 4.2L4 4.2"),
    ('+', 4.0, "M0 4.2L4 4.2M2 2.2L2 6.2"),
    ('/', 3.0, "M3 0L0 7.8"),
    ('(', 1.5, "A2.5 3.5 2.5 4.7 -120 -240"),
    (')', 1.5, "A-1 3.5 2.5 4.7 -60 60"),
    ('%', 5.6, "A1.2 1.5 1.2 1.5 0 360M5 0L0.6 7M5.6 5.5A4.4 5.5 1.2 1.5 0 360"),
    ('_', 4.2, "M0 8L4.2 8"),
    ('=', 4.0, "M0 3.1L4 3.1M0 5.3L4 5.3"),
    ('·', 0.0, "M0 4L0 4.1"),
    ('#', 4.6, "M1.6 0.6L0.9 6.8M3.7 0.6L3 6.8M0.2 2.4L4.6 2.4M0 5L4.4 5"),
];

/// Shown for a character that has no glyph: a box.
const MISSING: (f32, &str) = (3.6, "M0 1L3.6 1L3.6 7L0 7L0 1");

fn glyph(c: char) -> (f32, &'static str) {
    GLYPHS.iter().find(|g| g.0 == c).map_or(MISSING, |g| (g.1, g.2))
}

/// Width of `text` in units, without a gap at its end.
pub(crate) fn width(text: &str) -> f32 {
    let advance = |c: char| if c == ' ' { SPACE } else { glyph(c).0 + GAP };
    (text.chars().map(advance).sum::<f32>() - GAP).max(0.0)
}

/// The strokes of `text` in units, its first capital's top left corner at (0, 0).
pub(crate) fn strokes(text: &str) -> Vec<Vec<Point>> {
    let mut x = 0.0;
    let mut out = Vec::new();
    for c in text.chars() {
        if c == ' ' {
            x += SPACE;
            continue;
        }
        let (wide, path) = glyph(c);
        out.extend(polylines(path).into_iter().map(|line| line.into_iter().map(|(px, py)| (px + x, py)).collect()));
        x += wide + GAP;
    }
    out
}

/// A path as polylines.
fn polylines(path: &str) -> Vec<Vec<Point>> {
    let mut lines: Vec<Vec<Point>> = Vec::new();
    for (i, _) in path.match_indices(|c: char| c.is_ascii_uppercase()) {
        let end = path[i + 1..].find(|c: char| c.is_ascii_uppercase()).map_or(path.len(), |n| i + 1 + n);
        let numbers: Vec<f32> = path[i + 1..end].split_ascii_whitespace().filter_map(|n| n.parse().ok()).collect();
        match (path.as_bytes()[i], numbers.as_slice()) {
            (b'M', &[x, y]) => lines.push(vec![(x, y)]),
            (b'L', &[x, y]) => stroke(&mut lines).push((x, y)),
            (b'A', &[cx, cy, rx, ry, from, to]) => {
                let steps = ((to - from).abs() / 12.0).ceil() as usize;
                let angle = |k: usize| (from + (to - from) * k as f32 / steps as f32).to_radians();
                stroke(&mut lines).extend((0..=steps).map(|k| (cx + rx * angle(k).cos(), cy + ry * angle(k).sin())));
            }
            _ => debug_assert!(false, "glyph path {path:?} at {i}"),
        }
    }
    lines
}

/// The stroke being drawn; a path may begin with an arc.
fn stroke(lines: &mut Vec<Vec<Point>>) -> &mut Vec<Point> {
    if lines.is_empty() {
        lines.push(Vec::new());
    }
    let last = lines.len() - 1;
    &mut lines[last]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_glyph_is_well_formed_and_within_its_width() {
        for (c, wide, path) in GLYPHS {
            let lines = polylines(path);
            assert!(!lines.is_empty(), "{c}");
            for (x, y) in lines.into_iter().flatten() {
                assert!((-1.9..=wide + 0.35).contains(&x) && (-1.3..=9.4).contains(&y), "{c}: {x}, {y}");
            }
        }
    }

    #[test]
    fn letters_and_digits_are_all_there() {
        for c in ('A'..='Z').chain('a'..='z').chain('0'..='9') {
            assert!(GLYPHS.iter().any(|g| g.0 == c), "{c}");
        }
        assert_eq!(glyph('☃'), MISSING);
    }

    #[test]
    fn text_has_a_width() {
        assert_eq!(width(""), 0.0);
        assert!((width("L") - 3.8).abs() < 1e-5);
        assert!((width("L L") - (3.8 + 2.1 + 2.6 + 3.8)).abs() < 1e-5);
        assert_eq!(strokes("L").len(), 1);
    }
}
