"""Who of two clusters has the GPUs of a host, and how they change hands: the pure side of ``cloudctl flip``.

``model`` holds the values, ``scene`` says what is where, ``mode`` what that amounts to, ``plan`` which steps are left,
``commands`` what each of them types, ``journal`` what is remembered between two runs, ``run`` carries the steps out
through a ``World``, the only thing that touches anything.
"""
