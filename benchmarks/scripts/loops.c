/* The peers in C: value and gradient by hand, compiled on the spot. */
#include <math.h>

/* The document's loop: value, gradient, the lowest point so far, update. */
double document(double *point, double *best, long iterations, double rate) {
    double x = point[0], y = point[1], lowest = HUGE_VAL;
    for (long i = 0; i < iterations; i++) {
        double u = 1 - x, r = y - x * x;
        double value = u * u + 5 * r * r;
        double gx = -2 * u - 20 * x * r, gy = 10 * r;
        if (value < lowest) {
            lowest = value;
            best[0] = x;
            best[1] = y;
        }
        x -= rate * gx;
        y -= rate * gy;
    }
    point[0] = x;
    point[1] = y;
    return lowest;
}

/* Chained Rosenbrock: sum of 100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2. */
double chained(const double *restrict x, double *restrict g, long n) {
    double value = 0;
    for (long i = 0; i < n; i++) g[i] = 0;
    for (long i = 0; i < n - 1; i++) {
        double r = x[i + 1] - x[i] * x[i], u = 1 - x[i];
        value += 100 * r * r + u * u;
        g[i] += -400 * x[i] * r - 2 * u;
        g[i + 1] += 200 * r;
    }
    return value;
}
