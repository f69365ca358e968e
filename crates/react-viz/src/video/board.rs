//! The part of a panel video that does not move, and where the panels go.

use super::{Painter, Panel, Panels};
use crate::canvas::Canvas;
use crate::error::VizError;

/// The colour between and behind panels.
pub const GROUND: [u8; 3] = [22, 25, 30];
pub(crate) const WORDS: [u8; 3] = [232, 234, 237];
/// Panels in one row at most: of more, a page's width leaves too little for each.
pub const MOST_IN_A_ROW: usize = 6;

/// Ground, captions and places.
pub(super) struct Board {
    pub(super) ground: Canvas,
    columns: usize,
    top: usize,
    gap: usize,
    side: usize,
}

impl Board {
    pub(super) fn new(panels: &Panels<'_>) -> Self {
        let (side, count) = (panels.side, panels.panels.len().max(1));
        let (size, gap) = (caption_size(side), (side / 32).max(2));
        let top = (2.6 * size).ceil() as usize;
        let rows = count.div_ceil(MOST_IN_A_ROW);
        let columns = count.div_ceil(rows);
        // H.264 stores colours for blocks of 2 × 2 pixels.
        let even = |n: usize| n + n % 2;
        let ground = Canvas::new(even(gap + columns * (side + gap)), even(rows * (top + side) + gap), GROUND);
        let mut board = Self { ground, columns, top, gap, side };
        for (i, label) in panels.panels.iter().map(Panel::label).enumerate() {
            let (x, y) = board.place(i);
            let label = shortened(label, side as f32, size);
            board.ground.write(&label, x as f32 + 1.0, (y - top) as f32 + 0.8 * size, size, WORDS);
        }
        board
    }

    /// The corner of a panel's picture.
    fn place(&self, index: usize) -> (usize, usize) {
        let (row, column) = (index / self.columns, index % self.columns);
        (self.gap + column * (self.side + self.gap), self.top + row * (self.top + self.side))
    }

    pub(super) fn frame(&self, panels: &Panels<'_>, t: usize, painters: &mut [Painter]) -> Result<Vec<u8>, VizError> {
        let mut canvas = self.ground.clone();
        let mut square = vec![0; self.side * self.side * 3];
        for (index, (panel, painter)) in panels.panels.iter().zip(painters).enumerate() {
            painter.paint(panel, t, &mut square)?;
            let (x, y) = self.place(index);
            canvas.put(&square, self.side, x, y);
        }
        Ok(canvas.rgb)
    }
}

/// Height of capitals for panels of `side` pixels.
fn caption_size(side: usize) -> f32 {
    (side as f32 / 19.0).clamp(7.0, 16.0)
}

/// `text`, cut so that it is at most `width` pixels wide.
pub(crate) fn shortened(text: &str, width: f32, size: f32) -> String {
    let mut text = text.to_owned();
    while !text.is_empty() && Canvas::text_width(&text, size) > width {
        text.pop();
    }
    text
}
