"""A language model of a few kilobytes with random weights, for a real inference server to load."""

from __future__ import annotations

import sys
from pathlib import Path

import gguf
import numpy as np

WIDTH = 32
HEADS = 4
FEED_FORWARD = 64
CONTEXT = 2048
# Every printable character is a token of its own; the space and the newline have the names that
# byte-level tokenizers give them.
CHARACTERS = ["Ġ", "Ċ", *(chr(number) for number in range(33, 127))]
SPECIAL = ["<|start|>", "<|end|>"]
TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message.role }}\n{{ message.content }}<|end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


def write_model(path: Path) -> None:
    """Write the model as a GGUF file; the same weights every time."""
    chance = np.random.default_rng(7)
    tokens = SPECIAL + CHARACTERS
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    kinds = [gguf.TokenType.CONTROL] * len(SPECIAL) + [gguf.TokenType.NORMAL] * len(CHARACTERS)
    writer.add_token_types(kinds)
    writer.add_token_merges(["Ġ Ġ"])  # of a token that is not there: it never applies
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)

    def weights(name: str, *shape: int) -> None:
        writer.add_tensor(name, chance.normal(0, 0.3, shape).astype(np.float32))

    weights("token_embd.weight", len(tokens), WIDTH)
    weights("output.weight", len(tokens), WIDTH)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    for norm in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{norm}.weight", np.ones(WIDTH, np.float32))
    for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
        weights(f"blk.0.{part}.weight", WIDTH, WIDTH)
    weights("blk.0.ffn_gate.weight", FEED_FORWARD, WIDTH)
    weights("blk.0.ffn_up.weight", FEED_FORWARD, WIDTH)
    weights("blk.0.ffn_down.weight", WIDTH, FEED_FORWARD)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def serve(path: str, port: int, *, embeddings: bool) -> None:
    """Serve the model with llama.cpp's own server until this process is ended."""
    import threading

    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.model_alias = {"tiny"}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_ctx = CONTEXT
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    params.warmup = False
    params.use_jinja = True
    if embeddings:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), embeddings="--embeddings" in sys.argv)
