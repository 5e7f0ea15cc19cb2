"""What a request did to a session, ready to be applied to whatever is stored by now."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Changes:
    """The difference that a request makes, key by key.

    Applied to the present values, not to those that the request had read: so two
    requests that change different keys both survive, and of two that change the same
    key the later commit wins. `computed` maps a key to a function from its present
    encoded value (None where there is none) to the new one.
    """

    cleared: bool = False
    assigned: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    removed: Collection[str] = ()
    computed: Mapping[str, Callable[[bytes | None], bytes]] = field(
        default_factory=dict, repr=False
    )
    permanent: bool | None = None

    def __bool__(self) -> bool:
        return bool(
            self.cleared
            or self.assigned
            or self.removed
            or self.computed
            or self.permanent is not None
        )

    @property
    def has_content(self) -> bool:
        """Whether there is something in it to begin a session with."""
        return bool(self.assigned or self.computed)

    def apply(self, values: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return `values` with these changes made."""
        kept = {} if self.cleared else values
        result = {key: kept[key] for key in kept if key not in self.removed}
        result.update(self.assigned)
        for key, compute in self.computed.items():
            result[key] = compute(result.get(key))
        return result


NO_CHANGES = Changes()
