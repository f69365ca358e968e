//! A batch's pictures: copied or decoded straight into their place, on several threads.

use super::Clip;
use crate::DataError;
use ndarray::Array5;
use react_store::{copy_past_caches, large_buffer};
use std::sync::{Mutex, PoisonError};

/// Bytes that a thread copies at once: enough that taking turns costs nothing, little enough that all threads end together.
const PIECE: usize = 2 << 20;

/// What a batch's pictures are made with: neither changes them.
#[derive(Debug)]
pub(crate) struct Workshop {
    /// Threads, at least 1.
    pub(crate) threads: usize,
    /// A buffer of an earlier batch, whose pages the process has already; may be empty.
    pub(crate) buffer: Vec<u8>,
}

impl Default for Workshop {
    /// All cores, a new buffer.
    fn default() -> Self {
        Self { threads: crate::threads::cores(), buffer: Vec::new() }
    }
}

/// Part of a batch's pictures: of a clip, from a byte on, into their place.
struct Piece<'a> {
    clip: &'a Clip,
    from: usize,
    out: &'a mut [u8],
}

impl Piece<'_> {
    fn fill(self, picture: usize) -> Result<(), DataError> {
        match self.clip.stored()?.map(|bytes| bytes.get(self.from..self.from + self.out.len())) {
            Some(Some(bytes)) => copy_past_caches(bytes, self.out),
            Some(None) => return Err(DataError::Loader(format!("the clip {} ends before its batch", self.clip.id()))),
            None => self.clip.copy_frames(self.from / picture, self.out)?,
        }
        Ok(())
    }
}

/// `t` frames of each clip from its start on, u8 `[b, t, h, w, 3]`. All clips of a split have pictures of one size.
pub(super) fn pictures(clips: &[(&Clip, usize)], t: usize, workshop: Workshop) -> Result<Array5<u8>, DataError> {
    let [_, h, w, c] = clips.first().map_or([0; 4], |(clip, _)| clip.frames_shape());
    let picture = h * w * c;
    let length = clips.len() * t * picture;
    let mut bytes = workshop.buffer;
    if bytes.capacity() < length {
        bytes = large_buffer(length);
    }
    bytes.resize(length, 0);
    if length > 0 {
        let mut pieces = Vec::new();
        for ((clip, start), out) in clips.iter().zip(bytes.chunks_exact_mut(t * picture)) {
            // Decoding one clip cannot be shared out.
            let size = if clip.stored()?.is_some() { PIECE } else { out.len() };
            pieces.extend(out.chunks_mut(size).enumerate().map(|(i, out)| Piece { clip, from: start * picture + i * size, out }));
        }
        fill(pieces, picture, workshop.threads)?;
    }
    Array5::from_shape_vec((clips.len(), t, h, w, c), bytes).map_err(|error| DataError::Loader(error.to_string()))
}

/// Fills all pieces; of several errors the first piece's counts.
fn fill(pieces: Vec<Piece<'_>>, picture: usize, threads: usize) -> Result<(), DataError> {
    let threads = threads.clamp(1, pieces.len());
    let pieces = Mutex::new(pieces.into_iter().enumerate());
    let failed = Mutex::new(None);
    let work = || {
        loop {
            let next = pieces.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((index, piece)) = next else { break };
            if let Err(error) = piece.fill(picture) {
                let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                if failed.as_ref().is_none_or(|(first, _)| index < *first) {
                    *failed = Some((index, error));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Where the system gives no more threads this one does all.
            let _ = std::thread::Builder::new().name("pictures".to_owned()).spawn_scoped(scope, work);
        }
        work();
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), |(_, error)| Err(error))
}
