//! Decoding with the system's FFmpeg: every codec it has, exactly as OpenCV and PyAV give it.
//!
//! What lies in 8 bits with half the columns of chroma is converted to RGB by this crate's own arithmetic, which is swscale's; all
//! else by swscale.

mod convert;
mod sound;

pub(crate) use sound::read as read_sound;

use crate::MediaError;
use crate::error::check_size;
use crate::source::Source;
use crate::video::{VideoInfo, VideoOptions};
use convert::Converter;
use ffmpeg_next::codec::packet::Ref as _;
use ffmpeg_next::{Discard, Error, Packet, codec, decoder, ffi, format, frame, media};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};
use std::time::SystemTime;

/// How many frames before the one wanted a jump aims at: a key frame may come before frames that are shown before it.
const MARGIN: usize = 16;

/// Starts the library, and keeps it from writing to the terminal.
fn start() {
    static START: Once = Once::new();
    START.call_once(|| {
        if let Err(why) = ffmpeg_next::init() {
            tracing::warn!(%why, "FFmpeg did not start");
        }
        ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Quiet);
    });
}

fn failed(file: &Path) -> impl Fn(Error) -> MediaError {
    move |why| MediaError::damaged(file, format!("FFmpeg says: {why}"))
}

/// What is known of a video before it is decoded: read by going through its packets.
#[derive(Debug)]
pub(crate) struct FfmpegPlan {
    path: PathBuf,
    identity: (u64, Option<SystemTime>),
    max_pixels: usize,
    stream: usize,
    /// Units of time, in seconds.
    time_base: (i32, i32),
    frames: usize,
    /// When each frame is shown, ascending; empty where the packets do not say, or say the same twice.
    times: Vec<i64>,
}

impl FfmpegPlan {
    pub(crate) fn open(path: &Path, options: &VideoOptions) -> Result<(Self, VideoInfo), MediaError> {
        start();
        let identity = Source::open(path)?.identity();
        let mut input = format::input(path).map_err(failed(path))?;
        let stream = input.streams().best(media::Type::Video);
        let stream = stream.ok_or_else(|| MediaError::NoTrack { file: path.to_owned(), kind: "video" })?;
        let (index, time_base, rate) = (stream.index(), stream.time_base(), f64::from(stream.avg_frame_rate()));
        let announced = usize::try_from(stream.frames()).unwrap_or(0);
        let decoder = open_decoder(path, &stream, options.max_pixels)?;
        let (width, height) = (decoder.width() as usize, decoder.height() as usize);
        let name = decoder.codec().map(|codec| codec.name().to_owned()).unwrap_or_default();
        keep_only(&mut input, index);
        let (frames, times) = scan(path, &mut input, index, announced)?;
        if frames == 0 {
            return Err(MediaError::damaged(path, "it shows no frame"));
        }
        let fps = if rate.is_finite() && rate > 0. && frames > 1 { rate } else { 25. };
        let info = VideoInfo { width, height, frames, fps, codec: name, decoder: version() };
        let time_base = (time_base.numerator(), time_base.denominator());
        Ok((Self { path: path.to_owned(), identity, max_pixels: options.max_pixels, stream: index, time_base, frames, times }, info))
    }
}

/// `ffmpeg libavcodec 59.37.100`.
fn version() -> String {
    let version = codec::version();
    format!("ffmpeg libavcodec {}.{}.{}", version >> 16, version >> 8 & 0xff, version & 0xff)
}

fn open_decoder(path: &Path, stream: &format::stream::Stream<'_>, max_pixels: usize) -> Result<decoder::Video, MediaError> {
    let context = codec::context::Context::from_parameters(stream.parameters()).map_err(failed(path))?;
    let mut decoder = context.decoder();
    // SAFETY: the context is this decoder's own, and not open yet.
    let (width, height) = unsafe { ((*decoder.as_ptr()).width, (*decoder.as_ptr()).height) };
    let side = |pixels: i32| usize::try_from(pixels).unwrap_or(0);
    check_size(path, side(width), side(height), max_pixels)?;
    // SAFETY: as above.
    unsafe {
        (*decoder.as_mut_ptr()).max_pixels = i64::try_from(max_pixels).unwrap_or(i64::MAX);
        (*decoder.as_mut_ptr()).thread_count = 1;
        (*decoder.as_mut_ptr()).pkt_timebase = stream.time_base().into();
    }
    decoder.video().map_err(|why| MediaError::codec(path, format!("its video ({why})")))
}

/// Has the packets of all other streams left out, where the format can: sound has more packets than its video.
fn keep_only(input: &mut format::context::Input, stream: usize) {
    for (index, mut other) in input.streams_mut().enumerate() {
        if index != stream {
            // SAFETY: the stream is the input's own, which is not read from meanwhile.
            unsafe { (*other.as_mut_ptr()).discard = ffi::AVDiscard::AVDISCARD_ALL };
        }
    }
}

/// Goes through the packets: how many frames are shown, and when.
fn scan(path: &Path, input: &mut format::context::Input, stream: usize, announced: usize) -> Result<(usize, Vec<i64>), MediaError> {
    let (mut packets, mut shown, mut times) = (0, 0, Vec::new());
    while let Some(packet) = next_packet(path, input)? {
        if packet.stream() != stream {
            continue;
        }
        packets += 1;
        if packet.is_corrupt() {
            return Err(MediaError::damaged(path, format!("it is cut short in frame {}", packets - 1)));
        }
        // SAFETY: the packet was just read.
        let is_hidden = unsafe { (*packet.as_ptr()).flags & ffi::AV_PKT_FLAG_DISCARD != 0 };
        if !is_hidden {
            shown += 1;
            times.extend(packet.pts());
        }
    }
    if packets < announced {
        return Err(MediaError::damaged(path, format!("it is cut short: its index has {announced} frames, the file {packets}")));
    }
    times.sort_unstable();
    if times.len() < shown || times.windows(2).any(|pair| pair[0] == pair[1]) {
        times.clear();
    }
    Ok((shown, times))
}

/// The next packet of any stream; `None` at the end.
fn next_packet(path: &Path, input: &mut format::context::Input) -> Result<Option<Packet>, MediaError> {
    let mut packet = Packet::empty();
    match packet.read(input) {
        Ok(()) => Ok(Some(packet)),
        Err(Error::Eof) => Ok(None),
        Err(why) => Err(failed(path)(why)),
    }
}

/// Decodes the frames of a plan.
pub(crate) struct FfmpegReader {
    plan: Arc<FfmpegPlan>,
    input: format::context::Input,
    decoder: decoder::Video,
    converter: Converter,
    frame: frame::Video,
    next: usize,
    /// Decoding began in the middle; should that have been too late, it begins again at the start.
    has_jumped: bool,
    /// Whether pictures before the wanted one are left out where no other needs them: in H.264, whose slices say so, where packets have
    /// times to tell what is before.
    skips: bool,
}

impl FfmpegReader {
    pub(crate) fn new(plan: Arc<FfmpegPlan>) -> Result<Self, MediaError> {
        let (input, decoder) = Self::begin(&plan)?;
        let (converter, frame) = (Converter::new(decoder.width() as usize, decoder.height() as usize), frame::Video::empty());
        let skips = decoder.id() == codec::Id::H264 && !plan.times.is_empty();
        Ok(Self { plan, input, decoder, converter, frame, next: 0, has_jumped: false, skips })
    }

    fn begin(plan: &FfmpegPlan) -> Result<(format::context::Input, decoder::Video), MediaError> {
        start();
        if Source::open(&plan.path)?.identity() != plan.identity {
            return Err(MediaError::damaged(&plan.path, "it has changed since its index was read"));
        }
        let mut input = format::input(&plan.path).map_err(failed(&plan.path))?;
        keep_only(&mut input, plan.stream);
        let stream = input.stream(plan.stream).ok_or_else(|| MediaError::damaged(&plan.path, "its video is gone"))?;
        let decoder = open_decoder(&plan.path, &stream, plan.max_pixels)?;
        Ok((input, decoder))
    }

    fn restart(&mut self) -> Result<(), MediaError> {
        (self.input, self.decoder) = Self::begin(&self.plan)?;
        self.has_jumped = false;
        Ok(())
    }

    /// Begins again at the start, and leaves no picture out any more: a decoder that learns from the pictures it sees in which order to
    /// give them may have learnt wrongly. An error where it was so already.
    fn restart_with_all(&mut self) -> Result<(), MediaError> {
        if !self.has_jumped && !self.skips {
            return Err(self.no_picture());
        }
        self.skips = false;
        self.restart()
    }

    pub(crate) fn seek(&mut self, frame: usize) -> Result<(), MediaError> {
        if frame >= self.plan.frames {
            self.next = frame;
            return Ok(());
        }
        if self.plan.times.is_empty() {
            // Without times frames are counted from the start.
            if frame < self.next {
                self.restart()?;
                self.next = 0;
            }
            while self.next < frame {
                if !self.decode()? {
                    return Err(self.no_picture());
                }
                self.next += 1;
            }
            return Ok(());
        }
        let goes_on = frame >= self.next && frame < self.next + MARGIN;
        if !goes_on {
            let aim = self.plan.times[frame.saturating_sub(MARGIN)];
            let (unit, units) = self.plan.time_base;
            let microseconds = i128::from(aim) * i128::from(unit) * 1_000_000 / i128::from(units.max(1));
            let aim = microseconds.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
            if frame <= MARGIN || self.input.seek(aim, ..aim).is_err() {
                self.restart()?;
            } else {
                self.decoder.flush();
                self.has_jumped = true;
            }
        }
        self.next = frame;
        Ok(())
    }

    pub(crate) fn next_frame(&mut self, rgb: &mut Vec<u8>) -> Result<bool, MediaError> {
        if self.next >= self.plan.frames {
            return Ok(false);
        }
        loop {
            if !self.decode()? {
                self.restart_with_all()?;
                continue;
            }
            let Some(&wanted) = self.plan.times.get(self.next) else {
                break;
            };
            let time = self.frame.timestamp().or(self.frame.pts());
            match time.ok_or_else(|| self.failed("the decoder gave it no time"))?.cmp(&wanted) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => break,
                std::cmp::Ordering::Greater => self.restart_with_all()?,
            }
        }
        self.converter.convert(&self.plan.path, self.next, &self.frame, rgb)?;
        self.next += 1;
        Ok(true)
    }

    fn failed(&self, why: impl ToString) -> MediaError {
        MediaError::frame(&self.plan.path, self.next, why.to_string())
    }

    fn no_picture(&self) -> MediaError {
        self.failed("the decoder gave no picture for it")
    }

    /// Decodes one more frame; `false` at the end.
    fn decode(&mut self) -> Result<bool, MediaError> {
        loop {
            match self.decoder.receive_frame(&mut self.frame) {
                Ok(()) => return Ok(true),
                Err(Error::Other { errno: ffmpeg_next::error::EAGAIN }) => {}
                Err(Error::Eof) => return Ok(false),
                Err(why) => return Err(self.failed(why)),
            }
            let sent = match next_packet(&self.plan.path, &mut self.input)? {
                Some(packet) if packet.stream() == self.plan.stream => {
                    let wanted = self.plan.times.get(self.next).filter(|_| self.skips);
                    let is_before = packet.pts().zip(wanted).is_some_and(|(time, wanted)| time < *wanted);
                    self.decoder.skip_frame(if is_before { Discard::NonReference } else { Discard::Default });
                    self.decoder.send_packet(&packet)
                }
                Some(_) => Ok(()),
                None => self.decoder.send_eof(),
            };
            sent.map_err(|why| self.failed(why))?;
        }
    }
}
