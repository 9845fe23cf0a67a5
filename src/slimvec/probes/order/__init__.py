"""Word order: does a model tell a sentence from the same words in another order?"""

from slimvec.probes.order.order_probe import OrderProbe

__all__ = ["OrderProbe"]
