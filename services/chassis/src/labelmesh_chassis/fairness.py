"""Who is next where many wait for few places: callers take turns, and none fills the queue alone."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """Items of several callers, each with a weight that counts from `offer` until `finish`, not only while it waits.

    `most_weight` bounds the sum, `most_of_caller` that of one caller. An item of more than a caller's part weighs as much as the part, so
    that it can be had when there is room. Not for several threads at once: its owner has a lock.
    """

    def __init__(self, *, most_weight: int, most_of_caller: int) -> None:
        self.most_weight = most_weight
        self.most_of_caller = min(most_of_caller, most_weight)
        self.weight = 0
        self._waiting = 0
        self._weights: dict[str, int] = {}
        # Callers with waiting items, the next one first.
        self._turns: OrderedDict[str, deque[Item]] = OrderedDict()

    def __len__(self) -> int:
        return self._waiting

    def __iter__(self) -> Iterator[Item]:
        """What waits, in no order."""
        for items in self._turns.values():
            yield from items

    def weight_of(self, caller: str) -> int:
        """What a caller has waiting and in work."""
        return self._weights.get(caller, 0)

    def offer(self, caller: str, item: Item, weight: int) -> bool:
        """Takes an item as the caller's last, or not, where it would be too much."""
        weight = self._counted(weight)
        own = self._weights.get(caller, 0)
        if self.weight + weight > self.most_weight or own + weight > self.most_of_caller:
            return False
        self.weight += weight
        self._weights[caller] = own + weight
        self._turns.setdefault(caller, deque()).append(item)
        self._waiting += 1
        return True

    def take(self) -> tuple[str, Item] | None:
        """The first item of the caller whose turn it is; that caller is the last from now on. None where nothing waits."""
        if not self._turns:
            return None
        caller, items = self._turns.popitem(last=False)
        item = items.popleft()
        if items:
            self._turns[caller] = items
        self._waiting -= 1
        return caller, item

    def put_back(self, caller: str, item: Item) -> None:
        """An item that was taken is the next of all again."""
        self._turns.setdefault(caller, deque()).appendleft(item)
        self._turns.move_to_end(caller, last=False)
        self._waiting += 1

    def remove(self, caller: str, item: Item) -> bool:
        """Takes an item out that waits; False where it does not wait any more. Its weight counts until `finish`."""
        items = self._turns.get(caller)
        if items is None or item not in items:
            return False
        items.remove(item)
        if not items:
            del self._turns[caller]
        self._waiting -= 1
        return True

    def finish(self, caller: str, weight: int) -> None:
        """An item is done, whatever became of it; `weight` is what it was offered with."""
        weight = self._counted(weight)
        self.weight -= weight
        left = self._weights[caller] - weight
        if left:
            self._weights[caller] = left
        else:
            del self._weights[caller]

    def _counted(self, weight: int) -> int:
        return max(1, min(weight, self.most_of_caller))
