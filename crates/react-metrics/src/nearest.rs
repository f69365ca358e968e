//! The exactly nearest listener of each prediction, with as few warps as can be proved enough.
//!
//! A pair's distance is a sum of three parts (see [`reaction_distance`](crate::reaction_distance)). Each part gets an interval
//! that certainly holds it: first from a cheap bound, then from a warp in f32 lanes. The valence–arousal part is the cheapest
//! and weighs most, so it is warped first, for all pairs; a pair whose lower bounds sum to more than some other pair's upper
//! bounds is done with. The few that remain are warped in f64, and the least of those is the answer: the same bits as an
//! exhaustive search in f64.

use crate::bounds::{Envelope, floors};
use crate::dtw::{Part, straight};
use crate::input::Series;
use crate::simd::InstructionSet;
use crate::warp::{Form, Lane, Precision, Scratch, gamma};
use rayon::prelude::*;

/// A prediction and those listeners (ascending) of which the nearest is wanted.
pub(crate) struct Query<'a> {
    pub(crate) series: Series<'a>,
    pub(crate) candidates: &'a [u32],
}

/// The nearest real reaction to a prediction.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Nearest {
    /// Index of its clip; of equally near ones the first.
    pub listener: u32,
    /// Its distance, see [`reaction_distance`](crate::reaction_distance).
    pub distance: f64,
}

/// How much of an exhaustive search was spared.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Pruning {
    /// Pairs of a prediction and an appropriate listener.
    pub pairs: u64,
    /// Pairs decided by bounds, before all three of their warps were complete.
    pub pruned: u64,
    /// Pairs warped in f64, because they were or could have been the nearest.
    pub exact: u64,
    /// Terms (b − a)² of an exhaustive search: 25 · T² a pair.
    pub terms: u64,
    /// Terms computed, in f32 or, where a clip has one appropriate reaction only, in f64.
    pub computed: u64,
}

impl Pruning {
    /// Share of the pairs that were pruned.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.pruned as f64 / self.pairs.max(1) as f64
    }

    /// Share of the terms that were not computed.
    #[must_use]
    pub fn spared(&self) -> f64 {
        1.0 - self.computed as f64 / self.terms.max(1) as f64
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.pairs += other.pairs;
        self.pruned += other.pruned;
        self.exact += other.exact;
        self.terms += other.terms;
        self.computed += other.computed;
    }
}

/// All listeners, ready to be searched.
pub(crate) struct Listeners<'a> {
    pub(crate) set: InstructionSet,
    series: Vec<Series<'a>>,
    envelopes: Vec<Envelope>,
}

/// Intervals of the parts of one pair, in the order of [`Part::ALL`].
struct Pair {
    query: usize,
    listener: u32,
    frames: usize,
    /// Parts warped so far.
    done: usize,
    low: [f64; 3],
    high: [f64; 3],
}

impl Pair {
    fn low(&self) -> f64 {
        self.low.iter().sum::<f64>() * (1.0 - SLACK)
    }

    fn high(&self) -> f64 {
        self.high.iter().sum::<f64>() * (1.0 + SLACK)
    }
}

/// The pairs of some queries, on their way.
struct Search<'a> {
    listeners: &'a Listeners<'a>,
    queries: &'a [Query<'a>],
    pairs: Vec<Pair>,
    /// Per query, the least upper bound of a distance so far.
    limit: Vec<f64>,
    /// Per query, see [`Envelope::squares`].
    squares: Vec<[f64; 3]>,
    work: Pruning,
}

impl<'a> Listeners<'a> {
    pub(crate) fn new(series: Vec<Series<'a>>, set: InstructionSet) -> Self {
        let envelopes = series.par_iter().map(|s| Envelope::new(*s)).collect();
        Self { set, series, envelopes }
    }

    /// The nearest candidate of each query. The result does not depend on the number of threads.
    pub(crate) fn nearest(&self, queries: &[Query<'_>]) -> (Vec<Nearest>, Pruning) {
        let mut search = Search::new(self, queries);
        if queries.iter().any(|q| q.candidates.len() > 1) {
            search.screen();
        }
        search.decide()
    }
}

/// Rounding errors of the interval arithmetic itself, in f64, are far below this.
const SLACK: f64 = 1e-12;
/// Squares below the f32 range lose less than this in a whole warp.
const TINY: f64 = 1e-36;
/// f32 sums this large may have overflowed.
const HUGE: f64 = 1e38;

/// The interval that holds a part's distance, from its D in f32, which is wrong by γ times itself and by `margin`.
fn interval(part: Part, squared: f64, frames: usize, margin: f64) -> (f64, f64) {
    let gamma = gamma(frames, part.channels().len());
    let root = |d: f64| d.max(0.0).sqrt() / part.divisor();
    let low = root((squared.min(HUGE) - margin) / (1.0 + gamma) - TINY) * (1.0 - SLACK);
    let high = if gamma < 1.0 && squared < HUGE { root((squared + margin + TINY) / (1.0 - gamma)) * (1.0 + SLACK) } else { f64::INFINITY };
    (low, high)
}

impl<'a> Search<'a> {
    fn new(listeners: &'a Listeners<'a>, queries: &'a [Query<'a>]) -> Self {
        let mut work = Pruning::default();
        let mut pairs = Vec::with_capacity(queries.iter().map(|q| q.candidates.len()).sum());
        for (query, q) in queries.iter().enumerate() {
            for &listener in q.candidates {
                let frames = q.series.frames().min(listeners.series[listener as usize].frames());
                work.pairs += 1;
                work.terms += (frames * frames * react_contracts::ATTRIBUTES) as u64;
                pairs.push(Pair { query, listener, frames, done: 0, low: [0.0; 3], high: [f64::INFINITY; 3] });
            }
        }
        Self { listeners, queries, pairs, limit: vec![f64::INFINITY; queries.len()], squares: Vec::new(), work }
    }

    fn alone(&self, pair: &Pair) -> bool {
        self.queries[pair.query].candidates.len() == 1
    }

    /// Pairs that may still be the nearest, with `done` parts warped.
    fn open(&self, done: usize) -> Vec<usize> {
        let open = |p: &usize| {
            let pair = &self.pairs[*p];
            pair.done == done && !self.alone(pair) && pair.low() <= self.limit[pair.query]
        };
        (0..self.pairs.len()).filter(open).collect()
    }

    /// Of the open pairs with `done` parts warped, the `most` most promising of each query.
    fn promising(&self, done: usize, most: usize) -> Vec<usize> {
        let mut open = self.open(done);
        let key = |p: usize| (self.pairs[p].query, self.pairs[p].low());
        open.sort_by(|x, y| key(*x).partial_cmp(&key(*y)).unwrap_or(std::cmp::Ordering::Equal));
        let same_query = open.chunk_by(|x, y| self.pairs[*x].query == self.pairs[*y].query);
        same_query.flat_map(|pairs| pairs.iter().take(most).copied()).collect()
    }

    /// Narrows the intervals until each pair is either proved not the nearest, or warped in all parts.
    fn screen(&mut self) {
        self.bound();
        self.warp(self.open(0));
        let seeds = self.promising(1, 1);
        self.warp(seeds.clone());
        self.warp(seeds);
        self.warp(self.open(1));
        let mut most = 1;
        loop {
            let next = self.promising(2, most);
            if next.is_empty() {
                break;
            }
            self.warp(next);
            most *= 2;
        }
    }

    /// Bounds that cost O(T) a pair.
    fn bound(&mut self) {
        let Self { listeners, queries, pairs, squares, .. } = self;
        let envelopes: Vec<Envelope> = queries.iter().map(|q| Envelope::new(q.series)).collect();
        *squares = envelopes.iter().map(|e| e.squares).collect();
        pairs.par_iter_mut().for_each(|pair| {
            let (query, listener) = (queries[pair.query].series.cut(pair.frames), pair.listener as usize);
            let real = listeners.series[listener].cut(pair.frames);
            let squared = floors(listeners.set, (query, &envelopes[pair.query]), (real, &listeners.envelopes[listener]));
            for ((low, squared), part) in pair.low.iter_mut().zip(squared).zip(Part::ALL) {
                *low = interval(part, squared, pair.frames, 0.0).0;
            }
        });
    }

    fn lane(&self, p: usize) -> Lane<'a> {
        let pair = &self.pairs[p];
        let (a, b) = (self.queries[pair.query].series, self.listeners.series[pair.listener as usize]);
        Lane { a, b, frames: pair.frames, enough: f64::INFINITY, form: Form::Differences }
    }

    /// The pair as a lane for f32, where D above `enough` proves that it is not the nearest, or cannot be (the straight path).
    fn screened(&self, p: usize, part: Part) -> Lane<'a> {
        let (pair, mut lane) = (&self.pairs[p], self.lane(p));
        let limit = self.limit[pair.query];
        let squared = if limit.is_finite() {
            let rest = limit - (pair.low() - pair.low[pair.done]);
            (rest.max(0.0) * part.divisor()).powi(2)
        } else {
            straight(&lane, part)
        };
        let squares = self.squares[pair.query][pair.done] + self.listeners.envelopes[pair.listener as usize].squares[pair.done];
        lane.form = Form::of(pair.frames, part.channels().len(), squares);
        lane.enough = squared * (1.0 + gamma(pair.frames, part.channels().len())) * (1.0 + 1e-9) + TINY;
        lane
    }

    /// Warps the next part of pairs that all have the same number of parts done, in f32.
    fn warp(&mut self, mut chosen: Vec<usize>) {
        let Some(index) = chosen.first().map(|p| self.pairs[*p].done) else { return };
        let part = Part::ALL[index];
        chosen.sort_by_key(|p| self.pairs[*p].frames);
        let lanes: Vec<Lane<'_>> = chosen.par_iter().map(|p| self.screened(*p, part)).collect();
        let warped = warp_all::<f32>(self.listeners.set, part, &lanes);
        for ((p, lane), (squared, cells)) in chosen.into_iter().zip(lanes).zip(warped) {
            let pair = &mut self.pairs[p];
            self.work.computed += (cells.min(pair.frames * pair.frames) * part.channels().len()) as u64;
            pair.done += 1;
            if squared.is_infinite() && lane.enough < HUGE {
                pair.low[index] = f64::INFINITY;
                continue;
            }
            let (low, high) = interval(part, squared, pair.frames, lane.form.margin());
            pair.low[index] = low.max(pair.low[index]);
            pair.high[index] = high;
            if pair.done == 3 {
                self.limit[pair.query] = self.limit[pair.query].min(pair.high());
            }
        }
    }

    /// Warps what is left in f64.
    fn decide(mut self) -> (Vec<Nearest>, Pruning) {
        let left: Vec<usize> = {
            let possible = |p: &usize| self.pairs[*p].low() <= self.limit[self.pairs[*p].query];
            let mut left: Vec<usize> = (0..self.pairs.len()).filter(possible).collect();
            left.sort_by_key(|p| self.pairs[*p].frames);
            left
        };
        let mut distances = vec![0.0; left.len()];
        for (index, part) in Part::ALL.into_iter().enumerate() {
            // D is at most the upper bound that screening proved, or the straight path's cost: all other cells may be skipped.
            let lane = |p: &usize| {
                let (high, mut lane) = (self.pairs[*p].high[index] * part.divisor(), self.lane(*p));
                lane.enough = if high.is_finite() { high * high } else { straight(&lane, part) } * (1.0 + 1e-9);
                lane
            };
            let lanes: Vec<Lane<'_>> = left.par_iter().map(lane).collect();
            let warped = warp_all::<f64>(self.listeners.set, part, &lanes);
            for ((p, sum), (squared, cells)) in left.iter().zip(&mut distances).zip(warped) {
                *sum += squared.sqrt() / part.divisor();
                if self.alone(&self.pairs[*p]) {
                    self.work.computed += (cells.min(self.pairs[*p].frames.pow(2)) * part.channels().len()) as u64;
                }
            }
        }
        let mut nearest = vec![Nearest { listener: u32::MAX, distance: f64::INFINITY }; self.queries.len()];
        for (p, distance) in left.iter().zip(distances) {
            let pair = &self.pairs[*p];
            let best = &mut nearest[pair.query];
            if (distance, pair.listener) < (best.distance, best.listener) {
                *best = Nearest { listener: pair.listener, distance };
            }
        }
        self.work.exact = left.len() as u64;
        let complete = |pair: &&Pair| self.alone(pair) || (pair.done == 3 && pair.low().is_finite());
        self.work.pruned = self.work.pairs - self.pairs.iter().filter(complete).count() as u64;
        (nearest, self.work)
    }
}

/// D and the number of cells computed for each lane, in order.
pub(crate) fn warp_all<R: Precision>(set: InstructionSet, part: Part, lanes: &[Lane<'_>]) -> Vec<(f64, usize)> {
    let vectors: Vec<_> = lanes
        .par_chunks(R::LANES)
        .map_init(Scratch::<R>::default, |scratch, lanes| (R::warp(set, part, lanes, scratch), lanes.len()))
        .collect();
    vectors.iter().flat_map(|(warped, n)| warped.squared[..*n].iter().map(|squared| (*squared, warped.cells))).collect()
}
