//! The clips of a report: their videos, and their listeners in 3D.

use crate::Run;
use crate::config::Config;
use crate::evaluate::Evaluation;
use crate::render::{Likeness, Scene, Stage};
use anyhow::Result;
use ndarray::s;
use react_data::Role;
use react_face::Avatar;
use react_viz::plots::{ChannelTraces, channels};
use react_viz::strip::{Strip, evenly, write_strip};
use react_viz::video::{Film, Panel, Panels, write_panels};
use react_viz::{Animation, Example, Picture, Video};

/// Width and height of a face in the videos, in pixels.
const PANEL_SIDE: usize = 192;
/// Samples drawn as faces and as lines.
const SHOWN_SAMPLES: usize = 2;
/// Clips beside the examples whose listeners are in the page in 3D: each weighs some hundred kilobytes.
const MORE_IN_3D: usize = 12;
/// Bytes of all animations in the page: FaceVerse's have up to 20 MB each, and the page must stay light.
const BYTES_IN_3D: usize = 16 << 20;

/// What example clips are drawn from: the data, the network, and faces for the listeners.
pub(super) struct Drawer<'a> {
    config: &'a Config,
    run: &'a Run,
    stage: Stage,
    likeness: Likeness,
    people: Vec<Avatar>,
    /// Bytes of the animations so far.
    in_3d: usize,
}

impl<'a> Drawer<'a> {
    pub(super) fn open(config: &'a Config, run: &'a Run, evaluation: &Evaluation, likeness: Likeness) -> Result<Self> {
        let stage = Stage::open(config, run, Some(&evaluation.split))?;
        let people = likeness.people(config.seed, SHOWN_SAMPLES);
        Ok(Self { config, run, stage, likeness, people, in_3d: 0 })
    }

    /// All samples are generated, so that those which are shown are those which were scored.
    fn scene(&self, item: usize) -> Result<Scene> {
        self.stage.scene(item, self.config.evaluate.samples, PANEL_SIDE)
    }

    /// The `place`-th clip to draw: its video, and its listeners in 3D. With a caption it stands among the examples, with its attributes
    /// over time and, where there is a painter, a painted sample; the others open from the table of clips, with two listeners.
    pub(super) fn example(&mut self, place: usize, item: usize, caption: Option<&str>) -> Result<Example> {
        let scene = self.scene(item)?;
        let labels = scene.labels(SHOWN_SAMPLES);
        let path = self.run.file(&format!("clips/{}.mp4", scene.name.replace('/', "-")));
        let listeners = scene.listeners(&labels, &self.people);
        let film = scene.speaker.as_ref().map(|frames| Panel::Film(Film { label: "Speaker", frames: frames.view() }));
        let painted = match scene.coeffs.outer_iter().next() {
            Some(first) if caption.is_some() => self.likeness.paint(first)?,
            _ => None,
        };
        let photograph = painted.as_ref().map(|frames| Panel::Film(Film { label: "Sample 1, PIRender", frames: frames.view() }));
        let panels: Vec<_> = film.into_iter().chain(listeners.iter().copied().map(Panel::Face)).chain(photograph).collect();
        let facts = write_panels(&path, &Panels { panels: &panels, fps: scene.fps, side: PANEL_SIDE, sound: scene.sound.as_ref() })?;
        let in_3d = match caption {
            Some(_) => listeners.len(),
            None if place < 3 + MORE_IN_3D => 2,
            None => 0,
        };
        let (mut animations, mut bytes) = (Vec::new(), 0);
        for listener in listeners.iter().take(in_3d) {
            let glb = listener.avatar.glb(listener.coeffs, scene.fps)?;
            if self.in_3d + bytes + glb.len() > BYTES_IN_3D {
                break;
            }
            bytes += glb.len();
            animations.push(Animation { label: listener.label.to_owned(), glb });
        }
        let figures = if caption.is_some() { vec![self.attributes(item, &scene)?] } else { Vec::new() };
        self.in_3d += bytes;
        Ok(Example {
            caption: caption.unwrap_or_default().to_owned(),
            featured: caption.is_some(),
            video: Some(Video::read(&path, facts.width, facts.height)?),
            animations,
            figures,
            name: scene.name,
            ..Example::default()
        })
    }

    /// What has to be said of the pictures.
    pub(super) fn notes(&self) -> Vec<String> {
        let face = format!("Listeners are rendered with the 3DMM ({}), the corpus' mean face added back.", self.likeness.face_name());
        std::iter::once(face).chain(self.likeness.note().map(str::to_owned)).collect()
    }

    fn attributes(&self, item: usize, scene: &Scene) -> Result<react_viz::Figure> {
        let frames = scene.coeffs.dim().1;
        let of = |role| Ok::<_, anyhow::Error>(self.stage.split().clip(item, role)?.emotion()?.slice_move(s![..frames, ..]));
        let traces = ChannelTraces {
            fps: scene.fps,
            speaker: Some(of(Role::Speaker)?),
            truth: Some(of(Role::Listener)?),
            samples: scene.emotion.as_ref().map(|emotion| emotion.view()),
            lines: 3,
        };
        Ok(channels("The 25 attributes over time", &traces)?)
    }

    /// The first clip as a filmstrip.
    pub(super) fn picture(&self) -> Result<Picture> {
        let scene = self.scene(0)?;
        let labels = scene.labels(SHOWN_SAMPLES);
        let listeners = scene.listeners(&labels, &self.people);
        let frames = evenly(scene.coeffs.dim().1, 8);
        let path = self.run.file("filmstrip.png");
        let speaker = scene.speaker.as_ref().map(|frames| frames.view());
        write_strip(&path, &Strip { speaker, listeners: &listeners, fps: scene.fps, frames: &frames, side: 112 })?;
        let caption =
            format!("{}: the speaker, the true listener rendered from the recorded coefficients, and generated listeners.", scene.name);
        Ok(Picture::read(&path, "Rows: speaker, true listener, generated samples. Columns: moments of the clip.", &caption)?)
    }
}
