//! The typed tensors. Letters of axes: b batch, t frames, h and w pixels, n clips, k samples.

use crate::error::Violation;
use crate::{ATTRIBUTES, COEFFS, ContractError, Element, MAX_AUDIO_FEATURES, Storage};

/// What an axis may be.
enum Size {
    Any,
    Exactly(usize),
    /// From 1 to this.
    UpTo(usize),
}

fn check<S: Storage>(
    field: &str,
    storage: &S,
    element: Element,
    axes: &'static [&'static str],
    sizes: &[Size],
) -> Result<(), ContractError> {
    let dims = storage.dims();
    if dims.len() != axes.len() {
        return Err(ContractError::new(field, Violation::Rank { axes, found: dims.to_vec() }));
    }
    for (axis, (size, found)) in sizes.iter().zip(dims).enumerate() {
        let want = match size {
            Size::Exactly(n) if found != n => n.to_string(),
            Size::UpTo(n) if *found == 0 || found > n => format!("1 to {n}"),
            _ => continue,
        };
        return Err(ContractError::axis(field, axis, axes[axis], want, *found));
    }
    let found = storage.element();
    if found != element {
        return Err(ContractError::new(field, Violation::Element { want: element, found }));
    }
    Ok(())
}

macro_rules! typed_tensor {
    ($(#[$doc:meta])* $name:ident, $field:literal, $element:ident, [$($axis:literal: $size:expr => $(#[$axis_doc:meta])* $getter:ident),+ $(,)?]) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name<S: Storage>(S);

        impl<S: Storage> $name<S> {
            /// Checks number and sizes of the axes and the type of the elements.
            ///
            /// # Errors
            /// [`ContractError`] with the first thing that does not hold.
            pub fn new(storage: S) -> Result<Self, ContractError> {
                use Size::{Any, Exactly, UpTo};
                // Every tensor uses some of the three.
                let _ = (Any, Exactly as fn(usize) -> Size, UpTo as fn(usize) -> Size);
                check($field, &storage, Element::$element, &[$($axis),+], &[$($size),+])?;
                Ok(Self(storage))
            }

            /// The storage.
            #[must_use]
            pub fn get(&self) -> &S {
                &self.0
            }

            /// The storage, by value.
            #[must_use]
            pub fn into_inner(self) -> S {
                self.0
            }

            typed_tensor!(@getters 0usize; $($(#[$axis_doc])* $getter,)+);
        }
    };
    (@getters $index:expr; $(#[$doc:meta])* $getter:ident, $($rest:tt)*) => {
        $(#[$doc])*
        #[must_use]
        pub fn $getter(&self) -> usize {
            self.0.dims()[$index]
        }
        typed_tensor!(@getters $index + 1usize; $($rest)*);
    };
    (@getters $index:expr;) => {};
}

typed_tensor!(
    /// Frames: u8 `[b, t, h, w, 3]`, RGB, the decoder's own layout from file to kernel.
    Frames, "frames", U8, [
        "batch": Any => /// Clips in the batch.
            batch,
        "frames": Any => /// Frames of each clip.
            frames,
        "height": Any => /// Height in pixels.
            height,
        "width": Any => /// Width in pixels.
            width,
        "channels": Exactly(3) => /// 3: red, green, blue.
            channels,
    ]
);

typed_tensor!(
    /// Audio features: f32 `[b, t, a]`. Their number a follows from the corpus: 39 for each MFCC window of a frame (78 at 25 frames/s,
    /// 39 at 30), or that of given features (768). [`AudioFeatures::of`] checks it where it is known.
    AudioFeatures, "audio_features", F32, [
        "batch": Any => /// Clips in the batch.
            batch,
        "frames": Any => /// Frames of each clip.
            frames,
        "features": UpTo(MAX_AUDIO_FEATURES) => /// Features per frame.
            features,
    ]
);

impl<S: Storage> AudioFeatures<S> {
    /// As [`AudioFeatures::new`], with the number of features that the corpus or the network has.
    ///
    /// ```
    /// use ndarray::Array3;
    /// use react_contracts::{AUDIO_FEATURES, AudioFeatures};
    ///
    /// let given = Array3::<f32>::zeros((1, 2, 39));
    /// let error = AudioFeatures::of(AUDIO_FEATURES, given).unwrap_err().to_string();
    /// assert_eq!(error, "audio_features: axis 2 (features) must be 78, is 39");
    /// ```
    ///
    /// # Errors
    /// [`ContractError`] with the first thing that does not hold.
    pub fn of(features: usize, storage: S) -> Result<Self, ContractError> {
        let this = Self::new(storage)?;
        match this.features() {
            found if found == features => Ok(this),
            found => Err(ContractError::axis("audio_features", 2, "features", features, found)),
        }
    }
}

typed_tensor!(
    /// Emotion attributes: f32 `[b, t, 25]`, in the order of [`crate::channels::EMOTION`].
    Emotion, "emotion", F32, [
        "batch": Any => /// Clips in the batch.
            batch,
        "frames": Any => /// Frames of each clip.
            frames,
        "attributes": Exactly(ATTRIBUTES) => /// 25.
            attributes,
    ]
);

typed_tensor!(
    /// 3DMM coefficients: f32 `[b, t, 58]`: 52 of expression, 3 of rotation (rad), 3 of translation.
    Coeffs3dmm, "coeffs_3dmm", F32, [
        "batch": Any => /// Clips in the batch.
            batch,
        "frames": Any => /// Frames of each clip.
            frames,
        "coefficients": Exactly(COEFFS) => /// 58.
            coefficients,
    ]
);

typed_tensor!(
    /// Generated reactions: f32 `[n, k, t, 25]`, k samples for each of n clips.
    Reactions, "reactions", F32, [
        "clips": Any => /// Clips.
            clips,
        "samples": Any => /// Samples of each clip.
            samples,
        "frames": Any => /// Frames of each sample.
            frames,
        "attributes": Exactly(ATTRIBUTES) => /// 25.
            attributes,
    ]
);

typed_tensor!(
    /// Generated 3DMM coefficients: f32 `[n, k, t, 58]`.
    ReactionCoeffs, "reaction_coeffs", F32, [
        "clips": Any => /// Clips.
            clips,
        "samples": Any => /// Samples of each clip.
            samples,
        "frames": Any => /// Frames of each sample.
            frames,
        "coefficients": Exactly(COEFFS) => /// 58.
            coefficients,
    ]
);

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, Array3, Array5};

    #[test]
    fn a_violation_names_field_axis_and_sizes() {
        let rank = Coeffs3dmm::new(Array2::<f32>::zeros((3, 58))).unwrap_err();
        assert_eq!(rank.to_string(), "coeffs_3dmm: must have 3 axes [batch, frames, coefficients], has 2 [3, 58]");
        let size = AudioFeatures::new(Array3::<f32>::zeros((1, 2, 0))).unwrap_err();
        assert_eq!(size.to_string(), "audio_features: axis 2 (features) must be 1 to 4096, is 0");
        let size = AudioFeatures::of(78, Array3::<f32>::zeros((1, 2, 40))).unwrap_err();
        assert_eq!(size.to_string(), "audio_features: axis 2 (features) must be 78, is 40");
        let element = Emotion::new(Array3::<f64>::zeros((1, 2, 25))).unwrap_err();
        assert_eq!(element.to_string(), "emotion: elements must be f32, are f64");
    }

    #[test]
    fn sizes_are_read_from_the_axes() {
        let frames = Frames::new(Array5::<u8>::zeros((2, 4, 6, 8, 3))).unwrap();
        assert_eq!((frames.batch(), frames.frames(), frames.height(), frames.width()), (2, 4, 6, 8));
        assert_eq!(AudioFeatures::new(Array3::<f32>::zeros((1, 2, 39))).unwrap().features(), 39);
    }

    #[cfg(feature = "candle")]
    #[test]
    fn candle_tensors_obey_the_same_contract() {
        use candle_core::{DType, Device, Tensor};
        let ok = Tensor::zeros((1, 4, 25), DType::F32, &Device::Cpu).unwrap();
        assert_eq!(Emotion::new(ok).unwrap().frames(), 4);
        let bytes = Tensor::zeros((1, 4, 25), DType::U8, &Device::Cpu).unwrap();
        assert_eq!(Emotion::new(bytes).unwrap_err().to_string(), "emotion: elements must be f32, are u8");
    }
}
