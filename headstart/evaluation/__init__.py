"""What logits, labels and other arrays say: pure functions, no model, no device, no file."""
