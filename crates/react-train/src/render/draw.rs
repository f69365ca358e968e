//! How a scene is drawn, and what is written of it.

use super::likeness::Likeness;
use super::scene::Scene;
use super::{flat, folder_of};
use crate::cli;
use anyhow::{Context, Result, ensure};
use ndarray::Array4;
use react_face::Avatar;
use react_viz::Listener;
use react_viz::video::{Film, Panel, Panels, write_frames, write_panels};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Side of the frames for FRRea, in pixels: that of the published renderings.
const FRAME_SIDE: usize = 224;
/// How everything is drawn.
#[derive(Debug)]
pub(crate) struct Drawing {
    side: usize,
    likeness: Likeness,
    glb: bool,
    frames: Option<PathBuf>,
    /// Whether those frames are the painter's.
    painted_frames: bool,
    #[cfg_attr(not(feature = "rerun"), expect(dead_code, reason = "only a program with Rerun writes recordings"))]
    rerun: Option<PathBuf>,
}

/// A painted listener.
#[derive(Debug)]
pub(crate) struct Painted {
    /// Its caption.
    pub(crate) label: String,
    /// u8 `[t, s, s, 3]`.
    pub(crate) frames: Array4<u8>,
}

/// Where a clip's files go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    /// The video.
    pub(crate) video: PathBuf,
    /// The clip's name in file names.
    stem: String,
}

impl Output {
    /// `out` is a file where it ends in .mp4, else a folder; without it the folder `otherwise`.
    pub(crate) fn new(out: Option<&Path>, otherwise: PathBuf, name: &str, several: bool) -> Result<Self> {
        let folder = match out {
            Some(file) if file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mp4")) => {
                ensure!(!several, "--all writes several videos: --out must be a folder, is {}", file.display());
                let stem = file.file_stem().context("a file without a name")?.to_string_lossy().into_owned();
                return Ok(Self { video: file.to_owned(), stem });
            }
            Some(folder) => folder.to_owned(),
            None => otherwise,
        };
        let stem = flat(name);
        Ok(Self { video: folder.join(format!("{stem}.mp4")), stem })
    }

    fn beside(&self, name: &str) -> PathBuf {
        folder_of(&self.video).join(name)
    }
}

impl Drawing {
    /// Reads models and weights.
    ///
    /// # Errors
    /// Where one cannot be read, or options do not fit each other.
    pub(crate) fn new(args: &cli::Render) -> Result<Self> {
        let likeness = Likeness::open(&args.likeness)?;
        let painted_frames = match args.frames_of {
            Some(cli::Pictures::Painted) => {
                ensure!(likeness.paints(), "--frames-of 2d needs --pirender and --reference");
                true
            }
            Some(cli::Pictures::Faces) => false,
            None => likeness.paints(),
        };
        ensure!(
            args.rerun.is_none() || cfg!(feature = "rerun"),
            "this program was built without Rerun: --rerun needs `cargo build --release -p react-train --features rerun`"
        );
        ensure!(args.rerun.is_none() || !args.all, "--rerun writes one clip's recording: not with --all");
        let (side, glb, frames, rerun) = (args.side, args.glb, args.frames.clone(), args.rerun.clone());
        Ok(Self { side, likeness, glb, frames, painted_frames, rerun })
    }

    /// Panels of `side` pixels with the embedded head, and a video alone.
    pub(crate) fn plain(side: usize) -> Self {
        Self { side, likeness: Likeness::default(), glb: false, frames: None, painted_frames: false, rerun: None }
    }

    /// Draws a scene with at most `samples` generated listeners; returns a line that says what is where.
    ///
    /// # Errors
    /// Where something cannot be drawn or written.
    pub(crate) fn draw(&self, scene: &Scene, samples: usize, output: &Output) -> Result<String> {
        let cast = self.cast(scene, samples);
        let painted = self.paint(scene, &cast)?;
        let panels = cast.panels(scene, &painted);
        std::fs::create_dir_all(folder_of(&output.video))
            .with_context(|| format!("cannot create the folder of {}", output.video.display()))?;
        let shown = Panels { panels: &panels, fps: scene.fps, side: self.side, sound: scene.sound.as_ref() };
        let facts = write_panels(&output.video, &shown)?;
        let mut files = Vec::new();
        if self.glb {
            files.extend(cast.animations(scene, output)?);
        }
        if let Some(folder) = &self.frames {
            files.push(self.frames(folder, scene, &cast, &painted)?);
        }
        #[cfg(feature = "rerun")]
        if let Some(path) = &self.rerun {
            super::recording::record(path, scene, &cast.listeners(scene))?;
            files.push(path.clone());
        }
        let mut notes = scene.notes.clone();
        notes.extend(self.likeness.note().map(str::to_owned));
        if scene.coeffs.dim().0 > cast.samples {
            notes.push(format!("{} of {} generated listeners are shown (--samples, at most 10).", cast.samples, scene.coeffs.dim().0));
        }
        let facts = json!({
            "clip": scene.name,
            "frames": facts.frames,
            "frames_per_second": scene.fps,
            "width": facts.width,
            "height": facts.height,
            "sound": scene.sound.is_some(),
            "panels": panels.iter().map(Panel::label).collect::<Vec<_>>(),
            "face": self.likeness.face_name(),
            "listener_picture": if self.likeness.paints() { "3DMM and PIRender" } else { "3DMM alone" },
            "files": files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>(),
            "notes": notes,
        });
        describe(output, facts)?;
        notes.iter().for_each(|note| tracing::info!("render     {note}"));
        let also = files.iter().map(|file| format!("\nrender     {}", file.display())).collect::<String>();
        Ok(format!("render     {}{also}", output.video.display()))
    }

    /// Who is shown.
    fn cast(&self, scene: &Scene, samples: usize) -> Cast {
        let samples = samples.min(scene.coeffs.dim().0);
        let labels = scene.labels(samples);
        // A sample is the same person with and without a true listener beside it.
        let avatars = self.likeness.people(scene.seed, samples).split_off(usize::from(scene.truth.is_none()));
        Cast { labels, avatars, samples }
    }

    /// The generated listeners as the painter shows them.
    fn paint(&self, scene: &Scene, cast: &Cast) -> Result<Vec<Painted>> {
        let mut painted = Vec::new();
        for (k, coeffs) in scene.coeffs.outer_iter().take(cast.samples).enumerate() {
            let frames = self.likeness.paint(coeffs)?;
            painted.extend(frames.map(|frames| Painted { label: format!("Sample {}, PIRender", k + 1), frames }));
        }
        Ok(painted)
    }

    /// Numbered frames of the generated listeners, as `score --frrea-generated` reads them; returns the clip's folder.
    fn frames(&self, folder: &Path, scene: &Scene, cast: &Cast, painted: &[Painted]) -> Result<PathBuf> {
        let clip = folder.join(flat(&scene.name));
        let faces = cast.faces(scene);
        let samples = &faces[faces.len() - cast.samples..];
        for k in 0..cast.samples {
            let panel = match self.painted_frames {
                true => painted[k].panel(),
                false => Panel::Face(samples[k]),
            };
            let folder = if cast.samples == 1 { clip.clone() } else { clip.join(format!("sample-{}", k + 1)) };
            write_frames(&folder, &panel, FRAME_SIDE)?;
        }
        Ok(clip)
    }
}

impl Painted {
    fn panel(&self) -> Panel<'_> {
        Panel::Film(Film { label: &self.label, frames: self.frames.view() })
    }
}

/// Who is shown: the true listener, where it is known, and then samples.
struct Cast {
    labels: Vec<String>,
    avatars: Vec<Avatar>,
    samples: usize,
}

impl Cast {
    fn faces<'a>(&'a self, scene: &'a Scene) -> Vec<Listener<'a>> {
        scene.listeners(&self.labels, &self.avatars)
    }

    fn panels<'a>(&'a self, scene: &'a Scene, painted: &'a [Painted]) -> Vec<Panel<'a>> {
        let speaker = scene.speaker.as_ref().map(|speaker| Panel::Film(Film { label: "Speaker", frames: speaker.view() }));
        let faces = self.faces(scene).into_iter().map(Panel::Face);
        speaker.into_iter().chain(faces).chain(painted.iter().map(Painted::panel)).collect()
    }

    /// Names, faces and coefficients.
    #[cfg(feature = "rerun")]
    fn listeners<'a>(&'a self, scene: &'a Scene) -> Vec<(&'a str, &'a Avatar, ndarray::ArrayView2<'a, f32>)> {
        self.faces(scene).into_iter().map(|face| (face.label, face.avatar, face.coeffs)).collect()
    }

    /// Writes everybody's animation; returns the files.
    fn animations(&self, scene: &Scene, output: &Output) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for face in self.faces(scene) {
            let name = face.label.to_lowercase().replace(' ', "-");
            let file = output.beside(&format!("{}-{name}.glb", output.stem));
            let bytes = face.avatar.glb(face.coeffs, scene.fps)?;
            react_store::write_atomic(&file, |out| out.write_all(&bytes))?;
            files.push(file);
        }
        Ok(files)
    }
}

/// Adds a video's facts to `render.json` beside it: an object with an entry a video.
fn describe(output: &Output, facts: Value) -> Result<()> {
    let path = output.beside("render.json");
    let mut all: BTreeMap<String, Value> = match std::fs::read_to_string(&path) {
        // What is no list of videos is written anew.
        Ok(text) => serde_json::from_str(&text).unwrap_or_default(),
        Err(_) => BTreeMap::new(),
    };
    let name = output.video.file_name().context("a video without a name")?.to_string_lossy().into_owned();
    all.insert(name, facts);
    let text = serde_json::to_string_pretty(&all)? + "\n";
    Ok(react_store::write_atomic(&path, |file| file.write_all(text.as_bytes()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_after_the_clip_or_as_asked() {
        let output = |out: Option<&str>, several| Output::new(out.map(Path::new), "run/render".into(), "Synth/a/1", several);
        assert_eq!(output(None, true).unwrap().video, Path::new("run/render/Synth-a-1.mp4"));
        assert_eq!(output(Some("x"), false).unwrap().video, Path::new("x/Synth-a-1.mp4"));
        assert_eq!(output(Some("x/y.MP4"), false).unwrap().beside("render.json"), Path::new("x/render.json"));
        assert!(output(Some("y.mp4"), true).unwrap_err().to_string().contains("must be a folder"));
    }
}
