//! Normalisation of a convolution's output with what follows it: the launches of `kernels/norm.cu`.

use super::convolution::{numbers, vector};
use super::plan::{Arg, Plan, Slot, Type};
use std::ops::Range;

/// Threads of a block.
const BLOCK: usize = 256;
/// Pixels that a thread adds up as f32.
const PIXELS_OF_A_SUM: usize = 64;
/// Pixels that a thread of the other kernels sees.
const PIXELS: usize = 8;
/// Set for a frame's first place.
const FIRST: u32 = 1 << 31;

/// A kernel's names by type and vector.
macro_rules! kernels {
    ($name:literal) => {
        [concat!($name, "_f32"), concat!($name, "_f32x4"), concat!($name, "_bf16"), concat!($name, "_bf16x8")]
    };
}

/// Which frames are normalised together, and where they go: each view is a run of frames, and the output has one view's frames after
/// the other's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Views {
    frames: usize,
    runs: Vec<Range<usize>>,
}

impl Views {
    /// Of `frames` frames.
    pub(crate) fn new(frames: usize, runs: &[Range<usize>]) -> Self {
        Self { frames, runs: runs.to_vec() }
    }

    /// One view of all frames.
    pub(crate) fn one(frames: usize) -> Self {
        Self::new(frames, std::slice::from_ref(&(0..frames)))
    }

    pub(crate) fn len(&self) -> usize {
        self.runs.len()
    }

    /// Frames of the output.
    pub(crate) fn places(&self) -> usize {
        self.runs.iter().map(ExactSizeIterator::len).sum()
    }

    fn frames_of_places(&self) -> impl Iterator<Item = usize> {
        self.runs.iter().cloned().flatten()
    }

    /// Whether every frame is shown once, in order.
    fn in_order(&self) -> bool {
        self.frames_of_places().eq(0..self.frames)
    }

    /// Frames of each view, if all have as many; otherwise of the first.
    fn each(&self) -> (usize, bool) {
        let first = self.runs.first().map_or(1, ExactSizeIterator::len);
        (first, self.runs.iter().all(|run| run.len() == first))
    }

    /// The kernels' `frame_of`.
    fn frame_of(&self) -> Arg {
        // A run that begins with the first frame shows every frame at its own place.
        if self.frames_of_places().eq(0..self.places()) {
            return Arg::Absent;
        }
        let mut seen = vec![false; self.frames];
        let entry = |frame: usize| frame as u32 | if std::mem::replace(&mut seen[frame], true) { 0 } else { FIRST };
        Arg::Numbers(self.frames_of_places().map(entry).collect())
    }

    /// `view_of`.
    fn view_of(&self) -> Arg {
        if self.each().1 {
            return Arg::Absent;
        }
        let views = self.runs.iter().enumerate().flat_map(|(view, run)| std::iter::repeat_n(view as u32, run.len()));
        Arg::Numbers(views.collect())
    }

    /// `runs`: first frame and number of frames.
    fn runs(&self) -> Arg {
        let (frames, equal) = self.each();
        if equal && self.runs.iter().enumerate().all(|(view, run)| run.start == view * frames) {
            return Arg::Absent;
        }
        Arg::Numbers(self.runs.iter().flat_map(|run| [run.start as u32, run.len() as u32]).collect())
    }

    /// `ends`: first place of each view, and the end.
    fn ends(&self) -> Arg {
        if self.each().1 {
            return Arg::Absent;
        }
        let ends = self.runs.iter().scan(0, |end, run| {
            *end += run.len() as u32;
            Some(*end)
        });
        Arg::Numbers(std::iter::once(0).chain(ends).collect())
    }

    /// `first_place` and `places`; absent where places are frames.
    fn places_of_frames(&self) -> [Arg; 2] {
        if self.in_order() {
            return [Arg::Absent, Arg::Absent];
        }
        let mut places = vec![Vec::new(); self.frames];
        for (place, frame) in self.frames_of_places().enumerate() {
            places[frame].push(place as u32);
        }
        let ends = places.iter().scan(0, |end, places: &Vec<u32>| {
            *end += places.len() as u32;
            Some(*end)
        });
        [Arg::Numbers(std::iter::once(0).chain(ends).collect()), Arg::Numbers(places.concat())]
    }
}

/// What follows the normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follow {
    Nothing,
    Relu,
    /// ReLU and the largest of 3×3 pixels, stride 2, with that many pixels of padding.
    ReluMaxPool {
        padding: usize,
    },
}

/// The normalisation of y `[frames, h, w, channels]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Norm {
    /// Of y, the result and their gradients.
    pub(crate) element: Type,
    pub(crate) size: [usize; 2],
    pub(crate) channels: usize,
    /// With γ and β (BatchNorm).
    pub(crate) affine: bool,
    pub(crate) follow: Follow,
    pub(crate) views: Views,
}

/// What the passes of a gradient read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backward {
    pub(crate) y: Slot,
    pub(crate) statistics: Slot,
    pub(crate) winners: Option<Slot>,
    /// The operation's result.
    pub(crate) result: Slot,
    pub(crate) grad: Slot,
    /// Whether a residual was added before the ReLU.
    pub(crate) residual: bool,
}

impl Norm {
    pub(crate) fn pixels(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Height and width of the result.
    pub(crate) fn out(&self) -> [usize; 2] {
        match self.follow {
            Follow::ReluMaxPool { padding } => self.size.map(|n| (n + 2 * padding - 3) / 2 + 1),
            Follow::Nothing | Follow::Relu => self.size,
        }
    }

    pub(crate) fn out_len(&self) -> usize {
        self.views.places() * self.out()[0] * self.out()[1] * self.channels
    }

    pub(crate) fn y_len(&self) -> usize {
        self.views.frames * self.pixels() * self.channels
    }

    /// Of mean and 1/σ, with γ and β where there are any.
    pub(crate) fn statistics_len(&self) -> usize {
        if self.affine { 4 * self.channels } else { self.views.len() * 2 * self.channels }
    }

    /// A byte for each window of each frame; none without a pool.
    pub(crate) fn winners_len(&self) -> Option<usize> {
        matches!(self.follow, Follow::ReluMaxPool { .. }).then(|| self.views.frames * self.out()[0] * self.out()[1] * self.channels)
    }

    fn pool_padding(&self) -> usize {
        if let Follow::ReluMaxPool { padding } = self.follow { padding } else { 0 }
    }

    fn relu(&self) -> usize {
        usize::from(self.follow != Follow::Nothing)
    }

    /// Channels of a thread.
    fn vector(&self) -> usize {
        let v = vector(self.element);
        if self.channels.is_multiple_of(v) { v } else { 1 }
    }

    fn kernel(&self, names: [&'static str; 4]) -> &'static str {
        names[2 * usize::from(self.element == Type::Bf16) + usize::from(self.vector() > 1)]
    }

    fn vectors(&self) -> usize {
        self.channels / self.vector()
    }

    /// Parts of a frame of `pixels`, and pixels of a part, where a thread sees at most `each` of them.
    fn parts(&self, pixels: usize, each: usize) -> (usize, usize) {
        let rows = BLOCK / self.vectors().min(BLOCK / self.vector());
        let parts = pixels.div_ceil(rows * each);
        let part = pixels.div_ceil(parts);
        (pixels.div_ceil(part), part)
    }

    fn launch(&self, plan: &mut Plan, names: [&'static str; 4], frames: usize, parts: usize, args: Vec<Arg>) {
        let chunks = self.vectors().div_ceil(BLOCK / self.vector());
        plan.blocks(self.kernel(names), [frames as u32, parts as u32, chunks as u32], BLOCK as u32, 0, args);
    }

    /// Elements of the moments of y's parts.
    pub(crate) fn moments_len(&self) -> usize {
        self.views.frames * self.parts(self.pixels(), PIXELS_OF_A_SUM).0 * 2 * self.channels
    }

    /// Moments f64 of the parts of every frame of y.
    pub(crate) fn moments(&self, plan: &mut Plan, y: Slot, moments: Slot) {
        let (parts, part) = self.parts(self.pixels(), PIXELS_OF_A_SUM);
        let args = [vec![Arg::Array(y), Arg::Array(moments)], numbers(&[self.pixels(), self.vectors(), part])].concat();
        self.launch(plan, kernels!("react_moments"), self.views.frames, parts, args);
    }

    /// Statistics of the views from moments.
    pub(crate) fn statistics(&self, plan: &mut Plan, moments: Slot, statistics: Slot, with: With) {
        let (parts, part) = self.parts(self.pixels(), PIXELS_OF_A_SUM);
        let optional = |slot: Option<Slot>| slot.map_or(Arg::Absent, Arg::Array);
        let (packed, row, offset) = with.affine.map_or((None, 0, 0), |(slot, row, offset)| (Some(slot), row, offset));
        let arrays = vec![
            Arg::Array(moments),
            optional(with.earlier.map(|e| e.0)),
            self.views.runs(),
            optional(packed),
            Arg::Array(statistics),
            optional(with.merged),
            optional(with.observed.map(|o| o[0])),
            optional(with.observed.map(|o| o[1])),
        ];
        let earlier = with.earlier.map_or(0, |e| e.1);
        let sizes = [self.views.each().0, parts, self.pixels(), part, self.channels, earlier, row, offset];
        let grid = [self.views.len() as u32, self.channels.div_ceil(8) as u32, 1];
        plan.blocks("react_statistics", grid, BLOCK as u32, 0, [arrays, numbers(&sizes)].concat());
    }

    /// Statistics `[4, channels]` from a mean and a variance.
    pub(crate) fn fixed_statistics(&self, plan: &mut Plan, [mean, variance]: [Slot; 2], (packed, row, offset): Packed, statistics: Slot) {
        let arrays = [mean, variance, packed, statistics].map(Arg::Array).to_vec();
        plan.each("react_fixed_statistics", self.channels, 128, [arrays, numbers(&[self.channels, row, offset])].concat());
    }

    /// The result, and which pixels won.
    pub(crate) fn forward(&self, plan: &mut Plan, y: Slot, statistics: Slot, residual: Option<Slot>, out: Slot, winners: Option<Slot>) {
        let [rows, columns] = self.out();
        let (parts, part) = self.parts(rows * columns, PIXELS);
        let (frame_of, view_of, frames) = (self.views.frame_of(), self.views.view_of(), self.views.each().0);
        let optional = |slot: Option<Slot>| slot.map_or(Arg::Absent, Arg::Array);
        let (names, args) = if self.winners_len().is_some() {
            let arrays = vec![Arg::Array(y), Arg::Array(statistics), Arg::Array(out), optional(winners), frame_of, view_of];
            let sizes = [frames, self.size[0], self.size[1], rows, columns, self.pool_padding(), self.vectors(), part];
            let names = if self.affine { kernels!("react_affine_pool") } else { kernels!("react_norm_pool") };
            (names, [arrays, numbers(&sizes)].concat())
        } else {
            let arrays = vec![Arg::Array(y), Arg::Array(statistics), optional(residual), Arg::Array(out), frame_of, view_of];
            let names = if self.affine { kernels!("react_affine") } else { kernels!("react_norm") };
            (names, [arrays, numbers(&[frames, self.pixels(), self.vectors(), part, self.relu()])].concat())
        };
        self.launch(plan, names, self.views.places(), parts, args);
    }

    /// Σg and Σg·z over each view: their means where `means` is given (zeros with `fixed` statistics), γ's and β's gradients where
    /// `packed` is.
    pub(crate) fn gradient_means(&self, plan: &mut Plan, of: Backward, means: Slot, packed: Option<Packed>, fixed: bool) {
        let pool = self.winners_len().is_some();
        let [rows, columns] = self.out();
        let (parts, part) = self.parts(rows * columns, PIXELS_OF_A_SUM);
        let sums = plan.scratch(Type::F64, self.views.places() * parts * 2 * self.channels);
        // A pooled result is the winners' z itself, and a quarter of y; γ hides it.
        let own = pool && !self.affine;
        let optional = |slot: Option<Slot>| slot.map_or(Arg::Absent, Arg::Array);
        let arrays = vec![
            Arg::Array(if own { of.result } else { of.y }),
            if own { Arg::Absent } else { Arg::Array(of.statistics) },
            if of.residual && self.affine { Arg::Array(of.result) } else { Arg::Absent },
            Arg::Array(of.grad),
            if own { Arg::Absent } else { optional(of.winners) },
            Arg::Array(sums),
            if own { Arg::Absent } else { self.views.frame_of() },
            self.views.view_of(),
        ];
        let frames = self.views.each().0;
        let sizes = [frames, rows * columns, self.vectors(), part, self.relu(), self.size[0], self.size[1], columns, self.pool_padding()];
        let names = match (self.affine, pool) {
            (false, _) => kernels!("react_norm_sums"),
            (true, false) => kernels!("react_affine_sums"),
            (true, true) => kernels!("react_affine_pool_sums"),
        };
        self.launch(plan, names, self.views.places(), parts, [arrays, numbers(&sizes)].concat());
        let (packed, row, offset) = packed.map_or((Arg::Absent, 0, 0), |(slot, row, offset)| (Arg::Array(slot), row, offset));
        let arrays = vec![Arg::Array(sums), self.views.ends(), Arg::Array(means), packed, Arg::Absent];
        let sizes = numbers(&[frames, parts, self.pixels(), self.channels, usize::from(fixed), row, offset]);
        let grid = [self.views.len() as u32, self.channels.div_ceil(8) as u32, 1];
        plan.blocks("react_gradient_means", grid, BLOCK as u32, 0, [arrays, sizes].concat());
    }

    /// Elements of the means.
    pub(crate) fn means_len(&self) -> usize {
        self.views.len() * 2 * self.channels
    }

    /// dy, and what goes on to the residual where `through` is given.
    pub(crate) fn gradient(&self, plan: &mut Plan, of: Backward, means: Slot, dy: Slot, through: Option<Slot>) {
        let [rows, columns] = self.out();
        let (parts, part) = self.parts(self.pixels(), PIXELS);
        let optional = |slot: Option<Slot>| slot.map_or(Arg::Absent, Arg::Array);
        let [first_place, places] = self.views.places_of_frames();
        let names = match (self.affine, self.winners_len().is_some(), self.views.in_order()) {
            (false, false, true) => kernels!("react_norm_gradient"),
            (false, false, false) => kernels!("react_norm_gradient_of_many"),
            (false, true, true) => kernels!("react_norm_pool_gradient"),
            (false, true, false) => kernels!("react_norm_pool_gradient_of_many"),
            (true, false, _) => kernels!("react_affine_gradient"),
            (true, true, _) => kernels!("react_affine_pool_gradient"),
        };
        let arrays = vec![
            Arg::Array(of.y),
            Arg::Array(of.statistics),
            Arg::Array(means),
            if of.residual && self.affine { Arg::Array(of.result) } else { Arg::Absent },
            Arg::Array(of.grad),
            optional(of.winners),
            Arg::Array(dy),
            optional(through),
            first_place,
            places,
            self.views.view_of(),
        ];
        let sizes =
            [self.views.each().0, self.pixels(), self.vectors(), part, self.relu(), self.size[1], rows, columns, self.pool_padding()];
        self.launch(plan, names, self.views.frames, parts, [arrays, numbers(&sizes)].concat());
    }
}

/// γ and β in an array: at `row`·channel + `offset`, one after the other.
pub(crate) type Packed = (Slot, usize, usize);

/// What else the statistics take and give.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct With {
    /// Mean and squares f64 `[2, channels]` of so many frames before.
    pub(crate) earlier: Option<(Slot, usize)>,
    /// Gets mean and squares of one view and what was before.
    pub(crate) merged: Option<Slot>,
    pub(crate) affine: Option<Packed>,
    /// Get mean and variance of one view.
    pub(crate) observed: Option<[Slot; 2]>,
}

/// Σ over the rows of grad `[rows, channels]` into f32 `[channels]`: a bias' gradient.
pub(crate) fn column_sums(plan: &mut Plan, element: Type, rows: usize, channels: usize, grad: Slot, out: Slot) {
    // Rows as frames of so many pixels: as many as divide them, or all in one.
    let norm = Norm { element, size: [1, rows], channels, affine: false, follow: Follow::Nothing, views: Views::one(1) };
    let (parts, part) = norm.parts(rows, PIXELS_OF_A_SUM);
    let sums = plan.scratch(Type::F64, parts * 2 * channels);
    let none = || Arg::Absent;
    let arrays = vec![none(), none(), none(), Arg::Array(grad), none(), Arg::Array(sums), none(), none()];
    let sizes = numbers(&[1, rows, norm.vectors(), part, 0, 0, 0, 0, 0]);
    norm.launch(plan, kernels!("react_norm_sums"), 1, parts, [arrays, sizes].concat());
    let arrays = vec![Arg::Array(sums), none(), none(), none(), Arg::Array(out)];
    let grid = [1, channels.div_ceil(8) as u32, 1];
    plan.blocks("react_gradient_means", grid, BLOCK as u32, 0, [arrays, numbers(&[1, parts, rows, channels, 0, 0, 0])].concat());
}
