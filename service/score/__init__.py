"""Classifies many images at once: any number of rows, in parts that survive an interruption.

``inputs`` cuts what is to be read into parts, ``rows`` turns one part into rows of the result,
``engines`` does so on cores or machines, and ``result`` keeps the finished parts and joins them.
"""
