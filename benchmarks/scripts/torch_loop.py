"""The document's loop in torch: eager, with value and gradient every 100 iterations."""

import torch

point = torch.tensor([-1.0, 1.0], dtype=torch.float64, requires_grad=True)
for i in range(1, 1001):
    value = (1 - point[0]) ** 2 + 5 * (point[1] - point[0] ** 2) ** 2
    value.backward()
    if i % 100 == 0:
        print(i, value.item(), point.grad)
    with torch.no_grad():
        point.sub_(0.01 * point.grad)
        point.grad.zero_()
print(point)
