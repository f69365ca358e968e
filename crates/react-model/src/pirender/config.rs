//! Sizes of the nets, and the names and shapes of every tensor that they have.

use crate::weights::Tensors;
use crate::{ModelError, Result};
use react_contracts::COEFFS;
use std::collections::BTreeMap;

/// Width of the hidden layer in every AdaIN.
pub(super) const HIDDEN: usize = 128;
/// What the published program widens the coefficients to: the number that its mapping net was made for.
pub(super) const EXPANDED: usize = 73;
/// Frames before and after that a frame's descriptor sees.
pub(super) const RADIUS: usize = 13;
/// Frames of a window.
pub const WINDOW: usize = 2 * RADIUS + 1;
/// Residual convolutions of the mapping net.
pub(super) const MAPPING_LAYERS: usize = 3;

/// Most layers of a net, and blocks of a layer: a picture could not be halved more often.
const MOST_LAYERS: usize = 10;

/// Sizes of the warping net.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WarpingConfig {
    /// Channels of the first layer; layer i has `base`·2^i …
    pub base: usize,
    /// … but never more than this.
    pub max: usize,
    /// Blocks that halve the picture.
    pub encoder_layers: usize,
    /// Blocks that double it again; the flow has the resolution of the last.
    pub decoder_layers: usize,
}

/// Sizes of the editing net.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EditingConfig {
    /// Channels of the first layer; layer i has `base`·2^i …
    pub base: usize,
    /// … but never more than this.
    pub max: usize,
    /// Blocks that halve the picture, and as many that double it.
    pub layers: usize,
    /// Residual blocks of a decoding layer.
    pub blocks: usize,
}

/// Sizes of all three nets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PiRenderConfig {
    /// Width of the motion descriptor.
    pub descriptor: usize,
    /// The warping net.
    pub warping: WarpingConfig,
    /// The editing net.
    pub editing: EditingConfig,
}

impl PiRenderConfig {
    /// The published sizes.
    #[must_use]
    pub fn published() -> Self {
        Self {
            descriptor: 256,
            warping: WarpingConfig { base: 32, max: 256, encoder_layers: 5, decoder_layers: 3 },
            editing: EditingConfig { base: 64, max: 256, layers: 3, blocks: 2 },
        }
    }

    /// The sizes of the nets in a file, read from its tensors' shapes.
    ///
    /// # Errors
    /// [`ModelError::Missing`] with the tensor that would have told, [`ModelError::Config`] for sizes that no nets have.
    pub fn of(tensors: &Tensors) -> Result<Self> {
        let prefix = super::load::prefix(tensors);
        let dims = |name: &str| tensors.dims(&format!("{prefix}{name}"));
        // Channels out of a convolution.
        let width = |name: &str| match dims(&format!("{name}.weight")).as_deref() {
            Some([outputs, ..]) => Ok(*outputs),
            _ => Err(ModelError::Missing { file: tensors.file().to_owned(), name: format!("{name}.weight"), want: Vec::new() }),
        };
        let count = |name: &dyn Fn(usize) -> String| (0..MOST_LAYERS).filter(|i| dims(&format!("{}.weight", name(*i))).is_some()).count();
        let (hourglass, encoder) = ("warpping_net.hourglass", "editing_net.encoder");
        let down = |i: usize| format!("{hourglass}.encoder.encoder{i}.conv_0");
        let fine = |i: usize| format!("{encoder}.down{i}.model.0");
        let (halvings, layers) = (count(&down), count(&fine));
        let config = Self {
            descriptor: width("mapping_net.first.0")?,
            warping: WarpingConfig {
                base: width(&format!("{hourglass}.encoder.input_layer"))?,
                max: width(&down(halvings.saturating_sub(1)))?,
                encoder_layers: halvings,
                decoder_layers: count(&|i| format!("{hourglass}.decoder.decoder{i}.conv_0")),
            },
            editing: EditingConfig {
                base: width(&format!("{encoder}.first.model.0"))?,
                max: width(&fine(layers.saturating_sub(1)))?,
                layers,
                blocks: count(&|i| format!("editing_net.decoder.res0.res{i}.conv2")),
            },
        };
        config.check()?;
        Ok(config)
    }

    /// What the sides of a picture must be multiples of: every halving must come out even.
    #[must_use]
    pub fn multiple(&self) -> usize {
        1 << self.warping.encoder_layers.max(self.editing.layers).min(MOST_LAYERS)
    }

    /// Every tensor of the nets by name, with its shape, sorted: the names of the published program. Two of them are of no use: the
    /// first convolution and norm of the editing net's residual blocks (`conv1`, `norm1`), which the published program never runs.
    ///
    /// ```
    /// use react_model::pirender::PiRenderConfig;
    /// let tensors = PiRenderConfig::published().tensors();
    /// assert_eq!(tensors["mapping_net.pre.weight"], [73, 58, 1]);
    /// let numbers: usize = tensors.values().map(|shape| shape.iter().product::<usize>()).sum();
    /// assert_eq!((tensors.len(), numbers), (306, 22_523_416));
    /// ```
    #[must_use]
    pub fn tensors(&self) -> BTreeMap<String, Vec<usize>> {
        let mut list = List { tensors: BTreeMap::new(), descriptor: self.descriptor };
        list.mapping();
        list.warping(&self.warping);
        list.editing(&self.editing);
        list.tensors
    }

    /// That these are sizes that nets can have.
    pub(super) fn check(&self) -> Result<()> {
        let fault = |field, what: &str| Err(ModelError::Config { field, what: what.to_owned() });
        let (w, e) = (&self.warping, &self.editing);
        if self.descriptor == 0 || w.base == 0 || w.max == 0 || e.base == 0 || e.max == 0 {
            return fault("pirender", "a width is 0");
        }
        if [self.descriptor, w.base, w.max, e.base, e.max].iter().any(|n| *n > 1 << 14) {
            return fault("pirender", "a width is larger than 16384");
        }
        let layers = 1..=MOST_LAYERS;
        if !layers.contains(&w.encoder_layers) || !layers.contains(&e.layers) || e.blocks > MOST_LAYERS {
            return fault("pirender", "1 to 10 layers, at most 10 blocks");
        }
        if !(1..=w.encoder_layers).contains(&w.decoder_layers) {
            return fault("pirender.warping.decoder_layers", "must be 1 up to the layers of the encoder");
        }
        Ok(())
    }
}

/// Channels of layer i.
pub(super) fn width(base: usize, max: usize, layer: usize) -> usize {
    base.saturating_mul(1 << layer.min(MOST_LAYERS)).min(max)
}

impl WarpingConfig {
    /// Channels after i encoder blocks.
    pub(super) fn width(&self, layer: usize) -> usize {
        width(self.base, self.max, layer)
    }

    /// Indices of the decoder blocks, as they run.
    pub(super) fn decoders(&self) -> impl Iterator<Item = usize> + use<> {
        (self.encoder_layers.saturating_sub(self.decoder_layers)..self.encoder_layers).rev()
    }

    /// Channels into and out of decoder block i. All but the first see the encoder's maps beside the block before.
    pub(super) fn decoder(&self, i: usize) -> (usize, usize) {
        let twice = if i + 1 == self.encoder_layers { 1 } else { 2 };
        (twice * self.width(i + 1), self.width(i))
    }

    /// Channels that the flow is made from.
    pub(super) fn flow(&self) -> usize {
        2 * self.width(self.encoder_layers.saturating_sub(self.decoder_layers))
    }
}

impl EditingConfig {
    /// Channels after i halvings.
    pub(super) fn width(&self, layer: usize) -> usize {
        width(self.base, self.max, layer)
    }
}

struct List {
    tensors: BTreeMap<String, Vec<usize>>,
    descriptor: usize,
}

impl List {
    fn add(&mut self, name: &str, weight: &[usize], bias: &[usize]) {
        self.tensors.insert(format!("{name}.weight"), weight.to_vec());
        self.tensors.insert(format!("{name}.bias"), bias.to_vec());
    }

    fn conv(&mut self, name: &str, inputs: usize, outputs: usize, kernel: usize) {
        self.add(name, &[outputs, inputs, kernel, kernel], &[outputs]);
    }

    fn transposed(&mut self, name: &str, inputs: usize, outputs: usize) {
        self.add(name, &[inputs, outputs, 3, 3], &[outputs]);
    }

    fn layer_norm(&mut self, name: &str, channels: usize) {
        self.add(name, &[channels, 1, 1], &[channels, 1, 1]);
    }

    fn adain(&mut self, name: &str, channels: usize) {
        self.add(&format!("{name}.mlp_shared.0"), &[HIDDEN, self.descriptor], &[HIDDEN]);
        self.add(&format!("{name}.mlp_gamma"), &[channels, HIDDEN], &[channels]);
        self.add(&format!("{name}.mlp_beta"), &[channels, HIDDEN], &[channels]);
    }

    fn conv_norm(&mut self, name: &str, inputs: usize, outputs: usize, kernel: usize) {
        self.conv(&format!("{name}.model.0"), inputs, outputs, kernel);
        self.layer_norm(&format!("{name}.model.1"), outputs);
    }

    fn mapping(&mut self) {
        let d = self.descriptor;
        self.add("mapping_net.pre", &[EXPANDED, COEFFS, 1], &[EXPANDED]);
        self.add("mapping_net.first.0", &[d, EXPANDED, 7], &[d]);
        for i in 0..MAPPING_LAYERS {
            self.add(&format!("mapping_net.encoder{i}.1"), &[d, d, 3], &[d]);
        }
    }

    fn warping(&mut self, config: &WarpingConfig) {
        // Two p: so they are called.
        let net = "warpping_net.hourglass";
        self.conv(&format!("{net}.encoder.input_layer"), 3, config.base.min(config.max), 7);
        for i in 0..config.encoder_layers {
            let (block, inputs, outputs) = (format!("{net}.encoder.encoder{i}"), config.width(i), config.width(i + 1));
            self.conv(&format!("{block}.conv_0"), inputs, outputs, 4);
            self.conv(&format!("{block}.conv_1"), outputs, outputs, 3);
            self.adain(&format!("{block}.norm_0"), inputs);
            self.adain(&format!("{block}.norm_1"), outputs);
        }
        for i in config.decoders() {
            let (block, (inputs, outputs)) = (format!("{net}.decoder.decoder{i}"), config.decoder(i));
            self.conv(&format!("{block}.conv_0"), inputs, outputs, 3);
            self.transposed(&format!("{block}.conv_1"), outputs, outputs);
            self.transposed(&format!("{block}.conv_s"), inputs, outputs);
            self.adain(&format!("{block}.norm_0"), inputs);
            self.adain(&format!("{block}.norm_1"), outputs);
            self.adain(&format!("{block}.norm_s"), inputs);
        }
        self.layer_norm("warpping_net.flow_out.0", config.flow());
        self.conv("warpping_net.flow_out.2", config.flow(), 2, 7);
    }

    fn editing(&mut self, config: &EditingConfig) {
        let (encoder, decoder) = ("editing_net.encoder", "editing_net.decoder");
        self.conv_norm(&format!("{encoder}.first"), 6, config.width(0), 7);
        for i in 0..config.layers {
            let (large, small) = (config.width(i), config.width(i + 1));
            self.conv_norm(&format!("{encoder}.down{i}"), large, small, 3);
            self.conv_norm(&format!("{decoder}.up{i}"), small, large, 3);
            self.conv_norm(&format!("{decoder}.jump{i}"), large, large, 3);
            for j in 0..config.blocks {
                for k in 1..=2 {
                    let block = format!("{decoder}.res{i}.res{j}");
                    self.conv(&format!("{block}.conv{k}"), small, small, 3);
                    self.adain(&format!("{block}.norm{k}"), small);
                }
            }
        }
        self.conv(&format!("{decoder}.final.model.0"), config.width(0), 3, 7);
    }
}
