//! What a server offers (4.4 … 4.9), in every revision: tools, resources, prompts, completions, lists, changes.

mod changes;
mod pages;
mod prompts;
mod resources;
mod tools;
