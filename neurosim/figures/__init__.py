"""Figures, made from metrics and studies; the only place that imports matplotlib."""
