//! The emulator itself: what a correct kernel gives, and that faults are found.

use super::*;

/// Kernels that show what the emulator does; right ones and wrong ones.
const KERNELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/emulator");

fn one(kernel: &'static str, grid: u32, block: u32, shared: u32, len: usize) -> Option<Result<Vec<f32>, String>> {
    let mut plan = Plan::default();
    let x = plan.input(Type::F32, len);
    let y = plan.output(Type::F32, len);
    let count = plan.scratch(Type::U32, 1);
    let count = plan.zeroed(count);
    let args = vec![Arg::Array(x), Arg::Array(y), Arg::Array(count), Arg::U32(len as u32)];
    plan.launch(Launch { kernel, grid: [grid, 1, 1], block: [block, 1, 1], shared, args });
    let values: Vec<f32> = (0..len).map(|i| i as f32).collect();
    match run_in(Path::new(KERNELS), &plan, &[Host::F32(values)]) {
        Ok(done) => Some(Ok(done?.outputs[0].floats())),
        Err(what) => Some(Err(what)),
    }
}

#[test]
fn shuffles_barriers_and_shared_memory() {
    for (kernel, shared) in [("react_reverse_shared", 96 * 4), ("react_reverse_shuffles", 0)] {
        let Some(found) = one(kernel, 3, 96, shared, 200) else { return };
        let want: Vec<f32> = (0..200)
            .map(|i| if kernel.ends_with("shared") { i / 96 * 96 + (95 - i % 96) } else { i / 32 * 32 + (31 - i % 32) })
            .map(|i| if i < 200 { i as f32 } else { -1.0 })
            .collect();
        assert_eq!(found.unwrap(), want, "{kernel}");
    }
    let Some(found) = one("react_sum", 2, 96, 0, 192) else { return };
    assert_eq!(found.unwrap(), [vec![(0..96).sum::<i32>() as f32; 96], vec![(96..192).sum::<i32>() as f32; 96]].concat());
    let Some(found) = one("react_votes", 1, 64, 0, 64) else { return };
    assert_eq!(found.unwrap(), vec![11.0; 64]);
}

#[test]
fn what_nobody_wrote_is_not_a_number() {
    let Some(found) = one("react_leaves_half", 1, 32, 0, 32) else { return };
    let found = found.unwrap();
    assert!(found[..16].iter().all(|x| *x == 0.0) && found[16..].iter().all(|x| x.is_nan()), "{found:?}");
}

#[test]
fn faults_are_found() {
    for (kernel, block, shared, want) in [
        ("react_reads_behind", 32, 0, "of array"),
        ("react_writes_behind", 32, 0, "writes behind array 1, at byte 132"),
        ("react_writes_before", 32, 0, "before array 1"),
        ("react_null", 32, 0, "outside of every array"),
        ("react_beyond_shared", 32, 64, "of 64 of shared memory"),
        ("react_missing_at_barrier", 64, 0, "threads are missing at __syncthreads"),
        ("react_missing_lane", 32, 0, "lanes are missing at __shfl_xor_sync"),
        ("react_reads_absent_lane", 32, 0, "a shuffle reads a lane that takes no part"),
        ("react_no_such", 32, 0, "no file"),
        ("react_reverse_shared", 2048, 0, "blocks of [2048, 1, 1] threads"),
    ] {
        let Some(found) = one(kernel, 1, block, shared, 33) else { return };
        let error = found.expect_err(kernel);
        assert!(error.contains(kernel) && error.contains(want), "{error}");
    }
}

#[test]
fn arguments_are_checked() {
    let mut plan = Plan::default();
    let x = plan.input(Type::F32, 4);
    plan.each("react_sum", 4, 32, vec![Arg::Array(x), Arg::F32(1.0)]);
    match run_in(Path::new(KERNELS), &plan, &[Host::F32(vec![0.0; 4])]) {
        Ok(done) => assert!(done.is_none()),
        Err(what) => assert!(what.contains("takes arguments pppu, is given pf"), "{what}"),
    }
}

#[test]
fn tables_of_arrays() {
    let mut plan = Plan::default();
    let slots: Vec<Slot> = (0..5).map(|i| plan.input(Type::F32, 3 + i)).collect();
    plan.each("react_table", 5, 32, vec![Arg::Table(slots), Arg::U32(5)]);
    let inputs: Vec<Host> = (0..5).map(|i| Host::F32(vec![i as f32; 3 + i])).collect();
    let Some(done) = run_in(Path::new(KERNELS), &plan, &inputs).unwrap() else { return };
    for (i, array) in done.inputs.iter().enumerate() {
        assert_eq!(array.floats()[..3], [i as f32, i as f32 + 10.0, i as f32], "{i}");
    }
}

#[test]
fn products_and_convolutions() {
    let mut plan = Plan::default();
    let (a, b) = (plan.input(Type::F32, 6), plan.input(Type::F32, 6));
    let c = plan.output(Type::F32, 4);
    let c = plan.zeroed(c);
    let matrix = |array, row, transposed| crate::gpu::plan::Matrix { array, offset: 0, row, batch_stride: 0, transposed };
    let (m, n, k) = (2, 2, 3);
    let product = crate::gpu::plan::Product {
        batch: 1,
        m,
        n,
        k,
        a: matrix(a, 3, false),
        b: matrix(b, 3, true),
        c: matrix(c, 2, false),
        add: true,
        tf32: false,
    };
    plan.product(product);
    plan.product(product);
    let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let Some(done) = run(&plan, &[Host::of(Type::F32, &values), Host::of(Type::F32, &values)]) else { return };
    assert_eq!(done.outputs[0].floats(), [28.0, 64.0, 64.0, 154.0]);
}
