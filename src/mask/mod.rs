//! Answers without the values that policy protects: which columns those are, and what stands in
//! their place. Knows column types and message bodies, not who asks.
