"""Automatic differentiation over numpy: primitives, eager Tensors, the static Graph and its derivatives."""
