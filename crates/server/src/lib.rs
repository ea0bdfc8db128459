//! What the applications of the Hubline server keep for themselves, on the public API of the libraries.

pub mod consultations;
