"""Names for what has none in Python: unique, never a keyword, and always the same. Pure."""

import builtins
import keyword
import re

# What the module itself uses.
_TAKEN = frozenset(
    {"Any", "Literal", "NotRequired", "TaskType", "TypeAlias", "TypedDict", "Union", *dir(builtins)}
)
_TYPES = ("bool", "dict", "float", "int", "list", "str", "tuple")
_WORD = re.compile(r"[A-Za-z0-9]+")


class Names:
    """Hands out each name once."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def of_class(self, text: str) -> str:
        """As in "text.count_words": TextCountWords."""
        words = _WORD.findall(text)
        return self._unique("".join(word[:1].upper() + word[1:] for word in words), "Model")

    def of_constant(self, text: str) -> str:
        """As in "text.count_words": TEXT_COUNT_WORDS."""
        return self._unique("_".join(_WORD.findall(text)).upper(), "TASK")

    def _unique(self, name: str, otherwise: str) -> str:
        if not name or name[0].isdigit():
            name = otherwise + name
        candidate, count = name, 1
        while candidate in self._given | _TAKEN or keyword.iskeyword(candidate):
            count += 1
            candidate = f"{name}{count}" if name != name.upper() else f"{name}_{count}"
        self._given.add(candidate)
        return candidate


def is_field(name: str) -> bool:
    """Whether it can be written as a field of a class, and means nothing else there.

    In the class, a field hides a type of the same name.
    """
    plain = name.isascii() and name.isidentifier() and not keyword.iskeyword(name)
    return plain and not name.startswith("__") and not name[0].isupper() and name not in _TYPES
