"""Stands in for t5x where it is not installed: the names and parameters that gin files bind, and no more.

The names are those of t5x at commit cc342d4; everything that it makes is a record of its arguments. A gin file that parses here binds only names that t5x has.
"""
