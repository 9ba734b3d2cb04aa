"""Searches for objectives that are not convex: the best of several starts, without a gap."""
