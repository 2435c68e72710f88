//! Threads and the machine they run on; what they compute is not known here.
//!
//! - [`Team`]: a few parked threads and a caller that share the parts of one call. Forking and joining costs
//!   about a microsecond while the team is awake; at rest it costs nothing.
//! - [`Chunks`]: slices cut so that every part has its piece to itself, without unsafe code in the caller.
//! - [`Budget`]: the CPUs that this process may use, shared by all teams and workers, so that nested and
//!   concurrent use never runs more threads than there are CPUs.
//! - [`Topology`]: cores, SMT siblings, NUMA nodes, affinity, cgroup limits, as facts a person can read.
//! - [`Placement`]: which workers go to which NUMA node, on machines that have several.
//! - [`CpuSet`] and [`pin_current_thread`]: pinning, which is off unless asked for.
//!
//! ```
//! use std::sync::atomic::{AtomicUsize, Ordering};
//! # use connote_threads as threads;
//!
//! let team = threads::Team::new(threads::Topology::detect().workers());
//! let sum = AtomicUsize::new(0);
//! team.run(100, &|part| {
//!     sum.fetch_add(part, Ordering::Relaxed);
//! });
//! assert_eq!(sum.into_inner(), 4950);
//! ```

mod budget;
mod call;
mod cgroup;
mod chunks;
mod cpu_set;
mod limits;
mod pin;
mod placement;
mod sleep;
mod sync;
mod sysfs;
mod team;
mod topology;

pub use budget::{Budget, Seat};
pub use cgroup::{memory_left, memory_limit};
pub use chunks::{Chunks, Pieces};
pub use cpu_set::{CpuSet, MAX_CPUS};
pub use limits::Limit;
pub use pin::{current_cpu, pin_current_thread, step_aside};
pub use placement::{Place, Placement};
pub use sysfs::cpu_info;
pub use team::{MAX_THREADS, PassGuard, Pinning, Team, TeamOptions};
pub use topology::{Cpu, Node, Topology};
