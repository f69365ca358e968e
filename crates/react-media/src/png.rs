//! PNG: single pictures, and folders of numbered ones as videos.

use crate::MediaError;
use crate::error::{check_size, guarded};
use crate::video::{VideoInfo, VideoOptions};
use png::{BitDepth, ColorType, Compression, Limits, Transformations};
use std::fs::{self, File};
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

/// A picture: RGB24 `[height][width][3]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `height · width · 3` bytes.
    pub rgb: Vec<u8>,
}

/// Writes RGB24 `[height][width][3]` as PNG, atomically.
///
/// # Errors
/// Where `rgb` has not `width · height · 3` bytes, or the file cannot be written.
pub fn write_png(path: &Path, rgb: &[u8], width: usize, height: usize) -> Result<(), MediaError> {
    check_buffer(rgb, width, height)?;
    let (Ok(w), Ok(h)) = (u32::try_from(width), u32::try_from(height)) else {
        return Err(MediaError::Argument(format!("a PNG cannot have {width}×{height} pixels")));
    };
    react_store::write_atomic(path, |file| {
        let mut encoder = png::Encoder::new(file, w, h);
        encoder.set_color(ColorType::Rgb);
        encoder.set_depth(BitDepth::Eight);
        encoder.set_compression(Compression::Balanced);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(rgb)?;
        Ok(writer.finish()?)
    })?;
    Ok(())
}

/// Reads a PNG of any kind as RGB24; transparency is dropped, 16 bits are cut to 8.
///
/// # Errors
/// Where the file cannot be read, is damaged, or has more pixels than [`VideoOptions::of_the_program`] allows.
pub fn read_png(path: &Path) -> Result<Image, MediaError> {
    let mut rgb = Vec::new();
    let (width, height) = decode(path, VideoOptions::of_the_program().max_pixels, &mut rgb)?;
    Ok(Image { width, height, rgb })
}

pub(crate) fn check_buffer(rgb: &[u8], width: usize, height: usize) -> Result<(), MediaError> {
    if width == 0 || height == 0 || width.checked_mul(height).and_then(|n| n.checked_mul(3)) != Some(rgb.len()) {
        return Err(MediaError::Argument(format!("a picture of {width}×{height} RGB pixels cannot have {} bytes", rgb.len())));
    }
    Ok(())
}

/// Reads the header of a PNG.
fn open(path: &Path, max_pixels: usize) -> Result<png::Reader<BufReader<File>>, MediaError> {
    let mut file = File::open(path).map_err(MediaError::io("open", path))?;
    // The size lies at one place in every PNG: it is checked before the decoder allocates for it, and named in the error.
    let mut head = [0; 24];
    if file.read_exact(&mut head).is_ok() && head[12..16] == *b"IHDR" {
        let [width, height] = [16, 20].map(|at| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize);
        check_size(path, width, height, max_pixels)?;
    }
    file.rewind().map_err(MediaError::io("read", path))?;
    let limits = Limits { bytes: max_pixels.saturating_mul(8).saturating_add(1 << 20) };
    let mut decoder = png::Decoder::new_with_limits(BufReader::new(file), limits);
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    // Neither is of use here, and both may be packed bombs.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let reader = guarded(path, || decoder.read_info())?.map_err(|why| damaged(path, &why))?;
    let (width, height) = size(&reader);
    check_size(path, width, height, max_pixels)?;
    Ok(reader)
}

fn size(reader: &png::Reader<BufReader<File>>) -> (usize, usize) {
    (reader.info().width as usize, reader.info().height as usize)
}

fn damaged(path: &Path, why: &png::DecodingError) -> MediaError {
    MediaError::damaged(path, why.to_string())
}

/// Decodes a PNG to RGB24, replacing what `rgb` held; returns width and height.
fn decode(path: &Path, max_pixels: usize, rgb: &mut Vec<u8>) -> Result<(usize, usize), MediaError> {
    let mut reader = open(path, max_pixels)?;
    let (width, height) = size(&reader);
    let bytes = reader.output_buffer_size().ok_or_else(|| MediaError::damaged(path, "its size is impossible"))?;
    rgb.resize(bytes, 0);
    let frame = guarded(path, || reader.next_frame(rgb))?.map_err(|why| damaged(path, &why))?;
    match frame.color_type {
        ColorType::Rgb => {}
        ColorType::Rgba => {
            // In place, from the front: what is written was read before.
            for i in 0..width * height {
                rgb.copy_within(4 * i..4 * i + 3, 3 * i);
            }
            rgb.truncate(3 * width * height);
        }
        ColorType::Grayscale => spread(rgb, width * height, 1),
        ColorType::GrayscaleAlpha => spread(rgb, width * height, 2),
        ColorType::Indexed => return Err(MediaError::damaged(path, "its palette was not applied")),
    }
    Ok((width, height))
}

/// Grey pixels of `bytes` each to RGB, in place.
fn spread(pixels: &mut Vec<u8>, count: usize, bytes: usize) {
    for i in 0..count {
        pixels[i] = pixels[i * bytes];
    }
    pixels.resize(3 * count, 0);
    // From the back: what is read was not written before.
    for i in (0..count).rev() {
        let grey = pixels[i];
        pixels[3 * i..3 * i + 3].fill(grey);
    }
}

/// A folder of PNGs, one a frame, in the order of the numbers that end their names.
#[derive(Debug)]
pub(crate) struct PngFolder {
    files: Vec<PathBuf>,
    size: (usize, usize),
    max_pixels: usize,
}

impl PngFolder {
    pub(crate) fn open(folder: &Path, max_pixels: usize) -> Result<(Self, VideoInfo), MediaError> {
        let files = numbered(folder)?;
        let Some(first) = files.first() else {
            return Err(MediaError::NoTrack { file: folder.to_owned(), kind: "numbered PNGs" });
        };
        let size = size(&open(first, max_pixels)?);
        let info =
            VideoInfo { width: size.0, height: size.1, frames: files.len(), fps: 25., codec: "png".to_owned(), decoder: "png".to_owned() };
        Ok((Self { files, size, max_pixels }, info))
    }

    /// Decodes frame `number`; `false` where there is none.
    pub(crate) fn frame(&self, number: usize, rgb: &mut Vec<u8>) -> Result<bool, MediaError> {
        let Some(file) = self.files.get(number) else {
            return Ok(false);
        };
        let (width, height) = decode(file, self.max_pixels, rgb)?;
        if (width, height) != self.size {
            let what = format!("it has {width}×{height} pixels, the first frame of its folder {}×{}", self.size.0, self.size.1);
            return Err(MediaError::damaged(file, what));
        }
        Ok(true)
    }
}

/// The PNGs of a folder by number; their numbers must follow each other.
fn numbered(folder: &Path) -> Result<Vec<PathBuf>, MediaError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(MediaError::io("open", folder))? {
        let path = entry.map_err(MediaError::io("read", folder))?.path();
        if !path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png")) {
            continue;
        }
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let digits = stem.len() - stem.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = stem[stem.len() - digits..]
            .parse()
            .map_err(|_| MediaError::damaged(folder, format!("its file {stem}.png has no number at the end of its name")))?;
        files.push((number, path));
    }
    files.sort();
    for pair in files.windows(2) {
        let (before, after) = (pair[0].0, pair[1].0);
        if after != before + 1 {
            return Err(MediaError::damaged(folder, format!("its frames go from number {before} to number {after}")));
        }
    }
    Ok(files.into_iter().map(|(_, path)| path).collect())
}
