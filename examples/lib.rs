//! An empty library: the examples are in the folders beside this file.
