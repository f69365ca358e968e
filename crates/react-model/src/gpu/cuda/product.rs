//! Products by cuBLAS.

use super::Memory;
use crate::gpu::plan::{Matrix, Plan, Product, Type};
use candle_core::Result;
use candle_core::cuda_backend::cudarc::cublas::result::gemm_strided_batched_ex;
use candle_core::cuda_backend::cudarc::cublas::sys::{cublasComputeType_t, cublasGemmAlgo_t, cublasOperation_t, cudaDataType_t};
use candle_core::cuda_backend::{CudaDevice, WrapErr as _};
use std::ffi::{c_int, c_void};

struct Operand {
    address: u64,
    element: cudaDataType_t,
    leading: c_int,
    stride: i64,
    operation: cublasOperation_t,
}

fn size(n: usize) -> Result<c_int> {
    c_int::try_from(n).map_err(|_| candle_core::Error::Msg(format!("a product's size {n} is beyond cuBLAS'")).bt())
}

fn operand(plan: &Plan, matrix: &Matrix, memory: &Memory) -> Result<Operand> {
    let element = plan.arrays[matrix.array.0].element;
    Ok(Operand {
        address: memory.address(matrix.array) + (matrix.offset * element.bytes()) as u64,
        element: match element {
            Type::F32 => cudaDataType_t::CUDA_R_32F,
            Type::Bf16 => cudaDataType_t::CUDA_R_16BF,
            _ => candle_core::bail!("a product of {element:?}"),
        },
        leading: size(matrix.row.max(1))?,
        stride: matrix.batch_stride as i64,
        operation: if matrix.transposed { cublasOperation_t::CUBLAS_OP_T } else { cublasOperation_t::CUBLAS_OP_N },
    })
}

pub(super) fn run(plan: &Plan, p: &Product, device: &CudaDevice, memory: &Memory) -> Result<()> {
    if p.batch * p.m * p.n == 0 {
        return Ok(());
    }
    let (a, b, c) = (operand(plan, &p.a, memory)?, operand(plan, &p.b, memory)?, operand(plan, &p.c, memory)?);
    let compute = if p.tf32 && a.element == cudaDataType_t::CUDA_R_32F {
        cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32
    } else {
        cublasComputeType_t::CUBLAS_COMPUTE_32F
    };
    let (one, add) = (1.0f32, if p.add { 1.0f32 } else { 0.0 });
    let scale = |x: &f32| std::ptr::from_ref(x).cast::<c_void>();
    let blas = device.cublas_handle();
    // cuBLAS' matrices lie column by column: cᵀ = bᵀ·aᵀ, each as it lies here.
    // SAFETY: the plan gives matrices within its arrays.
    unsafe {
        gemm_strided_batched_ex(
            *blas.handle(),
            b.operation,
            a.operation,
            size(p.n)?,
            size(p.m)?,
            size(p.k)?,
            scale(&one),
            b.address as *const c_void,
            b.element,
            b.leading,
            b.stride,
            a.address as *const c_void,
            a.element,
            a.leading,
            a.stride,
            scale(&add),
            c.address as *mut c_void,
            c.element,
            c.leading,
            c.stride,
            size(p.batch)?,
            compute,
            cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
        )
    }
    .w()
}
