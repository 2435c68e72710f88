//! Nearest vectors: exact and quantised, saved on disk.
//!
//! A [`Builder`] takes vectors and the columns beside them and makes a collection: one file, complete or not there.
//! A [`Collection`] maps it, which takes no time whatever its size, and searches it: every vector is compared, at the
//! speed of memory. Scores are dot products, which are cosines for vectors of length 1.
//!
//! ```
//! use connote_index as index;
//! use index::{Builder, Collection, ColumnKind, Plan, Precision, Scheme, Space, Values, Vectors};
//!
//! let folder = tempfile::tempdir()?;
//! let scheme = Scheme {
//!     space: Space { dimensions: 2, normalized: true, ..Space::default() },
//!     precisions: vec![Precision::F32],
//!     columns: vec![("id".to_owned(), ColumnKind::Integer)],
//! };
//! let mut builder = Builder::create(folder.path(), scheme)?;
//! builder.push(Vectors::F32(&[1.0, 0.0, 0.6, 0.8]), &[Values::Integers(&[Some(7), Some(8)])])?;
//! builder.finish()?;
//!
//! let collection = Collection::open(folder.path())?;
//! let team = threads::Team::new(1);
//! let plan = Plan { top: 1, ..Plan::new(Precision::F32) };
//! let hits = collection.search(&team, &[vec![0.0, 1.0]], &plan)?;
//! assert_eq!((hits[0][0].row, hits[0][0].score), (1, 0.8));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod builder;
mod collection;
mod columns;
mod encoding;
mod error;
mod filter;
mod layout;
mod map;
mod precision;
mod scan;
mod scheme;
mod search;
mod spool;
mod top;

pub use builder::{Builder, Values, Vectors};
pub use collection::{Collection, FILE_NAME};
pub use columns::{ColumnKind, Value};
pub use encoding::{pack_bits, to_f16};
pub use error::{Error, ErrorKind};
pub use filter::{Filter, Test};
pub use precision::Precision;
pub use scheme::{MAX_DIMENSIONS, Scheme, Space};
pub use search::Plan;
pub use top::Hit;
