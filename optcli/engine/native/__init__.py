"""The fast engine: a Graph → a program of loops → LLVM → machine code, checked against the numpy engine."""
