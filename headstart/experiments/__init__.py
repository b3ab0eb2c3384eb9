"""Comparisons and learning curves: trials, planned, run one after the other, and reported."""
