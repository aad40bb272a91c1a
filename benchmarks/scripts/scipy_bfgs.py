"""What an engineer writes today: SciPy's BFGS on the document's function, with the gradient by hand."""

import numpy as np
from scipy.optimize import minimize


def value_and_gradient(point):
    x, y = point
    residual = y - x**2
    return (1 - x) ** 2 + 5 * residual**2, np.array([-2 * (1 - x) - 20 * x * residual, 10 * residual])


result = minimize(value_and_gradient, [-1.0, 1.0], jac=True, method="BFGS")
print(result.x, result.fun, result.nit)
