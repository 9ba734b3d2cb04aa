"""Objectives in the clothes of other packages, each imported when it is asked for."""
