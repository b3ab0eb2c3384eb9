"""What logits and labels say: pure functions, no model, no device."""
