"""Signals in, findings out: arrays with a sampling rate, numpy alone, nothing of ours imported. Streaming, causal, pure."""
