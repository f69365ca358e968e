//! The warping net: where every pixel of the picture comes from, given a motion descriptor.

use super::config::WarpingConfig;
use super::conv::{Conv, Transposed};
use super::load::Loader;
use super::mapping::AdaIn;
use super::maps::{Map, Pool, Source, layer_norm};
use crate::Result;

/// The warping net.
#[derive(Debug)]
pub(super) struct Warping {
    input: Conv,
    encoders: Vec<Encoder>,
    decoders: Vec<Decoder>,
    flow_norm: [Vec<f32>; 2],
    flow: Conv,
}

/// conv₁(act(AdaIN₁(conv₀(act(AdaIN₀(x)))))): half the size.
#[derive(Debug)]
struct Encoder {
    norms: [AdaIn; 2],
    convs: [Conv; 2],
}

/// conv₁(act(AdaIN₁(conv₀(act(AdaIN₀(x)))))) + conv_s(act(AdaIN_s(x))), conv₁ and conv_s transposed: twice the size.
#[derive(Debug)]
struct Decoder {
    norm_0: AdaIn,
    norm_1: AdaIn,
    norm_s: AdaIn,
    conv_0: Conv,
    conv_1: Transposed,
    conv_s: Transposed,
    /// Of both transposed convolutions.
    bias: Vec<f32>,
}

impl Warping {
    pub(super) fn new(l: &mut Loader<'_>, config: &WarpingConfig) -> Result<Self> {
        let net = "warpping_net.hourglass";
        Ok(Self {
            input: l.conv(&format!("{net}.encoder.input_layer"), 7, 1)?,
            encoders: (0..config.encoder_layers).map(|i| Encoder::new(l, &format!("{net}.encoder.encoder{i}"))).collect::<Result<_>>()?,
            decoders: config.decoders().map(|i| Decoder::new(l, &format!("{net}.decoder.decoder{i}"))).collect::<Result<_>>()?,
            flow_norm: [l.get("warpping_net.flow_out.0.weight")?, l.get("warpping_net.flow_out.0.bias")?],
            flow: l.conv("warpping_net.flow_out.2", 7, 1)?,
        })
    }

    /// The part that sees no descriptor: once for a picture.
    pub(super) fn encode(&self, pool: &mut Pool, picture: &Map) -> Map {
        self.input.forward(pool, &Source::plain(&[picture]))
    }

    /// Of an encoded picture and a descriptor: the flow `[h', w', 2]` in pixels of its own grid, x first.
    pub(super) fn flow(&self, pool: &mut Pool, encoded: &Map, descriptor: &[f32]) -> Map {
        let mut maps: Vec<Map> = Vec::with_capacity(self.encoders.len());
        for encoder in &self.encoders {
            let next = encoder.forward(pool, maps.last().unwrap_or(encoded), descriptor);
            maps.push(next);
        }
        let mut x: Vec<Map> = maps.pop().into_iter().collect();
        for decoder in &self.decoders {
            let up = decoder.forward(pool, &x.iter().collect::<Vec<_>>(), descriptor);
            x.drain(..).for_each(|map| map.give_back(pool));
            // Beside it, the encoder's maps of the same size; the largest are those of the encoded picture.
            x = vec![up, maps.pop().unwrap_or_else(|| encoded.copy(pool))];
        }
        let parts: Vec<&Map> = x.iter().collect();
        let norm = layer_norm(&parts, &self.flow_norm[0], &self.flow_norm[1]);
        let flow = self.flow.forward(pool, &Source::normed(&parts, &norm));
        x.into_iter().chain(maps).for_each(|map| map.give_back(pool));
        flow
    }
}

impl Encoder {
    fn new(l: &mut Loader<'_>, name: &str) -> Result<Self> {
        Ok(Self {
            norms: [AdaIn::new(l, &format!("{name}.norm_0"))?, AdaIn::new(l, &format!("{name}.norm_1"))?],
            convs: [l.conv(&format!("{name}.conv_0"), 4, 2)?, l.conv(&format!("{name}.conv_1"), 3, 1)?],
        })
    }

    fn forward(&self, pool: &mut Pool, x: &Map, descriptor: &[f32]) -> Map {
        let down = self.convs[0].forward(pool, &Source::normed(&[x], &self.norms[0].of(&[x], descriptor)));
        let y = self.convs[1].forward(pool, &Source::normed(&[&down], &self.norms[1].of(&[&down], descriptor)));
        down.give_back(pool);
        y
    }
}

impl Decoder {
    fn new(l: &mut Loader<'_>, name: &str) -> Result<Self> {
        let mut norm = |part: &str| AdaIn::new(l, &format!("{name}.norm_{part}"));
        let (norm_0, norm_1, norm_s) = (norm("0")?, norm("1")?, norm("s")?);
        let (conv_1, mut bias) = l.transposed(&format!("{name}.conv_1"))?;
        let (conv_s, other) = l.transposed(&format!("{name}.conv_s"))?;
        bias.iter_mut().zip(other).for_each(|(sum, b)| *sum += b);
        Ok(Self { norm_0, norm_1, norm_s, conv_0: l.conv(&format!("{name}.conv_0"), 3, 1)?, conv_1, conv_s, bias })
    }

    fn forward(&self, pool: &mut Pool, x: &[&Map], descriptor: &[f32]) -> Map {
        let inner = self.conv_0.forward(pool, &Source::normed(x, &self.norm_0.of(x, descriptor)));
        let mut y = Map::new(pool, inner.size.map(|n| 2 * n), self.bias.len());
        y.data.chunks_exact_mut(self.bias.len()).for_each(|pixel| pixel.copy_from_slice(&self.bias));
        self.conv_s.add(pool, &Source::normed(x, &self.norm_s.of(x, descriptor)), &mut y);
        self.conv_1.add(pool, &Source::normed(&[&inner], &self.norm_1.of(&[&inner], descriptor)), &mut y);
        y.count_all();
        inner.give_back(pool);
        y
    }
}
