//! What a GPU does for one operation, as data: arrays, and the steps over them.
//!
//! A plan is a pure function of sizes. The same plan runs on a card (`cuda`), and in tests on an emulator of blocks and threads
//! (`tests/emulator`), so that index arithmetic and launch shapes are checked on any machine.

/// Type of an array's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    F32,
    Bf16,
    U8,
    U32,
    F64,
}

/// An array of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(pub(crate) usize);

/// Where an array comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Given by the caller, in the order of [`Plan::input`]; a step may change it in place.
    Input,
    /// Handed to the caller, in the order of [`Plan::output`].
    Output,
    /// Lives as long as the plan runs.
    Scratch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Array {
    pub(crate) element: Type,
    /// Elements.
    pub(crate) len: usize,
    pub(crate) role: Role,
    /// Whether it is 0 before the first step; otherwise its content is anything.
    pub(crate) zeroed: bool,
}

/// An argument of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Arg {
    /// `const T*` or `T*`.
    Array(Slot),
    /// A null pointer: the kernel does without.
    Absent,
    /// `unsigned`.
    U32(u32),
    /// `unsigned`: a size, which must be below 2³².
    Size(usize),
    /// `float`.
    F32(f32),
    /// `const unsigned long long*`: the addresses of the arrays, one after the other.
    Table(Vec<Slot>),
    /// `const unsigned*`: numbers that depend on sizes only (the same launch has the same ones in every step).
    Numbers(Vec<u32>),
}

/// One launch: `grid` blocks of `block` threads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Launch {
    /// Name of an `extern "C" __global__` function of `kernels/*.cu`.
    pub(crate) kernel: &'static str,
    pub(crate) grid: [u32; 3],
    pub(crate) block: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub(crate) shared: u32,
    pub(crate) args: Vec<Arg>,
}

/// A matrix in an array: element (i, j) of matrix `n` is at `offset + n·batch_stride + i·row + j`, or (j, i) where transposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Matrix {
    pub(crate) array: Slot,
    pub(crate) offset: usize,
    pub(crate) row: usize,
    pub(crate) batch_stride: usize,
    pub(crate) transposed: bool,
}

/// c `[m, n]` = a `[m, k]` · b `[k, n]` (+ c), `batch` times. Sums are f32 (cuBLAS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) batch: usize,
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    pub(crate) a: Matrix,
    pub(crate) b: Matrix,
    /// Not transposed.
    pub(crate) c: Matrix,
    /// Whether it is added to what c holds.
    pub(crate) add: bool,
    /// Whether f32 factors may be rounded to TF32.
    pub(crate) tf32: bool,
}

/// Which of the three products of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// y from x and w.
    Forward,
    /// x's gradient from y's and w.
    Input,
    /// w's gradient from x and y's.
    Weight,
}

/// A convolution, channels last (cuDNN N-d): x `[n, t, h, w, cin]`, w `[cout, kt, kh, kw, cin]`, y `[n, t', h', w', cout]`, all of
/// one type. Sums are f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Convolution {
    pub(crate) direction: Direction,
    /// Clips of x and y before the first of the batch.
    pub(crate) first: usize,
    pub(crate) batch: usize,
    /// t, h, w of the input.
    pub(crate) input: [usize; 3],
    pub(crate) cin: usize,
    pub(crate) cout: usize,
    pub(crate) kernel: [usize; 3],
    pub(crate) stride: [usize; 3],
    pub(crate) padding: [usize; 3],
    /// Whether f32 factors may be rounded to TF32.
    pub(crate) tf32: bool,
    /// Whether the result is added to what its array holds.
    pub(crate) add: bool,
    pub(crate) x: Slot,
    pub(crate) w: Slot,
    pub(crate) y: Slot,
}

impl Convolution {
    /// t', h', w'.
    pub(crate) fn output(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| (self.input[axis] + 2 * self.padding[axis] - self.kernel[axis]) / self.stride[axis] + 1)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Launch(Launch),
    Product(Product),
    Convolution(Convolution),
}

/// Arrays and the steps over them, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) arrays: Vec<Array>,
    pub(crate) steps: Vec<Step>,
}

impl Plan {
    fn array(&mut self, element: Type, len: usize, role: Role) -> Slot {
        self.arrays.push(Array { element, len, role, zeroed: false });
        Slot(self.arrays.len() - 1)
    }

    /// The next array that the caller gives.
    pub(crate) fn input(&mut self, element: Type, len: usize) -> Slot {
        self.array(element, len, Role::Input)
    }

    /// The next array that the caller gets.
    pub(crate) fn output(&mut self, element: Type, len: usize) -> Slot {
        self.array(element, len, Role::Output)
    }

    pub(crate) fn scratch(&mut self, element: Type, len: usize) -> Slot {
        self.array(element, len, Role::Scratch)
    }

    /// The array is 0 before the first step.
    pub(crate) fn zeroed(&mut self, slot: Slot) -> Slot {
        self.arrays[slot.0].zeroed = true;
        slot
    }

    /// One thread per element of `n`, in blocks of `block`; the kernel checks its index.
    pub(crate) fn each(&mut self, kernel: &'static str, n: usize, block: u32, args: Vec<Arg>) {
        self.blocks(kernel, [n.div_ceil(block as usize) as u32, 1, 1], block, 0, args);
    }

    /// `grid` blocks of `block` threads with `shared` bytes of shared memory.
    pub(crate) fn blocks(&mut self, kernel: &'static str, grid: [u32; 3], block: u32, shared: u32, args: Vec<Arg>) {
        self.launch(Launch { kernel, grid, block: [block, 1, 1], shared, args });
    }

    pub(crate) fn launch(&mut self, launch: Launch) {
        self.steps.push(Step::Launch(launch));
    }

    pub(crate) fn product(&mut self, product: Product) {
        self.steps.push(Step::Product(product));
    }

    pub(crate) fn convolution(&mut self, convolution: Convolution) {
        self.steps.push(Step::Convolution(convolution));
    }
}

impl Type {
    /// Of one element.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::Bf16 => 2,
            Self::F32 | Self::U32 => 4,
            Self::F64 => 8,
        }
    }
}

/// Shared memory of a block without asking for more; and what an A100 gives to the one that asks.
const SHARED: u32 = 48 << 10;
pub(crate) const MOST_SHARED: u32 = 163 << 10;

impl Launch {
    /// Whether the kernel must be told that it may take more shared memory.
    pub(crate) fn asks_for_shared(&self) -> bool {
        self.shared > SHARED
    }
}

impl Plan {
    /// Whether a card takes the launch.
    ///
    /// # Errors
    /// A sentence on what is beyond a limit.
    pub(crate) fn check(&self, launch: &Launch) -> Result<(), String> {
        let Launch { kernel, grid: [x, y, z], block, shared, .. } = launch;
        let threads = block.iter().map(|n| u64::from(*n)).product::<u64>();
        let fault = |what: String| Err(format!("{kernel}: {what}"));
        if *x == 0 || *y == 0 || *z == 0 || threads == 0 {
            return fault(format!("a grid of {:?} blocks of {block:?} threads is empty", launch.grid));
        }
        if *x > i32::MAX as u32 || *y > 65535 || *z > 65535 {
            return fault(format!("a grid of {:?} blocks", launch.grid));
        }
        if threads > 1024 || block[2] > 64 {
            return fault(format!("blocks of {block:?} threads"));
        }
        if *shared > MOST_SHARED {
            return fault(format!("{shared} bytes of shared memory"));
        }
        let beyond = |arg: &&Arg| matches!(arg, Arg::Size(n) if u32::try_from(*n).is_err());
        if let Some(Arg::Size(n)) = launch.args.iter().find(beyond) {
            return fault(format!("a size of {n}"));
        }
        let slots = launch.args.iter().flat_map(|arg| match arg {
            Arg::Array(slot) => std::slice::from_ref(slot),
            Arg::Table(slots) => slots,
            Arg::Absent | Arg::U32(_) | Arg::Size(_) | Arg::F32(_) | Arg::Numbers(_) => &[],
        });
        match slots.max() {
            Some(slot) if slot.0 >= self.arrays.len() => fault(format!("array {} of {}", slot.0, self.arrays.len())),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A launch of `grid` blocks of `block` threads, and whether it passes.
    fn passes(grid: [u32; 3], block: [u32; 3], shared: u32) -> bool {
        Plan::default().check(&Launch { kernel: "k", grid, block, shared, args: vec![Arg::U32(1)] }).is_ok()
    }

    #[test]
    fn launches_are_within_a_card_s_limits() {
        assert!(passes([i32::MAX as u32, 65535, 65535], [1024, 1, 1], MOST_SHARED));
        assert!(passes([1, 1, 1], [32, 8, 4], 0));
        for (grid, block) in [
            ([0, 1, 1], [1, 1, 1]),
            ([1, 1, 1], [32, 0, 1]),
            ([1 << 31, 1, 1], [1, 1, 1]),
            ([1, 65536, 1], [1, 1, 1]),
            ([1, 1, 65536], [1, 1, 1]),
            ([1, 1, 1], [1024, 2, 1]),
            ([1, 1, 1], [1, 1, 65]),
        ] {
            assert!(!passes(grid, block, 0), "{grid:?} {block:?}");
        }
        assert!(!passes([1, 1, 1], [32, 1, 1], MOST_SHARED + 1));
    }

    #[test]
    fn arrays_of_a_launch_are_the_plan_s() {
        let mut plan = Plan::default();
        let x = plan.input(Type::F32, 4);
        let with = |args| Launch { kernel: "k", grid: [1; 3], block: [32, 1, 1], shared: 0, args };
        assert!(plan.check(&with(vec![Arg::Array(x), Arg::Table(vec![x])])).is_ok());
        assert!(plan.check(&with(vec![Arg::Table(vec![x, Slot(1)])])).is_err());
        assert!(plan.check(&with(vec![Arg::Size(u32::MAX as usize)])).is_ok());
        assert!(plan.check(&with(vec![Arg::Size(1 << 32)])).is_err());
    }
}
