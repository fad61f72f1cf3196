"""How heatmaps are scored: one kind of evidence a module."""
