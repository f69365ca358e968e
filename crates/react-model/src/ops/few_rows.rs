//! Linear layers of few rows on a GPU, without gradients: several in one launch, and with what follows them.

use crate::Mode;
use crate::gpu::few_rows::{Addend, Few, LinearNorm, MOST_COLUMNS, MOST_ROWS, Part, Place};
use crate::gpu::{is_gpu, run_for, run_op};
use candle_core::{D, DType, Result, Tensor};

/// A linear layer of [`few_linear`].
#[derive(Clone, Debug)]
pub(crate) struct FewLayer {
    /// `[out, in]`.
    pub(crate) weight: Tensor,
    /// `[out]`.
    pub(crate) bias: Option<Tensor>,
    /// What is added: `[out]` to each row, or a row to each, `[…, out]`.
    pub(crate) addend: Option<Tensor>,
    /// The column of [`FewInto`] where its result goes; without it the result is a tensor of its own.
    pub(crate) column: Option<usize>,
}

impl FewLayer {
    /// A product alone.
    pub(crate) fn of(weight: Tensor) -> Self {
        Self { weight, bias: None, addend: None, column: None }
    }
}

/// Rows of an array `[b, room, width]` that results are written into: of each sequence the frames from `start` on. Nobody else may read
/// those rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FewInto<'a> {
    pub(crate) array: &'a Tensor,
    pub(crate) start: usize,
}

/// Rows of x `[…, c]`.
pub(crate) fn rows(x: &Tensor) -> usize {
    x.elem_count() / x.dims().last().copied().unwrap_or(1).max(1)
}

/// Whether x `[…, c]` and what is made of it are few rows on a GPU, and neither gradients nor dropout are wanted.
pub(crate) fn is_few(x: &Tensor, mode: &Mode) -> bool {
    let plain = !mode.has_gradient() && !mode.has_dropout() && !x.track_op() && x.dtype() == DType::F32;
    is_gpu(x) && plain && rows(x) <= MOST_ROWS
}

/// Up to three linear layers of the same rows: x `[b, t, c]`, one tensor or two side by side, meets the weights' columns from `first` on →
/// the results `[b, t, out]` of the layers without a column.
pub(crate) fn few_linear(x: &[&Tensor], first: usize, layers: &[FewLayer], into: Option<FewInto>) -> Result<Vec<Tensor>> {
    let (Some(one), Some(layer)) = (x.first(), layers.first()) else { return Ok(Vec::new()) };
    let widths = x.iter().map(|x| x.dim(D::Minus1)).collect::<Result<Vec<_>>>()?;
    let inputs = [widths[0], widths.get(1).copied().unwrap_or(0)];
    let (rows, row) = (rows(one), layer.weight.dim(1)?);
    let fits = |layer: &FewLayer| layer.weight.dim(1).is_ok_and(|n| n == row && first + inputs[0] + inputs[1] <= n);
    if x.len() > 2 || layers.len() > 3 || x.iter().any(|x| x.elem_count() % rows.max(1) > 0) || !layers.iter().all(fits) {
        candle_core::bail!("linear: weights {:?} do not fit inputs {inputs:?} from {first} on", layer.weight.dims());
    }
    let mut given = x.iter().map(|x| x.contiguous()).collect::<Result<Vec<_>>>()?;
    let mut parts = Vec::with_capacity(layers.len());
    for FewLayer { weight, bias, addend, column } in layers {
        let columns = weight.dim(0)?;
        given.push(weight.contiguous()?);
        given.extend(bias.as_ref().map(Tensor::contiguous).transpose()?);
        given.extend(addend.as_ref().map(Tensor::contiguous).transpose()?);
        let addend = addend.as_ref().map_or(Addend::None, |a| if a.rank() == 1 { Addend::Row } else { Addend::Rows });
        parts.push(Part { columns, bias: bias.is_some(), addend, column: *column });
    }
    let into = into.map(|FewInto { array, start }| -> Result<Place> {
        let ((sequences, room, width), frames) = (array.dims3()?, one.dim(1)?);
        if one.dim(0)? != sequences || start + frames > room {
            candle_core::bail!("linear: rows of {:?} do not fit into {:?} from {start} on", one.dims(), array.dims());
        }
        given.push(array.clone());
        Ok(Place { sequences, room, width, frames, start })
    });
    let few = Few { rows, inputs, row, first, relu: false, parts, into: into.transpose()? };
    let results = run_op(&few.plan(), one.device(), &given.iter().collect::<Vec<_>>())?;
    let mut dims = one.dims().to_vec();
    let alone = layers.iter().filter(|layer| layer.column.is_none());
    let reshape = |(y, layer): (Tensor, &FewLayer)| {
        if let (Some(last), Ok(columns)) = (dims.last_mut(), layer.weight.dim(0)) {
            *last = columns;
        }
        y.reshape(&dims[..])
    };
    results.into_iter().zip(alone).map(reshape).collect()
}

/// LayerNorm of `residual + x·Wᵀ + b` for few rows: x `[b, t, in]`, or `[b, 1, in]` for all t, residual `[b, t, out]`. None where that is
/// no single launch.
pub(crate) fn norm_of_linear(
    x: &Tensor,
    [weight, bias]: [&Tensor; 2],
    residual: &Tensor,
    [gamma, beta]: [&Tensor; 2],
    mode: &Mode,
) -> Result<Option<Tensor>> {
    let ((columns, inputs), all) = (weight.dims2()?, rows(residual));
    let Ok((b, t, width)) = x.dims3() else { return Ok(None) };
    let fits = columns <= MOST_COLUMNS && width == inputs && residual.dim(D::Minus1)? == columns && b == residual.dim(0)?;
    if !is_few(x, mode) || !is_few(residual, mode) || !fits || (b * t != all && t != 1) {
        return Ok(None);
    }
    let layer = LinearNorm { rows: all, inputs, columns, repeat: all / (b * t) };
    let given = [x, weight, bias, residual, gamma, beta].map(Tensor::contiguous);
    let given = given.into_iter().collect::<Result<Vec<_>>>()?;
    let [y] = run_for(&layer.plan(), x.device(), &given.iter().collect::<Vec<_>>())?;
    Ok(Some(y.reshape(residual.shape())?))
}
