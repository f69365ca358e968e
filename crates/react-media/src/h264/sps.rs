//! The sequence parameter set (ITU-T H.264, 7.3.2.1.1), as far as a reader must know it before it decodes: sizes, limits, colour.

use super::bits::{Bits, unescape};
use crate::color::ColorSpace;

/// What a sequence parameter set says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sps {
    pub(crate) profile: u8,
    /// Coded size, whole macroblocks.
    pub(crate) coded: (usize, usize),
    /// Shown size.
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Pixels cut off at the left and the top.
    pub(crate) crop_left_top: (usize, usize),
    pub(crate) bit_depth: u32,
    /// 0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub(crate) chroma_format: u32,
    pub(crate) frames_only: bool,
    pub(crate) references: u32,
    /// The range, and the matrix where one is given.
    pub(crate) color: Option<(bool, Option<u8>)>,
}

impl Sps {
    /// Reads a NAL unit of type 7; `None` where it breaks off or breaks the standard's limits.
    pub(crate) fn parse(nal: &[u8]) -> Option<Self> {
        let bytes = unescape(nal.get(1..)?);
        let mut bits = Bits::new(&bytes);
        let profile = bits.bits(8)? as u8;
        bits.bits(16)?;
        bits.ue()?;
        let (chroma_format, bit_depth) = if has_chroma_format(profile) { format(&mut bits)? } else { (1, 8) };
        bits.ue()?;
        picture_order(&mut bits)?;
        let references = bits.ue()?;
        bits.flag()?;
        let width_mbs = bits.ue()?.checked_add(1).filter(|&n| n <= 4096)? as usize;
        let height_units = bits.ue()?.checked_add(1).filter(|&n| n <= 4096)? as usize;
        let frames_only = bits.flag()?;
        if !frames_only {
            bits.flag()?;
        }
        bits.flag()?;
        let crop = if bits.flag()? { [bits.ue()?, bits.ue()?, bits.ue()?, bits.ue()?] } else { [0; 4] };
        let color = if bits.flag()? { video_signal(&mut bits)? } else { None };

        let fields = if frames_only { 1 } else { 2 };
        let coded = (width_mbs * 16, height_units * 16 * fields);
        let unit_x: usize = if matches!(chroma_format, 1 | 2) { 2 } else { 1 };
        let unit_y: usize = if chroma_format == 1 { 2 * fields } else { fields };
        let [left, right, top, bottom] = crop.map(|n| n as usize);
        let width = coded.0.checked_sub(unit_x.checked_mul(left.checked_add(right)?)?)?;
        let height = coded.1.checked_sub(unit_y.checked_mul(top.checked_add(bottom)?)?)?;
        let crop_left_top = (unit_x * left, unit_y * top);
        Some(Self { profile, coded, width, height, crop_left_top, bit_depth, chroma_format, frames_only, references, color })
    }

    /// Why the decoder could not read such pictures, if so.
    pub(crate) fn unsupported(&self) -> Option<String> {
        let chroma = ["grey", "4:2:0", "4:2:2", "4:4:4"].get(self.chroma_format as usize).unwrap_or(&"unknown");
        if self.bit_depth != 8 {
            return Some(format!("H.264 with {} bits a sample", self.bit_depth));
        }
        if self.chroma_format != 1 {
            return Some(format!("H.264 in {chroma}"));
        }
        if self.references > 16 {
            return Some(format!("H.264 with {} reference pictures", self.references));
        }
        None
    }
}

/// Profiles whose parameter set names a chroma format.
fn has_chroma_format(profile: u8) -> bool {
    matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135)
}

/// Chroma format and bits a sample, past the scaling matrices.
fn format(bits: &mut Bits<'_>) -> Option<(u32, u32)> {
    let chroma_format = bits.ue().filter(|&format| format <= 3)?;
    if chroma_format == 3 {
        bits.flag()?;
    }
    let luma = bits.ue()?;
    let chroma = bits.ue()?;
    let bit_depth = luma.max(chroma).checked_add(8)?;
    bits.flag()?;
    if bits.flag()? {
        for list in 0..if chroma_format == 3 { 12 } else { 8 } {
            if bits.flag()? {
                scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some((chroma_format, bit_depth))
}

/// 7.3.2.1.1.1, read and forgotten.
fn scaling_list(bits: &mut Bits<'_>, size: usize) -> Option<()> {
    let (mut last, mut next) = (8i32, 8i32);
    for _ in 0..size {
        if next != 0 {
            next = (last.wrapping_add(bits.se()?)).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

fn picture_order(bits: &mut Bits<'_>) -> Option<()> {
    match bits.ue()? {
        0 => {
            bits.ue()?;
        }
        1 => {
            bits.flag()?;
            bits.se()?;
            bits.se()?;
            for _ in 0..bits.ue().filter(|&n| n <= 255)? {
                bits.se()?;
            }
        }
        _ => {}
    }
    Some(())
}

/// The head of the VUI (E.1.1), up to the colour.
fn video_signal(bits: &mut Bits<'_>) -> Option<Option<(bool, Option<u8>)>> {
    if bits.flag()? && bits.bits(8)? == 255 {
        bits.bits(32)?;
    }
    if bits.flag()? {
        bits.flag()?;
    }
    if !bits.flag()? {
        return Some(None);
    }
    bits.bits(3)?;
    let full_range = bits.flag()?;
    let matrix = if bits.flag()? { Some((bits.bits(24)? & 0xff) as u8) } else { None };
    Some(Some((full_range, matrix)))
}

/// The colours of a stream: its own word first, then its container's.
pub(crate) fn color_space(sps: &Sps, container: Option<ColorSpace>) -> ColorSpace {
    let container = container.unwrap_or(ColorSpace::UNSPECIFIED);
    match sps.color {
        Some((full_range, matrix)) => ColorSpace { matrix: matrix.unwrap_or(container.matrix), full_range },
        None => container,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_set_of_x264_is_read() {
        // That of h264_high_b.mp4: High, 256×256, four references, not cropped, a VUI without colour.
        let nal = [
            0x67, 0x64, 0x00, 0x0d, 0xac, 0xd9, 0x41, 0x00, 0x86, 0xc0, 0x44, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xc8,
            0x3c, 0x50, 0xa6, 0x58,
        ];
        let want = Sps {
            profile: 100,
            coded: (256, 256),
            width: 256,
            height: 256,
            crop_left_top: (0, 0),
            bit_depth: 8,
            chroma_format: 1,
            frames_only: true,
            references: 4,
            color: None,
        };
        assert_eq!(Sps::parse(&nal), Some(want));
        assert_eq!(want.unsupported(), None);
        for cut in 0..11 {
            assert_eq!(Sps::parse(&nal[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn the_stream_has_the_first_word_on_colour() {
        let nal = [0x67, 66, 0, 10, 0xf8, 0x41, 0xa2];
        let base = Sps::parse(&nal).unwrap();
        let container = ColorSpace { matrix: 1, full_range: true };
        assert_eq!(color_space(&Sps { color: None, ..base }, Some(container)), container);
        assert_eq!(color_space(&Sps { color: None, ..base }, None), ColorSpace::UNSPECIFIED);
        let own = color_space(&Sps { color: Some((false, None)), ..base }, Some(container));
        assert_eq!(own, ColorSpace { matrix: 1, full_range: false });
    }
}
