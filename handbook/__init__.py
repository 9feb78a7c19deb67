"""The documentation site: pages of docs/ as they are, those that are made from the program, and their order.

Everything here is plain text in, plain text out; only ``hook`` knows MkDocs. ``make docs`` builds, with warnings as
errors, into ``.lab/site``.
"""
