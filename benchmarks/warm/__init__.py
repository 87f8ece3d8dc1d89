"""What a warm invocation costs, beside its reference in the same run: `python -m benchmarks.warm`."""
