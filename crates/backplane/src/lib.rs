//! The seam between a hub and the other instances of a fleet.
