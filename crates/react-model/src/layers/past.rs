//! The past of a decoder layer whose sequence comes in parts.

use super::{DecoderCache, DecoderLayer};
use crate::ops::{FewInto, FewLayer, FramesOf, few_linear, is_few};
use crate::{Mode, Result};
use candle_core::Tensor;
use std::sync::Arc;

/// What a decoder layer knows of the frames before: their keys and values. x is its own memory.
#[derive(Clone, Debug, Default)]
pub(crate) enum DecoderPast {
    #[default]
    Empty,
    Whole(DecoderCache),
    Grown(Grown),
}

/// On a GPU, in layers whose norms come after: rows that frames are written behind, and none is copied until there is no room.
#[derive(Clone, Debug)]
pub(crate) struct Grown {
    /// `[b, room, 4·c]`: keys and values of the self-attention, then those of the attention to the memory. Rows are written only where
    /// nobody else has the array: clones get their own.
    rows: Arc<Tensor>,
    first: usize,
    frames: usize,
}

/// Frames that there is room for, at least.
const LEAST_ROOM: usize = 64;

impl DecoderPast {
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// Forgets all but the last frames.
    pub(crate) fn keep(&mut self, frames: usize) -> Result<()> {
        match self {
            Self::Empty => {}
            Self::Whole(cache) => *cache = cache.last(frames)?,
            Self::Grown(grown) => {
                let over = grown.frames.saturating_sub(frames);
                (grown.first, grown.frames) = (grown.first + over, grown.frames - over);
            }
        }
        Ok(())
    }
}

impl Grown {
    fn new(x_btc: &Tensor) -> Result<Self> {
        let (b, t, c) = x_btc.dims3()?;
        let room = (2 * t).next_power_of_two().max(LEAST_ROOM);
        Ok(Self { rows: Arc::new(Tensor::zeros((b, room, 4 * c), x_btc.dtype(), x_btc.device())?), first: 0, frames: 0 })
    }

    /// Makes room for frames behind the last, in an array that is nobody else's.
    fn make_room(&mut self, more: usize) -> Result<()> {
        let (b, room, columns) = self.rows.dims3()?;
        if self.first + self.frames + more <= room && Arc::get_mut(&mut self.rows).is_some() {
            return Ok(());
        }
        let (kept, room) = (self.frames, (2 * (self.frames + more)).next_power_of_two().max(LEAST_ROOM));
        let free = Tensor::zeros((b, room - kept, columns), self.rows.dtype(), self.rows.device())?;
        self.rows = Arc::new(Tensor::cat(&[&self.rows.narrow(1, self.first, kept)?, &free], 1)?);
        self.first = 0;
        Ok(())
    }

    /// Writes the keys and values of x behind the last frame; queries of the self-attention, where they are wanted.
    fn write(&mut self, layer: &DecoderLayer, x: &Tensor, queries: bool, mode: &Mode) -> Result<Option<Tensor>> {
        let (_, t, c) = x.dims3()?;
        self.make_room(t)?;
        let into = Some(FewInto { array: &self.rows, start: self.first + self.frames });
        let own = FewLayer { column: Some(0), ..layer.self_attn.few_layer(1, 2, mode)? };
        let memory = FewLayer { column: Some(2 * c), ..layer.multihead_attn.few_layer(1, 2, mode)? };
        let mut layers = vec![own];
        if queries {
            layers.push(layer.self_attn.few_layer(0, 1, mode)?);
        }
        layers.push(memory);
        Ok(few_linear(&[x], 0, &layers, into)?.pop())
    }

    fn frames_of(&self, more: usize, column: usize) -> FramesOf<'_> {
        FramesOf { array: &self.rows, first: self.first, count: self.frames + more, column }
    }

    /// The frames x, with those before in sight; they do not become part of the past.
    fn forward(&mut self, layer: &DecoderLayer, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        let (_, t, c) = x.dims3()?;
        let queries = match self.write(layer, x, true, mode)? {
            Some(queries) => queries,
            None => layer.self_attn.project(x, 0, 1, mode)?,
        };
        let heads = layer.self_attn.heads_within(&queries, &self.frames_of(t, 0), true)?;
        let x = layer.norm1.after_linear(x, &heads, layer.self_attn.out(), mode)?;
        let queries = layer.multihead_attn.project(&x, 0, 1, mode)?;
        let heads = layer.multihead_attn.heads_within(&queries, &self.frames_of(t, 2 * c), false)?;
        let x = layer.norm2.after_linear(&x, &heads, layer.multihead_attn.out(), mode)?;
        layer.feed_forward.forward(&x, mode)
    }
}

impl DecoderLayer {
    /// The next frames `[b, t, c]` of a sequence, which see those before and are not remembered.
    pub(crate) fn forward_after(&self, x: &Tensor, past: &mut DecoderPast, mode: &Mode) -> Result<Tensor> {
        match past {
            DecoderPast::Empty => self.forward(x, x, mode),
            DecoderPast::Whole(cache) => self.forward_last(x, &cache.then(&self.cache(x, x, mode)?)?, mode),
            DecoderPast::Grown(grown) => grown.forward(self, x, mode),
        }
    }

    /// The past goes on with these frames.
    pub(crate) fn remember(&self, x: &Tensor, past: &mut DecoderPast, mode: &Mode) -> Result<()> {
        if past.is_empty() && is_few(x, mode) && self.norm1.is_after() {
            *past = DecoderPast::Grown(Grown::new(x)?);
        }
        match past {
            DecoderPast::Empty => *past = DecoderPast::Whole(self.cache(x, x, mode)?),
            DecoderPast::Whole(cache) => *cache = cache.then(&self.cache(x, x, mode)?)?,
            DecoderPast::Grown(grown) => {
                grown.write(self, x, false, mode)?;
                grown.frames += x.dim(1)?;
            }
        }
        Ok(())
    }
}
