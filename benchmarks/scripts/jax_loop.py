"""The document's loop in JAX: compiled, with value and gradient every 100 iterations."""

import jax

jax.config.update("jax_enable_x64", True)


def function(point):
    x, y = point
    return (1 - x) ** 2 + 5 * (y - x**2) ** 2


@jax.jit
def hundred(point):
    def update(_, carried):
        point = carried[0]
        value, slope = jax.value_and_grad(function)(point)
        return point - 0.01 * slope, value, slope

    return jax.lax.fori_loop(0, 100, update, (point, 0.0, point))


point = jax.numpy.array([-1.0, 1.0])
for row in range(1, 11):
    point, value, slope = hundred(point)
    print(100 * row, float(value), slope)
print(point)
