//! The Trans-VAE of the reference vectors, on any device.

use super::{distance, distance_of_gradients, fixture};
use candle_core::{Device, Tensor};
use react_contracts::{AudioFeatures, Coeffs3dmm, Emotion, Frames};
use react_model::loss::{Loss, LossWeights, loss};
use react_model::optim::{AdamW, AdamWConfig, Gradients, Recording};
use react_model::transvae::{Config, Noise, Reaction, Tail, TransVae, Windows};
use react_model::weights::{self, Tensors};
use react_model::{Mode, Params};
use std::collections::HashMap;

pub(crate) struct Case {
    name: String,
    pub(crate) io: HashMap<String, Tensor>,
    pub(crate) params: Params,
    pub(crate) model: TransVae,
    pub(crate) frames: Frames<Tensor>,
    pub(crate) audio: AudioFeatures<Tensor>,
}

impl Case {
    pub(crate) fn offline(device: &Device) -> Self {
        Self::of("transvae_offline", Config::of_width, device)
    }

    /// `name` is transvae_online or transvae_online_tail.
    pub(crate) fn online(name: &str, tail: Tail, device: &Device) -> Self {
        Self::of(name, |width| Config::online(width, Windows { frames: 8, tail }), device)
    }

    fn of(name: &str, config: impl Fn(usize) -> Config, device: &Device) -> Self {
        let io = candle_core::safetensors::load(fixture("transvae", &format!("{name}.io.safetensors")), device).unwrap();
        let tensors = Tensors::read(&fixture("transvae", &format!("{name}.weights.safetensors"))).unwrap();
        let params = Params::on(0, device);
        let model = TransVae::new(config(tensors.transvae_width().unwrap()), &params.root()).unwrap();
        weights::load(&tensors, &params).unwrap();
        let frames = Frames::new(io["speaker_video_u8"].permute((0, 1, 3, 4, 2)).unwrap().contiguous().unwrap()).unwrap();
        let audio = AudioFeatures::new(io["speaker_audio"].clone()).unwrap();
        Self { name: name.to_owned(), io, params, model, frames, audio }
    }

    pub(crate) fn noise(&self, name: &str) -> Noise {
        Noise::Given(self.io[name].clone())
    }

    pub(crate) fn react(&self, noise: &Noise, mode: &Mode) -> Reaction {
        self.model.react(&self.model.encode(&self.frames, &self.audio, mode).unwrap(), noise, mode).unwrap()
    }

    /// The largest distance of an output from the published program's.
    pub(crate) fn check_outputs(&self, mode: &Mode, tolerance: f64) -> f64 {
        let video = self.model.encoder().video_feature(&self.frames, mode).unwrap();
        let (drawn, mean) = (self.react(&self.noise("eps"), mode), self.react(&Noise::Mean, mode));
        let latents = |part: fn(&react_model::transvae::Latent) -> &Tensor| {
            Tensor::stack(&drawn.latents.iter().map(part).collect::<Vec<_>>(), 0).unwrap()
        };
        let found = [
            ("video_feature", &video),
            ("mu", &latents(|latent| &latent.mu)),
            ("std", &latents(|latent| &latent.std)),
            ("out_3dmm", drawn.coeffs.get()),
            ("out_emotion", drawn.emotion.get()),
            ("out_3dmm_mean", mean.coeffs.get()),
            ("out_emotion_mean", mean.emotion.get()),
        ];
        let mut worst: f64 = 0.0;
        for (name, found) in found {
            let distance = distance(found, &self.io[name]);
            assert!(distance < tolerance, "{} {name}: {distance}", self.name);
            worst = worst.max(distance);
        }
        worst
    }

    /// The training loss with the vectors' draws and every dropout 0.
    pub(crate) fn loss(&self, mode: &Mode) -> Loss {
        let behaviour = self.model.encode(&self.frames, &self.audio, mode).unwrap();
        let first = self.model.react(&behaviour, &self.noise("eps"), mode).unwrap();
        let second = self.model.react(&behaviour.detach(), &self.noise("eps_no_grad_pass"), &mode.without_gradient()).unwrap();
        let emotion = Emotion::new(self.io["listener_emotion"].clone()).unwrap();
        let coeffs = Coeffs3dmm::new(self.io["listener_3dmm"].clone()).unwrap();
        loss(&first, &second, &emotion, &coeffs, &LossWeights { kl: 2e-4, diversity: 10.0 }).unwrap()
    }

    /// The gradients of a step, from a recording or by Candle's graph alone.
    pub(crate) fn gradients(&self, mode: &Mode, recorded: bool) -> Gradients {
        let recording = recorded.then(Recording::begin);
        Gradients::of(&self.params, &self.loss(mode).total, recording).unwrap()
    }

    /// The largest distance of a gradient from the published program's, and whose it is; `without` has none.
    pub(crate) fn distance_of_gradients(&self, mode: &Mode, without: Option<&str>, absolute: f64) -> (f64, String) {
        let gradients = self.gradients(mode, true);
        let file = fixture("transvae", &format!("{}.grads.safetensors", self.name));
        distance_of_gradients(&self.params, &gradients, file, without, absolute)
    }

    /// Four steps of training whose losses follow the published program's; the largest relative distance.
    pub(crate) fn check_steps(&self, mode: &Mode, tolerance: f64) -> f64 {
        let text = std::fs::read_to_string(fixture("transvae", &format!("{}.trajectory.json", self.name))).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut adam = AdamW::new(AdamWConfig { learning_rate: 1e-3, ..AdamWConfig::default() });
        let mut worst: f64 = 0.0;
        for (step, want) in json["losses"].as_array().unwrap().iter().enumerate() {
            let recording = Recording::begin();
            let loss = self.loss(mode);
            let found = loss.values().unwrap();
            for (i, found) in [found.total, found.reconstruction, found.kl, found.diversity].into_iter().enumerate() {
                let want = want[i].as_f64().unwrap();
                let distance = (f64::from(found) - want).abs() / want;
                assert!(distance < tolerance, "{} step {step}, column {i}: {found}, {want}", self.name);
                worst = worst.max(distance);
            }
            let mut gradients = Gradients::of(&self.params, &loss.total, Some(recording)).unwrap();
            let said = adam.step_late(&self.params, &mut gradients, |_| 1e-3, None).unwrap();
            AdamW::norm_of(&self.params, &said.to_vec1().unwrap()).unwrap();
        }
        worst
    }
}
