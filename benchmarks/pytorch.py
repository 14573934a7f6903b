"""The same step in PyTorch, in each of the ways one would write it: eager, compiled, and in place by hand."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

Step = Callable[[int], None]


class PyTorch:
    """Steps of plain gradient descent on a ReLU network, float32, one thread; images (n, inputs), labels (n,)."""

    def __init__(self, sizes: tuple[int, ...], images: np.ndarray, labels: np.ndarray, batch: int, rate: float) -> None:
        import torch

        torch.set_num_threads(1)
        self.torch, self.sizes, self.batch, self.rate = torch, sizes, batch, rate
        count = len(labels) // batch
        shape = (count, batch) if batch > 1 else (count,)
        self.images = torch.tensor(images[: count * batch]).reshape(*shape, sizes[0])
        self.labels = torch.tensor(labels[: count * batch]).reshape(shape)
        self.classes = self.labels.tolist()
        self.count = count

    def variants(self) -> dict[str, Step]:
        """Name -> step on batch i; those that do not work here are left out with a line that says so."""
        found = {"eager": self._eager(), "by hand": self._by_hand(), "compiled": self._compiled()}
        working: dict[str, Step] = {}
        for name, step in found.items():
            try:
                step(0)
                working[name] = step
            except Exception as error:  # noqa: BLE001 (a compiler may be missing in any way)
                print(f"  PyTorch {name} does not work here: {str(error).splitlines()[0]}")
        return working

    def seconds(self, step: Step, steps: int) -> float:
        """Seconds a sample."""
        started = time.perf_counter()
        for i in range(steps):
            step(i % self.count)
        return (time.perf_counter() - started) / (steps * self.batch)

    def _eager(self) -> Step:
        torch = self.torch
        layers: list[object] = []
        for m, n in zip(self.sizes[:-1], self.sizes[1:], strict=True):
            layers += [torch.nn.Linear(m, n, bias=False), torch.nn.ReLU()]
        model = torch.nn.Sequential(*layers[:-1])
        optimiser = torch.optim.SGD(model.parameters(), lr=self.rate)

        def step(i: int) -> None:
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(self.images[i]), self.labels[i]).backward()
            optimiser.step()

        return step

    def _weights(self) -> list:
        pairs = zip(self.sizes[:-1], self.sizes[1:], strict=True)
        return [self.torch.randn(n, m) * (2 / m) ** 0.5 for m, n in pairs]  # the layout that mv and addr_ like best

    def _by_hand(self) -> Step:
        if self.batch == 1:
            weights = self._weights()
            return lambda i: self._one(weights, self.images[i], self.classes[i])
        weights = [w.t().contiguous() for w in self._weights()]
        return lambda i: self._many(weights, self.images[i], self.labels[i])

    def _compiled(self) -> Step:
        torch = self.torch
        if self.batch > 1:
            weights = [w.t().contiguous() for w in self._weights()]
            many = torch.compile(lambda x, y: self._many(weights, x, y))
            return lambda i: many(self.images[i], self.labels[i])
        weights, onehot = self._weights(), torch.eye(self.sizes[-1])
        one = torch.compile(lambda x, y: self._one(weights, x, None, y))
        return lambda i: one(self.images[i], onehot[self.classes[i]])

    def _one(self, weights, x, label, onehot=None) -> None:
        torch = self.torch
        with torch.no_grad():
            h = [x]
            for w in weights[:-1]:
                h.append(torch.mv(w, h[-1]).clamp_(min=0))
            d = torch.softmax(torch.mv(weights[-1], h[-1]), 0)
            if onehot is None:
                d[label] -= 1
            else:
                d = d - onehot
            for layer in range(len(weights) - 1, -1, -1):
                before = torch.mv(weights[layer].t(), d).mul_(h[layer] > 0) if layer else d
                weights[layer].addr_(d, h[layer], alpha=-self.rate)
                d = before

    def _many(self, weights, x, labels) -> None:
        torch = self.torch
        with torch.no_grad():
            h = [x]
            for w in weights[:-1]:
                h.append((h[-1] @ w).clamp_(min=0))
            d = torch.softmax(h[-1] @ weights[-1], 1)
            d = d - torch.nn.functional.one_hot(labels, self.sizes[-1])
            for layer in range(len(weights) - 1, -1, -1):
                before = (d @ weights[layer].t()).mul_(h[layer] > 0) if layer else d
                weights[layer].addmm_(h[layer].t(), d, alpha=-self.rate / self.batch)
                d = before
