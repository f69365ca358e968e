//! The editing net: the warped picture's faults repaired, with the picture itself beside it.

use super::config::EditingConfig;
use super::conv::Conv;
use super::load::Loader;
use super::mapping::AdaIn;
use super::maps::{Map, Norm, Pool, Source, add_affine, add_normed, halve, layer_norm};
use crate::Result;

/// The editing net.
#[derive(Debug)]
pub(super) struct Editing {
    /// The first convolution's part that sees the picture, with the bias, and the part that sees the warped one.
    first: [Conv; 2],
    first_norm: [Vec<f32>; 2],
    downs: Vec<ConvNorm>,
    /// The decoder's layers, from the smallest maps on.
    layers: Vec<Layer>,
    last: Conv,
}

/// conv3 and the LayerNorm after it; the activation comes with whoever reads it.
#[derive(Debug)]
struct ConvNorm {
    conv: Conv,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

#[derive(Debug)]
struct Layer {
    /// x + AdaIN(conv(x)) each.
    blocks: Vec<(Conv, AdaIn)>,
    up: ConvNorm,
    jump: ConvNorm,
}

impl Editing {
    pub(super) fn new(l: &mut Loader<'_>, config: &EditingConfig) -> Result<Self> {
        let (encoder, decoder) = ("editing_net.encoder", "editing_net.decoder");
        let weights = l.get(&format!("{encoder}.first.model.0.weight"))?;
        let bias = l.get(&format!("{encoder}.first.model.0.bias"))?;
        // [outputs, 6, 7, 7]: three channels of each picture.
        let half = |start: usize| weights.chunks_exact(6 * 49).flat_map(|w| &w[start..start + 3 * 49]).copied().collect::<Vec<_>>();
        let zeros = vec![0.0; bias.len()];
        let downs = (0..config.layers).map(|i| ConvNorm::new(l, &format!("{encoder}.down{i}"))).collect::<Result<_>>()?;
        let mut layers = Vec::with_capacity(config.layers);
        for i in (0..config.layers).rev() {
            let block = |j: usize| format!("{decoder}.res{i}.res{j}");
            layers.push(Layer {
                blocks: (0..config.blocks)
                    .map(|j| Ok((l.conv(&format!("{}.conv2", block(j)), 3, 1)?, AdaIn::new(l, &format!("{}.norm2", block(j)))?)))
                    .collect::<Result<_>>()?,
                up: ConvNorm::new(l, &format!("{decoder}.up{i}"))?,
                jump: ConvNorm::new(l, &format!("{decoder}.jump{i}"))?,
            });
        }
        Ok(Self {
            first: [Conv::new(&half(0), bias, 7, 1), Conv::new(&half(3 * 49), zeros, 7, 1)],
            first_norm: [l.get(&format!("{encoder}.first.model.1.weight"))?, l.get(&format!("{encoder}.first.model.1.bias"))?],
            downs,
            layers,
            last: l.conv(&format!("{decoder}.final.model.0"), 7, 1)?,
        })
    }

    /// The part that sees neither descriptor nor warped picture: once for a picture.
    pub(super) fn encode(&self, pool: &mut Pool, picture: &Map) -> Map {
        self.first[0].forward(pool, &Source::plain(&[picture]))
    }

    /// Of an encoded and a warped picture and a descriptor: the picture before its tanh, `[h, w, 3]`.
    pub(super) fn picture(&self, pool: &mut Pool, encoded: &Map, warped: &Map, descriptor: &[f32]) -> Map {
        // Each with the norm that is still to come; the halved ones are done.
        let first = self.first[1].forward_onto(pool, &Source::plain(&[warped]), encoded);
        let first_norm = layer_norm(&[&first], &self.first_norm[0], &self.first_norm[1]);
        let mut halves: Vec<Map> = Vec::with_capacity(self.downs.len());
        for down in &self.downs {
            let source = [halves.last().unwrap_or(&first)];
            let source = if halves.is_empty() { Source::normed(&source, &first_norm) } else { Source::plain(&source) };
            let (y, norm) = down.forward(pool, &source);
            halves.push(halve(pool, &y, &norm));
            y.give_back(pool);
        }
        let Some(mut x) = halves.pop() else { return first };
        for layer in &self.layers {
            x = match halves.pop() {
                Some(skip) => {
                    let y = layer.forward(pool, x, &Source::plain(&[&skip]), descriptor);
                    skip.give_back(pool);
                    y
                }
                None => layer.forward(pool, x, &Source::normed(&[&first], &first_norm), descriptor),
            };
        }
        let y = self.last.forward(pool, &Source::plain(&[&x]));
        x.give_back(pool);
        first.give_back(pool);
        y
    }
}

impl ConvNorm {
    fn new(l: &mut Loader<'_>, name: &str) -> Result<Self> {
        Ok(Self {
            conv: l.conv(&format!("{name}.model.0"), 3, 1)?,
            weight: l.get(&format!("{name}.model.1.weight"))?,
            bias: l.get(&format!("{name}.model.1.bias"))?,
        })
    }

    fn forward(&self, pool: &mut Pool, x: &Source<'_>) -> (Map, Norm) {
        let y = self.conv.forward(pool, x);
        let norm = layer_norm(&[&y], &self.weight, &self.bias);
        (y, norm)
    }
}

impl Layer {
    /// act(up(blocks(x))) + act(jump(skip)), twice the size.
    fn forward(&self, pool: &mut Pool, mut x: Map, skip: &Source<'_>, descriptor: &[f32]) -> Map {
        for (conv, adain) in &self.blocks {
            let y = conv.forward(pool, &Source::plain(&[&x]));
            add_affine(&mut x.data, &y.data, &adain.of(&[&y], descriptor));
            y.give_back(pool);
        }
        let (mut up, up_norm) = self.up.forward(pool, &Source::plain(&[&x]).doubled());
        x.give_back(pool);
        let (jump, jump_norm) = self.jump.forward(pool, skip);
        add_normed(&mut up.data, &up_norm, &jump.data, &jump_norm);
        jump.give_back(pool);
        up
    }
}
