//! End-to-end tests across crates, through the public interfaces only. They are in `tests/main.rs`.
