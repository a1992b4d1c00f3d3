//! Adapters to other people's tables, each behind the contract of `structures`.
//!
//! | module | whose | what it stands for |
//! |---|---|---|
//! | [`std_map`] | `std::collections::HashMap` | what one writes first: one map, one reader-writer lock |
//! | [`hashbrown_map`] | `hashbrown::HashTable` | the best general hash table of the language, sharded |
//! | [`hashbrown_prefix`] | the same, and one table per prefix length | longest-prefix match without any trie |
//! | [`sharded`] | ours | what a map needs around it to be a connection table: locks, slots, expiry, dump |
//!
//! A peer does what its table can do. None of these evicts: they have no order to evict by, and return `Full`.

pub mod hashbrown_map;
pub mod hashbrown_prefix;
pub mod sharded;
pub mod std_map;

pub use hashbrown_map::HashbrownMap;
pub use hashbrown_prefix::HashbrownPrefix;
pub use std_map::StdMap;
