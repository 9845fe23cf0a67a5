#!/usr/bin/env sh
# Makes the training files of studies/verdicts, verdicts-rates and verdicts-order from shared data: 960 and 2,560 pairs
# that share no run of thirteen words with what is scored, with up to two mined negatives each, and triplets of word order.
#   sh studies/verdicts/prepare.sh DATA OUTPUT
set -eu
data=$1
output=$2
mkdir -p "$output"
python recipes/slimvec_en_data.py "$data" "$output/whole"
gzip -dc "$output/whole/pairs.jsonl.gz" |
    grep -v '"source": "\(python-docs\|wikisplit\|tldr\|wordnet\)"' |
    awk 'NR % 3 == 1' | gzip -n >"$output/sampled.jsonl.gz"
slimvec mine "$output/sampled.jsonl.gz" --model minilm-l6 --negatives 2 --first-rank 2 --last-rank 30 \
    --near-duplicates 0.8 --output "$output/mined.jsonl.gz"
gzip -dc "$output/mined.jsonl.gz" | awk 'NR % 7 == 3 && ++n <= 960' | gzip -n >"$output/few.jsonl.gz"
gzip -dc "$output/mined.jsonl.gz" | awk 'NR % 2 == 1 && ++n <= 2560' | gzip -n >"$output/more.jsonl.gz"
slimvec triplets --num 1280 --language en --output "$output/triplets.jsonl.gz"
