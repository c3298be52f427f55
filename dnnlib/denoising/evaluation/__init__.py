"""What a network is worth: on clean pictures with noise added, and on pictures that are noisy already.

May import `data`, `pictures`, `network`, `noise` and `configuration`.
"""
