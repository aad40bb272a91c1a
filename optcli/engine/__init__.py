"""Engines: a Graph becomes a Plan, a compiled function of its inputs."""
