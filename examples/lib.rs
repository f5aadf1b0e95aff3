//! The examples are beside this file, one folder each.
