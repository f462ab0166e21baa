"""Measures a version, writes its card and draws its figures."""
