#!/usr/bin/env sh
# Makes the training files of studies/only-slm and studies/only-slm-stages from shared data: English texts and, of other
# sources, pairs, without what is scored.
#   sh studies/only-slm/prepare.sh DATA OUTPUT
set -eu
data=$1
output=$2
for source in scitldr debian_pairs code_docstring medquad; do # a pipe below would only be shorter without one
    test -f "$data/$source/train.jsonl.gz" || { echo "no $data/$source/train.jsonl.gz" >&2; exit 1; }
done
mkdir -p "$output"
sample() { # every Nth English record of a source, named after it
    gzip -dc "$data/$1/train.jsonl.gz" |
        { grep -v '"lang": "\([^e]\|e[^n]\)' || true; } |
        awk -v n="$2" 'NR % n == 1' |
        sed "s/^{/{\"source\": \"$1\", /"
}
clean() { # leaves out whatever shares thirteen words with a set that the studies score, or are tuned on
    slimvec clean "$output/sampled-$1.jsonl.gz" --output "$output/$1.jsonl.gz" \
        --against "$data/medquad_retrieval" --against "$data/cranfield" --against "$data/qed_nq_retrieval" \
        --against "$data/code_retrieval" --against "$data/liveqa_med" --against "$data/cacm" \
        --against "$data/tldr_retrieval"
}
{
    sample scitldr 2
    sample debian_pairs 15
} | gzip >"$output/sampled-texts.jsonl.gz"
{
    sample code_docstring 14
    sample medquad 10
} | gzip >"$output/sampled-pairs.jsonl.gz"
clean texts
clean pairs
