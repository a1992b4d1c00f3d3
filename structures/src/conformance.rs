//! The suite every table must pass. (Filled in by the conformance work; see `table` for the clauses.)
