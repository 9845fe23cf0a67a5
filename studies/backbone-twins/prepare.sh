#!/usr/bin/env sh
# Makes the texts and pairs of the study from shared data: English titles and descriptions, questions and answers,
# docstrings and code, summaries and abstracts. The positives of pretrain.jsonl.gz are the texts of the pre-training,
# about 65,000 of them; train.jsonl.gz is every eighth pair.
#   sh studies/backbone-twins/prepare.sh DATA OUTPUT
set -eu
data=$1
output=$2
for source in code_docstring debian_pairs medquad scitldr; do # a pipe below would only be shorter without one
    test -f "$data/$source/train.jsonl.gz" || { echo "no $data/$source/train.jsonl.gz" >&2; exit 1; }
done
mkdir -p "$output"
named() { # the pairs of a source, named after it
    gzip -dc "$data/$1/train.jsonl.gz" | sed "s/^{/{\"source\": \"$1\", /"
}
{
    named code_docstring
    named debian_pairs | grep '"lang": "en"'
    named medquad
    named scitldr
} | gzip >"$output/all.jsonl.gz"
# Whatever shares thirteen words with a set that the study scores is left out.
slimvec clean "$output/all.jsonl.gz" --output "$output/pretrain.jsonl.gz" \
    --against "$data/code_retrieval" --against "$data/medquad_retrieval" --against "$data/scitldr_retrieval"
gzip -dc "$output/pretrain.jsonl.gz" | awk 'NR % 8 == 1' | gzip >"$output/train.jsonl.gz"
