use crate::{AudioFeatures, Coeffs3dmm, ContractError, Emotion, Frames, Storage};

/// What one training step sees: the speaker's picture and sound, and what the listener did.
///
/// `F` stores frames, `V` values (they differ for ndarray, and are both `Tensor` for Candle).
#[derive(Clone, Debug)]
pub struct Batch<F: Storage, V: Storage> {
    speaker_video: Frames<F>,
    speaker_audio: AudioFeatures<V>,
    speaker_emotion: Emotion<V>,
    listener_emotion: Emotion<V>,
    listener_3dmm: Coeffs3dmm<V>,
}

impl<F: Storage, V: Storage> Batch<F, V> {
    /// Checks that all tensors have the same batch and frames.
    ///
    /// `listener_3dmm` is relative to the mean face, as the network's targets are.
    ///
    /// # Errors
    /// [`ContractError`] naming the first tensor that differs from `speaker_video`.
    pub fn new(
        speaker_video: Frames<F>,
        speaker_audio: AudioFeatures<V>,
        speaker_emotion: Emotion<V>,
        listener_emotion: Emotion<V>,
        listener_3dmm: Coeffs3dmm<V>,
    ) -> Result<Self, ContractError> {
        let want = (speaker_video.batch(), speaker_video.frames());
        let others = [
            ("speaker_audio", speaker_audio.batch(), speaker_audio.frames()),
            ("speaker_emotion", speaker_emotion.batch(), speaker_emotion.frames()),
            ("listener_emotion", listener_emotion.batch(), listener_emotion.frames()),
            ("listener_3dmm", listener_3dmm.batch(), listener_3dmm.frames()),
        ];
        for (field, batch, frames) in others {
            for (axis, name, want, found) in [(0, "batch", want.0, batch), (1, "frames", want.1, frames)] {
                if found != want {
                    return Err(ContractError::axis(field, axis, name, format_args!("{want} (as speaker_video)"), found));
                }
            }
        }
        Ok(Self { speaker_video, speaker_audio, speaker_emotion, listener_emotion, listener_3dmm })
    }

    /// The tensors by value: speaker's video, audio and attributes, listener's attributes and coefficients.
    #[expect(clippy::type_complexity, reason = "a name for this tuple would say less than its five types")]
    pub fn into_parts(self) -> (Frames<F>, AudioFeatures<V>, Emotion<V>, Emotion<V>, Coeffs3dmm<V>) {
        (self.speaker_video, self.speaker_audio, self.speaker_emotion, self.listener_emotion, self.listener_3dmm)
    }

    /// Speaker frames `[b, t, h, w, 3]`.
    pub fn speaker_video(&self) -> &Frames<F> {
        &self.speaker_video
    }

    /// Speaker audio features `[b, t, a]`.
    pub fn speaker_audio(&self) -> &AudioFeatures<V> {
        &self.speaker_audio
    }

    /// Speaker attributes `[b, t, 25]`: for metrics and baselines; the network does not see them.
    pub fn speaker_emotion(&self) -> &Emotion<V> {
        &self.speaker_emotion
    }

    /// Listener attributes `[b, t, 25]`.
    pub fn listener_emotion(&self) -> &Emotion<V> {
        &self.listener_emotion
    }

    /// Listener coefficients `[b, t, 58]`, mean face subtracted.
    pub fn listener_3dmm(&self) -> &Coeffs3dmm<V> {
        &self.listener_3dmm
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, Array5};

    #[test]
    fn axes_must_agree() {
        let emotion = |t| Emotion::new(Array3::<f32>::zeros((2, t, 25))).unwrap();
        let batch = |t| {
            Batch::new(
                Frames::new(Array5::<u8>::zeros((2, 4, 8, 8, 3))).unwrap(),
                AudioFeatures::new(Array3::<f32>::zeros((2, 4, 78))).unwrap(),
                emotion(4),
                emotion(t),
                Coeffs3dmm::new(Array3::<f32>::zeros((2, 4, 58))).unwrap(),
            )
        };
        assert_eq!(batch(4).unwrap().listener_3dmm().frames(), 4);
        let error = batch(5).unwrap_err().to_string();
        assert_eq!(error, "listener_emotion: axis 1 (frames) must be 4 (as speaker_video), is 5");
    }
}
