"""The functions of the language by name, and what other notations call them."""

from __future__ import annotations

from optcli.autograd import ops

FUNCTIONS: dict[str, ops.Op] = {spelling: op for op in ops.OPS.values() for spelling in op.spellings}
WHOLE_VECTOR = {"sum": 1, "dot": 2, "norm": 1}  # functions of whole vectors, with their number of arguments
SPECIAL = {"Piecewise", "Sum", "Product", *WHOLE_VECTOR}
NEEDS_BRACKET = {*FUNCTIONS, *SPECIAL} - {"gamma", "sum", "dot", "norm"}  # those four are variables without (
ELSEWHERE = {  # what other notations call it → what to write here
    **{f"arc{name}": f"a{name}(x)" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{f"ar{name}": f"a{name}(x)" for name in ("sinh", "cosh", "tanh")},
    "if": "where(condition, a, b)",
    "IF": "where(condition, a, b)",
    "iff": "where(condition, a, b)",
    "ifelse": "where(condition, a, b)",
    "select": "where(condition, a, b)",
    "sine": "sin(x)",
    "cosine": "cos(x)",
    "tangent": "tan(x)",
    "logarithm": "log(x)",
    "squareroot": "sqrt(x)",
    "arctan2": "atan2(y, x)",
    "pow": "x**y",
    "power": "x**y",
    "sqr": "x**2 for the square, sqrt(x) for the root",
    "square": "x**2",
    "root": "sqrt(x) or x**(1/3)",
    "sec": "1/cos(x)",
    "csc": "1/sin(x)",
    "cot": "1/tan(x)",
    "sech": "1/cosh(x)",
    "csch": "1/sinh(x)",
    "coth": "1/tanh(x)",
    "sinc": "sin(x)/x",
    "relu": "max(x, 0)",
    "ReLU": "max(x, 0)",
    "lgamma": "loggamma(x)",
    "gammaln": "loggamma(x)",
    "factorial": "gamma(x + 1)",
    "binomial": "exp(loggamma(n + 1) - loggamma(k + 1) - loggamma(n - k + 1))",
    "fabs": "abs(x)",
    "sgn": "sign(x)",
    "logistic": "sigmoid(x)",
    "lg": "log10(x)",
    "log_2": "log2(x)",
    "log_10": "log10(x)",
    "mod": "Mod(a, b)",
    "fmod": "Mod(a, b)",
    "clip": "min(max(x, a), b)",
    "mean": "sum(v)/n",
    "prod": "Product(x[i], (i, 1, n))",
    "maximum": "max(a, b)",
    "minimum": "min(a, b)",
    "And": "a and b",
    "Or": "a or b",
    "Not": "not a",
    "Rational": "1/3",
    "round": "floor(x + 1/2)",
    "logsumexp": "log(exp(x) + exp(y))",
}
