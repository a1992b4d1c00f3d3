//! Plans cells, runs and checks them, writes records.
