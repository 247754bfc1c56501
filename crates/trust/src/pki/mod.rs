//! A certificate authority shaped like IGC-Santé TEST.
