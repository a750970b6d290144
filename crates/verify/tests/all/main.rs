//! The checker as its users meet it: whole histories, in memory and in files.

mod files;
mod model;
mod mutations;
