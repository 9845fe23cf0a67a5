#!/usr/bin/env sh
# Makes the training texts of the study from shared data: samples of English texts, without what is scored.
#   sh studies/only-slm/prepare.sh DATA OUTPUT
set -eu
data=$1
output=$2
for source in scitldr debian_pairs; do # a pipe below would only be shorter without one
    test -f "$data/$source/train.jsonl.gz" || { echo "no $data/$source/train.jsonl.gz" >&2; exit 1; }
done
mkdir -p "$output"
sample() { # every Nth English record of a source, named after it
    gzip -dc "$data/$1/train.jsonl.gz" |
        { grep -v '"lang": "\([^e]\|e[^n]\)' || true; } |
        awk -v n="$2" 'NR % n == 1' |
        sed "s/^{/{\"source\": \"$1\", /"
}
{
    sample scitldr 3
    sample debian_pairs 30
} | gzip >"$output/sampled.jsonl.gz"
# Whatever shares thirteen words with a set that the study scores is left out.
slimvec clean "$output/sampled.jsonl.gz" --output "$output/texts.jsonl.gz" \
    --against "$data/medquad_retrieval" --against "$data/cranfield" --against "$data/qed_nq_retrieval" \
    --against "$data/debian_retrieval"
