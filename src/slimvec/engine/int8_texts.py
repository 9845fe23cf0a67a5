"""The texts int8 is calibrated on and checked with, and the check.

The golden texts (many scripts, a single letter, code) and longer ones of our own, in turn: every second text is
measured, the others are held out. A model whose held-out vectors move further than the tolerance is refused: it has
outliers that these texts do not show or that smoothing does not even out.
"""

from torch import Tensor
from torch.nn.functional import cosine_similarity

from slimvec.engine.fused.int8_layers import Int8Texts
from slimvec.errors import ModelError
from slimvec.model.golden import TEXTS as GOLDEN_TEXTS
from slimvec.model.pooling import pool
from slimvec.model.spec import Pooling
from slimvec.text.batch import PackedBatch
from slimvec.text.tokenizer import Tokenizer

MIN_COSINE = 0.999
LONG_TEXTS = (
    "Bread rises because yeast turns sugar into gas, and gluten holds the gas in small bubbles. Warm dough rises in an "
    "hour, cold dough overnight; the slow one tastes of more, since acids form beside the gas. Bake it at 230 degrees "
    "with some steam in the oven, so that the crust stays soft until the loaf has grown.",
    "To mount a network share at start-up, add a line to the table of file systems: the address of the share, the "
    "folder to mount it on, its type and the options. Use the option that waits for the network, or the start hangs "
    "when the server is away. Then try it with `mount -a`, and read the kernel's messages if that fails.",
    "class Queue:\n    def __init__(self, size=64):\n        self.items, self.size = [], size\n\n"
    "    def push(self, item):\n        if len(self.items) >= self.size:\n"
    "            raise OverflowError(f'{self.size} items are all it holds')\n        self.items.append(item)\n\n"
    "    def pop(self):\n        return self.items.pop(0)",
    "Patients with a fasting glucose above 7.0 mmol/l on two occasions were counted as diabetic. Of 1,204 people "
    "followed for eleven years, 143 developed the disease; the risk was 2.4 times as high (95% interval 1.6 to 3.5) "
    "in those whose weight had risen by more than ten kilograms since the age of twenty.",
    "She put the letter back into the drawer and said nothing. Rain ran down the window. 'You might have told me,' he "
    "said at last, 'you might have told me in the spring.' But in the spring there had been the move, and the dog, and "
    "her mother's eyes, and it had seemed to her that one more thing would have brought the roof down.",
    "Im Herbst ziehen die Kraniche in großen Keilen über das Land. Man hört sie, bevor man sie sieht. Sie rasten auf "
    "abgeernteten Maisfeldern, schlafen im flachen Wasser der Teiche und fliegen weiter, sobald der Wind dreht. La "
    "migration dure trois semaines ; ensuite les champs sont vides et silencieux jusqu'au printemps.",
)


def int8_texts(tokenizer: Tokenizer, pooling: Pooling, name: object) -> Int8Texts:
    """Tokenise the texts as a model reads them, with the check for its pooling.

    Args:
        tokenizer: The model's.
        pooling: How vectors are made of the states that are compared.
        name: What to call it in the error of the check.
    """
    texts = [*GOLDEN_TEXTS, *LONG_TEXTS]
    sequences = tokenizer.tokenize(texts, prompt="").sequences
    held_out = sequences[1::2]
    batch = PackedBatch.from_sequences(held_out)

    def check(full: Tensor, int8: Tensor) -> None:
        expected, found = (pool(states, batch, pooling).double() for states in (full, int8))
        worst = float(cosine_similarity(expected, found, dim=1).min())
        if not worst >= MIN_COSINE:
            raise ModelError(
                f"{name} in int8 gives vectors with cosine {worst:.4f} to those in full",
                expected=f"at least {MIN_COSINE}",
                do="load it with dtype='auto'",
            )

    return Int8Texts(sequences[::2], held_out, check)
