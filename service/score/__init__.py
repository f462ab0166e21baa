"""Classifies many images at once: any number of rows, in parts that survive an interruption.

``inputs`` reads images and cuts them into parts, ``engines`` classifies parts on cores or machines,
and ``result`` keeps the finished parts and joins them.
"""
