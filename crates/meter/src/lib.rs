//! Numbers about a running server: counters, gauges, histograms, and the text that Prometheus reads.
//!
//! Ground floor: imports nothing, so that every crate may count. Counting costs one relaxed atomic addition where the series is
//! held, and one look-up in a short list where its labels are only known on the spot.
//!
//! Invariants: labels are words of ours (entry points, commands, reply codes) or names of servers, never of people; a family has at
//! most [`MAX_SERIES`] series, what is beyond is counted under `other`; a family made twice is the same one.
#![deny(missing_docs)]

mod entrance;
mod registry;
mod text;

pub use entrance::{Entrance, Refusal, Stage, Stay};
pub use registry::{Counter, Counters, Gauge, Gauges, Histogram, Histograms, MAX_SERIES, Registry};
pub use text::Text;
