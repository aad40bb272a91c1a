"""What a parsed text is: a flat list of nodes in postorder, and the words that mean something by themselves."""

from __future__ import annotations

from typing import Any, NamedTuple

CONSTANTS = {"pi": "pi", "π": "pi", "E": "E"}
TRUTH = {"True", "False"}
RESERVED = {*CONSTANTS, *TRUTH, "I", "oo", "and", "or", "not", "None"}
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
CONDITIONS = frozenset({"compare", "and", "or", "not", "truth"})
NONE: frozenset[int] = frozenset()


class SyntaxNode(NamedTuple):
    """One part of the text. `args` are numbers of earlier nodes.

    kinds: number (value float) · constant · truth · name · use (value: name of a definition, args (its node,)) ·
    bound (value (name, binder)) · neg + - * / ** ·
    compare (value: the operators) · and · or · not · call (value: name) · at (value: name of the vector) ·
    sum · product (value (name, binder), args (body, low, high)) · pair
    """

    kind: str
    value: Any
    args: tuple[int, ...]
    start: int
    end: int


class Syntax(NamedTuple):
    """A parsed text: nodes in postorder, the root last reached from `root`; names in the order of first appearance."""

    text: str
    nodes: tuple[SyntaxNode, ...]
    root: int
    names: tuple[str, ...]
    definitions: tuple[tuple[str, int], ...]

    def below(self, k: int) -> list[int]:
        """The nodes that a part is made of, itself included, arguments first."""
        found, stack = set(), [k]
        while stack:
            at = stack.pop()
            if at not in found:
                found.add(at)
                stack.extend(self.nodes[at].args)
        return sorted(found)

    def open_indices(self) -> list[frozenset[int]]:
        """The binders outside of each node whose indices its value may vary with."""
        found: list[frozenset[int]] = [NONE] * len(self.nodes)
        if not any(node.kind == "bound" for node in self.nodes):
            return found
        for k, node in enumerate(self.nodes):
            if node.kind == "bound":
                found[k] = frozenset((node.value[1],))
            elif node.kind in ("sum", "product"):
                body, low, high = (found[arg] for arg in node.args)
                found[k] = (body - {node.value[1]}) | low | high
            elif node.args and node.kind != "use":  # a definition stands outside of every Sum
                found[k] = _union([found[arg] for arg in node.args])
        return found

    def __str__(self) -> str:
        lines = []
        for k, node in enumerate(self.nodes):
            value = "" if node.value is None else f" {node.value}"
            args = f" ({', '.join(map(str, node.args))})" if node.args else ""
            lines.append(f"{k:4d}  {node.kind}{value}{args}  [{node.start}:{node.end}]")
        return "\n".join(lines)


def _union(sets: list[frozenset[int]]) -> frozenset[int]:
    """All of them together; the largest itself where it holds the others, as long texts keep one a node."""
    largest = max(sets, key=len)
    return largest if all(part <= largest for part in sets) else largest.union(*sets)
