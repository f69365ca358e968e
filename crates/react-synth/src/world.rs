//! Everybody and everything of a corpus, before a file is written: who meets whom, by which script, and what each does.

use crate::actor::Actor;
use crate::affect::Role;
use crate::perform::{Performance, perform};
use crate::script::{Scripts, own_kind};
use crate::speech::Utterance;
use crate::timeline::{Event, Style, answer, speak};
use crate::{Kind, SynthConfig, SynthError};
use ndarray::{Array2, Array3, Array4, Axis};
use rayon::prelude::*;
use react_contracts::{ATTRIBUTES, COEFFS};
use react_random::Draws;

/// The corpus's one site.
pub(crate) const SITE: &str = "Synth";
/// Clips of one meeting of two persons.
const CLIPS_PER_CHAT: usize = 2;

/// One of the two splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// To train on.
    Train,
    /// To validate on: other persons.
    Val,
}

impl Split {
    /// Both, in the order of `data_indices.csv`.
    pub const ALL: [Self; 2] = [Self::Train, Self::Val];

    /// The folder's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
        }
    }

    /// The split of a name.
    ///
    /// # Errors
    /// [`SynthError::Split`] for another name than train and val.
    pub fn named(name: &str) -> Result<Self, SynthError> {
        Self::ALL.into_iter().find(|split| split.name() == name).ok_or_else(|| SynthError::Split { name: name.to_owned() })
    }
}

/// A pair of clips: who speaks, who listens, by which script.
#[derive(Clone, Debug, PartialEq)]
pub struct Dyad {
    /// Its split.
    pub split: Split,
    /// Its number in the corpus, training pairs first.
    pub number: usize,
    /// The script that both live through.
    pub script: usize,
    /// How the listener answers.
    pub style: Style,
    /// What the speaker does.
    pub spoken: Vec<Event>,
    /// What the listener answers.
    pub answered: Vec<Event>,
    chat: usize,
    clip: usize,
}

impl Dyad {
    /// The chat's folder.
    #[must_use]
    pub fn chat(&self) -> String {
        format!("chat-{:04}", self.chat + 1)
    }

    /// The clip's number within the chat, from 1.
    #[must_use]
    pub fn clip(&self) -> usize {
        self.clip + 1
    }

    /// `SITE/CHAT/PERSON/CLIP` of the speaker's and of the listener's clip, as the split's csv names them.
    #[must_use]
    pub fn paths(&self) -> [String; 2] {
        self.persons().map(|person| format!("{SITE}/{}/P{:04}/{}", self.chat(), person + 1, self.clip()))
    }

    /// Numbers of the speaker and of the listener among all persons.
    #[must_use]
    pub fn persons(&self) -> [usize; 2] {
        [2 * self.chat, 2 * self.chat + 1]
    }
}

/// A corpus's plan. Everything in it, and every draw from it, follows from the configuration alone.
#[derive(Clone, Debug)]
pub struct World {
    config: SynthConfig,
    scripts: Scripts,
    dyads: Vec<Dyad>,
}

/// Fresh draws of appropriate reactions, for evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct OracleReactions {
    /// `[2n, k, t, 25]`: the n pairs of the split in their order, then the same with roles mirrored.
    pub attributes: Array4<f32>,
    /// `[2n, k, t, 58]`, the mean face not subtracted.
    pub coeffs: Array4<f32>,
}

/// One clip as it will be written, but for the pictures.
pub(crate) struct Take {
    pub(crate) actor: Actor,
    pub(crate) utterance: Utterance,
    pub(crate) performance: Performance,
}

impl World {
    /// Plans a corpus.
    ///
    /// # Errors
    /// [`SynthError::Config`] where a field has no sense.
    pub fn new(config: &SynthConfig) -> Result<Self, SynthError> {
        config.check()?;
        let scripts = Scripts::new(config)?;
        let mut dyads = Vec::new();
        let mut first_chat = 0;
        for (split, pairs) in [(Split::Train, config.pairs_train), (Split::Val, config.pairs_val)] {
            // Scripts as evenly as can be, in an order of their own.
            let mut deal: Vec<usize> = (0..pairs).map(|i| i % config.scripts).collect();
            Draws::new(config.seed, "synth.deal", split as u32, 0).shuffle(&mut deal);
            for (i, script) in deal.into_iter().enumerate() {
                let number = dyads.len();
                let mut draws = Draws::new(config.seed, "synth.dyad", number as u32, 0);
                let style = Style::ALL[draws.below(Style::ALL.len())];
                let spoken = speak(&scripts, script, &mut draws);
                let answered = answer(&scripts, &spoken, style, &mut draws);
                let (chat, clip) = (first_chat + i / CLIPS_PER_CHAT, i % CLIPS_PER_CHAT);
                dyads.push(Dyad { split, number, script, style, spoken, answered, chat, clip });
            }
            first_chat += pairs.div_ceil(CLIPS_PER_CHAT);
        }
        Ok(Self { config: config.clone(), scripts, dyads })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &SynthConfig {
        &self.config
    }

    /// All pairs, in the order of `data_indices.csv`: training pairs, then those to validate on.
    #[must_use]
    pub fn dyads(&self) -> &[Dyad] {
        &self.dyads
    }

    /// The pairs of one split, in the order of its csv.
    pub fn split(&self, split: Split) -> impl Iterator<Item = &Dyad> {
        self.dyads.iter().filter(move |dyad| dyad.split == split)
    }

    /// The kind that each script has most.
    #[must_use]
    pub fn kinds(&self) -> Vec<Kind> {
        let voices = self.config.levels().map_or(1, |(_, voices)| voices);
        (0..self.config.scripts).map(|script| own_kind(script, voices)).collect()
    }

    /// The kinds of a script's events in order.
    #[must_use]
    pub fn sequence(&self, script: usize) -> Vec<Kind> {
        self.scripts.slots.get(script).map_or_else(Vec::new, |slots| slots.iter().map(|slot| slot.kind).collect())
    }

    /// Whether listener `j`'s reaction is appropriate for speaker `i`, `[2M, 2M]` over [`World::dyads`]: in the first
    /// quadrant the listeners, in the last the same pairs with roles mirrored, where the speaker is who reacts.
    ///
    /// 1 where both are of one split and one script, and in the same role; 0 elsewhere.
    #[must_use]
    pub fn appropriate(&self) -> Array2<f64> {
        let m = self.dyads.len();
        Array2::from_shape_fn((2 * m, 2 * m), |(i, j)| {
            let (a, b) = (&self.dyads[i % m], &self.dyads[j % m]);
            let same = i / m == j / m && a.split == b.split && a.script == b.script;
            f64::from(u8::from(same))
        })
    }

    /// The attributes of a clip, `[t, 25]`: of the speaker (0) or the listener (1) of a pair.
    #[must_use]
    pub fn attributes(&self, dyad: &Dyad, who: usize) -> Array2<f32> {
        self.take(dyad, role(who)).performance.attributes
    }

    /// The 3DMM coefficients of a clip, `[t, 58]`.
    #[must_use]
    pub fn coeffs(&self, dyad: &Dyad, who: usize) -> Array2<f32> {
        self.take(dyad, role(who)).performance.coeffs
    }

    /// The sound of a clip at 44.1 kHz.
    #[must_use]
    pub fn sound(&self, dyad: &Dyad, who: usize) -> Vec<f32> {
        let take = self.take(dyad, role(who));
        let mut draws = Draws::new(self.config.seed, "synth.sound", dyad.number as u32, who as u32);
        take.utterance.sound(self.config.frames, &mut draws)
    }

    pub(crate) fn take(&self, dyad: &Dyad, role: Role) -> Take {
        let (who, events, nod) = match role {
            Role::Speaker => (0, &dyad.spoken, 0.0),
            Role::Listener => (1, &dyad.answered, dyad.style.traits().nod),
        };
        let actor = Actor::draw(&mut Draws::new(self.config.seed, "synth.actor", dyad.persons()[who] as u32, 0));
        let mut draws = Draws::new(self.config.seed, "synth.take", dyad.number as u32, who as u32);
        let utterance = Utterance::new(role, actor.voice, events, self.config.frames, &mut draws);
        let performance = perform(role, &actor, events, nod, &utterance, self.config.frames, &mut draws);
        Take { actor, utterance, performance }
    }

    /// `k` fresh reactions for every item of a split: new persons, styles, jitters and noise, the script of the item's
    /// speaker. What the best model could draw; the reactions on disk are not among them.
    ///
    /// Mirrored items, where a pair's listener is the one who is heard, get fresh speakers of the same script.
    #[must_use]
    pub fn oracle(&self, split: Split, k: usize) -> OracleReactions {
        let dyads: Vec<&Dyad> = self.split(split).collect();
        let (n, t) = (dyads.len(), self.config.frames);
        let mut attributes = Array4::zeros((2 * n, k, t, ATTRIBUTES));
        let mut coeffs = Array4::zeros((2 * n, k, t, COEFFS));
        let items = attributes.axis_iter_mut(Axis(0)).into_par_iter().zip(coeffs.axis_iter_mut(Axis(0)));
        items.enumerate().for_each(|(item, (mut attributes, mut coeffs))| {
            for sample in 0..k {
                let who = usize::from(item < n);
                let stream = 2 * dyads[item % n].number + who;
                let drawn = self.fresh(dyads[item % n].script, role(who), stream as u32, sample as u32);
                attributes.index_axis_mut(Axis(0), sample).assign(&drawn.attributes);
                coeffs.index_axis_mut(Axis(0), sample).assign(&drawn.coeffs);
            }
        });
        OracleReactions { attributes, coeffs }
    }

    fn fresh(&self, script: usize, role: Role, stream: u32, sample: u32) -> Performance {
        let draws = &mut Draws::new(self.config.seed, "synth.oracle", stream, sample);
        let actor = Actor::draw(draws);
        let spoken = speak(&self.scripts, script, draws);
        let (events, nod) = match role {
            Role::Speaker => (spoken, 0.0),
            Role::Listener => {
                let style = Style::ALL[draws.below(Style::ALL.len())];
                (answer(&self.scripts, &spoken, style, draws), style.traits().nod)
            }
        };
        let utterance = Utterance::new(role, actor.voice, &events, self.config.frames, draws);
        perform(role, &actor, &events, nod, &utterance, self.config.frames, draws)
    }

    /// The mean of all training clips' coefficients over clips and frames, `[58]`.
    #[must_use]
    pub fn mean_face(&self) -> Vec<f32> {
        let clips: Vec<(&Dyad, usize)> = self.split(Split::Train).flat_map(|dyad| [(dyad, 0), (dyad, 1)]).collect();
        let sums: Vec<_> = clips.par_iter().map(|(dyad, who)| self.coeffs(dyad, *who).mapv(f64::from).sum_axis(Axis(0))).collect();
        let frames = (clips.len() * self.config.frames) as f64;
        let total = sums.iter().fold(ndarray::Array1::<f64>::zeros(COEFFS), |total, sum| total + sum);
        total.iter().map(|x| (x / frames) as f32).collect()
    }

    /// The attributes of a split, `[2n, t, 25]` twice: of who reacts and of who is heard, in the order of [`World::oracle`].
    #[must_use]
    pub fn real(&self, split: Split) -> [Array3<f32>; 2] {
        let dyads: Vec<&Dyad> = self.split(split).collect();
        let n = dyads.len();
        [1usize, 0].map(|first| {
            let mut out = Array3::zeros((2 * n, self.config.frames, ATTRIBUTES));
            out.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(item, mut row)| {
                let who = if item < n { first } else { 1 - first };
                row.assign(&self.attributes(dyads[item % n], who));
            });
            out
        })
    }
}

fn role(who: usize) -> Role {
    if who == 0 { Role::Speaker } else { Role::Listener }
}
