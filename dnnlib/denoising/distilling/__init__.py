"""A plain network without a blind spot learns to do what another one did to pictures (`--denoise ... --distill N`).

May import all other packages but `learning`, and nothing of `commands`.
"""
