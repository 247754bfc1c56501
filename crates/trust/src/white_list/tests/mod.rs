//! Tests of the white list. OPE-LIST; control cases LBL-*.

mod keeping;
mod oracle;
mod reading;
mod signing;
mod support;
mod wrapping;
