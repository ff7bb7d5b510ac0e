//! What the fuzz targets compare `pylon-core` with: readers that are written to be read, by other means.

pub mod event;
pub mod interest;
pub mod invoice;
pub mod payload;
pub mod related;
