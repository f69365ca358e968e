use crate::Result;

/// What one kind of work took on a card.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelTime {
    /// A kernel's name, or a product's or convolution's sizes.
    pub name: String,
    /// How often it ran.
    pub runs: usize,
    /// Of all runs together.
    pub milliseconds: f64,
}

/// Does `work` and says what its kernels, products and convolutions took on the card, longest first; Candle's own operations are not
/// among them. Timing costs a few microseconds each, so that their sum is more than what they take unwatched. On the processor the
/// list is empty.
///
/// ```
/// let (sum, times) = react_model::device::kernel_times(|| 1 + 1)?;
/// assert!(sum == 2 && times.is_empty());
/// # Ok::<(), react_model::ModelError>(())
/// ```
///
/// # Errors
/// Candle's.
pub fn kernel_times<T>(work: impl FnOnce() -> T) -> Result<(T, Vec<KernelTime>)> {
    #[cfg(feature = "cuda")]
    {
        crate::gpu::cuda::profile::begin();
        let done = work();
        let times = crate::gpu::cuda::profile::end()?;
        let times = times.into_iter().map(|(name, runs, milliseconds)| KernelTime { name, runs, milliseconds });
        Ok((done, times.collect()))
    }
    #[cfg(not(feature = "cuda"))]
    Ok((work(), Vec::new()))
}
