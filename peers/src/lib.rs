//! Adapters to other people's tables, each behind the contract of `structures`.
