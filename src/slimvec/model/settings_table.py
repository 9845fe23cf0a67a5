"""Every key of every settings file of a model folder that others write, and what slimvec does about it.

`applied`: it decides what it says. `harmless`: it changes no vector, whatever it says. `refused`: it would change a
vector in a way that is not served; the model does not load. A key that is none of these may change one: a warning.
docs/formats.md is this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from slimvec.errors import ModelError

Effect = Literal["applied", "harmless", "refused"]


@dataclass(frozen=True)
class Key:
    """A key of a settings file.

    Attributes:
        name: The key; one that ends in `.*` stands for all that begin as it does.
        effect: What slimvec does about it.
        fine: Values of a refused key that ask for nothing; None and an empty list or object are always among them.
        about: What it decides, or why it does not matter.
    """

    name: str
    effect: Effect
    fine: tuple[Any, ...] = ()
    about: str = ""


@dataclass(frozen=True)
class SettingsFile:
    """A kind of settings file.

    Attributes:
        name: Its name, or names.
        about: What it is.
        keys: By name.
    """

    name: str
    about: str
    keys: Mapping[str, Key]

    def find(self, name: str) -> Key | None:
        """Find a key; None if it is not known."""
        starts = (key for key in self.keys.values() if key.name.endswith(".*") and name.startswith(key.name[:-1]))
        return self.keys.get(name) or next(starts, None)

    def check(self, path: Path, content: Mapping[str, Any]) -> list[str]:
        """Hold the content of a file against the table.

        Returns:
            One line for each key that is not known.

        Raises:
            ModelError: a key asks for something that is not served.
        """
        for name, value in content.items():
            key = self.find(name)
            if key and key.effect == "refused" and value not in (None, [], {}, "") and value not in key.fine:
                fine = ", ".join(repr(one) for one in key.fine) or "none"
                raise ModelError(f"{path} has {name} {value!r}", expected=f"{fine}: {key.about} is not served")
        return [
            f"{path} has a key {name!r} that slimvec does not know; it may change vectors"
            for name in content
            if self.find(name) is None and not name.startswith("_")
        ]


def _table(name: str, about: str, *, applied: str = "", harmless: str = "", refused: str = "") -> SettingsFile:
    """Read a table from lines of `key, key: what about it`; a refused key's fine values stand in brackets."""
    keys: dict[str, Key] = {}
    effects: tuple[tuple[Effect, str], ...] = (("applied", applied), ("harmless", harmless), ("refused", refused))
    for effect, lines in effects:
        for line in filter(None, map(str.strip, lines.splitlines())):
            names, _, what = line.partition(": ")
            names, _, fine = names.partition(" = ")
            values = tuple(_VALUES.get(value, value) for value in fine.split(" | ")) if fine else ()
            keys |= {one: Key(one, effect, values, what) for one in names.split(", ")}
    return SettingsFile(name, about, keys)


_VALUES: dict[str, Any] = {
    "true": True,
    "false": False,
    "0": 0,
    "0.0": 0.0,
    "1": 1,
    "1.0": 1.0,
    "text": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
}

CONFIG = _table(
    "config.json",
    "The transformer. Older and newer spellings.",
    applied="""
        model_type: the architecture
        vocab_size, hidden_size, intermediate_size, num_hidden_layers: shapes
        num_attention_heads, num_key_value_heads, head_dim: shapes of attention
        hidden_act, hidden_activation: activation of the feed-forward layers
        rms_norm_eps, layer_norm_eps: added in every norm
        max_position_embeddings: the longest text, where no other file says less
        type_vocab_size: rows of BERT's table of segments; all texts are segment 0
        pad_token_id: where RoBERTa's positions start
        rope_theta, rope_scaling, rope_parameters, rope_local_base_freq, partial_rotary_factor: rotary positions
        original_max_position_embeddings: the same
        attention_bias, mlp_bias, query_pre_attn_scalar, attn_logit_softcapping: attention and feed-forward
        sliding_window, use_sliding_window, max_window_layers, layer_types: sliding windows by layer
        sliding_window_pattern: sliding windows by layer, in older files
        is_causal, is_decoder, use_bidirectional_attention: whether a token sees what comes after it
        dtype, torch_dtype: dtype of the weights in memory
    """,
    harmless="""
        architectures: the class with its head; the bare model is loaded
        attention_dropout, attention_probs_dropout_prob, hidden_dropout_prob, classifier_dropout: training alone
        hidden_dropout, resid_pdrop, embd_pdrop, attn_pdrop: training alone
        initializer_range, initializer_factor, gradient_checkpointing: training alone
        bos_token_id, eos_token_id, sep_token_id, cls_token_id, mask_token_id, unk_token_id: the tokenizer has its own
        use_cache, cache_implementation, transformers_version, name_or_path, output_past: how it runs
        return_dict, output_attentions, output_hidden_states, torchscript, use_bfloat16: what a call returns
        id2label, label2id, num_labels, problem_type, finetuning_task, task_specific_params: heads that are not loaded
        tie_word_embeddings, final_logit_softcapping, summary_type, summary_use_proj: heads that are not loaded
        pooler_fc_size, pooler_num_attention_heads, pooler_num_fc_layers, pooler_size_per_head: BERT's pooler, not used
        pooler_type, num_pooler_layers, directionality: BERT's pooler, not used
        pretraining_tp, unsloth_version, unsloth_fixed, unsloth_processed, transformers.js_config: how others run it
        model_max_length, max_length, min_length, do_sample, num_beams, temperature, top_k, top_p: generation
        repetition_penalty, length_penalty, early_stopping, bad_words_ids, prefix, forced_bos_token_id: generation
        no_repeat_ngram_size, num_return_sequences, num_beam_groups, diversity_penalty, typical_p: generation
        encoder_no_repeat_ngram_size, forced_eos_token_id, suppress_tokens, begin_suppress_tokens: generation
        exponential_decay_length_penalty, remove_invalid_values, return_dict_in_generate, output_scores: generation
        decoder_start_token_id, language, license, datasets, auto_map: of auto_map slimvec says that its code is not run
        rope_interleaved, is_llama_config, quantization: left by converters, read by nothing
        tf_legacy_loss, gradient_checkpointing_kwargs, onnx_export, attn_implementation: how others run it
        sentence_transformers: version that made it
    """,
    refused="""
        position_embedding_type = absolute: another kind of positions
        is_encoder_decoder = false: a second stack of layers
        add_cross_attention, cross_attention_hidden_size = false: attention to another model
        pruned_heads: heads that were cut out
        chunk_size_feed_forward = 0: feed-forward in chunks
        quantization_config, compression_config: weights in a packed form
        vision_config, text_config, audio_config: a model of more than text
        embedding_size, num_hidden_groups: factored embeddings
        num_local_experts, num_experts: mixtures of experts
        residual_multiplier, embedding_multiplier, attention_multiplier = 1 | 1.0: scaled layers
    """,
)
TOKENIZER_CONFIG = _table(
    "tokenizer_config.json",
    "How transformers wraps the tokenizer. The tokenizer itself is tokenizer.json, read whole.",
    applied="""
        model_max_length: the longest text, where the module's file does not say
    """,
    harmless="""
        add_bos_token, add_eos_token: tokenizer.json decides, in transformers too; where they differ it is a warning
        auto_map: code of the folder, which is not run; a warning
        tokenizer_class, backend, is_local, local_files_only, from_slow, legacy, use_fast: the class around it
        bos_token, eos_token, unk_token, pad_token, sep_token, cls_token, mask_token: tokenizer.json has its own
        additional_special_tokens, extra_special_tokens, special_tokens, model_specific_special_tokens: the same
        added_tokens_decoder, special_tokens_map_file, name_or_path, tokenizer_file, vocab_file, merges_file: the same
        do_lower_case, strip_accents, tokenize_chinese_chars, never_split, do_basic_tokenize: the normaliser has them
        do_lowercase, keep_accents, add_prefix_space, trim_offsets, errors, sp_model_kwargs: the same
        spaces_between_special_tokens: decoding
        clean_up_tokenization_spaces, use_default_system_prompt, chat_template, response_schema: decoding and chat
        padding_side, pad_to_multiple_of, pad_token_type_id, model_input_names, truncation, padding: nothing is padded
        processor_class, image_token, boi_token, eoi_token, audio_token: not used
        stride, max_len, max_length, truncation_strategy: not used
        split_special_tokens, fix_mistral_regex, src_lang, tgt_lang, language, add_dummy_prefix: not used
        prefix_token, middle_token, suffix_token, eot_token, fill_token, suffix_first: not used
    """,
    refused="""
        truncation_side = right: cutting off the beginning
    """,
)
TOKENIZER = _table(
    "tokenizer.json",
    "The tokenizer, read whole by the tokenizers library, which refuses other keys at the top and other components.",
    applied="""
        normalizer, pre_tokenizer, post_processor: with all that is in them
        added_tokens, model: tokens, and how a word becomes some of them
        added_tokens.id, added_tokens.content, added_tokens.single_word: of each added token
        added_tokens.lstrip, added_tokens.rstrip, added_tokens.normalized, added_tokens.special: the same
        model.type, model.vocab, model.merges, model.unk_token, model.unk_id: of the model
        model.continuing_subword_prefix, model.end_of_word_suffix, model.max_input_chars_per_word: the same
        model.fuse_unk, model.byte_fallback, model.ignore_merges: the same
    """,
    harmless="""
        version, decoder: not needed for ids
        padding, truncation: nothing is padded, and the longest text is decided elsewhere
    """,
    refused="""
        model.dropout = 0 | 0.0: tokens left out at random
        model.alpha, model.nbest_size: tokens drawn at random
    """,
)
ADAPTER = _table(
    "adapter_config.json",
    "An adapter beside `slimvec.json`, which names its base. PEFT reads the file; every tensor must find its place.",
    applied="""
        r, lora_alpha, use_rslora, use_dora, rank_pattern, alpha_pattern: size and scale of the update
        target_modules, exclude_modules, layers_to_transform, layers_pattern: which layers have one
        bias, lora_bias, fan_in_fan_out: form of its tensors
    """,
    harmless="""
        base_model_name_or_path, revision, auto_mapping, task_type: slimvec.json says what the base is
        lora_dropout, inference_mode, peft_version, ensure_weight_tying: training alone
        init_lora_weights, loftq_config, eva_config, corda_config, lora_ga_config, runtime_config: how it began
        megatron_core, qalora_group_size: not used
    """,
    refused="""
        peft_type = LORA: another kind of adapter
        modules_to_save, target_parameters, trainable_token_indices, layer_replication: weights beside the update
        alora_invocation_tokens, arrow_config, use_bdlora, use_qalora = false: an update by text or in blocks
        megatron_config: layers of another library, which PEFT would import
        kasa_config, velora_config, monteclora_config: another form of update
    """,
)
SENTENCE_BERT = _table(
    "sentence_bert_config.json",
    "Settings of the Transformer module. Older names: sentence_roberta_config.json, and with distilbert, camembert, "
    "albert, xlm-roberta and xlnet in that place.",
    applied="""
        max_seq_length: the longest text
        do_lower_case: texts are put into small letters first
        config_args, config_kwargs: whether a token sees what comes after it; other keys must be those of config.json
    """,
    harmless="""
        unpad_inputs, backend: how others run it
    """,
    refused="""
        transformer_task = feature-extraction: another use of the transformer
        module_output_name = token_embeddings: another output
        modality_config = text: anything but the states of a text
        model_args, model_kwargs, tokenizer_args, processor_kwargs, processing_kwargs: arguments of other libraries
        tokenizer_name_or_path: a tokenizer that lies elsewhere
        query_length, document_length, query_expansion: limits by role and added tokens
    """,
)
MODULES = _table(
    "modules.json",
    "The modules in their order, a list.",
    applied="""
        type: the module, by its whole name
        path: where its files lie
    """,
    harmless="""
        idx, name, kwargs: the order of the list counts
    """,
)
ROUTER = _table(
    "router_config.json",
    "Which modules texts of a role run through, in a Router or an Asym (there `config.json`).",
    applied="""
        types, structure: the modules of each route
        route_mappings: the route of a role; first of (role, text), (role, any), (any, text), (any, any); without one \
the route called as the role, then one called text
    """,
    harmless="""
        default_route, allow_empty_key: texts without a role, which there are none of here
    """,
)
POOLING = _table(
    "1_Pooling/config.json",
    "How states become one vector.",
    applied="""
        pooling_mode: cls, mean, weightedmean or lasttoken
        pooling_mode_cls_token, pooling_mode_mean_tokens: the same in older files
        pooling_mode_weightedmean_tokens, pooling_mode_lasttoken: the same in older files
        include_prompt: whether the prompt's tokens are pooled too
    """,
    harmless="""
        word_embedding_dimension, embedding_dimension: the width, which the weights have
    """,
    refused="""
        pooling_mode_max_tokens, pooling_mode_mean_sqrt_len_tokens = false: another pooling
    """,
)
DENSE = _table(
    "N_Dense/config.json, N_LayerNorm/, N_Dropout/ and N_Normalize/",
    "The modules behind the pooling.",
    applied="""
        in_features, out_features, bias, use_residual: shapes of a Dense
        activation_function: one of torch.nn's without weights
        dimension: width of a LayerNorm
        dropout: in training
    """,
    refused="""
        module_input_name, module_output_name = sentence_embedding: other inputs and outputs
    """,
)
SENTENCE_TRANSFORMERS = _table(
    "config_sentence_transformers.json",
    "The model as a whole.",
    applied="""
        prompts: by role, query and document; the others are tasks by their names
        similarity_fn_name: cosine, dot, euclidean or manhattan
        truncate_dim: width of the vectors
    """,
    harmless="""
        default_prompt_name: texts have a role here, which chooses the prompt
    """,
    refused="""
        model_type = SentenceTransformer: another kind of model
    """,
)
GGUF = _table(
    "GGUF metadata",
    "The header of a .gguf file; keys of an architecture are written without its name in front.",
    applied="""
        general.architecture: the architecture
        context_length: the longest text of a file that says how it pools; of another 512 at most
        embedding_length, block_count, feed_forward_length, vocab_size: shapes
        attention.head_count, attention.head_count_kv, attention.key_length, attention.value_length: shapes of attention
        attention.layer_norm_rms_epsilon: added in every norm
        attention.sliding_window, attention.sliding_window_pattern, rope.freq_base, rope.dimension_count: positions
        attention.causal: whether a token sees what comes after it
        pooling_type: mean, cls or last, to vectors of unit length; without it the model is a plain language model
        tokenizer.ggml.model, tokenizer.ggml.pre: how text is cut
        tokenizer.ggml.tokens, tokenizer.ggml.merges, tokenizer.ggml.scores, tokenizer.ggml.token_type: the tokenizer
        tokenizer.ggml.bos_token_id, tokenizer.ggml.eos_token_id: special tokens
        tokenizer.ggml.unknown_token_id, tokenizer.ggml.padding_token_id: special tokens
        tokenizer.ggml.add_bos_token, tokenizer.ggml.add_eos_token: special tokens around every text
        tokenizer.ggml.add_space_prefix: a space ahead of a text
    """,
    harmless="""
        general.*: names, licences and how weights are packed
        GGUF.*, split.*, quantize.*, imatrix.*: how the file was made
        tokenizer.chat_template, tokenizer.chat_templates, tokenizer.chat_template.*: chat
        tokenizer.ggml.eot_token_id, tokenizer.ggml.eom_token_id: chat
        tokenizer.ggml.mask_token_id, tokenizer.ggml.seperator_token_id, tokenizer.ggml.cls_token_id: not used
        tokenizer.ggml.add_sep_token, tokenizer.ggml.token_type_count: of encoders
        tokenizer.ggml.fim_pre_token_id, tokenizer.ggml.fim_suf_token_id, tokenizer.ggml.fim_mid_token_id: filling gaps
        tokenizer.ggml.fim_pad_token_id, tokenizer.ggml.fim_rep_token_id, tokenizer.ggml.fim_sep_token_id: filling gaps
        tokenizer.ggml.prefix_token_id, tokenizer.ggml.suffix_token_id, tokenizer.ggml.middle_token_id: filling gaps
        final_logit_softcapping, logit_scale, rope.freq_base_swa: of the head, and Gemma's usual value
        rope.scaling.original_context_length, rope.scaling.finetuned: of scaled positions, which there are none of
    """,
    refused="""
        classifier.output_labels: a reranker
        rope.scaling.type = none: scaled positions, which transformers does not read from this file,
        rope.scaling.factor = 1.0 | 1: scaled positions, which transformers does not read from this file,
        attn_logit_softcapping: capped attention
        expert_count, expert_used_count = 0: a mixture of experts
        attention.max_alibi_bias, attention.clamp_kqv: another attention
        attention.scale, attention.temperature_scale, attention.temperature_length: scaled attention
        embedding_scale, residual_scale = 1 | 1.0: scaled layers
        rope.dimension_sections: positions of more than text
        use_parallel_residual = false: another order of layers
    """,
)
FILES = (
    CONFIG,
    TOKENIZER_CONFIG,
    TOKENIZER,
    SENTENCE_BERT,
    MODULES,
    ROUTER,
    POOLING,
    DENSE,
    SENTENCE_TRANSFORMERS,
    ADAPTER,
    GGUF,
)
