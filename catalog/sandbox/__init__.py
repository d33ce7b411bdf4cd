"""A practice provider: speaks like OpenAI and Anthropic, calls nobody, fails on demand."""
