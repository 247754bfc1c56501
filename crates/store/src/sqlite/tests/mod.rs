//! Tests of the durable engine alone.
