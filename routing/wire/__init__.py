"""One file per wire format: pure translation of requests, answers, chunks, usage and errors."""
