//! How much of the machine is left to others.

use bulk::CpuShare;
use connote::threads::Topology;

use super::EmbedArgs;
use crate::failure::Failure;

/// The lowest priority, for all threads that are started from now on.
pub(super) fn give_way() -> Result<(), Failure> {
    bulk::lowest_priority()
        .map_err(|error| Failure::nothing(format!("--nice: the system does not lower the priority: {error}")))
}

/// A share of the CPUs that this process may use.
pub(super) fn share(percent: u8) -> CpuShare {
    CpuShare::new(percent, Topology::detect().workers())
}

/// Threads for the network: as asked for, and no more than the share needs.
pub(super) fn threads(args: &EmbedArgs, share: Option<CpuShare>) -> usize {
    match (args.vector.network.threads, share) {
        (threads, None) => threads,
        (0, Some(share)) => share.threads(),
        (threads, Some(share)) => threads.min(share.threads()),
    }
}
