"""One command for a folder of noisy pictures (`--learn`): looks at them, chooses how to learn from them, does it, denoises
them, and writes what was chosen and why."""
