"""A network learns from the very pictures that it is to denoise (`--denoise ... --adapt N`), self-supervised.

May import all other packages but nothing of `commands`.
"""
