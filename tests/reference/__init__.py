"""The rules of ``rust_core/RULES.md`` once more, in Python, written to be read: what the Rust core is compared with.

Nothing here is taken from the core but the text of its rules. ``sortedcontainers`` keeps price levels in order; a level is an
``OrderedDict``, which takes an order out of its queue, or to its end, in constant time.
"""

from reference.records import Command, Event, Terms
from reference.venue import Venue

__all__ = ["Command", "Event", "Terms", "Venue"]
