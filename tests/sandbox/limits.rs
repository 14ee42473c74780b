//! Every limit of a plugin, reached by a real one: the plugin is ended, and the report names the limit, its value and its
//! setting.

mod case;
mod memory;
mod output;
mod stacks;
mod time;
