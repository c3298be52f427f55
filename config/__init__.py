"""What can be run: configurations and validation sets. Data only; the scripts import it."""
