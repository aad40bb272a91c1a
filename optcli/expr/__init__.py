"""The language: text to tokens, to syntax, to unevaluated SymPy objects, to a Graph. The only home of SymPy."""
