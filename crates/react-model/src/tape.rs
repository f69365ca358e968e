//! Backward passes without Candle's arrays of zeros.
//!
//! Candle's backward pass makes an array of zeros for the gradient of every tensor, and adds to it. On a card each is a launch and an
//! allocation: half of all launches of a training in windows. While a [`Recording`] is on, the operations of this crate also write down
//! what they did, and the first gradient of a tensor is taken as it is.
//!
//! Candle's graph is there all the same. What follows the network (the loss) is left to it, from the network's results on ([`result`]);
//! so is everything before an operation that wrote nothing down: it costs launches, never a gradient.

use crate::gpu::sum::{self as on_gpu, MOST_ADDENDS};
use crate::gpu::{is_gpu, run_for};
use candle_core::backprop::GradStore;
use candle_core::{CustomOp1, CustomOp2, CustomOp3, DType, Result, Shape, Tensor, TensorId, Var};
use std::cell::RefCell;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

/// The gradients of an operation's inputs from that of its result.
type Backward = Box<dyn FnOnce(&Tensor) -> Result<Vec<Option<Tensor>>>>;

struct Node {
    result: TensorId,
    inputs: Vec<Tensor>,
    backward: Backward,
}

/// What was done since a recording began.
#[derive(Default)]
struct Tape {
    nodes: Vec<Node>,
    /// Parts of parameters, by axis, start and length: every window takes the same, and their gradients come together before they go into
    /// the parameter's.
    parts: HashMap<(TensorId, [usize; 3]), Tensor>,
}

thread_local! {
    static TAPE: RefCell<Option<Tape>> = const { RefCell::new(None) };
}

/// While it lives, this thread's operations write down how their gradients are computed; [`crate::optim::Gradients::of`] reads it.
///
/// ```
/// use candle_core::{DType, Device::Cpu, Tensor};
/// use react_model::{Mode, Params, layers::Linear, optim::{Gradients, Recording}};
/// let params = Params::new(0);
/// let layer = Linear::new(3, 2, &params.root())?;
/// let x = Tensor::ones((4, 3), DType::F32, &Cpu)?;
/// let of = |recording| -> react_model::Result<Gradients> {
///     let loss = layer.forward(&x, &Mode::train(0, 0))?.sqr()?.mean_all()?;
///     Gradients::of(&params, &loss, recording)
/// };
/// assert_eq!(of(Some(Recording::begin()))?.norm()?, of(None)?.norm()?);
/// # Ok::<(), react_model::ModelError>(())
/// ```
#[derive(Debug)]
pub struct Recording(PhantomData<*const ()>);

impl Recording {
    /// Begins; one that was on on this thread ends.
    #[must_use]
    pub fn begin() -> Self {
        TAPE.set(Some(Tape::default()));
        Self(PhantomData)
    }

    /// The gradients of tensors that no operation made: those that Candle found on its way to the network's results, and the others.
    pub(crate) fn backward(self, loss: &Tensor) -> Result<(GradStore, Found)> {
        let nodes = TAPE.take().unwrap_or_default().nodes;
        let (store, mut found) = (loss.backward()?, Found::default());
        for Node { result, inputs, backward } in nodes.into_iter().rev() {
            // Of the results there may be several uses; the loss is one.
            let Some(gradient) = found.take(result)?.or_else(|| store.get_id(result).cloned()) else { continue };
            for (input, gradient) in inputs.into_iter().zip(backward(&gradient)?) {
                if let Some(gradient) = gradient.filter(|_| input.track_op()) {
                    found.add(input, gradient);
                }
            }
        }
        Ok((store, found))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        TAPE.set(None);
    }
}

/// Gradients of tensors: what each use of them gave.
#[derive(Default)]
pub(crate) struct Found {
    of: HashMap<TensorId, (Tensor, Vec<Tensor>)>,
    /// Tensors in the order in which they were found.
    order: Vec<TensorId>,
}

impl Found {
    fn add(&mut self, tensor: Tensor, gradient: Tensor) {
        let order = &mut self.order;
        let found = self.of.entry(tensor.id()).or_insert_with(|| {
            order.push(tensor.id());
            (tensor, Vec::new())
        });
        found.1.push(gradient);
    }

    /// That of a tensor.
    pub(crate) fn take(&mut self, tensor: TensorId) -> Result<Option<Tensor>> {
        self.of.remove(&tensor).map(|(_, gradients)| sum(&gradients)).transpose()
    }

    /// What Candle's graph makes of the others: of tensors whose operation wrote nothing down.
    pub(crate) fn rest(mut self) -> Result<Option<GradStore>> {
        let others: Vec<_> = self.order.iter().filter_map(|tensor| self.of.remove(tensor)).collect();
        let term = |(tensor, gradients): (Tensor, Vec<Tensor>)| (tensor * sum(&gradients)?)?.sum_all();
        let terms = others.into_iter().map(term).collect::<Result<Vec<_>>>()?;
        if terms.is_empty() {
            return Ok(None);
        }
        tracing::debug!(tensors = terms.len(), "gradients by Candle's graph");
        Tensor::stack(&terms, 0)?.sum_all()?.backward().map(Some)
    }
}

/// Their sum, contiguous: a few launches for many on a card.
fn sum(gradients: &[Tensor]) -> Result<Tensor> {
    let Some((first, others)) = gradients.split_first() else { candle_core::bail!("no gradients") };
    let mut total = first.contiguous()?;
    for some in others.chunks(MOST_ADDENDS - 1) {
        if is_gpu(&total) && total.dtype() == DType::F32 {
            let mut addends = vec![total.clone()];
            addends.extend(some.iter().map(Tensor::contiguous).collect::<Result<Vec<_>>>()?);
            let plan = on_gpu::sum(addends.len(), total.elem_count());
            let [all] = run_for(&plan, total.device(), &addends.iter().collect::<Vec<_>>())?;
            total = all.reshape(total.shape())?;
        } else {
            total = some.iter().try_fold(total, |total, one| total + one)?;
        }
    }
    Ok(total)
}

fn records(inputs: &[&Tensor]) -> bool {
    TAPE.with_borrow(Option::is_some) && inputs.iter().any(|tensor| tensor.track_op())
}

/// Writes an operation down; `backward` gives a gradient for each input that needs one.
pub(crate) fn record(result: &Tensor, inputs: &[&Tensor], backward: impl FnOnce(&Tensor) -> Result<Vec<Option<Tensor>>> + 'static) {
    // What is its own input was not changed.
    if records(inputs) && inputs.iter().all(|input| input.id() != result.id()) {
        let inputs = inputs.iter().map(|input| (*input).clone()).collect();
        let node = Node { result: result.id(), inputs, backward: Box::new(backward) };
        TAPE.with_borrow_mut(|tape| tape.as_mut().map(|tape| tape.nodes.push(node)));
    }
}

/// The end of what is recorded: a result of the network as Candle's graph goes on from it.
pub(crate) fn result(y: &Tensor) -> Result<Tensor> {
    if !records(&[y]) {
        return Ok(y.clone());
    }
    let leaf = Var::from_tensor(&y.detach())?.into_inner();
    record(&leaf, &[y], |gradient| Ok(vec![Some(gradient.clone())]));
    Ok(leaf)
}

/// An operation; its arguments are made contiguous, here as in the next two.
pub(crate) fn apply1(a: &Tensor, op: impl CustomOp1 + Send + Sync + 'static) -> Result<Tensor> {
    let op: Arc<Box<dyn CustomOp1 + Send + Sync>> = Arc::new(Box::new(op));
    let a = contiguous(a)?;
    let y = a.apply_op1_arc(Arc::clone(&op))?;
    let res = y.clone();
    record(&y, &[&a.clone()], move |gradient| Ok(vec![op.bwd(&a, &res, gradient)?]));
    Ok(y)
}

pub(crate) fn apply2(a: &Tensor, b: &Tensor, op: impl CustomOp2 + Send + Sync + 'static) -> Result<Tensor> {
    let op: Arc<Box<dyn CustomOp2 + Send + Sync>> = Arc::new(Box::new(op));
    let (a, b) = (contiguous(a)?, contiguous(b)?);
    let y = a.apply_op2_arc(&b, Arc::clone(&op))?;
    let res = y.clone();
    record(&y, &[&a.clone(), &b.clone()], move |gradient| op.bwd(&a, &b, &res, gradient).map(|(a, b)| vec![a, b]));
    Ok(y)
}

pub(crate) fn apply3(a: &Tensor, b: &Tensor, c: &Tensor, op: impl CustomOp3 + Send + Sync + 'static) -> Result<Tensor> {
    let op: Arc<Box<dyn CustomOp3 + Send + Sync>> = Arc::new(Box::new(op));
    let (a, b, c) = (contiguous(a)?, contiguous(b)?, contiguous(c)?);
    let y = a.apply_op3_arc(&b, &c, Arc::clone(&op))?;
    let res = y.clone();
    let inputs = [&a.clone(), &b.clone(), &c.clone()];
    record(&y, &inputs, move |gradient| op.bwd(&a, &b, &c, &res, gradient).map(|(a, b, c)| vec![a, b, c]));
    Ok(y)
}

/// y is x, in another shape or place.
fn moved(x: &Tensor, y: Tensor) -> Tensor {
    let shape = x.shape().clone();
    record(&y, &[x], move |gradient| Ok(vec![Some(gradient.reshape(shape)?)]));
    y
}

pub(crate) fn contiguous(x: &Tensor) -> Result<Tensor> {
    Ok(moved(x, x.contiguous()?))
}

pub(crate) fn reshape(x: &Tensor, shape: impl Into<Shape>) -> Result<Tensor> {
    Ok(moved(x, x.reshape(shape.into())?))
}

pub(crate) fn unsqueeze(x: &Tensor, axis: usize) -> Result<Tensor> {
    Ok(moved(x, x.unsqueeze(axis)?))
}

pub(crate) fn squeeze(x: &Tensor, axis: usize) -> Result<Tensor> {
    Ok(moved(x, x.squeeze(axis)?))
}

/// An axis and the next as one.
pub(crate) fn flatten(x: &Tensor, axis: usize) -> Result<Tensor> {
    Ok(moved(x, x.flatten(axis, axis + 1)?))
}

pub(crate) fn transpose(x: &Tensor, a: usize, b: usize) -> Result<Tensor> {
    let y = x.transpose(a, b)?;
    record(&y, &[x], move |gradient| Ok(vec![Some(gradient.transpose(a, b)?)]));
    Ok(y)
}

/// The same numbers as another type.
pub(crate) fn to_dtype(x: &Tensor, dtype: DType) -> Result<Tensor> {
    let (y, of) = (x.to_dtype(dtype)?, x.dtype());
    record(&y, &[x], move |gradient| Ok(vec![Some(gradient.to_dtype(of)?)]));
    Ok(y)
}

pub(crate) fn narrow(x: &Tensor, axis: usize, start: usize, len: usize) -> Result<Tensor> {
    let (y, shape) = (x.narrow(axis, start, len)?, x.shape().clone());
    record(&y, &[x], move |gradient| {
        let all = Tensor::zeros(shape, gradient.dtype(), gradient.device())?;
        all.slice_set(gradient, axis, start)?;
        Ok(vec![Some(all)])
    });
    Ok(y)
}

/// Part of a parameter as an array of its own.
pub(crate) fn part(parameter: &Tensor, axis: usize, start: usize, len: usize) -> Result<Tensor> {
    let key = (parameter.id(), [axis, start, len]);
    if let Some(part) = TAPE.with_borrow(|tape| tape.as_ref()?.parts.get(&key).cloned()) {
        return Ok(part);
    }
    let part = contiguous(&narrow(parameter, axis, start, len)?)?;
    if records(&[parameter]) {
        TAPE.with_borrow_mut(|tape| tape.as_mut().map(|tape| tape.parts.insert(key, part.clone())));
    }
    Ok(part)
}

pub(crate) fn cat<T: AsRef<Tensor>>(parts: &[T], axis: usize) -> Result<Tensor> {
    let y = Tensor::cat(parts, axis)?;
    let parts: Vec<&Tensor> = parts.iter().map(AsRef::as_ref).collect();
    let lens = parts.iter().map(|part| part.dim(axis)).collect::<Result<Vec<_>>>()?;
    record(&y, &parts, move |gradient| {
        let mut start = 0;
        let part = |len: usize| {
            start += len;
            gradient.narrow(axis, start - len, len).map(Some)
        };
        lens.into_iter().map(part).collect()
    });
    Ok(y)
}

pub(crate) fn stack(parts: &[&Tensor]) -> Result<Tensor> {
    let rows = parts.iter().map(|part| unsqueeze(part, 0)).collect::<Result<Vec<_>>>()?;
    cat(&rows, 0)
}

/// Zeros before and behind x.
pub(crate) fn pad(x: &Tensor, axis: usize, before: usize, behind: usize) -> Result<Tensor> {
    let (y, len) = (x.pad_with_zeros(axis, before, behind)?, x.dim(axis)?);
    record(&y, &[x], move |gradient| Ok(vec![Some(gradient.narrow(axis, before, len)?)]));
    Ok(y)
}

/// x repeated along axes of length 1, as an array of its own.
pub(crate) fn expand(x: &Tensor, shape: impl Into<Shape>) -> Result<Tensor> {
    let (y, of) = (x.broadcast_as(shape.into())?.contiguous()?, x.shape().clone());
    record(&y, &[x], move |gradient| Ok(vec![Some(sum_to(gradient, &of)?)]));
    Ok(y)
}

/// a + b, either repeated along axes of length 1.
pub(crate) fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let y = a.broadcast_add(b)?;
    let shapes = [a, b].map(|x| x.track_op().then(|| x.shape().clone()));
    record(&y, &[a, b], move |gradient| {
        shapes.iter().map(|shape| shape.as_ref().map(|shape| sum_to(gradient, shape)).transpose()).collect()
    });
    Ok(y)
}

/// a · b, either repeated along axes of length 1.
pub(crate) fn mul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let y = a.broadcast_mul(b)?;
    let factors = [a, b].map(Tensor::detach);
    let tracked = [a, b].map(Tensor::track_op);
    record(&y, &[a, b], move |gradient| {
        let of =
            |i: usize| if tracked[i] { sum_to(&gradient.broadcast_mul(&factors[1 - i])?, factors[i].shape()).map(Some) } else { Ok(None) };
        Ok(vec![of(0)?, of(1)?])
    });
    Ok(y)
}

/// exp(factor · x).
pub(crate) fn exp_of(x: &Tensor, factor: f64) -> Result<Tensor> {
    let y = (x * factor)?.exp()?;
    let value = y.detach();
    record(&y, &[x], move |gradient| Ok(vec![Some(((gradient * value)? * factor)?)]));
    Ok(y)
}

/// The sum over an axis, which is gone.
pub(crate) fn sum_over(x: &Tensor, axis: usize) -> Result<Tensor> {
    let (y, shape) = (x.sum(axis)?, x.shape().clone());
    record(&y, &[x], move |gradient| Ok(vec![Some(gradient.unsqueeze(axis)?.broadcast_as(shape)?)]));
    Ok(y)
}

/// The mean over axes, which are gone.
pub(crate) fn mean_over(x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    let (y, shape) = (x.mean(axes)?, x.shape().clone());
    let mut kept = shape.dims().to_vec();
    axes.iter().for_each(|axis| kept[*axis] = 1);
    record(&y, &[x], move |gradient| {
        let count = (shape.elem_count() / gradient.elem_count()) as f64;
        Ok(vec![Some((gradient / count)?.reshape(kept)?.broadcast_as(shape)?)])
    });
    Ok(y)
}

/// exp(x)/Σ exp(x) along an axis.
pub(crate) fn softmax(x: &Tensor, axis: usize) -> Result<Tensor> {
    let y = candle_nn::ops::softmax(x, axis)?;
    let value = y.detach();
    record(&y, &[x], move |gradient| {
        let share = (gradient * &value)?;
        let all = share.sum_keepdim(axis)?;
        Ok(vec![Some((share - value.broadcast_mul(&all)?)?)])
    });
    Ok(y)
}

/// 1/(1 + exp(−x)).
pub(crate) fn sigmoid(x: &Tensor) -> Result<Tensor> {
    let y = candle_nn::ops::sigmoid(x)?;
    let value = y.detach();
    record(&y, &[x], move |gradient| Ok(vec![Some((gradient * (&value - value.sqr()?)?)?)]));
    Ok(y)
}

/// The sum over the axes along which a tensor of this shape was repeated.
fn sum_to(gradient: &Tensor, shape: &Shape) -> Result<Tensor> {
    if gradient.shape() == shape {
        return Ok(gradient.clone());
    }
    let (dims, new) = (gradient.dims(), gradient.rank() - shape.rank());
    let repeated: Vec<usize> = (0..dims.len()).filter(|i| *i < new || (shape.dims()[*i - new] == 1 && dims[*i] > 1)).collect();
    gradient.sum_keepdim(repeated)?.reshape(shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eri::{self, Eri, Input, eri_loss};
    use crate::loss::{LossWeights, loss};
    use crate::transvae::{self, Noise, TransVae, Windows};
    use crate::{Mode, Params};
    use candle_core::Device::Cpu;
    use react_contracts::{AudioFeatures, Coeffs3dmm, Emotion, Frames};
    use react_random::Draws;

    fn normal(shape: &[usize]) -> Tensor {
        let mut values = vec![0.0f32; shape.iter().product()];
        Draws::new(4, "recording", 0, 0).fill_normal(&mut values);
        Tensor::from_vec(values, shape, &Cpu).unwrap()
    }

    fn pixels(shape: &[usize]) -> Tensor {
        (normal(shape) * 50.0).unwrap().abs().unwrap().to_dtype(DType::U8).unwrap()
    }

    /// Candle's graph ends at the network's results, and nothing behind them is left to it.
    fn check(params: &Params, loss: &Tensor, recording: Recording) {
        let (store, mut found) = recording.backward(loss).unwrap();
        let mut gradients = 0;
        for (name, var) in params.all() {
            assert!(store.get(var.as_tensor()).is_none(), "{name} has its gradient from Candle's graph");
            gradients += usize::from(found.take(var.id()).unwrap().is_some());
        }
        let left: Vec<_> = found.of.values().map(|(tensor, _)| tensor.dims().to_vec()).collect();
        assert!(gradients > 50 && left.is_empty(), "{gradients} gradients; left, of tensors {left:?}");
    }

    #[test]
    fn every_operation_of_intensities_is_recorded() {
        for frame_features in [None, Some(5)] {
            let params = Params::new(3);
            let model = Eri::new(eri::Config { stem: 4, frame_features, ..eri::Config::default() }, &params.root()).unwrap();
            let input = Input {
                frames: Some(pixels(&[2, 3, 48, 48, 3])),
                features: Some(normal(&[2, 3, 5])),
                mfcc: Some(normal(&[2, 16, 40])),
                keep: Some(Tensor::new(&[[1f32, 1.0], [0.0, 1.0]], &Cpu).unwrap()),
            };
            let recording = Recording::begin();
            let intensity = model.forward(&input, &Mode::train(1, 0)).unwrap().intensity;
            check(&params, &eri_loss(&intensity, &normal(&[2, 7]), 0.5).unwrap().total, recording);
        }
    }

    #[test]
    fn every_operation_of_reactions_is_recorded() {
        for config in [transvae::Config::of_width(16), transvae::Config::online(16, Windows::of(8))] {
            let params = Params::new(5);
            let model = TransVae::new(config, &params.root()).unwrap();
            let frames = Frames::new(pixels(&[2, 20, 24, 24, 3])).unwrap();
            let audio = AudioFeatures::new(normal(&[2, 20, 78])).unwrap();
            let (mode, recording) = (Mode::train(1, 0), Recording::begin());
            let behaviour = model.encode(&frames, &audio, &mode).unwrap();
            let first = model.react(&behaviour, &Noise::training(7, 0, 0), &mode).unwrap();
            let second = mode.another_pass(1).without_gradient();
            let second = model.react(&behaviour.detach(), &Noise::training(7, 0, 1), &second).unwrap();
            let (emotion, coeffs) = (Emotion::new(normal(&[2, 20, 25])).unwrap(), Coeffs3dmm::new(normal(&[2, 20, 58])).unwrap());
            check(&params, &loss(&first, &second, &emotion, &coeffs, &LossWeights::default()).unwrap().total, recording);
        }
    }
}
