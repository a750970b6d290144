//! Runs the scripts and holds a log model for them.

pub mod commands;
pub mod model_log;
pub mod script;
