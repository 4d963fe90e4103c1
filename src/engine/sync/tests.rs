//! Stories on a model cluster: every guard, and that nothing is done twice.
//!
//! The golden files show what a reader would ask for: why, the events, the writes, and what the patch says.

mod differences;
mod guards;
mod model;
mod shown;
mod stories;
mod waves;
