"""The benchmark: ``make bench``. What is measured, against what, and how it is told."""
