//! response tests
