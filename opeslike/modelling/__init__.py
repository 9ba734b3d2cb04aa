"""The vocabulary an objective is written in: losses, risks, quadratics, bounds, solutions."""
