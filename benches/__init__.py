"""Benches: what each hot path costs beside a named reference."""
